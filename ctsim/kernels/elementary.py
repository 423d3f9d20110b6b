"""Exponential and logarithm by polynomials, in a form that loops over arrays vectorise (the C library's do not).

    exp(x) = 2^n exp(f),    n = round(x / ln 2),    f = x - n ln 2   (ln 2 in two parts; Cody & Waite 1980)
    ln(x)  = k ln 2 + 2 artanh(s),    x = 2^k m,    s = (m - 1) / (m + 1),    sqrt(1/2) <= m < sqrt(2)

exp(f) is its Taylor series to f^7 and artanh(s) that to s^15. No fastmath: the same bits in any loop.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

_PER_LN2 = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)  # few bits: its product with n is exact
_LN2_LOW = np.float32(-2.12194440054690583e-4)
_LN2 = 0.6931471805599453
_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_C2, _C3, _C4 = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24)
_C5, _C6, _C7 = np.float32(1 / 120), np.float32(1 / 720), np.float32(1 / 5040)
_EXPONENT_32, _EXPONENT_64 = np.int32(23), np.int64(52)
_BIAS = np.int32(127)
_ROOT_HALF = np.int64(0x3FE6A09E667F3BCD)  # bits of sqrt(1/2)


@register_jitable
def exp32(x):
    """Exponential of a float32 within -87 to 88 (beyond: that of the end), relative error below 2e-7."""
    x = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(x * _PER_LN2 + _HALF)
    f = (x - n * _LN2_HIGH) - n * _LN2_LOW
    series = _C6 + f * _C7
    series = _C5 + f * series
    series = _C4 + f * series
    series = _C3 + f * series
    series = _C2 + f * series
    series = _ONE + f * series
    series = _ONE + f * series
    return series * np.int32((np.int32(n) + _BIAS) << _EXPONENT_32).view(np.float32)


@register_jitable
def log64(x):
    """Natural logarithm of a normal positive float64, error below 2e-14 for 1e-9 to 1e9."""
    bits = np.float64(x).view(np.int64)
    k = (bits - _ROOT_HALF) >> _EXPONENT_64
    m = np.int64(bits - (k << _EXPONENT_64)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    series = 1 / 13 + q * (1 / 15)
    series = 1 / 11 + q * series
    series = 1 / 9 + q * series
    series = 1 / 7 + q * series
    series = 1 / 5 + q * series
    series = 1 / 3 + q * series
    return np.float64(k) * _LN2 + 2.0 * (s + s * q * series)
