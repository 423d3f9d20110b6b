"""Small synthetic thorax for fast tests: a box of lung with lobes, a vessel, an airway and a chest
wall."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from twins import Grid, Structure, Tree, Twin, material

MATERIALS = tuple(material(m) for m in ("air", "lung_tissue", "muscle", "blood"))
FORK = (40.0, -10.0, 20.0)
LUNG_DENSITY = 0.16  # g/cm3: about -850 HU


def block(shape=(60, 60, 80), spacing=2.0, *, lobes=True, vessel=True, origin=None, direction=None) -> Twin:
    """Muscle box with 8 mm walls around lung; right lung at x < 0: upper lobe above z = 0, lower lobe below; left
    likewise."""
    size = [(n - 1) * spacing for n in shape]
    origin = (-size[2] / 2, -size[1] / 2, -size[0] / 2) if origin is None else origin
    grid = Grid(shape, (spacing,) * 3, origin) if direction is None else Grid(shape, (spacing,) * 3, origin, direction)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    world = grid.index_to_world(index)
    x, z = world[..., 0] - grid.centre_mm[0], world[..., 2] - grid.centre_mm[2]
    structure = np.full(shape, Structure.MUSCLE, np.uint16)
    wall = max(1, round(8 / spacing))
    inner = (slice(wall, -wall),) * 3
    names = (
        (Structure.RIGHT_UPPER_LOBE, Structure.RIGHT_LOWER_LOBE, Structure.LEFT_UPPER_LOBE, Structure.LEFT_LOWER_LOBE)
        if lobes
        else (Structure.RIGHT_LUNG, Structure.RIGHT_LUNG, Structure.LEFT_LUNG, Structure.LEFT_LUNG)
    )
    lung = np.where(x < 0, np.where(z >= 0, names[0], names[1]), np.where(z >= 0, names[2], names[3]))
    structure[inner] = lung[inner]
    if vessel:  # a cylinder of 8 mm diameter along x, and an airway beside it
        middle_z, middle_y = shape[0] // 2, shape[1] // 2
        zz, yy = index[..., 0] - middle_z, index[..., 1] - middle_y
        inside = np.zeros(shape, bool)
        inside[inner] = True
        structure[inside & ((zz**2 + yy**2) * spacing**2 <= 16)] = Structure.PULMONARY_ARTERY
        structure[inside & ((zz**2 + (yy - 8) ** 2) * spacing**2 <= 9)] = Structure.BRONCHUS
    lungs = np.isin(structure, [int(s) for s in (*names,)])
    first = np.full(shape, 2, np.uint8)  # muscle
    first[lungs] = 0
    first[structure == Structure.PULMONARY_ARTERY] = 3
    first[structure == Structure.BRONCHUS] = 0
    second = np.where(lungs, 1, first).astype(np.uint8)
    density = np.full(shape, 10500, np.uint16)
    density[lungs] = round(LUNG_DENSITY * 1e4)
    density[structure == Structure.PULMONARY_ARTERY] = 10600
    density[structure == Structure.BRONCHUS] = 12
    # air + tissue of given density: mass share of tissue
    share = (1 - 0.001205 / LUNG_DENSITY) / (1 - 0.001205 / 1.05)
    fraction = np.where(lungs, round(share * 65535), 0).astype(np.uint16)
    return Twin(grid, structure, first, second, fraction, density, MATERIALS)


def airway_lines() -> list[np.ndarray]:
    """A bronchus that comes from the middle to ``FORK`` and forks at 60 degrees; its branches bend on."""
    back = np.array([[10.0, -10.0, 20.0], [25.0, -10.0, 20.0], FORK])
    return [back, *(np.array([FORK, [46.0, -10.0, 20 + s * 6.0], [56.0, -10.0, 20 + s * 8.0]]) for s in (1, -1))]


def airway_tree() -> Tree:
    """Those lines as a tree of the block's left upper lobe, 1.8 mm in radius before the fork."""
    lines = airway_lines()
    radius = np.array([2.0, 1.9, 1.6, 1.5, 1.4, 1.3])
    return Tree(
        start_mm=np.concatenate([line[:-1] for line in lines]),
        end_mm=np.concatenate([line[1:] for line in lines]),
        start_radius_mm=radius,
        end_radius_mm=radius - 0.1,
        parent=np.array([-1, 0, 1, 2, 1, 4]),
        generation=np.array([4, 4, 5, 5, 5, 5]),
        lobe=np.full(6, Structure.LEFT_UPPER_LOBE),
    )


CROSSING = (-40.0, -20.0, 24.0)
VESSEL_FORK = (-40.0, 12.0, 24.0)


def vessel_lines() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Arteries along y that fork in the plane z = 24, and a vein along x that passes one of them."""
    artery = np.array([[-40.0, y, 22.6] for y in (-36.0, -32.0, -28.0, -24.0, -20.0, -16.0, -12.0)])
    stem = np.array([[-40.0, y, 24.0] for y in (0.0, 4.0, 8.0, 12.0)])
    branches = [np.array([VESSEL_FORK, (-40 + s * 3.0, 15.0, 24.0), (-40 + s * 6.0, 18.0, 24.0)]) for s in (1, -1)]
    vein = np.array([[x, -20.0, 25.4] for x in (-56.0, -52.0, -48.0, -44.0, -40.0, -36.0, -32.0, -28.0, -24.0)])
    return [artery, stem, *branches], [vein]


def vessel_trees() -> tuple[Tree, Tree]:
    """Those lines as tables of the right upper lobe, 1.5 mm in radius."""
    return tuple(_tree(lines) for lines in vessel_lines())


def _tree(lines: list[np.ndarray]) -> Tree:
    parent: list[int] = []
    ends: dict[tuple[float, ...], int] = {}
    for line in lines:
        for a, b in pairwise(line):
            parent.append(ends.get(tuple(a), -1))
            ends[tuple(b)] = len(parent) - 1
    n = len(parent)
    return Tree(
        start_mm=np.concatenate([line[:-1] for line in lines]),
        end_mm=np.concatenate([line[1:] for line in lines]),
        start_radius_mm=np.full(n, 1.5),
        end_radius_mm=np.full(n, 1.5),
        parent=np.array(parent),
        generation=np.full(n, 4),
        lobe=np.full(n, Structure.RIGHT_UPPER_LOBE),
    )
