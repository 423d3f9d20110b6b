"""Shadow of an inset: the readings that it can change, and runs of views in which they are worked again.

A ray reads what lies within its interval of each plane of the lattice (:mod:`ctsim.kernels.project`): half a cell or
half a voxel on either side, whichever is wider, and in z up to a quarter of a voxel more. So an inset's voxels that are
not zero, grown by one voxel all around, are seen by the cells on which their outline falls, and by no others.
Transmissions also follow the slopes between cells (:mod:`ctsim.kernels.transmit`): the shadow is one cell wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from twins import Grid

from .geometry import Geometry

ROWS_TOGETHER = 8
"""Row windows begin and end at multiples of this many readings, so that many views have the same (design default)."""

MOST_VIEWS = 64
"""Views of a run, at most (design default)."""

NEAREST_MM = 1.0
"""What is nearer to the source than this, in the plane, has every reading in its shadow [mm]."""


@dataclass(frozen=True, slots=True, eq=False)
class Shadow:
    """Rectangle of readings in every view.

    Parameters
    ----------
    row, column
        ``(views, 2)`` int64: first, and one beyond the last; both 0 where the view has none.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]

    @property
    def is_seen(self) -> NDArray[np.bool_]:
        """``(views,)``: whether there is any."""
        return (self.row[:, 1] > self.row[:, 0]) & (self.column[:, 1] > self.column[:, 0])

    @property
    def n_readings(self) -> int:
        """Readings in it."""
        return int((np.diff(self.row)[:, 0] * np.diff(self.column)[:, 0]).sum())

    def meets(self, other: Shadow, views: slice) -> bool:
        """Whether some reading of these views is in both."""
        there = np.ones(len(self.row[views]), bool)
        for mine, its in ((self.row, other.row), (self.column, other.column)):
            there &= np.maximum(mine[views, 0], its[views, 0]) < np.minimum(mine[views, 1], its[views, 1])
        return bool(there.any())


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Views with the same place of the focal spot, the same rows and equally many columns; one more all around.

    Parameters
    ----------
    views
        Of the scan, in steps of the spot's cycle.
    rows
        The same in every view.
    first_column, n_columns
        ``(views,)`` int64 and int: the columns, which follow the shadow.
    """

    views: slice
    rows: slice
    first_column: NDArray[np.int64]
    n_columns: int

    @property
    def n_views(self) -> int:
        """Number of its views."""
        return len(self.first_column)

    @property
    def columns(self) -> slice:
        """All columns that some view has."""
        return slice(int(self.first_column.min()), int(self.first_column.max()) + self.n_columns)


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """What an inset fills: an upright prism.

    Parameters
    ----------
    corner_mm
        ``(n, 2)`` float64: world (x, y) of the corners of its convex footprint [mm].
    z_mm
        World z of its ends [mm].
    """

    corner_mm: NDArray[np.float64]
    z_mm: tuple[float, float]


def extent_of(grid: Grid, delta: NDArray[np.float32]) -> Extent | None:
    """The prism around the voxels of ``(channel, z, y, x)`` that are not zero, and around one more on all sides.

    The lattice is axis-aligned. None where all are zero.
    """
    filled = (delta != 0).any(axis=0)
    slices = np.flatnonzero(filled.any(axis=(1, 2)))
    if not len(slices):
        return None
    middle = np.argwhere(filled.any(axis=0))
    around = np.concatenate([middle + np.array((a, b)) for a in (-1.5, 1.5) for b in (-1.5, 1.5)])
    around = around[ConvexHull(around).vertices]
    corner_mm = grid.index_to_world(np.insert(around, 0, 0.0, axis=1))[:, :2]
    low, high = (float(grid.index_to_world((k, 0, 0))[2]) for k in (slices[0] - 1.5, slices[-1] + 1.5))
    return Extent(corner_mm, (low, high))


def shadow_of(extent: Extent, rays: Sequence[Geometry], parts: tuple[int, int], shape: tuple[int, int, int]) -> Shadow:
    """Readings that an inset can change.

    Parameters
    ----------
    extent
        Of the inset.
    rays
        The transmissions that a reading averages, cells cut into parts.
    parts
        Parts of a cell along rows and along columns.
    shape
        Views, rows and columns of the scan.
    """
    outlines = [_outline(extent, moved) for moved in rays]
    bounds = []
    for axis, (n_parts, n_readings) in enumerate(zip(parts, shape[1:], strict=True)):
        low = np.min([outline[axis, 0] for outline in outlines], axis=0)
        high = np.max([outline[axis, 1] for outline in outlines], axis=0)
        # parts on which the outline falls, one more on either side, and the readings that hold them
        first = np.floor((np.floor(low + 0.5) - 1) / n_parts)
        end = np.ceil((np.floor(high + 0.5) + 2) / n_parts)
        bounds.append(np.clip(np.stack([first, end], axis=1), 0, n_readings).astype(np.int64))
    row, column = bounds
    unseen = (row[:, 1] <= row[:, 0]) | (column[:, 1] <= column[:, 0])
    row[unseen] = column[unseen] = 0
    return Shadow(row, column)


def runs_of(shadow: Shadow, shape: tuple[int, int, int], n_places: int) -> list[Run]:
    """Runs of views that together hold a shadow.

    Parameters
    ----------
    shadow
        Of one inset.
    shape
        Views, rows and columns of the scan.
    n_places
        Places in the cycle of the focal spot.
    """
    _, n_rows, n_columns = shape
    first_row = np.maximum((shadow.row[:, 0] - 1) // ROWS_TOGETHER * ROWS_TOGETHER, 0)
    end_row = np.minimum(-(-(shadow.row[:, 1] + 1) // ROWS_TOGETHER) * ROWS_TOGETHER, n_rows)
    seen = np.flatnonzero(shadow.is_seen)
    runs = []
    for place in range(n_places):
        here = seen[seen % n_places == place]
        changes = (np.diff(here) != n_places) | (np.diff(first_row[here]) != 0) | (np.diff(end_row[here]) != 0)
        for block in np.split(here, np.flatnonzero(changes) + 1):
            for begin in range(0, len(block), MOST_VIEWS):
                some = block[begin : begin + MOST_VIEWS]
                width = min(int(np.diff(shadow.column[some]).max()) + 2, n_columns)
                first_column = np.clip(shadow.column[some, 0] - 1, 0, n_columns - width)
                views = slice(int(some[0]), int(some[-1]) + 1, n_places)
                runs.append(Run(views, slice(int(first_row[some[0]]), int(end_row[some[0]])), first_column, width))
    return runs


def _outline(extent: Extent, geometry: Geometry) -> NDArray[np.float64]:
    """Where a prism is seen, ``(2, 2, views)``: rows and columns, least and greatest, as numbers of their middles."""
    n_views, n_rows, n_columns = geometry.shape
    beta, n_places = geometry.view_angle_rad, len(geometry.deflection_mm)
    source = geometry.source_mm()
    corner = extent.corner_mm[:, :, None] - source[:, :2].T  # from the spot
    radial = -corner[:, 0] * np.cos(beta) - corner[:, 1] * np.sin(beta)
    lateral = -corner[:, 0] * np.sin(beta) + corner[:, 1] * np.cos(beta)
    gamma = np.arctan2(lateral, radial)
    # in-plane distance: the farthest is a corner's, the nearest at least that of the rectangle around the footprint
    farthest = np.sqrt((radial**2 + lateral**2).max(axis=0))
    beside = np.maximum(corner.min(axis=0), -corner.max(axis=0)).clip(min=0.0)
    nearest = np.maximum(np.hypot(*beside), NEAREST_MM)
    low, high = (z - source[:, 2] for z in extent.z_mm)
    climb = np.stack([z / distance for z in (low, high) for distance in (nearest, farthest)])
    out = np.empty((2, 2, n_views))
    for k in range(n_places):
        views = slice(k, None, n_places)
        fan, away, height = (
            values[k] for values in (geometry.fan_angle_rad(), geometry.cell_distance_mm(), geometry.cell_height_mm())
        )
        at_detector = np.concatenate([climb[:, views] * away.min(), climb[:, views] * away.max()])
        rows = (at_detector - height[0]) / geometry.row_pitch_mm
        columns = _number(gamma[:, views], fan)
        out[:, :, views] = [[rows.min(axis=0), rows.max(axis=0)], [columns.min(axis=0), columns.max(axis=0)]]
    too_near = radial.min(axis=0) < NEAREST_MM
    out[:, 0, too_near] = 0.0
    out[:, 1, too_near] = [[n_rows], [n_columns]]
    return out


def _number(angle: NDArray[np.float64], fan: NDArray[np.float64]) -> NDArray[np.float64]:
    """Column numbers of angles, beyond the outer columns too."""
    pitch = (fan[-1] - fan[0]) / (len(fan) - 1) if len(fan) > 1 else 1e-3
    inside = np.interp(angle, fan, np.arange(len(fan)))
    return inside + (np.minimum(angle - fan[0], 0.0) + np.maximum(angle - fan[-1], 0.0)) / pitch
