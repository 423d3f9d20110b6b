"""Emphysema: where lung tissue is gone, solved so that it fills the share of the lungs that the spec names.

Centrilobular: round holes about the centres of lobules, radii log-normal, median 2.2 mm. Paraseptal: one layer of cells
of 4-12 mm under the pleura, walls of 0.5 mm between them. Panlobular: whole regions thinned smoothly. Mixed: a share of
paraseptal, the rest centrilobular. Sizes and the preference for a zone are design defaults (unverified).

All holes are made in the lungs at full effort and moved to the breath of the scan, so that they stay the same; more
emphysema adds holes to those that less has. The solution is a closed loop: random points in the lungs tell which share
lies below 0.05 g/cm3, and the number of holes, or the level of thinning, is chosen so that it meets the spec's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .fields import Field, noise, stream
from .lobules import PITCH_MM, centres_mm

if TYPE_CHECKING:
    from .lungs import Chest
    from .population import TwinSpec
    from .pose import Pose

Array = NDArray[Any]

HOLE_DENSITY_G_CM3 = 0.03
"""Density inside emphysema (0.02-0.05) [g/cm3]."""

THRESHOLD_G_CM3 = 0.05
"""Emphysema is what lies below (-950 HU) [g/cm3]."""

SMALLEST_PERCENT = 0.05
"""Less than this is none [%]."""

THINNEST = 0.2
"""Density of the worst panlobular emphysema / density of what it was [1]. Design default."""

WALL_MM = 0.5
"""Wall between paraseptal cells, and between them and the pleura [mm]."""


@dataclass(frozen=True, slots=True, eq=False)
class Emphysema:
    """Holes ``(n, 4)``: x, y, z, radius [mm]; density left per lattice point, None for all of it [1]."""

    holes: NDArray[np.float32]
    left: Field | None

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Which of the points lie in a hole."""
        first = np.full(len(points.world_mm), len(self.holes))
        _touch(self.holes.astype(float), points, first, 0)
        return first < len(self.holes)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Random points in the lungs that stand for their volume: ``(n, 3)`` places [mm], their lattice cells (z, y, x)."""

    world_mm: NDArray[np.float64]
    cell: tuple[NDArray[np.intp], ...]


def points_in(spec: TwinSpec, chest: Chest, n: int = 120_000) -> Points:
    """About ``n`` points spread evenly over both lungs, at most one in each cell of the lattice."""
    rng = stream(spec.key, "points")
    cells = np.argwhere(chest.lung < 0)
    cells = cells[rng.random(len(cells)) < n / len(cells)]
    jitter = rng.random(cells.shape) - 0.5
    return Points(chest.lattice.index_to_world(cells + jitter), tuple(cells.T))


def emphysema(
    spec: TwinSpec, chest: Chest, posed: Pose, points: Points, relative: Field, table: NDArray[np.float32]
) -> Emphysema:
    """Emphysema of a person in this breath.

    ``points`` lie in ``chest``, ``relative`` is the density of what is healthy on its lattice, up to a factor;
    ``table`` holds the lobules at full effort.
    """
    if spec.emphysema_percent <= SMALLEST_PERCENT:
        return Emphysema(np.zeros((0, 4), np.float32), None)
    share = spec.emphysema_percent / 100
    if spec.emphysema_type == "panlobular":
        return Emphysema(np.zeros((0, 4), np.float32), _thinned(spec, chest, points, relative, share))
    full = posed.full
    holes = _holes(spec, full, points_in(spec, full) if posed.moved else points, table, share)
    if posed.moved:
        for n, here in enumerate(_lobes_of(full, holes[:, :3])):
            holes[here, :3] = posed.forward(holes[here, :3], n)
            holes[here, 3] *= np.cbrt(np.linalg.det(posed.matrix[n]))
    return Emphysema(holes.astype(np.float32), None)


def _lobes_of(chest: Chest, points_mm: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    """Which points lie in each lobe, or beside it."""
    index = np.rint(chest.lattice.world_to_index(points_mm)).astype(int)
    cell = tuple(np.clip(index, 0, np.array(chest.lattice.shape) - 1).T)
    right, lower, middle = chest.side[cell] < 0, chest.major[cell] <= 0, chest.minor[cell] <= 0
    return [right & ~lower & ~middle, right & ~lower & middle, right & lower, ~right & ~lower, ~right & lower]


def _holes(
    spec: TwinSpec, chest: Chest, points: Points, table: NDArray[np.float32], share: float
) -> NDArray[np.float64]:
    septal = {"centrilobular": 0.0, "paraseptal": 1.0, "mixed": spec.paraseptal_share}[spec.emphysema_type]
    first = np.full(len(points.world_mm), np.iinfo(np.int64).max)
    parts: list[NDArray[np.float64]] = []
    covered = 0.0
    if septal > 0:
        # a single layer has no room for more than some share: what is missing becomes centrilobular
        cells = _cut(_paraseptal(spec, chest), points, first, septal * share, 0)
        parts.append(cells)
        first[first >= len(cells)] = np.iinfo(np.int64).max
        covered = float((first < len(cells)).mean())
    if share - covered > 1e-4:
        known = sum(map(len, parts))
        amount = 1.5
        while True:
            holes = _centrilobular(spec, chest, table, amount * (share - covered))
            ahead = first.copy()
            holes = _cut(holes, points, ahead, share, known)
            if (ahead < known + len(holes)).mean() >= share - 2e-4 or amount > 40:
                break
            amount *= 1.7
        parts.append(holes)
    return np.vstack(parts)


def _preference(spec: TwinSpec, level: Any) -> Any:
    return 4 * (spec.emphysema_upper - 0.5) * level


def _thinned(spec: TwinSpec, chest: Chest, points: Points, relative: Field, share: float) -> Field:
    """Density left by panlobular emphysema that takes ``share`` of the lungs below the threshold [1]."""
    z = chest.lattice.axes_mm()[0]
    level = chest.cage.level(z)[:, None, None].astype(np.float32)
    where = _preference(spec, level) + 0.8 * noise(chest.lattice, 45.0, stream(spec.key, "emphysema"))
    here, healthy = where[points.cell], relative[points.cell]
    mean = spec.target_tissue_mass_g() / (spec.target_volume_l() * 1000)

    def left(at: Any, edge: float) -> Any:
        t = np.clip((at - edge) / 0.9 + 0.5, 0, 1)
        return 1 - (1 - THINNEST) * t * t * (3 - 2 * t)

    low, high = float(here.min()) - 1, float(here.max()) + 1
    for _ in range(24):
        middle = 0.5 * (low + high)
        density = healthy * left(here, middle)
        below = float((density * (mean / density.mean()) < THRESHOLD_G_CM3).mean())
        low, high = (middle, high) if below > share else (low, middle)
    return np.asarray(left(where, 0.5 * (low + high)), np.float32)


def _centrilobular(spec: TwinSpec, chest: Chest, table: NDArray[np.float32], share: float) -> NDArray[np.float64]:
    """Holes at the centres of lobules, enough to fill ``share`` of the lungs were they apart; drawn without order."""
    # streams of their own: asking for more holes leaves those before them alone
    place, size, off = (stream(spec.key, f"emphysema {name}") for name in ("place", "size", "offset"))
    lattice = chest.lattice
    z, y, x = lattice.axes_mm()
    centres = centres_mm(table, np.array([x[0], y[0], z[0]]), np.array([x[-1], y[-1], z[-1]]))
    cell = np.rint(lattice.world_to_index(centres)).astype(int)
    ok = np.all((cell >= 0) & (cell < lattice.shape), axis=1)
    centres, cell = centres[ok], cell[ok]
    ok = chest.lung[tuple(cell.T)] < -2.0
    centres, cell = centres[ok], cell[ok]
    clumps = noise(lattice, 26.0, stream(spec.key, "emphysema clumps"))[tuple(cell.T)]
    weight = np.cumsum(np.exp(_preference(spec, chest.cage.level(centres[:, 2])) + 0.9 * clumps))
    # mean volume of the holes: 4/3 pi m^3 exp(4.5 s^2)
    median, sigma = 2.2, 0.45
    volume = 4 / 3 * math.pi * median**3 * math.exp(4.5 * sigma**2)
    n = int(50 + share * spec.target_volume_l() * 1e6 / volume)
    picked = centres[np.minimum(np.searchsorted(weight, place.random(n) * weight[-1]), len(centres) - 1)]
    radius = np.clip(median * np.exp(sigma * size.standard_normal(n)), 0.8, 10.0)
    return np.column_stack([picked + 0.24 * PITCH_MM * off.standard_normal((n, 3)), radius])


def _paraseptal(spec: TwinSpec, chest: Chest) -> NDArray[np.float64]:
    """Cells under the pleura that do not meet, in the order in which they are taken."""
    rng = stream(spec.key, "paraseptal")
    cells = np.argwhere((chest.lung < -2.5) & (chest.lung > -6.5))
    level = chest.cage.level(chest.lattice.axes_mm()[0])[cells[:, 0]]
    weight = np.cumsum(np.exp(1.5 * _preference(spec, level)))
    n = 120_000
    cells = cells[np.minimum(np.searchsorted(weight, rng.random(n) * weight[-1]), len(cells) - 1)]
    depth = -chest.lung[tuple(cells.T)].astype(float)
    place = chest.lattice.index_to_world(cells)
    candidates = np.column_stack([place, depth - WALL_MM])
    return np.asarray(candidates[_apart(candidates, WALL_MM)])


def _cut(
    holes: NDArray[np.float64], points: Points, first: NDArray[np.int64], share: float, offset: int
) -> NDArray[np.float64]:
    """The first holes that bring the covered share of the points to ``share``; ``first`` learns what covers each."""
    _touch(holes, points, first, offset)
    last = np.sort(first)[min(round(share * len(first)), len(first) - 1)]
    return holes[: max(0, min(len(holes), int(last) - offset))]


def _touch(holes: NDArray[np.float64], points: Points, first: NDArray[np.int64], offset: int) -> None:
    """Lower ``first`` to the number of the first hole that holds each point; holes are counted from ``offset``."""
    from scipy.spatial import cKDTree

    if not len(holes):
        return
    hits = cKDTree(points.world_mm).query_ball_point(holes[:, :3], holes[:, 3], return_sorted=False)
    sizes = np.fromiter((len(h) for h in hits), np.int64, len(hits))
    if sizes.sum():
        flat = np.concatenate([np.asarray(h, np.int64) for h in hits if h])
        np.minimum.at(first, flat, np.repeat(np.arange(len(holes)) + offset, sizes))


@njit(cache=True)
def _apart(balls: Array, gap: Any) -> Array:
    """Which balls keep a gap to all kept before them, through a grid of cells wider than any."""
    size = 2 * balls[:, 3].max() + gap
    low0, low1, low2 = balls[:, 0].min(), balls[:, 1].min(), balls[:, 2].min()
    n0, n1 = int((balls[:, 0].max() - low0) / size) + 3, int((balls[:, 1].max() - low1) / size) + 3
    n2 = int((balls[:, 2].max() - low2) / size) + 3
    head = np.full(n0 * n1 * n2, -1)
    after = np.full(len(balls), -1)
    keep = np.zeros(len(balls), np.bool_)
    for b in range(len(balls)):
        i = int((balls[b, 0] - low0) / size) + 1
        j = int((balls[b, 1] - low1) / size) + 1
        k = int((balls[b, 2] - low2) / size) + 1
        free = True
        for near in range(27):
            cell = ((i + near // 9 - 1) * n1 + j + near // 3 % 3 - 1) * n2 + k + near % 3 - 1
            o = head[cell]
            while o >= 0 and free:
                d2 = 0.0
                for c in range(3):
                    d2 += (balls[b, c] - balls[o, c]) ** 2
                free = d2 > (balls[b, 3] + balls[o, 3] + gap) ** 2
                o = after[o]
        if free:
            keep[b] = True
            cell = (i * n1 + j) * n2 + k
            after[b], head[cell] = head[cell], b
    return keep
