"""Signed distance to nodule surfaces on a fine lattice (Numba). Positive inside, millimetres.

For a star-shaped body: ``phi(x) = (r(u) - |x|) / sqrt(1 + |grad_u ln r|^2)`` with ``u = x / |x|``, exact to first
order at the surface.
For a spicule segment: the distance to a round cone. Both kernels run over independent outputs.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange


@njit(cache=True, error_model="numpy")
def _angle(y, x):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Angle of (x, y) from 0 to 2 pi, to 2e-8 (arctangent by Abramowitz and Stegun 4.4.49)."""
    a, b = abs(x), abs(y)
    t = min(a, b) / max(a, b, 1e-300)
    s = t * t
    c = 0.0429096138 + s * (-0.0161657367 + s * 0.0028662257)
    c = -0.1420889944 + s * (0.1065626393 + s * (-0.0752896400 + s * c))
    angle = t * (1.0 + s * (-0.3333314528 + s * (0.1999355085 + s * c)))
    if b > a:
        angle = 0.5 * math.pi - angle
    if x < 0.0:
        angle = math.pi - angle
    return 2 * math.pi - angle if y < 0.0 else angle


@njit(cache=True, parallel=True, error_model="numpy")
def body_distance(radius_mm, slope, rotation, centre_mm, origin_mm, step_mm, near_mm, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Overwrite ``out`` with the signed distance to a star-shaped body.

    radius_mm  (T + 1, P + 1) float64  radius table, last column repeats the first [mm]
    slope      (T + 1, P + 1) float64  radial to normal distance [1]
    rotation   (3, 3)         float64  columns are the body's axes in the world
    centre_mm  (3,)           float64  star centre (x, y, z) [mm]
    origin_mm  (3,)           float64  centre of voxel (0, 0, 0), (x, y, z) [mm]
    step_mm    scalar                  spacing of the lattice, equal along all axes [mm]
    near_mm    scalar                  farther than this inside or outside all of the surface only a bound of the
                                       distance is worked out, beyond +-near_mm [mm]
    out        (Z, Y, X)      float32  signed distance, positive inside [mm]
    """
    n_z, n_y, n_x = out.shape
    # One flat and small table: a view for every voxel, or one that leaves the cache, costs more than the arithmetic.
    nodes = np.empty((radius_mm.shape[0], radius_mm.shape[1], 2), np.float32)
    nodes[:, :, 0], nodes[:, :, 1] = radius_mm, slope
    table, ring = nodes.ravel(), 2 * radius_mm.shape[1]
    least, most, steepest = radius_mm.min(), radius_mm.max(), slope.min()
    inner, outer = least - near_mm / steepest, most + near_mm / steepest
    per_theta = (radius_mm.shape[0] - 1) / math.pi
    per_phi = (radius_mm.shape[1] - 1) / (2 * math.pi)
    last_theta, last_phi = radius_mm.shape[0] - 2, radius_mm.shape[1] - 2
    first_x = origin_mm[0] - centre_mm[0]
    for k in prange(n_z):
        dz = origin_mm[2] + k * step_mm - centre_mm[2]
        theta, phi = np.empty(n_x), np.empty(n_x)
        for j in range(n_y):
            dy = origin_mm[1] + j * step_mm - centre_mm[1]
            aside = dy * dy + dz * dz
            row = out[k, j]
            _bounds(first_x, step_mm, aside, least, outer, most, steepest, row)
            # The row enters the shell around the surface, may leave it for the core, and comes out again.
            reach = math.sqrt(max(0.0, outer * outer - aside)) if math.isfinite(outer) else math.inf
            hole = math.sqrt(max(0.0, inner * inner - aside)) if inner > 0.0 else 0.0
            begin = _first_from(-reach, first_x, step_mm, n_x)
            end = min(n_x, _first_from(reach, first_x, step_mm, n_x) + 1)
            leave = _first_from(-hole, first_x, step_mm, n_x) + 1 if hole > 0.0 else end
            enter = max(leave, _first_from(hole, first_x, step_mm, n_x) - 1) if hole > 0.0 else end
            for part in range(2):
                low, high = (begin, min(end, leave)) if part == 0 else (max(begin, enter), end)
                _angles(rotation, first_x, step_mm, dy, dz, low, high, theta, phi)
                for i in range(low, high):
                    dx = first_x + i * step_mm
                    length = math.sqrt(dx * dx + aside)
                    if length > outer or length < inner:
                        continue
                    t, p = theta[i] * per_theta, phi[i] * per_phi
                    it = min(last_theta, int(t))
                    ip = min(last_phi, int(p))
                    ft, fp = t - it, p - ip
                    w00, w01 = (1 - ft) * (1 - fp), (1 - ft) * fp
                    w10, w11 = ft * (1 - fp), ft * fp
                    near = it * ring + 2 * ip
                    far = near + ring
                    r = w00 * table[near] + w01 * table[near + 2] + w10 * table[far] + w11 * table[far + 2]
                    g = w00 * table[near + 1] + w01 * table[near + 3] + w10 * table[far + 1] + w11 * table[far + 3]
                    row[i] = (r - length) * g


@njit(cache=True, error_model="numpy")
def _bounds(first, step, aside, least, outer, most, steepest, row):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Overwrite a row with what the distance is at most (outside) or at least (inside), by the largest slope."""
    for i in range(len(row)):
        dx = first + i * step
        length = math.sqrt(dx * dx + aside)
        row[i] = ((most if length > outer else least) - length) * steepest


@njit(cache=True, error_model="numpy")
def _angles(rotation, first, step, dy, dz, low, high, theta, phi):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Polar angle and longitude of a row's points in the body's frame, side by side: vector instructions serve."""
    x0, y0, z0 = (
        rotation[1, 0] * dy + rotation[2, 0] * dz,
        rotation[1, 1] * dy + rotation[2, 1] * dz,
        rotation[1, 2] * dy + rotation[2, 2] * dz,
    )
    x1, y1, z1 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    for i in range(low, high):
        dx = first + i * step
        x, y, z = x1 * dx + x0, y1 * dx + y0, z1 * dx + z0
        theta[i] = _angle(math.sqrt(x * x + y * y), z)
        phi[i] = _angle(y, x)


@njit(cache=True, error_model="numpy")
def _first_from(x_mm, first_mm, step_mm, n):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Index of the first of ``n`` points of a row that lies at ``x_mm`` or beyond; 0 to n."""
    at = (x_mm - first_mm) / step_mm
    return 0 if at <= 0.0 else n if at > n - 1 else math.ceil(at)


@njit(cache=True, error_model="numpy")
def join_segments(segments, pad_mm, origin_mm, step_mm, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Raise ``out`` to the union with tapered segments (maximum of signed distances, so their order does not matter).

    segments   (n, 8)    float64  start (x, y, z), end (x, y, z), start radius, end radius [mm]
    pad_mm     scalar             how far outside a segment its distance is worked out [mm]
    origin_mm  (3,)      float64  centre of voxel (0, 0, 0), (x, y, z) [mm]
    step_mm    scalar             spacing of the lattice [mm]
    out        (Z, Y, X) float32  signed distance, positive inside [mm]
    """
    n_z, n_y, n_x = out.shape
    for s in range(segments.shape[0]):
        ax, ay, az = segments[s, 0], segments[s, 1], segments[s, 2]
        bx, by, bz = segments[s, 3] - ax, segments[s, 4] - ay, segments[s, 5] - az
        ra, rb = segments[s, 6], segments[s, 7]
        reach = max(ra, rb) + pad_mm
        length2 = bx * bx + by * by + bz * bz
        # Along a row (x) the squared distance to the segment's line is flat (x - x0)^2 + what is least.
        flat = (by * by + bz * bz) / length2
        i0 = max(0, math.floor((min(ax, ax + bx) - reach - origin_mm[0]) / step_mm))
        i1 = min(n_x - 1, math.ceil((max(ax, ax + bx) + reach - origin_mm[0]) / step_mm))
        j0 = max(0, math.floor((min(ay, ay + by) - reach - origin_mm[1]) / step_mm))
        j1 = min(n_y - 1, math.ceil((max(ay, ay + by) + reach - origin_mm[1]) / step_mm))
        k0 = max(0, math.floor((min(az, az + bz) - reach - origin_mm[2]) / step_mm))
        k1 = min(n_z - 1, math.ceil((max(az, az + bz) + reach - origin_mm[2]) / step_mm))
        for k in range(k0, k1 + 1):
            pz = origin_mm[2] + k * step_mm - az
            for j in range(j0, j1 + 1):
                py = origin_mm[1] + j * step_mm - ay
                first, last = i0, i1
                along = (py * by + pz * bz) / length2
                least = py * py + pz * pz - along * along * length2
                if flat > 1e-6:
                    least -= along * along * bx * bx / flat
                    if least > reach * reach:
                        continue
                    middle, half = ax + along * bx / flat - origin_mm[0], math.sqrt((reach * reach - least) / flat)
                    first = max(i0, math.floor((middle - half) / step_mm))
                    last = min(i1, math.ceil((middle + half) / step_mm))
                for i in range(first, last + 1):
                    px = origin_mm[0] + i * step_mm - ax
                    t = min(1.0, max(0.0, (px * bx + py * by + pz * bz) / length2))
                    qx, qy, qz = px - t * bx, py - t * by, pz - t * bz
                    distance = ra + t * (rb - ra) - math.sqrt(qx * qx + qy * qy + qz * qz)
                    if distance > out[k, j, i]:
                        out[k, j, i] = distance
