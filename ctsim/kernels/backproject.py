"""Back projection onto lines of voxels along z: fan beam from a circle, rebinned parallel beam from a helix.

Volumes are (y, x, z) and projections (view, place, row), both with the running index of the inner loop last: for each
(y, x) and view two neighbouring columns are blended once, then read along z by linear interpolation between rows. Over
half a row beyond the outermost rows' centres their value goes on.

Fan beam (Feldkamp, Davis, Kress, JOSA A 1:612, 1984, doi:10.1364/JOSAA.1.000612; curved detector):

    f(x, y, z) += scale * Q(g, v) / L^2

Helix (WFBP: Stierstorfer et al., PMB 49:2209, 2004, doi:10.1088/0031-9155/49/11/007), for each direction theta in
[0, pi) over its half turns k:

    f(x, y, z) += scale * sum_k W(q_k) P(theta + k pi, p_k, v_k) / sum_k W(q_k),    q = v / (half height of the detector)

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
    """Overwrite line[1:-1] with the rows at a place between two columns; the outermost rows go on in line[0], [-1]."""
    n_places, n_rows = projection.shape
    q = min(max(math.floor(place), 0), n_places - 2)
    share = np.float32(min(max(place - q, 0.0), 1.0))
    near = projection[q]
    far = projection[q + 1]
    for r in range(n_rows):
        line[r + 1] = near[r] + share * (far[r] - near[r])
    line[0] = line[1]
    line[n_rows + 1] = line[n_rows]


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def backproject_circle(filtered, view, x_mm, y_mm, first_z, z_step, fan, row, distance, radius, scale, out):
    """Add filtered fan-beam projections to ``out``.

    filtered  (V, Q, R) float32
    view      (V, 2)    float64  cos and sin of the view angle
    x_mm      (X,)      float64  from the axis [mm]
    y_mm      (Y,)      float64  from the axis [mm]
    first_z            float64  of the first slice over the source [mm]
    z_step             float64  [mm]
    fan       (2,)     float64  fan angle of place 0 and pitch of places [rad]
    row       (2,)     float64  height of row 0 and row pitch [mm at the detector]
    distance  (2,)     float64  source to axis, source to detector [mm]
    radius             float64  of the field of view; voxels outside are left alone [mm]
    scale              float64
    out       (Y, X, Z) float32
    """
    n_views, _, n_rows = filtered.shape
    n_y, n_x, n_z = out.shape
    top = np.float32(n_rows) + np.float32(0.999)
    for y in prange(n_y):
        line = np.empty(n_rows + 2, np.float32)
        for x in range(n_x):
            if x_mm[x] ** 2 + y_mm[y] ** 2 > radius * radius:
                continue
            voxels = out[y, x]
            for w in range(n_views):
                radial = distance[0] - (x_mm[x] * view[w, 0] + y_mm[y] * view[w, 1])
                lateral = -x_mm[x] * view[w, 1] + y_mm[y] * view[w, 0]
                square = radial * radial + lateral * lateral
                _blend(filtered[w], (math.atan2(lateral, radial) - fan[0]) / fan[1], line)
                rise = distance[1] / math.sqrt(square) / row[1]  # rows per millimetre of z
                start = np.float32(first_z * rise - row[0] / row[1] + 1.0)
                step = np.float32(z_step * rise)
                weight = np.float32(scale / square)
                for k in range(n_z):
                    place = min(max(start + step * np.float32(k), np.float32(0.0)), top)
                    i = np.int32(place)
                    share = place - np.float32(i)
                    voxels[k] += weight * (line[i] + share * (line[i + 1] - line[i]))


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def backproject_helix(
    filtered, turn, source_z, direction, x_mm, y_mm, z_mm, place, row, distance, feed, radius, scale, out, seen
):
    """Add filtered parallel projections of a helix to ``out``, and count the directions that each voxel saw.

    filtered   (N, Q, R) float32
    turn       (B, K)    int64    index n of direction b in half turn k, or -1 where the scan has none
    source_z   (B, K)    float64  source z at view angle theta [mm]
    direction  (B, K, 2) float64  cos and sin of theta
    x_mm       (X,)      float64  from the axis [mm]
    y_mm       (Y,)      float64  from the axis [mm]
    z_mm       (2,)      float64  of slice 0, and slice spacing [mm]
    place      (2,)      float64  signed distance p of place 0 and pitch of places [mm]
    row        (2,)      float64  height of row 0 and row pitch [mm at the detector]
    distance   (2,)      float64  source to axis, source to detector [mm]
    feed               float64  of the table per radian [mm]
    radius             float64  of the field of view; voxels outside are left alone [mm]
    scale              float64
    out        (Y, X, Z) float32
    seen       (Y, X, Z) uint16
    """
    _, n_places, n_rows = filtered.shape
    n_directions, n_turns = turn.shape
    n_y, n_x, n_z = out.shape
    half = 0.5 * n_rows * row[1]  # half height of the detector
    top = np.float32(n_rows) + np.float32(0.999)
    slope = np.float32(1.0) / (np.float32(1.0) - FULL_WEIGHT)
    for y in prange(n_y):
        line = np.empty(n_rows + 2, np.float32)
        total = np.zeros(n_z, np.float32)
        weights = np.zeros(n_z, np.float32)
        weight = np.empty(n_z, np.float32)
        share = np.empty(n_z, np.float32)
        index = np.empty(n_z, np.int32)
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
                    length = math.sqrt(distance[0] ** 2 - p * p) - x_mm[x] * cos_t - y_mm[y] * sin_t
                    z_source = source_z[b, k] + feed * math.asin(p / distance[0])
                    reach = half * length / distance[1]
                    k0 = max(math.ceil((z_source - reach - z_mm[0]) / z_mm[1]), 0)
                    k1 = min(math.floor((z_source + reach - z_mm[0]) / z_mm[1]) + 1, n_z)
                    if k1 <= k0:
                        continue
                    where = (p - place[0]) / place[1]
                    if where < 0.0 or where > n_places - 1:
                        continue
                    _blend(filtered[n], where, line)
                    rise = distance[1] / (length * row[1])  # rows per millimetre of z
                    origin = (z_mm[0] + k0 * z_mm[1] - z_source) * rise
                    start = np.float32(origin - row[0] / row[1] + 1.0)
                    start_q = np.float32(origin * row[1] / half)
                    step = np.float32(z_mm[1] * rise)
                    step_q = np.float32(z_mm[1] * rise * row[1] / half)
                    m = k1 - k0
                    for i in range(m):
                        at = min(max(start + step * np.float32(i), np.float32(0.0)), top)
                        row_index = np.int32(at)
                        index[i] = row_index
                        share[i] = at - np.float32(row_index)
                        s = (abs(start_q + step_q * np.float32(i)) - FULL_WEIGHT) * slope
                        s = min(max(s, np.float32(0.0)), np.float32(1.0))
                        weight[i] = np.float32(1.0) - s * s * (np.float32(3.0) - np.float32(2.0) * s)
                    part = total[k0:k1]
                    part_weights = weights[k0:k1]
                    for i in range(m):
                        j = index[i]
                        part[i] += weight[i] * (line[j] + share[i] * (line[j + 1] - line[j]))
                    for i in range(m):
                        part_weights[i] += weight[i]
                    first = min(first, k0)
                    last = max(last, k1)
                for i in range(first, last):
                    good = weights[i] > np.float32(1e-6)
                    voxels[i] += np.float32(scale) * total[i] / weights[i] if good else np.float32(0.0)
                    count[i] += np.uint16(1) if good else np.uint16(0)
                    total[i] = 0.0
                    weights[i] = 0.0
