"""Kernels of :mod:`twins.shapes`: distances of its rows, painting them, and uniting them with a field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .canvas import coverage, deposit

Array = NDArray[Any]

REACH_MM = 7.0
"""How far around a body, beyond its blend, :func:`twins.shapes.unite` changes a field [mm]."""


@njit(cache=True)
def _blob_distance(row: Array, x: Any, y: Any, z: Any) -> Any:
    dx, dy, dz = x - row[0], y - row[1], z - row[2]
    p = (row[6] * dx + row[7] * dy + row[8] * dz) / row[3]
    q = (row[9] * dx + row[10] * dy + row[11] * dz) / row[4]
    r = (row[12] * dx + row[13] * dy + row[14] * dz) / row[5]
    e = row[15]
    flat = p * p + q * q
    if e == 2.0:
        gauge = math.sqrt(flat + r * r)
        slope = math.sqrt((p / row[3]) ** 2 + (q / row[4]) ** 2 + (r / row[5]) ** 2)
        if slope < 1e-9:
            return -min(row[3], row[4], row[5])
        return (gauge - 1.0) * gauge / slope
    s = flat ** (0.5 * e) + abs(r) ** e
    if s < 1e-12:
        return -min(row[3], row[4], row[5])
    gauge = s ** (1.0 / e)
    lead = s ** (1.0 / e - 1.0)
    planar = flat ** (0.5 * e - 1.0) if flat > 0.0 else 0.0
    gp = lead * planar * p / row[3]
    gq = lead * planar * q / row[4]
    gr = lead * abs(r) ** (e - 1.0) / row[5]
    slope = math.sqrt(gp * gp + gq * gq + gr * gr)
    return (gauge - 1.0) / max(slope, 1e-9)


@njit(cache=True)
def _segment_distance(row: Array, x: Any, y: Any, z: Any) -> Any:
    ax, ay, az = row[3] - row[0], row[4] - row[1], row[5] - row[2]
    wx, wy, wz = x - row[0], y - row[1], z - row[2]
    length2 = ax * ax + ay * ay + az * az
    t = (wx * ax + wy * ay + wz * az) / length2 if length2 > 0.0 else 0.0
    t = min(1.0, max(0.0, t))
    wx, wy, wz = wx - t * ax, wy - t * ay, wz - t * az
    along = row[6] + t * (row[7] - row[6])
    across = row[8] + t * (row[9] - row[8])
    d2 = wx * wx + wy * wy + wz * wz
    if along == across:
        return math.sqrt(d2) - along
    u = wx * row[10] + wy * row[11] + wz * row[12]
    v2 = max(0.0, d2 - u * u)
    gauge = math.sqrt((u / along) ** 2 + v2 / (across * across))
    slope = math.sqrt((u / (along * along)) ** 2 + v2 / across**4)
    if slope < 1e-9:
        return -min(along, across)
    return (gauge - 1.0) * gauge / slope


@njit(cache=True)
def _coat(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    z: Any,
    y: Any,
    x: Any,
    distance: Any,
    spacing: Any,
    coat: Array,
) -> None:
    outer = coverage(distance, spacing)
    if outer <= 0.0:
        return
    inner = coverage(distance + coat[0], spacing) if coat[0] > 0.0 else outer
    ink_shell, ink_core = np.uint8(coat[1]), np.uint8(coat[4])
    deposit(
        structure, material_a, material_b, fraction_b, density, z, y, x,
        1.0 - outer, ink_shell, (outer - inner) * coat[2], ink_core, inner * coat[5],
    )  # fmt: skip
    if outer > 0.5:
        structure[z, y, x] = np.uint16(coat[6] if inner > 0.5 else coat[3])


@njit(parallel=True, cache=True, error_model="numpy")
def paint_bodies(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    origin: Array,
    spacing: Any,
    kinds: Array,
    blobs: Array,
    segments: Array,
    spans: Array,
    coats: Array,
) -> None:
    """Paint rows of :mod:`twins.shapes` into a canvas. Slices are independent; within one, bodies come in order."""
    nz, ny, nx = structure.shape
    for k in prange(nz):
        z = origin[2] + k * spacing
        scratch = np.empty((ny, nx), np.float32)
        for b in range(kinds.size):
            coat = coats[b]
            if kinds[b] >= 0:
                row = blobs[kinds[b]]
                reach_z = spacing
                reach_y = spacing
                reach_x = spacing
                hx = hy = hz = 0.0
                for a in range(3):
                    hx += abs(row[6 + 3 * a]) * row[3 + a]
                    hy += abs(row[7 + 3 * a]) * row[3 + a]
                    hz += abs(row[8 + 3 * a]) * row[3 + a]
                if abs(z - row[2]) > hz + reach_z:
                    continue
                y0 = max(0, math.floor((row[1] - hy - reach_y - origin[1]) / spacing))
                y1 = min(ny - 1, math.ceil((row[1] + hy + reach_y - origin[1]) / spacing))
                x0 = max(0, math.floor((row[0] - hx - reach_x - origin[0]) / spacing))
                x1 = min(nx - 1, math.ceil((row[0] + hx + reach_x - origin[0]) / spacing))
                for j in range(y0, y1 + 1):
                    for i in range(x0, x1 + 1):
                        d = _blob_distance(row, origin[0] + i * spacing, origin[1] + j * spacing, z)
                        _coat(structure, material_a, material_b, fraction_b, density, k, j, i, d, spacing, coat)
                continue
            first, last = spans[-1 - kinds[b], 0], spans[-1 - kinds[b], 1]
            by0, by1, bx0, bx1 = ny, -1, nx, -1
            for pass_ in range(2):
                for s in range(first, last):
                    row = segments[s]
                    reach = row[13] + spacing
                    if z < min(row[2], row[5]) - reach or z > max(row[2], row[5]) + reach:
                        continue
                    y0 = max(0, math.floor((min(row[1], row[4]) - reach - origin[1]) / spacing))
                    y1 = min(ny - 1, math.ceil((max(row[1], row[4]) + reach - origin[1]) / spacing))
                    x0 = max(0, math.floor((min(row[0], row[3]) - reach - origin[0]) / spacing))
                    x1 = min(nx - 1, math.ceil((max(row[0], row[3]) + reach - origin[0]) / spacing))
                    if pass_ == 0:
                        by0, by1, bx0, bx1 = min(by0, y0), max(by1, y1), min(bx0, x0), max(bx1, x1)
                        continue
                    for j in range(y0, y1 + 1):
                        for i in range(x0, x1 + 1):
                            d = _segment_distance(row, origin[0] + i * spacing, origin[1] + j * spacing, z)
                            if d < scratch[j, i]:
                                scratch[j, i] = d
                if pass_ == 0:
                    for j in range(by0, by1 + 1):
                        for i in range(bx0, bx1 + 1):
                            scratch[j, i] = 1e6
            for j in range(by0, by1 + 1):
                for i in range(bx0, bx1 + 1):
                    if scratch[j, i] < spacing:
                        _coat(
                            structure,
                            material_a,
                            material_b,
                            fraction_b,
                            density,
                            k,
                            j,
                            i,
                            scratch[j, i],
                            spacing,
                            coat,
                        )


@njit(cache=True, inline="always")
def _smooth_min(a: Any, b: Any, blend: Any) -> Any:
    h = max(blend - abs(a - b), 0.0) / blend
    return min(a, b) - 0.25 * h * h * blend


@njit(parallel=True, cache=True, error_model="numpy")
def unite_blob(field: Array, origin: Array, step: Any, row: Array, blend: Any, grow: Any) -> None:
    """Take the smooth minimum of a field ``(z, y, x)`` and the row of a blob."""
    nz, ny, nx = field.shape
    reach = max(row[3], max(row[4], row[5])) * 1.2 + grow + blend + REACH_MM
    y0 = max(0, int((row[1] - reach - origin[1]) / step))
    y1 = min(ny, int((row[1] + reach - origin[1]) / step) + 1)
    x0 = max(0, int((row[0] - reach - origin[0]) / step))
    x1 = min(nx, int((row[0] + reach - origin[0]) / step) + 1)
    for k in prange(nz):
        z = origin[2] + k * step
        if abs(z - row[2]) > reach:
            continue
        for j in range(y0, y1):
            for i in range(x0, x1):
                d = _blob_distance(row, origin[0] + i * step, origin[1] + j * step, z) - grow
                if d < field[k, j, i] + blend:
                    field[k, j, i] = _smooth_min(field[k, j, i], d, blend)


@njit(parallel=True, cache=True, error_model="numpy")
def unite_tube(field: Array, origin: Array, step: Any, rows: Array, low: Any, high: Any, blend: Any, grow: Any) -> None:
    """Take the smooth minimum of a field ``(z, y, x)`` and the rows of a tube, between z = ``low`` and ``high``."""
    nz, ny, nx = field.shape
    for k in prange(nz):
        z = origin[2] + k * step
        if z < low or z > high:
            continue
        scratch = np.full((ny, nx), np.float32(1e6), np.float32)
        y_low, y_high, x_low, x_high = ny, -1, nx, -1
        for s in range(rows.shape[0]):
            row = rows[s]
            reach = row[13] + grow + blend + REACH_MM
            if z < min(row[2], row[5]) - reach or z > max(row[2], row[5]) + reach:
                continue
            y0 = max(0, math.floor((min(row[1], row[4]) - reach - origin[1]) / step))
            y1 = min(ny - 1, math.ceil((max(row[1], row[4]) + reach - origin[1]) / step))
            x0 = max(0, math.floor((min(row[0], row[3]) - reach - origin[0]) / step))
            x1 = min(nx - 1, math.ceil((max(row[0], row[3]) + reach - origin[0]) / step))
            y_low, y_high, x_low, x_high = min(y_low, y0), max(y_high, y1), min(x_low, x0), max(x_high, x1)
            for j in range(y0, y1 + 1):
                for i in range(x0, x1 + 1):
                    d = _segment_distance(row, origin[0] + i * step, origin[1] + j * step, z) - grow
                    if d < scratch[j, i]:
                        scratch[j, i] = d
        for j in range(y_low, y_high + 1):
            for i in range(x_low, x_high + 1):
                d = scratch[j, i]
                if d < field[k, j, i] + blend:
                    field[k, j, i] = _smooth_min(field[k, j, i], d, blend)
