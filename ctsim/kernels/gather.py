"""First half of back projection: what filtered projections say about nodes along their rays, in all slices.

Volumes are (y, x, z) and projections (view, place, row), both with the running index of the inner loop last. A node
lies on the rays of one place of one view; in slice z it reads the mean over all rows that see the slice, a box of the
slice's thickness. As projections come as running sums over the rows, that is the difference of two readings whatever
the thickness. Where the box leaves the detector the part on it counts; beyond the outermost row their reading goes on.

Along a ray the row that sees a slice moves slowly. Nodes therefore stand only so close that the outermost rows move by
half a row from one to the next, several times fewer than voxels; :mod:`ctsim.kernels.spread` interpolates between them.

Circle: the row that sees height z at distance L from the source is z SDD / L, linear in 1 / L. Nodes stand equally
spaced in 1 / L, so that interpolation between them is exact wherever the readings are linear in v, and all views share
the rows and shares that a node reads.

Helix (WFBP: Stierstorfer et al., PMB 49:2209, 2004, doi:10.1088/0031-9155/49/11/007), for each direction theta in
[0, pi) over its half turns k:

    sum_k W(q_k) P(theta + k pi, p_k, v_k) / sum_k W(q_k),    q = v / v_max

with W = 1 for |q| <= 0.6, falling smoothly to 0 at |q| = 1; the fall is the cubic 1 - s^2 (3 - 2 s) in place of the
paper's cos^2 (they differ by at most 0.01, and any smooth fall is exact on constant data). Nodes are equally spaced in
millimetres, as the half turns see them from opposite sides.

Float policy: positions float64 per line, float32 along z; ``contract`` only; each thread owns its places.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

FULL_WEIGHT = np.float32(0.6)
"""Q: |q| up to which a ray counts fully (the value of the paper)."""


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def gather_circle(sums, view, fan, nodes, slices, row, distance, disc, sheet):
    """Overwrite ``sheet`` with what filtered fan-beam projections say about nodes of the plane, in all slices.

    sums      (B, Q, R + 1) float32  running sums over rows of filtered projections
    view      (B, 2)    float64  cos and sin of the view angle
    fan       (2,)      float64  fan angle of place 0 and pitch of places [rad]
    nodes     (2,)      float64  1 / L of node 0 and pitch of nodes [1/mm]
    slices    (3,)      float64  first slice over the source, slice spacing, thickness of the box [mm]
    row       (2,)      float64  lower edge of row 0 and row pitch [mm at the detector]
    distance  (2,)      float64  source to axis, source to detector [mm]
    disc      (3,)      float64  x and y of its middle from the axis, radius; nodes outside are left alone [mm]
    sheet     (B, Q, T, Z) float32  mean of the rows that see the slice
    """
    n_views, n_places, n_nodes, n_z = sheet.shape
    n_edges = sums.shape[2]
    last_row = n_edges - 2
    below = np.empty((n_nodes, n_z), np.uint32)
    above = np.empty((n_nodes, n_z), np.uint32)
    share_below = np.empty((n_nodes, n_z), np.float32)
    share_above = np.empty((n_nodes, n_z), np.float32)
    inverse = np.empty((n_nodes, n_z), np.float32)
    for j in range(n_nodes):
        rise = distance[1] * (nodes[0] + j * nodes[1]) / row[1]  # rows per millimetre of z
        half = 0.5 * slices[2] * rise
        for k in range(n_z):
            at = min(max((slices[0] + k * slices[1]) * rise - row[0] / row[1], 0.0), n_edges - 1.0)
            a, b = max(at - half, 0.0), min(at + half, n_edges - 1.0)
            row_a, row_b = min(np.int64(a), last_row), min(np.int64(b), last_row)
            below[j, k], above[j, k] = row_a, row_b
            share_below[j, k], share_above[j, k] = a - row_a, b - row_b
            inverse[j, k] = 1.0 / (b - a)
    for job in prange(n_views * n_places):
        w, q = job // n_places, job % n_places
        gamma = fan[0] + q * fan[1]
        # the ray from the source, in millimetres from the axis
        along_x = -math.cos(gamma) * view[w, 0] - math.sin(gamma) * view[w, 1]
        along_y = -math.cos(gamma) * view[w, 1] + math.sin(gamma) * view[w, 0]
        from_x = distance[0] * view[w, 0] - disc[0]
        from_y = distance[0] * view[w, 1] - disc[1]
        for j in range(n_nodes):
            length = 1.0 / (nodes[0] + j * nodes[1])
            if (from_x + length * along_x) ** 2 + (from_y + length * along_y) ** 2 > disc[2] * disc[2]:
                continue
            for k in range(n_z):
                i, m = below[j, k], above[j, k]
                low = sums[w, q, i] + share_below[j, k] * (sums[w, q, i + np.uint32(1)] - sums[w, q, i])
                high = sums[w, q, m] + share_above[j, k] * (sums[w, q, m + np.uint32(1)] - sums[w, q, m])
                sheet[w, q, j, k] = (high - low) * inverse[j, k]


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
