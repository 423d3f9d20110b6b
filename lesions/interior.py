"""What a nodule is made of: matter that replaces a share of the lung, voxel by voxel; never HU.

``share s = core + (profile - core) * aerated * f``; the material changes by ``s (rho_soft - rho_base)``. Solid: s is
the profile. Ground glass: soft tissue fills the fraction f of the *aerated* volume only, so vessels and airways
inside stay visible.
Part-solid: both. Calcium, fat, fluid and air (:mod:`lesions.parts`) take their shares of s, and what lies around the
body (:mod:`lesions.periphery`) comes on top.

Texture is a Gaussian random field fixed to the nodule (:mod:`lesions.random_field`), so that its pattern does not
depend on the voxels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Material, material

from .hounsfield import density_g_cm3, hounsfield_equivalent
from .nodule import LUNG_HU, SOFT_HU, Nodule
from .parts import Parts
from .random_field import gaussian_field
from .raster import Raster
from .surroundings import Matter

SOFT_MATERIAL = "lung_tissue"
"""What a nodule's soft tissue is: airless lung tissue (ICRU 46), at the density that gives the HU asked for."""


def difference(
    nodule: Nodule,
    raster: Raster,
    base: Matter,
    parts: Parts | None = None,
    *,
    around: Matter | None = None,
    matter: Material | None = None,
    halo: NDArray[np.float32] | None = None,
    strands: NDArray[np.float32] | None = None,
) -> tuple[tuple[Material, ...], NDArray[np.float32]]:
    """Materials and change of partial densities ``(m, z, y, x)`` [g/cm3] that the nodule makes.

    Parameters
    ----------
    nodule, raster
        A sized nodule and its form.
    base
        The twin on the raster's lattice.
    parts
        What is not soft tissue inside.
    around
        The twin as the nodule pushes or draws it; ``base`` where it does neither. Same materials as ``base``.
    matter
        What the nodule is made of at that material's own density, in place of soft tissue of its HU; a solid nodule
        without parts only.
    halo, strands
        Shares of the voxels, outside the profile, that a ground-glass halo and pleural tags fill with soft tissue.
    """
    soft, attributes = matter or material(SOFT_MATERIAL), nodule.attributes
    sd_hu, solid_hu = attributes.texture_sd_hu, attributes.solid_hu
    pattern = texture(nodule, raster.grid, raster.profile) if sd_hu > 0 else np.float32(0)
    full = density_g_cm3(soft, solid_hu) if matter is None else matter.density_g_cm3
    per_hu = full / (1000 + solid_hu)
    host = base if around is None else around
    uneven = np.float32(full) + np.float32(per_hu * sd_hu) * pattern
    if nodule.type == "solid":
        share, tissue = raster.profile, uneven
    else:
        core = np.float32(0) if raster.core_profile is None else raster.core_profile
        fraction = nodule.soft_fraction + sd_hu / (SOFT_HU - LUNG_HU) * pattern
        share = core + (raster.profile - core) * host.aerated * np.clip(fraction, 0, 1).astype(np.float32)
        tissue = np.float32(full) if raster.core_profile is None else uneven
    new: dict[str, NDArray[np.float32]] = {soft.name: share * tissue}
    taken = share
    if parts is not None:
        taken = _add_parts(nodule, parts, share, tissue, new)
    for outer in (halo, strands):
        if outer is not None:
            new[soft.name] = new[soft.name] + outer * np.float32(full)
            taken = taken + outer
    names = {m.name for m in base.materials}
    materials = (*base.materials, *(material(name) for name in new if name not in names))
    delta = np.zeros((len(materials), *raster.grid.shape), np.float32)
    np.multiply(host.partial_g_cm3, -taken, out=delta[: len(base.materials)])
    if around is not None:
        delta[: len(base.materials)] += around.partial_g_cm3 - base.partial_g_cm3
    for row, m in enumerate(materials):
        if m.name in new:
            delta[row] += new[m.name]
    return materials, delta


def _add_parts(
    nodule: Nodule,
    parts: Parts,
    share: NDArray[np.float32],
    tissue: NDArray[np.float32] | np.float32,
    new: dict[str, NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Put the parts in the place of soft tissue in ``new``; returns the share of each voxel that is nodule.

    In a solid nodule every part lies within the profile and displaces as much soft tissue; elsewhere air displaces
    whatever there is.
    """
    soft = material(SOFT_MATERIAL)
    for fluid_hu, part, name in (
        (nodule.necrosis_hu, parts.fluid, SOFT_MATERIAL),
        (nodule.fat_hu, parts.fat, "adipose"),
    ):
        if part is not None:
            new[SOFT_MATERIAL] = new[SOFT_MATERIAL] - part * tissue
            new[name] = new.get(name, np.float32(0)) + part * np.float32(density_g_cm3(material(name), fluid_hu))
    if parts.calcium is not None:
        apatite = material("hydroxyapatite")
        solid_hu = nodule.attributes.solid_hu
        full, pure = density_g_cm3(soft, solid_hu), apatite.density_g_cm3
        pure_hu = float(hounsfield_equivalent((apatite,), np.array([pure])))
        mineral = (nodule.calcium_hu - solid_hu) / (pure_hu - solid_hu)
        new[SOFT_MATERIAL] = new[SOFT_MATERIAL] - parts.calcium * (tissue - np.float32((1 - mineral) * full))
        new["hydroxyapatite"] = parts.calcium * np.float32(mineral * pure)
    if parts.air is None:
        return share
    air = material("air")
    if nodule.type == "solid":
        new[SOFT_MATERIAL] = new[SOFT_MATERIAL] - parts.air * tissue
        taken = share
    else:
        new[SOFT_MATERIAL] = new[SOFT_MATERIAL] * (1 - parts.air)
        taken = share * (1 - parts.air) + parts.air
    new["air"] = parts.air * np.float32(air.density_g_cm3)
    return taken


def texture(nodule: Nodule, grid: Grid, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian random field of unit variance on the lattice, less its mean over ``weight`` (so that mass is exact)."""
    sigma, reach = 0.5 * nodule.texture_correlation_mm, 1.6 * nodule.target_diameter_mm
    field = gaussian_field(nodule.stream("texture"), grid, sigma_mm=sigma, reach_mm=reach)
    mean = float((field * weight).sum(dtype=np.float64) / weight.sum(dtype=np.float64))
    return field - np.float32(mean)
