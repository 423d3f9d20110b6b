"""Axial scans: filtered back projection of a full circle onto a curved detector (Feldkamp, Davis, Kress 1984).

    q(g, v) = p(g, v) SID cos g SDD / sqrt(SDD^2 + v^2)
    f(x, y, z) = (2 pi / V) sum_views (q * h)(g, v) / L^2

with h the fan-beam kernel of :func:`ctsim.recon.filtering.fan_filter`, g and v where the voxel's ray meets the detector
and L the voxel's distance from the source in the plane. Exact in the source's plane. Beyond the outermost
rows their readings go on, so that the corners of the disc that a cone beam of that height at the axis does not quite
reach are extrapolated, as is usual. The kernel's MTF holds at the axis; away from it sharpness follows the local
magnification.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels.backproject import backproject_circle
from ..kernels.rebin import cumulate_rows, rebin
from .filtering import OVERSAMPLING, Chain, fan_filter, filter_rows
from .kernels import Kernel

_BLOCK_BYTES = 64 * 2**20


def fdk(
    line_integral: NDArray[np.float32],
    geometry: Geometry,
    kernel: Kernel,
    chain: Chain,
    axes_mm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    box_mm: float,
    radius_mm: float,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.float32]:
    """Attenuation ``(y, x, z)`` of an axial scan [1/mm]; 0 in slices beyond the beam's height at the axis.

    Parameters
    ----------
    line_integral
        ``(view, row, column)`` float32, one full rotation.
    geometry
        Its geometry.
    kernel, chain
        What the image's MTF shall be, and what the chain does to it.
    axes_mm
        World coordinates of the voxel centres along z, y, x, equally spaced [mm].
    box_mm
        Thickness of the slab over which rows are averaged [mm].
    radius_mm
        Radius of the field of view; voxels outside are 0 [mm].

    Raises
    ------
    ValueError
        If the scan is not one full rotation with the table at rest.
    """
    n_views, n_rows, n_columns = geometry.shape
    if n_views != geometry.views_per_rotation or geometry.is_helical:
        raise ValueError(
            f"an axial reconstruction needs one full rotation of {geometry.views_per_rotation} views at one table "
            f"position, got {n_views} views and feed_per_rotation_mm = {geometry.feed_per_rotation_mm}"
        )
    z, y, x = axes_mm
    z_source = float(geometry.source_z_mm[0])
    half_beam = 0.5 * n_rows * geometry.row_pitch_mm * geometry.source_distance_mm / geometry.detector_distance_mm
    lit = np.nonzero(np.abs(z - z_source) <= half_beam + 1e-6)[0]
    n_places = OVERSAMPLING * (n_columns - 1) + 1
    place = np.arange(n_places) / OVERSAMPLING
    pitch = geometry.column_pitch_rad / OVERSAMPLING
    gamma = geometry.column_angle_rad[0] + pitch * np.arange(n_places)
    distances = np.array([geometry.source_distance_mm, geometry.detector_distance_mm])
    slant = distances[1] / np.hypot(distances[1], geometry.row_offset_mm)
    row_weight = (distances[0] * slant[:, None] * np.cos(gamma)).astype(np.float32)
    transfer = fan_filter(kernel, chain, pitch, n_places)
    out = np.zeros((len(y), len(x), len(z)), np.float32)
    if len(lit) == 0:
        return out
    part = np.zeros((len(y), len(x), len(lit)), np.float32)
    block = max(1, _BLOCK_BYTES // (n_rows * n_places * 4))
    for start in range(0, n_views, block):
        stop = min(start + block, n_views)
        rows = np.empty((stop - start, n_rows, n_places), np.float32)
        rebin(line_integral[start:stop], np.arange(stop - start), place, np.zeros(n_places), row_weight, rows)
        sums = np.empty((stop - start, n_places, n_rows + 1), np.float32)
        cumulate_rows(filter_rows(rows, transfer), sums)
        beta = geometry.view_angle_rad[start:stop]
        backproject_circle(
            sums,
            np.stack([np.cos(beta), np.sin(beta)], axis=1),
            x - geometry.isocentre_mm[0],
            y - geometry.isocentre_mm[1],
            np.array([z[lit[0]] - z_source, z[1] - z[0] if len(z) > 1 else 1.0, box_mm]),
            np.array([gamma[0], pitch]),
            np.array([geometry.row_offset_mm[0] - geometry.row_pitch_mm / 2, geometry.row_pitch_mm]),
            distances,
            float(radius_mm),
            2 * np.pi / n_views,
            part,
        )
        if progress is not None:
            progress(stop / n_views)
    out[:, :, lit[0] : lit[-1] + 1] = part
    return out
