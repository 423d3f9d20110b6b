"""Logarithm and water correction of readings, in place (see :mod:`ctsim.correction`).

Float policy: float32 stored, each reading worked in float64 on its own.
"""

from __future__ import annotations

import math

from numba import njit, prange


@njit(cache=True, parallel=True, error_model="numpy")
def take_log(signal, air, floor):
    """Overwrite ``signal`` (V, R, C) float32, not less than the floor, with -ln(signal / air); air is (C,) float64."""
    n_rows = signal.shape[1]
    for line in prange(signal.shape[0] * n_rows):
        v, r = line // n_rows, line % n_rows
        for c in range(signal.shape[2]):
            signal[v, r, c] = -math.log(max(signal[v, r, c], floor) / air[c])


@njit(cache=True, parallel=True, error_model="numpy")
def evaluate(values, coefficient, longest):
    """Overwrite ``values`` (V, R, C) float32 with each column's polynomial of them.

    coefficient  (C, K) float64  of p, p^2, ...; only the first counts below 0
    longest      (C, 3) float64  p from which a straight line goes on, its value there, its slope
    """
    n_rows, order = values.shape[1], coefficient.shape[1]
    for line in prange(values.shape[0] * n_rows):
        v, r = line // n_rows, line % n_rows
        for c in range(values.shape[2]):
            p = float(values[v, r, c])
            if p <= 0.0:
                corrected = coefficient[c, 0] * p
            elif p >= longest[c, 0]:
                corrected = longest[c, 1] + longest[c, 2] * (p - longest[c, 0])
            else:
                corrected = 0.0
                for k in range(order - 1, -1, -1):
                    corrected = (corrected + coefficient[c, k]) * p
            values[v, r, c] = corrected
