"""Where source and detector go: scanner, acquisition and sampling become a :class:`ctsim.geometry.Geometry`.

Helical scans run on at both ends until the range asked for has been seen as if the scan were endless. A point at
distance r from the axis is inside the beam while the source is within ``(collimation / 2) (1 + r / SID)`` of its z, and
rebinning to parallel rays uses up the fan's half angle of views, so that the overscan is

    collimation / 2 (1 + r / SID) + feed fan / 2 pi     with r = SID sin(fan), fan the outermost column's angle.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twins import LUNG, Twin

from .geometry import Geometry
from .protocol import Acquisition
from .sampling import Sampling
from .scanner import Scanner
from .tube import radial_shift_mm

LUNG_MARGIN_MM = 10.0
"""What a scan covers beyond the lungs where no range is asked for [mm] (design default)."""

BODY_DENSITY_G_CM3 = 0.2
"""Voxels denser than this count as body when its middle is sought [g/cm3] (design default)."""


def plan_geometry(twin: Twin, scanner: Scanner, acquisition: Acquisition, sampling: Sampling) -> Geometry:
    """Geometry of a scan.

    Parameters
    ----------
    twin
        Says where body and lungs are, where the acquisition leaves that open.
    scanner, acquisition, sampling
        Hardware, what is asked of it, and how finely it is simulated.

    Raises
    ------
    ValueError
        If the sampling does not divide the detector, or an axial scan is asked to cover more than one beam width.
    """
    isocentre_mm = acquisition.isocentre_mm or body_middle_mm(twin)
    range_mm = scan_range_mm(twin, scanner, acquisition)
    return geometry_over(range_mm, isocentre_mm, scanner, acquisition, sampling)


def geometry_over(
    range_mm: tuple[float, float],
    isocentre_mm: tuple[float, float],
    scanner: Scanner,
    acquisition: Acquisition,
    sampling: Sampling,
) -> Geometry:
    """Geometry of a scan that covers a world z range about an axis at world (x, y) [mm]; errors as above."""
    views = views_per_rotation(scanner, acquisition, sampling)
    deflection_mm = deflections_mm(scanner, acquisition)
    collimation_mm = acquisition.collimation_rows * scanner.detector.row_pitch_iso_mm
    angle = binned_column_angle_rad(scanner, sampling)
    offset, row_pitch_mm = binned_rows_mm(scanner, acquisition, sampling)
    low, high = range_mm
    start = math.radians(acquisition.start_angle_deg)
    feed_mm = 0.0
    if acquisition.mode == "axial":
        if acquisition.scan_range_mm is not None and high - low > collimation_mm * (1 + 1e-9):
            raise ValueError(
                f"scan_range_mm of an axial scan must not exceed its beam of {collimation_mm:g} mm, "
                f"got {low:g} to {high:g} mm"
            )
        beta = start + 2 * math.pi / views * np.arange(views)
        source_z = np.full(views, (low + high) / 2)
    elif acquisition.mode == "step_and_shoot":
        step_mm = acquisition.step_mm or collimation_mm
        if step_mm > collimation_mm * (1 + 1e-9):
            raise ValueError(f"step_mm must not exceed the beam of {collimation_mm:g} mm, got {step_mm:g} mm")
        n_steps = 1 + max(0, math.ceil((high - low - collimation_mm) / step_mm - 1e-9))
        beta = start + 2 * math.pi / views * np.arange(n_steps * views)
        table = (low + high) / 2 + step_mm * (np.arange(n_steps) - (n_steps - 1) / 2)
        source_z = np.repeat(table, views)
    else:
        feed_mm = acquisition.pitch * collimation_mm
        fan = float(np.abs(angle).max())
        overscan_mm = collimation_mm / 2 * (1 + math.sin(fan)) + feed_mm * fan / (2 * math.pi)
        n_views = math.ceil((high - low + 2 * overscan_mm) / feed_mm * views) + len(deflection_mm)
        beta = start + 2 * math.pi / views * np.arange(n_views)
        source_z = (low + high) / 2 + feed_mm / views * (np.arange(n_views) - (n_views - 1) / 2)
    return Geometry(
        source_distance_mm=scanner.source_distance_mm,
        detector_distance_mm=scanner.detector_distance_mm,
        isocentre_mm=isocentre_mm,
        view_angle_rad=np.asarray(beta, dtype=np.float64),
        source_z_mm=source_z,
        column_angle_rad=angle,
        row_offset_mm=offset,
        row_pitch_mm=row_pitch_mm,
        views_per_rotation=views,
        feed_per_rotation_mm=feed_mm,
        deflection_mm=deflection_mm,
    )


def scan_range_mm(twin: Twin, scanner: Scanner, acquisition: Acquisition) -> tuple[float, float]:
    """World z range to be covered [mm]: that asked for; else the lungs with a margin; else the whole grid.

    An axial scan without a range covers one beam width about the middle of what a helical one would.
    """
    if acquisition.scan_range_mm is not None:
        return acquisition.scan_range_mm
    low, high = _body_range_mm(twin)
    if acquisition.mode != "axial":
        return low, high
    beam_mm = acquisition.collimation_rows * scanner.detector.row_pitch_iso_mm
    half, middle = min(beam_mm, high - low) / 2, (low + high) / 2
    return middle - half, middle + half


def _body_range_mm(twin: Twin) -> tuple[float, float]:
    centre = twin.grid.centre_mm
    corners = twin.grid.index_to_world([-0.5, -0.5, -0.5]), twin.grid.index_to_world(np.array(twin.grid.shape) - 0.5)
    low, high = sorted(float(corner[2]) for corner in corners)
    lungs = np.argwhere(twin.is_any(LUNG).any(axis=(1, 2)))
    if not lungs.size or not twin.grid.is_axis_aligned:
        return low, high
    z = centre[2] + twin.grid.spacing_mm[0] * (lungs[[0, -1], 0] - (twin.grid.shape[0] - 1) / 2)
    half = twin.grid.spacing_mm[0] / 2 + LUNG_MARGIN_MM
    return max(low, float(z[0]) - half), min(high, float(z[1]) + half)


def body_middle_mm(twin: Twin) -> tuple[float, float]:
    """World (x, y) of the middle of the body's bounding box [mm]; of the grid where there is no body."""
    dense = twin.density >= BODY_DENSITY_G_CM3 / 1e-4
    middle = (np.asarray(twin.grid.shape) - 1) / 2
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        found = np.nonzero(dense.any(axis=others))[0]
        if found.size:
            middle[axis] = (found[0] + found[-1]) / 2
    x, y, _ = twin.grid.index_to_world(middle)
    return float(x), float(y)


def views_per_rotation(scanner: Scanner, acquisition: Acquisition, sampling: Sampling) -> int:
    """Simulated views per rotation; a flying focal spot takes its whole cycle in the time of one view at rest."""
    return (sampling.views_per_rotation or scanner.views_per_rotation) * len(deflections_mm(scanner, acquisition))


def deflections_mm(scanner: Scanner, acquisition: Acquisition) -> NDArray[np.float64]:
    """Cycle of the focal spot's places ``(K, 3)``: tangential, towards the isocentre, along z [mm]."""
    flying = scanner.flying_focal_spot(acquisition.flying_focal_spot)
    if flying is None:
        return np.zeros((1, 3))
    axial = np.asarray(flying.axial_mm)
    radial = [radial_shift_mm(z, scanner.anode_angle_deg) for z in flying.axial_mm]
    return np.stack([np.asarray(flying.tangential_mm), np.asarray(radial), axial], axis=1)


def n_merged(scanner: Scanner, sampling: Sampling) -> float:
    """How many of the scanner's readings one simulated reading stands for [1]."""
    views = sampling.views_per_rotation or scanner.views_per_rotation
    return sampling.column_binning * sampling.row_binning * scanner.views_per_rotation / views


def binned_column_angle_rad(scanner: Scanner, sampling: Sampling) -> NDArray[np.float64]:
    """Fan angle of every simulated column's middle, growing [rad]."""
    binning = sampling.column_binning
    if scanner.detector.n_columns % binning:
        raise ValueError(f"column_binning must divide {scanner.detector.n_columns} columns, got {binning}")
    return scanner.column_angle_rad().reshape(-1, binning).mean(axis=1)


def binned_rows_mm(scanner: Scanner, acquisition: Acquisition, sampling: Sampling) -> tuple[NDArray[np.float64], float]:
    """Height of every simulated row's middle on the detector, growing, and their pitch [mm at SDD]."""
    if acquisition.collimation_rows % sampling.row_binning:
        raise ValueError(f"row_binning must divide {acquisition.collimation_rows} rows, got {sampling.row_binning}")
    n_rows = acquisition.collimation_rows // sampling.row_binning
    magnification = scanner.detector_distance_mm / scanner.source_distance_mm
    pitch_mm = scanner.detector.row_pitch_iso_mm * magnification * sampling.row_binning
    offset_mm = (np.arange(n_rows) - (n_rows - 1) / 2) * pitch_mm
    return np.asarray(offset_mm, dtype=np.float64), pitch_mm
