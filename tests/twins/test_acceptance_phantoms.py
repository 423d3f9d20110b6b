"""The acceptance phantoms hold the mass and the chords that their drawings say."""

import math

import numpy as np
import pytest

from tests.twins.test_phantoms import masses_g
from twins import phantoms
from twins.materials import material
from twins.phantoms import Part, path_lengths_mm
from twins.solids import Box, Cylinder, Stack, solid_from_dict, solid_to_dict
from twins.store import load, save


def inset_mass_g(twin):
    """Change of mass by all insets, per material [g]."""
    total = {}
    for inset in twin.insets:
        grams = inset.delta_g_cm3.astype(float).sum(axis=(1, 2, 3)) * inset.grid.voxel_volume_mm3 / 1000
        for substance, change in zip(inset.materials, grams, strict=True):
            total[substance.name] = total.get(substance.name, 0.0) + change
    return total


def test_a_stack_is_its_sections():
    stack = Stack((1.0, -2.0, 3.0), (10.0, 20.0, 5.0), (8.0, 6.0, 4.0))
    assert stack.volume_mm3 == pytest.approx(math.pi * (100 * 8 + 400 * 6 + 25 * 4))
    assert stack.bounds_mm == ((-19.0, -22.0, -6.0), (21.0, 18.0, 12.0))
    assert solid_from_dict(solid_to_dict(stack)) == stack
    # a ray along z through (9, -2): 8 mm from the axis crosses the first two sections, 14 mm
    assert stack.chord_mm((9.0, -2.0, -50.0), (9.0, -2.0, 50.0)) == pytest.approx(14.0)
    assert stack.chord_mm((-50.0, -2.0, 4.0), (50.0, -2.0, 4.0)) == pytest.approx(40.0)
    twin = phantoms.build_body([Part(stack, "water")], spacing_mm=1.3)
    assert masses_g(twin)["water"] == pytest.approx(stack.volume_mm3 / 1000, rel=1e-3)
    with pytest.raises(ValueError, match="one value per section"):
        Stack((0.0, 0.0, 0.0), (10.0,), (8.0, 6.0))


def test_the_accreditation_phantom_weighs_its_parts():
    twin = phantoms.acr_464(spacing_mm=2.0)
    mass, rod = masses_g(twin), math.pi * 12.5**2 * 40 / 1000
    assert mass["cortical_bone"] == pytest.approx(1.45 * rod, rel=1e-3)
    assert mass["polyethylene"] == pytest.approx(0.94 * rod, rel=1e-3)
    assert mass["pmma"] == pytest.approx(1.18 * rod, rel=1e-3)
    assert mass["water"] == pytest.approx(math.pi * 100**2 * 40 / 1000 - 4 * rod, rel=1e-3)


def test_the_sensitometry_rods_stand_on_their_circle():
    twin = phantoms.catphan_sensitometry(spacing_mm=2.0)
    names = ("teflon", "delrin", "pmma", "polystyrene", "ldpe", "pmp")
    for i, name in enumerate(names):
        x, y = 58.4 * math.cos(math.pi / 4 * i), 58.4 * math.sin(math.pi / 4 * i)
        along = path_lengths_mm(twin, (x, y, -50.0), (x, y, 50.0))
        assert along[name] == pytest.approx(25.0)
        assert along["water"] == pytest.approx(0.0, abs=1e-9)
    assert material("delrin").density_g_cm3 == 1.42


def test_mercury_grows_in_steps():
    twin = phantoms.mercury(spacing_mm=4.0)
    for k, diameter in enumerate(phantoms.acceptance.MERCURY_DIAMETERS_MM):
        z = -100.0 + 50.0 * k
        across = path_lengths_mm(twin, (-400.0, 20.0, z), (400.0, 20.0, z))
        assert across["polyethylene"] == pytest.approx(2 * math.sqrt(diameter**2 / 4 - 400.0))
    volume = sum(math.pi * d**2 / 4 * 50 for d in phantoms.acceptance.MERCURY_DIAMETERS_MM)
    rods = 4 * math.pi * 12.7**2 * 250
    assert masses_g(twin)["polyethylene"] == pytest.approx(0.94 * (volume - rods) / 1000, rel=1e-3)
    with pytest.raises(ValueError, match="diameters_mm must exceed"):
        phantoms.mercury((100.0,))


def test_nodules_replace_the_lung_that_they_displace():
    twin = phantoms.qiba_nodules(spacing_mm=4.0)
    volume = 4 / 3 * math.pi * (5.0**3 + 10.0**3) / 1000
    density = sum(1 + hu / 1000 for hu in phantoms.acceptance.QIBA_NODULES_HU) / 0.992
    # tissue of spheres in, lung at 0.26 g/cm3 out: both are lung tissue
    assert inset_mass_g(twin)["lung_tissue"] == pytest.approx(volume * (density - 3 * 0.26), rel=2e-3)
    through = path_lengths_mm(twin, (-75.0, -300.0, 35.0), (-75.0, 300.0, 35.0))
    equivalent = (100.0 * 0.26 + 10.0 * (1.1 / 0.992)) / 1.05
    assert through["lung_tissue"] == pytest.approx(equivalent)


@pytest.mark.parametrize("diameter_mm", [160, 320])
def test_dosimetry_phantoms_have_holes_ten_millimetres_deep(diameter_mm):
    twin = phantoms.ctdi(diameter_mm, chambers=("centre", "anterior"), spacing_mm=4.0)
    holes = 2 * math.pi * 6.55**2
    mass = 1.19 * (math.pi * diameter_mm**2 / 4 - holes) * 150 / 1000
    assert masses_g(twin)["pmma"] == pytest.approx(mass, rel=1e-3)
    lengths = path_lengths_mm(twin, (0.0, -300.0, 0.0), (0.0, 0.0, 0.0))
    assert lengths["air"] == pytest.approx(13.1 + 6.55)
    edge = path_lengths_mm(twin, (0.0, -diameter_mm / 2, 0.0), (0.0, -diameter_mm / 2 + 10.0, 0.0))
    assert edge["air"] == pytest.approx(6.55)
    with pytest.raises(ValueError, match="chambers must be of"):
        phantoms.ctdi(diameter_mm, chambers=("top",))
    with pytest.raises(ValueError, match="160 or 320"):
        phantoms.ctdi(200)


def test_fine_parts_weigh_what_they_should():
    wire = phantoms.wire(0.2, length_mm=20.0)
    volume = math.pi * 0.1**2 * 20 / 1000
    assert inset_mass_g(wire) == pytest.approx({"hydroxyapatite": 3.16 * volume, "water": -volume}, rel=1e-3)
    edge = phantoms.edge(20.0, length_mm=20.0)
    volume = math.pi * 10**2 * 20 / 1000
    assert inset_mass_g(edge) == pytest.approx({"pmma": 1.18 * volume, "water": -volume}, rel=1e-5)
    foil = phantoms.foil(0.1, at_mm=(0.0, 0.0, 0.31))
    volume = math.pi * 2.5**2 * 0.1 / 1000
    assert inset_mass_g(foil) == pytest.approx({"teflon": 2.16 * volume, "water": -volume}, rel=1e-4)
    lengths = path_lengths_mm(foil, (0.0, 0.0, -20.0), (0.0, 0.0, 20.0))
    assert lengths["teflon"] == pytest.approx(0.1)
    assert lengths["water"] == pytest.approx(39.9)


def test_fine_parts_survive_saving_and_have_names_of_their_own(tmp_path):
    twin = phantoms.qiba_nodules(spacing_mm=6.0)
    save(twin, tmp_path / "a.h5")
    rays = ((-75.0, -300.0, 0.0), (-75.0, 300.0, 0.0))
    assert path_lengths_mm(load(tmp_path / "a.h5"), *rays) == path_lengths_mm(twin, *rays)
    part = Part(Cylinder((0.0, 0.0, 0.0), (1.0, 1.0), 1.0), "pmma")
    with pytest.raises(ValueError, match="name must differ"):
        phantoms.with_fine_part(twin, part, part, spacing_mm=(0.1,) * 3, name="10 mm -10 HU")


def test_dense_fine_parts_keep_a_hosts_own_density_in_their_lengths():
    body = phantoms.slab((40.0, 40.0, 40.0), "water", density_g_cm3=0.5, spacing_mm=4.0)
    host = Part(Box((0.0, 0.0, 0.0), (40.0, 40.0, 40.0)), "water", 0.5)
    part = Part(Box((0.0, 0.0, 0.0), (4.0, 4.0, 4.0)), "pmma")
    twin = phantoms.with_fine_part(body, part, host, spacing_mm=(1.0,) * 3, name="cube")
    lengths = path_lengths_mm(twin, (-100.0, 0.0, 0.0), (100.0, 0.0, 0.0))
    assert lengths == {"water": pytest.approx(0.5 * 36.0), "pmma": pytest.approx(4.0)}
    np.testing.assert_allclose(inset_mass_g(twin)["water"], -0.5 * 64 / 1000, rtol=1e-6)
