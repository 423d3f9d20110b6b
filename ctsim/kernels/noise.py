"""Counting noise and electronic noise of every reading, each a function of (key, view, row, column) alone.

The uniform numbers are Philox4x32-10 (Salmon et al., SC'11, doi:10.1145/2063384.2063405) with the reading's indices
as its counter and the 64-bit key as its key, so order, blocks and threads do not matter. A reading of mean signal M1
and mean energy Ebar = M2 / M1 is

    S = Ebar n + s_e z,    n ~ Poisson(M1 / Ebar),    z ~ Normal(0, 1),

the one-draw form of compound Poisson noise with the right mean and variance (Whiting et al., Med Phys 33 (2006)
3290). n is the inverse of the distribution function at one uniform number, so it grows with the mean: by summing up
to a mean of 32, above it by the Cornish-Fisher expansion ``mu + sqrt(mu) z + (z^2 - 1)/6 + (z - z^3)/(72
sqrt(mu))``, rounded. z comes from Wichura's AS 241 (Appl Stat 37 (1988) 477). Float policy: M1, M2 and the mean
count in float32, numbers drawn and counts in float64, no fastmath.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange, uint32, uint64

from .parallel import LOOPS_ONLY

EXACT_BELOW = 32.0
"""Mean up to which the distribution function is summed [counts]."""

BLOCK = 64
"""Neighbouring columns whose numbers are worked together, each step for all: loops that vectorise [readings]."""

_CENTRE = 0.425
_FAR = 1.4e-11  # a little above exp(-25)
_CENTRE_TOP = (
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
_CENTRE_BOTTOM = (
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
_TAIL_TOP = (
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
_TAIL_BOTTOM = (
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
_FAR_TOP = (
    2.01033439929228813265e-7,
    2.71155556874348757815e-5,
    1.24266094738807843860e-3,
    2.65321895265761230930e-2,
    2.96560571828504891230e-1,
    1.78482653991729133580e0,
    5.46378491116411436990e0,
    6.65790464350110377720e0,
)
_FAR_BOTTOM = (
    2.04426310338993978564e-15,
    1.42151175831644588870e-7,
    1.84631831751005468180e-5,
    7.86869131145613259100e-4,
    1.48753612908506148525e-2,
    1.36929880922735805310e-1,
    5.99832206555887937690e-1,
    1.0,
)
"""Wichura's polynomials, highest power first: above and below the line where |u - 1/2| <= 0.425, where the root of -ln
of the smaller tail is at most 5, and beyond."""

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


@njit(cache=True)
def philox(c0, c1, c2, c3, k0, k1):
    """Four random 32-bit words of a counter (four words) and a key (two words): Philox4x32, 10 rounds."""
    a, b, c, d = uint64(c0), uint64(c1), uint64(c2), uint64(c3)
    x, y = uint32(k0), uint32(k1)
    for _ in range(10):
        first = uint64(0xD2511F53) * a
        second = uint64(0xCD9E8D57) * c
        a = (second >> _SHIFT) ^ b ^ uint64(x)
        c = (first >> _SHIFT) ^ d ^ uint64(y)
        b = second & _LOW
        d = first & _LOW
        x = uint32(x + uint32(0x9E3779B9))
        y = uint32(y + uint32(0xBB67AE85))
    return uint32(a), uint32(b), uint32(c), uint32(d)


@njit(cache=True)
def uniform(high, low):
    """A number in (0, 1), never 0 or 1, from two words: the upper 52 of their 64 bits, in the middle of its step."""
    bits = (uint64(high) << uint64(20)) | (uint64(low) >> uint64(12))
    return (float(bits) + 0.5) * 2.0**-52


@njit(cache=True)
def _polynomial(t, x):
    """The polynomial of eight coefficients, the highest power first."""
    return ((((((t[0] * x + t[1]) * x + t[2]) * x + t[3]) * x + t[4]) * x + t[5]) * x + t[6]) * x + t[7]


@njit(cache=True, error_model="numpy")
def _centre(q):
    """Normal quantile at 1/2 + q for |q| <= 0.425."""
    r = 0.180625 - q * q
    return q * _polynomial(_CENTRE_TOP, r) / _polynomial(_CENTRE_BOTTOM, r)


@njit(cache=True, error_model="numpy")
def _tail(r):
    """Minus the normal quantile at exp(-r^2), for r up to 5."""
    r -= 1.6
    return _polynomial(_TAIL_TOP, r) / _polynomial(_TAIL_BOTTOM, r)


@njit(cache=True, error_model="numpy")
def _far_tail(r):
    """The same beyond 5."""
    r -= 5.0
    return _polynomial(_FAR_TOP, r) / _polynomial(_FAR_BOTTOM, r)


@njit(cache=True, error_model="numpy")
def normal_quantile(u):
    """Inverse of the normal distribution function at u in (0, 1): AS 241, PPND16, relative error 1e-16."""
    q = u - 0.5
    if abs(q) <= _CENTRE:
        return _centre(q)
    r = math.sqrt(-math.log(u if q < 0 else 1.0 - u))
    value = _tail(r) if r <= 5.0 else _far_tail(r)
    return -value if q < 0 else value


@njit(cache=True, error_model="numpy")
def _uniforms(first_column, row, view, stream, is_later, key_low, key_high, u):
    """Overwrite ``u`` (BLOCK,) with the uniform numbers of neighbouring columns, of the later words of each or not."""
    for i in range(u.size):
        w0, w1, w2, w3 = philox(first_column + i, row, view, stream, key_low, key_high)
        u[i] = uniform(w2 if is_later else w0, w3 if is_later else w1)


@njit(cache=True, error_model="numpy")
def _normal_quantiles(u, z, tail, r):
    """Overwrite ``z`` (BLOCK,) with the normal quantiles of ``u``, bit for bit those of :func:`normal_quantile`.

    tail  (BLOCK + 1,) int64    scratch: which are not in the centre
    r     (BLOCK,)     float64  scratch
    """
    for i in range(z.size):
        z[i] = _centre(u[i] - 0.5)
    n = 0
    for i in range(u.size):
        tail[n] = i
        n += 1 if abs(u[i] - 0.5) > _CENTRE else 0
    for t in range(n):
        x = u[tail[t]]
        r[t] = math.sqrt(-math.log(x if x < 0.5 else 1.0 - x))
    for begin in range(0, n, 8):
        part = r[begin : begin + 8]  # beyond n: left from before, not used
        for k in range(8):
            part[k] = _tail(part[k])
    for t in range(n):
        x = u[tail[t]]
        z[tail[t]] = -r[t] if x < 0.5 else r[t]
        if min(x, 1.0 - x) < _FAR:
            z[tail[t]] = normal_quantile(x)


@njit(cache=True, error_model="numpy")
def _many(z, mean):
    """Count at the normal quantile z for a mean that is not small."""
    root = math.sqrt(mean)
    return np.floor(mean + root * z + (z * z - 1.0) / 6.0 + (z - z * z * z) / (72.0 * root) + 0.5)


@njit(cache=True, error_model="numpy")
def poisson_quantile(u, mean):
    """Count whose Poisson distribution function first reaches u; grows with u and with the mean."""
    if mean <= 0.0:
        return 0.0
    if mean < EXACT_BELOW:
        n, share = 0, math.exp(-mean)
        total = share
        while u > total and n < 400:
            n += 1
            share *= mean / n
            total += share
        return float(n)
    return _many(normal_quantile(u), mean)


@njit(cache=True, error_model="numpy")
def _counts(mean, u, z, few):
    """Overwrite ``z`` (BLOCK,), the normal quantiles of ``u``, with the counts at them.

    mean  (BLOCK,)     float32  counts expected; 0 where they are not above 0
    few   (BLOCK + 1,) int64    scratch: which are to be summed
    """
    n = 0
    for i in range(mean.size):
        few[n] = i
        n += 0 if mean[i] >= np.float32(EXACT_BELOW) else 1
    for i in range(z.size):
        z[i] = _many(z[i], mean[i])
    for t in range(n):
        z[few[t]] = poisson_quantile(u[few[t]], mean[few[t]])


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def count(signal, mean_square, first_view, key_low, key_high):
    """Overwrite mean energies with one realisation of the energy that counted photons deposit.

    signal       (V, R, C) float32  M1, overwritten by S without electronic noise [keV]
    mean_square  (V, R, C) float32  M2 [keV2]
    first_view   int                place of the block's first view in the scan, part of the counter
    key_low, key_high               words of the key
    """
    n_views, n_rows, n_columns = signal.shape
    for line in prange(n_views * n_rows):
        v, r = line // n_rows, line % n_rows
        u, z, root, which = np.empty(BLOCK), np.empty(BLOCK), np.ones(BLOCK), np.empty(BLOCK + 1, np.int64)
        energy, mean = np.ones(BLOCK, np.float32), np.zeros(BLOCK, np.float32)
        for first in range(0, n_columns, BLOCK):
            means, squares = signal[v, r, first : first + BLOCK], mean_square[v, r, first : first + BLOCK]
            for i in range(means.size):
                energy[i] = squares[i] / means[i]
            for i in range(means.size):
                mean[i] = means[i] / energy[i] if means[i] > np.float32(0.0) else np.float32(0.0)
            _uniforms(first, r, first_view + v, 0, False, key_low, key_high, u)
            _normal_quantiles(u, z, which, root)
            _counts(mean, u, z, which)
            for i in range(means.size):
                means[i] = energy[i] * z[i] if mean[i] > np.float32(0.0) else 0.0


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def add_electronic(signal, noise_kev, stream, first_view, key_low, key_high):
    """Add electronic noise of standard deviation ``noise_kev`` to ``signal`` (V, R, C) float32 [keV], in place.

    It takes the words of each reading's counter that :func:`count` (stream 0) or :func:`thin` (stream 1) leaves.
    """
    n_views, n_rows, n_columns = signal.shape
    for line in prange(n_views * n_rows):
        v, r = line // n_rows, line % n_rows
        u, z, root, which = np.empty(BLOCK), np.empty(BLOCK), np.ones(BLOCK), np.empty(BLOCK + 1, np.int64)
        for first in range(0, n_columns, BLOCK):
            _uniforms(first, r, first_view + v, stream, True, key_low, key_high, u)
            _normal_quantiles(u, z, which, root)
            readings = signal[v, r, first : first + BLOCK]
            for i in range(readings.size):
                readings[i] += noise_kev * z[i]


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def thin(signal, photon_kev, share, first_view, key_low, key_high):
    """Overwrite ``signal`` by the counting noise that a scan at a share of its dose has beyond the scaled-down one.

    A reading S of variance E S, scaled to ``share S``, lacks the variance ``share (1 - share) E S``; it is drawn from
    a normal distribution, of counts never below 0.

    signal      (V, R, C) float32  S, overwritten by noise of mean 0 [keV]
    photon_kev  (V, R, C) float32  E, energy that a count stands for [keV]
    share       float              0 to 1
    """
    n_views, n_rows, n_columns = signal.shape
    for line in prange(n_views * n_rows):
        v, r = line // n_rows, line % n_rows
        u, z, root, which = np.empty(BLOCK), np.empty(BLOCK), np.ones(BLOCK), np.empty(BLOCK + 1, np.int64)
        for first in range(0, n_columns, BLOCK):
            _uniforms(first, r, first_view + v, 1, False, key_low, key_high, u)
            _normal_quantiles(u, z, which, root)
            readings, energies = signal[v, r, first : first + BLOCK], photon_kev[v, r, first : first + BLOCK]
            for i in range(readings.size):
                variance = share * (1.0 - share) * energies[i] * max(float(readings[i]), 0.0)
                readings[i] = math.sqrt(variance) * z[i]


@njit(cache=True)
def normals(n_rows, n_columns, key_low, key_high):
    """``(n_rows, n_columns)`` float64 standard normal numbers of a key: what stays the same from scan to scan."""
    out = np.empty((n_rows, n_columns))
    for r in range(n_rows):
        for c in range(n_columns):
            w0, w1, _, _ = philox(c, r, 0, 2, key_low, key_high)
            out[r, c] = normal_quantile(uniform(w0, w1))
    return out
