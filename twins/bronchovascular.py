"""Airways, pulmonary arteries and veins: named central lines, then trees that fill the lobes.

One tree of bundles is grown per lobe. Arteries follow all of it, side by side with the airways; airways end where two
territories are left (terminal bronchioles: 15,000 to 25,000 branches in both lungs, as every lung has, large or small).
Supernumerary arteries leave without an airway. Veins grow through seeds of their own where bundles are far: on the
borders of segments and lobules.

Radius at a fork: ``r_child = r_mother (supply_child / supply_mother)^(1/x)`` with x = 3.2 for airways (Weibel's
diameters) and 2.7 for vessels (Murray exponent 2.92 +- 1.07, Dong 2020). Airway wall by lumen diameter after
Webb, log-log (unverified).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import get_num_threads, njit
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from .canvas import Canvas
from .capsules import paint_airways, paint_vessels
from .fields import stream
from .grid import Grid
from .growth import Branches, fill, settle
from .lungs import Chest, lobe_map
from .pose import Pose, pose
from .rows import Rows
from .segments import territories
from .shapes import Tube, direction, paint
from .structures import LOBES, Structure
from .trees import BranchKind, Tree

if TYPE_CHECKING:
    from .population import TwinSpec

Array = NDArray[Any]

TERRITORIES = 24_000
"""Territories in both lungs: ends of the arteries; the 3 mm under the pleura have none. Design default."""

SIDE_BRANCHES = 12_000
"""Supernumerary arteries in both lungs: 1.5-2 per artery that has an airway of 0.6 mm. Design default."""

AIRWAY_POWER = 3.2
"""Exponent of the radii of airways: halving supply takes 0.805 of the diameter, as in Weibel's lung [1]."""

VESSEL_POWER = 2.7
"""Exponent of the radii of vessels: measured 2.92 +- 1.07 (Dong 2020) [1]."""

FIRST_AIRWAY, FIRST_VESSEL = 0.80, 1.11
"""At their first fork lobar bronchi and vessels narrow or widen by this beyond what the rule says: narrower are the
segmental bronchi of Weibel (5.6 mm after 8.3); for vessels it brings the total blood volume to 2-4 % of the lungs."""

FINE_SUPPLY = 4
"""Branches to so many territories are drawn in pieces of 2.5 mm; thinner ones are seen as lines: 4 mm do."""

SHELL_MM = 3.0
"""Under the pleura no branch ends [mm]."""

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


def grow_trees(spec: TwinSpec, chest: Chest, posed: Pose | None = None) -> Trees:
    """Grow all trees of a person; independent of any voxel size, with the same branches in every breath.

    ``posed`` is what :func:`twins.pose.pose` makes of both, for those who have it already.
    """
    posed = posed or pose(spec, chest)
    here = chest.mediastinum
    rows = (
        Rows(here.airway_knots(), _AIRWAY_PARENTS),
        Rows(here.artery_knots(), _ARTERY_PARENTS),
        Rows(here.vein_knots(), _VEIN_PARENTS),
    )
    lobes = lobe_map(posed.full)
    lobes_here = lobe_map(chest) if posed.moved else lobes

    def grown(n: int) -> tuple[tuple[NDArray, ...], ...]:
        return _grow_lobe(spec, chest, posed, n, (lobes, lobes_here), rows)

    # lobes have nothing in common: the threads change no byte
    with ThreadPoolExecutor(get_num_threads()) as pool:
        for n, columns in enumerate(pool.map(grown, range(len(LOBES)))):
            for tree, line, laid in zip(rows, (_LOBE_LINES[n], _LOBE_LINES[n], _LOBE_VEINS[n]), columns, strict=True):
                tree.join(line, laid)
    return Trees(*(tree.tree() for tree in rows))


def _grow_lobe(
    spec: TwinSpec,
    chest: Chest,
    posed: Pose,
    n: int,
    lobes: tuple[NDArray[np.uint16], NDArray[np.uint16]],
    rows: tuple[Rows, Rows, Rows],
) -> tuple[tuple[NDArray, ...], ...]:
    """Airways, arteries and veins of one lobe, as :meth:`Rows.laid`; lobe maps at full effort and in this breath."""
    lobe, line, vein_line = LOBES[n], _LOBE_LINES[n], _LOBE_VEINS[n]
    here, full = chest.mediastinum, posed.full.mediastinum
    airways, arteries, veins = rows
    pitch = (spec.full_volume_l() * 1e6 / TERRITORIES) ** (1 / 3)
    # small vessels go with the emphysema that destroyed their bed
    thinning = 1 - 0.4 * min(1.0, spec.emphysema_percent / 25)
    rng = stream(spec.key, f"trees {line}")
    host = _Host.of(posed.full, lobes[0], lobe)
    points, radii = full.airway_knots()[line]
    artery_points, artery_radii = full.artery_knots()[line]
    seeds = host.seeds(rng, pitch)
    label, code = territories(lobe, seeds, points[-1])
    bundle = host.fill(seeds, code, points, rng)
    segment = np.where(bundle.pure, label[bundle.seed], 0).astype(np.uint8)
    thin = np.where(bundle.supply < 40, thinning, 1.0)
    r_airway = branch_radii(bundle, radii[-1], AIRWAY_POWER, FIRST_AIRWAY)
    r_artery = branch_radii(bundle, artery_radii[-1], VESSEL_POWER, FIRST_VESSEL)
    side = artery_points[-1] - points[-1]
    beside = beside_airways(bundle.end_mm, bundle.parent, points[-1], side, r_airway, r_artery)
    extra, extra_parent, extra_radius = _side_branches(
        host.seeds(rng, pitch * (TERRITORIES / SIDE_BRANCHES) ** (1 / 3)), beside, bundle.supply, r_artery, rng
    )
    vein_points, vein_radii = full.vein_knots()[vein_line]
    vein_seeds = host.seeds(rng, pitch * 0.85)
    paths = cKDTree(np.vstack([bundle.end_mm, beside]))
    distance, _ = paths.query(vein_seeds)
    vein_seeds = vein_seeds[distance > np.quantile(distance, 0.42)]
    drain = host.fill(vein_seeds, np.zeros((len(vein_seeds), 0), np.int8), vein_points, rng)
    r_vein = branch_radii(drain, vein_radii[-1], VESSEL_POWER, FIRST_VESSEL)
    r_vein *= np.where(drain.supply < 40, thinning, 1.0)
    drained = segment[paths.query(drain.end_mm)[1] % len(segment)]
    drained = np.where(drain.supply <= 200, drained, 0).astype(np.uint8)

    if posed.moved:
        host = _Host.of(chest, lobes[1], lobe)
        points, artery_points = here.airway_knots()[line][0], here.artery_knots()[line][0]
        bundle = host.moved(bundle, posed, n, points)
        drain = host.moved(drain, posed, n, here.vein_knots()[vein_line][0])
        side = artery_points[-1] - points[-1]
        beside = beside_airways(bundle.end_mm, bundle.parent, points[-1], side, r_airway, r_artery)
        extra = host.drawn_in(posed.forward(extra, n))

    fine = bundle.supply >= FINE_SUPPLY
    keep = np.flatnonzero(bundle.supply >= 2)
    number = np.full(len(bundle.parent), -1)
    number[keep] = np.arange(len(keep))
    mother = np.where(bundle.parent[keep] < 0, -1, number[bundle.parent[keep]])
    own = np.full(len(bundle.parent), BranchKind.BRANCH, np.uint8)
    air = airways.laid(
        line,
        lobe,
        bundle.end_mm[keep],
        mother,
        r_airway[keep],
        segment[keep],
        own[keep],
        rng,
        fine[keep],
        host.drawn_in,
    )
    artery = arteries.laid(
        line,
        lobe,
        np.vstack([beside, extra]),
        np.concatenate([bundle.parent, extra_parent]),
        np.concatenate([r_artery * thin, np.minimum(extra_radius, (0.7 * r_artery * thin)[extra_parent])]),
        np.concatenate([segment, segment[extra_parent]]),
        np.concatenate([own, np.full(len(extra), BranchKind.SUPERNUMERARY, np.uint8)]),
        rng,
        np.concatenate([fine, np.zeros(len(extra), bool)]),
        host.drawn_in,
    )
    kind = np.full(len(r_vein), BranchKind.BRANCH, np.uint8)
    vein = veins.laid(
        vein_line,
        lobe,
        drain.end_mm,
        drain.parent,
        r_vein,
        drained,
        kind,
        rng,
        drain.supply >= FINE_SUPPLY,
        host.drawn_in,
    )
    return air, artery, vein


def paint_trees(canvas: Canvas, chest: Chest, trees: Trees, thickness: float = 1.0, rings: Sequence[Tube] = ()) -> None:
    """Paint veins, arteries and airways, in this order: the lumen of a bundle stays open.

    ``thickness`` scales the walls of the bronchi; ``rings`` lie in the wall of the trachea.
    """
    paint_vessels(canvas, trees.veins, Structure.PULMONARY_VEIN, Structure.HEART)
    paint_vessels(canvas, trees.arteries, Structure.PULMONARY_ARTERY, Structure.PULMONARY_TRUNK)
    wall, lumen = chest.mediastinum.trachea()
    paint(canvas, [wall, *rings])
    t = trees.airways
    start, end = (thickness * wall_mm(r) for r in (t.start_radius_mm, t.end_radius_mm))
    paint_airways(canvas, t, start, end, shown=t.generation > 0)
    paint(canvas, lumen)


@dataclass(frozen=True, eq=False)
class _Host:
    """A lobe that trees grow in, in the part of the lattice that holds it."""

    lattice: Grid
    inside: NDArray[np.bool_]
    apart: NDArray[np.bool_]
    """Far enough from pleura and fissures for a branch to end."""

    @classmethod
    def of(cls, chest: Chest, lobes: NDArray[np.uint16], lobe: int) -> _Host:
        """The lobe of that id."""
        inside = lobes == lobe
        spans = [np.flatnonzero(inside.any(axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        start, stop = [int(v[0]) for v in spans], [int(v[-1]) + 1 for v in spans]
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        apart = (chest.lung[box] < -SHELL_MM) & (np.abs(chest.major[box]) > 0.5 * SHELL_MM)
        lattice = chest.lattice.crop(start, [b - a for a, b in zip(start, stop, strict=True)])
        return cls(lattice, np.ascontiguousarray(inside[box]), apart & inside[box])

    def seeds(self, rng: np.random.Generator, pitch: float) -> NDArray[np.float64]:
        """A jittered grid of points, :data:`SHELL_MM` or more under the pleura and half of that off fissures."""
        step = self.lattice.spacing_mm[0]
        axes = [np.arange(0, (n - 1) * step, pitch) for n in self.inside.shape]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        grid = (grid + pitch * (rng.random(grid.shape) - 0.5) * 0.9) / step
        index = np.clip(np.rint(grid).astype(np.intp), 0, np.array(self.inside.shape) - 1)
        return self.lattice.index_to_world(grid[self.apart[tuple(index.T)]])

    def fill(
        self, seeds: NDArray[np.float64], code: NDArray[np.int8], line: NDArray[np.float64], rng: np.random.Generator
    ) -> Branches:
        """A tree from the end of ``line`` to every seed."""
        corner, step = np.asarray(self.lattice.origin_mm), self.lattice.spacing_mm[0]
        grown = fill(seeds, code, line[-1], direction(line[-1] - line[-2]), self.inside, corner, step, rng)
        return self._settled(grown, line)

    def moved(self, branches: Branches, posed: Pose, lobe: int, line: NDArray[np.float64]) -> Branches:
        """The same branches in this breath, from the end of ``line``."""
        return self._settled(replace(branches, end_mm=posed.forward(branches.end_mm, lobe)), line)

    def _settled(self, branches: Branches, line: NDArray[np.float64]) -> Branches:
        """Forks drawn into the lobe, and where they cost least in it."""
        branches = replace(branches, end_mm=self.drawn_in(branches.end_mm))
        corner, step = np.asarray(self.lattice.origin_mm), self.lattice.spacing_mm[0]
        return settle(branches, line[-1], self.inside, corner, step)

    @cached_property
    def _rim(self) -> tuple[NDArray[np.float64], cKDTree]:
        """Places of the outermost cells of the lobe [mm], and a search tree over them."""
        rim = self.inside & ~binary_erosion(self.inside)
        cells = self.lattice.index_to_world(np.argwhere(rim))
        return cells, cKDTree(cells, balanced_tree=False)

    def drawn_in(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points outside the lobe moved to its nearest cell."""
        shape = np.array(self.inside.shape)
        index = np.rint(self.lattice.world_to_index(points_mm)).astype(np.intp)
        within = np.all((index >= 0) & (index < shape), axis=1)
        out = ~(within & self.inside[tuple(np.clip(index, 0, shape - 1).T)])
        if not out.any():
            return points_mm
        cells, tree = self._rim
        points_mm = points_mm.copy()
        points_mm[out] = cells[tree.query(points_mm[out])[1]]
        return points_mm


def _side_branches(
    seeds_mm: NDArray[np.float64],
    ends_mm: NDArray[np.float64],
    supply: NDArray[np.float64],
    radius_mm: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Supernumerary arteries: ends, mothers, radii [mm]; each from the nearest fork of an artery wider than its own."""
    wide = np.flatnonzero((supply >= 6) & (supply < 500))
    distance, nearest = cKDTree(ends_mm[wide]).query(seeds_mm)
    near = (distance > 1.5) & (distance < 12.0)
    mother = wide[nearest[near]]
    smallest = float(np.median(radius_mm[supply == 1]))
    return seeds_mm[near], mother, np.minimum(smallest * rng.uniform(0.9, 1.7, len(mother)), 0.7 * radius_mm[mother])


def branch_radii(branches: Branches, root_mm: float, power: float, first: float) -> NDArray[np.float64]:
    """Radii by supply, ``first`` times what the root's radius says; a daughter never wider than 0.95 of her mother."""
    total = float(branches.supply[branches.parent < 0].sum())
    radii = first * root_mm * (branches.supply / total) ** (1 / power)
    return _narrowing(radii, branches.parent, min(first, 1.0) * root_mm)


@njit(cache=True, nogil=True)
def _narrowing(r: Array, parent: Array, root: Any) -> Array:
    for b in range(r.size):
        mother = root if parent[b] < 0 else r[parent[b]]
        r[b] = min(r[b], 0.95 * mother)
    return r


@njit(cache=True, nogil=True)
def beside_airways(end: Array, parent: Array, tip: Array, offset: Array, r_airway: Array, r_artery: Array) -> Array:
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
