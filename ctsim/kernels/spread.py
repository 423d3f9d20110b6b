"""Second half of back projection: voxels interpolate between four nodes, whole lines of z at a time.

With the sheets P of :func:`ctsim.kernels.gather.gather_directions`:

    f(x, y, z) += scale * P(p, t, z)

Volumes are worked in square tiles, as neighbouring lines of voxels read the same nodes.

Float policy: positions and weights float64 per line, float32 along z; ``contract`` only; each thread owns its voxels,
which add up in the order of the directions.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

TILE = 16
"""Lines of voxels along x and y worked together (design choice)."""


@register_jitable
def _between(sheet, d, i, j, k, w00, w01, w10, w11):
    """Weighted sum of slice k of four nodes of view d."""
    i, j, k = np.uint64(i), np.uint64(j), np.uint64(k)  # unsigned, so that no index is taken from the end
    i_next, j_next = i + np.uint64(1), j + np.uint64(1)
    near = w00 * sheet[d, i, j, k] + w01 * sheet[d, i, j_next, k]
    return near + w10 * sheet[d, i_next, j, k] + w11 * sheet[d, i_next, j_next, k]


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def spread_directions(
    sheet, is_unseen, direction, x_mm, y_mm, first_place, place_pitch, first_node, node_pitch, radius, scale,
    first_slice, out, missed,
):  # fmt: skip
    """Add the sheets of some directions to the volume, interpolated between their nodes.

    sheet        (B, P, T, S) float32  of :func:`ctsim.kernels.gather.gather_directions`
    is_unseen    (B,)      bool     whether a sheet has NaN
    direction    (B, 2)    float64  cos and sin of theta
    x_mm         (X,)      float64  from the axis [mm]
    y_mm         (Y,)      float64  from the axis [mm]
    first_place  (B,)      float64  signed distance p of the sheet's place 0 [mm]
    place_pitch            float64  [mm]
    first_node   (B,)      float64  place t of node 0, along theta from the axis [mm]
    node_pitch             float64  [mm]
    radius                 float64  of the field of view; voxels outside are left alone [mm]
    scale                  float64
    first_slice            int      slice of the volume that is the sheet's first
    out          (Y, X, Z) float32
    missed       (Y, X, Z) uint16   directions in which no ray passes through the voxel, added to
    """
    n_directions, n_places, n_nodes, n_z = sheet.shape
    n_y, n_x, _ = out.shape
    across = (n_x + TILE - 1) // TILE
    for tile in prange((n_y + TILE - 1) // TILE * across):
        y0, x0 = tile // across * TILE, tile % across * TILE
        for d in range(n_directions):
            for y in range(y0, min(y0 + TILE, n_y)):
                for x in range(x0, min(x0 + TILE, n_x)):
                    if x_mm[x] ** 2 + y_mm[y] ** 2 > radius * radius:
                        continue
                    p = (y_mm[y] * direction[d, 0] - x_mm[x] * direction[d, 1] - first_place[d]) / place_pitch
                    t = (x_mm[x] * direction[d, 0] + y_mm[y] * direction[d, 1] - first_node[d]) / node_pitch
                    i = min(max(np.int64(p), 0), n_places - 2)
                    j = min(max(np.int64(t), 0), n_nodes - 2)
                    p_share, t_share = p - i, t - j
                    w00 = np.float32(scale * (1.0 - p_share) * (1.0 - t_share))
                    w01 = np.float32(scale * (1.0 - p_share) * t_share)
                    w10 = np.float32(scale * p_share * (1.0 - t_share))
                    w11 = np.float32(scale * p_share * t_share)
                    line = out[y, x, first_slice : first_slice + n_z]
                    if is_unseen[d]:
                        for k in range(n_z):
                            value = _between(sheet, d, i, j, k, w00, w01, w10, w11)
                            if value == value:
                                line[k] += value
                            else:
                                missed[y, x, first_slice + k] += np.uint16(1)
                    else:
                        for k in range(n_z):
                            line[k] += _between(sheet, d, i, j, k, w00, w01, w10, w11)
