"""Analytic solids: how much of every voxel they fill, and how long a ray runs inside them. Both exact.

A cell's share of an axis-aligned ellipse is found in closed form: scaled to the unit circle, with
s(u) = sqrt(1 - u^2), the area inside [x0, x1] x [y0, y1] is the integral over u from x0 to x1 of
clip(y1, -s, s) - clip(y0, -s, s), whose parts are u y and (u s + asin u) / 2 (elementary calculus). Where the ellipse
changes along z, eight-point Gauss-Legendre quadrature is taken over the part of the cell that the solid reaches.
Chords are the roots of the quadratic of a segment and a quadric, cut to the segment and to the end planes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from .grid import Grid, Point, Triple

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True)
class Cylinder:
    """Elliptic cylinder between two planes of constant z; with a slope, an oblique one.

    Parameters
    ----------
    centre_mm
        World point in its middle [mm].
    semi_axes_mm
        Semi-axes along x and y of every section at constant z [mm].
    length_mm
        Height along z [mm].
    slope
        How far the axis moves along x and y per millimetre of z [mm/mm].
    """

    centre_mm: Point
    semi_axes_mm: tuple[float, float]
    length_mm: float
    slope: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        _check_positive("semi_axes_mm", self.semi_axes_mm)
        _check_positive("length_mm", (self.length_mm,))

    @property
    def volume_mm3(self) -> float:
        """Exact volume [mm3]."""
        return math.pi * self.semi_axes_mm[0] * self.semi_axes_mm[1] * self.length_mm

    @property
    def bounds_mm(self) -> tuple[Point, Point]:
        """Lowest and highest corner of the box that just holds it [mm]."""
        half = [a + abs(s) * self.length_mm / 2 for a, s in zip(self.semi_axes_mm, self.slope, strict=True)]
        return _box(self.centre_mm, [*half, self.length_mm / 2])

    def volume_fractions(self, grid: Grid) -> NDArray[np.float64]:
        """Share of every voxel that lies inside, ``grid.shape``; axis-aligned grids only."""
        return _quadric_fractions(grid, self.centre_mm, self.semi_axes_mm, self.length_mm / 2, self.slope, round_=False)

    def chord_mm(self, source_mm: ArrayLike, target_mm: ArrayLike) -> NDArray[np.float64]:
        """Length inside of the segments from ``source_mm`` to ``target_mm``, both ``(..., 3)`` in (x, y, z) [mm]."""
        p, d, length = _segment(source_mm, target_mm, self.centre_mm)
        flat = [
            ((p[..., k] - self.slope[k] * p[..., 2]) / a, (d[..., k] - self.slope[k] * d[..., 2]) / a)
            for k, a in enumerate(self.semi_axes_mm)
        ]
        enter, leave = _disc_interval(flat)
        low, high = _slab_interval(p[..., 2], d[..., 2], self.length_mm / 2)
        return length * _overlap(enter, leave, low, high)


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Axis-aligned ellipsoid.

    Parameters
    ----------
    centre_mm
        World point of its centre [mm].
    semi_axes_mm
        Semi-axes along x, y and z [mm].
    """

    centre_mm: Point
    semi_axes_mm: Triple

    def __post_init__(self) -> None:
        _check_positive("semi_axes_mm", self.semi_axes_mm)

    @property
    def volume_mm3(self) -> float:
        """Exact volume [mm3]."""
        return 4 / 3 * math.pi * math.prod(self.semi_axes_mm)

    @property
    def bounds_mm(self) -> tuple[Point, Point]:
        """Lowest and highest corner of the box that just holds it [mm]."""
        return _box(self.centre_mm, self.semi_axes_mm)

    def volume_fractions(self, grid: Grid) -> NDArray[np.float64]:
        """Share of every voxel that lies inside, ``grid.shape``; axis-aligned grids only."""
        a, b, c = self.semi_axes_mm
        return _quadric_fractions(grid, self.centre_mm, (a, b), c, (0.0, 0.0), round_=True)

    def chord_mm(self, source_mm: ArrayLike, target_mm: ArrayLike) -> NDArray[np.float64]:
        """Length inside of the segments from ``source_mm`` to ``target_mm``, both ``(..., 3)`` in (x, y, z) [mm]."""
        p, d, length = _segment(source_mm, target_mm, self.centre_mm)
        enter, leave = _disc_interval([(p[..., k] / a, d[..., k] / a) for k, a in enumerate(self.semi_axes_mm)])
        return length * _overlap(enter, leave, np.zeros_like(enter), np.ones_like(enter))


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned box: slabs, steps, cubes.

    Parameters
    ----------
    centre_mm
        World point of its centre [mm].
    size_mm
        Full lengths along x, y and z [mm].
    """

    centre_mm: Point
    size_mm: Triple

    def __post_init__(self) -> None:
        _check_positive("size_mm", self.size_mm)

    @property
    def volume_mm3(self) -> float:
        """Exact volume [mm3]."""
        return math.prod(self.size_mm)

    @property
    def bounds_mm(self) -> tuple[Point, Point]:
        """Lowest and highest corner [mm]."""
        return _box(self.centre_mm, [s / 2 for s in self.size_mm])

    def volume_fractions(self, grid: Grid) -> NDArray[np.float64]:
        """Share of every voxel that lies inside, ``grid.shape``; axis-aligned grids only."""
        shares = []
        for axis, h, c, s in zip(
            grid.axes_mm(), grid.spacing_mm, self.centre_mm[::-1], self.size_mm[::-1], strict=True
        ):
            inside = np.minimum(axis + h / 2, c + s / 2) - np.maximum(axis - h / 2, c - s / 2)
            shares.append(np.clip(inside / h, 0, 1))
        return np.asarray(shares[0][:, None, None] * shares[1][:, None] * shares[2])

    def chord_mm(self, source_mm: ArrayLike, target_mm: ArrayLike) -> NDArray[np.float64]:
        """Length inside of the segments from ``source_mm`` to ``target_mm``, both ``(..., 3)`` in (x, y, z) [mm]."""
        p, d, length = _segment(source_mm, target_mm, self.centre_mm)
        low, high = np.zeros_like(length), np.ones_like(length)
        for k, s in enumerate(self.size_mm):
            enter, leave = _slab_interval(p[..., k], d[..., k], s / 2)
            low, high = np.maximum(low, enter), np.minimum(high, leave)
        return length * np.clip(high - low, 0, None)


@dataclass(frozen=True, slots=True)
class Stack:
    """Round sections along z, one on the other, coaxial.

    Parameters
    ----------
    centre_mm
        World point in the middle of the whole stack [mm].
    radii_mm
        Of the sections, from low z to high z [mm].
    lengths_mm
        Of the sections along z [mm].
    """

    centre_mm: Point
    radii_mm: tuple[float, ...]
    lengths_mm: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_positive("radii_mm", self.radii_mm)
        _check_positive("lengths_mm", self.lengths_mm)
        if len(self.radii_mm) != len(self.lengths_mm) or not self.radii_mm:
            raise ValueError(
                f"radii_mm and lengths_mm must have one value per section, got {self.radii_mm} and {self.lengths_mm}"
            )

    @property
    def sections(self) -> tuple[Cylinder, ...]:
        """The sections, from low z to high z."""
        x, y, z = self.centre_mm
        made, low = [], z - sum(self.lengths_mm) / 2
        for radius, length in zip(self.radii_mm, self.lengths_mm, strict=True):
            made.append(Cylinder((x, y, low + length / 2), (radius, radius), length))
            low += length
        return tuple(made)

    @property
    def volume_mm3(self) -> float:
        """Exact volume [mm3]."""
        return sum(section.volume_mm3 for section in self.sections)

    @property
    def bounds_mm(self) -> tuple[Point, Point]:
        """Lowest and highest corner of the box that just holds it [mm]."""
        widest = max(self.radii_mm)
        return _box(self.centre_mm, [widest, widest, sum(self.lengths_mm) / 2])

    def volume_fractions(self, grid: Grid) -> NDArray[np.float64]:
        """Share of every voxel that lies inside, ``grid.shape``; axis-aligned grids only."""
        share = np.zeros(grid.shape)
        for section in self.sections:
            share += section.volume_fractions(grid)
        return share

    def chord_mm(self, source_mm: ArrayLike, target_mm: ArrayLike) -> NDArray[np.float64]:
        """Length inside of the segments from ``source_mm`` to ``target_mm``, both ``(..., 3)`` in (x, y, z) [mm]."""
        first, *others = (section.chord_mm(source_mm, target_mm) for section in self.sections)
        return sum(others, start=first)


Solid: TypeAlias = Cylinder | Ellipsoid | Box | Stack
"""Any of the solids."""

_SOLIDS: dict[str, type[Solid]] = {"cylinder": Cylinder, "ellipsoid": Ellipsoid, "box": Box, "stack": Stack}


def solid_to_dict(solid: Solid) -> dict[str, Any]:
    """Plain data for files; :func:`solid_from_dict` reads it back."""
    fields = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(solid).items()}
    return {"solid": type(solid).__name__.lower(), **fields}


def solid_from_dict(data: Mapping[str, Any]) -> Solid:
    """The solid that :func:`solid_to_dict` described.

    Raises
    ------
    ValueError
        If ``data`` names a solid that does not exist.
    """
    if data.get("solid") not in _SOLIDS:
        raise ValueError(f"unknown solid {data.get('solid')!r}; known: {', '.join(_SOLIDS)}")
    fields: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list | tuple) else float(v) for k, v in data.items() if k != "solid"
    }
    return _SOLIDS[data["solid"]](**fields)


def _check_positive(name: str, lengths: tuple[float, ...]) -> None:
    if not all(math.isfinite(v) and v > 0 for v in lengths):
        raise ValueError(f"{name} must be positive, got {lengths}")


def _box(centre: Point, half: ArrayLike) -> tuple[Point, Point]:
    low, high = np.subtract(centre, half), np.add(centre, half)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def _segment(
    source: ArrayLike, target: ArrayLike, centre: Point
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Start relative to the centre, direction over the whole segment, and its length."""
    a, b = np.broadcast_arrays(np.asarray(source, np.float64), np.asarray(target, np.float64))
    d = b - a
    return a - np.asarray(centre), d, np.linalg.norm(d, axis=-1)


def _disc_interval(
    components: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where on the segment (0..1) the sum of squares of p + t d stays below 1; empty where it never does."""
    dd = sum(d * d for _, d in components)
    pd = sum(p * d for p, d in components)
    along = np.asarray(dd) > 0
    t = np.where(along, -pd / np.where(along, dd, 1.0), 0.5)
    closest = sum((p + t * d) ** 2 for p, d in components)
    inside = np.asarray(closest) < 1
    half = np.sqrt(np.where(inside, 1 - closest, 0.0) / np.where(along, dd, 1.0))
    half = np.where(along, half, np.where(inside, np.inf, 0.0))
    return t - half, t + half


def _slab_interval(
    p: NDArray[np.float64], d: NDArray[np.float64], half: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where on the segment (0..1) |p + t d| stays below ``half``."""
    moving = d != 0
    step = np.where(moving, d, 1.0)
    one, two = (-half - p) / step, (half - p) / step
    within = np.abs(p) <= half
    low = np.where(moving, np.minimum(one, two), np.where(within, -np.inf, 0.5))
    high = np.where(moving, np.maximum(one, two), np.where(within, np.inf, 0.5))
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def _overlap(
    a: NDArray[np.float64], b: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.clip(np.minimum(b, high) - np.maximum(a, low), 0, None)


def _quadric_fractions(
    grid: Grid,
    centre: Point,
    semi_axes: tuple[float, float],
    half_height: float,
    slope: tuple[float, float],
    *,
    round_: bool,
) -> NDArray[np.float64]:
    z, y, x = (axis - c for axis, c in zip(grid.axes_mm(), centre[::-1], strict=True))
    size = np.array([*semi_axes, half_height, *slope], dtype=np.float64)
    out = np.zeros(grid.shape)
    _fill_fractions(z, y, x, np.asarray(grid.spacing_mm), size, round_, _NODES, _WEIGHTS, out)
    return out


@njit(parallel=True, cache=True, error_model="numpy")
def _fill_fractions(z, y, x, spacing, size, round_, nodes, weights, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Add to ``out`` the share of every cell inside the stack of ellipses (one iteration = one slice).

    z, y, x (n,) cell centres relative to the solid's centre [mm]; spacing (3,) along z, y, x [mm]; size: semi-axes of
    the middle ellipse and half height [mm], slopes of the axis along x and y per mm of z; round_ whether the ellipse
    shrinks with sqrt(1 - (z / half height)^2); nodes, weights of the quadrature on [-1, 1].
    """
    dz, dy, dx = spacing[0], spacing[1], spacing[2]
    a, b, half_height, slope_x, slope_y = size[0], size[1], size[2], size[3], size[4]
    changes = round_ or slope_x != 0.0 or slope_y != 0.0
    for k in prange(z.size):
        low, high = max(z[k] - dz / 2, -half_height), min(z[k] + dz / 2, half_height)
        if high <= low:
            continue
        for q in range(nodes.size if changes else 1):
            at = 0.5 * (low + high) + (0.5 * (high - low) * nodes[q] if changes else 0.0)
            share = (high - low) / dz * (0.5 * weights[q] if changes else 1.0)
            scale = math.sqrt(max(1.0 - (at / half_height) ** 2, 0.0)) if round_ else 1.0
            ax, by = a * scale, b * scale
            if ax <= 0.0 or by <= 0.0:
                continue
            for j in range(y.size):
                y0 = (y[j] - dy / 2 - slope_y * at) / by
                y1 = (y[j] + dy / 2 - slope_y * at) / by
                if y1 <= -1.0 or y0 >= 1.0:
                    continue
                near = 0.0 if y0 <= 0.0 <= y1 else min(abs(y0), abs(y1))
                far = max(abs(y0), abs(y1))
                reach = math.sqrt(max(1.0 - near * near, 0.0))
                sure = math.sqrt(1.0 - far * far) if far < 1.0 else -1.0
                cell = (y1 - y0) * dx / ax
                for i in range(x.size):
                    x0 = (x[i] - dx / 2 - slope_x * at) / ax
                    x1 = (x[i] + dx / 2 - slope_x * at) / ax
                    if x1 <= -reach or x0 >= reach:
                        continue
                    if -sure <= x0 and x1 <= sure:
                        out[k, j, i] += share
                    else:
                        area = _circle_strip(x0, x1, y1) - _circle_strip(x0, x1, y0)
                        out[k, j, i] += share * min(max(area / cell, 0.0), 1.0)


@njit(cache=True, error_model="numpy")
def _circle_strip(x0, x1, y):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Integral over u from x0 to x1 of ``clip(y, -s, s)`` with s = sqrt(1 - u^2), the unit circle's upper half."""
    height = min(abs(y), 1.0)
    total = _half_strip(min(max(x1, -1.0), 1.0), height) - _half_strip(min(max(x0, -1.0), 1.0), height)
    return total if y >= 0.0 else -total


@njit(cache=True, error_model="numpy")
def _half_strip(u, height):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Integral from 0 to u of ``min(height, s)``, odd in u."""
    corner = math.sqrt(1.0 - height * height)
    v = abs(u)
    if v <= corner:
        return height * u
    arc = 0.5 * (v * math.sqrt(1.0 - v * v) + math.asin(v) - corner * height - math.asin(corner))
    return math.copysign(height * corner + arc, u)
