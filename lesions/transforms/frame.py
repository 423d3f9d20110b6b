"""How the axes of an array lie in the patient: any order, reversed, anisotropic or oblique, read from its affine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from twins import Grid

TOLERANCE = 1e-3
"""Largest cosine between two axes that still count as perpendicular."""

LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Frame:
    """Which axis of an array runs along z, y and x of the patient, and which way.

    Parameters
    ----------
    order
        Axes of the array that run closest to world z, y, x.
    reversed
        Whether each of them runs against its world axis.
    grid
        Lattice of the array once turned by :meth:`zyx`; its direction is the identity unless the array is oblique.
    """

    order: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    grid: Grid

    @classmethod
    def of(cls, affine_lps: ArrayLike, shape: tuple[int, ...]) -> Frame:
        """The frame of an array of three axes with its ``(4, 4)`` affine: index to world in LPS [mm].

        Raises
        ------
        ValueError
            If the affine is not finite, singular or sheared.
        """
        affine = np.asarray(affine_lps, np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"affine must be a finite 4 x 4 matrix, got {affine.tolist()}")
        spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        if spacing.min() <= 0:
            raise ValueError(f"affine must give every axis a length, got steps of {spacing.tolist()} mm")
        cosines = affine[:3, :3] / spacing
        skew = abs(cosines.T @ cosines - np.eye(3)).max()
        if skew > TOLERANCE:
            raise ValueError(
                f"affine is sheared: its axes must be perpendicular within a cosine of {TOLERANCE}, got {skew:.3g}"
            )
        world, axes = linear_sum_assignment(-abs(cosines))
        axis_of = dict(zip(world.tolist(), axes.tolist(), strict=True))
        order = (axis_of[2], axis_of[1], axis_of[0])
        back = tuple(bool(cosines[w, axis_of[w]] < 0) for w in (2, 1, 0))
        first = np.zeros(4)
        first[3] = 1.0
        for axis, is_back in zip(order, back, strict=True):
            first[axis] = shape[axis] - 1 if is_back else 0
        columns = [cosines[:, axis] * (-1 if is_back else 1) for axis, is_back in zip(order, back, strict=True)]
        direction = np.stack(columns[::-1], axis=1)
        if abs(direction - np.eye(3)).max() < 1e-6:
            direction = np.eye(3)
        n_z, n_y, n_x = (int(shape[axis]) for axis in order)
        d_z, d_y, d_x = (float(spacing[axis]) for axis in order)
        x, y, z = (float(c) for c in (affine @ first)[:3])
        grid = Grid((n_z, n_y, n_x), (d_z, d_y, d_x), (x, y, z), tuple(direction.ravel()))
        return cls(order, (back[0], back[1], back[2]), grid)

    @property
    def local(self) -> Grid:
        """The lattice in its own axes: the world where these are the world's, else with the array upright at 0."""
        return self.grid if self.grid.is_axis_aligned else Grid(self.grid.shape, self.grid.spacing_mm)

    def zyx(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view ``(z, y, x)`` of an array of three axes."""
        turned = array.transpose(self.order)
        return turned[tuple(slice(None, None, -1 if back else 1) for back in self.reversed)]

    def corners(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[np.float32]:
        """Box of the voxels from ``start`` to before ``stop`` ``(z, y, x)`` on the array's own axes.

        ``(6,)``: lower corner, upper corner along the array's three axes, where voxel i reaches from i to i + 1.
        """
        out = np.empty(6, np.float32)
        ends = zip(self.order, self.reversed, start, stop, self.grid.shape, strict=True)
        for axis, back, a, b, n in ends:
            out[axis], out[axis + 3] = (n - b, n - a) if back else (a, b)
        return out

    def index(self, zyx_index: NDArray[np.float64]) -> list[float]:
        """Continuous index along the array's own axes of a continuous index ``(z, y, x)``."""
        out = [0.0, 0.0, 0.0]
        for axis, back, at, n in zip(self.order, self.reversed, zyx_index, self.grid.shape, strict=True):
            out[axis] = float(n - 1 - at if back else at)
        return out
