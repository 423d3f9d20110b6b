"""How readers outline a nodule: slice by slice, on the pixels of an image, each a little differently.

A reader follows half of the nodule's own height in a blurred picture of it, displaced by an error of size and one of
form. The error of size makes the spread of a single reader's ln volume that of LIDC-IDRI; the error of form, smooth
over the sphere, that of the mean diameter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..harmonics import draw_harmonics

LN_VOLUME_SD = ((4.0, 5.5, 7.0, 9.0, 12.5, 17.5, 30.0), (0.354, 0.327, 0.308, 0.279, 0.246, 0.284, 0.222))
"""Standard deviation of one reader's ln volume by mean diameter [mm], from pairs of LIDC-IDRI readers (Armato et al.
2011, CC BY 3.0)."""

FORM_SD = 0.06
FORM_NU = 3.0
"""RMS of a reader's error in ln radius over the sphere, degrees 2-12, and the fall of its power with degree."""

ROUGHNESS_MM, ROUGHNESS_SIGMA, ROUGHNESS_PER_SPICULATION = 0.21, 0.85, 0.30
"""Wobble of a contour, RMS along it [mm]: median over smooth nodules, sigma of its lognormal spread over nodules (alike
for all readers of one), growth of its logarithm per step of spiculation. Set such that the shapes of outlined nodules
are those of LIDC-IDRI (slow test ``test_lidc_shapes``)."""

WOBBLE_PIXELS = (1.4, 1.2, 1.2)
"""Width of the kernel that correlates the wobble along (z, y, x) [slices, pixels, pixels]."""

PIXELS_BLUR = 1.0
"""FWHM of the picture's blur in the plane, at least [pixels]; a slice averages over its spacing."""

N_THETA, N_PHI = 32, 64


@dataclass(frozen=True, slots=True)
class ReaderModel:
    """How well readers outline.

    Parameters
    ----------
    psf_fwhm_mm
        Full width at half maximum of the picture's in-plane blur [mm].
    size_sd_scale, form_sd_scale
        Errors of size and form relative to those of LIDC-IDRI readers; 0: none [1].
    """

    psf_fwhm_mm: float = 0.8
    size_sd_scale: float = 1.0
    form_sd_scale: float = 1.0

    def __post_init__(self) -> None:
        for name, top in (("psf_fwhm_mm", 5.0), ("size_sd_scale", 3.0), ("form_sd_scale", 3.0)):
            if not 0 <= getattr(self, name) <= top:
                raise ValueError(f"{name} must lie within 0-{top:g}, got {getattr(self, name)}")


def window(occupancy_grid: Grid, grid: Grid, margin: float = 1.5) -> tuple[tuple[slice, slice, slice], Grid]:
    """The part of an image around a nodule: ``margin`` times its lattice, cut to the image."""
    corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], float)
    spread = 0.5 + (corners - 0.5) * margin
    index = grid.world_to_index(occupancy_grid.index_to_world(spread * (np.asarray(occupancy_grid.shape) - 1)))
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, grid.shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low, grid.shape)
    if np.any(high <= low):
        raise ValueError(f"the nodule lies outside the image, whose grid is centred on {grid.centre_mm} mm")
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    x, y, z = (float(v) for v in grid.index_to_world(low))
    shape = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
    return (part[0], part[1], part[2]), Grid(shape, grid.spacing_mm, (x, y, z), grid.direction)


def seen(
    lattice: Grid, occupancy: NDArray[np.floating], spacing_mm: tuple[float, float, float], psf_fwhm_mm: float
) -> NDArray[np.float32]:
    """A picture of the nodule on its own lattice: blurred in the plane, averaged over the slice spacing."""
    from scipy.ndimage import gaussian_filter1d, uniform_filter1d

    step = lattice.spacing_mm
    width = max(psf_fwhm_mm, PIXELS_BLUR * spacing_mm[1]) / 2.3548
    picture = np.asarray(occupancy, np.float32)
    for axis in (1, 2):
        picture = gaussian_filter1d(picture, width / step[axis], axis=axis, mode="constant", truncate=3.0)
    return np.asarray(uniform_filter1d(picture, max(1, round(spacing_mm[0] / step[0])), axis=0, mode="constant"))


def outline(
    lattice: Grid,
    picture: NDArray[np.float32],
    centre_mm: NDArray[np.float64],
    around: Grid,
    mean_diameter_mm: float,
    model: ReaderModel,
    rng: np.random.Generator,
    ambiguity: float = 0.0,
    spiculation: float = 1.0,
) -> NDArray[np.bool_]:
    """Pixels of ``around`` inside one reader's contours; ``ambiguity`` of the edge is in sigmas of that of nodules."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    size = np.interp(np.log(mean_diameter_mm), np.log(LN_VOLUME_SD[0]), LN_VOLUME_SD[1]) / 3
    error = model.size_sd_scale * size * rng.standard_normal()
    form = draw_harmonics(rng, sd_l2=0.6 * FORM_SD, sd=0.8 * FORM_SD, nu=FORM_NU)
    table = form.on(np.linspace(0, np.pi, N_THETA + 1), N_PHI) * model.form_sd_scale + error
    table = np.concatenate((table, table[:, :1]), axis=1)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in around.shape), indexing="ij"), axis=-1)
    offset = around.index_to_world(index) - centre_mm
    radius = np.maximum(np.linalg.norm(offset, axis=-1), 1e-9)
    theta = np.arccos(np.clip(offset[..., 2] / radius, -1, 1)) * (N_THETA / np.pi)
    phi = (np.arctan2(offset[..., 1], offset[..., 0]) % (2 * np.pi)) * (N_PHI / (2 * np.pi))
    displaced = map_coordinates(table, np.stack((theta, phi)), order=1, mode="nearest")
    wobble = gaussian_filter(rng.standard_normal(around.shape), WOBBLE_PIXELS, mode="wrap", truncate=3.0)
    rough = ROUGHNESS_MM * np.exp(ROUGHNESS_SIGMA * ambiguity + ROUGHNESS_PER_SPICULATION * (spiculation - 1))
    rough *= model.form_sd_scale
    displaced += rough * wobble / (wobble.std() * np.maximum(radius, 1.0))
    at = lattice.world_to_index(centre_mm + offset * np.exp(-displaced)[..., None])
    height = map_coordinates(picture, np.moveaxis(at, -1, 0), order=1, mode="constant")
    return np.asarray(height >= 0.5 * min(1.0, float(picture.max())))
