"""Where in the organ of a patch a lesion has room.

A place is drawn uniformly among the organ's voxels and tried with points of the lesion's own form: those of its
surface, moved outwards by the clearance, and those inside it. Only if hundreds of draws fail is the distance to the
organ's border worked out, on a thinned lattice, and the roomiest places tried; so the usual draw costs microseconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from twins import Grid

from ..raster import Raster
from ..taken import PlacementError

N_TRIES = 300
"""Draws before the roomiest places are looked for."""

N_ROOMIEST, N_SHARPENED = 100, 6
THIN_MM = 2.5
"""Lattice on which they are looked for [mm]."""

N_CANDIDATES = 100_000
"""About so many voxels of the organ are drawn from."""

N_INSIDE, N_SURFACE = 500, 400
"""Points of a form that are tried."""

IN_ORGAN = 0.98
"""At least so much of a lesion lies in the organ (design default): masks have single voxels missing."""

TOUCH = 0.01
"""A lesion touches one that was there before where it fills more than this share of a voxel."""


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A lesion as a set of points about its centroid, in voxels ``(n, 3)`` along ``(z, y, x)``.

    ``shell`` lies the clearance outside of the surface, ``inside`` fills the form; ``reach_mm`` is the largest distance
    of the surface from the centroid.
    """

    name: str
    inside: NDArray[np.float64]
    shell: NDArray[np.float64]
    reach_mm: float

    @classmethod
    def of(cls, name: str, raster: Raster, clearance_mm: float, spacing_mm: tuple[float, float, float]) -> Form:
        """The points of a rasterised nodule."""
        filled = raster.occupancy > 0.5
        edge = np.argwhere((raster.occupancy > 0) & ~filled)
        inside = np.argwhere(filled)
        step = np.asarray(raster.grid.spacing_mm)
        first = np.asarray(raster.grid.origin_mm)[::-1]
        inside_mm = first + step * inside[:: max(1, len(inside) // N_INSIDE)]
        edge_mm = first + step * edge
        away = np.sqrt((edge_mm**2).sum(axis=1))
        # Every so many, and the farthest ones, which decide.
        chosen = np.union1d(np.arange(0, len(edge), max(1, len(edge) // N_SURFACE)), np.argsort(away)[-20:])
        shell_mm = edge_mm[chosen] * (1 + clearance_mm / away[chosen])[:, None]
        return cls(name, inside_mm / spacing_mm, shell_mm / spacing_mm, float(away.max()))


@dataclass(slots=True, eq=False)
class Places:
    """The room of one patch.

    Parameters
    ----------
    grid
        Its lattice in its own axes.
    organ
        ``(z, y, x)`` mask.
    lesions
        ``(z, y, x)`` mask of those that were there before; None without any.
    vessels_hu
        ``(z, y, x)`` [HU], None where vessels do not matter; and the HU above which a voxel is one.
    max_vessel_share, gap_mm
        See :class:`lesions.transforms.Insertion`.
    """

    grid: Grid
    organ: NDArray[np.bool_]
    lesions: NDArray[np.bool_] | None
    hu: NDArray[np.number] | None
    vessel_hu: float
    max_vessel_share: float
    gap_mm: float
    taken: list[tuple[NDArray[np.float64], float]] = field(default_factory=list)
    _cells: tuple[NDArray[np.intp], tuple[int, int, int], int] | None = None
    _roomiest: NDArray[np.float64] | None = None

    def draw(self, form: Form, rng: np.random.Generator, refuse: Counter[str]) -> NDArray[np.float64]:
        """Continuous index ``(z, y, x)`` of a place with room; ``refuse`` counts what was in the way of others.

        Raises
        ------
        PlacementError
            If there is none; the message says what was in the way how often.
        """
        cells, shape, stride = self._candidates()
        if not len(cells):
            raise PlacementError(f"{form.name}: the organ's mask is empty in this patch")
        limit = np.asarray(self.grid.shape) - 0.5
        for _ in range(N_TRIES):
            cell = np.array(np.unravel_index(cells[rng.integers(len(cells))], shape), float)
            at = np.minimum(cell * stride + rng.uniform(-0.5, stride - 0.5, 3), limit)
            if self._fits(form, at, refuse):
                return np.asarray(at)
        for at in self._roomy():
            if self._fits(form, at, refuse):
                return np.asarray(at)
        why = ", ".join(f"{name} {n}" for name, n in refuse.most_common())
        raise PlacementError(
            f"{form.name}, reaching {form.reach_mm:.1f} mm: no room in the organ; of {refuse.total()} places were "
            f"refused for: {why}"
        )

    def take(self, at: NDArray[np.float64], reach_mm: float) -> None:
        """Remember that a lesion is there."""
        self.taken.append((at, reach_mm))

    def holds(self, window: tuple[slice, slice, slice], share: NDArray[np.float32]) -> str | None:
        """What is in the way of a lesion's shares of the voxels of a window; None if nothing is."""
        total = float(share.sum(dtype=np.float64))
        if float(share[self.organ[window]].sum(dtype=np.float64)) < IN_ORGAN * total:
            return "end of the organ"
        if self.lesions is not None and np.any(self.lesions[window] & (share > TOUCH)):
            return "lesions there before"
        return None

    def _fits(self, form: Form, at: NDArray[np.float64], refuse: Counter[str]) -> bool:
        why = self._obstacle(form, at)
        if why is not None:
            refuse[why] += 1
        return why is None

    def _obstacle(self, form: Form, at: NDArray[np.float64]) -> str | None:
        for other, reach in self.taken:
            away = np.sqrt((((other - at) * self.grid.spacing_mm) ** 2).sum())
            if away < reach + form.reach_mm + self.gap_mm:
                return "another new lesion"
        shell = np.rint(at + form.shell).astype(np.intp)
        if shell.min() < 0 or (shell >= self.grid.shape).any():
            return "end of the patch"
        outer = (shell[:, 0], shell[:, 1], shell[:, 2])
        if np.count_nonzero(self.organ[outer]) < IN_ORGAN * len(shell):
            return "end of the organ"
        inside = np.rint(at + form.inside).astype(np.intp)
        inner = (inside[:, 0], inside[:, 1], inside[:, 2])
        if np.count_nonzero(self.organ[inner]) < IN_ORGAN * len(inside):
            return "end of the organ"
        if self.lesions is not None and (self.lesions[outer].any() or self.lesions[inner].any()):
            return "lesions there before"
        if self.hu is not None:
            on_vessels = np.count_nonzero(self.hu[inner] > self.vessel_hu)
            if on_vessels > self.max_vessel_share * len(inside):
                return "vessels"
        return None

    def _candidates(self) -> tuple[NDArray[np.intp], tuple[int, int, int], int]:
        """Flat indices of the organ's voxels in a mask of every ``stride``-th, that mask's shape, and the stride."""
        if self._cells is None:
            stride = max(1, int((self.organ.size / N_CANDIDATES) ** (1 / 3)))
            thinned = self.organ[::stride, ::stride, ::stride]
            cells = np.flatnonzero(thinned)
            if not len(cells) and stride > 1:
                stride, thinned = 1, self.organ
                cells = np.flatnonzero(thinned)
            n_z, n_y, n_x = thinned.shape
            self._cells = cells, (n_z, n_y, n_x), stride
        return self._cells

    def _roomy(self) -> NDArray[np.float64]:
        """Places farthest from where the organ ends: those of a thinned lattice, the best ones sharpened first."""
        if self._roomiest is None:
            free = self.organ if self.lesions is None else self.organ & ~self.lesions
            stride = np.array([max(1, round(THIN_MM / s)) for s in self.grid.spacing_mm])
            away = self._depth(free[:: stride[0], :: stride[1], :: stride[2]], stride * self.grid.spacing_mm)
            order = np.argsort(away, axis=None)[::-1][:N_ROOMIEST]
            coarse = np.stack(np.unravel_index(order, away.shape), axis=1) * stride
            best: list[NDArray[np.float64]] = []
            for at, depth in zip(coarse, away.ravel()[order], strict=True):
                apart = [np.linalg.norm((at - b) * self.grid.spacing_mm) > depth for b in best]
                if len(best) < N_SHARPENED and all(apart):
                    best.append(self._deepest(free, at, depth, stride))
            self._roomiest = np.concatenate((np.array(best), coarse))
        return self._roomiest

    def _deepest(
        self, free: NDArray[np.bool_], at: NDArray[np.intp], depth_mm: float, stride: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """The deepest voxel within a thinned step of a place."""
        reach = np.ceil(depth_mm / np.asarray(self.grid.spacing_mm)).astype(int) + 3 * stride
        low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, self.grid.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        away = self._depth(free[box], np.asarray(self.grid.spacing_mm))
        near = tuple(slice(max(0, int(c - s)), int(c + s) + 1) for c, s in zip(at - low, stride, strict=True))
        first = np.array([n.start for n in near])
        return np.asarray(low + first + np.unravel_index(int(away[near].argmax()), away[near].shape), float)

    def _depth(self, mask: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance to where a mask ends, its array's ends included [mm]."""
        return np.asarray(distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1])
