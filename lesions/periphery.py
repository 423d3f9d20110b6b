"""What a nodule does to the lung around it, outside its own volume: halo, pleural tags, displaced surroundings.

Widths are design defaults, unverified.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .attachment import Room
from .distance import join_segments
from .edges import ramp
from .nodule import LUNG_HU, SOFT_HU, Nodule
from .raster import Raster
from .surroundings import Matter

TAG_RADIUS_MM = (1.4, 0.55, 0.5, 1.6)
"""Of a tag where it leaves the nodule, a quarter and three quarters of the way, and at the pleura, which it draws up to
a tent."""

TAG_SAG = 0.06
"""How far a tag bends aside in the middle, in lengths (SD)."""

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
    missing = (
        f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm}: n_pleural_tags {nodule.n_pleural_tags} need pleura "
        f"within {LONGEST_TAG_MM:g} mm of the surface"
    )
    if lung.inside_mm.min() > 0:
        raise ValueError(missing)
    outward = -lung.inward(centre)
    rows = []
    for i in range(nodule.n_pleural_tags):
        aside = np.deg2rad(TAG_SPREAD_DEG) * rng.standard_normal(3) if i else np.zeros(3)
        heading = outward + aside
        heading /= np.linalg.norm(heading)
        reach = np.arange(0.5 * radius, radius + LONGEST_TAG_MM, 0.5)
        outside = reach[lung.at(centre + reach[:, None] * heading) <= 0]
        if not len(outside):
            raise ValueError(missing)
        rows += _strand(0.7 * radius * heading, outside[0] * heading, rng)
    return np.array(rows)


def _strand(
    start: NDArray[np.float64], end: NDArray[np.float64], rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Segments of a strand that is wide at both ends and bends a little between."""
    length = float(np.linalg.norm(end - start))
    sag = TAG_SAG * length * rng.standard_normal(3)
    points = [start + t * (end - start) + 4 * t * (1 - t) * sag for t in (0.0, 0.25, 0.75, 1.0)]
    return [np.array([*a, *b, ra, rb]) for (a, ra), (b, rb) in pairwise(zip(points, TAG_RADIUS_MM, strict=True))]


def strands_of(segments: NDArray[np.float64], raster: Raster, base: Matter) -> NDArray[np.float32]:
    """Shares of the voxels that the tags fill outside the profile, in aerated lung."""
    step = raster.grid.spacing_mm[0]
    field = np.full(raster.grid.shape, -1e3, np.float32)
    join_segments(segments, 1.5 * step, np.asarray(raster.grid.origin_mm), step, field)
    return (ramp(field / np.float32(step)) * (1 - raster.profile) * base.aerated).astype(np.float32)
