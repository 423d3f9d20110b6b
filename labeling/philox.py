"""Philox4x64-10 over many keys at once (Salmon et al., SC 2011, doi 10.1145/2063384.2063405).

Bit for bit ``numpy.random.Generator(numpy.random.Philox(key=key)).random(n)``, which makes one key at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
_WEYL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_ROUNDS = 10
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def uniform_doubles(keys: Words, words: Words, n_draws: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), ``(n_draws, n)``: row i is element i of the stream of each key ``(keys[j], words[j])``."""
    u = np.empty((4 * -(-n_draws // 4), len(keys)))
    for block in range(len(u) // 4):
        for row, word in enumerate(_block(block + 1, keys, words)):  # the counter is raised before the first block
            u[4 * block + row] = (word >> np.uint64(11)) * 2.0**-53
    return u[:n_draws]


def _block(counter: int, first: Words, second: Words) -> tuple[Words, Words, Words, Words]:
    zero = np.zeros(len(first), np.uint64)
    a, b, c, d = np.full(len(first), counter, np.uint64), zero, zero, zero
    for _ in range(_ROUNDS):
        (high_a, low_a), (high_c, low_c) = _product(_MULTIPLIERS[0], a), _product(_MULTIPLIERS[1], c)
        a, b, c, d = high_c ^ b ^ first, low_c, high_a ^ d ^ second, low_a
        first, second = first + _WEYL[0], second + _WEYL[1]
    return a, b, c, d


def _product(m: np.uint64, x: Words) -> tuple[Words, Words]:
    """High and low 64 bits of ``m * x``, by halves of 32 bits."""
    m_high, m_low, x_high, x_low = m >> _HALF, m & _LOW, x >> _HALF, x & _LOW
    carry = (m_low * x_low) >> _HALF
    middle = m_high * x_low + carry
    other = m_low * x_high + (middle & _LOW)
    return m_high * x_high + (middle >> _HALF) + (other >> _HALF), m * x
