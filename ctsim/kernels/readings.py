"""Elementwise steps of the readout, in place (see :mod:`ctsim.readout`).

Float policy: float32 stored, each reading worked in float64 on its own, no fastmath.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, parallel=True, error_model="numpy")
def moments(primary, mean_energy, energy_step_kev, with_scatter, scatter, scatter_energy, mas, mean, mean_square):
    """Overwrite ``mean`` and ``mean_square`` with M1 and M2 of primary and scatter at each view's mAs.

    primary        (V, R, C) float32  M1 per mAs [keV]
    mean_energy    (V, R, C) uint16   M2 / M1 of the primary in steps
    energy_step_kev float             one step [keV]
    with_scatter   bool               whether the next two count; if not, they may have any shape
    scatter        (V, R, C) float32  M1 per mAs of the scatter [keV]
    scatter_energy (V, R, C) float32  its M2 / M1 [keV]
    mas            (V,) float64       mAs per rotation
    mean           (V, R, C) float32  [keV]
    mean_square    (V, R, C) float32  [keV2]
    """
    n_views, n_rows, n_columns = primary.shape
    for line in prange(n_views * n_rows):
        v, r = line // n_rows, line % n_rows
        for c in range(n_columns):
            first = np.float64(primary[v, r, c])
            second = first * mean_energy[v, r, c] * energy_step_kev
            if with_scatter:
                first += scatter[v, r, c]
                second += np.float64(scatter[v, r, c]) * scatter_energy[v, r, c]
            mean[v, r, c] = mas[v] * first
            mean_square[v, r, c] = mas[v] * second


@njit(cache=True, parallel=True, error_model="numpy")
def convert(signal, limit, step):
    """Cut ``signal`` (V, R, C) float32 at ``limit`` and round it to multiples of ``step`` (0: none), in place."""
    n_rows, n_columns = signal.shape[1:]
    for line in prange(signal.shape[0] * n_rows):
        v, r = line // n_rows, line % n_rows
        readings = signal[v, r]
        for c in range(n_columns):
            readings[c] = min(np.float64(readings[c]), limit)
        if step > 0.0:
            for c in range(n_columns):
                readings[c] = np.floor(readings[c] / step + 0.5) * step
