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

Neighbouring places see almost the same rows in a slice. Eight of them are worked at once: as long as their rows differ
by less than half a row, an edge of the box lies, for all eight, within the same two rows, and what is below it is

    S_i + min(x, 1) F_i + max(x - 1, 0) F_(i+1),    x = edge - i,

with F the rows and S their running sums: no place has to look up its own rows. Where places differ by more, each is
worked alone.

Float policy: positions of nodes and source float64, all else float32 (rows are known to 1e-5); ``contract`` only; each
thread owns its places.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from .vectors import greatest, highest, lane, least, load, lowest, splat, store, store_transposed, where_up_to

LANES = 8
"""Places side by side."""

FULL_WEIGHT = np.float32(0.6)
"""Q: |q| up to which a ray counts fully (the value of the paper)."""

LEAST_WEIGHT = np.float32(1e-3)
"""Floor of W where rays beyond the outermost row count (design choice: 0.1 % of a full one)."""

_APART = np.float32(0.49)
"""Rows by which places that share their rows may differ from their middle."""

_ZERO, _HALF, _ONE, _TWO, _THREE = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0), np.float32(3.0)
_TINY = np.float32(1e-6)
_NAN = np.float32(np.nan)


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def gather_directions(
    sums, turn, source_z, half_turn, family, to_axis, climb, cell_rows, there, bottom_rows, n_rows, beyond,
    slices, n_z, place, first_place, node_pitch, first_node, direction, area, sheet, is_unseen,
):  # fmt: skip
    """Overwrite ``sheet`` with what the sets of rays of each direction say about nodes of the plane, in all slices.

    sums           (N, E, Q) float32  running sums over R <= E - 1 rows of filtered parallel projections, E >= 3; of
                             opposite half turns in the same order of places
    turn           (B, K)    int64    index n of direction b in set k, or -1 where the scan has none that matters
    source_z       (B, K)    float64  source z at view angle theta (or theta + pi) [mm]
    half_turn      (K,)      float64  1 for sources on the side of theta, -1 for those opposite
    family         (K,)      int64    rays j of the set
    to_axis        (J, Q)    float32  from the source to the ray's nearest point to the axis [mm]
    climb          (J, Q)    float32  of the source above source_z when it sends the ray of a place [mm]
    cell_rows      (J, Q)    float32  from the source to the cells, in the plane, by the row pitch [1]
    there          (J, Q)    float32  1 where there is such a ray, else 0
    bottom_rows    (J,)      float64  lower edge of row 0 above the source [rows]
    n_rows                   int      R
    beyond                   float64  largest |q|: 1, or more where rays beyond the outermost row count
    slices         (3,)      float64  z of slice 0, slice spacing, thickness of the box [mm]
    n_z                      int      slices; the sheet holds a whole number of eights
    place          (2,)      float64  signed distance p of place 0 and pitch of places [mm]
    first_place    (B,)      int64    place of the sheet's first; at most Q - P
    node_pitch               float64  [mm]
    first_node     (B,)      float64  t of node 0, along theta from the axis [mm]
    direction      (B, 2)    float64  cos and sin of theta
    area           (5,)      float64  lowest and highest x, lowest and highest y, largest distance from the axis of what
                                      is looked at [mm]; nodes that are no neighbours of such points are undefined
    sheet          (B, P, T, Z) float32  weighted mean of the rays through (p, t, z); NaN where no ray passes; P is a
                             whole number of eights
    is_unseen      (B, P')   bool     set where a node of the place has a NaN, for the P' <= P places that count
    """
    n_edges, n_rays = sums.shape[1], sums.shape[2]
    n_directions, n_sets = turn.shape
    n_places, n_nodes, depth = sheet.shape[1], sheet.shape[2], sheet.shape[3]
    n_blocks = n_places // 8
    end = np.float32(n_rows)
    middle, per_row = np.float32(0.5 * n_rows), np.float32(2.0 / n_rows)
    slope = _ONE / (_ONE - FULL_WEIGHT)
    floor = LEAST_WEIGHT if beyond > 1.0 else _ZERO
    most = np.float32(beyond)
    last = n_edges - 3
    dz, half_box = np.float32(slices[1]), np.float32(0.5 * slices[2])
    for job in prange(n_directions * n_blocks):
        d, i = job // n_blocks, job % n_blocks * 8
        q = first_place[d] + i
        across = place[0] + q * place[1]
        t_low, t_high = _along(area, direction[d, 0], direction[d, 1], across - place[1], across + LANES * place[1])
        if t_low > t_high:
            continue
        node_0 = max(math.floor((t_low - first_node[d]) / node_pitch), 0)
        node_1 = min(math.floor((t_high - first_node[d]) / node_pitch) + 2, n_nodes)
        reach = area[4] + node_pitch + place[1]
        some = np.empty(n_sets, np.int64)
        n_some = 0
        for k in range(n_sets):
            if turn[d, k] >= 0:
                some[n_some] = k
                n_some += 1
        lines = np.zeros((n_some * n_edges + 1) * 16, np.float32)
        for s in range(n_some):
            for r in range(n_edges):
                at = (turn[d, some[s]] * n_edges + r) * n_rays + q
                below = load(sums, at, 8)
                store(lines, (s * n_edges + r) * 16, below)
                if r + 1 < n_edges:
                    store(lines, (s * n_edges + r) * 16 + 8, load(sums, at + n_rays, 8) - below)
        total, weights = np.empty(depth * 8, np.float32), np.empty(depth * 8, np.float32)
        zero, one, top = splat(_ZERO, 8), splat(_ONE, 8), splat(end, 8)
        for node in range(node_0, node_1):
            t = first_node[d] + node * node_pitch
            for z in range(n_z):
                store(total, z * 8, zero)
                store(weights, z * 8, zero)
            for z in range(n_z, depth):
                store(total, z * 8, zero)
                store(weights, z * 8, one)
            for s in range(n_some):
                k = some[s]
                ray = family[k] * n_rays + q
                rise = load(cell_rows, ray, 8) / (load(to_axis, ray, 8) - np.float32(half_turn[k] * t))
                above = np.float32(slices[0] - source_z[d, k]) - load(climb, ray, 8)
                start = above * rise - np.float32(bottom_rows[family[k]])
                step, half, seen = rise * dz, rise * half_box, load(there, ray, 8)
                slices_per_row = _ONE / step
                low_z = lowest((middle * (_ONE - most) - start) * slices_per_row)
                high_z = highest((middle * (_ONE + most) - start) * slices_per_row)
                if not (low_z < np.float32(n_z) and high_z > np.float32(-1.0)):
                    continue
                z0 = max(math.ceil(low_z - np.float32(1e-3)), 0)
                z3 = min(math.floor(high_z + np.float32(1e-3)) + 1, n_z)
                s4, step4, half4 = lane(start, 4), lane(step, 4), lane(half, 4)
                shift, turnover, wider = start - s4, step - step4, half - half4
                one_end, other_end = shift + turnover * np.float32(z0), shift + turnover * np.float32(z3)
                apart = highest(greatest(one_end, zero - one_end) + greatest(wider, zero - wider))
                apart = max(apart, highest(greatest(other_end, zero - other_end) + greatest(wider, zero - wider)))
                base = s * n_edges * 16
                if apart > _APART:
                    for i_lane in range(8):
                        _one_by_one(
                            lines, base + i_lane, last, lane(start, i_lane), lane(step, i_lane), lane(half, i_lane),
                            end, slope, floor, most, lane(seen, i_lane), z0, z3, i_lane, total, weights,
                        )  # fmt: skip
                    continue
                inner = greatest(splat(middle * (_ONE - FULL_WEIGHT), 8), half)
                z1 = min(max(math.ceil(highest((inner - start) * slices_per_row)), z0), z3)
                z2 = min(max(math.floor(lowest((end - inner - start) * slices_per_row)) + 1, z1), z3)
                start_a, start_b = start - half, start + half
                first_a, first_b = s4 - half4 - _HALF, s4 + half4 - _HALF
                share = seen / (half + half)
                for z in range(z1, z2):
                    at_z = np.float32(z)
                    row_a = np.int64(max(first_a + step4 * at_z, _ZERO))
                    row_b = min(np.int64(first_b + step4 * at_z), last)
                    x_a = start_a + step * at_z - np.float32(row_a)
                    x_b = start_b + step * at_z - np.float32(row_b)
                    s_a, s_b = least(x_a, one), least(x_b, one)
                    at_a, at_b = base + row_a * 16, base + row_b * 16
                    value = (
                        load(lines, at_b, 8) + s_b * load(lines, at_b + 8, 8) + (x_b - s_b) * load(lines, at_b + 24, 8)
                    )
                    value = value - load(lines, at_a, 8) - s_a * load(lines, at_a + 8, 8)
                    value = value - (x_a - s_a) * load(lines, at_a + 24, 8)
                    store(total, z * 8, load(total, z * 8, 8) + value * share)
                    store(weights, z * 8, load(weights, z * 8, 8) + seen)
                n_first = z1 - z0
                for count in range(n_first + z3 - z2):
                    z = z0 + count if count < n_first else z2 + count - n_first
                    at_z = np.float32(z)
                    x = min(max(s4 + step4 * at_z, _ZERO), end)
                    row_a = min(np.int64(max(x - half4 - _HALF, _ZERO)), last)
                    row_b = min(np.int64(max(min(x + half4, end) - _HALF, _ZERO)), last)
                    row = start + step * at_z
                    at = least(greatest(row, zero), top)
                    a, b = greatest(at - half, zero), least(at + half, top)
                    x_a, x_b = a - np.float32(row_a), b - np.float32(row_b)
                    s_a, s_b = least(x_a, one), least(x_b, one)
                    at_a, at_b = base + row_a * 16, base + row_b * 16
                    value = (
                        load(lines, at_b, 8) + s_b * load(lines, at_b + 8, 8) + (x_b - s_b) * load(lines, at_b + 24, 8)
                    )
                    value = value - load(lines, at_a, 8) - s_a * load(lines, at_a + 8, 8)
                    value = value - (x_a - s_a) * load(lines, at_a + 24, 8)
                    off = row * per_row - _ONE
                    off = greatest(off, zero - off)
                    fall = least(greatest((off - FULL_WEIGHT) * slope, zero), one)
                    w = _ONE - fall * fall * (_THREE - _TWO * fall)
                    w = where_up_to(off, splat(most, 8), greatest(w, splat(floor, 8)), zero) * seen
                    store(total, z * 8, load(total, z * 8, 8) + w * value / (b - a))
                    store(weights, z * 8, load(weights, z * 8, 8) + w)
            worst = one
            for z in range(depth):
                w = load(weights, z * 8, 8)
                worst = least(worst, w)
                value = load(total, z * 8, 8) / w
                store(total, z * 8, where_up_to(w, splat(_TINY, 8), splat(_NAN, 8), value))
            for z in range(0, depth, 8):
                o = z * 8
                store_transposed(
                    sheet, ((d * n_places + i) * n_nodes + node) * depth + z, n_nodes * depth, load(total, o, 8),
                    load(total, o + 8, 8), load(total, o + 16, 8), load(total, o + 24, 8), load(total, o + 32, 8),
                    load(total, o + 40, 8), load(total, o + 48, 8), load(total, o + 56, 8),
                )  # fmt: skip
            if lowest(worst) <= _TINY:
                for i_lane in range(min(8, is_unseen.shape[1] - i)):
                    p_here = across + i_lane * place[1]
                    if lane(worst, i_lane) <= _TINY and p_here**2 + t**2 <= reach**2:
                        is_unseen[d, i + i_lane] = True


@register_jitable
def _along(area, cos, sin, p_low, p_high):
    """Smallest and largest t of the points of an area with p between two values; the former is larger if none has."""
    t_low, t_high = np.inf, -np.inf
    for corner in range(4):
        x, y = area[corner % 2], area[2 + corner // 2]
        if p_low <= y * cos - x * sin <= p_high:
            t_low, t_high = min(t_low, x * cos + y * sin), max(t_high, x * cos + y * sin)
    for end in range(2):
        p = p_low if end == 0 else p_high
        # on the line of this p, x = t cos - p sin and y = t sin + p cos
        enter, leave = -np.inf, np.inf
        for axis in range(2):
            slope, middle = (cos, -p * sin) if axis == 0 else (sin, p * cos)
            low, high = area[2 * axis] - middle, area[2 * axis + 1] - middle
            if abs(slope) > 1e-12:
                enter, leave = max(enter, min(low / slope, high / slope)), min(leave, max(low / slope, high / slope))
            elif low > 0.0 or high < 0.0:
                leave = -np.inf
        if enter <= leave:
            t_low, t_high = min(t_low, enter), max(t_high, leave)
    nearest = 0.0 if p_low * p_high <= 0.0 else min(abs(p_low), abs(p_high))
    if nearest > area[4]:
        return np.inf, -np.inf
    chord = math.sqrt(area[4] ** 2 - nearest**2)
    return max(t_low, -chord), min(t_high, chord)


@register_jitable
def _one_by_one(lines, base, last, start, step, half, end, slope, floor, most, seen, z0, z3, i_lane, total, weights):
    """What one set says about one place, which looks up its own rows."""
    for z in range(z0, z3):
        row = start + step * np.float32(z)
        off = abs(row * (_TWO / end) - _ONE)
        if off > most:
            continue
        at = min(max(row, _ZERO), end)
        a, b = max(at - half, _ZERO), min(at + half, end)
        row_a, row_b = min(np.int64(a), last), min(np.int64(b), last)
        o = base + row_b * 16
        value = lines[o] + (b - np.float32(row_b)) * lines[o + 8]
        o = base + row_a * 16
        value -= lines[o] + (a - np.float32(row_a)) * lines[o + 8]
        fall = min(max((off - FULL_WEIGHT) * slope, _ZERO), _ONE)
        w = max(_ONE - fall * fall * (_THREE - _TWO * fall), floor) * seen
        total[z * 8 + i_lane] += w * value / (b - a)
        weights[z * 8 + i_lane] += w
