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
from ..kernels.spread import spread_directions
from .chain import Chain
from .filtering import parallel_filter, row_filter
from .parallel import fans, places_mm
from .resampling import Resampler, rays_of, rows_seen
from .tiles import Tile, depth, node_distance_mm, slabs, tiles
from .truncation import beyond_mm

if TYPE_CHECKING:
    from .kernels import Kernel

_Array = NDArray[np.float64]
BackProjection = Callable[..., tuple[NDArray[np.float32], NDArray[np.uint16]]]
"""What takes the arguments of :func:`back_project` and gives what it gives."""

_SHEET_BYTES = 64 * 2**20
"""What nodes of the directions that are spread together take, as long as it is more than one."""
_SUMS_BYTES = 64 * 2**20
"""What projections that are filtered together take, as long as it is more than those of one direction."""


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

    theta = float(geometry.view_angle_rad[0]) + step * np.arange(n_directions)
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
    place = np.array([-rays.middle * chain.place_mm, chain.place_mm])
    # a set of rays: a half turn and a fan
    half_turn = np.repeat(turns.half_turn, len(beams))
    family = np.tile(np.arange(len(beams)), len(turns.half_turn)) + len(beams) * (half_turn < 0)
    heights = np.array([beam.height_mm for beam in beams])
    # in one layout whatever the mode: the kernels are compiled once
    source_z = np.ascontiguousarray((turns.source_z_mm[:, :, None] + heights).reshape(n_directions, -1))
    is_there = np.repeat(turns.view >= 0, len(beams), axis=1)

    thick = slabs(len(z))
    node_mm = node_distance_mm(geometry, radius_mm, box_mm)
    parts = tiles(x_axis, y_axis, radius_mm, rays, len(p), chain.place_mm, node_mm, direction)

    def rows(tile: Tile, slices: slice) -> tuple[_Array, _Array]:
        lowest, highest = rows_seen(
            rays, family, half_turn, source_z, tile.first_place, tile.n_places + LANES,
            (direction @ tile.middle, tile.reach_mm + 2 * node_mm), (float(z[slices][0]), float(z[slices][-1])),
            box_mm, n_rows, turns.beyond,
        )  # fmt: skip
        return np.where(is_there, lowest, np.nan), np.where(is_there, highest, np.nan)

    lowest, highest = np.full(is_there.shape, np.nan), np.full(is_there.shape, np.nan)
    is_seen = []
    for tile in parts:
        bottom, top = rows(tile, slice(None))
        lowest, highest = np.fmin(lowest, bottom), np.fmax(highest, top)
        is_seen.append([np.isfinite(rows(tile, slices)[0]) for slices in thick])
    sheet_size = max((_width(tile) * tile.n_nodes for tile in parts), default=1) * max(map(depth, thick))
    n_seen = np.isfinite(lowest).sum(axis=1)
    block = max(1, _SUMS_BYTES // max(1, int(n_seen.max()) * resample.bytes_each))
    together = min(n_directions, block, max(1, _SHEET_BYTES // (4 * sheet_size)))
    block -= block % together
    sums = resample.buffer(int(np.add.reduceat(n_seen, np.arange(0, n_directions, block)).max()))
    sheets = np.zeros(together * sheet_size, np.float32)
    out = np.zeros((len(y), len(x), len(z)), np.float32)
    missed = np.zeros(out.shape, np.uint16)
    for start in range(0, n_directions, block):
        stop = min(start + block, n_directions)
        index = resample(
            turns.view[start:stop], turns.origin, turns.half_turn < 0, (lowest[start:stop], highest[start:stop]), sums
        )
        for tile, seen_in in zip(parts, is_seen, strict=True):
            for slices, seen in zip(thick, seen_in, strict=True):
                n_slices = slices.stop - slices.start
                first = np.array([tile.y.start, tile.x.start, slices.start])
                for low in range(start, stop, together):
                    some = slice(low, min(low + together, stop))
                    shape = (some.stop - low, _width(tile), tile.n_nodes, depth(slices))
                    part = sheets[: math.prod(shape)].reshape(shape)
                    is_unseen = np.zeros((len(part), tile.n_places), np.bool_)
                    gather_directions(
                        sums, np.where(seen[some], index[low - start : some.stop - start], -1), source_z[some],
                        half_turn, family, rays.to_axis_mm, rays.climb_mm, rays.rows_per_mm, rays.there,
                        rays.bottom_rows, n_rows, float(turns.beyond),
                        np.array([z[slices.start], z[1] - z[0] if len(z) > 1 else 1.0, box_mm]), n_slices, place,
                        tile.first_place[some], node_mm, node_mm * tile.first_node[some], direction[some], tile.area,
                        part, is_unseen,
                    )  # fmt: skip
                    spread_directions(
                        part, n_slices, tile.n_places, is_unseen.any(axis=1), direction[some], x_axis[tile.x],
                        y_axis[tile.y], place[0] + place[1] * tile.first_place[some], chain.place_mm,
                        node_mm * tile.first_node[some], node_mm, float(radius_mm), step, first, out, missed,
                    )  # fmt: skip
        if progress is not None:
            progress(stop / n_directions)
    return out, np.uint16(n_directions) - missed


def _width(tile: Tile) -> int:
    """Places that a sheet holds."""
    return -(-tile.n_places // LANES) * LANES
