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

While the table rests, rays of all directions meet the slices alike. What a node reads there is worked out once for all
directions, and the inner loop runs over them (:func:`gather_at_rest`).

Float policy: positions float64 per line, float32 along z; ``contract`` only; each thread owns its places.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

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


@register_jitable
def _edge(at, half, end):
    """Row coordinate of an edge of a box around ``at``, which stays on the detector; ``half`` < 0 for the lower one."""
    at = min(max(at, np.float32(0.0)), end)
    return min(max(at + half, np.float32(0.0)), end)


@register_jitable
def _weight(q, floor):
    """W(q)."""
    s = (abs(q) - FULL_WEIGHT) / (np.float32(1.0) - FULL_WEIGHT)
    s = min(max(s, np.float32(0.0)), np.float32(1.0))
    return max(np.float32(1.0) - s * s * (np.float32(3.0) - np.float32(2.0) * s), floor)


_LOOPS_ONLY: Any = {  # Numba takes a dict here; its type hints know only bool
    "prange": True,
    **dict.fromkeys(("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil"), False),
}
"""Parallel is the loop that says so; array expressions around and in it are small, and take as long to compile."""


@njit(parallel=_LOOPS_ONLY, cache=True, error_model="numpy", fastmath={"contract"})
def gather_at_rest(
    sums, turn, source_z, half_turn, fan, to_axis, cell_distance, bottom, row_pitch, beyond,
    slices, place, first_place, node_pitch, first_node, direction, disc, sheet, is_unseen,
):  # fmt: skip
    """The same for sets whose source z is the same for all directions, and that have all directions or none.

    Parameters are those of :func:`gather_directions`, but

    source_z    (K,)  float64  source z [mm]
    first_node  (B,)  float64  whole multiples of ``node_pitch`` apart
    """
    n_rays, n_rows = sums.shape[1], sums.shape[2] - 1
    n_directions, n_sets = turn.shape
    n_places, n_nodes, n_z = sheet.shape[1], sheet.shape[2], sheet.shape[3]
    v_max = 0.5 * n_rows * row_pitch
    floor = LEAST_WEIGHT if beyond > 1.0 else np.float32(0.0)
    mirror = round(-2.0 * place[0] / place[1])
    t_0 = first_node.min()
    n_all = n_nodes + round((first_node.max() - t_0) / node_pitch)
    q_0 = first_place.min()
    for job in prange(first_place.max() - q_0 + n_places):
        q = q_0 + job
        p = place[0] + q * place[1]
        whose = np.empty(n_directions, np.int64)  # directions whose sheet has the place
        n_whose = 0
        for d in range(n_directions):
            if 0 <= q - first_place[d] < n_places:
                is_unseen[d, q - first_place[d]] = False
                whose[n_whose] = d
                n_whose += 1
        lines = np.empty((n_sets, n_rows + 1, n_whose), np.float32)
        ray = np.full(n_sets, -1, np.int64)
        for k in range(n_sets):
            # the ray (theta + pi, p) is the ray (theta, -p)
            m = q if half_turn[k] > 0.0 else mirror - q
            if turn[0, k] < 0 or m < 0 or m >= n_rays:
                continue
            ray[k] = m
            for w in range(n_whose):
                n = turn[whose[w], k]
                for r in range(n_rows + 1):
                    lines[k, r, w] = sums[n, m, r]
        row_a, row_b = np.empty((n_sets, n_z), np.int32), np.empty((n_sets, n_z), np.int32)
        share_a, share_b = np.empty((n_sets, n_z), np.float32), np.empty((n_sets, n_z), np.float32)
        factor = np.empty((n_sets, n_z), np.float32)
        low, high = np.empty(n_sets, np.int64), np.empty(n_sets, np.int64)
        weights = np.empty(n_z, np.float32)
        mean = np.empty((n_z, n_whose), np.float32)
        for node in range(n_all):
            t = t_0 + node * node_pitch
            n_inside = 0
            for w in range(n_whose):
                n_inside += _is_inside(p, t, direction[whose[w]], disc)
            if n_inside == 0:
                continue
            weights[:] = 0.0
            for k in range(n_sets):
                low[k], high[k] = 0, 0
                m, j = ray[k], fan[k]
                if m < 0:
                    continue
                rise = cell_distance[j, m] / ((to_axis[j, m] - half_turn[k] * t) * row_pitch)  # rows per mm of z
                reach = v_max / (rise * row_pitch)
                z_middle = source_z[k] + (bottom[j] + v_max) / (rise * row_pitch)
                k0 = max(math.ceil((z_middle - beyond * reach - slices[0]) / slices[1]), 0)
                k1 = min(math.floor((z_middle + beyond * reach - slices[0]) / slices[1]) + 1, n_z)
                low[k], high[k] = k0, k1
                above = slices[0] + k0 * slices[1] - z_middle
                start, step = np.float32(above * rise + v_max / row_pitch), np.float32(slices[1] * rise)
                half = np.float32(0.5 * slices[2] * rise)
                start_q, step_q = np.float32(above / reach), np.float32(slices[1] / reach)
                k1 = max(k0, k1)
                _edges(start, step, -half, n_rows, row_a[k, k0:k1], share_a[k, k0:k1])
                _edges(start, step, half, n_rows, row_b[k, k0:k1], share_b[k, k0:k1])
                _factors(start, step, half, n_rows, start_q, step_q, floor, factor[k, k0:k1], weights[k0:k1])
            mean[:] = 0.0
            for k in range(n_sets):
                line = lines[k]
                for z in range(low[k], high[k]):
                    i_a, i_b = np.uint32(row_a[k, z]), np.uint32(row_b[k, z])
                    j_a, j_b = i_a + np.uint32(1), i_b + np.uint32(1)
                    _add_box(line, i_a, j_a, i_b, j_b, share_a[k, z], share_b[k, z], factor[k, z], mean, z)
            missing = False
            for z in range(n_z):
                if weights[z] > np.float32(1e-6):
                    weights[z] = np.float32(1.0) / weights[z]
                else:
                    weights[z] = np.nan
                    missing = True
            for w in range(n_whose):
                d = whose[w]
                if not _is_inside(p, t, direction[d], disc):
                    continue
                i = q - first_place[d]
                own = node - round((first_node[d] - t_0) / node_pitch)
                if own < 0 or own >= n_nodes:
                    continue
                if missing:
                    is_unseen[d, i] = True
                out = sheet[d, i, own]
                for z in range(n_z):
                    out[z] = mean[z, w] * weights[z]


@register_jitable
def _edges(start, step, half, n_rows, row, share):
    """Row that holds the edge of each slice's box, and the share of it below."""
    end, last_row = np.float32(n_rows), np.int32(n_rows - 1)
    for z in range(len(row)):  # one loop per array, so that each becomes vectors
        row[z] = min(np.int32(_edge(start + step * np.float32(z), half, end)), last_row)
    for z in range(len(share)):
        at = _edge(start + step * np.float32(z), half, end)
        share[z] = at - np.float32(min(np.int32(at), last_row))


@register_jitable
def _factors(start, step, half, n_rows, start_q, step_q, floor, factor, weights):
    """W over the box's height of each slice; W is added to ``weights``."""
    end = np.float32(n_rows)
    for z in range(len(factor)):
        at = start + step * np.float32(z)
        height = _edge(at, half, end) - _edge(at, -half, end)
        factor[z] = _weight(start_q + step_q * np.float32(z), floor) / height
    for z in range(len(weights)):
        weights[z] += _weight(start_q + step_q * np.float32(z), floor)


@register_jitable
def _add_box(lines, i_a, j_a, i_b, j_b, a, b, factor, mean, z):
    """Add to slice z of all directions ``factor`` times what lies between two shares of rows."""
    for w in range(mean.shape[1]):
        value = lines[i_b, w] + b * (lines[j_b, w] - lines[i_b, w])
        value -= lines[i_a, w] + a * (lines[j_a, w] - lines[i_a, w])
        mean[z, w] += factor * value


@register_jitable
def _is_inside(p, t, direction, disc):
    """Whether the node lies in the disc."""
    across = p - (disc[1] * direction[0] - disc[0] * direction[1])
    along = t - (disc[0] * direction[0] + disc[1] * direction[1])
    return across * across + along * along <= disc[2] * disc[2]
