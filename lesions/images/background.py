"""What an image reads where a lesion is to be: its level, its noise, and the anatomy that stands out of both."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, maximum_filter, minimum_filter, uniform_filter

from twins import Grid
from twins.importers.noise import FEWER, denoise

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

_TAPS = np.exp(-0.5 * (np.arange(-3, 4) / 0.7) ** 2).astype(np.float32)
_TAPS /= _TAPS.sum()
"""A Gaussian of 0.7 voxels."""

_WIDENED = 2
"""Voxels to either side by which anatomy is widened."""


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
    clean = denoise(near, noise_sd_hu, _around(counts[box], at, near.shape), FEWER)
    low, high = (np.float32(max(1.0, noise_sd_hu) * factor) for factor in STANDS_OUT)
    _standing_out(clean, np.float32(level_hu), low, high, _TAPS, near)
    out[box] += near[at]
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


@njit(cache=True, parallel=True, error_model="numpy")
def _standing_out(clean, level, low, high, taps, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """How far a cleaned image differs from a level where it stands out, 0 elsewhere (one iteration = one slice).

    clean     (z, y, x) float32  [HU]
    level     scalar    float32  [HU]
    low, high scalars   float32  differences that do not count, and that count in full [HU]
    taps      (7,)      float32  smoothing kernel
    out       (z, y, x) float32  [HU]

    Smoothed, so that single noisy voxels do not count; widened, so that anatomy goes with its blurred rim.
    """
    n_z, n_y, n_x = clean.shape
    one, zero, two, three = np.float32(1), np.float32(0), np.float32(2), np.float32(3)
    per_hu = one / (high - low)
    for k in prange(n_z):
        weight, aside = np.empty((n_y, n_x), np.float32), np.empty((n_y, n_x), np.float32)
        for j in range(n_y):
            for i in range(n_x):
                weight[j, i] = clean[k, j, i] - level
        _smooth(weight, taps, aside)
        any_there = False
        for j in range(n_y):
            for i in range(n_x):
                t = min(max((abs(weight[j, i]) - low) * per_hu, zero), one)
                weight[j, i] = t * t * (three - two * t)
                any_there |= t > zero
        if not any_there:
            out[k] = zero
            continue
        for j in range(n_y):
            for i in range(n_x):
                most = zero
                for near in range(max(0, i - _WIDENED), min(n_x, i + _WIDENED + 1)):
                    most = max(most, weight[j, near])
                aside[j, i] = most
        for j in range(n_y):
            weight[j] = aside[j]
            for near in range(max(0, j - _WIDENED), min(n_y, j + _WIDENED + 1)):
                for i in range(n_x):
                    weight[j, i] = max(weight[j, i], aside[near, i])
        _smooth(weight, taps, aside)
        for j in range(n_y):
            for i in range(n_x):
                out[k, j, i] = (clean[k, j, i] - level) * weight[j, i]


@njit(cache=True, error_model="numpy")
def _smooth(image, taps, aside):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Smooth ``image`` (y, x) with ``taps`` (7,) along both axes, mirrored at its ends; ``aside`` is of its shape."""
    n_y, n_x = image.shape
    half = taps.size // 2
    for j in range(n_y):
        aside[j] = 0
        for n in range(taps.size):
            row = image[_mirrored(j + n - half, n_y)]
            for i in range(n_x):
                aside[j, i] += taps[n] * row[i]
    wide = np.empty(n_x + 2 * half, np.float32)
    for j in range(n_y):
        for i in range(n_x + 2 * half):
            wide[i] = aside[j, _mirrored(i - half, n_x)]
        image[j] = 0
        for n in range(taps.size):
            for i in range(n_x):
                image[j, i] += taps[n] * wide[i + n]


@njit(cache=True, error_model="numpy")
def _mirrored(i, n):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Index within 0 to n - 1 of one up to n beyond its ends: ... 1 0 | 0 1 ... n - 1 | n - 1 ..."""
    i = -i - 1 if i < 0 else i
    return max(0, 2 * n - 1 - i) if i >= n else i
