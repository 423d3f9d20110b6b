"""Secondary lobules: jittered Voronoi cells fixed to the person, the same at every voxel size.

Cells of 10-20 mm (pitch 14 mm) differ in density and meet in septa of about 0.1 mm. The nearest two cells are looked
for among eight: exact while points move by at most 0.35 of the pitch, up to rare ends of a septum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

PITCH_MM = 14.0
"""Distance of neighbouring lobules [mm]. Design default."""

PERIOD = 32
"""The pattern repeats after so many lobules (a power of two): 448 mm, wider than any lung."""

SEPTUM_MM = 0.12
"""Thickness of an interlobular septum (0.1 mm after Webb, unverified) [mm]."""

CONTRAST = 0.06
"""SD of the mean density of lobules, relative [1]. Design default."""


def lobules(rng: np.random.Generator) -> NDArray[np.float32]:
    """Table ``(32, 32, 32, 5)``: place of each lobule in its cell (x, y, z) [cells], density (mean 0, SD 1), septa."""
    table = np.empty((PERIOD, PERIOD, PERIOD, 5), np.float32)
    table[..., :3] = 0.5 + 0.7 * (rng.random((*table.shape[:3], 3)) - 0.5)
    relative = rng.standard_normal(table.shape[:3])
    table[..., 3] = np.clip((relative - relative.mean()) / relative.std(), -2.5, 2.5)
    table[..., 4] = rng.random(table.shape[:3]) ** 2  # how much of its septa a lobule has
    return table


def centres_mm(table: NDArray[np.float32], low_mm: NDArray[np.float64], high_mm: NDArray[np.float64]) -> NDArray:
    """Centres ``(n, 3)`` of the lobules within a box [mm]."""
    first, last = np.floor(low_mm / PITCH_MM).astype(int), np.floor(high_mm / PITCH_MM).astype(int)
    axes = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
    cell = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    i, j, k = (cell % PERIOD).T
    return np.asarray((cell + table[k, j, i, :3]) * PITCH_MM)


@njit(cache=True)
def lobule_at(table: Array, x: Any, y: Any, z: Any) -> Any:
    """Density of the lobule at a point (mean 0, SD 1), distance to its nearest septum [mm], how much of it is there."""
    u, v, w = x / PITCH_MM, y / PITCH_MM, z / PITCH_MM
    i0, j0, k0 = math.floor(u - 0.5), math.floor(v - 0.5), math.floor(w - 0.5)
    best, second = 1e9, 1e9
    value, other, strength = 0.0, 0.0, 0.0
    ax, ay, az, bx, by, bz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(k0, k0 + 2):
        for j in range(j0, j0 + 2):
            for i in range(i0, i0 + 2):
                cell = table[k & (PERIOD - 1), j & (PERIOD - 1), i & (PERIOD - 1)]
                px, py, pz = i + cell[0] - u, j + cell[1] - v, k + cell[2] - w
                d = px * px + py * py + pz * pz
                if d < best:
                    second, bx, by, bz, other = best, ax, ay, az, strength
                    best, ax, ay, az, strength = d, px, py, pz, cell[4]
                    value = cell[3]
                elif d < second:
                    second, bx, by, bz, other = d, px, py, pz, cell[4]
    apart = math.sqrt((bx - ax) ** 2 + (by - ay) ** 2 + (bz - az) ** 2)
    return value, 0.5 * (second - best) / max(apart, 1e-6) * PITCH_MM, min(strength, other)
