"""What a scan will take before it is made: readings, memory, time.

Counts are those of the scan itself. Time is work times rates: processor time of units of work on one thread, which
differ from machine to machine and are measured by the caller (``flows.study.rates``). Memory is what the arrays take.

The work of the projector is that of its walks, one per transmission, view and column (:mod:`ctsim.kernels.project`):
the planes that it crosses within the body, the voxels along z that the beam covers in each of them, and the rows that
read them. The body is taken for the ellipse that fits into its bounding box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twins import Grid, Twin

from .correction import FITTED_ROWS
from .exposure import BLOCK_BYTES
from .geometry import Geometry
from .protocol import Protocol
from .sampling import Sampling
from .scanner import Scanner
from .scatter.calibration import VIEW_NODES as ESTIMATOR_VIEW_NODES
from .scatter.correction import ROUNDS
from .scatter.estimate import COLUMN_NODES, VIEW_NODES
from .scatter.nodes import nodes_of
from .topogram import columns_rad, lines_mm
from .trajectory import BODY_DENSITY_G_CM3, geometry_over, plan_geometry, scan_range_mm
from .voxels import n_channels_of

TWIN_BYTES_PER_VOXEL = 8
"""Structure, two materials, their mixture, density."""

WORD_BYTES = 4
IMAGE_BYTES_PER_VOXEL = 9
"""Attenuation, views seen, whether they suffice, HU."""

BACK_PROJECTION_BYTES = 150 * 10**6
FILTERED_BYTES = 10
"""Most that filtered rays and partial sums take, and what they take per reading up to there."""

PROCESS_BYTES = 240 * 10**6
"""Python, libraries and compiled kernels, rough."""

FIXED_S = 0.08
"""Of every exposure, detection and reconstruction, whatever its size [s], rough."""

_SHARED = 0.35
"""Time of a pair of nodes where the views share their geometry, over that where they do not."""

_ANGLES, _COLUMNS = 24, 96
"""View angles and columns whose chords stand for all."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Processor time of units of work on one thread [s].

    Parameters
    ----------
    plane_s, covered_s, read_s
        Of a walk, for each plane that it crosses; for each voxel along z that the beam covers there; for each row that
        reads it.
    together
        Of a walk beside the others of the same readings, as a share of that of a walk by itself [1].
    part_s
        Of a transmission through one part of a cell: couch, tables, slopes.
    packed_s
        Of a voxel of the twin that is told apart from others' and packed for the projector.
    spectral_s
        Of a path whose signal is summed over the spectrum.
    scattered_s
        Of a pair of nodes of the detector whose scatter is worked out.
    detected_s
        Of a reading that is read out and corrected.
    calibrated_s
        Of a cell of the detector whose correction is worked out, once per scan, on one thread.
    filtered_s
        Of a reading that is sorted into parallel rays and filtered.
    update_s, update_at_rest_s
        Of a voxel of the image and a view that lights it, of a helix and of rotations at rest.
    """

    plane_s: float
    covered_s: float
    read_s: float
    together: float
    part_s: float
    packed_s: float
    spectral_s: float
    scattered_s: float
    detected_s: float
    calibrated_s: float
    filtered_s: float
    update_s: float
    update_at_rest_s: float


TYPICAL = Rates(
    plane_s=8.0e-8,
    covered_s=2.0e-9,
    read_s=4.0e-10,
    together=0.8,
    part_s=1.5e-8,
    packed_s=1.4e-8,
    spectral_s=8.0e-7,
    scattered_s=2.0e-8,
    detected_s=4.5e-8,
    calibrated_s=1.8e-5,
    filtered_s=4.0e-8,
    update_s=1.4e-9,
    update_at_rest_s=1.4e-9,
)
"""Of a server of the 2020s (AMD Zen 4), rough."""


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """What a scan will take.

    Parameters
    ----------
    readings
        Of the sinogram.
    rays
        Transmissions that they average, parts of cells counted one by one.
    exposure_bytes, detection_bytes, reconstruction_bytes
        Memory at the peak of each step, twin and process included.
    exposure_s, detection_s, reconstruction_s
        Time of each step on the threads asked for [s].
    """

    readings: int
    rays: int
    exposure_bytes: int
    detection_bytes: int
    reconstruction_bytes: int
    exposure_s: float
    detection_s: float
    reconstruction_s: float

    @property
    def peak_bytes(self) -> int:
        """Memory at the peak of the whole."""
        return max(self.exposure_bytes, self.detection_bytes, self.reconstruction_bytes)

    @property
    def total_s(self) -> float:
        """Time of the whole [s]."""
        return self.exposure_s + self.detection_s + self.reconstruction_s


def plan_scan(
    body: Twin | Grid,
    scanner: Scanner,
    protocol: Protocol,
    *,
    sampling: Sampling | None = None,
    image: Grid | None = None,
    threads: int = 1,
    rates: Rates = TYPICAL,
    keeps_exposure: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> ScanPlan:
    """Count what a scan and its reconstruction will take.

    Parameters
    ----------
    body
        Who will be scanned, or the lattice of a twin that is not made yet: its middle is the axis then, and all of it
        is covered where the protocol has no range.
    scanner, protocol, sampling
        As for :func:`ctsim.scan`.
    image
        Lattice of the image; none: the protocol's.
    threads
        That the scan will have.
    rates
        Of the machine.
    keeps_exposure
        Whether the exposure is kept for further doses while images are made.
    block_bytes
        As for :func:`ctsim.expose` [bytes].

    Raises
    ------
    ValueError
        If the scanner cannot do what the protocol asks, or threads or ``block_bytes`` are below 1.
    """
    for name, value in (("threads", threads), ("block_bytes", block_bytes)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    protocol.check_on(scanner)
    sampling = sampling or Sampling()
    grid, geometry, range_mm = _geometry(body, scanner, protocol, sampling)
    half_axes_mm = _half_axes_mm(body)
    n_readings = math.prod(geometry.shape)
    n_rays = n_readings * sampling.rays_per_reading * sampling.row_parts * sampling.column_parts
    n_channels = n_channels_of(body) if isinstance(body, Twin) else 2

    n_walks = geometry.shape[0] * geometry.shape[2] * sampling.column_parts * sampling.rays_per_reading
    work = walk_work(geometry, grid, half_axes_mm)
    walk_s = rates.plane_s + rates.covered_s * work.covered + rates.read_s * geometry.shape[1] * sampling.row_parts
    n_volumes = n_channels - 1  # iodine is walked by itself
    beside = rates.together if sampling.rays_per_reading > 1 and n_volumes == 1 else 1.0
    exposure_s = n_walks * work.planes * walk_s * beside * n_volumes + n_rays * rates.part_s
    n_voxels = math.prod(grid.shape)
    n_lines = len(lines_mm(geometry)) * len(columns_rad(geometry)) * 2
    exposure_s += n_lines * work.planes * (rates.plane_s + 2 * rates.covered_s + rates.read_s)
    exposure_s += n_voxels * rates.packed_s
    single_s = n_lines * rates.spectral_s + FIXED_S  # of the topogram

    n_cells = geometry.shape[1] * geometry.shape[2]
    n_fitted = geometry.shape[2] * min(geometry.shape[1], FITTED_ROWS)
    detection_s = n_readings * rates.detected_s
    if sampling.scatter:
        exposure_s += _node_pairs(geometry, VIEW_NODES) * rates.scattered_s
        detection_s += ROUNDS * _SHARED * _node_pairs(geometry, ESTIMATOR_VIEW_NODES) * rates.scattered_s
    image_voxels, views = _image(image, protocol, geometry, range_mm)
    update_s = rates.update_s if geometry.is_helical else rates.update_at_rest_s
    reconstruction_s = n_readings * rates.filtered_s + image_voxels * views * update_s

    twin = TWIN_BYTES_PER_VOXEL * n_voxels + PROCESS_BYTES
    view_bytes = 4 * n_cells
    parts = sampling.rays_per_reading * sampling.row_parts * sampling.column_parts
    path_bytes = view_bytes * (n_channels * parts + 1)
    words = 2 * WORD_BYTES * n_voxels * (1.5 if n_channels == 3 else 1.0)  # and lengthened at its ends
    kept = 6 * n_readings
    again = 4 * n_readings if keeps_exposure else 0
    held = kept + again if keeps_exposure else 4 * n_readings
    filtered = min(BACK_PROJECTION_BYTES, 60 * 10**6 + FILTERED_BYTES * n_readings)
    return ScanPlan(
        readings=n_readings,
        rays=n_rays,
        exposure_bytes=int(twin + words + kept + _block_bytes(block_bytes, path_bytes, geometry)),
        detection_bytes=int(twin + kept + again + _block_bytes(block_bytes, 3 * view_bytes, geometry)),
        reconstruction_bytes=int(twin + held + IMAGE_BYTES_PER_VOXEL * image_voxels + filtered),
        exposure_s=exposure_s / threads + single_s,
        detection_s=detection_s / threads + n_fitted * rates.calibrated_s + FIXED_S,
        reconstruction_s=reconstruction_s / threads + FIXED_S,
    )


@dataclass(frozen=True, slots=True)
class WalkWork:
    """The mean walk of a scan: planes that it crosses within the body, and voxels along z that the beam covers."""

    planes: float
    covered: float


def walk_work(geometry: Geometry, grid: Grid, half_axes_mm: tuple[float, float]) -> WalkWork:
    """Work of the mean walk through an ellipse with half axes along x and y about the axis [mm]."""
    beta = np.pi * (np.arange(_ANGLES) + 0.5)[:, None] / _ANGLES
    low, high = geometry.column_angle_rad[0], geometry.column_angle_rad[-1]
    gamma = low + (high - low) * (np.arange(_COLUMNS) + 0.5) / _COLUMNS
    theta = beta + np.pi - gamma
    along_x, along_y = np.abs(np.cos(theta)), np.abs(np.sin(theta))
    off_mm = geometry.source_distance_mm * np.sin(gamma)
    a, b = half_axes_mm
    half_width = np.hypot(a * along_y, b * along_x)  # of the ellipse's shadow
    chord_mm = 2 * a * b / half_width * np.sqrt(np.maximum(0.0, 1 - (off_mm / half_width) ** 2))
    dz, dy, dx = grid.spacing_mm
    planes = float((chord_mm * np.maximum(along_x / dx, along_y / dy)).mean())
    beam_mm = geometry.shape[1] * geometry.row_pitch_mm * geometry.source_distance_mm / geometry.detector_distance_mm
    z_mm = geometry.source_z_mm
    lower, upper = grid.index_to_world((-0.5, 0, 0))[2], grid.index_to_world((grid.shape[0] - 0.5, 0, 0))[2]
    within = np.minimum(z_mm + beam_mm / 2, max(lower, upper)) - np.maximum(z_mm - beam_mm / 2, min(lower, upper))
    return WalkWork(planes, float(np.maximum(within, 0.0).mean()) / dz + 1.0)


def _block_bytes(budget: int, view_bytes: int, geometry: Geometry) -> int:
    """Of a block of views: as many as fit into the budget, one at least and all at most."""
    return min(max(budget, view_bytes), view_bytes * geometry.shape[0])


def _node_pairs(geometry: Geometry, views_per_rotation: int) -> int:
    """Pairs of nodes of the detector in all node views."""
    nodes = nodes_of(geometry, views_per_rotation=views_per_rotation, columns=COLUMN_NODES)
    return len(nodes.view) * (len(nodes.row) * len(nodes.column)) ** 2


def _geometry(
    body: Twin | Grid, scanner: Scanner, protocol: Protocol, sampling: Sampling
) -> tuple[Grid, Geometry, tuple[float, float]]:
    """Lattice of the body, geometry of the scan, and the z range that it covers [mm]."""
    if isinstance(body, Twin):
        range_mm = scan_range_mm(body, scanner, protocol)
        return body.grid, plan_geometry(body, scanner, protocol, sampling), range_mm
    x, y, z = body.centre_mm
    half = body.size_mm[0] / 2
    if protocol.mode == "axial":
        half = min(protocol.collimation_rows * scanner.detector.row_pitch_iso_mm / 2, half)
    range_mm = protocol.scan_range_mm or (z - half, z + half)
    isocentre_mm = protocol.isocentre_mm or (x, y)
    return body, geometry_over(range_mm, isocentre_mm, scanner, protocol, sampling), range_mm


def _half_axes_mm(body: Twin | Grid) -> tuple[float, float]:
    """Along x and y, of the ellipse that fits into the bounding box of the body."""
    if isinstance(body, Grid):
        return body.size_mm[2] / 2, body.size_mm[1] / 2
    dense = body.density.max(axis=0) >= BODY_DENSITY_G_CM3 / 1e-4
    if not dense.any():
        return body.grid.size_mm[2] / 2, body.grid.size_mm[1] / 2
    over_x, over_y = np.nonzero(dense.any(axis=0))[0], np.nonzero(dense.any(axis=1))[0]
    _, dy, dx = body.grid.spacing_mm
    return dx * (over_x[-1] - over_x[0] + 1) / 2, dy * (over_y[-1] - over_y[0] + 1) / 2


def _image(
    image: Grid | None, protocol: Protocol, geometry: Geometry, range_mm: tuple[float, float]
) -> tuple[int, float]:
    """Voxels of the image, and views that light each."""
    views = float(geometry.views_per_rotation)
    if geometry.is_helical:
        beam_mm = len(geometry.row_offset_mm) * geometry.row_pitch_mm
        beam_mm *= geometry.source_distance_mm / geometry.detector_distance_mm
        views *= beam_mm / abs(geometry.feed_per_rotation_mm)
    if image is not None:
        return math.prod(image.shape), views
    choice = protocol.reconstruction
    n_slices = math.floor((range_mm[1] - range_mm[0]) / choice.increment_mm + 1e-6) + 1
    return choice.matrix**2 * n_slices, views
