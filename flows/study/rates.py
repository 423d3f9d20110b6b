"""How fast this machine is: every kernel on a small fixed piece of work, in processor time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from ctsim import Exposure, Protocol, Sampling, Scanner, detect, load_profile, reconstruct
from ctsim.correction import FITTED_ROWS
from ctsim.geometry import Geometry
from ctsim.illumination import add_moments, illuminate
from ctsim.plan import FIXED_S, Rates, walk_work
from ctsim.projection import project, project_rays
from ctsim.rays import ray_points
from ctsim.scatter.estimate import COLUMN_NODES, VIEW_NODES, estimate_scatter
from ctsim.scatter.nodes import nodes_of
from ctsim.signal import MEAN_ENERGY_STEP_KEV, beam_of
from ctsim.subject import subject_of
from ctsim.trajectory import geometry_over
from ctsim.voxels import BasisVolume, pack
from twins import Grid, phantoms

_PROFILE = "siemens_definition_as"
_DIAMETER_MM = 300.0
_SAMPLING = Sampling(views_per_rotation=16, column_binning=4, rays_per_reading=1)


@cache
def measure_rates() -> Rates:
    """Time each kernel on a small piece of work, about two seconds in all, once the kernels are compiled.

    Notes
    -----
    Processor time over all threads that Numba has, so that what they take from each other (caches, memory) is in it.
    Measured once per process.
    """
    profile = load_profile(_PROFILE)
    scanner = profile.scanner
    still, helix = (next(p for p in profile.protocols if p.mode == mode) for mode in ("axial", "helical"))
    still, helix = (
        p.model_copy(update={"collimation_rows": 64, "flying_focal_spot": None, "scan_range_mm": (-19.0, 19.0)})
        for p in (still, helix)
    )
    plane_s, covered_s, read_s, together = _walk_s(scanner, still)
    detected_s, calibrated_s = _detection_s(scanner, still)
    filtered_s, update_s = _reconstruction_s(scanner, helix)
    return Rates(
        plane_s=plane_s,
        covered_s=covered_s,
        read_s=read_s,
        together=together,
        part_s=_part_s(scanner, still),
        packed_s=_packed_s(),
        spectral_s=_spectral_s(scanner, still),
        scattered_s=_scattered_s(scanner, still),
        detected_s=detected_s,
        calibrated_s=calibrated_s,
        filtered_s=filtered_s,
        update_s=update_s,
        update_at_rest_s=_reconstruction_s(scanner, still)[1],
    )


def processor_s(work: Callable[[], object], times: int = 3) -> float:
    """Least processor time of some work done several times [s]; the first may hold compilation."""
    least = math.inf
    for _ in range(times):
        begun = time.process_time()
        work()
        least = min(least, time.process_time() - begun)
    return least


def _walk_s(scanner: Scanner, protocol: Protocol) -> tuple[float, float, float, float]:
    """Time of a plane, of a voxel covered and of a row read, from three scans that differ in them [s].

    Last, that of walking all rays of readings together over that of walking them one by one [1].
    """
    n_z, n = 72, 320
    grid = Grid((n_z, n, n), (0.7, 1.0, 1.0), (-(n - 1) / 2, -(n - 1) / 2, -0.7 * (n_z - 1) / 2))
    place = np.arange(n) - (n - 1) / 2
    words = np.zeros((n, n, n_z), np.uint32)
    words[np.hypot(place[:, None], place) < _DIAMETER_MM / 2] = 10000 | 300 << 16
    volume = BasisVolume(grid, words)
    # all rows; as high a beam with few rows; a thin beam
    sampling = _SAMPLING.model_copy(update={"views_per_rotation": 8})
    wide = _geometry(scanner, protocol, sampling)
    few = _geometry(scanner, protocol, sampling.model_copy(update={"row_binning": 8}))
    thin = protocol.model_copy(update={"collimation_rows": min(scanner.collimations_rows)})
    account, taken = [], []
    for geometry in (wide, few, _geometry(scanner, thin, sampling)):
        path = np.empty((2, *geometry.shape), np.float32)
        work = walk_work(geometry, grid, (_DIAMETER_MM / 2, _DIAMETER_MM / 2))
        planes = geometry.shape[0] * geometry.shape[2] * work.planes
        account.append([planes, planes * work.covered, planes * geometry.shape[1]])
        taken.append(processor_s(partial(project, volume, (), geometry, 0, path)))
    several = _SAMPLING.model_copy(update={"views_per_rotation": 8, "rays_per_reading": 4})
    rays = ray_points(scanner, protocol, several).geometries(wide)
    paths = np.empty((len(rays), 2, *wide.shape), np.float32)
    together = processor_s(partial(project_rays, volume, (), rays, 0, paths)) / (len(rays) * taken[0])
    return *_never_below_zero(np.array(account), np.array(taken)), min(together, 1.0)


def _never_below_zero(account: NDArray[np.float64], taken: NDArray[np.float64]) -> tuple[float, float, float]:
    """Non-negative times of three kinds of work from three sums of them."""
    from scipy.optimize import nnls

    scale = account.max(axis=0)
    found = nnls(account / scale / taken[:, None], np.ones(len(taken)))[0] / scale
    return float(found[0]), float(found[1]), float(found[2])


def _part_s(scanner: Scanner, protocol: Protocol) -> float:
    """Time of a part of a cell in one transmission, with nobody on the couch [s]."""
    body = phantoms.cylinder(100.0, 40.0, spacing_mm=10.0)
    volume = pack(body)
    empty = BasisVolume(volume.grid, np.zeros_like(volume.words))
    sampling = _SAMPLING.model_copy(update={"views_per_rotation": 48})
    geometry = _geometry(scanner, protocol, sampling)
    light = illuminate(body, scanner, protocol, sampling, geometry, 2)
    first, second = np.zeros((2, *geometry.shape), np.float32)
    path = np.empty(2 * first.size, np.float32)
    views = slice(0, geometry.shape[0])
    return processor_s(partial(add_moments, light, empty, (), views, first, second, buffer=path)) / first.size


def _packed_s() -> float:
    body = phantoms.cylinder(100.0, 100.0, spacing_mm=2.0)
    return processor_s(lambda: (pack(body), subject_of(body))) / body.density.size


def _spectral_s(scanner: Scanner, protocol: Protocol) -> float:
    beam = beam_of(scanner, protocol, _SAMPLING)
    path = np.broadcast_to(beam.path_g_cm2[:, None, 0], (2, 16, beam.gain.shape[1]))
    # as the topogram does, with the air beside
    return processor_s(lambda: (beam.moments_kev(path), beam.moments_kev(path[:, 0]))) / path[0].size


def _scattered_s(scanner: Scanner, protocol: Protocol) -> float:
    exposure = _exposure(scanner, protocol, 16)
    geometry, air = exposure.geometry, exposure.air_kev_per_mas
    nodes = nodes_of(geometry, views_per_rotation=VIEW_NODES, columns=COLUMN_NODES)
    n_pairs = len(nodes.view) * (len(nodes.row) * len(nodes.column)) ** 2
    return (
        processor_s(partial(estimate_scatter, exposure.signal_kev_per_mas, air, geometry, scanner, protocol)) / n_pairs
    )


def _detection_s(scanner: Scanner, protocol: Protocol) -> tuple[float, float]:
    """Time of a reading, and of a cell's calibration [s]."""
    few, many = 16, 192
    taken = []
    for n_views in (few, many):
        exposure = _exposure(scanner, protocol, n_views)
        taken.append(processor_s(partial(detect, exposure, protocol, key=1)))
    _, n_rows, n_columns = exposure.geometry.shape
    per_reading = max(taken[1] - taken[0], 0.0) / ((many - few) * n_rows * n_columns)
    fixed_s = taken[0] - few * n_rows * n_columns * per_reading - FIXED_S
    return per_reading, max(fixed_s, 0.0) / (n_columns * min(n_rows, FITTED_ROWS))


def _exposure(scanner: Scanner, protocol: Protocol, n_views: int) -> Exposure:
    """Of a water cylinder, by its chords; without scatter."""
    sampling = _SAMPLING.model_copy(update={"views_per_rotation": n_views, "scatter": False})
    geometry = _geometry(scanner, protocol, sampling)
    air = beam_of(scanner, protocol, sampling).air_kev()
    off_mm = geometry.source_distance_mm * np.sin(geometry.column_angle_rad)
    chord_mm = 2 * np.sqrt(np.maximum(0.0, (_DIAMETER_MM / 2) ** 2 - off_mm**2))
    signal = np.broadcast_to(air * np.exp(-0.019 * chord_mm), geometry.shape).astype(np.float32)
    energy = np.full(geometry.shape, round(65 / MEAN_ENERGY_STEP_KEV), np.uint16)
    return Exposure(geometry, signal, energy, air, scanner, protocol.acquisition(), sampling, (-19.0, 19.0))


def _reconstruction_s(scanner: Scanner, protocol: Protocol) -> tuple[float, float]:
    """Time of a reading filtered, and of a voxel in one view [s]."""
    views = 48
    sinogram = detect(_exposure(scanner, protocol, views), protocol, key=1)
    small, large = _lattice(2, 32), _lattice(32, 144)
    few, many = (
        processor_s(partial(reconstruct, sinogram, grid=grid, slice_thickness_mm=1.0, iterative_strength=0))
        for grid in (small, large)
    )
    if protocol.mode == "helical":
        views = round(views / protocol.pitch)
    updates = [views * math.prod(grid.shape) for grid in (small, large)]
    update_s = max(many - few, 0.0) / (updates[1] - updates[0])
    return max(few - updates[0] * update_s, 0.0) / sinogram.line_integral.size, update_s


def _lattice(n_z: int, n: int) -> Grid:
    pixel = _DIAMETER_MM / n
    return Grid((n_z, n, n), (1.0, pixel, pixel), (-pixel * (n - 1) / 2, -pixel * (n - 1) / 2, -(n_z - 1) / 2))


def _geometry(scanner: Scanner, protocol: Protocol, sampling: Sampling) -> Geometry:
    half_mm = protocol.collimation_rows * scanner.detector.row_pitch_iso_mm / 2
    return geometry_over((-half_mm, half_mm), (0.0, 0.0), scanner, protocol, sampling)
