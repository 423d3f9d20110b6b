"""Noise in a CT: how strong it is, and an edge-preserving filter that takes it away without touching anatomy.

The filter is a guided (joint) bilateral one (Tomasi and Manduchi 1998, doi:10.1109/ICCV.1998.710815; Petschnigg et al.
2004, doi:10.1145/1015706.1015777): a weighted mean over a window, the weight falling with the difference between the
*guide* values, the guide being the image smoothed by one voxel in the plane. Weights are a Tukey biweight that vanishes
beyond ``reach`` noise SDs, so that whatever stands out of the noise (vessels, fissures, cortex) does not mix with its
surroundings at all. Three passes with growing strides (edge-avoiding a-trous, Dammertz et al. 2010,
doi:10.2312/EGGH/HPG10/067-075) reach far at little cost; each takes the last one's result as its guide. What the
guide loses at small bright structures is prevented by comparing against the image where
image and guide differ by more than the noise can explain.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

REACH = 3.0
"""Differences beyond this many noise SDs are taken for anatomy (design default)."""

SPECK = (2.0, 6.0)
"""A single voxel that lies beyond all its neighbours by so many noise SDs is noise (design default)."""

Passes = tuple[tuple[int, int, float], ...]

PASSES: Passes = ((1, 2, 0.6), (2, 2, 0.45), (3, 2, 0.35))
"""In-plane stride of each pass, steps to either side, and the noise left in its guide as a share of the first (design
default)."""

FEWER: Passes = ((1, 1, 0.6), (2, 1, 0.5), (4, 1, 0.4))
"""A third of the neighbours, for who only asks what stands out of the noise (design default)."""


def estimate_noise_hu(hu: NDArray[np.float32], body: NDArray[np.bool_], patch: int = 12) -> float:
    """SD of the noise in the flattest soft tissue [HU]: the 10th percentile of the SDs of small patches.

    Parameters
    ----------
    hu
        ``(z, y, x)`` [HU].
    body
        ``(z, y, x)`` mask of the body.
    patch
        Side of the square in-plane patches [voxels].

    Notes
    -----
    A plane is fitted to each patch that lies wholly in soft tissue (-30 to 250 HU after averaging 4 x 4 voxels) and the
    SD about it taken; anatomy can only add to it. Falls back to 10 HU where fewer than 20 such patches exist.
    """
    nz, ny, nx = hu.shape
    gy, gx = ny // patch, nx // patch
    if min(gy, gx) == 0:
        return 10.0
    cells = hu[:, : gy * patch, : gx * patch].reshape(nz, gy, patch, gx, patch).swapaxes(2, 3)
    inside = body[:, : gy * patch, : gx * patch].reshape(nz, gy, patch, gx, patch).swapaxes(2, 3).all(axis=(3, 4))
    chosen = cells[inside].astype(np.float64)
    side = patch // 4 * 4
    coarse = chosen[:, :side, :side].reshape(-1, patch // 4, 4, patch // 4, 4).mean(axis=(2, 4))
    chosen = chosen[(coarse.min(axis=(1, 2)) > -30) & (coarse.max(axis=(1, 2)) < 250)]
    if len(chosen) < 20:
        return 10.0
    t = np.arange(patch) - (patch - 1) / 2
    norm = (t**2).sum() * patch
    chosen -= chosen.mean(axis=(1, 2), keepdims=True)
    slope_y = np.einsum("nij,i->n", chosen, t) / norm
    slope_x = np.einsum("nij,j->n", chosen, t) / norm
    chosen -= slope_y[:, None, None] * t[:, None] + slope_x[:, None, None] * t
    sd = np.sqrt((chosen**2).sum(axis=(1, 2)) / (patch**2 - 3))
    return float(np.percentile(sd, 10))


def denoise(
    hu: NDArray[np.float32], noise_hu: float, where: NDArray[np.bool_], passes: Passes = PASSES
) -> NDArray[np.float32]:
    """The image without its noise [HU]; edges that stand out of the noise stay where and as high as they are.

    Parameters
    ----------
    hu
        ``(z, y, x)`` float32 [HU].
    noise_hu
        SD of its noise [HU].
    where
        ``(z, y, x)`` mask of the voxels to work on; the others are returned as they are.
    passes
        ``PASSES``, or ``FEWER`` for less time and a little more noise.
    """
    if noise_hu <= 0:
        return hu.copy()
    hu, where = np.ascontiguousarray(hu), np.ascontiguousarray(where)  # one layout: compiled once
    guide = np.empty_like(hu)
    _smooth_in_plane(hu, guide)
    image = hu
    salient = np.float32(REACH * noise_hu)
    for stride, half, left in passes:
        out = image.copy()
        _bilateral(image, guide, where, np.float32(REACH * left * noise_hu), salient, stride, half, out)
        image = guide = out
    return image


def without_specks(hu: NDArray[np.float32], noise_hu: float, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The image without single voxels of noise that the filter took for anatomy [HU].

    One in some hundred voxels of noise stands out of its surroundings by more than the filter's reach. A voxel that
    lies beyond all its 26 neighbours by 2 to 6 noise SDs becomes the nearest of them. Vessels, however thin, have
    neighbours of their kind; a lone calcification stands out farther.

    Parameters
    ----------
    hu
        ``(z, y, x)`` float32 without most of its noise [HU].
    noise_hu
        SD of the noise it had [HU].
    where
        ``(z, y, x)`` mask of the voxels to work on.
    """
    out = hu.copy()
    if noise_hu > 0:
        low, high = (np.float32(reach * noise_hu) for reach in SPECK)
        _mend_specks(np.ascontiguousarray(hu), np.ascontiguousarray(where), low, high, out)
    return out


@njit(parallel=True, cache=True, error_model="numpy")
def _mend_specks(image, where, low, high, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Single voxels by low to high beyond all neighbours become the nearest of these (one iteration = one slice)."""
    nz, ny, nx = image.shape
    for k in prange(1, nz - 1):
        for j in range(1, ny - 1):
            for i in range(1, nx - 1):
                own = image[k, j, i]
                above, below = own - image[k, j, i - 1], own - image[k, j, i + 1]
                if not where[k, j, i] or above * below <= 0 or min(abs(above), abs(below)) < low:
                    continue
                largest, smallest = np.float32(-1e9), np.float32(1e9)
                for kk in range(k - 1, k + 2):
                    for jj in range(j - 1, j + 2):
                        for ii in range(i - 1, i + 2):
                            if kk != k or jj != j or ii != i:
                                largest = max(largest, image[kk, jj, ii])
                                smallest = min(smallest, image[kk, jj, ii])
                if low < own - largest < high:
                    out[k, j, i] = largest
                elif low < smallest - own < high:
                    out[k, j, i] = smallest


@njit(parallel=True, cache=True, error_model="numpy")
def _smooth_in_plane(image, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Binomial 3 x 3 mean of every slice (one iteration = one slice); image, out (z, y, x)."""
    nz, ny, nx = image.shape
    for k in prange(nz):
        for j in range(ny):
            j0, j1 = max(j - 1, 0), min(j + 1, ny - 1)
            for i in range(nx):
                i0, i1 = max(i - 1, 0), min(i + 1, nx - 1)
                edge = image[k, j0, i] + image[k, j1, i] + image[k, j, i0] + image[k, j, i1]
                corner = image[k, j0, i0] + image[k, j0, i1] + image[k, j1, i0] + image[k, j1, i1]
                out[k, j, i] = (4 * image[k, j, i] + 2 * edge + corner) / 16


@njit(parallel=True, cache=True, error_model="numpy")
def _bilateral(image, guide, where, reach, salient, stride, half, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Weighted means over 3 x (2 half + 1)^2 voxels, weights from the guide (one iteration = one slice).

    image, guide, where, out (z, y, x); reach difference of guide values at which a weight is zero; salient difference
    between image and guide beyond which a voxel keeps itself apart; stride in-plane step of the window, half
    its steps to either side.

    A row's voxels are worked on side by side, for one neighbour after the other: such loops use vector instructions.
    """
    nz, ny, nx = image.shape
    scale = np.float32(1.0) / (reach * reach)
    one, zero = np.float32(1.0), np.float32(0.0)
    for k in prange(nz):
        k0, k1 = max(k - 1, 0), min(k + 1, nz - 1)
        centre, total, weighted = np.empty(nx, np.float32), np.empty(nx, np.float32), np.empty(nx, np.float32)
        for j in range(ny):
            first, last = nx, 0
            for i in range(nx):
                if where[k, j, i]:
                    first, last = min(first, i), i + 1
            if first >= last:
                continue
            for i in range(first, last):
                own, near = image[k, j, i], guide[k, j, i]
                centre[i] = own if abs(own - near) > salient else near
                total[i] = one
                weighted[i] = zero
            for kk in range(k0, k1 + 1):
                for jj in range(max(j - half * stride, j % stride), min(j + half * stride, ny - 1) + 1, stride):
                    for shift in range(-half * stride, half * stride + 1, stride):
                        a, b = max(first, -shift), min(last, nx - shift)
                        if a >= b:
                            continue
                        guides, values = guide[kk, jj, a + shift : b + shift], image[kk, jj, a + shift : b + shift]
                        about, own_row = centre[a:b], image[k, j, a:b]
                        sums, means = total[a:b], weighted[a:b]
                        for i in range(b - a):
                            d = guides[i] - about[i]
                            w = max(one - d * d * scale, zero)
                            w *= w
                            sums[i] += w
                            means[i] += w * (values[i] - own_row[i])
            for i in range(first, last):
                if where[k, j, i]:
                    out[k, j, i] = image[k, j, i] + weighted[i] / total[i]
