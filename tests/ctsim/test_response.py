"""What a photon adds to a reading."""

import numpy as np
import pytest

from ctsim import Sampling, load_profile
from ctsim.attenuation import ENERGY_KEV
from ctsim.protocol import Acquisition
from ctsim.response import Response, energy_integrating
from ctsim.signal import beam_of, signal_table

AS = load_profile("siemens_definition_as").scanner
ACQUISITION = Acquisition(kvp=120, mode="axial", collimation_rows=16, bowtie="body")


def test_an_integrating_cell_absorbs_all_of_a_soft_photon_and_less_of_a_hard_one():
    response = energy_integrating(AS.detector)
    np.testing.assert_allclose(response.energy_kev, ENERGY_KEV, rtol=1e-12)
    assert response.counts[ENERGY_KEV < 20].min() > 0.9999
    # NIST XCOM at 150 keV: 1.10 cm2/g of Gd, 0.14 of O and S; 0.734 g/cm2
    assert response.counts[-1] == pytest.approx(0.50, abs=0.02)


def test_an_oblique_ray_meets_more_scintillator():
    straight, oblique = energy_integrating(AS.detector), energy_integrating(AS.detector, np.arccos(0.5))
    np.testing.assert_allclose(1 - oblique.counts, (1 - straight.counts) ** 2, atol=1e-12)


def counting(detector, cone_angle_rad):
    """A photon-counting detector: every absorbed photon above 25 keV is one count."""
    seen = energy_integrating(detector, cone_angle_rad).counts * (ENERGY_KEV > 25)
    return Response(seen, seen)


def test_another_detector_is_another_response_in_the_same_chain():
    beam = beam_of(AS, ACQUISITION, Sampling(column_binning=16, row_binning=16), model=counting)
    assert beam.mean_energy_kev == pytest.approx(1.0)  # each count is one: M1 = M2
    integrating = beam_of(AS, ACQUISITION, Sampling(column_binning=16, row_binning=16))
    seen = integrating.photons_per_mas[ENERGY_KEV > 25].sum()
    assert beam.moments_kev(np.zeros((2, 1)))[0][0] == pytest.approx(seen)
    table = signal_table(beam, 2)
    np.testing.assert_allclose(table.mean_energy_kev, 1.0, rtol=1e-6)
    np.testing.assert_allclose(table.air_kev(), beam.air_kev(), rtol=1e-3)


@pytest.mark.parametrize(
    ("mean", "square", "what"),
    [
        (np.ones(3), np.ones(140), "mean_kev"),
        (-np.ones(140), np.ones(140), "mean_kev"),
        (np.ones(140), np.full(140, 0.5), "below mean_kev squared"),
    ],
)
def test_impossible_moments_are_refused(mean, square, what):
    with pytest.raises(ValueError, match=what):
        Response(mean, square)
