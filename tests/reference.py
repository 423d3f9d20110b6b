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
    v = geometry.row_offset_mm[row]
    source = np.array(
        [
            geometry.isocentre_mm[0] + geometry.source_distance_mm * math.cos(beta),
            geometry.isocentre_mm[1] + geometry.source_distance_mm * math.sin(beta),
            geometry.source_z_mm[view],
        ]
    )
    ray = np.array([-math.cos(beta - gamma), -math.sin(beta - gamma), v / geometry.detector_distance_mm])
    dz, dy, dx = grid.spacing_mm
    _, ny, nx = volume.shape
    along_x = abs(ray[0]) * dy >= abs(ray[1]) * dx
    total = 0.0
    for i in range(nx if along_x else ny):
        plane_mm = grid.origin_mm[0] + i * dx if along_x else grid.origin_mm[1] + i * dy
        t = (plane_mm - source[0]) / ray[0] if along_x else (plane_mm - source[1]) / ray[1]
        if not 0 < t <= geometry.detector_distance_mm:
            continue
        z, y, x = grid.world_to_index(source + t * ray)
        half_z = max(0.5, 0.5 * geometry.row_pitch_mm * t / geometry.detector_distance_mm / dz)
        minor, minor_mm, tilt = (y, dy, abs(ray[0])) if along_x else (x, dx, abs(ray[1]))
        half = max(0.5, 0.5 * geometry.column_pitch_rad * t / tilt / minor_mm)
        plane = volume[:, :, i] if along_x else volume[:, i, :]
        in_z = share_of_interval(z - half_z, z + half_z, plane.shape[0])
        in_plane = share_of_interval(minor - half, minor + half, plane.shape[1])
        total += float(in_z @ plane @ in_plane)
    step = dx / abs(ray[0]) if along_x else dy / abs(ray[1])
    return total * step * math.sqrt(1 + (v / geometry.detector_distance_mm) ** 2)
