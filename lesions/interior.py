"""What a nodule is made of: soft tissue that replaces a share of the lung, voxel by voxel; never HU.

``share s = core + (profile - core) * aerated * f``; the material changes by ``s (rho_soft - rho_base)``. Solid: s is
the profile. Ground glass: soft tissue fills the fraction f of the *aerated* volume only, so vessels and airways
inside stay visible.
Part-solid: both.

Texture is a Gaussian random field, a sum of Gaussian kernels on a lattice fixed to the nodule, so that its pattern
does not depend on the voxels: ``g(x) = sum_n w_n exp(-|x - x_n|^2 / (2 sigma^2))``, lattice step sigma, correlation
``exp(-r^2 / (4 sigma^2))``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Material, material

from .hounsfield import density_g_cm3
from .nodule import LUNG_HU, SOFT_HU, Nodule
from .raster import Raster
from .separable import apply_along
from .surroundings import Matter

SOFT_MATERIAL = "lung_tissue"
"""What a nodule's soft tissue is: airless lung tissue (ICRU 46), at the density that gives the HU asked for."""


REACH = 5.0
"""Kernels of the texture are cut at this many sigma, where they are 4e-6 of their height."""


def difference(nodule: Nodule, raster: Raster, base: Matter) -> tuple[tuple[Material, ...], NDArray[np.float32]]:
    """Materials and change of partial densities ``(m, z, y, x)`` [g/cm3] that the nodule makes."""
    attributes = nodule.attributes
    sd_hu, solid_hu = attributes.texture_sd_hu, attributes.solid_hu
    soft = material(SOFT_MATERIAL)
    pattern = texture(nodule, raster.grid, raster.profile) if sd_hu > 0 else np.float32(0)
    full = density_g_cm3(soft, solid_hu)
    per_hu = full / (1000 + solid_hu)
    if nodule.type == "solid":
        share, rho = raster.profile, full + per_hu * sd_hu * pattern
    else:
        core = np.float32(0) if raster.core_profile is None else raster.core_profile
        fraction = nodule.soft_fraction + sd_hu / (SOFT_HU - LUNG_HU) * pattern
        share = core + (raster.profile - core) * base.aerated * np.clip(fraction, 0, 1)
        rho = np.full(raster.grid.shape, full) if raster.core_profile is None else full + per_hu * sd_hu * pattern
    share = share.astype(np.float32)
    materials = base.materials if soft in base.materials else (*base.materials, soft)
    delta = np.zeros((len(materials), *raster.grid.shape), np.float32)
    delta[: len(base.materials)] = -share * base.partial_g_cm3
    delta[materials.index(soft)] += share * rho.astype(np.float32)
    return materials, delta


def texture(nodule: Nodule, grid: Grid, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian random field of unit variance on the lattice, less its mean over ``weight`` (so that mass is exact)."""
    sigma = 0.5 * nodule.texture_correlation_mm
    # A fixed cube of nodes, whatever the lattice: the k-th node of an axis lies at (k - n) sigma from the centroid.
    n = math.ceil(1.6 * nodule.target_diameter_mm / sigma) + 4
    white = nodule.stream("texture").standard_normal((2 * n + 1,) * 3, dtype=np.float32)
    nodes = sigma * np.arange(-n, n + 1)
    # Variance of the sum at any point: (sum_n exp(-(x - x_n)^2 / sigma^2))^3 = (sqrt(pi) sigma / step)^3, ripple 2
    # exp(-pi^2).
    norm = math.pi**0.25
    field = white
    for axis, positions in enumerate(grid.axes_mm()):
        offset = (positions[:, None] - nodes) / sigma
        kernel = np.where(np.abs(offset) < REACH, np.exp(-0.5 * offset**2), 0) / norm
        field = apply_along(kernel, field, axis)
    mean = float((field * weight).sum(dtype=np.float64) / weight.sum(dtype=np.float64))
    return field - np.float32(mean)
