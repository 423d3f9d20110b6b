"""Slow, obvious versions of the kernels: what they must equal."""

from __future__ import annotations

import math

import numpy as np

from ctsim.geometry import Geometry
from twins import Grid


def share_of_interval(low: float, high: float, n: int) -> np.ndarray:
    """Share of [low, high] that lies in each voxel; voxel k covers [k - 1/2, k + 1/2]."""
    edges = np.clip(np.arange(n + 1) - 0.5, low, high)
    return np.diff(edges) / (high - low)


def project(volume: np.ndarray, grid: Grid, geometry: Geometry, view: int, row: int, column: int) -> float:
    """One reading of a ``(z, y, x)`` volume: sum over planes of the mean over the cell's interval [value x mm]."""
    beta = geometry.view_angle_rad[view]
    gamma = geometry.column_angle_rad[column]
    towards = np.array([-math.cos(beta), -math.sin(beta), 0.0])
    across = np.array([-math.sin(beta), math.cos(beta), 0.0])
    centre = np.array([*geometry.isocentre_mm, geometry.source_z_mm[view]])
    at_rest = centre - geometry.source_distance_mm * towards
    cell = at_rest + geometry.detector_distance_mm * (math.cos(gamma) * towards + math.sin(gamma) * across)
    cell[2] += geometry.row_offset_mm[row]
    tangential, inwards, axial = geometry.deflection_mm[view % len(geometry.deflection_mm)]
    source = at_rest + tangential * across + inwards * towards + np.array([0.0, 0.0, axial])
    distance = math.hypot(*(cell - source)[:2])
    ray = (cell - source) / distance  # per millimetre of the plane
    dz, dy, dx = grid.spacing_mm
    _, ny, nx = volume.shape
    along_x = abs(ray[0]) * dy >= abs(ray[1]) * dx
    total = 0.0
    for i in range(nx if along_x else ny):
        plane_mm = grid.origin_mm[0] + i * dx if along_x else grid.origin_mm[1] + i * dy
        t = (plane_mm - source[0]) / ray[0] if along_x else (plane_mm - source[1]) / ray[1]
        if not 0 < t <= distance:
            continue
        z, y, x = grid.world_to_index(source + t * ray)
        half_z = max(0.5, 0.5 * geometry.row_pitch_mm * t / distance / dz)
        minor, minor_mm, tilt = (y, dy, abs(ray[0])) if along_x else (x, dx, abs(ray[1]))
        width_mm = geometry.column_pitch_rad * geometry.detector_distance_mm * t / distance
        half = max(0.5, 0.5 * width_mm / tilt / minor_mm)
        plane = volume[:, :, i] if along_x else volume[:, i, :]
        in_z = share_of_interval(z - half_z, z + half_z, plane.shape[0])
        in_plane = share_of_interval(minor - half, minor + half, plane.shape[1])
        total += float(in_z @ plane @ in_plane)
    step = dx / abs(ray[0]) if along_x else dy / abs(ray[1])
    return total * step * math.sqrt(1 + ray[2] ** 2)


def cubic(x: float) -> float:
    """Keys' kernel with a = -1/2."""
    a = abs(x)
    if a < 1:
        return (1.5 * a - 2.5) * a * a + 1
    return ((-0.5 * a + 2.5) * a - 4) * a + 2 if a < 2 else 0.0


def ray_between(
    readings: np.ndarray, state: int, n_states: int, view: float, row: int, column: int, period: int = 0
) -> float:
    """A reading of one state of the spot by cubic convolution along its views, which go round or end with the scan."""
    views = readings[state::n_states]
    total = 0.0
    for v in range(math.floor(view) - 1, math.floor(view) + 3):
        there = v % period if period else min(max(v, 0), len(views) - 1)
        total += cubic(view - v) * views[there, row, column]
    return total


def between(x: np.ndarray, y: np.ndarray, at: float) -> float:
    """Cubic between samples at growing x: Hermite, slope at a sample that of the parabola through its neighbours."""
    n = len(x)
    i = min(max(int(np.searchsorted(x, at, side="right")) - 1, 0), n - 2)
    xs = [x[max(i - 1, 0)], x[i], x[i + 1], x[min(i + 2, n - 1)]]
    if i == 0:
        xs[0] = 2 * x[0] - x[1]
    if i == n - 2:
        xs[3] = 2 * x[-1] - x[-2]
    ys = [y[max(i - 1, 0)], y[i], y[i + 1], y[min(i + 2, n - 1)]]
    slopes = [np.polyder(np.poly1d(np.polyfit(xs[k : k + 3], ys[k : k + 3], 2)))(xs[k + 1]) for k in (0, 1)]
    h, t = x[i + 1] - x[i], min(max((at - x[i]) / (x[i + 1] - x[i]), 0.0), 1.0)
    value = (1 + 2 * t) * (1 - t) ** 2 * y[i] + t * t * (3 - 2 * t) * y[i + 1]
    return float(value + h * (t * (1 - t) ** 2 * slopes[0] - t * t * (1 - t) * slopes[1]))


def mean_over_rows(line: np.ndarray, middle: float, width: float) -> float:
    """Mean of the rows within ``width`` around ``middle``; row r covers [r, r + 1], the rest is left out."""
    middle = min(max(middle, 0.0), len(line))
    low, high = max(middle - width / 2, 0.0), min(middle + width / 2, len(line))
    return float(share_of_interval(low - 0.5, high - 0.5, len(line)) @ line)


def mean_of_sets(lines: list[np.ndarray], middles: list[float], widths: list[float], beyond: float = 1.0) -> float:
    """Mean of what each set's rows read, weighted by W(q), q from -1 to 1 over the rows; NaN if none counts."""
    total = weights = 0.0
    for line, middle, width in zip(lines, middles, widths, strict=True):
        q = abs(2 * middle / len(line) - 1)
        s = (q - 0.6) / 0.4
        weight = 1.0 if s < 0 else 0.0 if s > 1 else 1 - s * s * (3 - 2 * s)
        if beyond > 1 and q <= beyond:
            weight = max(weight, 1e-3)
        total += weight * mean_over_rows(line, middle, width)
        weights += weight
    return total / weights if weights > 1e-6 else math.nan
