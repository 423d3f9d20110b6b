"""Starvation filter, logarithm and water correction of readings, in place (see :mod:`ctsim.correction`).

Float policy: float32 stored, each reading worked in float64 on its own, no fastmath.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from .elementary import log64
from .parallel import LOOPS_ONLY

LOCAL = 3
"""Half width of the square of readings whose mean says how starved the middle one is."""

_VIEWS_TOGETHER = 64


@njit(cache=True, error_model="numpy")
def _box_means(view, means):
    """Overwrite ``means`` (R, C) with those of the part of a square of 2 LOCAL + 1 readings that lies in ``view``."""
    n_rows, n_columns = view.shape
    along = np.empty((n_rows, n_columns))
    for r in range(n_rows):
        total = 0.0
        for c in range(min(LOCAL, n_columns)):
            total += view[r, c]
        for c in range(n_columns):
            if c + LOCAL < n_columns:
                total += view[r, c + LOCAL]
            if c - LOCAL - 1 >= 0:
                total -= view[r, c - LOCAL - 1]
            along[r, c] = total / (min(c + LOCAL, n_columns - 1) - max(c - LOCAL, 0) + 1)
    for r in range(n_rows):
        low, high = max(r - LOCAL, 0), min(r + LOCAL, n_rows - 1)
        here, size = means[r], float(high - low + 1)
        for c in range(n_columns):
            here[c] = 0.0
        for s in range(low, high + 1):
            line = along[s]
            for c in range(n_columns):
                here[c] += line[c]
        for c in range(n_columns):
            here[c] /= size


@njit(cache=True)
def _half_width(wanted, largest):
    """Half width of a line of readings, its ends counted partly, whose mean has the noise of ``wanted`` readings.

    With k whole readings and the part f of one more on either side, m = 2 k + 1: (m + 2 f)^2 / (m + 2 f^2) = wanted.
    """
    k = math.floor(0.5 * (max(wanted, 1.0) - 1.0))
    m = 2.0 * k + 1.0
    square, rest = 4.0 - 2.0 * wanted, m * (wanted - m)
    return min(k + 2.0 * rest / (4.0 * m + math.sqrt(16.0 * m * m + 4.0 * square * rest)), largest)


@njit(cache=True)
def _mean_around(view, r, c, half_rows, half_columns):
    """Mean of ``view`` in a box of any width around a reading; readings partly inside count partly."""
    n_rows, n_columns = view.shape
    reach_r, reach_c = math.ceil(half_rows), math.ceil(half_columns)
    total, weights = 0.0, 0.0
    for s in range(max(r - reach_r, 0), min(r + reach_r, n_rows - 1) + 1):
        in_rows = min(1.0, half_rows + 1.0 - abs(s - r))
        for d in range(max(c - reach_c, 0), min(c + reach_c, n_columns - 1) + 1):
            weight = in_rows * min(1.0, half_columns + 1.0 - abs(d - c))
            total += weight * view[s, d]
            weights += weight
    return total / weights


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def feed_starved(signal, photon_kev, noise_kev, wanted, largest):
    """Smooth, in place, the readings of each view that too few photons reached (see :mod:`ctsim.starvation`).

    signal      (V, R, C) float32
    photon_kev  float  energy that a count stands for [keV]
    noise_kev   float  electronic noise, standard deviation [keV]
    wanted      float  noise-equivalent counts that a reading shall have
    largest     float  largest half width of the box [readings]
    """
    n_views, n_rows, n_columns = signal.shape
    for v in prange(n_views):
        means = np.empty((n_rows, n_columns))
        _box_means(signal[v], means)
        starved = 0
        for r in range(n_rows):
            here = means[r]
            for c in range(n_columns):
                mean = max(here[c], 0.0)
                counts = mean * mean / (photon_kev * mean + noise_kev * noise_kev)
                here[c] = counts if mean > 0.0 else 0.0
            for c in range(n_columns):
                starved += here[c] < wanted
        if starved == 0:
            continue
        before = signal[v].copy()
        for r in range(n_rows):
            for c in range(n_columns):
                if means[r, c] < wanted:
                    need = wanted / max(means[r, c], 1e-6 * wanted)
                    rows = min(math.sqrt(need), 2.0 * largest + 1.0, float(n_rows))
                    half_rows = min(_half_width(rows, largest), 0.5 * (n_rows - 1))
                    half_columns = _half_width(need / rows, largest)
                    signal[v, r, c] = _mean_around(before, r, c, half_rows, half_columns)


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def take_log(signal, air, mas, floor):
    """Overwrite ``signal`` (V, R, C) float32, not less than the floor, with -ln(signal / (mas air)).

    air    (R, C) float64  air signal per mAs
    mas    (V,) float64    mAs of the views
    """
    n_rows, n_columns = signal.shape[1:]
    for line in prange(signal.shape[0] * n_rows):
        v, r = line // n_rows, line % n_rows
        readings, in_air = signal[v, r], air[r]
        for c in range(n_columns):
            share = max(np.float64(readings[c]), floor) / (mas[v] * in_air[c])
            readings[c] = np.float32(-log64(share))


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def evaluate(values, coefficient, longest):
    """Overwrite ``values`` (V, R, C) float32 with each cell's polynomial of them.

    coefficient  (R, C, K) float64  of p, p^2, ...; only the first counts below 0
    longest      (R, C, 3) float64  p from which a straight line goes on, its value there, its slope
    """
    n_views, n_rows, n_columns = values.shape
    order = coefficient.shape[2]
    n_parts = (n_views + _VIEWS_TOGETHER - 1) // _VIEWS_TOGETHER
    for part in prange(n_rows * n_parts):
        r, begin = part // n_parts, (part % n_parts) * _VIEWS_TOGETHER
        powers = np.empty((order, n_columns))  # of this row, one power after the other
        for k in range(order):
            for c in range(n_columns):
                powers[k, c] = coefficient[r, c, k]
        line = np.empty((3, n_columns))  # where it begins, its value there, its slope
        for k in range(3):
            for c in range(n_columns):
                line[k, c] = longest[r, c, k]
        p, corrected = np.empty(n_columns), np.empty(n_columns)
        for v in range(begin, min(begin + _VIEWS_TOGETHER, n_views)):
            readings = values[v, r]
            for c in range(n_columns):
                p[c] = readings[c]
                corrected[c] = 0.0
            for k in range(order - 1, -1, -1):
                of_power = powers[k]
                for c in range(n_columns):
                    corrected[c] = (corrected[c] + of_power[c]) * p[c]
            for c in range(n_columns):
                beyond = line[1, c] + line[2, c] * (p[c] - line[0, c])
                within = corrected[c] if p[c] < line[0, c] else beyond
                readings[c] = within if p[c] > 0.0 else powers[0, c] * p[c]
