"""Counting noise and electronic noise of every reading, each a function of (key, view, row, column) alone.

The uniform numbers are Philox4x32-10 (Salmon et al., SC'11, doi:10.1145/2063384.2063405) with the reading's indices
as its counter and the 64-bit key as its key, so order, blocks and threads do not matter. A reading of mean signal M1
and mean energy Ebar = M2 / M1 is

    S = Ebar n + s_e z,    n ~ Poisson(M1 / Ebar),    z ~ Normal(0, 1),

the one-draw form of compound Poisson noise with the right mean and variance (Whiting et al., Med Phys 33 (2006)
3290). n is the inverse of the distribution function at one uniform number, so it grows with the mean: by summing up
to a mean of 32, above it by the Cornish-Fisher expansion ``mu + sqrt(mu) z + (z^2 - 1)/6 + (z - z^3)/(72
sqrt(mu))``, rounded. z comes from Wichura's AS 241 (Appl Stat 37 (1988) 477). float64 throughout, no fastmath.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange, uint32, uint64

EXACT_BELOW = 32.0
"""Mean up to which the distribution function is summed [counts]."""

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
def normal_quantile(u):
    """Inverse of the normal distribution function at u in (0, 1): AS 241, PPND16, relative error 1e-16."""
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = 2.5090809287301226727e3
        for a in (
            3.3430575583588128105e4,
            6.7265770927008700853e4,
            4.5921953931549871457e4,
            1.3731693765509461125e4,
            1.9715909503065514427e3,
            1.3314166789178437745e2,
            3.3871328727963666080e0,
        ):
            top = top * r + a
        bottom = 5.2264952788528545610e3
        for b in (
            2.8729085735721942674e4,
            3.9307895800092710610e4,
            2.1213794301586595867e4,
            5.3941960214247511077e3,
            6.8718700749205790830e2,
            4.2313330701600911252e1,
            1.0,
        ):
            bottom = bottom * r + b
        return q * top / bottom
    r = math.sqrt(-math.log(u if q < 0 else 1.0 - u))
    if r <= 5.0:
        r -= 1.6
        top = 7.74545014278341407640e-4
        for c in (
            2.27238449892691845833e-2,
            2.41780725177450611770e-1,
            1.27045825245236838258e0,
            3.64784832476320460504e0,
            5.76949722146069140550e0,
            4.63033784615654529590e0,
            1.42343711074968357734e0,
        ):
            top = top * r + c
        bottom = 1.05075007164441684324e-9
        for d in (
            5.47593808499534494600e-4,
            1.51986665636164571966e-2,
            1.48103976427480074590e-1,
            6.89767334985100004550e-1,
            1.67638483018380384940e0,
            2.05319162663775882187e0,
            1.0,
        ):
            bottom = bottom * r + d
    else:
        r -= 5.0
        top = 2.01033439929228813265e-7
        for e in (
            2.71155556874348757815e-5,
            1.24266094738807843860e-3,
            2.65321895265761230930e-2,
            2.96560571828504891230e-1,
            1.78482653991729133580e0,
            5.46378491116411436990e0,
            6.65790464350110377720e0,
        ):
            top = top * r + e
        bottom = 2.04426310338993978564e-15
        for f in (
            1.42151175831644588870e-7,
            1.84631831751005468180e-5,
            7.86869131145613259100e-4,
            1.48753612908506148525e-2,
            1.36929880922735805310e-1,
            5.99832206555887937690e-1,
            1.0,
        ):
            bottom = bottom * r + f
    value = top / bottom
    return -value if q < 0 else value


@njit(cache=True)
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
    z = normal_quantile(u)
    root = math.sqrt(mean)
    return math.floor(mean + root * z + (z * z - 1.0) / 6.0 + (z - z * z * z) / (72.0 * root) + 0.5)


@njit(cache=True, parallel=True, error_model="numpy")
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
        for c in range(n_columns):
            mean = float(signal[v, r, c])
            if mean > 0.0:
                w0, w1, _, _ = philox(c, r, first_view + v, 0, key_low, key_high)
                energy = mean_square[v, r, c] / mean
                signal[v, r, c] = energy * poisson_quantile(uniform(w0, w1), mean / energy)
            else:
                signal[v, r, c] = 0.0


@njit(cache=True, parallel=True, error_model="numpy")
def add_electronic(signal, noise_kev, stream, first_view, key_low, key_high):
    """Add electronic noise of standard deviation ``noise_kev`` to ``signal`` (V, R, C) float32 [keV], in place.

    It takes the words of each reading's counter that :func:`count` (stream 0) or :func:`thin` (stream 1) leaves.
    """
    n_views, n_rows, n_columns = signal.shape
    for line in prange(n_views * n_rows):
        v, r = line // n_rows, line % n_rows
        for c in range(n_columns):
            _, _, w2, w3 = philox(c, r, first_view + v, stream, key_low, key_high)
            signal[v, r, c] += noise_kev * normal_quantile(uniform(w2, w3))


@njit(cache=True, parallel=True, error_model="numpy")
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
        for c in range(n_columns):
            w0, w1, _, _ = philox(c, r, first_view + v, 1, key_low, key_high)
            variance = share * (1.0 - share) * photon_kev[v, r, c] * max(float(signal[v, r, c]), 0.0)
            signal[v, r, c] = math.sqrt(variance) * normal_quantile(uniform(w0, w1))


@njit(cache=True)
def normals(n_rows, n_columns, key_low, key_high):
    """``(n_rows, n_columns)`` float64 standard normal numbers of a key: what stays the same from scan to scan."""
    out = np.empty((n_rows, n_columns))
    for r in range(n_rows):
        for c in range(n_columns):
            w0, w1, _, _ = philox(c, r, 0, 2, key_low, key_high)
            out[r, c] = normal_quantile(uniform(w0, w1))
    return out
