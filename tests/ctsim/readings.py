"""Exposures made up of plain numbers, for the tests of readout and correction."""

from __future__ import annotations

import numpy as np

from ctsim import Exposure, Geometry, Protocol, Sampling, Scanner, load_profile
from ctsim.signal import MEAN_ENERGY_STEP_KEV, beam_of
from ctsim.trajectory import binned_column_angle_rad, binned_rows_mm
from ctsim.voxels import water_per_mm_g_cm2

AS = load_profile("siemens_definition_as")
SAMPLING = Sampling(column_binning=4, row_binning=4, rays_per_reading=1, scatter=False)
N_VIEWS = 24


IDEAL = {
    "electronic_noise_kev": 230.0,
    "xray_crosstalk": (0.0, 0.0),
    "optical_crosstalk": (0.0, 0.0),
    "afterglow": (),
    "step_kev": 0.0,
    "saturation_kev": None,
    "gain_spread": 0.0,
    "grid": None,
}


def scanner_with(**changes) -> Scanner:
    """A Definition AS with a detector that only counts and has electronic noise, unless something is changed."""
    detector = AS.scanner.detector.model_copy(update=IDEAL | changes)
    return AS.scanner.model_copy(update={"detector": detector, "smallest_tube_current_ma": 1.0})


def protocol_with(**changes) -> Protocol:
    """Its axial protocol, 16 rows, without couch, starvation and scatter correction unless asked for."""
    corrections = {"scatter": False, "starvation": False} | changes.pop("corrections", {})
    axial = AS.protocol("axial")
    return axial.model_copy(
        update={
            "collimation_rows": 16,
            "with_couch": False,
            "corrections": axial.corrections.model_copy(update=corrections),
            **changes,
        }
    )


def exposure_of(
    scanner: Scanner | None = None,
    protocol: Protocol | None = None,
    *,
    water_mm=0.0,
    n_views: int = N_VIEWS,
    sampling: Sampling = SAMPLING,
) -> Exposure:
    """Rays through lengths of water that broadcast to ``(view, row, column)`` [mm], by the 1 keV sums."""
    protocol, scanner = protocol or protocol_with(), scanner or scanner_with()
    beam = beam_of(scanner, protocol, sampling)
    offset_mm, pitch_mm = binned_rows_mm(scanner, protocol, sampling)
    angle = binned_column_angle_rad(scanner, sampling)
    geometry = Geometry(
        source_distance_mm=scanner.source_distance_mm,
        detector_distance_mm=scanner.detector_distance_mm,
        isocentre_mm=(0.0, 0.0),
        view_angle_rad=2 * np.pi * np.arange(n_views) / n_views,
        source_z_mm=np.zeros(n_views),
        column_angle_rad=angle,
        row_offset_mm=offset_mm,
        row_pitch_mm=pitch_mm,
        views_per_rotation=n_views,
    )
    lengths = np.broadcast_to(np.asarray(water_mm, float), geometry.shape)
    first, second = np.empty((2, *geometry.shape))
    for view, some in enumerate(lengths):
        path = beam.path_g_cm2 + water_per_mm_g_cm2()[:, None, None] * some
        first[view], second[view] = (beam.gain * moment for moment in beam.moments_kev(path))
    return Exposure(
        geometry,
        first.astype(np.float32),
        np.rint(second / first / MEAN_ENERGY_STEP_KEV).astype(np.uint16),
        beam.air_kev(),
        scanner,
        protocol.acquisition(),
        sampling,
        (-5.0, 5.0),
    )
