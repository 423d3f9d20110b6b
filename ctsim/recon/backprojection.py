"""Weighted filtered back projection of parallel-rebinned rays: what axial and helical reconstructions share.

1. Each reading is multiplied by the cosine of its cone angle and rebinned to parallel rays
   (:mod:`ctsim.recon.parallel`).
2. Rows that the body leaves at their end are extended (:mod:`ctsim.recon.truncation`); all are filtered along p
   (:func:`ctsim.recon.filtering.parallel_filter`).
3. Back projection over [0, pi); the rays of all sets through a voxel share their direction's weight
   (:mod:`ctsim.kernels.gather`).

A block of directions with all their sets is worked at a time, in slabs of slices, so memory stays bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels.gather import LANES, gather_directions
from ..kernels.spread import BLOCK, spread_directions
from .chain import Chain
from .filtering import parallel_filter, row_filter
from .parallel import fans, places_mm
from .resampling import Resampler, rays_of, rows_seen
from .truncation import beyond_mm

if TYPE_CHECKING:
    from .kernels import Kernel

_Array = NDArray[np.float64]
BackProjection = Callable[..., tuple[NDArray[np.float32], NDArray[np.uint16]]]
"""What takes the arguments of :func:`back_project` and gives what it gives."""

_SHEET_BYTES = 144 * 2**20
"""What nodes of the directions that are spread together take, as long as it is more than one."""
_SUMS_BYTES = 64 * 2**20
"""What projections that are filtered together take, as long as it is more than those of one direction."""
_MOST_BLOCKS = 3
"""Largest depth of a slab, in blocks (measured)."""
_DRIFT_ROWS = 0.5
"""Rows that the outermost rays move from node to node at most (design default) ..."""
_DRIFT_SLICES = 0.25
"""... or this share of a slice's thickness, if that is more."""


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Half turns that see the directions of [0, pi); D directions, T half turns.

    Parameters
    ----------
    view
        ``(D, T)`` int64: direction counted from ``origin`` like a state's views, -1 where the scan has none.
    origin
        ``(T,)`` int64: first view of the rotation it belongs to.
    source_z_mm
        ``(D, T)``: nominal source z at the view angle of the direction [mm].
    half_turn
        ``(T,)``: 1 for sources on the side of theta, -1 for those opposite.
    period
        Views of a state per rotation, for rotations at rest; 0 for a helix.
    climb_mm_per_rad
        Table feed per radian of view angle [mm].
    beyond
        Largest distance from the middle of the detector at which a ray counts, 1 at its edge.
    """

    view: NDArray[np.int64]
    origin: NDArray[np.int64]
    source_z_mm: NDArray[np.float64]
    half_turn: NDArray[np.float64]
    period: int
    climb_mm_per_rad: float
    beyond: float


def back_project(
    line_integral: NDArray[np.float32],
    geometry: Geometry,
    kernel: Kernel,
    chain: Chain,
    turns: Turns,
    axes_mm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    box_mm: float,
    radius_mm: float,
    water_per_mm: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Attenuation ``(y, x, z)`` [1/mm], and the number of directions that each voxel was seen from.

    A voxel that is seen from fewer than all D directions has only its share of the sum.

    Parameters
    ----------
    line_integral
        ``(view, row, column)`` float32.
    geometry, turns
        Where its rays are, and which of them see a direction.
    kernel, chain
        What the image's MTF shall be, and what the chain does to it.
    axes_mm
        World coordinates of the voxel centres along z, y, x, equally spaced [mm].
    box_mm
        Thickness of the slab over which rows are averaged [mm].
    radius_mm
        Radius of the field of view; voxels outside are 0 and unseen [mm].
    water_per_mm
        Attenuation of water, for the extension of rows that the body leaves at their ends [1/mm]; None: no extension.
    """
    n_rows = geometry.shape[1]
    z, y, x = axes_mm
    x_axis, y_axis = x - geometry.isocentre_mm[0], y - geometry.isocentre_mm[1]
    n_directions, step = len(turns.view), math.pi / len(turns.view)
    p = places_mm(geometry, chain.place_mm)
    beams = fans(geometry, chain.place_mm)
    rays = rays_of(geometry, beams, p, chain.place_mm, turns.climb_mm_per_rad)
    beyond = 0.0 if water_per_mm is None else beyond_mm(line_integral, water_per_mm)
    n_beyond = math.ceil(beyond / chain.place_mm)
    transfer = row_filter(parallel_filter(kernel, chain, len(p) + 2 * n_beyond))
    resample = Resampler(
        line_integral, len(geometry.deflection_mm), turns.period, beams, rays, transfer, chain.place_mm, n_beyond,
        water_per_mm or 0.0,
    )  # fmt: skip

    disc, n_places, n_nodes, node_mm = nodes(x_axis, y_axis, radius_mm, geometry, chain.place_mm, len(p), box_mm)
    theta = float(geometry.view_angle_rad[0]) + step * np.arange(n_directions)
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
    first, first_node = windows(direction, disc, p[0], chain.place_mm, len(p), n_places, n_nodes, node_mm)
    first_place = first + rays.first[0]
    place = np.array([-rays.middle * chain.place_mm, chain.place_mm])
    place_0 = place[0] + place[1] * first_place

    # a set of rays: a half turn and a fan
    half_turn = np.repeat(turns.half_turn, len(beams))
    family = np.tile(np.arange(len(beams)), len(turns.half_turn)) + len(beams) * (half_turn < 0)
    heights = np.array([beam.height_mm for beam in beams])
    # in one layout whatever the mode: the kernels are compiled once
    source_z = np.ascontiguousarray((turns.source_z_mm[:, :, None] + heights).reshape(n_directions, -1))
    is_there = np.repeat(turns.view >= 0, len(beams), axis=1)
    middle_t = direction @ disc[:2]

    def rows(slices: slice) -> tuple[_Array, _Array]:
        lowest, highest = rows_seen(
            rays, family, half_turn, source_z, first_place, n_places + LANES, (middle_t, float(disc[2]) + node_mm),
            (float(z[slices][0]), float(z[slices][-1])), box_mm, n_rows, turns.beyond,
        )  # fmt: skip
        return np.where(is_there, lowest, np.nan), np.where(is_there, highest, np.nan)

    lowest, highest = rows(slice(None))
    width = -(-n_places // LANES) * LANES
    slab, depth = _slabs(len(z))
    slabs = [slice(bottom, min(bottom + slab, len(z))) for bottom in range(0, len(z), slab)]
    is_seen = [np.isfinite(rows(slices)[0]) for slices in slabs]
    sheet_bytes = width * n_nodes * depth * 4
    n_seen = np.isfinite(lowest).sum(axis=1)
    block = max(1, _SUMS_BYTES // max(1, int(n_seen.max()) * resample.bytes_each))
    together = min(n_directions, block, max(1, _SHEET_BYTES // sheet_bytes))
    block -= block % together
    sums = resample.buffer(int(np.add.reduceat(n_seen, np.arange(0, n_directions, block)).max()))
    sheets = np.zeros((together, width, n_nodes, depth), np.float32)
    out = np.zeros((len(y), len(x), len(z)), np.float32)
    missed = np.zeros(out.shape, np.uint16)
    for start in range(0, n_directions, block):
        stop = min(start + block, n_directions)
        index = resample(
            turns.view[start:stop], turns.origin, turns.half_turn < 0, (lowest[start:stop], highest[start:stop]), sums
        )
        for low in range(start, stop, together):
            some = slice(low, min(low + together, stop))
            part = sheets[: some.stop - low]
            for slices, seen in zip(slabs, is_seen, strict=True):
                n_slices = slices.stop - slices.start
                is_unseen = np.zeros((len(part), n_places), np.bool_)
                gather_directions(
                    sums, np.where(seen[some], index[low - start : some.stop - start], -1), source_z[some], half_turn,
                    family, rays.to_axis_mm, rays.climb_mm, rays.rows_per_mm, rays.there, rays.bottom_rows, n_rows,
                    float(turns.beyond), np.array([z[slices.start], z[1] - z[0] if len(z) > 1 else 1.0, box_mm]),
                    n_slices, place, first_place[some], node_mm, first_node[some], direction[some], disc, part,
                    is_unseen,
                )  # fmt: skip
                spread_directions(
                    part, n_slices, is_unseen.any(axis=1), direction[some], x_axis, y_axis, place_0[some],
                    chain.place_mm, first_node[some], node_mm, float(radius_mm), step, slices.start, out, missed,
                )  # fmt: skip
            if progress is not None:
                progress(some.stop / n_directions)
    return out, np.uint16(n_directions) - missed


def _slabs(n_slices: int) -> tuple[int, int]:
    """Slices that are worked at a time, and how many sheets hold, a whole number of blocks."""
    depths = [BLOCK * k for k in range(1, _MOST_BLOCKS + 1)]
    # fewest slices that are not there, then fewest slabs
    depth = min(depths, key=lambda depth: (math.ceil(n_slices / depth) * depth, -depth))
    return math.ceil(n_slices / math.ceil(n_slices / depth)), depth


def nodes(
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    radius_mm: float,
    geometry: Geometry,
    place_mm: float,
    n_all: int,
    box_mm: float,
) -> tuple[NDArray[np.float64], int, int, float]:
    """Disc ``(x, y, radius)`` that holds the nodes [mm], numbers of places and nodes in it, distance of nodes [mm].

    The disc is the smaller one of that around the image and the field of view, widened by what interpolation needs.
    """
    sid, sdd = geometry.source_distance_mm, geometry.detector_distance_mm
    row_mm = geometry.row_pitch_mm * sid / sdd
    drift = max(_DRIFT_ROWS, _DRIFT_SLICES * box_mm / row_mm)
    node_mm = max(1.0, 2 * drift * (sid - radius_mm) / max(geometry.shape[1], 4))
    middle = np.array([0.5 * (x_mm[0] + x_mm[-1]), 0.5 * (y_mm[0] + y_mm[-1])])
    half = 0.5 * float(np.hypot(x_mm[-1] - x_mm[0], y_mm[-1] - y_mm[0]))
    if half > radius_mm:
        middle, half = np.zeros(2), radius_mm
    reach = half + 1.5 * (node_mm + place_mm)
    n_places = min(math.ceil(2 * reach / place_mm) + 2, n_all)
    n_nodes = math.ceil(2 * reach / node_mm) + 2
    return np.array([*middle, reach]), n_places, n_nodes, node_mm


def windows(
    direction: NDArray[np.float64],
    disc: NDArray[np.float64],
    p0_mm: float,
    place_mm: float,
    n_all: int,
    n_places: int,
    n_nodes: int,
    node_mm: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """First place and t of the first node that each direction needs; the latter whole nodes apart."""
    p_disc = disc[1] * direction[:, 0] - disc[0] * direction[:, 1]
    t_disc = disc[0] * direction[:, 0] + disc[1] * direction[:, 1]
    first = np.floor((p_disc - p0_mm) / place_mm - 0.5 * (n_places - 1)).astype(np.int64)
    return np.clip(first, 0, n_all - n_places), node_mm * (np.rint(t_disc / node_mm) - 0.5 * (n_nodes - 1))
