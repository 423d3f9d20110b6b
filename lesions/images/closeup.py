"""One nodule as a CT shows it, without simulating a scan: its surroundings and itself through a point spread function.

In the image domain: HU equivalents at 70 keV of the twin and of the nodule's inset, both integrated exactly over the
point spread function at every voxel, and noise whose power spectrum is that of filtered backprojection in the plane,
``f MTF(f)^2`` (Hanson, Med. Phys. 6 (1979) 441), and that of the slice profile along z. No beam hardening, scatter or
streaks: a quick look, where :mod:`ctsim` makes the images of a dataset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Twin

from ..hounsfield import hounsfield_equivalent
from ..insertion import insert
from ..nodule import Nodule
from ..surroundings import matter_on
from ..truth import NoduleTruth
from .imaging import TAIL_SIGMA, imaged
from .resolution import FWHM, KERNEL_FWHM_MM, Resolution

BASE_STEP_MM = 0.5
"""The surroundings are worked out on a lattice of this step, or of a twin's own if that is finer [mm]."""


@dataclass(frozen=True, slots=True)
class Technique:
    """How a close-up is taken.

    Parameters
    ----------
    resolution
        Point spread function.
    spacing_mm
        Voxel spacing (z, y, x) [mm].
    noise_sd_hu
        SD of the noise [HU]; 0 for none.
    """

    resolution: Resolution
    spacing_mm: tuple[float, float, float]
    noise_sd_hu: float

    def __post_init__(self) -> None:
        if not all(0.05 <= s <= 10 for s in self.spacing_mm):
            raise ValueError(f"spacing_mm must lie between 0.05 and 10 mm, got {self.spacing_mm}")
        if not 0 <= self.noise_sd_hu <= 500:
            raise ValueError(f"noise_sd_hu must lie between 0 and 500 HU, got {self.noise_sd_hu}")


TECHNIQUES = {
    "thin": Technique(Resolution(KERNEL_FWHM_MM["medium"], 1.0, 0.5), (1.0, 0.7, 0.7), 30.0),
    "sharp": Technique(Resolution(KERNEL_FWHM_MM["sharp"], 1.0, 0.5), (1.0, 0.6, 0.6), 55.0),
    "thick": Technique(Resolution(KERNEL_FWHM_MM["soft"], 2.5, 1.0), (2.5, 0.7, 0.7), 18.0),
}
"""Thin slices and a medium kernel, thin slices and a sharp kernel, the 2.5 mm slices of much of LIDC-IDRI (design
defaults, unverified; noise and sharpness of the order measured on public chest CTs of each kind of kernel)."""


@dataclass(frozen=True, slots=True, eq=False)
class Closeup:
    """An image of one nodule.

    Parameters
    ----------
    hu
        ``(z, y, x)`` float32 [HU].
    grid
        Its lattice, axis-aligned; the middle voxel lies on the nodule's centroid.
    truth
        The nodule.
    """

    hu: NDArray[np.float32]
    grid: Grid
    truth: NoduleTruth


def closeup(
    twin: Twin, nodule: Nodule, technique: Technique, *, field_mm: float, rng: np.random.Generator | None = None
) -> Closeup:
    """Put a placed nodule into a twin and image the cube of ``field_mm`` around it.

    Parameters
    ----------
    twin, nodule
        As for :func:`lesions.insert`; other insets of the twin are not seen.
    technique
        Resolution, voxels, noise (:data:`TECHNIQUES` has some).
    field_mm
        Side of the cube [mm].
    rng
        Where the noise comes from; may be None where the technique has none.

    Raises
    ------
    ValueError
        If the nodule cannot be inserted, or there is noise and no ``rng``.
    """
    if technique.noise_sd_hu > 0 and rng is None:
        raise ValueError(f"noise_sd_hu {technique.noise_sd_hu}: give rng for the noise")
    changed, known = insert(twin, [nodule])
    truth, inset = known.nodules[0], changed.insets[-1]
    image = _lattice(truth.centre_mm, field_mm, technique.spacing_mm)
    resolution = technique.resolution
    reach = (
        0.5 * resolution.slice_thickness_mm + TAIL_SIGMA * resolution.slice_blur_fwhm_mm / FWHM,
        TAIL_SIGMA * resolution.in_plane_fwhm_mm / FWHM,
        TAIL_SIGMA * resolution.in_plane_fwhm_mm / FWHM,
    )
    step = min(BASE_STEP_MM, *twin.grid.spacing_mm)
    size = [n * s + 2 * r + step for n, s, r in zip(image.shape, image.spacing_mm, reach, strict=True)]
    base = matter_on(twin, around := _lattice(truth.centre_mm, size, (step, step, step)))
    hu = imaged(
        np.asarray(hounsfield_equivalent(base.materials, base.partial_g_cm3), np.float32), around, image, resolution
    )
    whole = hu[1]
    # HU are linear in the partial densities: the nodule's own part is imaged on its own fine lattice.
    change = hounsfield_equivalent(inset.materials, inset.delta_g_cm3) + 1000.0
    window, patch = imaged(np.asarray(change, np.float32), inset.grid, image, resolution)
    whole[window] += patch
    if rng is not None and technique.noise_sd_hu > 0:
        whole += noise(rng, image.shape, technique)
    return Closeup(whole, image, truth)


def noise(rng: np.random.Generator, shape: tuple[int, int, int], technique: Technique) -> NDArray[np.float32]:
    """Noise ``(z, y, x)`` [HU]: in the plane the spectrum ``f MTF(f)^2``, along z that of the slice profile."""
    # Twice as many slices and pixels, so that opposite ends of the field are strangers.
    wide = tuple(2 * n for n in shape)
    fz, fy, fx = (np.fft.fftfreq(n, d=s) for n, s in zip(wide, technique.spacing_mm, strict=True))
    resolution = technique.resolution
    sigma = resolution.in_plane_fwhm_mm / FWHM
    squared = fy[:, None] ** 2 + fx**2
    plane = np.sqrt(np.sqrt(squared)) * np.exp(-2 * math.pi**2 * sigma**2 * squared)
    along = np.sinc(fz * resolution.slice_thickness_mm) * np.exp(
        -2 * math.pi**2 * (resolution.slice_blur_fwhm_mm / FWHM) ** 2 * fz**2
    )
    amplitude = along[:, None, None] * plane
    amplitude *= technique.noise_sd_hu / math.sqrt(float((amplitude**2).mean()))
    white = np.fft.fftn(rng.standard_normal(wide))
    field = np.fft.ifftn(white * amplitude).real
    return np.asarray(field[: shape[0], : shape[1], : shape[2]], np.float32)


def _lattice(
    centre_mm: Sequence[float], size_mm: float | Sequence[float], spacing_mm: tuple[float, float, float]
) -> Grid:
    """Axis-aligned lattice of at least that size with an odd number of voxels, the middle one on a world point."""
    sides = [size_mm] * 3 if isinstance(size_mm, float | int) else size_mm
    half = [math.ceil(0.5 * side / s - 0.5) for side, s in zip(sides, spacing_mm, strict=True)]
    x, y, z = (float(c) - h * s for c, h, s in zip(centre_mm, half[::-1], spacing_mm[::-1], strict=True))
    n_z, n_y, n_x = (2 * h + 1 for h in half)
    return Grid((n_z, n_y, n_x), spacing_mm, (x, y, z))
