"""The two bases stand for tissues and plastics; iodine is exact; metals are refused."""

import numpy as np
import pytest

from ctsim.attenuation import ENERGY_KEV, mass_attenuation
from ctsim.basis import TISSUES, basis_curves, coefficients
from ctsim.spectrum import tube_spectrum
from twins import material


def error_hu(name):
    """Largest error of a material's HU over 70 to 150 kVp behind 200 mm of water."""
    substance = material(name)
    c = coefficients(substance)
    error = mass_attenuation(substance) - np.array([c.basis_0, c.basis_1, c.iodine]) @ basis_curves()
    worst = 0.0
    for kvp in range(70, 151, 10):
        beam = tube_spectrum(kvp, 8.0, [(material("aluminium"), 7.0), (material("water"), 200.0)])
        weight = beam.fluence_per_mm2_mas * ENERGY_KEV
        water = weight @ mass_attenuation(material("water"))
        worst = max(worst, abs(1000 * substance.density_g_cm3 * (weight @ error) / water))
    return worst


@pytest.mark.parametrize("name", TISSUES)
def test_a_tissue_errs_by_at_most_a_tenth_of_a_hounsfield_unit(name):
    assert error_hu(name) <= 0.1


@pytest.mark.parametrize(
    ("name", "limit"), [("pmma", 0.25), ("teflon", 0.25), ("iodinated_blood", 0.1), ("graphite", 0.5)]
)
def test_plastics_and_contrast_err_by_less_than_half_a_unit(name, limit):
    assert error_hu(name) <= limit


def test_aluminium_is_the_named_exception():
    assert 1 < error_hu("aluminium") < 5


@pytest.mark.parametrize("name", [*TISSUES, "air", "pmma", "teflon", "aluminium", "graphite"])
def test_what_is_scanned_has_non_negative_amounts_of_both_bases(name):
    c = coefficients(material(name))
    assert c.basis_0 > 0
    assert c.basis_1 > 0
    assert c.is_representable


@pytest.mark.parametrize("name", ["copper", "titanium", "tungsten", "tin"])
def test_metals_are_not_representable(name):
    assert not coefficients(material(name)).is_representable


def test_the_bases_are_polyethylene_and_hydroxyapatite():
    for name, expected in (("polyethylene", (1, 0)), ("hydroxyapatite", (0, 1))):
        c = coefficients(material(name))
        assert (c.basis_0, c.basis_1) == pytest.approx(expected, abs=1e-9)


def test_basis_curves_are_positive_and_fall():
    curves = basis_curves()[:2]
    assert np.all(curves > 0)
    assert np.all(np.diff(curves, axis=1) < 0)
