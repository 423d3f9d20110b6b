"""How far a nodule's surface is from what a twin holds around it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from twins import Structure, Twin

from .surroundings import HORIZON_MM, LOBES_OF_A_LUNG, NEAR_MM


@dataclass(frozen=True, slots=True, eq=False)
class _Box:
    """Voxels around a surface: ``structure`` (z, y, x) on a lattice of ``step_mm`` (3,).

    ``surface_mm`` (n, 3) are the centres of the surface's own voxels, in it as in the box; ``middle_mm`` (3,) their
    middle and ``radius_mm`` the largest distance from there.
    """

    structure: NDArray[np.uint16]
    step_mm: NDArray[np.float64]
    surface_mm: NDArray[np.float64]
    middle_mm: NDArray[np.float64]
    radius_mm: float

    def shortest_mm(self, wanted: NDArray[np.bool_], most_mm: float) -> float:
        """Least distance of the surface's voxels to those whose structure is wanted [mm]; infinite beyond a limit."""
        return float(
            _shortest(
                self.structure, wanted, self.step_mm, self.surface_mm, self.middle_mm, self.radius_mm, float(most_mm)
            )
        )


class Vicinity:
    """What lies around a surface in a twin, and how far from it.

    Distances run from the voxels that hold the surface to the faces of the twin's voxels: of all voxels up to
    ``NEAR_MM``, beyond of every second one along axes finer than 1.5 mm.

    Parameters
    ----------
    twin
        The twin.
    surface_mm
        World points ``(n, 3)``.
    """

    def __init__(self, twin: Twin, surface_mm: NDArray[np.float64]) -> None:
        self.twin = twin
        self._index = twin.grid.world_to_index(surface_mm)
        self._boxes: dict[float, _Box] = {}

    def distance_mm(self, structures: Iterable[Structure], *, outside: bool = False) -> float | None:
        """Shortest distance from the surface to any of the structures, or to what is none of them [mm].

        None beyond ``HORIZON_MM``.
        """
        wanted = np.full(np.iinfo(np.uint16).max + 1, outside)
        wanted[[int(s) for s in structures]] = not outside
        for horizon in (NEAR_MM, HORIZON_MM):
            box = self._box(horizon)
            shortest = box.shortest_mm(wanted, horizon + float(box.step_mm.max()))
            gap = max(0.0, shortest - 0.5 * float(box.step_mm.min()))
            if gap <= horizon:
                return gap
        return None

    def fissure_mm(self, lobe: str) -> float | None:
        """Shortest distance to another lobe of the same lung or a fissure [mm].

        None beyond ``HORIZON_MM``, and where the twin knows no such lobes.
        """
        names = next((lung for lung in LOBES_OF_A_LUNG if lobe in {s.name for s in lung}), ())
        beyond = [s for s in names if s.name != lobe]
        return self.distance_mm((*beyond, Structure.FISSURE)) if beyond else None

    def _box(self, horizon_mm: float) -> _Box:
        if horizon_mm not in self._boxes:
            grid, index = self.twin.grid, self._index
            spacing = np.asarray(grid.spacing_mm)
            stride = np.ones(3, int) if horizon_mm == NEAR_MM else np.where(spacing < 1.5, 2, 1)
            reach = np.ceil(horizon_mm / spacing).astype(int) + 1
            low = np.maximum(0, np.floor(index.min(axis=0)).astype(int) - reach)
            high = np.minimum(np.asarray(grid.shape), np.ceil(index.max(axis=0)).astype(int) + reach + 1)
            window = tuple(slice(int(a), int(b), int(s)) for a, b, s in zip(low, high, stride, strict=True))
            structure = np.ascontiguousarray(self.twin.structure[window])
            at = np.clip(np.rint((index - low) / stride).astype(int), 0, np.asarray(structure.shape) - 1)
            voxels = np.unique(np.ravel_multi_index(tuple(at.T), structure.shape))
            step = spacing * stride
            points = np.stack(np.unravel_index(voxels, structure.shape), axis=1) * step
            middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
            radius = float(np.sqrt(np.square(points - middle).sum(axis=1).max()))
            self._boxes[horizon_mm] = _Box(structure, step, points, middle, radius)
        return self._boxes[horizon_mm]


@njit(cache=True, error_model="numpy")
def _shortest(structure, wanted, step, surface, middle, radius, most):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Least distance between points and the voxels of some structures; infinite where none lies within ``most``.

    structure (Z, Y, X) uint16   what each voxel is
    wanted    (65536,)  bool     whether that structure counts
    step      (3,)      float64  spacing along z, y, x [mm]
    surface   (n, 3)    float64  points (z, y, x) from voxel (0, 0, 0) [mm]
    middle    (3,)      float64  of the points [mm]
    radius    scalar             largest distance of a point from the middle [mm]
    most      scalar             [mm]

    A voxel lies no nearer to the points than its distance to the middle less the radius. The voxel for which that is
    least comes first; few others are then worth a look.
    """
    best = math.inf
    for turn in range(2):
        least, first = most, (-1, -1, -1)
        for k in range(structure.shape[0]):
            z = k * step[0]
            for j in range(structure.shape[1]):
                y = j * step[1]
                aside = (z - middle[0]) ** 2 + (y - middle[1]) ** 2
                if aside > (min(least, best) + radius) ** 2:
                    continue
                for i in range(structure.shape[2]):
                    if not wanted[structure[k, j, i]]:
                        continue
                    x = i * step[2]
                    bound = math.sqrt(aside + (x - middle[2]) ** 2) - radius
                    if turn == 0:
                        if bound < least:
                            least, first = bound, (k, j, i)
                    elif bound <= most and bound < best:
                        best = min(best, _nearest(surface, z, y, x))
        if turn == 0:
            if first[0] < 0:
                return math.inf
            best = _nearest(surface, first[0] * step[0], first[1] * step[1], first[2] * step[2])
    return best


@njit(cache=True, error_model="numpy")
def _nearest(points, z, y, x):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Distance from (z, y, x) to the nearest of ``points`` (n, 3) float64."""
    squared = math.inf
    for n in range(points.shape[0]):
        squared = min(squared, (points[n, 0] - z) ** 2 + (points[n, 1] - y) ** 2 + (points[n, 2] - x) ** 2)
    return math.sqrt(squared)
