"""Volume above half of its contrast of a ball in an image, and the one that a point spread function foretells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import zoom

FINER = 3
"""An image is read on voxels this many times finer, by cubic interpolation."""


def blurred_ball(shape, spacing_mm, at, diameter_mm: float, mtf: Callable, slice_mtf: Callable) -> np.ndarray:
    """A ball of height 1 behind a point spread function, sampled at voxel centres ``(z, y, x)``; ``at`` in voxels.

    The ball's own Fourier transform, ``4 pi R^3 (sin kR - kR cos kR) / (kR)^3``, times the in-plane MTF and the
    transform of the slice profile; the function must vanish beyond the voxels' Nyquist frequency.
    """
    pad = [n + 2 * int(np.ceil(6.0 / d)) for n, d in zip(shape, spacing_mm, strict=True)]
    fz, fy, fx = (np.fft.fftfreq(n, d) for n, d in zip(pad, spacing_mm, strict=True))
    radial = np.hypot(fy[:, None], fx)
    k = 2 * np.pi * np.sqrt(fz[:, None, None] ** 2 + radial**2)
    a = np.maximum(k * diameter_mm / 2, 1e-3)
    ball = np.pi / 6 * diameter_mm**3 * 3 * (np.sin(a) - a * np.cos(a)) / a**3
    shift = [6.0 // d * d + i * d for i, d in zip(at, spacing_mm, strict=True)]
    phase = np.exp(-2j * np.pi * (fz[:, None, None] * shift[0] + (fy * shift[1])[:, None] + fx * shift[2]))
    image = np.fft.ifftn(ball * mtf(radial) * slice_mtf(fz)[:, None, None] * phase).real / np.prod(spacing_mm)
    low = [int(6.0 // d) for d in spacing_mm]
    return image[tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))]


def volume_above_half_mm3(contrast: np.ndarray, spacing_mm) -> float:
    """Volume where a normalised image exceeds 1/2 [mm3]."""
    n = contrast.shape
    fine = zoom(contrast, [((m - 1) * FINER + 1) / m for m in n], order=3, mode="nearest")
    return float(np.count_nonzero(fine > 0.5) * np.prod(spacing_mm) / FINER**3)


def transform_of(z_mm: np.ndarray, sensitivity: np.ndarray) -> Callable:
    """The transform of a symmetric profile as a function of frequency [1/mm], 1 at 0."""
    z = z_mm - (z_mm * sensitivity).sum() / sensitivity.sum()
    return lambda f: (np.cos(2 * np.pi * np.multiply.outer(f, z)) * sensitivity).sum(axis=-1) / sensitivity.sum()
