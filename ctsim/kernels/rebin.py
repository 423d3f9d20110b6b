"""Fan-beam readings resampled for filtering: by cubic convolution along columns, and along views.

Keys, IEEE Trans ASSP 29:1153 (1981), doi:10.1109/TASSP.1981.1163711, with a = -1/2: the interpolant goes through the
samples and reproduces quadratics. Beyond the first and last column their value goes on.

Float policy: float32 stored and summed over 16 taps in one order, ``contract`` only; every output is independent.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable


@register_jitable
def cubic_weights(share, weights):
    """Weights of the samples at -1, 0, 1, 2 for a place at ``share`` in [0, 1]."""
    s = share
    weights[0] = ((-0.5 * s + 1.0) * s - 0.5) * s
    weights[1] = (1.5 * s - 2.5) * s * s + 1.0
    weights[2] = ((-1.5 * s + 2.0) * s + 0.5) * s
    weights[3] = (0.5 * s - 0.5) * s * s


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def rebin(readings, first, place, shift, row_weight, out):
    """Overwrite ``out`` with readings taken between columns and views.

    readings    (V, R, C) float32
    first       (N,)      int64    view index of output n; out[n, r, q] is taken at view first[n] + shift[q]
    place       (Q,)      float64  column index of output q
    shift       (Q,)      float64  in views; 1 <= first + shift <= V - 3, or shift is 0 throughout and any first will do
    row_weight  (R, Q)    float32  factor of each output
    out         (N, R, Q) float32
    """
    n_out, n_rows, n_places = out.shape
    n_views, _, n_columns = readings.shape
    column = np.empty((n_places, 4), np.int64)
    column_weight = np.empty((n_places, 4), np.float32)
    view = np.empty(n_places, np.int64)
    view_weight = np.empty((n_places, 4), np.float32)
    weights = np.empty(4)
    still = True
    for q in range(n_places):
        low = math.floor(place[q])
        cubic_weights(place[q] - low, weights)
        for t in range(4):
            column[q, t] = min(max(low - 1 + t, 0), n_columns - 1)
            column_weight[q, t] = weights[t]
        view[q] = math.floor(shift[q])
        cubic_weights(shift[q] - view[q], weights)
        for t in range(4):
            view_weight[q, t] = weights[t]
        still = still and shift[q] == 0.0
    for n in prange(n_out):
        for r in range(n_rows):
            for q in range(n_places):
                c0, c1, c2, c3 = column[q, 0], column[q, 1], column[q, 2], column[q, 3]
                w0, w1, w2, w3 = column_weight[q, 0], column_weight[q, 1], column_weight[q, 2], column_weight[q, 3]
                if still:
                    line = readings[first[n], r]
                    total = w0 * line[c0] + w1 * line[c1] + w2 * line[c2] + w3 * line[c3]
                else:
                    total = np.float32(0.0)
                    start = first[n] + view[q] - 1
                    for t in range(4):
                        line = readings[min(max(start + t, 0), n_views - 1), r]
                        along = w0 * line[c0] + w1 * line[c1] + w2 * line[c2] + w3 * line[c3]
                        total += view_weight[q, t] * along
                out[n, r, q] = total * row_weight[r, q]


@njit(parallel=True, cache=True)
def cumulate_rows(filtered, out):
    """Overwrite ``out`` (N, Q, R + 1) with the running sums over rows of ``filtered`` (N, R, Q), from 0."""
    n_out, n_rows, n_places = filtered.shape
    for n in prange(n_out):
        total = np.zeros(n_places, np.float32)
        for q in range(n_places):
            out[n, q, 0] = 0.0
        for r in range(n_rows):
            for q in range(n_places):
                total[q] += filtered[n, r, q]
                out[n, q, r + 1] = total[q]
