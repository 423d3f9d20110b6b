"""Noise-free signal of every reading from its basis area densities, by tables.

    p(L) = -ln( sum_e w_e E_e exp(-sum_k f_ke L_k) / sum_e w_e E_e ),     M1 = M1(0) exp(-p)
    Ebar(L) = sum_e w_e E_e^2 exp(...) / sum_e w_e E_e exp(...)

with photons w_e per 1 keV bin, curves f and area densities L. p and Ebar are smooth and nearly linear in L and are
interpolated linearly between nodes; beyond the tables they go on linearly. A reading is a weighted sum of several
transmissions (:mod:`ctsim.rays`), added up in float32 in the order of the calls. Each thread works on its own readings;
no fastmath.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange


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
def transmit(path, air_path, log_loss, mean_energy, step, origin_kev, first, second) -> None:
    """Add the moments of two-channel readings.

    path          (2, V, R, C) float32  area densities [g/cm2]
    air_path      (2, R, C)    float32  what is in the way without a body, less that at the first node [g/cm2]
    log_loss, mean_energy      (n_0, n_1) float32 tables of :func:`tabulate`
    step          (2,)         float32  distance of nodes [g/cm2]
    origin_kev    (R, C)       float32  weight of this transmission x signal at the first node [keV]
    first         (V, R, C)    float32  M1 [keV], added to
    second        (V, R, C)    float32  M2 [keV2], added to
    """
    n_rows, n_columns = path.shape[2], path.shape[3]
    last_0, last_1 = log_loss.shape[0] - 2, log_loss.shape[1] - 2
    per_0, per_1 = np.float32(1.0) / step[0], np.float32(1.0) / step[1]
    for line in prange(path.shape[1] * n_rows):
        v, r = line // n_rows, line % n_rows
        for c in range(n_columns):
            x = (path[0, v, r, c] + air_path[0, r, c]) * per_0
            y = (path[1, v, r, c] + air_path[1, r, c]) * per_1
            i = min(max(np.int32(x), 0), last_0)
            j = min(max(np.int32(y), 0), last_1)
            fx, fy = x - np.float32(i), y - np.float32(j)
            low = log_loss[i, j] + fy * (log_loss[i, j + 1] - log_loss[i, j])
            high = log_loss[i + 1, j] + fy * (log_loss[i + 1, j + 1] - log_loss[i + 1, j])
            signal = np.float32(origin_kev[r, c] * math.exp(-(low + fx * (high - low))))
            low = mean_energy[i, j] + fy * (mean_energy[i, j + 1] - mean_energy[i, j])
            high = mean_energy[i + 1, j] + fy * (mean_energy[i + 1, j + 1] - mean_energy[i + 1, j])
            first[v, r, c] += signal
            second[v, r, c] += signal * (low + fx * (high - low))


@njit(cache=True, parallel=True, error_model="numpy")
def transmit_iodine(path, air_path, log_loss, mean_energy, step, origin_kev, first, second) -> None:
    """The same for three channels: path ``(3, V, R, C)``, tables ``(n_0, n_1, n_2)``, step ``(3,)``."""
    n_rows, n_columns = path.shape[2], path.shape[3]
    last_0, last_1, last_2 = log_loss.shape[0] - 2, log_loss.shape[1] - 2, log_loss.shape[2] - 2
    for line in prange(path.shape[1] * n_rows):
        v, r = line // n_rows, line % n_rows
        for c in range(n_columns):
            x = (path[0, v, r, c] + air_path[0, r, c]) / step[0]
            y = (path[1, v, r, c] + air_path[1, r, c]) / step[1]
            z = path[2, v, r, c] / step[2]
            i = min(max(np.int32(x), 0), last_0)
            j = min(max(np.int32(y), 0), last_1)
            k = min(max(np.int32(z), 0), last_2)
            fx, fy, fz = x - np.float32(i), y - np.float32(j), z - np.float32(k)
            loss, energy = 0.0, 0.0
            for a in range(2):
                for b in range(2):
                    for d in range(2):
                        share = (
                            (fx if a else np.float32(1.0) - fx)
                            * (fy if b else np.float32(1.0) - fy)
                            * (fz if d else np.float32(1.0) - fz)
                        )
                        loss += share * log_loss[i + a, j + b, k + d]
                        energy += share * mean_energy[i + a, j + b, k + d]
            signal = np.float32(origin_kev[r, c] * math.exp(-loss))
            first[v, r, c] += signal
            second[v, r, c] += signal * np.float32(energy)


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
