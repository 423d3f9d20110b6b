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
paper's cos^2 (they differ by at most 0.01, and any smooth fall is exact on constant data). The weighted mean over the
half turns varies slowly along a ray. It is therefore worked at nodes: every place p, but along the ray only so often
that the outermost rows move by half a row from node to node; voxels interpolate between four nodes, whole lines of z at
a time. That needs several times fewer of the expensive readings than one per voxel.

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
def _blend(sums, n, place, line):
    """Overwrite ``line`` with the running sums over rows of projection n at a place between two columns."""
    q = min(max(math.floor(place), 0), sums.shape[1] - 2)
    share = np.float32(min(max(place - q, 0.0), 1.0))
    near = sums[n, q]
    far = sums[n, q + 1]
    for r in range(line.size):
        line[r] = near[r] + share * (far[r] - near[r])


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
    end = np.float32(n_edges - 1)
    last_row = np.int32(n_edges - 2)
    for y in prange(n_y):
        line = np.empty(n_edges, np.float32)
        for x in range(n_x):
            if x_mm[x] ** 2 + y_mm[y] ** 2 > radius * radius:
                continue
            voxels = out[y, x]
            for w in range(n_views):
                radial = distance[0] - (x_mm[x] * view[w, 0] + y_mm[y] * view[w, 1])
                lateral = -x_mm[x] * view[w, 1] + y_mm[y] * view[w, 0]
                square = radial * radial + lateral * lateral
                _blend(sums, w, (math.atan2(lateral, radial) - fan[0]) / fan[1], line)
                rise = distance[1] / math.sqrt(square) / row[1]  # rows per millimetre of z
                start = np.float32(slices[0] * rise - row[0] / row[1])
                step = np.float32(slices[1] * rise)
                half = np.float32(0.5 * slices[2] * rise)
                weight = np.float32(scale / square)
                for k in range(n_z):
                    at = min(max(start + step * np.float32(k), np.float32(0.0)), end)
                    a = max(at - half, np.float32(0.0))
                    b = min(at + half, end)
                    row_a, row_b = min(np.int32(a), last_row), min(np.int32(b), last_row)
                    i_a, i_b = np.uint32(row_a), np.uint32(row_b)
                    low, high = line[i_a], line[i_b]
                    low += (a - np.float32(row_a)) * (line[i_a + np.uint32(1)] - low)
                    high += (b - np.float32(row_b)) * (line[i_b + np.uint32(1)] - high)
                    voxels[k] += weight * (high - low) / (b - a)


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def gather_directions(
    sums, turn, source_z, half_turn, slices, place, nodes, row, distance, feed, radius, sheet, is_unseen
):
    """Overwrite ``sheet`` with what the half turns of each direction say about nodes of the plane, in all slices.

    sums       (N, Q, R + 1) float32  running sums over rows of filtered parallel projections
    turn       (B, K)    int64    index n of direction b in half turn k, or -1 where the scan has none
    source_z   (B, K)    float64  source z at view angle theta [mm]
    half_turn  (K,)      float64  1 for whole turns, -1 for half turns away
    slices     (3,)      float64  z of slice 0, slice spacing, thickness of the box [mm]
    place      (2,)      float64  signed distance p of place 0 and pitch of places [mm]
    nodes      (2,)      float64  place t along the ray, from the axis, of node 0 and pitch of nodes [mm]
    row        (2,)      float64  lower edge of row 0 and row pitch [mm at the detector]
    distance   (2,)      float64  source to axis, source to detector [mm]
    feed               float64  of the table per radian [mm]
    radius             float64  nodes farther out are not worked [mm]
    sheet      (B, Q, T, Z) float32  weighted mean of the rays through (p, t, z); NaN where no ray passes
    is_unseen  (B, Q)    bool     whether a node of the place has a NaN
    """
    _, n_places, n_edges = sums.shape
    n_directions, n_turns = turn.shape
    n_nodes, n_z = sheet.shape[2], sheet.shape[3]
    v_max = 0.5 * (n_edges - 1) * row[1]
    middle = row[0] + v_max
    end = np.float32(n_edges - 1)
    last_row = np.int32(n_edges - 2)
    slope = np.float32(1.0) / (np.float32(1.0) - FULL_WEIGHT)
    for job in prange(n_directions * n_places):
        d, q = job // n_places, job % n_places
        total = np.zeros(n_z, np.float32)
        weights = np.zeros(n_z, np.float32)
        p_0 = place[0] + q * place[1]
        to_axis = math.sqrt(distance[0] ** 2 - p_0 * p_0)
        climb = feed * math.asin(p_0 / distance[0])
        missing = False
        for node in range(n_nodes):
            along = nodes[0] + node * nodes[1]
            if p_0 * p_0 + along * along > radius * radius:
                continue
            for k in range(n_turns):
                n = turn[d, k]
                # the ray (theta + pi, p) is the ray (theta, -p)
                where = (half_turn[k] * p_0 - place[0]) / place[1]
                if n < 0 or where < 0.0 or where > n_places - 1:
                    continue
                rise = distance[1] / ((to_axis - half_turn[k] * along) * row[1])  # rows per millimetre of z
                reach = v_max / (rise * row[1])
                z_middle = source_z[d, k] + half_turn[k] * climb + middle / (rise * row[1])
                k0 = max(math.ceil((z_middle - reach - slices[0]) / slices[1]), 0)
                k1 = min(math.floor((z_middle + reach - slices[0]) / slices[1]) + 1, n_z)
                left = min(np.int64(where + 1e-4), n_places - 2)
                share = np.float32(where - left)
                above = slices[0] + k0 * slices[1] - z_middle
                start = np.float32(above * rise + v_max / row[1])
                step = np.float32(slices[1] * rise)
                half = np.float32(0.5 * slices[2] * rise)
                start_q = np.float32(above / reach)
                step_q = np.float32(slices[1] / reach)
                near, far = sums[n, left], sums[n, left + 1]
                for i in range(k1 - k0):
                    at = start + step * np.float32(i)
                    a = max(at - half, np.float32(0.0))
                    b = min(at + half, end)
                    row_a, row_b = min(np.int32(a), last_row), min(np.int32(b), last_row)
                    share_a, share_b = a - np.float32(row_a), b - np.float32(row_b)
                    i_a, i_b = np.uint32(row_a), np.uint32(row_b)
                    j_a, j_b = i_a + np.uint32(1), i_b + np.uint32(1)
                    value = near[i_b] + share_b * (near[j_b] - near[i_b])
                    value -= near[i_a] + share_a * (near[j_a] - near[i_a])
                    if share > np.float32(1e-4):
                        other = far[i_b] + share_b * (far[j_b] - far[i_b])
                        other -= far[i_a] + share_a * (far[j_a] - far[i_a])
                        value += share * (other - value)
                    s = (abs(start_q + step_q * np.float32(i)) - FULL_WEIGHT) * slope
                    s = min(max(s, np.float32(0.0)), np.float32(1.0))
                    weight = np.float32(1.0) - s * s * (np.float32(3.0) - np.float32(2.0) * s)
                    at_slice = np.uint64(k0 + i)
                    total[at_slice] += weight * value / (b - a)
                    weights[at_slice] += weight
            line = sheet[d, q, node]
            for i in range(n_z):
                if weights[i] > np.float32(1e-6):
                    line[i] = total[i] / weights[i]
                else:
                    line[i] = np.nan
                    missing = True
                total[i] = 0.0
                weights[i] = 0.0
        is_unseen[d, q] = missing


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def spread_directions(sheet, is_unseen, direction, x_mm, y_mm, place, nodes, radius, scale, out, missed):
    """Add the sheets of some directions to the volume, interpolated between their nodes.

    sheet      (B, Q, T, Z) float32  of :func:`gather_directions`
    is_unseen  (B,)      bool     whether a sheet has NaN
    direction  (B, 2)    float64  cos and sin of theta
    x_mm       (X,)      float64  from the axis [mm]
    y_mm       (Y,)      float64  from the axis [mm]
    place      (2,)      float64  signed distance p of place 0 and pitch of places [mm]
    nodes      (2,)      float64  place t of node 0 and pitch of nodes [mm]
    radius             float64  of the field of view; voxels outside are left alone [mm]
    scale              float64
    out        (Y, X, Z) float32
    missed     (Y, X, Z) uint16   directions in which no ray passes through the voxel, added to
    """
    n_directions, n_places, n_nodes, _ = sheet.shape
    n_y, n_x, n_z = out.shape
    for y in prange(n_y):
        for x in range(n_x):
            if x_mm[x] ** 2 + y_mm[y] ** 2 > radius * radius:
                continue
            voxels = out[y, x]
            for d in range(n_directions):
                p = (y_mm[y] * direction[d, 0] - x_mm[x] * direction[d, 1] - place[0]) / place[1]
                t = (x_mm[x] * direction[d, 0] + y_mm[y] * direction[d, 1] - nodes[0]) / nodes[1]
                i = min(max(np.int64(p), 0), n_places - 2)
                j = min(max(np.int64(t), 0), n_nodes - 2)
                p_share, t_share = p - i, t - j
                w00 = np.float32(scale * (1.0 - p_share) * (1.0 - t_share))
                w01 = np.float32(scale * (1.0 - p_share) * t_share)
                w10 = np.float32(scale * p_share * (1.0 - t_share))
                w11 = np.float32(scale * p_share * t_share)
                v00, v01, v10, v11 = sheet[d, i, j], sheet[d, i, j + 1], sheet[d, i + 1, j], sheet[d, i + 1, j + 1]
                if is_unseen[d]:
                    for z in range(n_z):
                        value = w00 * v00[z] + w01 * v01[z] + w10 * v10[z] + w11 * v11[z]
                        if value == value:
                            voxels[z] += value
                        else:
                            missed[y, x, z] += np.uint16(1)
                else:
                    for z in range(n_z):
                        voxels[z] += w00 * v00[z] + w01 * v01[z] + w10 * v10[z] + w11 * v11[z]
