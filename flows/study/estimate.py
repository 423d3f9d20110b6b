"""Rough time and disk of the parts of a build, from counts of readings and voxels (two CPU cores; design defaults)."""

from __future__ import annotations

from ctsim import Protocol, Sampling, Scanner
from ctsim.trajectory import views_per_rotation

LUNGS_MM = 340.0
"""Length of body that a chest scan covers [mm], rough."""

TWIN_BOX_MM3 = 400.0 * 300.0 * 380.0
"""Box of a population twin [mm3], rough."""

TWIN_S_PER_VOXEL = 4e-7
TWIN_BYTES_PER_VOXEL = 1.2
COLUMNS_PER_S = 1.2e5
UPDATES_PER_S = 0.7e9
IMAGE_BYTES_PER_VOXEL = 1.1
IMPORT_S = 60.0
"""Measured roughly on two cores of a server of the 2020s; estimates are meant to hold within a factor of two."""


def twin_s(kind: str, spacing_mm: float) -> float:
    """Time to build or import a twin [s]."""
    return TWIN_S_PER_VOXEL * TWIN_BOX_MM3 / spacing_mm**3 if kind == "population" else IMPORT_S


def twin_mb(kind: str, spacing_mm: float) -> float:
    """Size of a twin's file [MB]."""
    return TWIN_BYTES_PER_VOXEL * TWIN_BOX_MM3 / (spacing_mm**3 if kind == "population" else 1.0) / 1e6


def exposure_s(scanner: Scanner, protocol: Protocol, sampling: Sampling) -> float:
    """Time to project a twin [s]: one per group of scans."""
    detector, n_rows = scanner.detector, protocol.collimation_rows
    beam_mm = n_rows * detector.row_pitch_iso_mm
    n_rotations = 1.0
    if protocol.mode == "helical":
        n_rotations = _range_mm(protocol) / (beam_mm * protocol.pitch) + 2
    elif protocol.mode == "step_and_shoot":
        n_rotations = _range_mm(protocol) / (protocol.step_mm or beam_mm)
    # the rows of a column share its walk, the parts of a column do not
    n_columns = detector.n_columns / sampling.column_binning * sampling.column_parts
    n_views = views_per_rotation(scanner, protocol, sampling)
    return n_rotations * n_views * n_columns * sampling.rays_per_reading / COLUMNS_PER_S


def image_s(scanner: Scanner, protocol: Protocol, sampling: Sampling) -> float:
    """Time to detect and reconstruct one image [s]."""
    return _n_voxels(protocol) * views_per_rotation(scanner, protocol, sampling) / UPDATES_PER_S


def image_mb(protocol: Protocol) -> float:
    """Size of an image with its masks [MB]."""
    return IMAGE_BYTES_PER_VOXEL * _n_voxels(protocol) / 1e6


def _n_voxels(protocol: Protocol) -> float:
    return protocol.reconstruction.matrix**2 * _range_mm(protocol) / protocol.reconstruction.increment_mm


def _range_mm(protocol: Protocol) -> float:
    return LUNGS_MM if protocol.scan_range_mm is None else protocol.scan_range_mm[1] - protocol.scan_range_mm[0]
