"""The transpose of :func:`ctsim.kernels.rebin.rebin`: weights of parallel rays handed to the readings they come from.

Float policy: float64 sums in one order per row, no fastmath; rows are independent.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from .rebin import cubic_weights


@njit(parallel=True, cache=True, error_model="numpy")
def unrebin(ray, row, first, origin, period, n_states, state, column, shift, out):
    """Add to ``out`` what each reading counts.

    ray       (N, M)    float64  weight of merged ray m in output n
    row       (N, R)    float64  weight of each row in output n
    first, origin, period, n_states, state, column, shift   as of ``rebin``
    out       (V, R, C) float64
    """
    n_out, n_rays = ray.shape
    n_views, n_rows, _ = out.shape
    low = np.empty(n_rays, np.int64)
    view_weight = np.empty((n_rays, 4))
    for m in range(n_rays):
        low[m] = math.floor(shift[m])
        cubic_weights(shift[m] - low[m], view_weight[m])
    for r in prange(n_rows):
        for n in range(n_out):
            if row[n, r] == 0.0:
                continue
            for m in range(n_rays):
                last = (n_views - 1 - origin[n] - state[m]) // n_states
                value = ray[n, m] * row[n, r]
                for t in range(4):
                    j = first[n] + low[m] - 1 + t
                    j = j % period if period > 0 else min(max(j, 0), last)
                    out[origin[n] + state[m] + j * n_states, r, column[m]] += value * view_weight[m, t]
