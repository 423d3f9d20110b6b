"""Trees grown into the lungs of an imported twin, as in population twins.

Phantoms have lungs of one density and no trees; CTs have their own vessels, which the grown ones take the place of when
that is asked for. Where the hilum of a lung lies is taken from its shape: the place of its surface nearest to the point
between the lungs at the height of the carina. Mass is kept: what the trees weigh is taken from the parenchyma.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..bronchovascular import (
    AIRWAY_POWER,
    FINE_SUPPLY,
    FIRST_AIRWAY,
    FIRST_VESSEL,
    SHELL_MM,
    TERRITORIES,
    VESSEL_POWER,
    beside_airways,
    branch_radii,
    wall_mm,
)
from ..canvas import PALETTE, Canvas, palette
from ..capsules import paint_airways, paint_vessels
from ..fields import stream
from ..grid import Grid, Point
from ..growth import fill
from ..materials import material
from ..rows import Lines, Rows
from ..shapes import direction
from ..structures import AERATED, LOBES, Structure
from ..trees import BranchKind, Tree
from ..twin import Twin

STEP_MM = 2.5
"""Pitch of the lattice that trees grow on [mm]."""

CLOSE_MM = 4.0
"""Vessels up to twice this are part of the lungs that trees grow in [mm]. Design default."""

PLEURA_MM = 2.5
"""This near the surface of a lung what an image shows as dense stays [mm]. Design default."""

HILUM_LEVEL = 0.55
"""Height of the carina above the base of the lungs, as a share of theirs, where it is not known. Design default."""

SMALLEST_HOST_ML = 60.0
_RIGHT = (*LOBES[:3], Structure.RIGHT_LUNG)


def grow_trees(twin: Twin, key: int) -> Twin:
    """The twin with airways, arteries and veins grown into its lungs and painted.

    Parameters
    ----------
    twin
        With lobes, or right and left lung; cubic voxels.
    key
        Decides the trees.

    Returns
    -------
    Twin
        With ``airways``, ``arteries`` and ``veins`` in place of what it had; vessels inside the lungs that came from an
        image are replaced by the parenchyma around them first. Mediastinum and landmarks stay.

    Raises
    ------
    ValueError
        If the voxels are not cubic, or there are no two lungs of at least 60 mL.
    """
    dz, dy, dx = twin.grid.spacing_mm
    if max(dz, dy, dx) > 1.01 * min(dz, dy, dx) or not twin.grid.is_axis_aligned:
        raise ValueError(
            f"growing trees needs cubic voxels along the patient's axes, spacing_mm is {twin.grid.spacing_mm}"
        )
    hosts, lattice = _hosts(twin)
    carina, hila = _hila(twin, hosts, lattice)
    airways, arteries, veins = _grown(hosts, lattice, carina, hila, key)
    cleared = _without_vessels(twin)
    canvas, materials = _canvas(cleared)
    lung = twin.is_any([*AERATED, Structure.LUNG_VESSEL])
    before = float(twin.density[lung].sum(dtype=np.float64))
    paint_vessels(canvas, _inner(veins), Structure.PULMONARY_VEIN, Structure.PULMONARY_VEIN)
    paint_vessels(canvas, _inner(arteries), Structure.PULMONARY_ARTERY, Structure.PULMONARY_ARTERY)
    walls = _inner(airways)
    paint_airways(canvas, walls, wall_mm(walls.start_radius_mm), wall_mm(walls.end_radius_mm))
    parenchyma = lung & np.isin(canvas.structure, [int(s) for s in AERATED])
    rest = float(canvas.density[parenchyma].sum(dtype=np.float64))
    surplus = float(canvas.density[lung].sum(dtype=np.float64)) - before
    if surplus > 0.8 * rest:
        raise ValueError("growing trees: they would weigh more than the lungs")
    thinned = canvas.density[parenchyma] * (1 - surplus / rest)
    canvas.density[parenchyma] = np.rint(thinned).astype(np.uint16)
    about = {"key": int(key), "hila_mm": {str(int(s)): [round(float(c), 1) for c in p] for s, p in hila.items()}}
    return replace(
        twin,
        structure=canvas.structure,
        material_a=canvas.material_a,
        material_b=canvas.material_b,
        fraction_b=canvas.fraction_b,
        density=canvas.density,
        materials=materials,
        airways=airways,
        arteries=arteries,
        veins=veins,
        landmarks_mm={"carina": carina, **twin.landmarks_mm},
        provenance={**twin.provenance, "grown_trees": about},
    )


def _hosts(twin: Twin) -> tuple[dict[int, NDArray[np.bool_]], Grid]:
    """Masks of the lobes (or lungs) on a lattice of :data:`STEP_MM`, vessels and bronchi in them included."""
    lattice = twin.grid.with_spacing((STEP_MM,) * 3)
    index = np.meshgrid(
        *(
            np.clip(np.rint((a - b[0]) / s), 0, len(b) - 1).astype(int)
            for a, b, s in zip(lattice.axes_mm(), twin.grid.axes_mm(), twin.grid.spacing_mm, strict=True)
        ),
        indexing="ij",
        sparse=True,
    )
    coarse = twin.structure[tuple(index)]
    present = [int(s) for s in LOBES if (coarse == s).any()] or [
        int(s) for s in (Structure.RIGHT_LUNG, Structure.LEFT_LUNG) if (coarse == s).any()
    ]
    hosts = {}
    for number in present:
        mask = coarse == number
        if mask.sum() * STEP_MM**3 / 1000 < SMALLEST_HOST_ML / 5:
            continue
        room = int(np.ceil(CLOSE_MM / STEP_MM)) + 2
        wide = np.pad(mask, room)
        grown = ndimage.distance_transform_edt(~wide) * STEP_MM <= CLOSE_MM
        closed = (ndimage.distance_transform_edt(grown) * STEP_MM > CLOSE_MM)[(slice(room, -room),) * 3]
        others = np.isin(coarse, [n for n in present if n != number])
        hosts[number] = (closed | mask) & ~others & ((coarse == number) | np.isin(coarse, _WITHIN))
    for sides in (_RIGHT, tuple(s for s in AERATED if s not in _RIGHT)):
        ml = sum(hosts[n].sum() for n in hosts if n in sides) * STEP_MM**3 / 1000
        if ml < SMALLEST_HOST_ML:
            raise ValueError(
                f"growing trees needs two lungs of at least {SMALLEST_HOST_ML:.0f} mL, one has {ml:.0f} mL"
            )
    return hosts, lattice


_WITHIN = [
    int(s)
    for s in (
        Structure.LUNG_VESSEL,
        Structure.PULMONARY_ARTERY,
        Structure.PULMONARY_VEIN,
        Structure.BRONCHUS,
        Structure.AIRWAY_WALL,
        Structure.FISSURE,
    )
]


def _hila(
    twin: Twin, hosts: dict[int, NDArray[np.bool_]], lattice: Grid
) -> tuple[Point, dict[int, NDArray[np.float64]]]:
    """The carina, and the hilum of each host: the place of its lung's surface nearest to the carina."""
    right = np.logical_or.reduce([m for n, m in hosts.items() if n in _RIGHT])
    left = np.logical_or.reduce([m for n, m in hosts.items() if n not in _RIGHT])
    z = np.flatnonzero((right | left).any(axis=(1, 2)))
    level = z[0] + HILUM_LEVEL * (z[-1] - z[0])
    if "carina" in twin.landmarks_mm:
        carina = np.asarray(twin.landmarks_mm["carina"], np.float64)
        level = float(np.clip(lattice.world_to_index(carina)[0], z[0], z[-1]))
    k = round(level)
    near = slice(max(0, k - 8), k + 9)
    middles = [np.argwhere(m[near]).mean(axis=0) for m in (right, left) if m[near].any()]
    if len(middles) < 2:
        raise ValueError("growing trees: right and left lung do not lie at one height")
    between = np.mean(middles, axis=0)
    if "carina" not in twin.landmarks_mm:
        carina = lattice.index_to_world((level, between[1], between[2]))
    found = {}
    for number, mask in hosts.items():
        lung = right if number in _RIGHT else left
        surface = np.argwhere(lung & ~ndimage.binary_erosion(lung))
        height = np.abs(surface[:, 0] - level) * STEP_MM < 40
        surface = surface[height] if height.any() else surface
        gap = lattice.index_to_world(surface) - (carina + np.array([0.0, 0.0, -15.0]))
        found[number] = lattice.index_to_world(surface[np.argmin((gap**2).sum(axis=1))])
        if not mask.any():
            raise ValueError(f"growing trees: {Structure(number).name} is empty")
    point = (float(carina[0]), float(carina[1]), float(carina[2]))
    return point, found


def _lines(
    carina: NDArray[np.float64], hila: dict[int, NDArray[np.float64]], centres: dict[int, NDArray[np.float64]]
) -> tuple[tuple[Lines, dict[str, str]], ...]:
    """Central lines of airways, arteries and veins: to each hilum, and 18 mm on towards each host's middle."""
    up = np.array([0.0, 0.0, 1.0])
    front = np.array([0.0, -1.0, 0.0])
    airways: Lines = {"trachea": (np.stack([carina + 60 * up, carina + 30 * up, carina]), np.array([8.5, 8.4, 8.0]))}
    trunk = carina + 32 * front - 25 * up
    arteries: Lines = {
        "trunk": (np.stack([trunk + 15 * front - 30 * up, trunk - 12 * up, trunk]), np.array([13.0, 12.5, 12.0]))
    }
    veins: Lines = {}
    parents: tuple[dict[str, str], ...] = ({}, {}, {})
    atrium = carina - 50 * up
    for side, name in ((True, "right"), (False, "left")):
        own = [n for n in hila if (n in _RIGHT) == side]
        hilum = hila[own[0]]
        beside = hilum + 9 * front + 6 * up
        for lines, start, end, radii, table, mother in (
            (airways, carina, hilum, [6.2, 5.8, 5.2], parents[0], "trachea"),
            (arteries, trunk, beside, [9.5, 8.5, 7.0], parents[1], "trunk"),
        ):
            lines[name] = (np.stack([start, 0.5 * (start + end), end]), np.array(radii))
            table[name] = mother
        for n in own:
            way = direction(centres[n] - hilum)
            line = f"{name} {n}"
            width = 1.25 if len(own) == 1 else 1.0
            airways[line] = (np.stack([hilum, hilum + 9 * way, hilum + 18 * way]), width * np.array([4.6, 4.2, 3.8]))
            side_of = beside + 18 * way - 3 * front
            arteries[line] = (np.stack([beside, 0.5 * (beside + side_of), side_of]), width * np.array([5.5, 5.0, 4.4]))
            low = hilum + 8 * front - 14 * up
            veins[line] = (np.stack([atrium, low, low + 16 * way]), width * np.array([6.5, 5.5, 4.4]))
            parents[0][line] = parents[1][line] = name
    return (airways, parents[0]), (arteries, parents[1]), (veins, parents[2])


def _grown(
    hosts: dict[int, NDArray[np.bool_]],
    lattice: Grid,
    carina: Point,
    hila: dict[int, NDArray[np.float64]],
    key: int,
) -> tuple[Tree, Tree, Tree]:
    centres = {n: lattice.index_to_world(np.argwhere(m).mean(axis=0)) for n, m in hosts.items()}
    volume = sum(float(m.sum()) for m in hosts.values()) * STEP_MM**3
    pitch = (volume / TERRITORIES) ** (1 / 3)
    tables = _lines(np.asarray(carina), hila, centres)
    airways, arteries, veins = (Rows(lines, parents) for lines, parents in tables)
    corner = np.asarray(lattice.origin_mm)
    for n, mask in hosts.items():
        rng = stream(key, f"grown trees {n}")
        line = f"{'right' if n in _RIGHT else 'left'} {n}"
        points, radii = tables[0][0][line]
        artery_points, artery_radii = tables[1][0][line]
        vein_points, vein_radii = tables[2][0][line]
        seeds = _seeds(mask, lattice, pitch, rng)
        none = np.zeros((len(seeds), 0), np.int8)
        bundle = fill(seeds, none, points[-1], direction(points[-1] - points[-2]), mask, corner, STEP_MM, rng)
        r_airway = branch_radii(bundle, radii[-1], AIRWAY_POWER, FIRST_AIRWAY)
        r_artery = branch_radii(bundle, artery_radii[-1], VESSEL_POWER, FIRST_VESSEL)
        offset = artery_points[-1] - points[-1]
        beside = beside_airways(bundle.end_mm, bundle.parent, points[-1], offset, r_airway, r_artery)
        other = _seeds(mask, lattice, 0.85 * pitch, rng)
        distance, _ = cKDTree(np.vstack([bundle.end_mm, beside])).query(other)
        other = other[distance > np.quantile(distance, 0.42)]
        none = np.zeros((len(other), 0), np.int8)
        drain = fill(
            other, none, vein_points[-1], direction(vein_points[-1] - vein_points[-2]), mask, corner, STEP_MM, rng
        )
        r_vein = branch_radii(drain, vein_radii[-1], VESSEL_POWER, FIRST_VESSEL)
        keep = np.flatnonzero(bundle.supply >= 2)
        number = np.full(len(bundle.parent), -1)
        number[keep] = np.arange(len(keep))
        mother = np.where(bundle.parent[keep] < 0, -1, number[bundle.parent[keep]])
        _rows(airways, line, n, bundle.end_mm[keep], mother, r_airway[keep], bundle.supply[keep], rng)
        _rows(arteries, line, n, beside, bundle.parent, r_artery, bundle.supply, rng)
        _rows(veins, line, n, drain.end_mm, drain.parent, r_vein, drain.supply, rng)
    return airways.tree(), arteries.tree(), veins.tree()


def _rows(
    rows: Rows, line: str, lobe: int, end: Any, parent: Any, radius: Any, supply: Any, rng: np.random.Generator
) -> None:
    none = np.zeros(len(parent), np.uint8)
    kind = none + np.uint8(BranchKind.BRANCH)
    rows.join(line, rows.laid(line, lobe, end, parent, radius, none, kind, rng, fine=supply >= FINE_SUPPLY))


def _seeds(mask: NDArray[np.bool_], lattice: Grid, pitch: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A jittered grid of points in a host, :data:`SHELL_MM` or more under its surface."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] * STEP_MM
    cells = np.argwhere(mask)
    low, high = cells.min(axis=0), cells.max(axis=0)
    axes = [np.arange(a * STEP_MM, b * STEP_MM, pitch) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    grid = (grid + pitch * (rng.random(grid.shape) - 0.5) * 0.9) / STEP_MM
    index = tuple(np.clip(np.rint(grid).astype(int), 0, np.array(mask.shape) - 1).T)
    return lattice.index_to_world(grid[depth[index] > SHELL_MM])


def _without_vessels(twin: Twin) -> Twin:
    """Vessels in the lungs that came from an image as the parenchyma around them."""
    vessel = twin.structure == Structure.LUNG_VESSEL
    if not vessel.any():
        return twin
    aerated = twin.is_any(AERATED)
    box = ndimage.find_objects((vessel | aerated).astype(np.uint8))[0]
    inner, hole = aerated[box], vessel[box]
    sigma = 6.0 / twin.grid.spacing_mm[0]
    weight = ndimage.gaussian_filter(inner.astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(np.where(inner, twin.density[box], 0).astype(np.float32), sigma)
    mean = np.divide(mean, weight, out=np.zeros_like(mean), where=weight > 1e-3)
    # the outermost layer is not vessel but lung and wall in one voxel
    depth = ndimage.distance_transform_edt(np.pad(inner | hole, 1), sampling=twin.grid.spacing_mm)[1:-1, 1:-1, 1:-1]
    hole &= (weight > 1e-3) & (depth > PLEURA_MM)
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    structure, density = twin.structure.copy(), twin.density.copy()
    a, b, fraction = twin.material_a.copy(), twin.material_b.copy(), twin.fraction_b.copy()
    structure[box][hole] = structure[box][tuple(nearest)][hole]
    for array in (a, b, fraction):
        array[box][hole] = array[box][tuple(nearest)][hole]
    density[box][hole] = np.rint(mean[hole]).astype(np.uint16)
    return replace(twin, structure=structure, density=density, material_a=a, material_b=b, fraction_b=fraction)


def _canvas(twin: Twin) -> tuple[Canvas, tuple[Any, ...]]:
    """A canvas of a twin's own arrays, material ids counted in the palette's order and then its own."""
    known = [material(name) for name in PALETTE]
    others = [m for m in twin.materials if m not in known]
    number = np.array(
        [known.index(m) if m in known else len(known) + others.index(m) for m in twin.materials], np.uint8
    )
    canvas = Canvas(
        twin.grid,
        twin.structure.copy(),
        number[twin.material_a],
        number[twin.material_b],
        twin.fraction_b.copy(),
        twin.density.copy(),
    )
    return canvas, (*palette(), *others)


def _inner(tree: Tree) -> Tree:
    """The rows inside the lungs."""
    inside = np.flatnonzero(tree.lobe > 0)
    number = np.full(len(tree), -1)
    number[inside] = np.arange(len(inside))
    parent = np.where(tree.parent[inside] < 0, -1, number[tree.parent[inside]])
    return Tree(
        tree.start_mm[inside],
        tree.end_mm[inside],
        tree.start_radius_mm[inside],
        tree.end_radius_mm[inside],
        parent,
        tree.generation[inside],
        tree.lobe[inside],
        tree.segment[inside],
        tree.kind[inside],
    )
