"""Noise-free signal of every reading from its basis area densities, by tables.

    p(L) = -ln( sum_e w_e E_e exp(-sum_k f_ke L_k) / sum_e w_e E_e ),     M1 = M1(0) exp(-p)
    Ebar(L) = sum_e w_e E_e^2 exp(...) / sum_e w_e E_e exp(...)

with photons w_e per 1 keV bin, curves f and area densities L. p and Ebar are smooth and nearly linear in L and are
interpolated linearly between nodes; beyond the tables they go on linearly. A reading is a weighted sum of several
transmissions (:mod:`ctsim.rays`), added up in float32 in the order of the calls. Over a part of a cell p is a plane,

    p(x, y) = p + s_x x + s_y y,    mean of exp(-p(x, y)) over the part = exp(-p) sinhc(s_x / 2) sinhc(s_y / 2),

with the limited slopes of finite volumes (van Leer, J Comput Phys 23 (1977) 276, doi:10.1016/0021-9991(77)90095-X):
the mean of p stays what the projector says, and no place in the part is beyond what is read beside it. Each thread
works on its own readings; no fastmath.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from .elementary import exp32
from .parallel import LOOPS_ONLY


@njit(cache=True, parallel=True, error_model="numpy")
def tabulate(photons, energy, curves, n_0, n_1, n_2, step, log_loss, mean_energy) -> None:
    """Overwrite the tables.

    photons       (E,)            float64  detected photons per bin at the first node [1]
    energy        (E,)            float64  energy of the bins [keV]
    curves        (3, E)          float64  mass attenuation of the channels [cm2/g]
    step          (3,)            float64  distance of nodes [g/cm2]
    log_loss      (n_0, n_1, n_2) float32  p [1]
    mean_energy   (n_0, n_1, n_2) float32  Ebar [keV]
    """
    n_bins = energy.size
    origin = 0.0
    for e in range(n_bins):
        origin += photons[e] * energy[e]
    passed_1, passed_2 = np.empty((n_1, n_bins)), np.empty((n_2, n_bins))
    for e in range(n_bins):
        for j in range(n_1):
            passed_1[j, e] = math.exp(-curves[1, e] * step[1] * j)
        for k in range(n_2):
            passed_2[k, e] = math.exp(-curves[2, e] * step[2] * k)
    for i in prange(n_0):
        alone, both = np.empty(n_bins), np.empty(n_bins)
        for e in range(n_bins):
            alone[e] = photons[e] * energy[e] * math.exp(-curves[0, e] * step[0] * i)
        for j in range(n_1):
            for e in range(n_bins):
                both[e] = alone[e] * passed_1[j, e]
            for k in range(n_2):
                first, second = 0.0, 0.0
                for e in range(n_bins):
                    share = both[e] * passed_2[k, e]
                    first += share
                    second += share * energy[e]
                log_loss[i, j, k] = -math.log(first / origin)
                mean_energy[i, j, k] = second / first


@register_jitable
def _between(low, high, share):
    return low + share * (high - low)


@njit(cache=True, error_model="numpy")
def _nodes(path, air, step, n, lower, share) -> None:
    """Overwrite lower node and share of the upper one of a line of area densities in a table of n nodes.

    path, air     (n,) float32  of the body, and what is in the way without it, less that at the first node [g/cm2]
    step          float32  distance of nodes [g/cm2]
    lower         (n,) int32
    share         (n,) float32  below 0 or above 1 outside the table
    """
    per_step, last = np.float32(1.0) / step, np.float32(max(n - 2, 0))
    for c in range(path.size):
        place = (path[c] + air[c]) * per_step
        node = np.floor(min(max(place, np.float32(0.0)), last))
        lower[c] = np.int32(node)
        share[c] = place - node


@njit(cache=True, error_model="numpy")
def _look_up(table, lower, share, loss, energy) -> None:
    """Overwrite p and Ebar of a line of two-channel paths.

    table         (n_0, n_1, 1, 2) float32  p and Ebar at the nodes
    lower, share  (3, n) int32, float32  of :func:`_nodes`
    loss, energy  (n,) float32  p [1] and Ebar [keV]
    """
    values = table.reshape(table.size)
    width = np.int32(table.shape[1])
    one, two, three, row = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(2 * width)
    for c in range(loss.size):
        a = np.uint64(2 * (lower[0, c] * width + lower[1, c]))
        b = a + row
        low, high = _between(values[a], values[a + two], share[1, c]), _between(values[b], values[b + two], share[1, c])
        loss[c] = _between(low, high, share[0, c])
        low = _between(values[a + one], values[a + three], share[1, c])
        high = _between(values[b + one], values[b + three], share[1, c])
        energy[c] = _between(low, high, share[0, c])


@njit(cache=True, error_model="numpy")
def _look_up_iodine(table, lower, share, loss, energy) -> None:
    """The same of three-channel paths in ``(n_0, n_1, n_2, 2)``."""
    for c in range(loss.size):
        i, j, k = lower[0, c], lower[1, c], lower[2, c]
        fx, fy, fz = share[0, c], share[1, c], share[2, c]
        for value in range(2):
            near = _between(table[i, j, k, value], table[i, j, k + 1, value], fz)
            far = _between(table[i, j + 1, k, value], table[i, j + 1, k + 1, value], fz)
            low = _between(near, far, fy)
            near = _between(table[i + 1, j, k, value], table[i + 1, j, k + 1, value], fz)
            far = _between(table[i + 1, j + 1, k, value], table[i + 1, j + 1, k + 1, value], fz)
            found = _between(low, _between(near, far, fy), fx)
            if value == 0:
                loss[c] = found
            else:
                energy[c] = found


@register_jitable
def _mean_over_slope(down, up, share):
    """Mean of exp(-s x) over x from -1/2 to 1/2, sinh(s / 2) / (s / 2), of the limited slope of two differences.

    s is their mean, at most twice the smaller, and 0 where they differ in sign, times the share of the part over which
    it counts; at most 8. Terms up to x^16: 1e-7.
    """
    size = share * min(np.float32(0.25) * abs(down + up), min(abs(down), abs(up)))
    size = min(size, np.float32(4.0))
    square = size * size if down * up > np.float32(0.0) else np.float32(0.0)  # of s / 2
    one = np.float32(1.0)
    series = one + square * np.float32(1 / 272)
    series = one + square * np.float32(1 / 210) * series
    series = one + square * np.float32(1 / 156) * series
    series = one + square * np.float32(1 / 110) * series
    series = one + square * np.float32(1 / 72) * series
    series = one + square * np.float32(1 / 42) * series
    series = one + square * np.float32(1 / 20) * series
    return one + square * np.float32(1 / 6) * series


@njit(cache=True, error_model="numpy")
def _spread_over_slopes(below, here, above, row_share, column_share, spread) -> None:
    """Overwrite ``spread`` (n,) with the mean of exp(-p) over every part of a line, over that at its middle.

    below, here, above  (n,) float32  what the body adds to p in the lines beside it and in the line itself
    """
    n = here.size
    for c in range(n):
        spread[c] = _mean_over_slope(here[c] - below[c], above[c] - here[c], row_share)
    before, middle, after, inner = here[: n - 2], here[1 : n - 1], here[2:], spread[1 : n - 1]
    for c in range(inner.size):
        inner[c] *= _mean_over_slope(middle[c] - before[c], after[c] - middle[c], column_share)


@njit(cache=True, error_model="numpy")
def _add_line(loss, energy, spread, origin_kev, columns_each, first, second) -> None:
    """Add the moments of a line of parts to ``first`` and ``second`` (C,); ``spread`` is used up."""
    for c in range(loss.size):
        spread[c] *= origin_kev[c] * exp32(-loss[c])
    if columns_each == 1:
        for c in range(first.size):
            first[c] += spread[c]
        for c in range(first.size):
            second[c] += spread[c] * energy[c]
        return
    for c in range(first.size):
        for k in range(c * columns_each, (c + 1) * columns_each):
            first[c] += spread[k]
            second[c] += spread[k] * energy[k]


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def transmit(path, air_path, table, step, air_loss, origin_kev, row_share, column_share, first, second) -> None:
    """Add the moments of the parts of every cell; one cell of the beam holds whole blocks of neighbouring parts.

    path          (2 or 3, V, k R, m C) float32  area densities of each part of a cell [g/cm2]
    air_path      (3, R, m C)      float32  what is in the way without a body, less that at the first node [g/cm2]
    table         (n_0, n_1, n_2, 2) float32  p and Ebar of :func:`tabulate`; n_2 is 1 for two channels
    step          (3,)             float32  distance of nodes [g/cm2]
    air_loss      (R, m C)         float32  p without a body [1]
    origin_kev    (R, m C)         float32  weight of a part x signal at the first node [keV]
    row_share, column_share        float32  share of a part's height and width over which what the body adds to p goes
                                            on evenly, as it does to the parts beside it; 0: the same all over it [1]
    first         (V, R, C)        float32  M1 [keV], added to
    second        (V, R, C)        float32  M2 [keV2], added to
    """
    n_lines, n = path.shape[2], path.shape[3]
    rows_each, columns_each = n_lines // first.shape[1], n // first.shape[2]
    for v in prange(first.shape[0]):
        loss, energy, body = np.empty((3, n), np.float32), np.empty((3, n), np.float32), np.empty((3, n), np.float32)
        lower, share, spread = np.empty((3, n), np.int32), np.empty((3, n), np.float32), np.empty(n, np.float32)
        for line in range(n_lines + 1):  # looked up one line ahead of the one that is added, three lines kept
            if line < n_lines:
                row, k = line // rows_each, line % 3
                for channel in range(len(path)):
                    body_path, beam_path = path[channel, v, line], air_path[channel, row]
                    _nodes(body_path, beam_path, step[channel], table.shape[channel], lower[channel], share[channel])
                if len(path) == 2:
                    _look_up(table, lower, share, loss[k], energy[k])
                else:
                    _look_up_iodine(table, lower, share, loss[k], energy[k])
                for c in range(n):
                    body[k, c] = loss[k, c] - air_loss[row, c]
            done = line - 1
            if done >= 0:
                row, k = done // rows_each, done % 3
                for c in range(n):
                    spread[c] = 1.0
                if row_share > 0 or column_share > 0:
                    below, above = body[max(done - 1, 0) % 3], body[min(done + 1, n_lines - 1) % 3]
                    _spread_over_slopes(below, body[k], above, row_share, column_share, spread)
                _add_line(loss[k], energy[k], spread, origin_kev[row], columns_each, first[v, row], second[v, row])


@njit(cache=True, error_model="numpy")
def air_losses(air_path, table, step, loss) -> None:
    """Overwrite ``loss`` (R, m C) with p without a body; the other arguments as in :func:`transmit`."""
    n = loss.shape[1]
    nothing, energy = np.zeros(n, np.float32), np.empty(n, np.float32)
    lower, share = np.empty((3, n), np.int32), np.empty((3, n), np.float32)
    for r in range(len(loss)):
        for channel in range(3):
            _nodes(nothing, air_path[channel, r], step[channel], table.shape[channel], lower[channel], share[channel])
        if table.shape[2] == 1:
            _look_up(table, lower, share, loss[r], energy)
        else:
            _look_up_iodine(table, lower, share, loss[r], energy)


@njit(cache=True, parallel=True, error_model="numpy")
def add_in_plane(in_plane, height, distance, first_place, path) -> None:
    """Add to every row what its ray meets of something that is the same at every z.

    in_plane      (2, V, C)    float32  area densities along the in-plane part of the rays [g/cm2]
    height        (K, R)       float64  of the rows above the spot at place k [mm at the detector]
    distance      (K, C)       float64  spot to the columns, in the plane [mm]
    first_place                int      place of the spot in the first view
    path          (M, V, R, C) float32  added to in channels 0 and 1 [g/cm2]
    """
    n_rows, n_columns = path.shape[2], path.shape[3]
    for line in prange(path.shape[1] * n_rows):
        v, r = line // n_rows, line % n_rows
        k = (first_place + v) % len(height)
        for c in range(n_columns):
            slant = np.float32(math.sqrt(1.0 + (height[k, r] / distance[k, c]) ** 2))
            path[0, v, r, c] += slant * in_plane[0, v, c]
            path[1, v, r, c] += slant * in_plane[1, v, c]


@njit(cache=True, parallel=True, error_model="numpy")
def mean_energies(first, second, energy_step_kev, energy_units) -> None:
    """Overwrite ``energy_units`` (V, R, C) uint16 with M2 / M1 in steps of ``energy_step_kev``; 0 where M1 is 0."""
    n_rows, n_columns = first.shape[1], first.shape[2]
    per_energy = np.float32(1.0 / energy_step_kev)
    half = np.float32(0.5)
    for line in prange(first.shape[0] * n_rows):
        v, r = line // n_rows, line % n_rows
        for c in range(n_columns):
            if first[v, r, c] > np.float32(0.0):
                energy_units[v, r, c] = np.uint16(second[v, r, c] / first[v, r, c] * per_energy + half)
            else:
                energy_units[v, r, c] = np.uint16(0)
