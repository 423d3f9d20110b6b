"""From area densities to noise-free moments: all that fixes them but the body.

What a reading absorbs depends on the body along its rays, and on where its rays run, what else is in their way and what
the beam is made of. The latter are gathered here once per scan, so that any part of its readings can be worked again:
the whole in blocks of views (:func:`ctsim.expose`), or the shadow of a lesion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Twin

from .couch import couch_path_g_cm2, couch_top_mm
from .geometry import Geometry
from .kernels.transmit import add_in_plane
from .projection import project_rays
from .protocol import Acquisition
from .rays import cell_parts, ray_points, slope_share
from .sampling import Sampling
from .scanner import Scanner
from .signal import SignalTable, beam_of, signal_table
from .tabletop import Couch
from .voxels import BasisInset, BasisVolume


@dataclass(frozen=True, slots=True, eq=False)
class Illumination:
    """All that fixes the noise-free moments of some readings but the body.

    Parameters
    ----------
    geometry
        Where source and readings are.
    rays
        The same for each of the transmissions that a reading averages, its cells cut into parts.
    weight
        ``(len(rays),)`` float64: of the transmissions, summing to 1.
    parts
        Parts of a cell along rows and along columns.
    slope_share
        :func:`ctsim.rays.slope_share`.
    table
        Moments as functions of area densities, for these readings.
    couch, top_mm
        What carries the patient, and world ``(x, y)`` of the middle of its upper side [mm]; None: nothing.
    """

    geometry: Geometry
    rays: tuple[Geometry, ...]
    weight: NDArray[np.float64]
    parts: tuple[int, int]
    slope_share: tuple[float, float]
    table: SignalTable
    couch: Couch | None = None
    top_mm: tuple[float, float] | None = None

    def part(self, rows: slice, columns: slice) -> Illumination:
        """The same for neighbouring rows and columns alone (steps of 1).

        Paths vary over a cell as they do to its neighbours' (:mod:`ctsim.kernels.transmit`), so that the outermost
        readings of a part differ from those of the whole: ask for one more on either side, and drop them.
        """
        beam = self.table.beam
        cut = replace(beam, path_g_cm2=beam.path_g_cm2[:, rows, columns], gain=beam.gain[rows, columns])
        return replace(
            self,
            geometry=_cut(self.geometry, rows, columns, (1, 1)),
            rays=tuple(_cut(moved, rows, columns, self.parts) for moved in self.rays),
            table=replace(self.table, beam=cut),
        )

    def views_per_block(self, n_channels: int, block_bytes: int) -> int:
        """Views whose area densities and moments take at most ``block_bytes``; at least 1.

        Raises
        ------
        ValueError
            If ``block_bytes`` is below 1.
        """
        if block_bytes < 1:
            raise ValueError(f"block_bytes must be at least 1, got {block_bytes}")
        _, n_rows, n_columns = self.rays[0].shape
        return max(1, block_bytes // (4 * (n_channels * len(self.rays) + 1) * n_rows * n_columns))


def illuminate(
    twin: Twin, scanner: Scanner, acquisition: Acquisition, sampling: Sampling, geometry: Geometry, n_channels: int
) -> Illumination:
    """All that fixes the moments of a scan but the body.

    Parameters
    ----------
    twin
        Who lies on the couch.
    scanner, acquisition, sampling
        Of the scan.
    geometry
        Its readings (:func:`ctsim.trajectory.plan_geometry`).
    n_channels
        Channels of the body's area densities, 2 or 3.

    Raises
    ------
    ValueError
        As :func:`ctsim.signal.beam_of` and :func:`ctsim.signal.signal_table`.
    """
    couch = scanner.couch if acquisition.with_couch else None
    points = ray_points(scanner, acquisition, sampling)
    return Illumination(
        geometry,
        tuple(points.geometries(cell_parts(geometry, sampling))),
        points.weight,
        (sampling.row_parts, sampling.column_parts),
        slope_share(sampling),
        signal_table(beam_of(scanner, acquisition, sampling), n_channels),
        couch,
        None if couch is None else couch_top_mm(twin, couch, geometry.isocentre_mm[0]),
    )


def add_moments(
    light: Illumination,
    volume: BasisVolume,
    insets: Sequence[BasisInset],
    views: slice,
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    *,
    buffer: NDArray[np.float32] | None = None,
) -> None:
    """Add the moments that a body leaves in some views of all readings of ``light``.

    Parameters
    ----------
    light
        Which readings, and what lights them.
    volume, insets
        The body (:func:`ctsim.voxels.pack`, :func:`ctsim.voxels.basis_insets`).
    views
        The views asked for, start and stop given.
    first, second
        ``(view, row, column)`` float32: M1 [keV per mAs] and M2 [keV2 per mAs], added to.
    buffer
        Float32 memory for the area densities, used again from call to call; none: taken anew.

    Raises
    ------
    ValueError
        If shapes do not fit each other.
    """
    shape = (len(light.rays), volume.n_channels, views.stop - views.start, *light.rays[0].shape[1:])
    if buffer is None:
        buffer = np.empty(math.prod(shape), np.float32)
    paths = buffer[: math.prod(shape)].reshape(shape)
    project_rays(volume, insets, light.rays, views.start, paths)
    for moved, weight, path in zip(light.rays, light.weight, paths, strict=True):
        if light.couch is not None and light.top_mm is not None:
            _add_couch(light.couch, light.top_mm, moved, views, path)
        light.table.transmit(path, first, second, weight=float(weight), slope_share=light.slope_share)


def _cut(geometry: Geometry, rows: slice, columns: slice, parts: tuple[int, int]) -> Geometry:
    """The geometry of neighbouring rows and columns, of which each is cut into parts."""
    n_rows, n_columns = geometry.shape[1] // parts[0], geometry.shape[2] // parts[1]
    first_row, end_row, _ = rows.indices(n_rows)
    first_column, end_column, _ = columns.indices(n_columns)
    return replace(
        geometry,
        column_angle_rad=geometry.column_angle_rad[first_column * parts[1] : end_column * parts[1]],
        row_offset_mm=geometry.row_offset_mm[first_row * parts[0] : end_row * parts[0]],
    )


def _add_couch(
    couch: Couch, top_mm: tuple[float, float], geometry: Geometry, views: slice, path: NDArray[np.float32]
) -> None:
    """Add the couch to the area densities ``(channel, view, row, column)`` of some views [g/cm2]."""
    run: Any = add_in_plane
    run(
        couch_path_g_cm2(couch, geometry, views, top_mm),
        geometry.cell_height_mm(),
        geometry.cell_distance_mm(),
        views.start % len(geometry.deflection_mm),
        path,
    )
