"""What an image reads where a lesion is to be: its level, its noise, and the anatomy that stands out of both."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter, maximum_filter, minimum_filter, uniform_filter

from twins import Grid
from twins.importers.noise import denoise

STANDS_OUT = (1.5, 3.0)
"""Without its noise, what differs from the tissue's level by less than the first times the SD of noise and texture
stays; from the second on it is anatomy, that a lesion takes the place of (design defaults)."""

FINE_MM = 6.0
"""Noise and texture finer than this make up ``noise_sd_hu`` [mm] (design default)."""

MIN_VOXELS = 100
"""Fewer voxels give no level and no noise."""

LEAST_SHARE = 5e-4
"""A lesion that displaces less than this share of a voxel changes it by less than half a HU whatever stands there."""

Window = tuple[slice, slice, slice]

_PAD = (2, 8, 8)


def robust_level_hu(values: NDArray[np.floating]) -> float:
    """Median of HU values without what lies beyond three robust SDs of it (vessels in lung, say)."""
    level = float(np.median(values))
    for _ in range(3):
        away = abs(values - level)
        spread = 1.4826 * float(np.median(away))
        level = float(np.median(values[away <= max(3 * spread, 1.0)]))
    return level


def fine_noise_hu(hu: NDArray[np.number], spacing_mm: tuple[float, float, float], tissue: NDArray[np.bool_]) -> float:
    """SD of what is finer than ``FINE_MM`` in a tissue [HU], from its median absolute deviation.

    Parameters
    ----------
    hu
        ``(z, y, x)`` [HU].
    spacing_mm
        Along ``(z, y, x)`` [mm].
    tissue
        ``(z, y, x)`` mask of one tissue.

    Raises
    ------
    ValueError
        If next to nothing of the tissue is left inside its border.
    """
    inner = binary_erosion(tissue, np.ones((1, 3, 3), bool))
    if np.count_nonzero(inner) < MIN_VOXELS:
        raise ValueError(f"only {np.count_nonzero(inner)} voxels of the tissue, {MIN_VOXELS} are needed")
    n = [max(3, round(FINE_MM / s)) for s in spacing_mm[1:]]
    image = np.asarray(hu, np.float32)
    fine = (image - uniform_filter(image, (1, *n)))[inner]
    return float(1.4826 * np.median(abs(fine - np.median(fine))) / math.sqrt(1 - 1 / (n[0] * n[1])))


def background_hu(
    hu: NDArray[np.number], window: Window, displaced: NDArray[np.float32], level_hu: float, noise_sd_hu: float
) -> NDArray[np.float32]:
    """What a lesion takes the place of ``(z, y, x)`` [HU]: the tissue's level, or the anatomy that stands out of it.

    Noise and the fine texture of the tissue are no part of it, and so remain in the image.

    Parameters
    ----------
    hu
        ``(z, y, x)`` of the whole image [HU].
    window, displaced
        Where the lesion is, and the share of each of those voxels that it displaces. Where that is next to nothing the
        level is returned.
    level_hu, noise_sd_hu
        Of the tissue around, and of its noise and fine texture [HU].
    """
    out = np.full(displaced.shape, level_hu, np.float32)
    counts = displaced > LEAST_SHARE
    filled = [np.flatnonzero(counts.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(filled[0]):
        return out
    box = tuple(slice(int(f[0]), int(f[-1]) + 1) for f in filled)
    inner = tuple(slice(w.start + b.start, w.start + b.stop) for w, b in zip(window, box, strict=True))
    wide = tuple(slice(max(0, w.start - p), min(n, w.stop + p)) for w, p, n in zip(inner, _PAD, hu.shape, strict=True))
    at = tuple(slice(w.start - v.start, w.stop - v.start) for w, v in zip(inner, wide, strict=True))
    near = np.ascontiguousarray(hu[wide], np.float32)
    clean = denoise(near, noise_sd_hu, _around(counts[box], at, near.shape))
    excess = clean - np.float32(level_hu)
    low, high = (max(1.0, noise_sd_hu) * factor for factor in STANDS_OUT)
    # Smoothed, so that single noisy voxels do not count; widened, so that anatomy goes with its blurred rim.
    t = np.clip((abs(gaussian_filter(excess, (0.0, 0.7, 0.7))) - low) / (high - low), 0, 1)
    weight = gaussian_filter(maximum_filter(t * t * (3 - 2 * t), (1, 5, 5)), (0.0, 0.7, 0.7))
    out[box] = (level_hu + excess * weight)[at]
    return out


def _around(mask: NDArray[np.bool_], at: tuple[slice, ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask of a larger box: row by row, from ``_PAD`` before the first voxel of the rows near by to as much behind."""
    n_z, n_y, n_x = shape
    any_there = mask.any(axis=2)
    first = np.full((n_z, n_y), n_x)
    last = np.full((n_z, n_y), -1)
    first[at[:2]] = np.where(any_there, at[2].start + mask.argmax(axis=2), n_x)
    last[at[:2]] = np.where(any_there, at[2].start + mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2), -1)
    size = (2 * _PAD[0] + 1, 2 * _PAD[1] + 1)
    first = minimum_filter(first, size, mode="constant", cval=n_x) - _PAD[2]
    last = maximum_filter(last, size, mode="constant", cval=-1) + _PAD[2]
    x = np.arange(n_x)
    return np.asarray((x >= first[..., None]) & (x <= last[..., None]) & (last - first > 0)[..., None])


def ball(grid: Grid, centre_mm: NDArray[np.float64], radius_mm: float) -> tuple[Window, NDArray[np.float64]]:
    """Window of a lattice around a world point, and the squared distance of its voxels ``(z, y, x)`` [mm2]."""
    index = grid.world_to_index(centre_mm)
    window, squared = [], np.zeros((1, 1, 1))
    for axis in range(3):
        step, n = grid.spacing_mm[axis], grid.shape[axis]
        first = min(n - 1, max(0, math.floor(index[axis] - radius_mm / step)))
        last = max(first + 1, min(n, math.ceil(index[axis] + radius_mm / step) + 1))
        shape = [1, 1, 1]
        shape[axis] = -1
        squared = squared + (((np.arange(first, last) - index[axis]) * step) ** 2).reshape(shape)
        window.append(slice(first, last))
    return (window[0], window[1], window[2]), squared
