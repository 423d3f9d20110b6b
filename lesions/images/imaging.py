"""What a scanner makes of an object on a fine lattice: its point spread function, sampled at the voxels of an image.

``out[i] = sum_n f[n] integral over fine voxel n of psf(x_i - x) dx``, axis by axis and exact: no kernel is sampled.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from twins import Grid

from ..separable import apply_along
from .resolution import FWHM, Resolution

TAIL_SIGMA = 4.0
"""Kernels are cut at this many sigma, where 6e-5 of them lies beyond."""

Patch = tuple[tuple[slice, slice, slice], NDArray[np.float32]]


def imaged(fine: NDArray[np.float32], grid: Grid, image: Grid, resolution: Resolution) -> Patch:
    """The part of ``image`` that ``fine`` on ``grid`` reaches, and its values there ``(z, y, x)`` float32.

    Both lattices are axis-aligned. What falls outside of the image is lost.
    """
    in_plane = resolution.in_plane_fwhm_mm / FWHM
    along_z = resolution.slice_blur_fwhm_mm / FWHM
    widths = ((resolution.slice_thickness_mm, along_z), (0.0, in_plane), (0.0, in_plane))
    less = tuple(_less_lattice(box, sigma, h) for (box, sigma), h in zip(widths, grid.spacing_mm, strict=True))
    return _summed(fine, grid, image, less)


def averaged(fine: NDArray[np.float32], grid: Grid, image: Grid) -> Patch:
    """Mean of ``fine`` over the voxels of ``image``: shares of a voxel, which keep the volume."""
    return _summed(fine, grid, image, tuple((width, 0.0) for width in image.spacing_mm))


def _less_lattice(box: float, sigma: float, step: float) -> tuple[float, float]:
    """A profile narrower by the blur of the fine lattice itself: its voxels hold means, and spread them evenly again.

    Each is a box of variance ``step^2 / 12``; at most half of the profile's own variance is taken away.
    """
    variance = step**2 / 6
    own = sigma**2 + box**2 / 12
    variance = min(variance, 0.5 * own)
    if sigma**2 > 2 * variance:
        return box, math.sqrt(sigma**2 - variance)
    if box**2 / 12 > variance:
        return math.sqrt(box**2 - 12 * variance), sigma
    share = math.sqrt(1 - variance / own)
    return box * share, sigma * share


def _summed(fine: NDArray[np.float32], grid: Grid, image: Grid, widths: tuple[tuple[float, float], ...]) -> Patch:
    patch: NDArray[np.floating] = fine
    window = []
    for axis, (box, sigma) in enumerate(widths):
        step, fine_step = image.spacing_mm[axis], grid.spacing_mm[axis]
        # Faces of the fine voxels, from the first voxel of the image [mm].
        start = grid.origin_mm[2 - axis] - image.origin_mm[2 - axis]
        faces = start + fine_step * (np.arange(grid.shape[axis] + 1) - 0.5)
        reach = 0.5 * box + TAIL_SIGMA * sigma
        first = min(image.shape[axis], max(0, math.ceil((faces[0] - reach) / step)))
        last = min(image.shape[axis], math.floor((faces[-1] + reach) / step) + 1)
        at = step * np.arange(first, max(first, last))
        filled = _below(at[:, None] - faces, box, sigma)
        patch = apply_along(filled[:, :-1] - filled[:, 1:], patch, axis)
        window.append(slice(first, first + len(at)))
    return (window[0], window[1], window[2]), np.asarray(patch, np.float32)


def _below(t: NDArray[np.float64], box: float, sigma: float) -> NDArray[np.float64]:
    """Integral of the profile (a box blurred by a Gaussian) up to ``t``."""
    if sigma == 0:
        return np.asarray(np.clip(t / box + 0.5, 0, 1))
    if box == 0:
        return np.asarray(ndtr(t / sigma))
    high, low = (t + 0.5 * box) / sigma, (t - 0.5 * box) / sigma
    return np.asarray(sigma / box * (_ramped(high) - _ramped(low)))


def _ramped(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral of the normal distribution function."""
    return np.asarray(x * ndtr(x) + np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))
