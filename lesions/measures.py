"""Diameters of a body known by a field on a fine lattice, from the points where the field crosses a level.

Definitions of ``docs/conventions.md``: long axis, the longest axial (in-plane) diameter over all slices; short axis,
the width across it on the same slice; both as calipers. Crossings are found between voxels by linear interpolation.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twins import Grid

COARSE_DEG, FINE_DEG = 3.0, 0.25
SKIPPED = 5
"""Every so many of the coarse angles tell which slices may hold the longest diameter."""

N_DIRECTIONS = 200


def crossings(field: NDArray[np.floating], level: float, axis: int) -> NDArray[np.float64]:
    """Continuous indices ``(n, 3)`` in ``(z, y, x)`` where ``field`` crosses ``level`` along ``axis``."""
    above = field >= level
    before, after = (tuple(end if k == axis else slice(None) for k in range(3)) for end in (slice(-1), slice(1, None)))
    changes = above[before] != above[after]
    at = np.unravel_index(np.flatnonzero(changes), changes.shape)
    low, high = field[before][at].astype(np.float64), field[after][at].astype(np.float64)
    points = np.stack(at, axis=1).astype(np.float64)
    points[:, axis] += (level - low) / (high - low)
    return points


def axial_diameters_mm(grid: Grid, field: NDArray[np.floating], level: float) -> tuple[float, float]:
    """Long and short axial diameter [mm] of the body where ``field >= level``; (0, 0) where nothing is."""
    points = np.concatenate([crossings(field, level, 1), crossings(field, level, 2)])
    if not len(points):
        return 0.0, 0.0
    slices = points[:, 0].astype(int)
    order = np.argsort(slices, kind="stable")
    points, slices = points[order], slices[order]
    xy = points[:, [2, 1]] * np.array([grid.spacing_mm[2], grid.spacing_mm[1]])
    begins = np.flatnonzero(np.concatenate(([True], slices[1:] != slices[:-1])))
    # A diameter shows at an angle next to it but for the cosine: most slices cannot hold the longest one.
    angles = np.deg2rad(np.arange(0, 180, COARSE_DEG))
    some = _widths(xy, begins, angles[::SKIPPED]).max(axis=1)
    kept = some >= some.max() * math.cos(math.radians(0.5 * SKIPPED * COARSE_DEG))
    counts = np.diff(np.append(begins, len(xy)))
    xy, counts = xy[np.repeat(kept, counts)], counts[kept]
    begins = np.cumsum(counts) - counts
    widths = _widths(xy, begins, angles)
    s, a = np.unravel_index(np.argmax(widths), widths.shape)
    end = begins[s + 1] if s + 1 < len(begins) else len(xy)
    on_slice = xy[begins[s] : end]
    around = angles[a] + np.deg2rad(np.arange(-COARSE_DEG, COARSE_DEG + FINE_DEG / 2, FINE_DEG))
    fine = _widths(on_slice, np.array([0]), around)[0]
    best = around[np.argmax(fine)]
    across = _widths(on_slice, np.array([0]), np.array([best + np.pi / 2]))[0, 0]
    return float(fine.max()), float(across)


def max_diameter_mm(grid: Grid, field: NDArray[np.floating], level: float) -> float:
    """Largest distance of two surface points [mm], from the extremes along 200 directions."""
    points = np.concatenate([crossings(field, level, axis) for axis in range(3)])
    if not len(points):
        return 0.0
    points = points * np.asarray(grid.spacing_mm)
    k = np.arange(N_DIRECTIONS) + 0.5
    polar, azimuth = np.arccos(1 - k / N_DIRECTIONS), np.pi * (1 + 5**0.5) * k
    directions = np.stack((np.cos(polar), np.sin(polar) * np.sin(azimuth), np.sin(polar) * np.cos(azimuth)), axis=1)
    # No end of the longest distance lies nearer to the middle than that distance less the largest radius.
    radius = np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1))
    points = points[radius >= _longest(points[::7], directions[::5]) - radius.max() - 1e-9]
    return _longest(points, directions)


def _longest(points: NDArray[np.float64], directions: NDArray[np.float64]) -> float:
    along = directions[:, :1] * points[:, 0] + directions[:, 1:2] * points[:, 1] + directions[:, 2:] * points[:, 2]
    ends = points[along.argmax(axis=1)] - points[along.argmin(axis=1)]
    return float(np.sqrt((ends**2).sum(axis=1).max()))


def _widths(xy: NDArray[np.float64], begins: NDArray[np.int64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Caliper width ``(slice, angle)`` of the points of each slice."""
    along = xy[:, :1] * np.cos(angles) + xy[:, 1:] * np.sin(angles)
    return np.maximum.reduceat(along, begins, axis=0) - np.minimum.reduceat(along, begins, axis=0)
