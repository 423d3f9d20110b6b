"""What a nodule does to the lung around it, outside its own volume: halo, pleural tags, displaced surroundings.

Displacement: matter at distance r from the centroid comes from ``r_src = (r^3 - kappa R^3)^(1/3)``, the flow of an
incompressible medium around a ball that has grown by ``kappa`` of its volume; lung yields, so the shift fades to
nothing at ``FADES_AT`` radii. Negative kappa draws the surroundings, vessels above all, towards the nodule. Widths are
design defaults, unverified.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .attachment import Room
from .distance import join_segments
from .nodule import LUNG_HU, SOFT_HU, Nodule
from .raster import Raster, ramp
from .surroundings import Matter

FADES_AT = 2.2
"""Radii at which the displacement has faded."""

TAG_RADIUS_MM = (0.5, 0.35)
"""Of a tag at the nodule and at the pleura."""

LONGEST_TAG_MM = 25.0
TAG_SPREAD_DEG = 18.0


def halo_of(nodule: Nodule, raster: Raster, base: Matter) -> NDArray[np.float32]:
    """Soft tissue in the aerated lung within ``halo_mm`` of the body, thinning outwards; shares of the voxels."""
    strength = (nodule.halo_hu - LUNG_HU) / (SOFT_HU - LUNG_HU)
    depth = np.clip((raster.body_mm + np.float32(nodule.halo_mm)) / np.float32(0.4 * nodule.halo_mm), 0, 1)
    return (np.float32(strength) * depth * (1 - raster.profile) * base.aerated).astype(np.float32)


def tags_of(nodule: Nodule, lung: Room) -> NDArray[np.float64]:
    """Segments ``(n, 8)`` of the pleural tags about the nodule's centre [mm]: from inside the body to the pleura.

    Raises
    ------
    ValueError
        If no pleura lies within ``LONGEST_TAG_MM`` of the surface.
    """
    centre, radius = np.asarray(nodule.centre_mm), 0.5 * nodule.target_diameter_mm
    rng = nodule.stream("tags")
    outward = -lung.inward(centre)
    rows = []
    for i in range(nodule.n_pleural_tags):
        aside = np.deg2rad(TAG_SPREAD_DEG) * rng.standard_normal(3) if i else np.zeros(3)
        heading = outward + aside
        heading /= np.linalg.norm(heading)
        reach = np.arange(0.5 * radius, radius + LONGEST_TAG_MM, 0.5)
        outside = [r for r in reach if lung.at(centre + r * heading) <= 0]
        if not outside:
            raise ValueError(
                f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm}: n_pleural_tags {nodule.n_pleural_tags} need "
                f"pleura within {LONGEST_TAG_MM:g} mm of the surface"
            )
        rows.append([*(0.5 * radius * heading), *(outside[0] * heading), *TAG_RADIUS_MM])
    return np.array(rows)


def strands_of(segments: NDArray[np.float64], raster: Raster, base: Matter) -> NDArray[np.float32]:
    """Shares of the voxels that the tags fill outside the profile, in aerated lung."""
    step = raster.grid.spacing_mm[0]
    field = np.full(raster.grid.shape, -1e3, np.float32)
    join_segments(segments, 1.5 * step, np.asarray(raster.grid.origin_mm), step, field)
    return (ramp(field / np.float32(step)) * (1 - raster.profile) * base.aerated).astype(np.float32)


def displaced_mm(nodule: Nodule, grid: Grid, centre_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """World points ``(z, y, x, 3)`` from which the matter of each lattice point comes [mm]."""
    radius = 0.5 * nodule.target_diameter_mm
    kappa = nodule.displacement
    offset = np.stack(np.meshgrid(*grid.axes_mm(), indexing="ij"), axis=-1)[..., ::-1] - centre_mm
    r = np.maximum(np.sqrt((offset**2).sum(axis=-1)), 1e-6)
    out = np.maximum(r, radius)
    t = np.clip((out - radius) / ((FADES_AT - 1) * radius), 0, 1)
    fade = 1 - t * t * (3 - 2 * t)
    # Inside the body nothing shows: there the shift of its surface, shrunk to nothing at the centre.
    shift = (out - np.cbrt(out**3 - kappa * radius**3)) * fade * np.minimum(1, r / radius)
    return np.asarray(centre_mm + offset * (1 - shift / r)[..., None])
