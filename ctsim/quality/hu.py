"""Statistics of regions of interest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Grid


@dataclass(frozen=True, slots=True)
class RegionStatistics:
    """Mean, standard deviation, standard error of the mean without correlation, and size of a region [HU; voxels]."""

    mean_hu: float
    sd_hu: float
    standard_error_hu: float
    n_voxels: int


def in_cylinder(
    grid: Grid, centre_mm: tuple[float, float], radius_mm: float, z_range_mm: tuple[float, float] | None = None
) -> NDArray[np.bool_]:
    """Voxels ``(z, y, x)`` whose centres lie in a cylinder along z around world (x, y) [mm].

    Raises
    ------
    ValueError
        If no voxel does.
    """
    z, y, x = grid.axes_mm()
    disc = (x - centre_mm[0]) ** 2 + (y[:, None] - centre_mm[1]) ** 2 <= radius_mm**2
    slab = np.ones(len(z), np.bool_) if z_range_mm is None else (z >= z_range_mm[0]) & (z <= z_range_mm[1])
    inside = slab[:, None, None] & disc
    if not inside.any():
        raise ValueError(f"no voxel lies within radius_mm = {radius_mm} of {centre_mm}, z_range_mm = {z_range_mm}")
    return inside


def region_statistics(hu: NDArray[np.generic], region: NDArray[np.bool_]) -> RegionStatistics:
    """Statistics of the voxels of a region.

    Raises
    ------
    ValueError
        If the shapes differ or the region has fewer than two voxels.
    """
    if hu.shape != region.shape:
        raise ValueError(f"region must have the image's shape {hu.shape}, got {region.shape}")
    values = hu[region].astype(np.float64)
    if len(values) < 2:
        raise ValueError(f"a region needs at least 2 voxels, got {len(values)}")
    sd = float(values.std(ddof=1))
    return RegionStatistics(float(values.mean()), sd, sd / float(np.sqrt(len(values))), len(values))
