"""How fast this machine is: every kernel on a small fixed piece of work, in processor time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ctsim import Exposure, Protocol, Sampling, Scanner, correct, load_profile, read_out, reconstruct
from ctsim.geometry import Geometry
from ctsim.plan import Rates, walk_work
from ctsim.projection import project
from ctsim.signal import MEAN_ENERGY_STEP_KEV, beam_of, signal_table
from ctsim.trajectory import geometry_over
from ctsim.voxels import BasisVolume, pack
from twins import Grid, Twin, phantoms

_TIMES = 3
"""Each piece is done so often, after once for warming up; the fastest counts."""

_PROFILE = "siemens_definition_as"
_DIAMETER_MM = 300.0


@cache
def measure_rates() -> Rates:
    """Time each kernel on a small piece of work, under two seconds in all once the kernels are compiled.

    Notes
    -----
    Processor time over all threads that Numba has, so that what they take from each other (caches, memory) is in it.
    Measured once per process.
    """
    profile = load_profile(_PROFILE)
    scanner = profile.scanner
    protocol = next(p for p in profile.protocols if p.mode == "axial").model_copy(
        update={"collimation_rows": 64, "with_couch": False, "flying_focal_spot": None, "scan_range_mm": (-19.0, 19.0)}
    )
    plane_s, covered_s, read_s = _walk_s(scanner, protocol)
    detected_s, calibrated_s, sinogram = _detection_s(scanner, protocol)
    filtered_s, update_s = _reconstruction_s(sinogram)
    return Rates(
        plane_s=plane_s,
        covered_s=covered_s,
        read_s=read_s,
        part_s=_part_s(scanner, protocol),
        packed_s=_packed_s(),
        detected_s=detected_s,
        calibrated_s=calibrated_s,
        filtered_s=filtered_s,
        update_s=update_s,
    )


def processor_s(work: Callable[[], object], times: int = _TIMES) -> float:
    """Least processor time of some work done several times, after once for warming up [s]."""
    work()
    least = math.inf
    for _ in range(times):
        begun = time.process_time()
        work()
        least = min(least, time.process_time() - begun)
    return least


def _walk_s(scanner: Scanner, protocol: Protocol) -> tuple[float, float, float]:
    """Time of a plane, of a voxel covered and of a row read, from three scans that differ in them [s]."""
    n_z, n = 72, 320
    spacing = (0.7, 1.0, 1.0)
    grid = Grid((n_z, n, n), spacing, (-(n - 1) / 2, -(n - 1) / 2, -0.7 * (n_z - 1) / 2))
    y, x = np.meshgrid(np.arange(n) - (n - 1) / 2, np.arange(n) - (n - 1) / 2, indexing="ij")
    words = np.zeros((n, n, n_z), np.uint32)
    words[np.hypot(x, y) < _DIAMETER_MM / 2] = 10000 | 300 << 16
    volume = BasisVolume(grid, words)
    sampling = Sampling(views_per_rotation=12, column_binning=4, rays_per_reading=1)
    # all rows; as high a beam with few rows; a thin beam
    few = replace_rows(_geometry(scanner, protocol, sampling), 8)
    thin = _geometry(
        scanner, protocol.model_copy(update={"collimation_rows": min(scanner.collimations_rows)}), sampling
    )
    wide = _geometry(scanner, protocol, sampling)
    account, taken = [], []
    for geometry in (wide, few, thin):
        path = np.empty((2, *geometry.shape), np.float32)
        work = walk_work(geometry, grid, (_DIAMETER_MM / 2, _DIAMETER_MM / 2))
        planes = geometry.shape[0] * geometry.shape[2] * work.planes
        account.append([planes, planes * work.covered, planes * geometry.shape[1]])
        taken.append(processor_s(lambda path=path, geometry=geometry: project(volume, (), geometry, 0, path)))  # type: ignore[misc]
    return _never_below_zero(np.array(account), np.array(taken))


def replace_rows(geometry: Geometry, together: int) -> Geometry:
    """The same beam with so many neighbouring rows merged into one."""
    return replace(
        geometry,
        row_offset_mm=geometry.row_offset_mm.reshape(-1, together).mean(axis=1),
        row_pitch_mm=geometry.row_pitch_mm * together,
    )


def _never_below_zero(account: NDArray[np.float64], taken: NDArray[np.float64]) -> tuple[float, float, float]:
    """Non-negative times of three kinds of work from three sums of them."""
    from scipy.optimize import nnls

    scale = account.max(axis=0)
    found = nnls(account / scale / taken[:, None], np.ones(len(taken)))[0] / scale
    return float(found[0]), float(found[1]), float(found[2])


def _part_s(scanner: Scanner, protocol: Protocol) -> float:
    sampling = Sampling(views_per_rotation=32, column_binning=4, rays_per_reading=1)
    beam = beam_of(scanner, protocol, sampling)
    table = signal_table(beam, 2)
    shape = (32, *beam.gain.shape)
    chord = 30.0 * np.sqrt(np.maximum(0.0, 1.0 - np.linspace(-1.5, 1.5, shape[2]) ** 2))
    path = np.empty((2, *shape), np.float32)
    path[0], path[1] = chord, 0.03 * chord
    first, second = np.zeros((2, *shape), np.float32)
    taken = processor_s(lambda: table.transmit(path, first, second, slope_share=(1.0, 1.0)))
    return taken / first.size


def _packed_s() -> float:
    body: Twin = phantoms.cylinder(100.0, 100.0, spacing_mm=2.0)
    return processor_s(lambda: pack(body)) / body.density.size


def _detection_s(scanner: Scanner, protocol: Protocol) -> tuple[float, float, object]:
    """Time of a reading and of a cell's calibration, and what they make of a water cylinder."""
    taken, sinogram = [], None
    few, many = 8, 96
    for n_views in (few, many):
        exposure = _exposure(scanner, protocol, n_views)
        quiet = protocol.model_copy(update={"corrections": protocol.corrections.model_copy(update={"scatter": True})})

        def detect(exposure: Exposure = exposure, quiet: Protocol = quiet) -> object:
            return correct(read_out(exposure, quiet, key=1), overwrite=True)

        taken.append(processor_s(detect))
        sinogram = detect()
    cells = exposure.geometry.shape[1] * exposure.geometry.shape[2]
    per_reading = max(taken[1] - taken[0], 0.0) / ((many - few) * cells)
    return per_reading, max(taken[0] - few * cells * per_reading, 0.0) / cells, sinogram


def _exposure(scanner: Scanner, protocol: Protocol, n_views: int) -> Exposure:
    sampling = Sampling(views_per_rotation=n_views, column_binning=4, rays_per_reading=1, scatter=False)
    geometry = _geometry(scanner, protocol, sampling)
    air = beam_of(scanner, protocol, sampling).air_kev()
    half_mm = geometry.source_distance_mm * np.sin(geometry.column_angle_rad)
    chord_mm = 2 * np.sqrt(np.maximum(0.0, (_DIAMETER_MM / 2) ** 2 - half_mm**2))
    signal = np.broadcast_to(air * np.exp(-0.019 * chord_mm), geometry.shape).astype(np.float32)
    energy = np.full(geometry.shape, round(65 / MEAN_ENERGY_STEP_KEV), np.uint16)
    return Exposure(geometry, signal, energy, air, scanner, protocol.acquisition(), sampling, (-19.0, 19.0))


def _reconstruction_s(sinogram: object) -> tuple[float, float]:
    """Time of a reading filtered and of a voxel in one view."""
    views = sinogram.geometry.shape[0]  # type: ignore[attr-defined]
    readings = sinogram.line_integral.size  # type: ignore[attr-defined]
    small, large = (_lattice(n_z, n) for n_z, n in ((2, 32), (32, 224)))
    few, many = (
        processor_s(lambda grid=grid: reconstruct(sinogram, grid=grid, slice_thickness_mm=1.0), 2)  # type: ignore[misc, arg-type]
        for grid in (small, large)
    )
    updates = [views * math.prod(grid.shape) for grid in (small, large)]
    update_s = max(many - few, 0.0) / (updates[1] - updates[0])
    return max(few - updates[0] * update_s, 0.0) / readings, update_s


def _lattice(n_z: int, n: int) -> Grid:
    pixel = _DIAMETER_MM / n
    return Grid((n_z, n, n), (1.0, pixel, pixel), (-pixel * (n - 1) / 2, -pixel * (n - 1) / 2, -(n_z - 1) / 2))


def _geometry(scanner: Scanner, protocol: Protocol, sampling: Sampling) -> Geometry:
    low_mm = -protocol.collimation_rows * scanner.detector.row_pitch_iso_mm / 2
    return geometry_over(
        (low_mm, -low_mm), (0.0, 0.0), scanner, protocol.model_copy(update={"scan_range_mm": None}), sampling
    )
