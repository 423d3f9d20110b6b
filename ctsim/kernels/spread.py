"""Second half of back projection: voxels interpolate between four nodes, whole lines of z at a time.

Fan beam (Feldkamp, Davis, Kress, JOSA A 1:612, 1984, doi:10.1364/JOSAA.1.000612; curved detector), with L the distance
from the source in the plane and Q the sheets of :func:`ctsim.kernels.gather.gather_circle`:

    f(x, y, z) += scale * Q(gamma, 1 / L, z) / L^2,    tan(gamma / 2) = lateral / (radial + L)

Parallel beam, with the sheets P of :func:`ctsim.kernels.gather.gather_directions`:

    f(x, y, z) += scale * P(p, t, z)

Volumes are worked in square tiles, as neighbouring lines of voxels read the same nodes.

Float policy: positions and weights float64 per line, float32 along z; ``contract`` only; each thread owns its voxels,
which add up in the order of the views.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

TILE = 16
"""Lines of voxels along x and y worked together (design choice)."""


@register_jitable
def _small_arctan(t):
    """Arc tangent by its series up to t^13: off by less than t^15 / 15, 2e-10 for a fan of +-30 degrees (t = 0.27)."""
    s = t * t
    series = 1.0 / 9.0 - s * (1.0 / 11.0 - s / 13.0)
    return t * (1.0 - s * (1.0 / 3.0 - s * (1.0 / 5.0 - s * (1.0 / 7.0 - s * series))))


@register_jitable
def _between(sheet, d, i, j, k, w00, w01, w10, w11):
    """Weighted sum of slice k of four nodes of view d."""
    i, j, k = np.uint64(i), np.uint64(j), np.uint64(k)  # unsigned, so that no index is taken from the end
    i_next, j_next = i + np.uint64(1), j + np.uint64(1)
    near = w00 * sheet[d, i, j, k] + w01 * sheet[d, i, j_next, k]
    return near + w10 * sheet[d, i_next, j, k] + w11 * sheet[d, i_next, j_next, k]


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def spread_circle(sheet, view, x_mm, y_mm, fan, nodes, source_distance, radius, scale, out):
    """Add the sheets of some views to the volume, interpolated between their nodes.

    sheet            (B, Q, T, Z) float32  of :func:`ctsim.kernels.gather.gather_circle`
    view             (B, 2)    float64  cos and sin of the view angle
    x_mm             (X,)      float64  from the axis [mm]
    y_mm             (Y,)      float64  from the axis [mm]
    fan              (2,)      float64  fan angle of place 0 and pitch of places [rad]
    nodes            (2,)      float64  1 / L of node 0 and pitch of nodes [1/mm]
    source_distance            float64  source to axis [mm]
    radius                     float64  of the field of view; voxels outside are left alone [mm]
    scale                      float64
    out              (Y, X, Z) float32
    """
    n_views, n_places, n_nodes, _ = sheet.shape
    n_y, n_x, n_z = out.shape
    across = (n_x + TILE - 1) // TILE
    for tile in prange((n_y + TILE - 1) // TILE * across):
        y0, x0 = tile // across * TILE, tile % across * TILE
        x1 = min(x0 + TILE, n_x)
        place, node, weight = np.empty(TILE), np.empty(TILE), np.empty(TILE)
        for d in range(n_views):
            cos, sin = view[d, 0], view[d, 1]
            for y in range(y0, min(y0 + TILE, n_y)):
                for n in range(x1 - x0):
                    radial = source_distance - (x_mm[x0 + n] * cos + y_mm[y] * sin)
                    lateral = y_mm[y] * cos - x_mm[x0 + n] * sin
                    square = radial * radial + lateral * lateral
                    length = math.sqrt(square)
                    place[n] = (2.0 * _small_arctan(lateral / (radial + length)) - fan[0]) / fan[1]
                    node[n] = (1.0 / length - nodes[0]) / nodes[1]
                    weight[n] = scale / square
                for n in range(x1 - x0):
                    if x_mm[x0 + n] ** 2 + y_mm[y] ** 2 > radius * radius:
                        continue
                    q = min(max(np.int64(place[n]), 0), n_places - 2)
                    j = min(max(np.int64(node[n]), 0), n_nodes - 2)
                    q_share, j_share = min(max(place[n] - q, 0.0), 1.0), node[n] - j
                    w0, w1 = weight[n] * (1.0 - q_share), weight[n] * q_share
                    w00, w01 = np.float32(w0 * (1.0 - j_share)), np.float32(w0 * j_share)
                    w10, w11 = np.float32(w1 * (1.0 - j_share)), np.float32(w1 * j_share)
                    for k in range(n_z):
                        out[y, x0 + n, k] += _between(sheet, d, q, j, k, w00, w01, w10, w11)


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def spread_directions(sheet, is_unseen, direction, x_mm, y_mm, place, nodes, radius, scale, out, missed):
    """Add the sheets of some directions to the volume, interpolated between their nodes.

    sheet      (B, Q, T, Z) float32  of :func:`gather_directions`
    is_unseen  (B,)      bool     whether a sheet has NaN
    direction  (B, 2)    float64  cos and sin of theta
    x_mm       (X,)      float64  from the axis [mm]
    y_mm       (Y,)      float64  from the axis [mm]
    place      (2,)      float64  signed distance p of place 0 and pitch of places [mm]
    nodes      (2,)      float64  place t of node 0 and pitch of nodes [mm]
    radius             float64  of the field of view; voxels outside are left alone [mm]
    scale              float64
    out        (Y, X, Z) float32
    missed     (Y, X, Z) uint16   directions in which no ray passes through the voxel, added to
    """
    n_directions, n_places, n_nodes, _ = sheet.shape
    n_y, n_x, n_z = out.shape
    across = (n_x + TILE - 1) // TILE
    for tile in prange((n_y + TILE - 1) // TILE * across):
        y0, x0 = tile // across * TILE, tile % across * TILE
        for d in range(n_directions):
            for y in range(y0, min(y0 + TILE, n_y)):
                for x in range(x0, min(x0 + TILE, n_x)):
                    if x_mm[x] ** 2 + y_mm[y] ** 2 > radius * radius:
                        continue
                    p = (y_mm[y] * direction[d, 0] - x_mm[x] * direction[d, 1] - place[0]) / place[1]
                    t = (x_mm[x] * direction[d, 0] + y_mm[y] * direction[d, 1] - nodes[0]) / nodes[1]
                    i = min(max(np.int64(p), 0), n_places - 2)
                    j = min(max(np.int64(t), 0), n_nodes - 2)
                    p_share, t_share = p - i, t - j
                    w00 = np.float32(scale * (1.0 - p_share) * (1.0 - t_share))
                    w01 = np.float32(scale * (1.0 - p_share) * t_share)
                    w10 = np.float32(scale * p_share * (1.0 - t_share))
                    w11 = np.float32(scale * p_share * t_share)
                    if is_unseen[d]:
                        for k in range(n_z):
                            value = _between(sheet, d, i, j, k, w00, w01, w10, w11)
                            if value == value:
                                out[y, x, k] += value
                            else:
                                missed[y, x, k] += np.uint16(1)
                    else:
                        for k in range(n_z):
                            out[y, x, k] += _between(sheet, d, i, j, k, w00, w01, w10, w11)
