"""Rough time and disk of the parts of a build, from counts of readings and voxels (two CPU cores; design defaults)."""

from __future__ import annotations

from dataclasses import dataclass

from ctsim import Protocol, Sampling, Scanner

LUNGS_MM = 340.0
"""Length of body that a chest scan covers [mm], rough."""

TWIN_BOX_MM3 = 400.0 * 300.0 * 380.0
"""Box of a population twin [mm3], rough."""

TWIN_S_PER_VOXEL = 4e-7
TWIN_BYTES_PER_VOXEL = 1.2
READINGS_PER_S = 2.5e6
UPDATES_PER_S = 0.8e9
IMAGE_BYTES_PER_VOXEL = 1.1
IMPORT_S = 60.0
"""Measured roughly on two cores of a 2020s server; :func:`estimate_scan` is meant to be right within a factor of two."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Time [s] and disk [MB]."""

    time_s: float
    disk_mb: float

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.time_s + other.time_s, self.disk_mb + other.disk_mb)


def estimate_twin(kind: str, spacing_mm: float) -> Estimate:
    """Cost of building or importing a twin, and of keeping it."""
    n_voxels = TWIN_BOX_MM3 / spacing_mm**3 if kind == "population" else TWIN_BOX_MM3
    time_s = TWIN_S_PER_VOXEL * n_voxels if kind == "population" else IMPORT_S
    return Estimate(time_s, TWIN_BYTES_PER_VOXEL * n_voxels / 1e6)


def estimate_scan(scanner: Scanner, protocol: Protocol, sampling: Sampling, *, exposed: bool) -> Estimate:
    """Cost of one image; ``exposed`` where another scan of the group has paid for the projection."""
    part = protocol.reconstruction
    n_slices = LUNGS_MM / part.increment_mm
    n_voxels = part.matrix**2 * n_slices
    views = sampling.views_per_rotation or scanner.views_per_rotation
    feed_mm = protocol.collimation_mm(scanner) * (protocol.pitch or 1.0)
    n_views = views * (LUNGS_MM / feed_mm + 2)
    n_cells = scanner.n_columns / sampling.column_binning * protocol.n_rows(scanner) / sampling.row_binning
    time_s = n_voxels * views / UPDATES_PER_S + (0.0 if exposed else n_views * n_cells / READINGS_PER_S)
    return Estimate(time_s, IMAGE_BYTES_PER_VOXEL * n_voxels / 1e6)
