"""Air calibration, logarithm and water correction."""

import numpy as np
import pytest

from ctsim import Sampling, load_profile
from ctsim.basis import coefficients
from ctsim.correction import LOWEST_PHOTONS, log_loss, water_correction
from ctsim.protocol import Acquisition
from ctsim.signal import beam_of
from ctsim.voxels import room_air_g_cm3
from twins import material

AS = load_profile("siemens_definition_as").scanner


def water_loss(beam, length_mm):
    """-ln of the transmitted signal behind water above air, ``(length, row, column)``, by the 1 keV sums."""
    c = coefficients(material("water"))
    per_mm = (np.array([c.basis_0, c.basis_1]) - room_air_g_cm3()[:2]) / 10
    path = beam.path_g_cm2[:, None] + per_mm[:, None, None, None] * np.asarray(length_mm)[:, None, None]
    return -np.log(beam.gain * beam.moments_kev(path)[0] / beam.air_kev())


def asked(kvp):
    return Acquisition(kvp=kvp, mode="axial", collimation_rows=1, bowtie="body")


@pytest.mark.parametrize("kvp", AS.kvp_stations)
def test_water_of_any_length_becomes_its_length_in_every_column(kvp):
    beam = beam_of(AS, asked(kvp), Sampling(column_binning=16))
    correction = water_correction(beam)
    length = np.linspace(0, 600, 121)
    values = water_loss(beam, length).astype(np.float32)
    assert np.abs(values[-1, 0] / correction.mu_water_per_mm - 600).max() > 20  # there is something to correct
    correction.apply(values)
    # measured 0.007 mm: 0.02 HU of a 300 mm body
    assert np.abs(values[:, 0] / correction.mu_water_per_mm - length[:, None]).max() < 0.02


def test_beyond_the_fit_it_goes_on_without_a_jump():
    beam = beam_of(AS, asked(120), Sampling(column_binning=16))
    correction = water_correction(beam)
    top = correction.longest[0, :, 0]
    values = np.stack([top - 1e-3, top + 1e-3, top + 5, -0.01 + 0 * top])[:, None].astype(np.float32)
    correction.apply(values)
    assert np.all(np.diff(values[:3, 0], axis=0) > 0)
    np.testing.assert_allclose(values[1, 0] - values[0, 0], 2e-3 * correction.longest[0, :, 2], rtol=0.02)
    np.testing.assert_allclose(values[3, 0], -0.01 * correction.coefficient[0, :, 0], rtol=1e-5)


def test_effective_attenuation_of_water_falls_with_tube_potential():
    mu = [
        water_correction(beam_of(AS, asked(kvp), Sampling(column_binning=16))).mu_water_per_mm for kvp in (80, 120, 140)
    ]
    assert mu[0] > mu[1] > mu[2]
    assert mu[1] == pytest.approx(0.0199, abs=0.0005)  # 1/mm, near the 0.0200 of water at 65 keV


def test_a_starved_reading_counts_as_half_a_photon():
    air = np.full((1, 3), 6e5)
    values = np.array([[[-500.0, 0.0, 6e5]]], np.float32)
    log_loss(values, air / 2, np.array([2.0]), 60.0)
    np.testing.assert_allclose(values[0, 0], [np.log(6e5 / (LOWEST_PHOTONS * 60))] * 2 + [0.0], rtol=1e-6)
