"""First half of back projection: what filtered projections say about nodes along their rays, in all slices.

Volumes are (y, x, z) and projections (direction, place, row), both with the running index of the inner loop last. A
node lies on the rays of one place of one direction; in slice z it reads the mean over all rows that see the slice, a
box of the slice's thickness. As projections come as running sums over the rows, that is the difference of two readings
whatever the thickness. Where the box leaves the detector the part on it counts.

Along a ray the row that sees a slice moves slowly. Nodes therefore stand far apart, several times fewer than voxels;
:mod:`ctsim.kernels.spread` interpolates between them.

A direction theta in [0, pi) is seen by several sets of rays k: half turns, rotations at rest, heights of the focal
spot, each with its own source (weighted filtered back projection: Stierstorfer et al., PMB 49:2209, 2004,
doi:10.1088/0031-9155/49/11/007; for a rotation at rest this is the parallel-rebinned Feldkamp method of Grass, Koehler
and Proksa, PMB 45:329, 2000, doi:10.1088/0031-9155/45/2/306, with opposite rays weighted):

    sum_k W(q_k) P_k(theta, p, v_k) / sum_k W(q_k),    q = v / v_max

with W = 1 for |q| <= 0.6, falling smoothly to 0 at |q| = 1; the fall is the cubic 1 - s^2 (3 - 2 s) in place of the
paper's cos^2 (they differ by at most 0.01, and any smooth fall is exact on constant data). On demand W does not fall
below a floor up to some |q| beyond 1, where the outermost row's reading goes on: such rays count only for voxels that
no other ray of their direction passes.

Float policy: positions float64 per line, float32 along z; ``contract`` only; each thread owns its places.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

FULL_WEIGHT = np.float32(0.6)
"""Q: |q| up to which a ray counts fully (the value of the paper)."""

LEAST_WEIGHT = np.float32(1e-3)
"""Floor of W where rays beyond the outermost row count (design choice: 0.1 % of a full one)."""


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def gather_directions(
    sums, turn, source_z, half_turn, fan, to_axis, climb, cell_distance, bottom, row_pitch, beyond,
    slices, place, first_place, node_pitch, first_node, direction, disc, sheet, is_unseen,
):  # fmt: skip
    """Overwrite ``sheet`` with what the sets of rays of each direction say about nodes of the plane, in all slices.

    sums           (N, Q, R + 1) float32  running sums over rows of filtered parallel projections
    turn           (B, K)    int64    index n of direction b in set k, or -1 where the scan has none
    source_z       (B, K)    float64  source z at view angle theta (or theta + pi) [mm]
    half_turn      (K,)      float64  1 for sources on the side of theta, -1 for those opposite
    fan            (K,)      int64    fan j of the set
    to_axis        (J, Q)    float64  from the source to the ray's nearest point to the axis [mm]
    climb          (J, Q)    float64  of the source above source_z when it sends the ray of a place [mm]
    cell_distance  (J, Q)    float64  from the source to the cells, in the plane [mm]
    bottom         (J,)      float64  lower edge of row 0 above the source [mm at the detector]
    row_pitch                float64  [mm at the detector]
    beyond                   float64  largest |q|: 1, or more where rays beyond the outermost row count
    slices         (3,)      float64  z of slice 0, slice spacing, thickness of the box [mm]
    place          (2,)      float64  signed distance p of place 0 and pitch of places, a whole fraction of p [mm]
    first_place    (B,)      int64    place of the sheet's first
    node_pitch               float64  [mm]
    first_node     (B,)      float64  t of node 0, along theta from the axis [mm]
    direction      (B, 2)    float64  cos and sin of theta
    disc           (3,)      float64  x and y of its middle from the axis, radius; nodes outside are left alone [mm]
    sheet          (B, P, T, Z) float32  weighted mean of the rays through (p, t, z); NaN where no ray passes
    is_unseen      (B, P)    bool     whether a node of the place has a NaN
    """
    n_rays = sums.shape[1]
    n_rows = sums.shape[2] - 1
    n_directions, n_sets = turn.shape
    n_places, n_nodes, n_z = sheet.shape[1], sheet.shape[2], sheet.shape[3]
    v_max = 0.5 * n_rows * row_pitch
    end = np.float32(n_rows)
    last_row = np.int32(n_rows - 1)
    slope = np.float32(1.0) / (np.float32(1.0) - FULL_WEIGHT)
    floor = LEAST_WEIGHT if beyond > 1.0 else np.float32(0.0)
    mirror = round(-2.0 * place[0] / place[1])
    for job in prange(n_directions * n_places):
        d, i = job // n_places, job % n_places
        q = first_place[d] + i
        total = np.zeros(n_z, np.float32)
        weights = np.zeros(n_z, np.float32)
        p = place[0] + q * place[1]
        p_disc = disc[1] * direction[d, 0] - disc[0] * direction[d, 1]
        t_disc = disc[0] * direction[d, 0] + disc[1] * direction[d, 1]
        missing = False
        for node in range(n_nodes):
            t = first_node[d] + node * node_pitch
            if (p - p_disc) ** 2 + (t - t_disc) ** 2 > disc[2] * disc[2]:
                continue
            for k in range(n_sets):
                n = turn[d, k]
                # the ray (theta + pi, p) is the ray (theta, -p)
                m = q if half_turn[k] > 0.0 else mirror - q
                if n < 0 or m < 0 or m >= n_rays:
                    continue
                j = fan[k]
                length = to_axis[j, m] - half_turn[k] * t
                rise = cell_distance[j, m] / (length * row_pitch)  # rows per millimetre of z
                reach = v_max / (rise * row_pitch)
                z_middle = source_z[d, k] + climb[j, m] + (bottom[j] + v_max) / (rise * row_pitch)
                k0 = max(math.ceil((z_middle - beyond * reach - slices[0]) / slices[1]), 0)
                k1 = min(math.floor((z_middle + beyond * reach - slices[0]) / slices[1]) + 1, n_z)
                above = slices[0] + k0 * slices[1] - z_middle
                start = np.float32(above * rise + v_max / row_pitch)
                step = np.float32(slices[1] * rise)
                half = np.float32(0.5 * slices[2] * rise)
                start_q = np.float32(above / reach)
                step_q = np.float32(slices[1] / reach)
                line = sums[n, m]
                for z in range(k1 - k0):
                    at = min(max(start + step * np.float32(z), np.float32(0.0)), end)
                    a = max(at - half, np.float32(0.0))
                    b = min(at + half, end)
                    row_a, row_b = min(np.int32(a), last_row), min(np.int32(b), last_row)
                    share_a, share_b = a - np.float32(row_a), b - np.float32(row_b)
                    i_a, i_b = np.uint32(row_a), np.uint32(row_b)
                    j_a, j_b = i_a + np.uint32(1), i_b + np.uint32(1)
                    value = line[i_b] + share_b * (line[j_b] - line[i_b])
                    value -= line[i_a] + share_a * (line[j_a] - line[i_a])
                    s = (abs(start_q + step_q * np.float32(z)) - FULL_WEIGHT) * slope
                    s = min(max(s, np.float32(0.0)), np.float32(1.0))
                    weight = max(np.float32(1.0) - s * s * (np.float32(3.0) - np.float32(2.0) * s), floor)
                    at_slice = np.uint64(k0 + z)
                    total[at_slice] += weight * value / (b - a)
                    weights[at_slice] += weight
            out = sheet[d, i, node]
            for z in range(n_z):
                if weights[z] > np.float32(1e-6):
                    out[z] = total[z] / weights[z]
                else:
                    out[z] = np.nan
                    missing = True
                total[z] = 0.0
                weights[z] = 0.0
        is_unseen[d, i] = missing
