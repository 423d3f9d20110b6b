"""Axial scans: filtered back projection of a full circle onto a curved detector (Feldkamp, Davis, Kress 1984).

    q(g, v) = p(g, v) SID cos g SDD / sqrt(SDD^2 + v^2)
    f(x, y, z) = (2 pi / V) sum_views (q * h)(g, v) / L^2

with h the fan-beam kernel of :func:`ctsim.recon.filtering.fan_filter`, g and v where the voxel's ray meets the detector
and L the voxel's distance from the source in the plane. Exact in the source's plane. The rows that see a slice are
read at nodes along the rays, between which voxels interpolate (:mod:`ctsim.kernels.gather`). Beyond the outermost
rows their readings go on, so that the corners of the disc that a cone beam of that height at the axis does not quite
reach are extrapolated, as is usual. The kernel's MTF holds at the axis; away from it sharpness follows the local
magnification.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels.gather import gather_circle
from ..kernels.rebin import cumulate_rows, rebin
from ..kernels.spread import spread_circle
from .filtering import OVERSAMPLING, Chain, fan_filter, filter_rows
from .kernels import Kernel

_BLOCK_BYTES = 16 * 2**20


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
    sid, sdd = geometry.source_distance_mm, geometry.detector_distance_mm
    half_beam = 0.5 * n_rows * geometry.row_pitch_mm * sid / sdd
    lit = np.nonzero(np.abs(z - z_source) <= half_beam + 1e-6)[0]
    out = np.zeros((len(y), len(x), len(z)), np.float32)
    if len(lit) == 0:
        return out
    n_places = OVERSAMPLING * (n_columns - 1) + 1
    place = np.arange(n_places) / OVERSAMPLING
    pitch = geometry.column_pitch_rad / OVERSAMPLING
    gamma = geometry.column_angle_rad[0] + pitch * np.arange(n_places)
    slant = sdd / np.hypot(sdd, geometry.row_offset_mm)
    row_weight = (sid * slant[:, None] * np.cos(gamma)).astype(np.float32)
    transfer = fan_filter(kernel, chain, pitch, n_places)
    x_axis, y_axis = x - geometry.isocentre_mm[0], y - geometry.isocentre_mm[1]
    highest = float(np.abs(z[lit] - z_source).max()) + 0.5 * box_mm
    first, last, nodes, disc = _nodes(geometry, gamma, x_axis, y_axis, highest, radius_mm)
    n_nodes = len(nodes)
    fan = np.array([gamma[first], pitch])
    inverse = np.array([nodes[0], nodes[1] - nodes[0]])
    slices = np.array([z[lit[0]] - z_source, z[1] - z[0] if len(z) > 1 else 1.0, box_mm])
    row = np.array([geometry.row_offset_mm[0] - geometry.row_pitch_mm / 2, geometry.row_pitch_mm])
    together = max(1, min(_BLOCK_BYTES // ((last - first) * n_nodes * len(lit) * 4), n_views))
    block = max(together, _BLOCK_BYTES // (n_rows * n_places * 4))
    sheet = np.empty((together, last - first, n_nodes, len(lit)), np.float32)
    part = np.zeros((len(y), len(x), len(lit)), np.float32)
    for start in range(0, n_views, block):
        stop = min(start + block, n_views)
        rows = np.empty((stop - start, n_rows, n_places), np.float32)
        rebin(line_integral[start:stop], np.arange(stop - start), place, np.zeros(n_places), row_weight, rows)
        sums = np.empty((stop - start, last - first, n_rows + 1), np.float32)
        cumulate_rows(filter_rows(rows, transfer)[..., first:last], sums)
        beta = geometry.view_angle_rad[start:stop]
        view = np.stack([np.cos(beta), np.sin(beta)], axis=1)
        for low in range(0, stop - start, together):
            some = slice(low, min(low + together, stop - start))
            sheets = sheet[: some.stop - low]
            gather_circle(sums[some], view[some], fan, inverse, slices, row, np.array([sid, sdd]), disc, sheets)
            spread_circle(
                sheets, view[some], x_axis, y_axis, fan, inverse, sid, float(radius_mm), 2 * np.pi / n_views, part
            )
            if progress is not None:
                progress((start + some.stop) / n_views)
    out[:, :, lit[0] : lit[-1] + 1] = part
    return out


def _nodes(
    geometry: Geometry,
    gamma: NDArray[np.float64],
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    highest_mm: float,
    radius_mm: float,
) -> tuple[int, int, NDArray[np.float64], NDArray[np.float64]]:
    """First place and one beyond the last that voxels read, 1 / L of the nodes [1/mm], and the disc that holds them.

    The disc is ``(x, y, radius)`` from the axis: the smaller one of that around the image and the field of view,
    widened by the longest distance between neighbouring nodes.
    """
    sid = geometry.source_distance_mm
    middle = np.array([0.5 * (x_mm[0] + x_mm[-1]), 0.5 * (y_mm[0] + y_mm[-1])])
    half = 0.5 * float(np.hypot(x_mm[-1] - x_mm[0], y_mm[-1] - y_mm[0]))
    far = min(float(np.hypot(*middle)) + half, radius_mm)
    if half > radius_mm:
        middle, half = np.zeros(2), radius_mm
    pitch = float(gamma[1] - gamma[0])
    widest = np.arcsin(far / sid)
    first = int(np.clip(np.floor((-widest - gamma[0]) / pitch), 0, len(gamma) - 2))
    last = int(np.clip(np.ceil((widest - gamma[0]) / pitch) + 1, first + 2, len(gamma)))
    # half a row between nodes for the slice farthest from the source's plane
    step = 0.5 * geometry.row_pitch_mm / (geometry.detector_distance_mm * highest_mm)
    low, high = 1 / (sid + far), 1 / (sid - far)
    nodes = np.linspace(low, high, max(1, int(np.ceil((high - low) / step))) + 1)
    longest = 1 / nodes[0] - 1 / nodes[1] + pitch * (sid + far)
    return first, last, nodes, np.array([*middle, half + longest])
