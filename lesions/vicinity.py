"""How far a nodule's surface is from what a twin holds around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from twins import Structure, Twin

from .surroundings import HORIZON_MM, LOBES_OF_A_LUNG, NEAR_MM

AT_A_TIME = 256
"""Voxels whose distance to the surface is worked out together."""


@dataclass(frozen=True, slots=True, eq=False)
class _Box:
    """Voxels around a surface that may be near enough to it.

    ``shape`` of the box that holds them, ``step_mm`` (3,) of its lattice, ``flat`` (n,) their flat indices in it,
    ``structure`` (n,). ``least_mm`` (n,) is a distance that none of them falls short of. ``surface`` holds the
    surface's own voxels.
    """

    shape: tuple[int, ...]
    step_mm: NDArray[np.float64]
    flat: NDArray[np.intp]
    structure: NDArray[np.uint16]
    least_mm: NDArray[np.float64]
    surface: cKDTree

    def shortest_mm(self, target: NDArray[np.bool_]) -> float:
        """Least distance between the surface's voxels and those of a mask ``(n,)`` [mm]; infinite without any."""
        flat, least = self.flat[target], self.least_mm[target]
        found = np.inf
        if len(flat):
            found = self._nearest_mm(flat[[np.argmin(least)]], found)
        near = least <= found
        flat, least = flat[near], least[near]
        order = np.argsort(least)
        for first in range(0, len(order), AT_A_TIME):
            some = order[first : first + AT_A_TIME]
            if least[some[0]] > found:
                break
            found = min(found, self._nearest_mm(flat[some], found))
        return found

    def _nearest_mm(self, flat: NDArray[np.intp], most_mm: float) -> float:
        """Least distance of these voxels, infinite from ``most_mm`` on."""
        points = np.stack(np.unravel_index(flat, self.shape), axis=1) * self.step_mm
        return float(self.surface.query(points, distance_upper_bound=most_mm)[0].min())


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
            gap = max(0.0, box.shortest_mm(wanted[box.structure]) - 0.5 * float(box.step_mm.min()))
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
            squared = [np.square(np.arange(n) * h - m) for n, h, m in zip(structure.shape, step, middle, strict=True)]
            away = (squared[0][:, None, None] + squared[1][:, None] + squared[2]).ravel()
            # A voxel lies no nearer to the surface than its distance to the middle less the radius.
            radius = float(np.sqrt(np.square(points - middle).sum(axis=1).max()))
            flat = np.flatnonzero(away <= (radius + horizon_mm + step.max()) ** 2)
            least = np.sqrt(away[flat]) - radius
            self._boxes[horizon_mm] = _Box(structure.shape, step, flat, structure.ravel()[flat], least, cKDTree(points))
        return self._boxes[horizon_mm]
