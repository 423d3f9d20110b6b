"""Fan-beam readings resampled to parallel places for filtering: first along views, then along merged rays.

Weights are the caller's (:mod:`ctsim.recon.parallel`: cubic convolution). Views of one place of the focal spot are
every K-th of a scan; those of a rotation at rest go round, those of a helix end with the scan.

Float policy: float32 stored and summed over 4 taps in one order, ``contract`` only; every output is independent.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable


@register_jitable
def cubic_weights(share, weights):
    """Keys' weights (a = -1/2) of the samples at -1, 0, 1, 2 for a place at ``share`` in [0, 1]."""
    s = share
    weights[0] = ((-0.5 * s + 1.0) * s - 0.5) * s
    weights[1] = (1.5 * s - 2.5) * s * s + 1.0
    weights[2] = ((-1.5 * s + 2.0) * s + 0.5) * s
    weights[3] = (0.5 * s - 0.5) * s * s


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def rebin(readings, first, origin, period, n_states, state, column, shift, tap, tap_weight, row_weight, out):
    """Overwrite ``out`` with readings taken between views and between rays.

    readings    (V, R, C) float32  views of state k of the focal spot are k, k + n_states, ...
    first       (N,)      int64    direction of output n, counted like a state's views from origin[n]
    origin      (N,)      int64    first view of the rotation that output n belongs to
    period              int      views of a state in a rotation, after which they go round; 0: they end with the scan
    n_states            int
    state       (M,)      int64    of merged ray m
    column      (M,)      int64    of merged ray m
    shift       (M,)      float64  merged ray m of output n is read at view first[n] + shift[m] of its state
    tap         (Q, 4)    int64    merged rays that output q is read from
    tap_weight  (Q, 4)    float32  their weights
    row_weight  (R, Q)    float32  factor of each output
    out         (N, R, Q) float32
    """
    n_out, n_rows, n_places = out.shape
    n_views = readings.shape[0]
    n_rays = len(column)
    low = np.empty(n_rays, np.int64)
    view_weight = np.empty((4, n_rays), np.float32)
    weights = np.empty(4)
    for m in range(n_rays):
        low[m] = math.floor(shift[m])
        cubic_weights(shift[m] - low[m], weights)
        for t in range(4):
            view_weight[t, m] = weights[t]
    for n in prange(n_out):
        view = np.empty((4, n_rays), np.int64)
        line = np.empty(n_rays, np.float32)
        for m in range(n_rays):
            last = (n_views - 1 - origin[n] - state[m]) // n_states
            for t in range(4):
                j = first[n] + low[m] - 1 + t
                j = j % period if period > 0 else min(max(j, 0), last)
                view[t, m] = origin[n] + state[m] + j * n_states
        for r in range(n_rows):
            for m in range(n_rays):
                c = column[m]
                total = view_weight[0, m] * readings[view[0, m], r, c]
                total += view_weight[1, m] * readings[view[1, m], r, c]
                total += view_weight[2, m] * readings[view[2, m], r, c]
                total += view_weight[3, m] * readings[view[3, m], r, c]
                line[m] = total
            for q in range(n_places):
                total = tap_weight[q, 0] * line[tap[q, 0]] + tap_weight[q, 1] * line[tap[q, 1]]
                total += tap_weight[q, 2] * line[tap[q, 2]] + tap_weight[q, 3] * line[tap[q, 3]]
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
