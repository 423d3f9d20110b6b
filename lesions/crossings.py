"""Where vessels of a twin cross or fork: a blob in one slice, a tube in the next, and no nodule.

A mimic of this kind marks a piece of the twin's own arteries and veins: the arms that leave one meeting, with the
centre lines and radii of the tree tables, each so long that together they have the volume asked for. It is made of the
twin's blood, so that it differs from the vessels around it only by its sharper edges. How near, steep and alike two
vessels must be, and how long their arms may get, are design defaults, unverified.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from twins import Material, Tree, Twin

from .branches import Line, daughters_of, eldest_of, line_along, mothers_of
from .nodule import Nodule
from .surroundings import VESSELS

ARM = (1.5, 5.0)
"""Length of an arm, in radii of the vessels."""

TOUCHING = 1.15
"""Two vessels cross where their centre lines come as near as so many times the sum of their radii."""

STEEP_DEG = 40.0
"""Smallest angle between vessels that cross."""

ALIKE = 0.6
"""Smallest ratio of the radii of vessels that cross, and of a branch to its stem."""

LONGEST_ROW_MM = 6.0
"""Longer rows of the tables are lines of the hilum, which hold no crossings."""

TOLERANCE_MM = 1.0
"""A crossing's centre lies no farther than this from a meeting of the trees."""


@dataclass(frozen=True, slots=True, eq=False)
class Meetings:
    """Where vessels cross or fork.

    ``at_mm`` (n, 3) world points; ``rows`` (n, 2) of the tree: the two that cross, or the stem and -1; ``share`` (n, 2)
    how far along those rows; ``n_arms`` (n,) 4 or 3; ``radius_mm`` (n,) root mean square over the arms; ``lobe`` (n,).
    """

    at_mm: NDArray[np.float64]
    rows: NDArray[np.intp]
    share: NDArray[np.float64]
    n_arms: NDArray[np.intp]
    radius_mm: NDArray[np.float64]
    lobe: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.at_mm)

    def those(self, chosen: NDArray[np.bool_]) -> Meetings:
        """Some of them."""
        return Meetings(*(getattr(self, f.name)[chosen] for f in fields(self)))


def vessels_of(twin: Twin, point_mm: NDArray[np.float64] | None = None, reach_mm: float = math.inf) -> Tree:
    """Arteries and then veins of a twin in one table; with a point only the rows that begin within reach of it."""
    trees = (twin.arteries, twin.veins)
    before = np.repeat([0, len(twin.arteries)], [len(t) for t in trees])
    columns = {f.name: np.concatenate([getattr(t, f.name) for t in trees]) for f in fields(Tree)}
    columns["parent"] = np.where(columns["parent"] < 0, -1, columns["parent"] + before).astype(np.int32)
    # kind is not needed here: 0 for arteries, 1 for veins
    columns["kind"] = (before > 0).astype(np.uint8) if len(twin.arteries) else np.ones(len(before), np.uint8)
    if point_mm is not None:
        near = np.abs(columns["start_mm"] - point_mm).max(axis=1) <= reach_mm
        number = np.where(near, np.cumsum(near) - 1, -1)
        columns = {name: column[near] for name, column in columns.items()}
        columns["parent"] = np.where(columns["parent"] < 0, -1, number[columns["parent"]]).astype(np.int32)
    return Tree(**columns)


def meetings_of(vessels: Tree, volume_mm3: float) -> Meetings:
    """The meetings inside lobes whose arms are of fitting length for a crossing of that volume."""
    widest = (volume_mm3 / (3 * math.pi * ARM[0])) ** (1 / 3)
    narrowest = (volume_mm3 / (4 * math.pi * ARM[1])) ** (1 / 3)
    crossings, forks = _crossings(vessels, ALIKE * narrowest, widest / ALIKE), _forks(vessels, ALIKE * narrowest)
    found = Meetings(*(np.concatenate((getattr(crossings, f.name), getattr(forks, f.name))) for f in fields(Meetings)))
    arm = volume_mm3 / (found.n_arms * math.pi * found.radius_mm**3)
    return found.those((arm >= ARM[0]) & (arm <= ARM[1]))


def crossing_of(nodule: Nodule, twin: Twin) -> NDArray[np.float64]:
    """Segments ``(n, 8)`` of a placed crossing about its ``centre_mm`` [mm]: start, end (x, y, z), both radii.

    Raises
    ------
    ValueError
        If no vessels of the twin meet at its centre, or they end too soon.
    """
    centre = np.asarray(nodule.centre_mm, np.float64)
    volume = nodule.target_volume_mm3
    vessels = vessels_of(twin, centre, 4 * nodule.target_diameter_mm + 10.0)
    found = meetings_of(vessels, volume)
    away = np.linalg.norm(found.at_mm - centre, axis=1) if len(found) else np.array([np.inf])
    nearest = int(np.argmin(away))
    if away[nearest] > TOLERANCE_MM:
        has = f"the nearest is {away[nearest]:.1f} mm away" if len(found) else "there is none"
        raise ValueError(
            f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm}: attachment 'vessel' of a crossing needs vessels of "
            f"its calibre that cross or fork within {TOLERANCE_MM:g} mm of it, {has}; attachment: none lays it anywhere"
        )
    longest = 2 * ARM[1] * float(found.radius_mm[nearest])
    arms = _arms(vessels, found, nearest, longest)
    if sum(_volume_mm3(arm) for arm in arms) < volume:
        raise ValueError(
            f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm}: the vessels that meet there end before they have "
            f"its volume of {volume:.0f} mm3"
        )
    low, high = 0.0, longest
    for _ in range(40):
        middle = 0.5 * (low + high)
        short = sum(_volume_mm3(_cut(arm, middle)) for arm in arms) < volume
        low, high = (middle, high) if short else (low, middle)
    rows = [_segments(_cut(arm, high)) for arm in arms]
    return np.concatenate(rows) - np.concatenate((centre, centre, [0.0, 0.0]))


def blood_of(nodule: Nodule, twin: Twin) -> Material | None:
    """What fills the vessels that a crossing marks: the twin's own blood, with its contrast agent.

    None, which means soft tissue, for all other nodules, for a crossing that gives its own ``solid_hu`` or holds parts,
    and where the twin has no voxel of vessel at its centre.
    """
    said = nodule.attributes
    parts = said.calcium_fraction + said.fat_fraction + said.necrosis_ratio + nodule.n_bubbles + nodule.n_bronchograms
    if nodule.kind != "vessel_crossing" or said.attachment != "vessel" or nodule.solid_hu is not None or parts:
        return None
    grid = twin.grid
    reach = np.ceil(0.25 * nodule.target_diameter_mm / np.asarray(grid.spacing_mm)).astype(int)
    index = np.rint(grid.world_to_index(np.asarray(nodule.centre_mm, np.float64))).astype(int)
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    full = np.where(np.isin(twin.structure[box], [int(s) for s in VESSELS]), twin.density[box], 0)
    if not full.any():
        return None
    at = np.unravel_index(int(np.argmax(full)), full.shape)
    heavier = twin.material_b if twin.fraction_b[box][at] > 32767 else twin.material_a
    return twin.materials[int(heavier[box][at])]


def _forks(vessels: Tree, least_mm: float) -> Meetings:
    """Stems with two branches that are nearly as wide."""
    parent = vessels.parent
    mother = np.maximum(parent, 0)
    stem = vessels.end_radius_mm[mother]
    wide = (parent >= 0) & (vessels.start_radius_mm >= ALIKE * stem) & (stem >= least_mm)
    n = np.bincount(parent[wide], minlength=len(vessels))
    squares = np.bincount(parent[wide], vessels.start_radius_mm[wide].astype(np.float64) ** 2, minlength=len(vessels))
    rows = np.flatnonzero((n == 2) & (vessels.lobe > 0))
    radius = np.sqrt((vessels.end_radius_mm[rows].astype(np.float64) ** 2 + squares[rows]) / 3)
    return Meetings(
        vessels.end_mm[rows].astype(np.float64),
        np.stack((rows, np.full(len(rows), -1)), axis=1),
        np.tile([1.0, 0.0], (len(rows), 1)),
        np.full(len(rows), 3),
        radius,
        vessels.lobe[rows],
    )


def _crossings(vessels: Tree, least_mm: float, most_mm: float) -> Meetings:
    """An artery and a vein that pass each other."""
    start, end = vessels.start_mm.astype(np.float64), vessels.end_mm.astype(np.float64)
    radius = 0.5 * (vessels.start_radius_mm + vessels.end_radius_mm).astype(np.float64)
    length = np.linalg.norm(end - start, axis=1)
    use = (vessels.lobe > 0) & (radius >= least_mm) & (radius <= most_mm) & (length > 0.1) & (length <= LONGEST_ROW_MM)
    arteries, veins = (np.flatnonzero(use & (vessels.kind == kind)) for kind in (0, 1))
    i = j = np.zeros(0, np.intp)
    if len(arteries) and len(veins):
        middle = 0.5 * (start + end)
        reach = float(length[use].max()) + 2 * TOUCHING * float(radius[use].max())
        pairs = cKDTree(middle[arteries]).sparse_distance_matrix(cKDTree(middle[veins]), reach, output_type="ndarray")
        i, j = arteries[pairs["i"]], veins[pairs["j"]]
        order = np.lexsort((j, i))
        i, j, between = i[order], j[order], pairs["v"][order]
        near = between <= 0.5 * (length[i] + length[j]) + TOUCHING * (radius[i] + radius[j])
        i, j = i[near], j[near]
    s, t = _closest(start[i], end[i], start[j], end[j])
    here, there = start[i] + s[:, None] * (end - start)[i], start[j] + t[:, None] * (end - start)[j]
    gap = np.linalg.norm(here - there, axis=1)
    steep = abs(((end - start)[i] * (end - start)[j]).sum(axis=1)) < math.cos(math.radians(STEEP_DEG)) * (
        length[i] * length[j]
    )
    alike = np.minimum(radius[i], radius[j]) >= ALIKE * np.maximum(radius[i], radius[j])
    good = steep & alike & (gap <= TOUCHING * (radius[i] + radius[j]))
    i, j, s, t = i[good], j[good], s[good], t[good]
    return Meetings(
        0.5 * (here + there)[good],
        np.stack((i, j), axis=1),
        np.stack((s, t), axis=1),
        np.full(len(i), 4),
        np.sqrt(0.5 * (radius[i] ** 2 + radius[j] ** 2)),
        vessels.lobe[i],
    )


def _closest(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64], d: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares along segments ``a b`` and ``c d`` at which they come nearest to each other.

    As in Ericson, Real-Time Collision Detection (2005), 5.1.9.
    """
    u, v, w = b - a, d - c, a - c
    uu, vv, uv = (u * u).sum(axis=1), (v * v).sum(axis=1), (u * v).sum(axis=1)
    uw, vw = (u * w).sum(axis=1), (v * w).sum(axis=1)
    across = np.maximum(uu * vv - uv * uv, 1e-9)
    s = np.clip((uv * vw - uw * vv) / across, 0, 1)
    t = np.clip((uv * s + vw) / vv, 0, 1)
    return np.clip((uv * t - uw) / uu, 0, 1), t


def _arms(vessels: Tree, found: Meetings, n: int, longest_mm: float) -> list[Line]:
    """The lines that leave a meeting."""
    widest = daughters_of(vessels)
    stem = int(found.rows[n, 0])
    if found.rows[n, 1] < 0:
        arms = [line_along(vessels, [stem, *mothers_of(vessels, stem)], longest_mm, down=False)]
        for branch in widest[stem][:2]:
            arms.append(line_along(vessels, [branch, *eldest_of(widest, branch)], longest_mm, down=True))
        return arms
    arms = []
    for row, share in zip(found.rows[n].tolist(), found.share[n].tolist(), strict=True):
        point = (1 - share) * vessels.start_mm[row].astype(np.float64) + share * vessels.end_mm[row]
        radius = float((1 - share) * vessels.start_radius_mm[row] + share * vessels.end_radius_mm[row])
        for down, rows in ((False, mothers_of(vessels, row)), (True, eldest_of(widest, row))):
            arms.append(line_along(vessels, [row, *rows], longest_mm, down=down, begin=(point, radius)))
    return arms


def _cut(line: Line, length_mm: float) -> Line:
    points, radii = line
    along = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    if along[-1] <= length_mm:
        return line
    keep = int(np.searchsorted(along, length_mm))
    end = [float(np.interp(length_mm, along, points[:, k])) for k in range(3)]
    return np.concatenate((points[:keep], [end])), np.append(radii[:keep], np.interp(length_mm, along, radii))


def _volume_mm3(line: Line) -> float:
    points, radii = line
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    a, b = radii[:-1], radii[1:]
    return float(np.sum(math.pi / 3 * steps * (a * a + a * b + b * b)))


def _segments(line: Line) -> NDArray[np.float64]:
    points, radii = line
    rows = [[*a, *b, ra, rb] for (a, b), (ra, rb) in zip(pairwise(points), pairwise(radii), strict=True)]
    return np.array(rows).reshape(-1, 8)
