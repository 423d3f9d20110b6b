"""What lies inside a nodule besides its soft tissue: calcium, fat, fluid, air; each the share of every voxel it fills.

Calcium, fat and necrosis are level sets of a field, at the level that gives them the exact share of the volume asked
for, on any lattice. Cavity, bubbles and air tubes are given in millimetres. Sizes and numbers of blobs are design
defaults, unverified.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .distance import join_segments
from .edges import RAMP, fill_to, ramp
from .nodule import Nodule
from .random_field import gaussian_field
from .raster import Raster

Share = NDArray[np.float32]

N_POPCORN, N_FAT = (5, 16), (2, 5)
"""Numbers of blobs, from and below."""

CAVITY_SIGMA, THINNEST = 0.3, 0.3
"""Kernel of the field by which a cavity's wall strays, in radii, and the thinnest wall, in mean thicknesses."""

LAMINA_MM = (1.0, 2.0)
"""Range of the period of laminated calcium: a third of the radius within it."""

ECCENTRIC = 0.5
"""Distance of eccentric calcium from the centroid, in radii."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Shares of the voxels ``(z, y, x)`` float32; None where a nodule has no such part. They do not overlap."""

    calcium: Share | None = None
    fat: Share | None = None
    fluid: Share | None = None
    air: Share | None = None


def parts_of(nodule: Nodule, raster: Raster) -> Parts:
    """The parts of a sized nodule on its lattice."""
    air = _air(nodule, raster)
    attributes = nodule.attributes
    room = raster.profile if air is None else np.maximum(raster.profile - air, 0)
    calcium = fluid = fat = None
    if attributes.calcium_fraction > 0:
        calcium = _filled(nodule, raster, _calcium_field(nodule, raster), attributes.calcium_fraction, room)
        room = np.maximum(room - calcium, 0)
    if attributes.necrosis_ratio > 0:
        fluid = _filled(nodule, raster, raster.body_mm, attributes.necrosis_ratio**3, room)
        room = np.maximum(room - fluid, 0)
    if attributes.fat_fraction > 0:
        rng = nodule.stream("fat")
        fat = _filled(nodule, raster, _blobs(nodule, raster, rng, N_FAT, (0.2, 0.4)), attributes.fat_fraction, room)
    return Parts(calcium, fat, fluid, air)


def _filled(nodule: Nodule, raster: Raster, field: Share, fraction: float, room: Share) -> Share:
    n_voxels = fraction * nodule.target_volume_mm3 / raster.grid.voxel_volume_mm3
    available = float(room.sum(dtype=np.float64))
    if n_voxels > available:
        raise ValueError(
            f"nodule {nodule.id!r}: its parts ask for {n_voxels / available:.0%} of the volume that is left for them"
        )
    return fill_to(field, n_voxels, 1.0 / raster.grid.spacing_mm[0], RAMP, within=room)


def _calcium_field(nodule: Nodule, raster: Raster) -> Share:
    pattern = nodule.attributes.calcification
    radius = 0.5 * nodule.target_diameter_mm
    rng = nodule.stream("calcium")
    if pattern == "diffuse":
        return raster.body_mm
    if pattern == "popcorn":
        return _blobs(nodule, raster, rng, N_POPCORN, (0.1, 0.25))
    if pattern == "laminated":
        period = float(np.clip(radius / 3, *LAMINA_MM))
        # Shells parallel to the surface; the outermost lies half a period inside.
        shells = -np.cos(2 * np.pi * raster.body_mm / period) * period / (2 * np.pi)
        return np.where(raster.body_mm > 0.15 * period, shells, -period).astype(np.float32)
    centre = np.zeros(3)
    if pattern == "eccentric":
        centre = ECCENTRIC * radius * _direction(rng)
    z, y, x = raster.grid.axes_mm()
    cx, cy, cz = centre + raster.centroid_mm
    away = np.sqrt(((z - cz) ** 2)[:, None, None] + ((y - cy) ** 2)[:, None] + (x - cx) ** 2)
    return (-away).astype(np.float32)


def _blobs(
    nodule: Nodule, raster: Raster, rng: np.random.Generator, n: tuple[int, int], size: tuple[float, float]
) -> Share:
    """Signed distance to the union of balls at random places inside the body; ``size`` in radii of the nodule."""
    radius = 0.5 * nodule.target_diameter_mm
    count = int(rng.integers(*n))
    balls = np.array(
        [[*(0.65 * radius * rng.random() ** (1 / 3) * _direction(rng)), rng.uniform(*size)] for _ in range(count)]
    )
    return _distance_to_balls(raster, balls[:, :3], radius * balls[:, 3])


def _air(nodule: Nodule, raster: Raster) -> Share | None:
    wall = nodule.attributes.cavity_wall_mm
    per_mm = np.float32(1.0 / raster.grid.spacing_mm[0])
    field = None
    cavity = None if wall is None else _cavity(nodule, raster, wall, per_mm)
    radius = 0.5 * nodule.target_diameter_mm
    if nodule.n_bubbles:
        rng = nodule.stream("bubbles")
        width = 0.5 * nodule.bubble_mm * np.clip(np.exp(0.3 * rng.standard_normal(nodule.n_bubbles)), 0.6, 1.6)
        width = np.minimum(width, 0.3 * radius)
        place = np.array([_direction(rng) * rng.random() ** (1 / 3) for _ in width]) * (0.85 * radius - width)[:, None]
        balls = _distance_to_balls(raster, place, width)
        field = balls if field is None else np.maximum(field, balls)
    if nodule.n_bronchograms:
        tubes = np.full(raster.grid.shape, -1e3, np.float32)
        origin = np.asarray(raster.grid.origin_mm) - raster.centroid_mm
        join_segments(_bronchograms(nodule, radius), 1.0, origin, raster.grid.spacing_mm[0], tubes)
        field = tubes if field is None else np.maximum(field, tubes)
    air = cavity if field is None else ramp(field * per_mm)
    if air is None:
        return None
    if cavity is not None and field is not None:
        air = np.maximum(air, cavity)
    return np.minimum(air, raster.profile).astype(np.float32)


def _cavity(nodule: Nodule, raster: Raster, wall_mm: float, per_mm: np.float32) -> Share:
    """Air behind the wall; an uneven wall leaves the same volume of it."""
    depth = raster.body_mm - np.float32(wall_mm)
    even = ramp(depth * per_mm).astype(np.float32)
    strays = nodule.attributes.cavity_irregularity
    if strays == 0 or not even.any():
        return even
    radius = 0.5 * nodule.target_diameter_mm
    field = gaussian_field(nodule.stream("cavity"), raster.grid, sigma_mm=CAVITY_SIGMA * radius, reach_mm=3.2 * radius)
    thickness = wall_mm * np.maximum(1 + strays * field, THINNEST)
    uneven = np.asarray(raster.body_mm - thickness, np.float32)
    return fill_to(uneven, float(even.sum(dtype=np.float64)), float(per_mm), RAMP, within=raster.profile)


def _bronchograms(nodule: Nodule, radius: float) -> NDArray[np.float64]:
    """Air tubes that enter on one side, fork once and end inside the far side."""
    rng = nodule.stream("bronchograms")
    half = 0.5 * nodule.bronchogram_mm
    rows = []
    for _ in range(nodule.n_bronchograms):
        along = _direction(rng)
        side = np.cross(along, _direction(rng))
        side /= np.linalg.norm(side)
        enter, fork = -0.8 * radius * along + 0.3 * radius * rng.standard_normal() * side, -0.1 * radius * along
        rows.append([*enter, *fork, half, 0.9 * half])
        for sign in (1.0, -1.0):
            angle = np.deg2rad(rng.uniform(20, 40))
            tip = fork + 0.7 * radius * (np.cos(angle) * along + sign * np.sin(angle) * side)
            rows.append([*fork, *tip, 0.8 * half, 0.6 * half])
    return np.array(rows)


def _distance_to_balls(raster: Raster, centre_mm: NDArray[np.float64], radius_mm: NDArray[np.float64]) -> Share:
    z, y, x = (axis.astype(np.float32) for axis in raster.grid.axes_mm())
    field = np.full(raster.grid.shape, -np.inf, np.float32)
    for (cx, cy, cz), radius in zip((centre_mm + raster.centroid_mm).astype(np.float32), radius_mm, strict=True):
        away = np.sqrt(((z - cz) ** 2)[:, None, None] + ((y - cy) ** 2)[:, None] + (x - cx) ** 2)
        np.maximum(field, np.float32(radius) - away, out=field)
    return field


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    u = rng.standard_normal(3)
    return np.asarray(u / np.linalg.norm(u))
