"""Line integrals of a voxel volume for a third-generation scanner: one in-plane walk shared by all detector rows.

Of every reading the kernel computes the line integral, averaged over the reading's cell:

    out[v, r, c] += sum_i  step * sum_j a_ij * sum_k b_rk(t_i) * density[y, x, k]

The in-plane ray of (view v, column c) steps through the planes i of its dominant axis (Joseph, IEEE TMI 1:192, 1982,
doi:10.1109/TMI.1982.4307572). In plane i it covers an interval of the other axis, and in z every row covers another
one; ``a`` and ``b`` are the shares of the voxels in these intervals. An interval is as wide as the detector cell seen
from the source at that distance (as in De Man & Basu, PMB 49:2463, 2004, doi:10.1088/0031-9155/49/11/024), but never
narrower than a voxel: at one voxel the average is linear interpolation, so that cells finer than voxels give Joseph's
method and coarser cells are averaged without gaps. Outside the volume is vacuum.

Two things make it fast. (1) z is the last axis, so that all rows of a column share the walk, and the sum over j runs
over contiguous memory. (2) Over a few successive planes the rays of the rows climb by less than ``drift`` voxels:
their z lines are summed first and read out by the rows once, at the middle of the group.

Float policy: float32 stored, positions in float64; ``contract`` only (fused multiply-add), sums keep their order, so
the same bytes come for any number of threads. Each (view, column) writes only its own readings.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange, types
from numba.extending import overload, register_jitable

MAX_GROUP = 16


def _low(word):
    """First density of a stored voxel."""
    raise NotImplementedError


@overload(_low, inline="always")
def _low_overload(word):
    if isinstance(word, types.Integer):
        return lambda word: np.float32(np.int32(word) & np.int32(0xFFFF))
    return lambda word: word


def _high(word):
    """Second density of a stored voxel; none where voxels hold one number."""
    raise NotImplementedError


@overload(_high, inline="always")
def _high_overload(word):
    if isinstance(word, types.Integer) and word.bitwidth == 32:
        return lambda word: np.float32((np.int32(word) >> np.int32(16)) & np.int32(0xFFFF))
    return lambda word: np.float32(0.0)  # noqa: ARG005


@register_jitable
def _add_pair(line, near, far, a, b, two):
    """Add a * near + b * far to the z lines of both densities."""
    n = near.size
    first, second = line[0], line[1]
    for k in range(n):
        first[k + 1] += a * _low(near[k]) + b * _low(far[k])
    if two:
        for k in range(n):
            second[k + 1] += a * _high(near[k]) + b * _high(far[k])


@register_jitable
def _add_one(line, near, a, two):
    """Add a * near to the z lines of both densities."""
    n = near.size
    first, second = line[0], line[1]
    for k in range(n):
        first[k + 1] += a * _low(near[k])
    if two:
        for k in range(n):
            second[k + 1] += a * _high(near[k])


@register_jitable
def _read_linear(line, n, start, slope, v, r0, r1, reading):
    """Rows r0..r1 read the z line by linear interpolation; line[0] and line[n + 1] are zero."""
    top = np.float32(n + 1)
    for r in range(r1 - r0):
        z = min(max(start + slope * v[r0 + r], np.float32(0.0)), top)
        k = min(np.int32(z), np.int32(n))
        share = z - np.float32(k)
        reading[r0 + r] += line[k] + share * (line[k + 1] - line[k])


@register_jitable
def _read_box(line, cumulative, n, start, slope, half, v, r0, r1, reading):
    """Rows r0..r1 read the mean of the z line over start + slope v -+ half, in voxel edges from the line's start."""
    total = np.float32(0.0)
    cumulative[0] = total
    for k in range(n):
        total += line[k + 1]
        cumulative[k + 1] = total
    top = np.float32(n)
    scale = np.float32(0.5) / half
    for r in range(r1 - r0):
        z = start + slope * v[r0 + r]
        low = min(max(z - half, np.float32(0.0)), top)
        high = min(max(z + half, np.float32(0.0)), top)
        i = min(np.int32(low), np.int32(n - 1))
        j = min(np.int32(high), np.int32(n - 1))
        inside = cumulative[j] - cumulative[i]
        inside += (high - np.float32(j)) * line[j + 1] - (low - np.float32(i)) * line[i + 1]
        reading[r0 + r] += scale * inside


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def project(volume, spacing, source, column, row, cell, distance, drift, unit, out):
    """Add the cell-averaged line integrals of ``volume`` to ``out``.

    volume    (Y, X, Z)          int32: two uint16 densities, low and high half; uint16 or float32: one
    spacing   (3,)      float64  voxel size along z, y, x [mm]
    source    (V, 6)    float64  source in voxel indices (z, y, x); cos, sin of the view angle; place k of the spot
    column    (K, C)    float64  fan angle of the columns as the spot at place k sees them [rad]
    row       (K, R)    float32  height of the rows above the spot, growing, equally spaced [mm at the detector]
    cell      (2,)      float64  column pitch, row pitch [mm at the detector]
    distance  (K, C)    float64  spot to the columns, in the plane [mm]
    drift              float64  how far a group of planes may carry a row in z [voxels]
    unit               float64  of one stored unit times one millimetre, e.g. 0.1 g/cm2 times the density step
    out       (M, V, R, C) float32, M = 1 or 2: added to
    """
    n_y, n_x, n_z = volume.shape
    n_out, n_views, n_rows, n_columns = out.shape
    two = n_out == 2
    occupied = np.zeros((n_y, n_x), np.bool_)  # columns of voxels that hold anything: the others are stepped over
    for y in prange(n_y):
        for x in range(n_x):
            for k in range(n_z):
                if volume[y, x, k] != 0:
                    occupied[y, x] = True
                    break
    for w in prange(n_views):
        line = np.zeros((2, n_z + 2), np.float32)
        cumulative = np.zeros(n_z + 1, np.float32)
        reading = np.zeros((2, n_rows), np.float32)
        z_source = source[w, 0]
        place = int(source[w, 5])
        height = row[place]
        v_first = float(height[0])
        v_last = float(height[n_rows - 1])
        v_pitch = (v_last - v_first) / (n_rows - 1) if n_rows > 1 else 1.0
        for c in range(n_columns):
            away = distance[place, c]
            v_reach = max(abs(v_first), abs(v_last)) / (away * spacing[0])  # voxels climbed per millimetre, at most
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
                continue
            if last < first:
                continue
            group = int(drift / (v_reach * step)) if v_reach * step * MAX_GROUP > drift else MAX_GROUP
            group = max(group, 1)
            reading[:] = 0
            begin = first
            while begin <= last:
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
                for k in range(n + 2):
                    line[0, k] = 0
                    line[1, k] = 0
                touched = False
                for i in range(begin, end + 1):
                    width = max(1.0, widening * (i - s1) / d1)
                    p = s2 + slope * (i - s1) + 0.5
                    low = max(p - 0.5 * width, 0.0)
                    high = min(p + 0.5 * width, float(n2))
                    if high <= low:
                        continue
                    scale = 1.0 / width
                    j0 = int(low)
                    j1 = min(int(high), n2 - 1)
                    if j1 == j0 + 1:
                        if along_x:
                            if not (occupied[j0, i] or occupied[j1, i]):
                                continue
                        elif not (occupied[i, j0] or occupied[i, j1]):
                            continue
                        touched = True
                        a = np.float32(scale * (j1 - low))
                        b = np.float32(scale * (high - j1))
                        if along_x:
                            _add_pair(line, volume[j0, i, k0:k1], volume[j1, i, k0:k1], a, b, two)
                        else:
                            _add_pair(line, volume[i, j0, k0:k1], volume[i, j1, k0:k1], a, b, two)
                    else:
                        for j in range(j0, j1 + 1):
                            if not (occupied[j, i] if along_x else occupied[i, j]):
                                continue
                            touched = True
                            a = np.float32(scale * (min(high, j + 1.0) - max(low, float(j))))
                            if along_x:
                                _add_one(line, volume[j, i, k0:k1], a, two)
                            else:
                                _add_one(line, volume[i, j, k0:k1], a, two)
                if not touched:
                    begin = end + 1
                    continue
                rise = np.float32(per_mm)
                if half > 0.5:
                    start = np.float32(z_source + 0.5 - k0)
                    wide = np.float32(half)
                    _read_box(line[0], cumulative, n, start, rise, wide, height, r0, r1, reading[0])
                    if two:
                        _read_box(line[1], cumulative, n, start, rise, wide, height, r0, r1, reading[1])
                else:
                    start = np.float32(z_source + 1.0 - k0)
                    _read_linear(line[0], n, start, rise, height, r0, r1, reading[0])
                    if two:
                        _read_linear(line[1], n, start, rise, height, r0, r1, reading[1])
                begin = end + 1
            for r in range(n_rows):
                slant = math.sqrt(1.0 + (height[r] / away) ** 2) * step * unit
                out[0, w, r, c] += np.float32(reading[0, r] * slant)
                if two:
                    out[1, w, r, c] += np.float32(reading[1, r] * slant)
