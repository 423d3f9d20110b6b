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
from ..kernels.gather import gather_at_rest, gather_directions
from ..kernels.rebin import cumulate_rows, rebin
from ..kernels.spread import spread_directions
from .chain import Chain
from .filtering import filter_rows, parallel_filter
from .parallel import Fan, fans, places_mm
from .truncation import beyond_mm, extended

if TYPE_CHECKING:
    from .kernels import Kernel

_Array = NDArray[np.float64]
BackProjection = Callable[..., tuple[NDArray[np.float32], NDArray[np.uint16]]]
"""What takes the arguments of :func:`back_project` and gives what it gives."""

_BLOCK_BYTES = 64 * 2**20
_REST_BYTES = 256 * 2**20
_REST_TOGETHER = 16
"""Directions worked together at rest, over which the work per slice is shared (measured) ..."""
_REST_SLICES = 8
"""... or half as many, if fewer slices than these would fit into as many bytes."""
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
    states = len(geometry.deflection_mm)
    n_directions, step = len(turns.view), math.pi / len(turns.view)
    p = places_mm(geometry, chain.place_mm)
    beams = fans(geometry, chain.place_mm)
    beyond = 0.0 if water_per_mm is None else beyond_mm(line_integral, water_per_mm)
    n_beyond = math.ceil(beyond / chain.place_mm)
    transfer = parallel_filter(kernel, chain, len(p) + 2 * n_beyond)
    resample = _Resampler(line_integral, states, turns.period, beams, transfer, chain.place_mm, n_beyond, water_per_mm)

    disc, n_places, n_nodes, node_mm = nodes(x_axis, y_axis, radius_mm, geometry, chain.place_mm, len(p), box_mm)
    slices = np.array([z[0], z[1] - z[0] if len(z) > 1 else 1.0, box_mm])
    to_axis, climb, cell_distance, bottom_mm = _per_fan(beams, turns.climb_mm_per_rad)
    n_sets = len(turns.half_turn) * len(beams)
    half_turn = np.repeat(turns.half_turn, len(beams))
    fan = np.tile(np.arange(len(beams)), len(turns.half_turn))
    heights = np.array([beam.height_mm for beam in beams])
    view = np.where(_reaches(turns, geometry, z, box_mm, radius_mm), turns.view, -1)
    out = np.zeros((len(y), len(x), len(z)), np.float32)
    missed = np.zeros(out.shape, np.uint16)

    slab, together = _sheets(len(z), n_directions, n_places * n_nodes * 4, turns.period > 0)
    sheet_bytes = max(1, int((view >= 0).sum(axis=1).max())) * len(beams) * (n_rows + 1) * len(p) * 4
    if turns.period > 0:
        together = min(together, max(_REST_TOGETHER // 2, _BLOCK_BYTES // sheet_bytes))
    block = max(min(together, n_directions), _BLOCK_BYTES // sheet_bytes, 1)
    sheets = np.empty((together, n_places, n_nodes, slab), np.float32)
    for start in range(0, n_directions, block):
        stop = min(start + block, n_directions)
        sums, turn = resample(view[start:stop], turns.origin)
        turn = turn.reshape(stop - start, n_sets)
        # in one layout whatever the mode: the kernels are compiled once
        source_z = np.ascontiguousarray(turns.source_z_mm[start:stop, :, None] + heights).reshape(stop - start, n_sets)
        theta = float(geometry.view_angle_rad[0]) + step * np.arange(start, stop)
        direction = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
        first_place, first_node = windows(direction, disc, p[0], chain.place_mm, len(p), n_places, n_nodes, node_mm)
        for low in range(0, stop - start, together):
            some = slice(low, min(low + together, stop - start))
            for bottom in range(0, len(z), slab):
                part = sheets[: some.stop - low, :, :, : min(slab, len(z) - bottom)]
                if part.shape[3] != slab:
                    part = np.empty(part.shape, np.float32)
                slices[0] = z[bottom]
                is_unseen = np.zeros((len(part), n_places), np.bool_)
                where = (
                    float(geometry.row_pitch_mm), float(turns.beyond), slices, np.array([p[0], chain.place_mm]),
                    first_place[some], node_mm, first_node[some], direction[some], disc, part, is_unseen,
                )  # fmt: skip
                if turns.period > 0:
                    gather_at_rest(
                        sums, turn[some], source_z[low], half_turn, fan, to_axis, cell_distance, bottom_mm, *where
                    )
                else:
                    gather_directions(
                        sums, turn[some], source_z[some], half_turn, fan, to_axis, climb, cell_distance, bottom_mm,
                        *where,
                    )  # fmt: skip
                spread_directions(
                    part, is_unseen.any(axis=1), direction[some], x_axis, y_axis,
                    p[0] + chain.place_mm * first_place[some], chain.place_mm, first_node[some], node_mm,
                    float(radius_mm), step, bottom, out, missed,
                )  # fmt: skip
            if progress is not None:
                progress((start + some.stop) / n_directions)
    return out, np.uint16(n_directions) - missed


@dataclass(frozen=True, slots=True, eq=False)
class _Resampler:
    """Running sums over rows of rebinned, filtered projections."""

    line_integral: NDArray[np.float32]
    n_states: int
    period: int
    beams: tuple[Fan, ...]
    transfer: NDArray[np.float32]
    place_mm: float
    n_beyond: int
    water_per_mm: float | None

    def __call__(
        self, view: NDArray[np.int64], origin: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Sums ``(n, place, row edge)``, and which of them is direction, turn, fan ``(D, T, J)``, -1 for none."""
        there = view >= 0
        first = view[there]
        begin = np.broadcast_to(origin, view.shape)[there]
        n, n_beams = len(first), len(self.beams)
        n_rows, n_places = self.beams[0].row_weight.shape
        sums = np.empty((n * n_beams, n_places, n_rows + 1), np.float32)
        index = np.where(there, np.cumsum(there.ravel()).reshape(there.shape) - 1, -1)
        turn = np.stack([np.where(there, index + j * n, -1) for j in range(n_beams)], axis=-1)
        part = 32
        rows = np.empty((part, n_rows, n_places), np.float32)
        for j, beam in enumerate(self.beams):
            for start in range(0, n, part):
                chunk = slice(start, min(start + part, n))
                here = rows[: chunk.stop - start]
                rebin(
                    self.line_integral, first[chunk], begin[chunk], self.period, self.n_states, beam.state, beam.column,
                    beam.shift, beam.tap, beam.tap_weight, beam.row_weight, here,
                )  # fmt: skip
                if self.n_beyond and self.water_per_mm is not None:
                    wide = extended(here, self.place_mm, self.n_beyond, self.water_per_mm)
                    filtered = filter_rows(wide, self.transfer)[..., self.n_beyond : self.n_beyond + n_places]
                else:
                    filtered = filter_rows(here, self.transfer)
                cumulate_rows(np.ascontiguousarray(filtered), sums[j * n + start : j * n + chunk.stop])
        return sums, turn


def _per_fan(beams: tuple[Fan, ...], climb_mm_per_rad: float) -> tuple[_Array, _Array, _Array, _Array]:
    """to_axis, climb, cell_distance ``(J, Q)`` and bottom ``(J,)`` of :func:`gather_directions`."""
    return (
        np.stack([beam.to_axis_mm for beam in beams]),
        np.stack([climb_mm_per_rad * beam.lead_rad for beam in beams]),
        np.stack([beam.cell_distance_mm for beam in beams]),
        np.array([beam.bottom_mm for beam in beams]),
    )


def _reaches(
    turns: Turns, geometry: Geometry, z_mm: NDArray[np.float64], box_mm: float, radius_mm: float
) -> NDArray[np.bool_]:
    """Whether a turn's beam can reach the slices ``(D, T)``."""
    sid, sdd = geometry.source_distance_mm, geometry.detector_distance_mm
    widest = np.abs(geometry.row_offset_mm).max() + geometry.row_pitch_mm + np.abs(geometry.deflection_mm[:, 2]).max()
    fan = float(np.abs(geometry.fan_angle_rad()).max()) + 0.01
    far = turns.beyond * widest * (sid + radius_mm + np.abs(geometry.deflection_mm[:, 1]).max()) / sdd
    far += box_mm + fan * abs(turns.climb_mm_per_rad) + np.abs(geometry.deflection_mm[:, 2]).max()
    return np.asarray((turns.source_z_mm >= z_mm.min() - far) & (turns.source_z_mm <= z_mm.max() + far))


def _sheets(n_slices: int, n_directions: int, slice_bytes: int, at_rest: bool) -> tuple[int, int]:
    """Slices and directions of which sheets of ``slice_bytes`` are held at a time."""
    if not at_rest:
        slab = max(1, min(n_slices, _BLOCK_BYTES // slice_bytes))
        return slab, max(1, _BLOCK_BYTES // (slab * slice_bytes))
    together, slab = _REST_TOGETHER, _REST_BYTES // (_REST_TOGETHER * slice_bytes)
    if slab < min(_REST_SLICES, n_slices):
        together, slab = together // 2, 2 * slab
    parts = math.ceil(n_slices / max(1, slab))
    slab = math.ceil(n_slices / parts)
    return slab, min(n_directions, max(together, min(2 * _REST_TOGETHER, _REST_BYTES // (slab * slice_bytes))))


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
