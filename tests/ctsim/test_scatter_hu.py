"""CT numbers of water whose scatter was simulated and corrected: the acceptance bar of 0 +- 1 HU, noise-free."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctsim import Sampling, detect, load_profile, profile_names
from ctsim.protocol import Corrections
from ctsim.quality.acceptance.bench import Bench, hounsfield, radius, square
from ctsim.quality.acceptance.numbers import water_with_scatter
from ctsim.scatter import estimate_scatter
from ctsim.trajectory import binned_column_angle_rad, binned_rows_mm

from .readings import exposure_of

BAR_HU = 1.0
NARROW = ("philips_brilliance_16", 120, 8, 2)
WIDE = ("siemens_definition_as", 80, 64, 8)
WIDEST = ("canon_aquilion_one", 80, 320, 16)
N_VIEWS = 360


def means(case, diameter_mm: float, *, corrected: bool = True):
    """Mean HU of centre and rim of centred water in three slices of the beam, from cells' mean chords."""
    name, kvp, rows, row_binning = case
    bench = Bench(load_profile(name), "quick")
    scanner = bench.scanner
    corrections = Corrections(scatter=corrected, starvation=True, bone=False)
    protocol = bench.protocol(kvp=kvp, collimation_rows=rows, corrections=corrections)
    sampling = Sampling(column_binning=4, row_binning=row_binning, rays_per_reading=1)
    offset_mm, _ = binned_rows_mm(scanner, protocol, sampling)
    middle = binned_column_angle_rad(scanner, sampling)
    within = (np.arange(16) + 0.5) / 16 - 0.5
    distance_mm = scanner.source_distance_mm * np.sin(middle[:, None] + within * (middle[1] - middle[0]))
    half_mm = diameter_mm / 2
    chord_mm = 2 * np.sqrt(np.maximum(half_mm**2 - distance_mm**2, 0)).mean(axis=1)
    slant = np.hypot(1, offset_mm / scanner.detector_distance_mm)[:, None]
    one = exposure_of(scanner, protocol, water_mm=slant * chord_mm, n_views=1, sampling=sampling)
    geometry = replace(
        one.geometry,
        view_angle_rad=2 * np.pi * np.arange(N_VIEWS) / N_VIEWS,
        source_z_mm=np.zeros(N_VIEWS),
        views_per_rotation=N_VIEWS,
    )
    signal, energy = np.repeat(one.signal_kev_per_mas, N_VIEWS, 0), np.repeat(one.mean_energy, N_VIEWS, 0)
    scatter = estimate_scatter(signal, one.air_kev_per_mas, geometry, scanner, protocol)
    exposure = replace(one, geometry=geometry, signal_kev_per_mas=signal, mean_energy=energy, scatter=scatter)
    beam_mm, thickness_mm = rows * scanner.detector.row_pitch_iso_mm, 2 * bench.row_mm(sampling)
    grid = square(half_mm, 4.0, np.linspace(-0.5, 0.5, 3) * (beam_mm - thickness_mm))
    image, r = hounsfield(detect(exposure, protocol, key=None), bench.softest, grid, thickness_mm), radius(grid)
    rim = (r > half_mm - 45) & (r < half_mm - 15)
    return image[:, r < 30].mean(axis=1), image[:, rim].mean(axis=1)


@pytest.mark.parametrize("diameter_mm", [250.0, 380.0])
@pytest.mark.parametrize("case", [NARROW, WIDE], ids=["narrow", "wide"])
def test_water_is_0_hu_in_a_narrow_and_in_a_wide_beam(case, diameter_mm):
    measured = np.array(means(case, diameter_mm))
    assert np.abs(measured).max() < BAR_HU


def test_without_correction_the_centre_is_dark():
    centre, rim = means(NARROW, 400.0, corrected=False)
    assert centre.max() < -15
    assert centre.max() < rim.min() - 5


@pytest.mark.slow
@pytest.mark.parametrize("diameter_mm", [200.0, 250.0, 300.0, 335.0, 378.0, 400.0])
def test_water_meets_the_bar_in_the_widest_beam_of_all(diameter_mm):
    measured = np.array(means(WIDEST, diameter_mm))
    assert np.abs(measured).max() < BAR_HU


@pytest.mark.slow
@pytest.mark.parametrize("name", profile_names())
def test_water_and_air_meet_the_bar_at_every_potential_of_every_profile(name):
    rows = water_with_scatter(Bench(load_profile(name), "full")).rows
    assert len(rows) == 2 * len(load_profile(name).scanner.kvp_stations)
    assert not [f"{row.quantity}, {row.condition}: {row.measured}" for row in rows if not row.passed]
