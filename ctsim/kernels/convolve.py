"""Rows filtered along their places, sixteen at a time, and summed up over the rows.

Eight rows are the real parts and eight the imaginary parts of one complex signal: a filter with a real transfer
function keeps them apart. The discrete Fourier transform works in place, with the frequencies in the order that it
leaves them in (decimation in frequency: Gentleman & Sande, AFIPS Proc. 29:563, 1966), which the way back takes as they
are (decimation in time: Cooley & Tukey, Math. Comp. 19:297, 1965). Lengths are products of 2 and 3; the way back is the
way there with real and imaginary parts exchanged.

Float policy: float32, factors from float64; ``contract`` only; every row is independent of those beside it.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from .rebin import ROWS
from .vectors import load, splat, store, store_transposed

_HALF, _SIN_60 = np.float32(0.5), np.float32(0.75**0.5)


@register_jitable
def _pass_4(re, im, cos, sin, size, before):
    """Fourier transforms of 4 in blocks of ``size``; twiddle factors ``before`` them, or after."""
    length, part = len(cos), size // 4
    stride = length // size
    q = part * 8
    for block in range(0, length, size):
        for j in range(part):
            at = (block + j) * 8
            i = j * stride
            c1, s1, c2, s2, c3, s3 = cos[i], sin[i], cos[2 * i], sin[2 * i], cos[3 * i], sin[3 * i]
            r0, r1, r2, r3 = load(re, at, 8), load(re, at + q, 8), load(re, at + 2 * q, 8), load(re, at + 3 * q, 8)
            i0, i1, i2, i3 = load(im, at, 8), load(im, at + q, 8), load(im, at + 2 * q, 8), load(im, at + 3 * q, 8)
            if before:
                r1, i1 = c1 * r1 + s1 * i1, c1 * i1 - s1 * r1
                r2, i2 = c2 * r2 + s2 * i2, c2 * i2 - s2 * r2
                r3, i3 = c3 * r3 + s3 * i3, c3 * i3 - s3 * r3
            sum_r, sum_i, dif_r, dif_i = r0 + r2, i0 + i2, r0 - r2, i0 - i2
            odd_r, odd_i, off_r, off_i = r1 + r3, i1 + i3, r1 - r3, i1 - i3
            r0, i0 = sum_r + odd_r, sum_i + odd_i
            r2, i2 = sum_r - odd_r, sum_i - odd_i
            r1, i1 = dif_r + off_i, dif_i - off_r
            r3, i3 = dif_r - off_i, dif_i + off_r
            if not before:
                r1, i1 = c1 * r1 + s1 * i1, c1 * i1 - s1 * r1
                r2, i2 = c2 * r2 + s2 * i2, c2 * i2 - s2 * r2
                r3, i3 = c3 * r3 + s3 * i3, c3 * i3 - s3 * r3
            store(re, at, r0)
            store(re, at + q, r1)
            store(re, at + 2 * q, r2)
            store(re, at + 3 * q, r3)
            store(im, at, i0)
            store(im, at + q, i1)
            store(im, at + 2 * q, i2)
            store(im, at + 3 * q, i3)


@register_jitable
def _pass_3(re, im, cos, sin, size, before):
    """The same with transforms of 3."""
    length, part = len(cos), size // 3
    stride = length // size
    q = part * 8
    for block in range(0, length, size):
        for j in range(part):
            at = (block + j) * 8
            i = j * stride
            c1, s1, c2, s2 = cos[i], sin[i], cos[2 * i], sin[2 * i]
            r0, r1, r2 = load(re, at, 8), load(re, at + q, 8), load(re, at + 2 * q, 8)
            i0, i1, i2 = load(im, at, 8), load(im, at + q, 8), load(im, at + 2 * q, 8)
            if before:
                r1, i1 = c1 * r1 + s1 * i1, c1 * i1 - s1 * r1
                r2, i2 = c2 * r2 + s2 * i2, c2 * i2 - s2 * r2
            sum_r, sum_i = r1 + r2, i1 + i2
            dif_r, dif_i = _SIN_60 * (r1 - r2), _SIN_60 * (i1 - i2)
            mid_r, mid_i = r0 - _HALF * sum_r, i0 - _HALF * sum_i
            r0, i0 = r0 + sum_r, i0 + sum_i
            r1, i1 = mid_r + dif_i, mid_i - dif_r
            r2, i2 = mid_r - dif_i, mid_i + dif_r
            if not before:
                r1, i1 = c1 * r1 + s1 * i1, c1 * i1 - s1 * r1
                r2, i2 = c2 * r2 + s2 * i2, c2 * i2 - s2 * r2
            store(re, at, r0)
            store(re, at + q, r1)
            store(re, at + 2 * q, r2)
            store(im, at, i0)
            store(im, at + q, i1)
            store(im, at + 2 * q, i2)


@register_jitable
def _pass_2(re, im, cos, sin, size, before):
    """The same with transforms of 2."""
    length, part = len(cos), size // 2
    stride = length // size
    q = part * 8
    for block in range(0, length, size):
        for j in range(part):
            at = (block + j) * 8
            c1, s1 = cos[j * stride], sin[j * stride]
            r0, r1, i0, i1 = load(re, at, 8), load(re, at + q, 8), load(im, at, 8), load(im, at + q, 8)
            if before:
                r1, i1 = c1 * r1 + s1 * i1, c1 * i1 - s1 * r1
            r0, r1, i0, i1 = r0 + r1, r0 - r1, i0 + i1, i0 - i1
            if not before:
                r1, i1 = c1 * r1 + s1 * i1, c1 * i1 - s1 * r1
            store(re, at, r0)
            store(re, at + q, r1)
            store(im, at, i0)
            store(im, at + q, i1)


@register_jitable
def _transform(re, im, cos, sin, radices, is_back):
    """Fourier transform in place: natural order to that of the radices, or the way back."""
    size = len(cos)
    for done in range(len(radices)):
        if is_back:
            radix = radices[len(radices) - 1 - done]
            size = radix if done == 0 else size * radix
        else:
            radix = radices[done]
            if done > 0:
                size //= radices[done - 1]
        if radix == 4:
            _pass_4(re, im, cos, sin, size, is_back)
        elif radix == 3:
            _pass_3(re, im, cos, sin, size, is_back)
        else:
            _pass_2(re, im, cos, sin, size, is_back)


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def filter_and_cumulate(rows, transfer, cos, sin, radices, skip, n_kept, groups, place, index, out):
    """Overwrite rows of ``out`` with running sums over the filtered rows, from 0 at each output's first group.

    rows      (N, G, P, 16) float32  in groups of 16, zeros beyond the last row
    transfer  (L,)    float32  real transfer function over L, in the order that the radices leave frequencies in
    cos, sin  (L,)    float32  of 2 pi k / L; L is at least 2 P
    radices   (F,)    int64    each 2, 3 or 4; their product is L
    skip              int      places of ``rows`` before the first that is kept
    n_kept            int      places that are kept
    groups    (N, 2)  int64    first group of rows that is there, and the one after the last
    place     (N,)    int64    column of ``out`` that the first kept place goes to; at least 7 follow the last
    index     (N,)    int64    which of ``out`` each of the N is
    out       (.., 16 G + 1, Q) float32  other columns of the wanted rows become 0, or some finite value just behind
    """
    n_out, n_groups, n_places, _ = rows.shape
    length = len(cos)
    width = out.shape[2]
    for n in prange(n_out):
        to = index[n]
        re, im = np.empty(length * 8, np.float32), np.empty(length * 8, np.float32)
        zero = splat(np.float32(0.0), 8)
        behind = place[n] + (n_kept + 7) // 8 * 8
        for q in range(width):
            out[to, groups[n, 0] * ROWS, q] = 0.0
        for row in range(groups[n, 0] * ROWS + 1, groups[n, 1] * ROWS + 1):
            for q in range(place[n]):
                out[to, row, q] = 0.0
            for q in range(behind, width):
                out[to, row, q] = 0.0
        for g in range(groups[n, 0], groups[n, 1]):
            for q in range(n_places):
                at = ((n * n_groups + g) * n_places + q) * ROWS
                store(re, q * 8, load(rows, at, 8))
                store(im, q * 8, load(rows, at + 8, 8))
            for q in range(n_places, length):
                store(re, q * 8, zero)
                store(im, q * 8, zero)
            _transform(re, im, cos, sin, radices, False)
            for k in range(length):
                store(re, k * 8, transfer[k] * load(re, k * 8, 8))
                store(im, k * 8, transfer[k] * load(im, k * 8, 8))
            _transform(im, re, cos, sin, radices, True)
            for half in range(2):
                part = re if half == 0 else im
                below = (to * out.shape[1] + g * ROWS + half * 8) * width + place[n]
                for q in range(0, n_kept, 8):
                    at = (skip + q) * 8
                    store_transposed(
                        out, below + width + q, width, load(part, at, 8), load(part, at + 8, 8), load(part, at + 16, 8),
                        load(part, at + 24, 8), load(part, at + 32, 8), load(part, at + 40, 8), load(part, at + 48, 8),
                        load(part, at + 56, 8),
                    )  # fmt: skip
                for _ in range(8):
                    for q in range(0, n_kept, 8):
                        at = below + width + q
                        store(out, at, load(out, at, 8) + load(out, below + q, 8))
                    below += width
