"""Numba kernel of the couch: exact lengths of in-plane rays in layers under a parabola.

Along a ray from (x, y) in the unit direction (u, v) the depth ``q = y + a x^2`` is a quadratic of the length s with
a >= 0, so that the part where q is below a level is one interval; a layer's length is the difference of two of them.
float64 throughout, no fast maths; every ray is worked by itself, so that results do not depend on the threads.
"""

from __future__ import annotations

import math

from numba import njit, prange
from numba.extending import register_jitable


@register_jitable
def _below(x, y, u, v, bend, level, first, last):
    """Length of s in first..last where (y + s v) + bend (x + s u)^2 <= level."""
    a = bend * u * u
    b = v + 2.0 * bend * x * u
    c = y + bend * x * x - level
    if a * (abs(first) + abs(last)) ** 2 < 1e-9:  # straight within a nanometre: no division by a small number
        if b > 0.0:
            return max(0.0, min(last, -c / b) - first)
        if b < 0.0:
            return max(0.0, last - max(first, -c / b))
        return last - first if c <= 0.0 else 0.0
    inside = b * b - 4.0 * a * c
    if inside <= 0.0:
        return 0.0
    # the root that does not cancel, then the other from their product
    half = -0.5 * (b + math.copysign(math.sqrt(inside), b))
    one, two = half / a, c / half
    return max(0.0, min(last, max(one, two)) - max(first, min(one, two)))


@register_jitable
def _within(x, u, half_width, far):
    """First and last length of s in 0..far where |x + s u| <= half_width; empty: (0, 0)."""
    if abs(u) < 1e-15:
        return (0.0, far) if abs(x) <= half_width else (0.0, 0.0)
    one, two = (-half_width - x) / u, (half_width - x) / u
    first, last = max(0.0, min(one, two)), min(far, max(one, two))
    return (first, last) if last > first else (0.0, 0.0)


@njit(cache=True, parallel=True, error_model="numpy")
def add_layers(source, heading, angle, distance, bend, half_width, shell_mm, level, amount, out):
    """Overwrite ``out`` with the amounts of two bases in the couch on every in-plane ray.

    source      (V, 2)     float64  x, y of the source from the middle of the tabletop's upper side [mm]
    heading     (V,)       int64 x 1: cycle row of the view in ``angle`` and ``distance``
    angle       (V, C)     float64  direction of the ray in the world [rad]: cos along x, sin along y
    distance    (K, C)     float64  length of the ray from source to cell [mm]
    bend                   float64  a of the parabola [1/mm]
    half_width             float64  of the couch [mm]
    shell_mm               float64  thickness of the shells at the sides [mm]
    level       (5,)       float64  depths between mattress, upper shell, core, lower shell [mm], growing
    amount      (3, 2)     float64  of the bases per millimetre of mattress, shell, core [g/cm2 per mm]
    out         (2, V, C)  float32  overwritten [g/cm2]
    """
    n_views, n_columns = angle.shape
    for w in prange(n_views):
        x, y = source[w, 0], source[w, 1]
        for c in range(n_columns):
            u, v = math.cos(angle[w, c]), math.sin(angle[w, c])
            far = distance[heading[w], c]
            first, last = _within(x, u, half_width, far)
            mattress = shell = core = 0.0
            if last > first:
                upper = _below(x, y, u, v, bend, level[1], first, last)
                mattress = upper - _below(x, y, u, v, bend, level[0], first, last)
                roof = _below(x, y, u, v, bend, level[2], first, last)
                floor = _below(x, y, u, v, bend, level[3], first, last)
                shell = _below(x, y, u, v, bend, level[4], first, last) - upper
                first, last = _within(x, u, half_width - shell_mm, far)
                if last > first and floor > roof:
                    core = _below(x, y, u, v, bend, level[3], first, last)
                    core -= _below(x, y, u, v, bend, level[2], first, last)
                    shell -= core
            for k in range(2):
                out[k, w, c] = mattress * amount[0, k] + shell * amount[1, k] + core * amount[2, k]
