"""Back projection onto lines of voxels along z: fan beam from a circle, rebinned parallel beam from a helix.

Volumes are (y, x, z) and projections (view, place, row), both with the running index of the inner loop last: for each
(y, x) and view two neighbouring columns are blended once, then read along z. A voxel reads the mean over all rows that
see its slice, a box of the slice's thickness; as projections come as running sums over the rows, that is the difference
of two readings whatever the thickness. Where the box leaves the detector the part on it counts; beyond the outermost
row their reading goes on.

Fan beam (Feldkamp, Davis, Kress, JOSA A 1:612, 1984, doi:10.1364/JOSAA.1.000612; curved detector):

    f(x, y, z) += scale * Q(g, v) / L^2

Helix (WFBP: Stierstorfer et al., PMB 49:2209, 2004, doi:10.1088/0031-9155/49/11/007), for each direction theta in
[0, pi) over its half turns k:

    f(x, y, z) += scale * sum_k W(q_k) P(theta + k pi, p_k, v_k) / sum_k W(q_k),    q = v / v_max

with W = 1 for |q| <= 0.6, falling smoothly to 0 at |q| = 1; the fall is the cubic 1 - s^2 (3 - 2 s) in place of the
paper's cos^2 (they differ by at most 0.01, and any smooth fall is exact on constant data).

Float policy: positions float64 per line, float32 along z; ``contract`` only; each thread owns its lines of voxels.
"""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# ruff: noqa: ANN001, ANN201
from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

FULL_WEIGHT = np.float32(0.6)
"""Q: |q| up to which a ray counts fully (the value of the paper)."""


@register_jitable
def _blend(projection, place, line):
    """Overwrite ``line`` with the running sums over rows at a place between two columns."""
    n_places = projection.shape[0]
    q = min(max(math.floor(place), 0), n_places - 2)
    share = np.float32(min(max(place - q, 0.0), 1.0))
    near = projection[q]
    far = projection[q + 1]
    for r in range(line.size):
        line[r] = near[r] + share * (far[r] - near[r])


@register_jitable
def _windows(start, step, half, n, n_rows, low, low_share, high, high_share, per_row):
    """Row edges (whole and share) on either side of n boxes, and 1 / their width on the detector."""
    end = np.float32(n_rows)
    for i in range(n):
        middle = min(max(start + step * np.float32(i), np.float32(0.0)), end)
        a = max(middle - half, np.float32(0.0))
        b = min(middle + half, end)
        low[i] = min(np.int32(a), np.int32(n_rows - 1))
        high[i] = min(np.int32(b), np.int32(n_rows - 1))
        low_share[i] = a - np.float32(low[i])
        high_share[i] = b - np.float32(high[i])
        per_row[i] = np.float32(1.0) / (b - a)


@register_jitable
def _mean(line, low, low_share, high, high_share):
    """Running sum between two row edges."""
    a = line[low] + low_share * (line[low + 1] - line[low])
    return line[high] + high_share * (line[high + 1] - line[high]) - a


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def backproject_circle(sums, view, x_mm, y_mm, slices, fan, row, distance, radius, scale, out):
    """Add filtered fan-beam projections to ``out``.

    sums      (V, Q, R + 1) float32  running sums of the filtered projections over rows
    view      (V, 2)    float64  cos and sin of the view angle
    x_mm      (X,)      float64  from the axis [mm]
    y_mm      (Y,)      float64  from the axis [mm]
    slices    (3,)      float64  first slice over the source, slice spacing, thickness of the box [mm]
    fan       (2,)      float64  fan angle of place 0 and pitch of places [rad]
    row       (2,)      float64  lower edge of row 0 and row pitch [mm at the detector]
    distance  (2,)      float64  source to axis, source to detector [mm]
    radius             float64  of the field of view; voxels outside are left alone [mm]
    scale              float64
    out       (Y, X, Z) float32
    """
    n_views, _, n_edges = sums.shape
    n_y, n_x, n_z = out.shape
    for y in prange(n_y):
        line = np.empty(n_edges, np.float32)
        low, high = np.empty(n_z, np.int32), np.empty(n_z, np.int32)
        low_share, high_share = np.empty(n_z, np.float32), np.empty(n_z, np.float32)
        per_row = np.empty(n_z, np.float32)
        for x in range(n_x):
            if x_mm[x] ** 2 + y_mm[y] ** 2 > radius * radius:
                continue
            voxels = out[y, x]
            for w in range(n_views):
                radial = distance[0] - (x_mm[x] * view[w, 0] + y_mm[y] * view[w, 1])
                lateral = -x_mm[x] * view[w, 1] + y_mm[y] * view[w, 0]
                square = radial * radial + lateral * lateral
                _blend(sums[w], (math.atan2(lateral, radial) - fan[0]) / fan[1], line)
                rise = distance[1] / math.sqrt(square) / row[1]  # rows per millimetre of z
                start = np.float32(slices[0] * rise - row[0] / row[1])
                half = np.float32(0.5 * slices[2] * rise)
                _windows(
                    start, np.float32(slices[1] * rise), half, n_z, n_edges - 1,
                    low, low_share, high, high_share, per_row,
                )  # fmt: skip
                weight = np.float32(scale / square)
                for k in range(n_z):
                    voxels[k] += weight * per_row[k] * _mean(line, low[k], low_share[k], high[k], high_share[k])


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def backproject_helix(
    sums, turn, source_z, direction, x_mm, y_mm, slices, place, row, distance, feed, radius, scale, out, seen
):
    """Add filtered parallel projections of a helix to ``out``, and count the directions that each voxel saw.

    sums       (N, Q, R + 1) float32  running sums of the filtered projections over rows
    turn       (B, K)    int64    index n of direction b in half turn k, or -1 where the scan has none
    source_z   (B, K)    float64  source z at view angle theta [mm]
    direction  (B, K, 2) float64  cos and sin of theta
    x_mm       (X,)      float64  from the axis [mm]
    y_mm       (Y,)      float64  from the axis [mm]
    slices     (3,)      float64  z of slice 0, slice spacing, thickness of the box [mm]
    place      (2,)      float64  signed distance p of place 0 and pitch of places [mm]
    row        (2,)      float64  lower edge of row 0 and row pitch [mm at the detector]
    distance   (2,)      float64  source to axis, source to detector [mm]
    feed               float64  of the table per radian [mm]
    radius             float64  of the field of view; voxels outside are left alone [mm]
    scale              float64
    out        (Y, X, Z) float32
    seen       (Y, X, Z) uint16
    """
    _, n_places, n_edges = sums.shape
    n_directions, n_turns = turn.shape
    n_y, n_x, n_z = out.shape
    v_max = 0.5 * (n_edges - 1) * row[1]
    middle = row[0] + v_max
    slope = np.float32(1.0) / (np.float32(1.0) - FULL_WEIGHT)
    for y in prange(n_y):
        line = np.empty(n_edges, np.float32)
        low, high = np.empty(n_z, np.int32), np.empty(n_z, np.int32)
        low_share, high_share = np.empty(n_z, np.float32), np.empty(n_z, np.float32)
        per_row = np.empty(n_z, np.float32)
        weight = np.empty(n_z, np.float32)
        total = np.zeros(n_z, np.float32)
        weights = np.zeros(n_z, np.float32)
        for x in range(n_x):
            if x_mm[x] ** 2 + y_mm[y] ** 2 > radius * radius:
                continue
            voxels = out[y, x]
            count = seen[y, x]
            for b in range(n_directions):
                first = n_z
                last = 0
                for k in range(n_turns):
                    n = turn[b, k]
                    if n < 0:
                        continue
                    cos_t, sin_t = direction[b, k, 0], direction[b, k, 1]
                    p = y_mm[y] * cos_t - x_mm[x] * sin_t
                    where = (p - place[0]) / place[1]
                    if where < 0.0 or where > n_places - 1:
                        continue
                    length = math.sqrt(distance[0] ** 2 - p * p) - x_mm[x] * cos_t - y_mm[y] * sin_t
                    rise = distance[1] / (length * row[1])  # rows per millimetre of z
                    z_source = source_z[b, k] + feed * math.asin(p / distance[0])
                    z_middle = z_source + middle / (rise * row[1])
                    reach = v_max / (rise * row[1])
                    k0 = max(math.ceil((z_middle - reach - slices[0]) / slices[1]), 0)
                    k1 = min(math.floor((z_middle + reach - slices[0]) / slices[1]) + 1, n_z)
                    if k1 <= k0:
                        continue
                    _blend(sums[n], where, line)
                    m = k1 - k0
                    above = slices[0] + k0 * slices[1] - z_middle
                    start = np.float32(above * rise + v_max / row[1])
                    half = np.float32(0.5 * slices[2] * rise)
                    _windows(
                        start, np.float32(slices[1] * rise), half, m, n_edges - 1,
                        low, low_share, high, high_share, per_row,
                    )  # fmt: skip
                    q = np.float32(above / reach)
                    q_step = np.float32(slices[1] / reach)
                    for i in range(m):
                        s = (abs(q + q_step * np.float32(i)) - FULL_WEIGHT) * slope
                        s = min(max(s, np.float32(0.0)), np.float32(1.0))
                        weight[i] = np.float32(1.0) - s * s * (np.float32(3.0) - np.float32(2.0) * s)
                        per_row[i] *= weight[i]
                    part = total[k0:k1]
                    part_weights = weights[k0:k1]
                    for i in range(m):
                        part_weights[i] += weight[i]
                    for i in range(m):
                        part[i] += per_row[i] * _mean(line, low[i], low_share[i], high[i], high_share[i])
                    first = min(first, k0)
                    last = max(last, k1)
                for i in range(first, last):
                    good = weights[i] > np.float32(1e-6)
                    voxels[i] += np.float32(scale) * total[i] / weights[i] if good else np.float32(0.0)
                    count[i] += np.uint16(1) if good else np.uint16(0)
                    total[i] = 0.0
                    weights[i] = 0.0
