"""Crosstalk between neighbouring cells, in place (see :mod:`ctsim.readout`).

A cell passes the share x of its signal to either neighbour, along columns and then along rows:

    out_i = (1 - 2 x) in_i + x (in_(i-1) + in_(i+1)),

and what an outermost cell would pass over the edge stays with it, so that each view keeps its sum and a flat signal
stays flat. Float policy: float32 stored, each line worked in float64, no fastmath.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(cache=True, parallel=True, error_model="numpy")
def mix(signal, share_columns, share_rows):
    """Overwrite ``signal`` (V, R, C) float32 with what its cells hold after crosstalk.

    share_columns, share_rows  float  share that each neighbour along columns, along rows takes
    """
    n_views, n_rows, n_columns = signal.shape
    for v in prange(n_views):
        if share_columns > 0.0:
            for r in range(n_rows):
                before = float(signal[v, r, 0])
                for c in range(n_columns):
                    here = float(signal[v, r, c])
                    after = float(signal[v, r, c + 1]) if c + 1 < n_columns else here
                    signal[v, r, c] = here + share_columns * (before - 2.0 * here + after)
                    before = here
        if share_rows > 0.0:
            above = np.empty(n_columns, np.float64)
            for c in range(n_columns):
                above[c] = signal[v, 0, c]
            for r in range(n_rows):
                for c in range(n_columns):
                    here = float(signal[v, r, c])
                    below = float(signal[v, r + 1, c]) if r + 1 < n_rows else here
                    signal[v, r, c] = here + share_rows * (above[c] - 2.0 * here + below)
                    above[c] = here
