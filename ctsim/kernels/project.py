"""Line integrals of a voxel volume for a third-generation scanner: one in-plane walk shared by all detector rows.

Of every reading the kernel computes line integrals, averaged over the reading's cell, for one or several sources:

    out[v, r, c] += sum_i  step * sum_j a_ij * sum_k b_rk(t_i) * density[y, x, k]

The in-plane ray of (view v, column c) steps through the planes i of its dominant axis (Joseph, IEEE TMI 1:192, 1982,
doi:10.1109/TMI.1982.4307572). In plane i it covers an interval of the other axis, and in z every row covers another
one; ``a`` and ``b`` are the shares of the voxels in these intervals. An interval is as wide as the detector cell seen
from the source at that distance (as in De Man & Basu, PMB 49:2463, 2004, doi:10.1088/0031-9155/49/11/024), but never
narrower than a voxel: at one voxel the average is linear interpolation, so that cells finer than voxels give Joseph's
method and coarser cells are averaged without gaps. Outside the volume is vacuum.

Four things make it fast. (1) z is the last axis, so that all rows of a column share the walk, and the sum over j runs
over contiguous memory. (2) Over a few successive planes the rays of the rows climb by less than ``drift`` voxels:
their z lines are summed first and read out by the rows once, at the middle of the group. (3) Sums and readings are
vectors (:mod:`ctsim.kernels.lines`). (4) Neighbouring columns cross a block of planes one after the other before any of
them goes on to the next, so that what one has read is still near when the next one comes.

Float policy: float32 stored, positions in float64; ``contract`` only (fused multiply-add), sums keep their order, so
the same bytes come for any number of threads. Each (view, column) writes only its own readings.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from .lines import LANES, MARGIN, read_four, read_two, sum_lines
from .parallel import LOOPS_ONLY

MAX_GROUP = 16
"""Most planes read out together."""

TILE, BLOCK = 64, 128
"""Columns that cross planes together, and planes that they cross together: as the second-level cache likes it."""


@register_jitable
def _sum_group(volume, offset, weight, count, n, line):
    """Overwrite a line of n >= LANES voxels and its margins with the weighted sum of ``count`` lines."""
    if count % 2:
        offset[count] = offset[0]
        weight[count] = 0.0
        count += 1
    for k in range(2 * MARGIN):
        line[k] = 0.0
        line[2 * (MARGIN + n) + k] = 0.0
    for k in range(0, n - LANES, LANES):
        sum_lines(volume, offset, weight, count, k, line)
    sum_lines(volume, offset, weight, count, n - LANES, line)


@register_jitable
def _read_linear(line, n, start, slope, height, r0, r1, reading):
    """Rows r0..r1 read the line by linear interpolation at start + slope height, in voxels from its first."""
    lowest, highest = np.float32(MARGIN - 2.0), np.float32(n + MARGIN + 1.0)
    for r in range(r0, r1):
        z = min(max(start + slope * height[r] + np.float32(MARGIN), lowest), highest)
        k = np.int32(z)
        share = z - np.float32(k)
        read_two(line, k, np.float32(1.0) - share, share, reading, r)


@register_jitable
def _read_narrow(line, n, start, slope, width, height, r0, r1, reading):
    """Rows read the mean over ``width`` from 1 to 3 voxels around start + slope height."""
    scale = np.float32(1.0) / width
    one = np.float32(1.0)
    lowest, highest = np.float32(0.0), np.float32(n + MARGIN)
    first = start + np.float32(MARGIN + 0.5) - np.float32(0.5) * width
    for r in range(r0, r1):
        z = min(max(first + slope * height[r], lowest), highest)
        k = np.int32(z)
        a = one - (z - np.float32(k))
        b = min(width - a, one)
        c = min(width - a - b, one)
        d = width - a - b - c
        read_four(line, k, scale * a, scale * b, scale * c, scale * d, reading, r)


@register_jitable
def _read_wide(line, cumulative, n, start, slope, width, height, r0, r1, reading):
    """Rows read the mean over any ``width`` around start + slope height."""
    first = np.float32(0.0)
    second = np.float32(0.0)
    for k in range(n):
        cumulative[2 * k] = first
        cumulative[2 * k + 1] = second
        first += line[2 * (MARGIN + k)]
        second += line[2 * (MARGIN + k) + 1]
    cumulative[2 * n] = first
    cumulative[2 * n + 1] = second
    top = np.float32(n)
    scale = np.float32(1.0) / width
    half = np.float32(0.5) * width
    middle = start + np.float32(0.5)
    for r in range(r0, r1):
        z = middle + slope * height[r]
        low = min(max(z - half, np.float32(0.0)), top)
        high = min(max(z + half, np.float32(0.0)), top)
        i, j = np.int32(low), np.int32(high)
        a, b = -scale * (low - np.float32(i)), scale * (high - np.float32(j))
        read_two(line, j + MARGIN, b, np.float32(0.0), reading, r)
        read_two(line, i + MARGIN, a, np.float32(0.0), reading, r)
        read_two(cumulative, j, scale, np.float32(0.0), reading, r)
        read_two(cumulative, i, -scale, np.float32(0.0), reading, r)


@njit(parallel=LOOPS_ONLY, cache=True, error_model="numpy", fastmath={"contract"})
def project(volume, spacing, source, column, row, cell, distance, drift, unit, out):
    """Add the cell-averaged line integrals of ``volume`` to ``out``.

    volume    (Y, X, Z)          int32: two uint16 densities, low and high half; uint16 or float32: one
    spacing   (3,)      float64  voxel size along z, y, x [mm]
    source    (V Q, 6)  float64  source in voxel indices (z, y, x); cos, sin of the view angle; place k of the spot; of
                                 the Q rays of a view one after the other
    column    (K, C)    float64  fan angle of the columns as the spot at place k sees them [rad]
    row       (K, R)    float32  height of the rows above the spot, growing, equally spaced [mm at the detector]
    cell      (2,)      float64  column pitch, row pitch [mm at the detector]
    distance  (K, C)    float64  spot to the columns, in the plane [mm]
    drift              float64  how far a group of planes may carry a row in z [voxels]
    unit               float64  of one stored unit times one millimetre, e.g. 0.1 g/cm2 times the density step
    out       (Q M, V, R, C) float32, added to: the M = 1 or 2 densities of the first ray, of the next ...
    """
    n_y, n_x, n_z = volume.shape
    n_out, n_views, n_rows, n_columns = out.shape
    n_rays = len(source) // n_views
    two = n_out == 2 * n_rays
    n_densities = 2 if two else 1
    if n_z < LANES:
        longer = np.zeros((n_y, n_x, LANES), volume.dtype)
        for y in range(n_y):
            for x in range(n_x):
                for k in range(n_z):
                    longer[y, x, k] = volume[y, x, k]
        volume = longer
        n_z = LANES
    # columns of voxels that hold anything, by rows and by columns of the plane: the others are stepped over
    occupied = np.zeros(2 * n_y * n_x, np.bool_)
    for y in prange(n_y):
        for x in range(n_x):
            for k in range(n_z):
                if volume[y, x, k] != 0:
                    occupied[y * n_x + x] = True
                    occupied[n_x * n_y + x * n_y + y] = True
                    break
    most = MAX_GROUP * (int(1.5 * cell[0] / min(spacing[1], spacing[2])) + 4) + 1
    n_tile = min(TILE, n_columns) * n_rays
    for v in prange(n_views):
        line = np.zeros(2 * (n_z + 2 * MARGIN), np.float32)
        cumulative = np.zeros(2 * (n_z + 2), np.float32)
        reading = np.zeros((n_tile, 2 * n_rows), np.float32)
        offset = np.zeros(most, np.int64)
        weight = np.zeros(most, np.float32)
        walk = np.zeros((n_tile, 7), np.float64)  # of each ray: source and slope, growth, distance, step
        planes = np.zeros((n_tile, 4), np.int64)  # its next and last plane, planes in a group, dominant axis
        for c_first in range(0, n_columns, TILE):
            c_end = min(c_first + TILE, n_columns)
            for c in range(c_first, c_end):
                for q in range(n_rays):  # near each other: they read much the same voxels
                    m = (c - c_first) * n_rays + q
                    w = v * n_rays + q
                    place = int(source[w, 5])
                    height = row[place]
                    v_reach_mm = max(abs(float(height[0])), abs(float(height[n_rows - 1])))
                    away = distance[place, c]
                    v_reach = v_reach_mm / (away * spacing[0])  # voxels climbed per millimetre, at most
                    cos_g = math.cos(column[place, c])
                    sin_g = math.sin(column[place, c])
                    x_mm = -cos_g * source[w, 3] - sin_g * source[w, 4]  # in-plane unit vector of the ray
                    y_mm = -cos_g * source[w, 4] + sin_g * source[w, 3]
                    along_x = abs(x_mm) * spacing[1] >= abs(y_mm) * spacing[2]
                    if along_x:
                        d1, d2 = x_mm / spacing[2], y_mm / spacing[1]
                        s1, s2 = source[w, 2], source[w, 1]
                        n1, n2 = n_x, n_y
                        minor_mm = spacing[1]
                    else:
                        d1, d2 = y_mm / spacing[1], x_mm / spacing[2]
                        s1, s2 = source[w, 1], source[w, 2]
                        n1, n2 = n_y, n_x
                        minor_mm = spacing[2]
                    step = 1.0 / abs(d1)  # millimetres of the in-plane ray per plane
                    slope = d2 / d1
                    # width of the cell in the minor axis, per millimetre from the source [voxels]
                    widening = cell[0] / (away * minor_mm * (abs(x_mm) if along_x else abs(y_mm)))
                    # planes whose interval meets the volume: 0 < t <= away and -1/2 - width/2 < p < n2 - 1/2 + width/2
                    first = 0
                    last = n1 - 1
                    if d1 > 0:
                        first = max(first, math.floor(s1) + 1)
                        last = min(last, math.floor(s1 + away * d1))
                    else:
                        last = min(last, math.ceil(s1) - 1)
                        first = max(first, math.ceil(s1 + away * d1))
                    margin = 0.5 + 0.5 * max(1.0, widening * away)
                    if abs(slope) > 1e-12:
                        a = s1 + (-margin - s2) / slope
                        b = s1 + (n2 - 1 + margin - s2) / slope
                        first = max(first, math.ceil(max(min(a, b), -1.0)))
                        last = min(last, math.floor(min(max(a, b), float(n1))))
                    elif s2 < -margin or s2 > n2 - 1 + margin:
                        last = first - 1
                    group = int(drift / (v_reach * step)) if v_reach * step * MAX_GROUP > drift else MAX_GROUP
                    group = max(group, 1)
                    walk[m, 0], walk[m, 1], walk[m, 2], walk[m, 3] = s1, s2, slope, d1
                    walk[m, 4], walk[m, 5], walk[m, 6] = widening / d1, away, step
                    planes[m, 0], planes[m, 1], planes[m, 2], planes[m, 3] = first, last, group, along_x
                    for r in range(2 * n_rows):
                        reading[m, r] = 0.0
            for block in range(0, max(n_x, n_y), BLOCK):
                for m in range((c_end - c_first) * n_rays):
                    begin, last, group = planes[m, 0], planes[m, 1], planes[m, 2]
                    stop = min(last, block + BLOCK - 1)
                    if begin > stop:
                        continue
                    w = v * n_rays + m % n_rays
                    z_source = source[w, 0]
                    height = row[int(source[w, 5])]
                    v_first = float(height[0])
                    v_last = float(height[n_rows - 1])
                    v_pitch = (v_last - v_first) / (n_rows - 1) if n_rows > 1 else 1.0
                    s1, s2, slope, d1 = walk[m, 0], walk[m, 1], walk[m, 2], walk[m, 3]
                    growth, away = walk[m, 4], walk[m, 5]
                    if planes[m, 3]:
                        n1, n2 = n_x, n_y
                        along, across, shift = n_x * n_z, n_z, 0
                    else:
                        n1, n2 = n_y, n_x
                        along, across, shift = n_z, n_x * n_z, n_x * n_y
                    while begin <= stop:
                        end = min(begin + group - 1, last)
                        t = (0.5 * (begin + end) - s1) / d1  # distance from the source, in the plane [mm]
                        per_mm = t / (away * spacing[0])  # voxels in z per millimetre of v
                        half = max(0.5, 0.5 * cell[1] * per_mm)
                        # rows whose interval meets the volume
                        r0 = 0
                        r1 = n_rows
                        if n_rows > 1:
                            low = ((-0.5 - half - z_source) / per_mm - v_first) / v_pitch
                            high = ((n_z - 0.5 + half - z_source) / per_mm - v_first) / v_pitch
                            r0 = int(min(max(math.ceil(low), 0.0), float(n_rows)))
                            r1 = int(max(min(math.floor(high) + 1.0, float(n_rows)), 0.0))
                        if r1 <= r0:
                            begin = end + 1
                            continue
                        z_low = z_source + per_mm * (v_first + r0 * v_pitch) - half
                        z_high = z_source + per_mm * (v_first + (r1 - 1) * v_pitch) + half
                        k0 = int(min(max(math.floor(z_low + 0.5), 0.0), float(n_z)))
                        k1 = int(max(min(math.floor(z_high + 0.5) + 1.0, float(n_z)), 0.0))
                        n = k1 - k0
                        if n <= 0:
                            begin = end + 1
                            continue
                        if n < LANES:
                            k0 = min(k0, n_z - LANES)
                            n = LANES
                        p = s2 + slope * (begin - s1) + 0.5
                        count = 0
                        for i in range(begin, end + 1):
                            wide = growth * (i - s1)
                            share = 1.0
                            if wide > 1.0:
                                share = 1.0 / wide
                            else:
                                wide = 1.0
                            low = max(p - 0.5 * wide, 0.0)
                            high = min(p + 0.5 * wide, float(n2))
                            p += slope
                            if high <= low:
                                continue
                            j0 = int(low)
                            j1 = min(int(high), n2 - 1)
                            at = i * across + j0 * along + k0
                            flag = shift + j0 * n1 + i
                            edge = low
                            for j in range(j0, j1 + 1):
                                upper = min(high, j + 1.0)
                                if occupied[flag]:
                                    offset[count] = at
                                    weight[count] = share * (upper - edge)
                                    count += 1
                                edge = upper
                                at += along
                                flag += n1
                        if count > 0:
                            _sum_group(volume, offset, weight, count, n, line)
                            rise = np.float32(per_mm)
                            start = np.float32(z_source - k0)
                            height_voxels = np.float32(2.0 * half)
                            if half <= 0.5:
                                _read_linear(line, n, start, rise, height, r0, r1, reading[m])
                            elif half <= 1.5:
                                _read_narrow(line, n, start, rise, height_voxels, height, r0, r1, reading[m])
                            else:
                                _read_wide(line, cumulative, n, start, rise, height_voxels, height, r0, r1, reading[m])
                        begin = end + 1
                    planes[m, 0] = begin
            for c in range(c_first, c_end):
                for q in range(n_rays):
                    m = (c - c_first) * n_rays + q
                    place = int(source[v * n_rays + q, 5])
                    away, step = walk[m, 5], walk[m, 6]
                    for r in range(n_rows):
                        slant = math.sqrt(1.0 + (row[place, r] / away) ** 2) * step * unit
                        out[n_densities * q, v, r, c] += np.float32(reading[m, 2 * r] * slant)
                        if two:
                            out[n_densities * q + 1, v, r, c] += np.float32(reading[m, 2 * r + 1] * slant)
