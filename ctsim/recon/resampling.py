"""Readings of a helix or of rotations at rest as filtered parallel projections, summed up over their rows.

Places are those of a lattice that is the same from either side: place q is at ``p = (q - M) pitch``, and the opposite
half turn's ray through it is written to it too, so that back projection needs no mirror. Of every projection only the
groups of rows that the slices asked for can see are worked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from ..geometry import Geometry
from ..kernels.convolve import filter_and_cumulate
from ..kernels.rebin import ROWS, rebin
from .filtering import RowFilter
from .parallel import Fan
from .truncation import beyond_ends

_Array = NDArray[np.float64]
_LANES = 8
_TOGETHER = 16
"""Projections that are between rebinning and filtering at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Rays:
    """Rays of J fans by place of the lattice, those of the near half turn first: arrays are ``(2 J, Q)`` float32.

    Parameters
    ----------
    n_places, middle
        Places of the lattice, and M.
    first
        ``(2,)``: place of a projection's first ray, of the near and of the opposite half turn.
    to_axis_mm
        From the spot to the ray's nearest point to the axis [mm].
    climb_mm
        Of the spot above its z at the direction's view angle [mm].
    rows_per_mm
        Rows per millimetre of height at 1 mm from the spot, times 1 mm: cell distance by row pitch [1].
    there
        1 where there is a ray, else 0.
    bottom_rows
        ``(2 J,)``: lower edge of row 0 above the spot [rows].
    """

    n_places: int
    middle: int
    first: tuple[int, int]
    to_axis_mm: NDArray[np.float32]
    climb_mm: NDArray[np.float32]
    rows_per_mm: NDArray[np.float32]
    there: NDArray[np.float32]
    bottom_rows: _Array


def rays_of(geometry: Geometry, beams: tuple[Fan, ...], p_mm: _Array, place_mm: float, climb_mm_per_rad: float) -> Rays:
    """The rays of a scan's fans; ``p_mm`` are the places that all have."""
    lowest, highest = round(float(p_mm[0]) / place_mm), round(float(p_mm[-1]) / place_mm)
    middle = max(-lowest, highest)
    n_places = 2 * middle + 1
    width = -(-(n_places + _LANES) // _LANES) * _LANES
    place = np.arange(width) - middle
    near, far = place - lowest, -place - lowest

    def table(values: list[_Array]) -> NDArray[np.float32]:
        n = len(p_mm)
        both = [value[np.clip(index, 0, n - 1)] for index in (near, far) for value in values]
        return np.stack(both).astype(np.float32)

    return Rays(
        n_places=n_places,
        middle=middle,
        first=(middle + lowest, middle - highest),
        to_axis_mm=table([beam.to_axis_mm for beam in beams]),
        climb_mm=table([climb_mm_per_rad * beam.lead_rad for beam in beams]),
        rows_per_mm=table([beam.cell_distance_mm / geometry.row_pitch_mm for beam in beams]),
        there=np.stack([(i >= 0) & (i < len(p_mm)) for i in (near, far) for _ in beams]).astype(np.float32),
        bottom_rows=np.array([beam.bottom_mm / geometry.row_pitch_mm for beam in 2 * beams]),
    )


def rows_seen(
    rays: Rays,
    family: NDArray[np.int64],
    half_turn: _Array,
    source_z_mm: _Array,
    first_place: NDArray[np.int64],
    n_places: int,
    t_mm: tuple[_Array, float],
    z_mm: tuple[float, float],
    box_mm: float,
    n_rows: int,
    beyond: float,
) -> tuple[_Array, _Array]:
    """Lowest and highest row coordinate of what slices can read ``(D, K)``; NaN where they read nothing.

    Parameters
    ----------
    rays
        Of the scan's fans.
    family, half_turn
        ``(K,)``: which rays a set has, and on which side of theta its source is (1 or -1).
    source_z_mm
        ``(D, K)`` [mm].
    first_place, n_places
        ``(D,)`` first of the places that are read in each direction, and how many.
    t_mm
        ``(D,)`` middle of what is read along theta from the axis, and how far it reaches to either side [mm].
    z_mm, box_mm
        Lowest and highest slice, and their thickness [mm].
    n_rows, beyond
        Of the detector, and the largest distance from its middle at which a ray counts, 1 at its edge.
    """

    def over_places(table: NDArray[np.float32]) -> tuple[_Array, _Array]:
        low, high = (
            extreme(table, n_places, axis=1, mode="nearest", origin=-(n_places // 2))[family][:, first_place].T
            for extreme in (minimum_filter1d, maximum_filter1d)
        )
        return low.astype(np.float64), high.astype(np.float64)

    shortest, longest = over_places(rays.to_axis_mm)
    least_rows, most_rows = over_places(rays.rows_per_mm)
    least_climb, most_climb = over_places(rays.climb_mm)
    t, reach = t_mm
    along = half_turn * t[:, None]
    least_rise, most_rise = least_rows / (longest - along + reach), most_rows / (shortest - along - reach)
    low, high = z_mm[0] - source_z_mm - most_climb, z_mm[1] - source_z_mm - least_climb
    bottom = rays.bottom_rows[family]
    lowest = np.minimum(low * least_rise, low * most_rise) - bottom
    highest = np.maximum(high * least_rise, high * most_rise) - bottom
    half = 0.5 * n_rows
    is_read = (highest >= half * (1 - beyond) - 0.01) & (lowest <= half * (1 + beyond) + 0.01)
    thick = 0.5 * box_mm * most_rise
    return (
        np.where(is_read, np.clip(lowest, 0, n_rows) - thick, np.nan),
        np.where(is_read, np.clip(highest, 0, n_rows) + thick, np.nan),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Resampler:
    """Running sums over rows of rebinned, filtered projections.

    Parameters
    ----------
    line_integral
        ``(view, row, column)`` float32.
    n_states, period
        Places of the focal spot, and views of one of them per rotation at rest (0 for a helix).
    beams, rays
        The scan's fans, and where their rays go.
    row_filter
        The filter of rows that are ``n_beyond`` places longer at either end.
    place_mm, n_beyond, water_per_mm
        For the extension of rows that the body leaves at their ends; none where ``n_beyond`` is 0.
    """

    line_integral: NDArray[np.float32]
    n_states: int
    period: int
    beams: tuple[Fan, ...]
    rays: Rays
    row_filter: RowFilter
    place_mm: float
    n_beyond: int
    water_per_mm: float

    @property
    def n_edges(self) -> int:
        """Edges of rows, which come in whole groups."""
        return -(-self.beams[0].row_weight.shape[0] // ROWS) * ROWS + 1

    @property
    def bytes_each(self) -> int:
        """Bytes of one projection's sums."""
        return 4 * self.n_edges * self.rays.to_axis_mm.shape[1]

    def buffer(self, n: int) -> NDArray[np.float32]:
        """Room for the sums of ``n`` projections, ``(n, row edge, place)``."""
        return np.empty((n, self.n_edges, self.rays.to_axis_mm.shape[1]), np.float32)

    def __call__(
        self,
        first: NDArray[np.int64],
        origin: NDArray[np.int64],
        is_far: NDArray[np.bool_],
        rows: tuple[_Array, _Array],
        sums: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Overwrite the first of ``sums``; which of them is that of each set ``(D, K)``, -1 for none.

        Parameters
        ----------
        first
            ``(D, T)``: direction of each half turn, counted from its origin like a state's views.
        origin, is_far
            ``(T,)``: first view of the half turn's rotation, and whether it is the opposite one.
        rows
            Of :func:`rows_seen`, for the sets of all half turns and fans ``(D, T J)``: sets are ordered by half turn.
        sums
            Of :meth:`buffer`; rows that are not wanted are left alone.
        """
        n_rows, n_places = self.beams[0].row_weight.shape
        n_groups = -(-n_rows // ROWS)
        lowest, highest = (row.reshape(*first.shape, len(self.beams)) for row in rows)
        d, k, j = np.nonzero(np.isfinite(lowest))
        # a row more on either side: float32 in the kernel
        low = np.clip((np.floor(lowest[d, k, j]) - 1) // ROWS, 0, n_groups - 1).astype(np.int64)
        high = np.clip((np.ceil(highest[d, k, j]) + 1) // ROWS + 1, low + 1, n_groups).astype(np.int64)
        index = np.full(lowest.shape, -1, np.int64)
        index[d, k, j] = np.arange(len(d))
        part = np.zeros((_TOGETHER, n_groups, n_places, ROWS), np.float32)
        wide = (
            np.zeros((_TOGETHER, n_groups, n_places + 2 * self.n_beyond, ROWS), np.float32) if self.n_beyond else part
        )
        for number, beam in enumerate(self.beams):
            weight = np.zeros((n_groups * ROWS, n_places), np.float32)
            weight[:n_rows] = beam.row_weight
            weight = np.ascontiguousarray(weight.reshape(n_groups, ROWS, n_places).swapaxes(1, 2))
            mine = np.nonzero(j == number)[0]
            for start in range(0, len(mine), _TOGETHER):
                n = mine[start : start + _TOGETHER]
                groups = np.stack([low[n], high[n]], axis=1)
                far = is_far[k[n]]
                here = part[: len(n)]
                rebin(
                    self.line_integral, first[d[n], k[n]], origin[k[n]], self.period, self.n_states, beam.state,
                    beam.column, beam.shift, beam.tap, beam.tap_weight, weight, far, groups, here,
                )  # fmt: skip
                if self.n_beyond:
                    ends = beyond_ends(here.swapaxes(2, 3), self.place_mm, self.n_beyond, self.water_per_mm)
                    wide[: len(n), :, self.n_beyond : -self.n_beyond] = here
                    wide[: len(n), :, : self.n_beyond], wide[: len(n), :, -self.n_beyond :] = (
                        end.swapaxes(2, 3) for end in ends
                    )
                    here = wide[: len(n)]
                filter_and_cumulate(
                    here, self.row_filter.transfer, self.row_filter.cos, self.row_filter.sin, self.row_filter.radices,
                    self.n_beyond, n_places, groups, np.where(far, *self.rays.first[::-1]), n, sums,
                )  # fmt: skip
        return index.reshape(len(first), -1)
