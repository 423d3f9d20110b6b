"""The noise-free half of a scan: what every reading would absorb on average, per mAs.

It depends on the twin and on the acquisition, not on tube current, noise key or reconstruction, so that one exposure
serves any number of doses and keys (:func:`ctsim.detect`). A reading averages transmissions over several points of the
focal spot and instants of the view, and over its cell (:mod:`ctsim.rays`). The couch is added to the rays' paths, and
what the primary scatters is estimated from it (:mod:`ctsim.scatter`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Twin

from .backends import load
from .couch import couch_path_g_cm2, couch_top_mm
from .geometry import Geometry
from .kernels.transmit import add_in_plane
from .projection import project
from .protocol import Acquisition, Protocol
from .rays import cell_parts, ray_points, slope_share
from .sampling import Sampling
from .scanner import Scanner
from .scatter.estimate import estimate_scatter
from .scatter.field import ScatterField
from .signal import beam_of, mean_energy_units, signal_table
from .tabletop import Couch
from .topogram import Topogram, take_topogram
from .trajectory import plan_geometry, scan_range_mm
from .voxels import basis_insets, pack

BLOCK_BYTES = 64 * 2**20
"""Largest block of projected views held at a time [bytes]."""


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """Noise-free moments of every reading, per mAs per rotation.

    Parameters
    ----------
    geometry
        Where source and detector were.
    signal_kev_per_mas
        ``(view, row, column)`` float32: mean absorbed energy of the primary, M1 [keV per mAs per rotation].
    mean_energy
        ``(view, row, column)`` uint16: M2 / M1 in steps of ``ctsim.signal.MEAN_ENERGY_STEP_KEV`` [keV].
    air_kev_per_mas
        ``(row, column)`` float64: the signal in room air, the scanner's air calibration [keV per mAs per rotation].
    scanner, acquisition, sampling
        What took it, how, and how finely it was simulated.
    scan_range_mm
        World z range that the scan was to cover [mm].
    backend
        What projected it.
    scatter
        Scattered radiation, or None where it was not simulated.
    topogram
        The scanner's own scout view, or None where there is none.
    """

    geometry: Geometry
    signal_kev_per_mas: NDArray[np.float32]
    mean_energy: NDArray[np.uint16]
    air_kev_per_mas: NDArray[np.float64]
    scanner: Scanner
    acquisition: Acquisition
    sampling: Sampling
    scan_range_mm: tuple[float, float]
    backend: str = "cpu"
    scatter: ScatterField | None = None
    topogram: Topogram | None = None


def expose(
    twin: Twin,
    scanner: Scanner,
    protocol: Protocol,
    *,
    sampling: Sampling | None = None,
    backend: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Exposure:
    """Project a twin and average what every reading absorbs, without noise.

    Parameters
    ----------
    twin
        Who is scanned, insets included. Room air is everywhere else.
    scanner, protocol
        Hardware, and what is asked of it; mAs and reconstruction play no part.
    sampling
        Coarser than the scanner for previews; none: the scanner's own.
    backend
        "auto", "cpu" or "gpu".
    progress
        Called with the fraction done, 0 to 1.

    Raises
    ------
    ValueError
        If the scanner cannot do what the protocol asks, the sampling does not divide the detector, or the twin holds
        a material that the basis cannot stand for.
    RuntimeError
        If backend "gpu" is asked for and cannot be had.
    """
    protocol.check_on(scanner)
    device = load(backend)
    sampling = sampling or Sampling()
    geometry = plan_geometry(twin, scanner, protocol, sampling)
    volume, insets = pack(twin, extend_mm=_reach_mm(twin, geometry)), basis_insets(twin)
    couch = scanner.couch if protocol.with_couch else None
    top_mm = None if couch is None else couch_top_mm(twin, couch, geometry.isocentre_mm[0])
    table = signal_table(beam_of(scanner, protocol, sampling), volume.n_channels)
    points = ray_points(scanner, protocol, sampling)
    scans = points.geometries(cell_parts(geometry, sampling))
    n_views, n_rows, n_columns = scans[0].shape
    share = slope_share(sampling)
    signal = np.zeros(geometry.shape, np.float32)
    mean_energy = np.empty(geometry.shape, np.uint16)
    per_block = max(1, min(n_views, BLOCK_BYTES // (4 * (volume.n_channels + 1) * n_rows * n_columns)))
    buffer = np.empty(volume.n_channels * per_block * n_rows * n_columns, np.float32)
    for first in range(0, n_views, per_block):
        n = min(per_block, n_views - first)
        shape = (volume.n_channels, n, n_rows, n_columns)
        path = buffer[: math.prod(shape)].reshape(shape)
        second = np.zeros((n, *geometry.shape[1:]), np.float32)
        block = slice(first, first + n)
        for moved, weight in zip(scans, points.weight, strict=True):
            project(volume, insets, moved, first, path, walk=device.project)
            if couch is not None and top_mm is not None:
                _add_couch(couch, top_mm, moved, block, path)
            table.transmit(path, signal[block], second, weight=float(weight), slope_share=share)
        mean_energy_units(signal[block], second, mean_energy[block])
        if progress is not None:
            progress((first + n) / n_views)
    air = table.air_kev()
    scatter = estimate_scatter(signal, air, geometry, scanner, protocol) if sampling.scatter else None
    return Exposure(
        geometry,
        signal,
        mean_energy,
        air,
        scanner,
        protocol.acquisition(),
        sampling,
        scan_range_mm(twin, scanner, protocol),
        device.name,
        scatter,
        take_topogram(volume, scanner, protocol, sampling, geometry, couch=couch, top_mm=top_mm),
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


def _reach_mm(twin: Twin, geometry: Geometry) -> float:
    """How far the rays of the scan leave the twin's lattice at its ends, on the far side of the body at most [mm]."""
    low = twin.grid.index_to_world((-0.5, 0, 0))[2]
    high = twin.grid.index_to_world((twin.grid.shape[0] - 0.5, 0, 0))[2]
    half_width = 0.5 * max(twin.grid.size_mm[1:])
    tallest = float(np.abs(geometry.cell_height_mm()).max(initial=0.0)) + geometry.row_pitch_mm
    climb = tallest * (geometry.source_distance_mm + half_width) / geometry.detector_distance_mm
    lowest, highest = float(geometry.source_z_mm.min()) - climb, float(geometry.source_z_mm.max()) + climb
    return max(0.0, min(low, high) - lowest, highest - max(low, high))
