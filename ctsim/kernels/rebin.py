"""Fan-beam readings resampled to parallel places for filtering: first along views, then along merged rays.

Weights are the caller's (:mod:`ctsim.recon.parallel`: cubic convolution). Views of one place of the focal spot are
every K-th of a scan; those of a rotation at rest go round, those of a helix end with the scan.

Sixteen rows lie side by side in what comes out, so that all that follows works on them at once.

Float policy: float32 stored and summed over 4 taps in one order, ``contract`` only; every output is independent.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from .vectors import load, store

ROWS = 16
"""Rows side by side."""


@register_jitable
def cubic_weights(share, weights):
    """Keys' weights (a = -1/2) of the samples at -1, 0, 1, 2 for a place at ``share`` in [0, 1]."""
    s = share
    weights[0] = ((-0.5 * s + 1.0) * s - 0.5) * s
    weights[1] = (1.5 * s - 2.5) * s * s + 1.0
    weights[2] = ((-1.5 * s + 2.0) * s + 0.5) * s
    weights[3] = (0.5 * s - 0.5) * s * s


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def rebin(
    readings, first, origin, period, n_states, state, column, shift, tap, tap_weight, row_weight, is_turned, groups, out
):
    """Overwrite ``out`` with readings taken between views and between rays.

    readings    (V, R, C) float32  views of state k of the focal spot are k, k + n_states, ...
    first       (N,)      int64    direction of output n, counted like a state's views from origin[n]
    origin      (N,)      int64    first view of the rotation that output n belongs to
    period              int      views of a state in a rotation, after which they go round; 0: they end with the scan
    n_states            int
    state       (M,)      int64    of merged ray m
    column      (M,)      int64    of merged ray m
    shift       (M,)      float64  merged ray m of output n is read at view first[n] + shift[m] of its state
    tap         (Q, 4)    int64    merged rays that place q is read from
    tap_weight  (Q, 4)    float32  their weights
    row_weight  (G, Q, 16) float32 factor of each row and place; rows in groups of 16, 0 beyond the last
    is_turned   (N,)      bool     whether the places of output n are written from the last to the first
    groups      (N, 2)    int64    first group of rows that is wanted of output n, and the one after the last
    out         (N, G, Q, 16) float32
    """
    n_out, _, n_places, _ = out.shape
    n_views, n_rows, n_columns = readings.shape
    n_rays = len(column)
    low = np.empty(n_rays, np.int64)
    view_weight = np.empty((4, n_rays), np.float32)
    weights = np.empty(4)
    for m in range(n_rays):
        low[m] = math.floor(shift[m])
        cubic_weights(shift[m] - low[m], weights)
        for t in range(4):
            view_weight[t, m] = weights[t]
    flat = readings.reshape(-1)
    for n in prange(n_out):
        at = np.empty((n_rays, 4), np.int64)
        for m in range(n_rays):
            last = (n_views - 1 - origin[n] - state[m]) // n_states
            for t in range(4):
                j = first[n] + low[m] - 1 + t
                j = j % period if period > 0 else min(max(j, 0), last)
                at[m, t] = (origin[n] + state[m] + j * n_states) * n_rows * n_columns + column[m]
        line = np.zeros(n_rays * ROWS, np.float32)
        for g in range(groups[n, 0], groups[n, 1]):
            n_here = min(ROWS, n_rows - g * ROWS)
            for m in range(n_rays):
                w0, w1, w2, w3 = view_weight[0, m], view_weight[1, m], view_weight[2, m], view_weight[3, m]
                i0, i1, i2, i3 = at[m, 0], at[m, 1], at[m, 2], at[m, 3]
                skip = np.uint64(g * ROWS * n_columns)
                j0, j1, j2, j3 = np.uint64(i0) + skip, np.uint64(i1) + skip, np.uint64(i2) + skip, np.uint64(i3) + skip
                for r in range(n_here):
                    down = np.uint64(r * n_columns)
                    total = w0 * flat[j0 + down] + w1 * flat[j1 + down]
                    line[m * ROWS + r] = total + w2 * flat[j2 + down] + w3 * flat[j3 + down]
            for q in range(n_places):
                i = n_places - 1 - q if is_turned[n] else q
                total = tap_weight[i, 0] * load(line, tap[i, 0] * ROWS, ROWS)
                total = total + tap_weight[i, 1] * load(line, tap[i, 1] * ROWS, ROWS)
                total = total + tap_weight[i, 2] * load(line, tap[i, 2] * ROWS, ROWS)
                total = total + tap_weight[i, 3] * load(line, tap[i, 3] * ROWS, ROWS)
                total = total * load(row_weight, (g * n_places + i) * ROWS, ROWS)
                store(out, ((n * out.shape[1] + g) * n_places + q) * ROWS, total)
