"""Airways, pulmonary arteries and veins: named central lines, then volume-filling trees lobe by lobe.

Arteries follow the airways side by side, also where airways are too small to be drawn; veins grow through seeds
between them.
Radius at a fork: ``r_child = r_mother (supply_child / supply_mother)^(1/x)`` with x = 3.2 for airways (Weibel's
diameters within
10 %) and 3 for vessels (Murray exponent 2.92 +- 1.07, Dong 2020). Branches are bent (Hermite curves that leave
along the
mother) and tapered. Airway wall by lumen diameter after Webb, log-log (unverified).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .canvas import Canvas
from .capsules import paint_airways, paint_vessels
from .fields import stream
from .grid import Grid
from .growth import Branches, fill
from .lungs import Chest
from .shapes import curve, direction, paint
from .structures import LOBES, Structure
from .trees import Tree

if TYPE_CHECKING:
    from .population import TwinSpec

Array = NDArray[Any]

SEED_PITCH_MM = 4.6
"""Distance of the seeds: one per acinus-sized cell [mm]. Design default."""

SMALLEST_AIRWAY_MM = 0.45
"""Airways of smaller radius are part of the parenchyma [mm]."""

VESSEL_POWER = 3.0
"""Exponent of the radii of vessels: measured 2.92 +- 1.07 (Dong 2020) [1]."""

Lines = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

_AIRWAY_PARENTS = {
    "right main": "trachea", "left main": "trachea", "right upper": "right main", "intermediate": "right main",
    "right middle": "intermediate", "right lower": "intermediate", "left upper": "left main", "left lower": "left main",
}  # fmt: skip
_ARTERY_PARENTS = {
    "right": "trunk", "left": "trunk", "right upper": "right", "interlobar": "right", "right middle": "interlobar",
    "right lower": "interlobar", "left upper": "left", "left lower": "left",
}  # fmt: skip
_VEIN_PARENTS = {"right upper": "right superior", "right middle": "right superior"}
_LOBE_LINES = ("right upper", "right middle", "right lower", "left upper", "left lower")
_LOBE_VEINS = ("right upper", "right middle", "right inferior", "left superior", "left inferior")


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """The three trees of a twin."""

    airways: Tree
    arteries: Tree
    veins: Tree


def wall_mm(radius_mm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Airway wall by lumen radius [mm]: 0.12 at 0.45, 0.25 at 1.0, 1.1 at 3, 1.8 in the trachea (unverified)."""
    table_r, table_w = [0.3, 0.45, 1.0, 2.0, 3.0, 6.0, 9.0], [0.10, 0.13, 0.25, 0.52, 0.82, 1.3, 1.8]
    return np.interp(radius_mm, table_r, table_w).astype(np.float32)


def grow_trees(spec: TwinSpec, chest: Chest) -> Trees:
    """Grow all trees of a person; independent of any voxel size."""
    centre = chest.mediastinum
    lobes = lobe_map(chest)
    lattice = chest.lattice
    corner = np.asarray(lattice.origin_mm)
    step = lattice.spacing_mm[0]
    airway_lines, artery_lines, vein_lines = centre.airway_knots(), centre.artery_knots(), centre.vein_knots()
    airways = _Table(airway_lines, _AIRWAY_PARENTS)
    arteries = _Table(artery_lines, _ARTERY_PARENTS)
    veins = _Table(vein_lines, _VEIN_PARENTS)
    # small vessels go with the emphysema that destroyed their bed
    thinning = 1 - 0.4 * min(1.0, spec.emphysema_percent / 25)
    for lobe, line, vein_line in zip(LOBES, _LOBE_LINES, _LOBE_VEINS, strict=True):
        inside = lobes == lobe
        rng = stream(spec.key, f"trees {line}")
        points, radii = airway_lines[line]
        vessel_points, vessel_radii = artery_lines[line]
        bundle = fill(
            _seeds(lattice, chest.lung, inside, rng),
            points[-1],
            direction(points[-1] - points[-2]),
            inside,
            corner,
            step,
            rng,
        )
        total = float(bundle.supply[bundle.parent < 0].sum())
        r_airway = _radii(bundle, radii[-1], total, 3.2)
        r_artery = _radii(bundle, vessel_radii[-1], total, VESSEL_POWER) * np.where(bundle.supply < 40, thinning, 1.0)
        keep = r_airway >= SMALLEST_AIRWAY_MM
        airways.grow(bundle.end_mm, bundle.parent, r_airway, keep, line, lobe, rng)
        offset = vessel_points[-1] - points[-1]
        beside = _beside(bundle.end_mm, bundle.parent, points[-1], offset, r_airway, r_artery)
        arteries.grow(beside, bundle.parent, r_artery, np.ones(len(keep), bool), line, lobe, rng)
        start, start_radii = vein_lines[vein_line]
        from scipy.spatial import cKDTree

        seeds = _seeds(lattice, chest.lung, inside, rng, pitch=SEED_PITCH_MM * 0.85)
        big = bundle.supply >= 3
        distance, _ = cKDTree(np.vstack([bundle.end_mm[big], beside[big]])).query(seeds)
        seeds = seeds[distance > np.quantile(distance, 0.42)]
        other = fill(seeds, start[-1], direction(start[-1] - start[-2]), inside, corner, step, rng)
        r_vein = _radii(other, start_radii[-1], float(other.supply[other.parent < 0].sum()), VESSEL_POWER)
        r_vein *= np.where(other.supply < 40, thinning, 1.0)
        veins.grow(other.end_mm, other.parent, r_vein, np.ones(len(r_vein), bool), vein_line, lobe, rng)
    return Trees(airways.tree(), arteries.tree(), veins.tree())


def paint_trees(canvas: Canvas, chest: Chest, trees: Trees) -> None:
    """Paint veins, arteries and airways, in this order: the lumen of a bundle stays open."""
    paint_vessels(canvas, trees.veins, Structure.PULMONARY_VEIN, Structure.HEART)
    paint_vessels(canvas, trees.arteries, Structure.PULMONARY_ARTERY, Structure.PULMONARY_TRUNK)
    wall, lumen = chest.mediastinum.trachea()
    paint(canvas, [wall])
    t = trees.airways
    paint_airways(canvas, t, wall_mm(t.start_radius_mm), wall_mm(t.end_radius_mm), shown=t.generation > 0)
    paint(canvas, lumen)


def lobe_map(chest: Chest) -> NDArray[np.uint16]:
    """Lobe ids on the lattice, 0 outside the lungs and within 1.5 mm of the pleura."""
    right = np.where(chest.major <= 0, LOBES[2], np.where(chest.minor <= 0, LOBES[1], LOBES[0]))
    lobe = np.where(chest.side < 0, right, np.where(chest.major <= 0, LOBES[4], LOBES[3]))
    return np.where(chest.lung < -1.5, lobe, 0).astype(np.uint16)


def _seeds(
    lattice: Grid,
    lung: NDArray[np.float32],
    inside: NDArray[np.bool_],
    rng: np.random.Generator,
    pitch: float = SEED_PITCH_MM,
) -> NDArray[np.float64]:
    """A jittered grid of points in a lobe, 3 mm or more under the pleura."""
    cells = np.argwhere(inside)
    low, high = cells.min(0), cells.max(0)
    step = lattice.spacing_mm[0]
    axes = [np.arange(a * step, b * step, pitch) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    grid = (grid + pitch * (rng.random(grid.shape) - 0.5) * 0.9) / step
    index = np.clip(np.rint(grid).astype(int), 0, np.array(lattice.shape) - 1)
    good = inside[tuple(index.T)] & (lung[tuple(index.T)] < -3.0)
    return lattice.index_to_world(grid[good])


def _radii(branches: Branches, root_mm: float, total: float, power: float) -> NDArray[np.float64]:
    """Radii by supply, a daughter never wider than 0.95 of her mother."""
    r = root_mm * np.minimum(1.0, branches.supply / total) ** (1 / power)
    # the last three generations fall off faster: most of their blood is counted with the parenchyma
    r = r * np.minimum(1.0, branches.supply / 12) ** 0.25
    return _narrowing(r, branches.parent, root_mm)


@njit(cache=True)
def _narrowing(r: Array, parent: Array, root: Any) -> Array:
    for b in range(r.size):
        mother = root if parent[b] < 0 else r[parent[b]]
        r[b] = min(r[b], 0.95 * mother)
    return r


@njit(cache=True)
def _beside(end: Array, parent: Array, tip: Array, offset: Array, r_airway: Array, r_artery: Array) -> Array:
    """Ends of the artery branches: beside the airway's, on a side that turns as little as it can."""
    out = np.empty_like(end)
    side = np.empty_like(end)
    for b in range(r_airway.size):
        mother = parent[b]
        start = tip if mother < 0 else end[mother]
        d = end[b] - start
        d = d / max(math.sqrt((d**2).sum()), 1e-9)
        o = (offset if mother < 0 else side[mother]).copy()
        o -= (o * d).sum() * d
        length = math.sqrt((o**2).sum())
        if length < 1e-6:
            o = np.array([d[1], -d[0], 0.1])
            o -= (o * d).sum() * d
            length = math.sqrt((o**2).sum())
        side[b] = o / length
        gap = 1.25 * r_airway[b] + r_artery[b] + 0.4
        out[b] = end[b] + side[b] * gap
    return out


class _Table:
    """Rows of a tree: central lines first, lobes after them."""

    def __init__(self, lines: Lines, parents: dict[str, str]) -> None:
        self.columns: list[tuple[NDArray, ...]] = []
        self.rows = 0
        self.last: dict[str, int] = {}
        self.depth: dict[str, int] = {}
        self.end: dict[str, tuple[NDArray, NDArray, float]] = {}
        for name, (points, radii) in lines.items():
            n = 13
            line = curve(points, n)
            radius = np.minimum.accumulate(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(radii)), radii))
            mother = parents.get(name)
            if mother is not None:  # never wider than what it leaves
                radius = np.minimum(radius, self.end[mother][2])
            first = -1 if mother is None else self.last[mother]
            depth = 0 if mother is None else self.depth[mother] + 1
            parent = np.concatenate([[first], self.rows + np.arange(n - 2)])
            self._add(line[:-1], line[1:], radius[:-1], radius[1:], parent, np.full(n - 1, depth), np.zeros(n - 1))
            self.last[name], self.depth[name] = self.rows - 1, depth
            self.end[name] = (line[-1], direction(line[-1] - line[-2]), float(radius[-1]))

    def _add(self, *columns: NDArray) -> None:
        self.columns.append(columns)
        self.rows += len(columns[0])

    def grow(
        self,
        end: NDArray,
        parent: NDArray,
        radius: NDArray,
        keep: NDArray,
        line: str,
        lobe: int,
        rng: np.random.Generator,
    ) -> None:
        """Add branches as bent, tapered rows; branches not kept are left out (their children are not kept either)."""
        tip, heading, root = self.end[line]
        new = np.cumsum(keep) - 1
        mother = np.where(parent[keep] < 0, -1, new[parent[keep]])
        end, radius = end[keep], np.minimum(radius[keep], root)
        start = np.where(mother[:, None] < 0, tip, end[mother])
        chord = end - start
        length = np.maximum(np.linalg.norm(chord, axis=1), 1e-6)
        unit = chord / length[:, None]
        arrive = unit + 0.09 * rng.standard_normal(unit.shape)
        leave = np.where(mother[:, None] < 0, heading, arrive[mother]) * 0.6 + 0.4 * unit
        for tangent in (arrive, leave):
            tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        pieces = np.clip(np.ceil(length / 2.8), 1, 6).astype(int)
        first_row = self.rows + np.concatenate([[0], np.cumsum(pieces)[:-1]])
        generation = np.empty(len(mother), int)
        _generations(mother, generation, self.depth[line] + 1)
        branch = np.repeat(np.arange(len(pieces)), pieces)
        k = np.arange(len(branch)) - np.repeat(first_row - self.rows, pieces)

        def at(t: NDArray) -> NDArray:
            t = t[:, None]
            scale = length[branch, None] * 0.75
            return np.asarray(
                (2 * t**3 - 3 * t**2 + 1) * start[branch] + (t**3 - 2 * t**2 + t) * scale * leave[branch]
                + (3 * t**2 - 2 * t**3) * end[branch] + (t**3 - t**2) * scale * arrive[branch]
            )  # fmt: skip

        t0, t1 = k / pieces[branch], (k + 1) / pieces[branch]
        before = np.where(mother < 0, self.last[line], (first_row + pieces - 1)[mother])
        parents = np.where(k == 0, before[branch], self.rows + np.arange(len(branch)) - 1)
        r = radius[branch]
        self._add(
            at(t0),
            at(t1),
            r * (1 - 0.05 * t0),
            r * (1 - 0.05 * t1),
            parents,
            generation[branch],
            np.full(len(branch), lobe),
        )

    def tree(self) -> Tree:
        """The rows as a :class:`twins.Tree`."""
        return Tree(*(np.concatenate(c) for c in zip(*self.columns, strict=True)))


@njit(cache=True)
def _generations(mother: Array, out: Array, first: Any) -> None:
    for b in range(mother.size):
        out[b] = first if mother[b] < 0 else out[mother[b]] + 1
