"""The iterative mode: a statistical, edge-preserving reconstruction that starts from filtered back projection.

It minimises over images x, y being the image of filtered back projection and sigma its local noise,

    sum_i (x_i - y_i)^2 / (2 sigma_i^2) + b sum_ij w_ij c_ij^2 / (sigma_i sigma_j) (sqrt(1 + ((x_i - x_j)/c_ij)^2) - 1)

over neighbours i, j in three dimensions, with w falling as the square of their distance. The data term is the image's
own, weighted with its noise (statistical image-domain methods; review of their effects: Geyer et al., Radiology
276:339, 2015, doi:10.1148/radiol.2015132766); the prior is convex, quadratic for differences small against
c = k sigma and linear for large ones (Bouman & Sauer, IEEE Trans Image Process 2:296, 1993, doi:10.1109/83.236536;
Thibault et al., Med Phys 34:4526, 2007, doi:10.1118/1.2789499). Noise and low-contrast detail are smoothed alike,
edges that stand out of the noise are not; noise moves to lower frequencies; the mean over a region stays.

Noise: Immerkaer's operator (Comput Vis Image Underst 64:300, 1996), blind to straight edges and ramps, gives the median
size of what is left in blocks of the image; medians over neighbouring blocks keep anatomy out. From it to sigma leads
the noise power spectrum of the chain (rows of white noise, filtered and back projected),

    NPS(f, f_z) ~ f (MTF_target / (cell, focal spot, crosstalk))^2 (sinc(f_z row) sinc(f_z box))^2,

folded at the voxels. With it, b is chosen so that a strength takes a set part of the noise of such an image away, as
far as differences are small: 12 % per step, 60 % at strength 5 (design default). Steps are counted in: the step's
response to a frequency is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, median_filter

from ..kernels.denoise import smooth
from .chain import Chain
from .kernels import Kernel

LARGEST_STRENGTH = 5
REDUCTION_PER_STRENGTH = 0.12
"""Part of the noise that a step of strength takes away (design default)."""

EDGE_SIGMAS = 2.5
"""k: differences beyond count as edges [standard deviations of noise] (design default)."""

N_STEPS = 12

_BLOCK = (16, 16, 4)
"""Voxels along y, x, z that noise is measured in."""

_FOLDS = 3


def denoise(
    image: NDArray[np.float32],
    good: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    kernel: Kernel,
    chain: Chain,
    row_mm: float,
    box_mm: float,
    strength: int,
) -> NDArray[np.float32]:
    """The iterative image of one of filtered back projection, in its unit.

    Parameters
    ----------
    image
        ``(y, x, z)`` float32 attenuation.
    good
        ``(y, x, z)``: voxels that were measured; others are left alone.
    spacing_mm
        Voxel size along (z, y, x) [mm].
    kernel, chain, row_mm, box_mm
        How the image was made: MTF, sampling, row pitch at the axis and slab thickness [mm].
    strength
        1 to 5.

    Raises
    ------
    ValueError
        If ``strength`` is out of range.
    """
    if not 1 <= strength <= LARGEST_STRENGTH:
        raise ValueError(f"iterative_strength must lie in 0 to {LARGEST_STRENGTH}, got {strength}")
    spectrum, cosines = noise_spectrum_of(kernel, chain, spacing_mm, row_mm, box_mm, image.shape[2])
    weights = _weights(spacing_mm, image.shape[2])
    b = prior_weight(spectrum, cosines, weights, REDUCTION_PER_STRENGTH * strength)
    inverse = _inverse_noise(image, good, _operator_gain(spectrum, cosines))
    current, other = image.copy(), np.empty_like(image)
    for _ in range(N_STEPS):
        smooth(image, current, inverse, weights.astype(np.float32), np.float32(b), np.float32(1 / EDGE_SIGMAS), other)
        current, other = other, current
    return current


Cosines = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def noise_spectrum_of(
    kernel: Kernel, chain: Chain, spacing_mm: tuple[float, float, float], row_mm: float, box_mm: float, n_slices: int
) -> tuple[NDArray[np.float64], Cosines]:
    """Relative noise power ``(z, y, x)`` of an image on its voxels, and cosines of phase per voxel along z, y, x."""
    phases = [2 * np.pi * (np.arange(n) / n) for n in (16 if n_slices > 1 else 1, 48, 48)]
    dz, dy, dx = spacing_mm
    folds = np.arange(-_FOLDS, _FOLDS + 1)
    fy = (phases[1][:, None] / (2 * np.pi) + folds).ravel() / dy
    fx = (phases[2][:, None] / (2 * np.pi) + folds).ravel() / dx
    f = np.hypot(fy[:, None], fx)
    seen = np.where(f < chain.limit_per_mm, kernel.mtf(f) / np.maximum(chain.blur(f), 0.05), 0.0)
    plane = (f * seen**2).reshape(len(phases[1]), len(folds), len(phases[2]), len(folds)).sum(axis=(1, 3))
    fz = (phases[0][:, None] / (2 * np.pi) + np.arange(-8, 9)) / dz
    depth = ((np.sinc(fz * row_mm) * np.sinc(fz * box_mm)) ** 2).sum(axis=1)
    power = depth[:, None, None] * plane
    cosines = np.meshgrid(*(np.cos(phase) for phase in phases), indexing="ij")
    return power / power.sum(), (cosines[0], cosines[1], cosines[2])


def prior_weight(
    spectrum: NDArray[np.float64], cosines: Cosines, weights: NDArray[np.float64], reduction: float
) -> float:
    """The b that takes the part ``reduction`` of the standard deviation away in :data:`N_STEPS` steps."""
    z, y, x = cosines
    pull = 2 * (weights[0] * x + weights[1] * y + 2 * weights[2] * x * y + weights[3] * z)
    total = float(2 * (weights[0] + weights[1] + 2 * weights[2] + weights[3]))

    def left(b: float) -> float:
        response, ratio = 1 / (1 + b * (total - pull)), b * pull / (1 + b * total)
        response = response + (1 - response) * ratio**N_STEPS
        return float(np.sqrt((spectrum * response**2).sum()))

    low, high = 0.0, 1e4
    for _ in range(60):
        middle = np.sqrt(low * high) if low > 0 else 1e-4 * high
        if left(middle) > 1 - reduction:
            low = middle
        else:
            high = middle
    return high


def _weights(spacing_mm: tuple[float, float, float], n_slices: int) -> NDArray[np.float64]:
    """The w along x, y, the plane's diagonals, z: by the square of the distance, 1 for the pixel size."""
    dz, dy, dx = spacing_mm
    square = dx * dy
    return np.array([square / dx**2, square / dy**2, square / (dx**2 + dy**2), square / dz**2 if n_slices > 1 else 0.0])


def _operator_gain(spectrum: NDArray[np.float64], cosines: Cosines) -> float:
    """Standard deviation of Immerkaer's operator per standard deviation of the noise."""
    response = (2 * cosines[1] - 2) * (2 * cosines[2] - 2)
    return float(np.sqrt((spectrum * response**2).sum()))


def _inverse_noise(image: NDArray[np.float32], good: NDArray[np.bool_], gain: float) -> NDArray[np.float32]:
    """``(y, x, z)``: 1 / sigma of each voxel, 0 where it is not good."""
    n_y, n_x = image.shape[:2]
    counts = [max(1, n // size) for n, size in zip(image.shape, _BLOCK, strict=True)]
    edges = [np.linspace(0, n, count + 1).astype(int) for n, count in zip(image.shape, counts, strict=True)]
    sigma = np.full(counts, np.nan)
    for i in range(counts[0]):
        low, high = max(edges[0][i] - 1, 0), min(edges[0][i + 1] + 1, n_y)
        rest = _second_difference(_second_difference(image[low:high], 0), 1)
        whole = good[low:high]
        whole = whole[:-2] & whole[1:-1] & whole[2:]
        whole = whole[:, :-2] & whole[:, 1:-1] & whole[:, 2:]
        for j in range(counts[1]):
            columns = slice(max(edges[1][j] - 1, 0), min(edges[1][j + 1] - 1, n_x - 2))
            for k in range(counts[2]):
                slices = slice(edges[2][k], edges[2][k + 1])
                values = np.abs(rest[:, columns, slices][whole[:, columns, slices]])
                if len(values) >= 32:
                    sigma[i, j, k] = np.median(values) / (0.6744897501960817 * gain)
    if np.all(np.isnan(sigma)):
        return np.zeros(image.shape, np.float32)
    known = np.where(np.isnan(sigma), np.nanmedian(sigma), sigma)
    known = median_filter(known, size=3, mode="nearest")
    out = np.empty(image.shape, np.float32)
    middles = [(e[:-1] + e[1:] - 1) / 2 for e in edges]
    at = [np.interp(np.arange(n), m, np.arange(len(m))) for n, m in zip(image.shape, middles, strict=True)]
    least = max(1e-6 * float(known.max()), 1e-12)
    for y in range(n_y):
        points = np.stack(np.broadcast_arrays(at[0][y], at[1][:, None], at[2]))
        out[y] = 1 / np.maximum(map_coordinates(known, points, order=1, mode="nearest"), least)
    out *= good
    return out


def _second_difference(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(np.diff(values, n=2, axis=axis))
