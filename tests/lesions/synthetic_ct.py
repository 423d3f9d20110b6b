"""A CT of known truth: a body with two lungs, seen through a known point spread function, with white noise."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from lesions.images import Host, Resolution, prepare
from lesions.images.resolution import FWHM
from twins import Grid

LUNG_HU, WALL_HU = -850.0, 40.0


def lung_block(
    *, noise_hu=0.0, key=1, shape=(40, 80, 80), spacing=(1.5, 0.8, 0.8), resolution=None, vessel=False, dtype=np.int16
) -> Host:
    """Lung all through but for walls of 8 mm along x; a vessel of 4 mm along z at x = 20, y = 0 mm."""
    nz, ny, nx = shape
    dz, dy, dx = spacing
    grid = Grid(shape, spacing, (-(nx - 1) * dx / 2, -(ny - 1) * dy / 2, -(nz - 1) * dz / 2))
    resolution = Resolution(1.4, dz) if resolution is None else resolution
    sigma = resolution.in_plane_fwhm_mm / FWHM
    _, y, x = grid.axes_mm()
    half = 0.5 * nx * dx - 8
    hu = LUNG_HU + (WALL_HU - LUNG_HU) * (ndtr((x - half) / sigma) + ndtr((-x - half) / sigma))
    image = np.broadcast_to(hu, shape).astype(float)
    if vessel:
        r = np.hypot(y[:, None], x - 20)
        image = image + (WALL_HU - LUNG_HU) * disc(r, 2.0, sigma)
    if noise_hu:
        image = image + noise_hu * np.random.default_rng(key).standard_normal(shape)
    if np.issubdtype(dtype, np.integer):
        image = np.rint(image)
    lungs = np.broadcast_to(abs(x) < half, shape)
    return prepare(image.astype(dtype), grid, lungs=lungs, resolution=resolution)


def disc(r, radius, sigma):
    """A disc blurred by a Gaussian, by quadrature over its chords."""
    s = np.linspace(-radius, radius, 401)
    h = np.sqrt(np.maximum(radius**2 - s**2, 0))
    weight = np.exp(-0.5 * ((np.ravel(r)[:, None] - s) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    inside = weight * (ndtr(h / sigma) - ndtr(-h / sigma))
    return (inside.sum(axis=1) * (s[1] - s[0])).reshape(np.shape(r))


def ball(r, radius, sigma):
    """A ball of height 1 blurred by an isotropic Gaussian, at distance ``r`` from its centre: closed form."""
    r = np.maximum(r, 1e-6)
    low, high = (radius - r) / sigma, (radius + r) / sigma
    edge = (np.exp(-0.5 * high**2) - np.exp(-0.5 * low**2)) * sigma / (r * math.sqrt(2 * math.pi))
    return ndtr(high) - ndtr(-low) + edge
