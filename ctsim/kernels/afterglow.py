"""Afterglow of the scintillator: light that comes late, as a recursion over the views of each cell, in place.

A component k gives the part a_k of a reading's light with the time constant tau_k. With the light y of a reading of
duration d produced in its middle, and m_k what the component still holds,

    out = (1 - sum a_k + sum a_k (1 - exp(-d / 2 tau_k))) y + sum a_k (1 - exp(-d / tau_k)) m_k
    m_k <- m_k exp(-d / tau_k) + y exp(-d / 2 tau_k),

the recursive form of Hsieh, Gurmen & King, IEEE Trans Med Imaging 19 (2000) 930. A constant signal goes through
unchanged once m_k = y exp(-d / 2 tau_k) / (1 - exp(-d / tau_k)). Float policy: float32 stored, memory in float64, no
fastmath; each cell is worked on its own.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from .parallel import LOOPS_ONLY

_CHUNK = 128


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def glow(signal, before, fraction, time_constant, duration):
    """Overwrite ``signal`` (V, R, C) float32 with the light that is read in each view.

    before         (R, C) float  signal that had gone on for ever before the first view; 0: a cold detector
    fraction       (K,) float64  a_k
    time_constant  (K,) float64  tau_k
    duration       float         time of one reading, in the unit of tau
    """
    n_views, n_rows, n_columns = signal.shape
    n_parts = len(fraction)
    n_chunks = (n_columns + _CHUNK - 1) // _CHUNK
    late, keep, fill = np.empty(n_parts), np.empty(n_parts), np.empty(n_parts)
    prompt = 1.0
    for k in range(n_parts):
        keep[k] = math.exp(-duration / time_constant[k])
        fill[k] = math.exp(-0.5 * duration / time_constant[k])
        late[k] = -fraction[k] * math.expm1(-duration / time_constant[k])
        prompt -= fraction[k] * fill[k]
    for part in prange(n_rows * n_chunks):
        r, first = part // n_chunks, (part % n_chunks) * _CHUNK
        last = min(first + _CHUNK, n_columns)
        memory, light, out = np.zeros((n_parts, _CHUNK)), np.zeros(_CHUNK), np.zeros(_CHUNK)
        for k in range(n_parts):
            for c in range(first, last):
                memory[k, c - first] = before[r, c] * fill[k] / -math.expm1(-duration / time_constant[k])
        for v in range(n_views):
            readings = signal[v, r, first:last]
            for c in range(readings.size):
                light[c] = readings[c]
            for c in range(_CHUNK):
                out[c] = prompt * light[c]
            for k in range(n_parts):
                held, given, kept, filled = memory[k], late[k], keep[k], fill[k]
                for c in range(_CHUNK):
                    out[c] += given * held[c]
                for c in range(_CHUNK):
                    held[c] = held[c] * kept + light[c] * filled
            for c in range(readings.size):
                readings[c] = out[c]
