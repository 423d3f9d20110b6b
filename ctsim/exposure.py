"""The noise-free half of a scan: what every reading would absorb on average, per mAs.

It depends on the twin and on the acquisition, not on tube current, noise key or reconstruction, so that one exposure
serves any number of doses and keys (:func:`ctsim.detect`). A reading averages transmissions over several points of the
focal spot and instants of the view, and over its cell (:mod:`ctsim.rays`). The couch is added to the rays' paths, and
what the primary scatters is estimated from it (:mod:`ctsim.scatter`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Twin

from .backends import load
from .geometry import Geometry
from .illumination import illuminate
from .protocol import Acquisition, Protocol
from .sampling import Sampling
from .scanner import Scanner
from .scatter.estimate import estimate_scatter
from .scatter.field import ScatterField
from .subject import Subject, subject_of
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
        What it was worked out by, "cpu" or "gpu".
    scatter
        Scattered radiation, or None where it was not simulated.
    topogram
        The scanner's own scout view, or None where there is none.
    subject
        Digests of the twin, or None where it is not known; what :func:`ctsim.add_insets` goes by.
    device
        Name of the device that it was worked out on, "cpu" for the CPU.
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
    subject: Subject | None = None
    device: str = "cpu"


def expose(
    twin: Twin,
    scanner: Scanner,
    protocol: Protocol,
    *,
    sampling: Sampling | None = None,
    backend: str = "auto",
    block_bytes: int = BLOCK_BYTES,
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
    block_bytes
        Most memory that a block of views may take while it is worked on, beside the exposure itself (one view at
        least); results do not depend on it [bytes].
    progress
        Called with the fraction done, 0 to 1.

    Raises
    ------
    ValueError
        If the scanner cannot do what the protocol asks, the sampling does not divide the detector, or the twin holds
        a material that the basis cannot stand for, or ``block_bytes`` is below 1.
    RuntimeError
        If backend "gpu" is asked for and cannot be had.
    """
    protocol.check_on(scanner)
    device = load(backend)
    sampling = sampling or Sampling()
    geometry = plan_geometry(twin, scanner, protocol, sampling)
    volume, insets = pack(twin, extend_mm=_reach_mm(twin, geometry)), basis_insets(twin)
    light = illuminate(twin, scanner, protocol, sampling, geometry, volume.n_channels)
    signal = np.empty(geometry.shape, np.float32)
    mean_energy = np.empty(geometry.shape, np.uint16)
    device.expose(light, volume, insets, signal, mean_energy, block_bytes=block_bytes, progress=progress)
    air = light.table.air_kev()
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
        take_topogram(volume, scanner, protocol, sampling, geometry, couch=light.couch, top_mm=light.top_mm),
        subject_of(twin),
        device.device,
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
