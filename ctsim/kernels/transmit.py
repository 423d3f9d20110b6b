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


@njit(cache=True, parallel=True, error_model="numpy")
def read_tables(path, air_path, log_loss, mean_energy, step, loss, energy) -> None:
    """Overwrite p and Ebar of two-channel paths; one cell of the beam holds whole blocks of neighbouring paths.

    path          (2, V, k R, m C) float32  area densities [g/cm2]
    air_path      (2, R, C)        float32  what is in the way without a body, less that at the first node [g/cm2]
    log_loss, mean_energy (n_0, n_1) float32  tables of :func:`tabulate`
    step          (2,)             float32  distance of nodes [g/cm2]
    loss          (V, k R, m C)    float32  p [1]
    energy        (V, k R, m C)    float32  Ebar [keV]
    """
    n_rows, n_columns = path.shape[2], path.shape[3]
    rows_each, columns_each = n_rows // air_path.shape[1], n_columns // air_path.shape[2]
    last_0, last_1 = log_loss.shape[0] - 2, log_loss.shape[1] - 2
    per_0, per_1 = np.float32(1.0) / step[0], np.float32(1.0) / step[1]
    for line in prange(path.shape[1] * n_rows):
        v, r = line // n_rows, line % n_rows
        row = r // rows_each
        for c in range(n_columns):
            column = c // columns_each
            x = (path[0, v, r, c] + air_path[0, row, column]) * per_0
            y = (path[1, v, r, c] + air_path[1, row, column]) * per_1
            i = min(max(np.int32(x), 0), last_0)
            j = min(max(np.int32(y), 0), last_1)
            fx, fy = x - np.float32(i), y - np.float32(j)
            low = log_loss[i, j] + fy * (log_loss[i, j + 1] - log_loss[i, j])
            high = log_loss[i + 1, j] + fy * (log_loss[i + 1, j + 1] - log_loss[i + 1, j])
            loss[v, r, c] = low + fx * (high - low)
            low = mean_energy[i, j] + fy * (mean_energy[i, j + 1] - mean_energy[i, j])
            high = mean_energy[i + 1, j] + fy * (mean_energy[i + 1, j + 1] - mean_energy[i + 1, j])
            energy[v, r, c] = low + fx * (high - low)


@njit(cache=True, parallel=True, error_model="numpy")
def read_tables_iodine(path, air_path, log_loss, mean_energy, step, loss, energy) -> None:
    """The same for three channels: path ``(3, V, k R, m C)``, tables ``(n_0, n_1, n_2)``, step ``(3,)``."""
    n_rows, n_columns = path.shape[2], path.shape[3]
    rows_each, columns_each = n_rows // air_path.shape[1], n_columns // air_path.shape[2]
    last_0, last_1, last_2 = log_loss.shape[0] - 2, log_loss.shape[1] - 2, log_loss.shape[2] - 2
    for line in prange(path.shape[1] * n_rows):
        v, r = line // n_rows, line % n_rows
        row = r // rows_each
        for c in range(n_columns):
            column = c // columns_each
            x = (path[0, v, r, c] + air_path[0, row, column]) / step[0]
            y = (path[1, v, r, c] + air_path[1, row, column]) / step[1]
            z = path[2, v, r, c] / step[2]
            i = min(max(np.int32(x), 0), last_0)
            j = min(max(np.int32(y), 0), last_1)
            k = min(max(np.int32(z), 0), last_2)
            fx, fy, fz = x - np.float32(i), y - np.float32(j), z - np.float32(k)
            lost, mean = 0.0, 0.0
            for a in range(2):
                for b in range(2):
                    for d in range(2):
                        share = (
                            (fx if a else np.float32(1.0) - fx)
                            * (fy if b else np.float32(1.0) - fy)
                            * (fz if d else np.float32(1.0) - fz)
                        )
                        lost += share * log_loss[i + a, j + b, k + d]
                        mean += share * mean_energy[i + a, j + b, k + d]
            loss[v, r, c] = np.float32(lost)
            energy[v, r, c] = np.float32(mean)


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


@njit(cache=True, parallel=True, error_model="numpy")
def add_parts(loss, energy, air_loss, origin_kev, row_share, column_share, first, second) -> None:
    """Add the moments of the parts of every cell.

    loss, energy  (V, k R, m C) float32  p [1] and Ebar [keV] of each part
    air_loss      (k R, m C)    float32  p without a body [1]
    origin_kev    (R, C)        float32  weight of a part x signal at the first node [keV]
    row_share, column_share     float32  share of a part's height and width over which what the body adds to p goes on
                                         evenly, as it does to the parts beside it; 0: the same all over the part [1]
    first         (V, R, C)     float32  M1 [keV], added to
    second        (V, R, C)     float32  M2 [keV2], added to
    """
    n_rows, n_columns = loss.shape[1], loss.shape[2]
    rows_each, columns_each = n_rows // first.shape[1], n_columns // first.shape[2]
    for line in prange(first.shape[0] * first.shape[1]):
        v, row = line // first.shape[1], line % first.shape[1]
        body = np.empty((3, n_columns), np.float32)  # what the body adds to p: the row below, this row, the row above
        spread = np.ones(n_columns, np.float32)
        for r in range(row * rows_each, (row + 1) * rows_each):
            if row_share > 0 or column_share > 0:
                for k in range(3):
                    near = min(max(r + k - 1, 0), n_rows - 1)
                    for c in range(n_columns):
                        body[k, c] = loss[v, near, c] - air_loss[near, c]
                for c in range(n_columns):
                    spread[c] = _mean_over_slope(body[1, c] - body[0, c], body[2, c] - body[1, c], row_share)
                for c in range(1, n_columns - 1):
                    before, here, after = body[1, c - 1], body[1, c], body[1, c + 1]
                    spread[c] *= _mean_over_slope(here - before, after - here, column_share)
            for c in range(n_columns):
                column = c // columns_each
                signal = np.float32(origin_kev[row, column] * math.exp(-loss[v, r, c])) * spread[c]
                first[v, row, column] += signal
                second[v, row, column] += signal * energy[v, r, c]


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
