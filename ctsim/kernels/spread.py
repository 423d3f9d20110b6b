"""Second half of back projection: voxels interpolate between four nodes, whole lines of z at a time.

With the sheets P of :func:`ctsim.kernels.gather.gather_directions`:

    f(x, y, z) += scale * P(p, t, z)

Volumes are worked in square tiles, as neighbouring lines of voxels read the same nodes; a tile's sum over directions
stays in the processor's cache.

Float policy: positions float64 per row of a tile, float32 within it (places are known to 1e-5); ``contract`` only; each
thread owns its voxels, which add up in the order of the directions.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from .vectors import load, store

TILE = 16
"""Lines of voxels along x and y worked together (measured)."""

_ONE = np.float32(1.0)

BLOCK = 16
"""Slices side by side: sheets hold a whole number of them."""


@register_jitable
def _between(first, rest, step, most, x):
    """The sample below place x of a row that starts ``rest`` behind sample ``first``, and the share of the next."""
    at = rest + step * np.float32(x)
    low = min(max(first + np.int32(at), np.int32(0)), most)
    return low, at - np.float32(low - first)


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def spread_directions(
    sheet, n_z, n_places, is_unseen, direction, x_mm, y_mm, first_place, place_pitch, first_node, node_pitch, radius,
    scale, first, out, missed,
):  # fmt: skip
    """Add the sheets of some directions to the volume, interpolated between their nodes.

    sheet        (B, P, T, S) float32  of :func:`ctsim.kernels.gather.gather_directions`, S a whole number of blocks
    n_z                    int      slices that count
    n_places               int      places that count; voxels beyond the last continue the last two
    is_unseen    (B,)      bool     whether a sheet has NaN
    direction    (B, 2)    float64  cos and sin of theta
    x_mm         (X,)      float64  from the axis, equally spaced [mm]
    y_mm         (Y,)      float64  from the axis [mm]
    first_place  (B,)      float64  signed distance p of the sheet's place 0 [mm]
    place_pitch            float64  [mm]
    first_node   (B,)      float64  place t of node 0, along theta from the axis [mm]
    node_pitch             float64  [mm]
    radius                 float64  of the field of view; voxels outside are left alone [mm]
    scale                  float64
    first        (3,)      int64    y and x of the volume that are the first here, slice that is the sheet's first
    out          (.., .., ..) float32  (y, x, z)
    missed       (.., .., ..) uint16   directions in which no ray passes through the voxel, added to
    """
    n_directions, width, n_nodes, depth = sheet.shape
    n_y, n_x = len(y_mm), len(x_mm)
    across = (n_x + TILE - 1) // TILE
    flat = sheet.reshape(-1)
    dx = x_mm[1] - x_mm[0] if n_x > 1 else 1.0
    unit = np.float32(scale)
    most_p, most_t = np.int32(n_places - 2), np.int32(n_nodes - 2)
    for tile in prange((n_y + TILE - 1) // TILE * across):
        y0, x0 = tile // across * TILE, tile % across * TILE
        acc = np.zeros(TILE * TILE * depth, np.float32)
        y1, x1 = min(y0 + TILE, n_y), min(x0 + TILE, n_x)
        first_x, last_x = np.full(TILE, x1), np.full(TILE, x0)  # in the field of view
        for y in range(y0, y1):
            for x in range(x0, x1):
                if x_mm[x] ** 2 + y_mm[y] ** 2 <= radius * radius:
                    first_x[y - y0] = min(first_x[y - y0], x)
                    last_x[y - y0] = x + 1
        node = np.empty(TILE, np.int32)
        w00, w01 = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
        w10, w11 = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
        for d in range(n_directions):
            sheet_0 = d * width * n_nodes * depth
            dp, dt = np.float32(-dx * direction[d, 1] / place_pitch), np.float32(dx * direction[d, 0] / node_pitch)
            for y in range(y0, y1):
                if first_x[y - y0] >= last_x[y - y0]:
                    continue
                p = (y_mm[y] * direction[d, 0] - x_mm[x0] * direction[d, 1] - first_place[d]) / place_pitch
                t = (x_mm[x0] * direction[d, 0] + y_mm[y] * direction[d, 1] - first_node[d]) / node_pitch
                # whole numbers apart, so that float32 holds the rest
                whole_p, whole_t = np.floor(min(p, p + TILE * dp)), np.floor(min(t, t + TILE * dt))
                rest_p, rest_t = np.float32(p - whole_p), np.float32(t - whole_t)
                i_0, j_0 = np.int32(whole_p), np.int32(whole_t)
                # one loop per array, so that each becomes vectors
                for x in range(TILE):
                    i, _ = _between(i_0, rest_p, dp, most_p, x)
                    j, _ = _between(j_0, rest_t, dt, most_t, x)
                    node[x] = i * np.int32(n_nodes) + j
                for x in range(TILE):
                    w00[x] = unit * (_ONE - _between(i_0, rest_p, dp, most_p, x)[1])
                for x in range(TILE):
                    w10[x] = unit * _between(i_0, rest_p, dp, most_p, x)[1]
                for x in range(TILE):
                    w01[x] = w00[x] * _between(j_0, rest_t, dt, most_t, x)[1]
                for x in range(TILE):
                    w11[x] = w10[x] * _between(j_0, rest_t, dt, most_t, x)[1]
                for x in range(TILE):
                    w00[x] -= w01[x]
                for x in range(TILE):
                    w10[x] -= w11[x]
                for x in range(first_x[y - y0] - x0, last_x[y - y0] - x0):
                    near = sheet_0 + np.int64(node[x]) * depth
                    far = near + n_nodes * depth
                    line = ((y - y0) * TILE + x) * depth
                    a, b, c, e = w00[x], w01[x], w10[x], w11[x]
                    if is_unseen[d]:
                        for k in range(n_z):
                            value = a * flat[near + k] + b * flat[near + depth + k]
                            value += c * flat[far + k] + e * flat[far + depth + k]
                            if value == value:
                                acc[line + k] += value
                            else:
                                missed[first[0] + y, first[1] + x0 + x, first[2] + k] += np.uint16(1)
                    else:
                        for k in range(0, depth, BLOCK):
                            value = load(acc, line + k, BLOCK) + a * load(sheet, near + k, BLOCK)
                            value = value + b * load(sheet, near + depth + k, BLOCK)
                            value = value + c * load(sheet, far + k, BLOCK)
                            store(acc, line + k, value + e * load(sheet, far + depth + k, BLOCK))
        for y in range(y0, y1):
            for x in range(x0, x1):
                line = ((y - y0) * TILE + (x - x0)) * depth
                for k in range(n_z):
                    out[first[0] + y, first[1] + x, first[2] + k] += acc[line + k]
