"""The lattice that ties an array to the patient: shape, spacing, origin, direction (LPS, mm)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Triple = tuple[float, float, float]
Point = tuple[float, float, float]

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Voxel lattice in patient space (LPS, millimetres).

    Parameters
    ----------
    shape
        Number of voxels along ``(z, y, x)``.
    spacing_mm
        Distance of voxel centres along ``(z, y, x)`` [mm].
    origin_mm
        World point ``(x, y, z)`` of the centre of voxel ``(0, 0, 0)`` [mm, LPS].
    direction
        Row-major 3x3 orthonormal matrix, as in ITK: column k is the world direction of index axis x, y, z.

    Examples
    --------
    >>> grid = Grid(shape=(10, 20, 30), spacing_mm=(2.0, 1.0, 1.0), origin_mm=(-15.0, -10.0, 5.0))
    >>> grid.index_to_world((1, 0, 0))
    array([-15., -10.,   7.])
    >>> grid.world_to_index((-15.0, -10.0, 7.0))
    array([1., 0., 0.])

    Raises
    ------
    ValueError
        If a count or spacing is not positive, a number is not finite, or ``direction`` is not orthonormal.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Point = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        spacing = tuple(float(s) for s in self.spacing_mm)
        origin = tuple(float(o) for o in self.origin_mm)
        direction = tuple(float(d) + 0.0 for d in np.ravel(self.direction))
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"shape must be three positive counts (z, y, x), got {self.shape}")
        if len(spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in spacing):
            raise ValueError(f"spacing_mm must be three positive lengths (z, y, x), got {self.spacing_mm}")
        if len(origin) != 3 or not all(math.isfinite(o) for o in origin):
            raise ValueError(f"origin_mm must be a finite world point (x, y, z), got {self.origin_mm}")
        if direction != IDENTITY and not _is_orthonormal(np.asarray(direction)):
            raise ValueError(f"direction must be an orthonormal 3x3 matrix, got {self.direction}")
        for name, value in (
            ("shape", shape),
            ("spacing_mm", spacing),
            ("origin_mm", origin),
            ("direction", direction),
        ):
            object.__setattr__(self, name, value)

    @property
    def is_axis_aligned(self) -> bool:
        """Whether the index axes x, y, z point along world +x, +y, +z."""
        return self.direction == IDENTITY or bool(np.allclose(self.direction, IDENTITY, atol=1e-6))

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel [mm3]."""
        return math.prod(self.spacing_mm)

    @property
    def size_mm(self) -> Triple:
        """Physical size along ``(z, y, x)``, outer faces included [mm]."""
        nz, ny, nx = self.shape
        dz, dy, dx = self.spacing_mm
        return (nz * dz, ny * dy, nx * dx)

    @property
    def centre_mm(self) -> Point:
        """World point of the middle of the lattice [mm, LPS]."""
        x, y, z = self.index_to_world([(n - 1) / 2 for n in self.shape])
        return (float(x), float(y), float(z))

    def index_to_world(self, index: ArrayLike) -> NDArray[np.float64]:
        """World points ``(..., 3)`` in ``(x, y, z)`` [mm] of continuous indices ``(..., 3)`` in ``(z, y, x)``."""
        steps = np.asarray(index, dtype=np.float64) * np.asarray(self.spacing_mm)
        return steps[..., ::-1] @ self._matrix().T + np.asarray(self.origin_mm)

    def world_to_index(self, point_mm: ArrayLike) -> NDArray[np.float64]:
        """Continuous indices ``(..., 3)`` in ``(z, y, x)`` of world points ``(..., 3)`` in ``(x, y, z)`` [mm]."""
        offset = np.asarray(point_mm, dtype=np.float64) - np.asarray(self.origin_mm)
        return (offset @ self._matrix())[..., ::-1] / np.asarray(self.spacing_mm)

    def contains(self, point_mm: ArrayLike) -> NDArray[np.bool_]:
        """Whether each world point ``(..., 3)`` lies within the outer faces of the lattice."""
        index = self.world_to_index(point_mm)
        upper = np.asarray(self.shape) - 0.5
        return np.all((index >= -0.5) & (index <= upper), axis=-1)

    def axes_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """World coordinates of the voxel centres along ``(z, y, x)`` [mm]; axis-aligned grids only."""
        if not self.is_axis_aligned:
            raise ValueError(f"axes_mm needs an axis-aligned grid, direction is {self.direction}")
        x0, y0, z0 = self.origin_mm
        nz, ny, nx = self.shape
        dz, dy, dx = self.spacing_mm
        z = np.asarray(z0 + dz * np.arange(nz), dtype=np.float64)
        y = np.asarray(y0 + dy * np.arange(ny), dtype=np.float64)
        x = np.asarray(x0 + dx * np.arange(nx), dtype=np.float64)
        return z, y, x

    def crop(self, start: Sequence[int], shape: Sequence[int]) -> Grid:
        """The part of the lattice that begins at index ``start`` and has ``shape`` voxels, both ``(z, y, x)``."""
        stop = np.add(start, shape)
        if min(start) < 0 or np.any(stop > self.shape):
            raise ValueError(f"crop {tuple(start)} + {tuple(shape)} leaves the grid of shape {self.shape}")
        x, y, z = self.index_to_world(start)
        return Grid(tuple(shape), self.spacing_mm, (x, y, z), self.direction)  # type: ignore[arg-type]

    def with_spacing(self, spacing_mm: Triple) -> Grid:
        """A lattice over the same box (outer faces kept at the origin corner) with another spacing [mm]."""
        ratio = np.asarray(self.spacing_mm) / np.asarray(spacing_mm)
        shape = np.maximum(1, np.ceil(np.asarray(self.shape) * ratio - 1e-6).astype(int))
        x, y, z = self.index_to_world(-0.5 + 0.5 / ratio)
        return Grid(tuple(shape), spacing_mm, (x, y, z), self.direction)

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both lattices have the same voxels, to within ``tolerance_mm`` at every corner."""
        if self.shape != other.shape:
            return False
        corners = np.array([[0, 0, 0], np.asarray(self.shape) - 1])
        mixed = np.array(np.meshgrid(*corners.T, indexing="ij")).reshape(3, -1).T
        return bool(np.abs(self.index_to_world(mixed) - other.index_to_world(mixed)).max() <= tolerance_mm)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for files; :meth:`from_dict` reads it back."""
        return {
            "shape": list(self.shape),
            "spacing_mm": list(self.spacing_mm),
            "origin_mm": list(self.origin_mm),
            "direction": list(self.direction),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """The grid that :meth:`to_dict` described."""
        return cls(tuple(data["shape"]), tuple(data["spacing_mm"]), tuple(data["origin_mm"]), tuple(data["direction"]))

    def _matrix(self) -> NDArray[np.float64]:
        return np.asarray(self.direction, dtype=np.float64).reshape(3, 3)


def _is_orthonormal(direction: NDArray[np.float64]) -> bool:
    if direction.size != 9:
        return False
    matrix = direction.reshape(3, 3)
    return bool(np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4))
