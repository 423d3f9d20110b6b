"""Crosstalk between neighbouring cells, in place (see :mod:`ctsim.readout`).

A cell passes the share x of its signal to either neighbour, along columns and then along rows:

    out_i = (1 - 2 x) in_i + x (in_(i-1) + in_(i+1)),

and what an outermost cell would pass over the edge stays with it, so that each view keeps its sum and a flat signal
stays flat. Float policy: float32 stored, each line worked in float64, no fastmath.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .parallel import LOOPS_ONLY


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def mix(signal, share_columns, share_rows):
    """Overwrite ``signal`` (V, R, C) float32 with what its cells hold after crosstalk.

    share_columns, share_rows  float  share that each neighbour along columns, along rows takes
    """
    n_views, n_rows, n_columns = signal.shape
    for v in prange(n_views):
        line = np.empty(n_columns + 2)
        above, here = np.empty(n_columns), np.empty(n_columns)
        if share_columns > 0.0:
            for r in range(n_rows):
                readings = signal[v, r]
                for c in range(n_columns):
                    line[c + 1] = readings[c]
                line[0], line[n_columns + 1] = line[1], line[n_columns]
                for c in range(n_columns):
                    readings[c] = line[c + 1] + share_columns * (line[c] - 2.0 * line[c + 1] + line[c + 2])
        if share_rows > 0.0:
            for c in range(n_columns):
                above[c] = signal[v, 0, c]
            for r in range(n_rows):
                readings, below = signal[v, r], signal[v, min(r + 1, n_rows - 1)]
                for c in range(n_columns):
                    here[c] = readings[c]
                for c in range(n_columns):
                    readings[c] = here[c] + share_rows * (above[c] - 2.0 * here[c] + below[c])
                above, here = here, above
