"""Helical scans: weighted filtered back projection (WFBP; Stierstorfer et al., PMB 49:2209, 2004).

1. Each reading is multiplied by ``SDD / sqrt(SDD^2 + v^2)``, the cosine of its cone angle.
2. Rows are rebinned to parallel rays: with the fan angle g of ``docs/conventions.md`` a ray of view angle beta has the
   direction theta = beta - g and the signed distance p = SID sin g from the axis, so that the ray (theta, p) is read
   at g = asin(p / SID), beta = theta + g. Its source stands at ``z(theta) + feed g / 2 pi``.
3. Rows are filtered along p (:func:`ctsim.recon.filtering.parallel_filter`).
4. Back projection over [0, pi); the rays of all half turns through a voxel share their direction's weight
   (:mod:`ctsim.kernels.gather`).

A block of directions with all their half turns is worked at a time, so memory stays bounded. Fan angles' worth of views
at either end of the scan only fill in rays; voxels that lack directions are reported by their count.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels.gather import gather_directions
from ..kernels.rebin import cumulate_rows, rebin
from ..kernels.spread import spread_directions
from .filtering import Chain, filter_rows, parallel_filter
from .kernels import Kernel

_BLOCK_BYTES = 64 * 2**20


def wfbp(
    line_integral: NDArray[np.float32],
    geometry: Geometry,
    kernel: Kernel,
    chain: Chain,
    axes_mm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    box_mm: float,
    radius_mm: float,
    progress: Callable[[float], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Attenuation ``(y, x, z)`` of a helical scan [1/mm], and the number of directions that each voxel was seen from.

    A voxel that is seen from fewer than ``views_per_rotation // 2`` directions has only its share of the sum.

    Parameters
    ----------
    line_integral
        ``(view, row, column)`` float32.
    geometry
        Its geometry; an even number of views per rotation, at constant feed.
    kernel, chain
        What the image's MTF shall be, and what the chain does to it.
    axes_mm
        World coordinates of the voxel centres along z, y, x, equally spaced [mm].
    box_mm
        Thickness of the slab over which rows are averaged [mm].
    radius_mm
        Radius of the field of view; voxels outside are 0 and unseen [mm].

    Raises
    ------
    ValueError
        If the number of views per rotation is odd, or the scan is too short for half a turn.
    """
    n_views, n_rows, _ = geometry.shape
    if geometry.views_per_rotation % 2:
        raise ValueError(f"views_per_rotation must be even, got {geometry.views_per_rotation}")
    z, y, x = axes_mm
    sid, sdd = geometry.source_distance_mm, geometry.detector_distance_mm
    gamma = geometry.column_angle_rad
    step = 2 * math.pi / geometry.views_per_rotation
    # places at whole multiples of their pitch, so that the opposite ray of a place is a place too
    lowest = math.ceil(sid * math.sin(gamma[0]) / chain.place_mm)
    highest = math.floor(sid * math.sin(gamma[-1]) / chain.place_mm)
    n_places = highest - lowest + 1
    p = chain.place_mm * np.arange(lowest, highest + 1)
    angle = np.arcsin(p / sid)
    column = (angle - gamma[0]) / geometry.column_pitch_rad
    shift = angle / step
    earliest = math.ceil(1 - shift.min())
    latest = math.floor(n_views - 3 - shift.max())
    n_directions = geometry.views_per_rotation // 2
    if latest - earliest + 1 < n_directions:
        raise ValueError(f"the scan of {n_views} views has no half turn of parallel rays ({n_directions} views)")
    turns = range(earliest // n_directions, latest // n_directions + 1)
    slant = (sdd / np.hypot(sdd, geometry.row_offset_mm)).astype(np.float32)
    row_weight = np.ascontiguousarray(np.broadcast_to(slant[:, None], (n_rows, n_places)))
    transfer = parallel_filter(kernel, chain, n_places)
    out = np.zeros((len(y), len(x), len(z)), np.float32)
    missed = np.zeros(out.shape, np.uint16)
    x_axis, y_axis = x - geometry.isocentre_mm[0], y - geometry.isocentre_mm[1]
    slices = np.array([z[0], z[1] - z[0] if len(z) > 1 else 1.0, box_mm])
    places = np.array([p[0], chain.place_mm])
    half_turn = np.where(np.asarray(turns) % 2 == 0, 1.0, -1.0)
    # half a row at the detector's edge between nodes, at the smallest distance from the source
    node_mm = max(1.0, (sid - radius_mm) / max(n_rows, 4))
    n_nodes = math.ceil(2 * radius_mm / node_mm) + 2
    nodes = np.array([-0.5 * (n_nodes - 1) * node_mm, node_mm])
    reach = radius_mm + 1.5 * (node_mm + chain.place_mm)
    together = max(1, _BLOCK_BYTES // (n_places * n_nodes * len(z) * 4))
    block = max(together, _BLOCK_BYTES // (len(turns) * n_rows * n_places * 4))
    sheet = np.empty((together, n_places, n_nodes, len(z)), np.float32)
    for start in range(0, n_directions, block):
        stop = min(start + block, n_directions)
        view = np.arange(start, stop)[:, None] + n_directions * np.asarray(turns)  # direction, half turn
        there = (view >= earliest) & (view <= latest)
        turn = np.where(there, np.cumsum(there.ravel()).reshape(there.shape) - 1, -1)
        sums = _running_sums(line_integral, view[there], column, shift, row_weight, transfer)
        source_z = geometry.source_z_mm[np.clip(view, 0, n_views - 1)]
        theta = geometry.view_angle_rad[0] + step * np.arange(start, stop)
        direction = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
        for first in range(0, stop - start, together):
            some = slice(first, min(first + together, stop - start))
            part = sheet[: some.stop - first]
            is_unseen = np.zeros(part.shape[:2], np.bool_)
            gather_directions(
                sums, turn[some], source_z[some], half_turn, slices, places, nodes,
                np.array([geometry.row_offset_mm[0] - geometry.row_pitch_mm / 2, geometry.row_pitch_mm]),
                np.array([sid, sdd]), geometry.feed_per_rotation_mm / (2 * math.pi), reach, part, is_unseen,
            )  # fmt: skip
            spread_directions(
                part, is_unseen.any(axis=1), direction[some], x_axis, y_axis, places, nodes,
                float(radius_mm), step, out, missed,
            )  # fmt: skip
            if progress is not None:
                progress((start + some.stop) / n_directions)
    return out, np.uint16(n_directions) - missed


def _running_sums(
    line_integral: NDArray[np.float32],
    first: NDArray[np.int64],
    column: NDArray[np.float64],
    shift: NDArray[np.float64],
    row_weight: NDArray[np.float32],
    transfer: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Running sums over rows ``(n, place, row edge)`` of rebinned, filtered projections, made in small parts."""
    n_rows, n_places = row_weight.shape
    sums = np.empty((len(first), n_places, n_rows + 1), np.float32)
    part = 32
    rows = np.empty((part, n_rows, n_places), np.float32)
    for start in range(0, len(first), part):
        chunk = first[start : start + part]
        rebin(line_integral, chunk, column, shift, row_weight, rows[: len(chunk)])
        cumulate_rows(filter_rows(rows[: len(chunk)], transfer), sums[start : start + len(chunk)])
    return sums
