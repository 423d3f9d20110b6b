"""The tables of noise-free moments against the sums over 1 keV bins, and the photon number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsim import Sampling, load_profile
from ctsim.protocol import Acquisition
from ctsim.signal import MEAN_ENERGY_STEP_KEV, Beam, beam_of, mean_energy_units, signal_table

AS = load_profile("siemens_definition_as").scanner
COARSE = Sampling(column_binning=16)


def asked(kvp=120, rows=1, **other):
    return Acquisition(kvp=kvp, mode="axial", collimation_rows=rows, bowtie="body", **other)


def through(table, path):
    """M1 and Ebar by the table, of paths ``(channels, n, 1, columns)``."""
    paths = np.ascontiguousarray(path, dtype=np.float32)
    first, second = np.zeros((2, *paths.shape[1:]), np.float32)
    energy = np.empty(first.shape, np.uint16)
    table.transmit(paths, first, second)
    mean_energy_units(first, second, energy)
    return first.astype(float), energy * MEAN_ENERGY_STEP_KEV


@pytest.mark.parametrize(
    ("kvp", "n_channels", "limit"), [(80, 2, 3e-4), (120, 2, 2e-4), (140, 2, 2e-4), (120, 3, 1e-3)]
)
def test_the_tables_give_the_sum_over_1_kev_bins(kvp, n_channels, limit):
    beam = beam_of(AS, asked(kvp), COARSE)
    rng = np.random.default_rng(1)
    upper = np.array([45.0, 8.0, 0.3])[:n_channels]  # 45 cm of water with 15 cm of rib and strong contrast
    path = rng.uniform(0, 1, (n_channels, 400, 1, 46)) * upper[:, None, None, None]
    first, mean_energy = through(signal_table(beam, n_channels), path)
    everything = path.copy()
    everything[:2] += beam.path_g_cm2[:, None]
    exact_1, exact_2 = beam.moments_kev(everything)
    assert np.abs(first / exact_1 - 1).max() < limit  # measured 2.3e-4, 1.3e-4, 1.1e-4, 5e-4; the bar is 1e-3
    assert np.abs(mean_energy - exact_2 / exact_1).max() < 0.02  # keV; counts' energy to 0.03 %


def test_room_air_gives_the_air_calibration_exactly():
    table = signal_table(beam_of(AS, asked(120), COARSE), 2)
    signal, _ = through(table, np.zeros((2, 1, 1, 46)))
    np.testing.assert_array_equal(signal[0], table.air_kev())


@given(a=st.floats(0, 30), b=st.floats(0, 30))
def test_a_polychromatic_beam_hardens(a, b):
    beam = beam_of(AS, asked(120), COARSE)
    nothing, one, two, both = (beam.moments_kev(np.array([[x], [0.05 * x]]))[0][0] for x in (0, a, b, a + b))
    assert both * nothing >= one * two * (1 - 1e-12)  # Chebyshev's sum inequality; equality for one energy


def test_one_energy_obeys_beer_lambert():
    photons = np.zeros(140)
    photons[60] = 1000.0
    beam = Beam(photons, np.zeros((2, 1, 1)), np.ones((1, 1)))
    loss = [-np.log(beam.moments_kev(np.array([[x], [0.0]]))[0][0] / (1000 * 70.5)) for x in (1.0, 7.0)]
    assert loss[1] == pytest.approx(7 * loss[0], rel=1e-12)


def test_the_photon_number_is_fluence_times_area_over_distance_squared():
    beam = beam_of(AS, asked(120), Sampling())
    from ctsim.attenuation import mass_attenuation
    from ctsim.spectrum import tube_spectrum
    from twins import material

    spectrum = tube_spectrum(120, 7.0, [(material("aluminium"), 6.8)])
    gos = material("gadolinium_oxysulfide")
    absorbed = 1 - np.exp(-mass_attenuation(gos) * gos.density_g_cm3 * 0.1)
    area = 1.2858 * (0.6 * 1085.6 / 595) * 0.8
    expected = (spectrum.fluence_per_mm2_mas * absorbed).sum() / 1.0856**2 * area / 1152
    assert beam.photons_per_mas.sum() == pytest.approx(expected, rel=1e-12)


def test_merged_cells_and_views_collect_the_photons_of_all_that_they_stand_for():
    one = beam_of(AS, asked(120), Sampling()).photons_per_mas.sum()
    merged = beam_of(AS, asked(120, 64), Sampling(views_per_rotation=288, column_binning=4, row_binning=8))
    assert merged.photons_per_mas.sum() == pytest.approx(4 * 4 * 8 * one)


def test_the_bowtie_weakens_and_hardens_the_edge_of_the_fan():
    beam = beam_of(AS, asked(120), COARSE)
    first, second = beam.moments_kev(beam.path_g_cm2)
    assert first[0, 0] < 0.4 * first.max()
    assert second[0, 0] / first[0, 0] > (second / first).min() + 3  # keV
