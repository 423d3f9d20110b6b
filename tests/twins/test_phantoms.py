"""Phantoms hold exactly the mass that their geometry says, voxel by voxel and along any ray."""

import math

import numpy as np
import pytest

from twins import phantoms
from twins.grid import Grid
from twins.materials import material
from twins.phantoms import Part, ball, cylinder, path_lengths_mm, rod, slab, sphere, with_wire
from twins.solids import Box
from twins.store import load, save
from twins.structures import Structure


def masses_g(twin):
    """Mass of every material in the base [g]."""
    density = twin.density.astype(float) * 1e-4
    b = twin.fraction_b / 65535 * density
    volume = twin.grid.voxel_volume_mm3 / 1000
    total = dict.fromkeys((m.name for m in twin.materials), 0.0)
    for position, m in enumerate(twin.materials):
        total[m.name] += (density - b)[twin.material_a == position].sum() * volume
        total[m.name] += b[twin.material_b == position].sum() * volume
    return total


@pytest.mark.parametrize("spacing_mm", [1.0, 3.7, (2.0, 1.0, 1.5)])
def test_a_water_cylinder_weighs_its_volume(spacing_mm):
    twin = cylinder((120.0, 90.0), 33.0, spacing_mm=spacing_mm)
    exact = math.pi * 60 * 45 * 33 / 1000
    # density is stored in steps of 1e-4 g/cm3, so a surface voxel errs by 5e-5
    assert masses_g(twin)["water"] == pytest.approx(exact, rel=1e-4)


def test_inserts_take_their_volume_out_of_the_body():
    twin = cylinder(
        100.0,
        20.0,
        inserts=[rod(20.0, 20.0, "cortical_bone", at_mm=(25.0, 0.0)), ball(12.0, "teflon", at_mm=(-25.0, 5.0, 0.0))],
        spacing_mm=1.3,
    )
    mass = masses_g(twin)
    bone, teflon = math.pi * 100 * 20 / 1000, 4 / 3 * math.pi * 216 / 1000
    assert mass["cortical_bone"] == pytest.approx(1.92 * bone, rel=3e-4)
    assert mass["teflon"] == pytest.approx(2.16 * teflon, rel=3e-4)
    assert mass["water"] == pytest.approx(math.pi * 2500 * 20 / 1000 - bone - teflon, rel=3e-4)


def test_a_voxel_cut_in_half_is_half_by_volume_and_nearly_all_water_by_mass():
    twin = slab((4.0, 4.0, 4.0), grid=Grid((1, 1, 8), (1.0, 1.0, 1.0), (-3.5 - 0.5, 0.0, 0.0)))
    position = [m.name for m in twin.materials].index("water")
    cut = 2  # its centre is at x = -2, the slab's face
    assert twin.density[0, 0, cut] == round((0.5 * 1.0 + 0.5 * 0.001205) * 1e4)
    b_is_water = twin.material_b[0, 0, cut] == position
    fraction = twin.fraction_b[0, 0, cut] / 65535
    assert (fraction if b_is_water else 1 - fraction) == pytest.approx(0.5 / 0.5006025, abs=1e-5)


def test_ray_sums_of_the_voxels_agree_with_the_exact_lengths():
    twin = cylinder(60.0, 30.0, inserts=[rod(16.0, 30.0, "pmma", at_mm=(12.0, 0.0))], spacing_mm=1.0)
    z, y, x = twin.grid.axes_mm()
    middle = len(z) // 2
    density = twin.density[middle].astype(float) * 1e-4
    column = density.sum(axis=0) * 1.0  # g/cm3 * mm along y
    fine = np.linspace(-0.5, 0.5, 41)[:, None] * 0.975 + x[None, :]
    source = np.stack([fine, np.full_like(fine, -100), np.full_like(fine, z[middle])], axis=-1)
    lengths = path_lengths_mm(twin, source, source + np.array([0.0, 200.0, 0.0]))
    inside = lengths["water"] + 1.18 * lengths["pmma"]
    air = 0.001205 * (len(y) - (lengths["water"] + lengths["pmma"]))
    # both average over the voxel's width; 41 rays sample an edge with vertical tangent to about 0.1 mm
    np.testing.assert_allclose(column, (inside + air).mean(axis=0), atol=0.12)
    assert column.sum() == pytest.approx((inside + air).mean(axis=0).sum(), rel=2e-4)


def test_line_integrals_weigh_lengths_with_attenuation_and_density():
    twin = cylinder(100.0, 40.0, density_g_cm3=0.5, inserts=[ball(20.0, "cortical_bone")], spacing_mm=4.0)
    got = phantoms.line_integrals(twin, (-300, 0, 0), (300, 0, 0), {"water": 0.02, "cortical_bone": 0.08})
    assert got == pytest.approx(0.5 * 80 * 0.02 + 20 * 0.08, abs=1e-12)
    with pytest.raises(ValueError, match="mu_per_mm lacks cortical_bone"):
        phantoms.line_integrals(twin, (-300, 0, 0), (300, 0, 0), {"water": 0.02})


def test_the_exact_lengths_survive_saving(tmp_path):
    twin = with_wire(sphere(50.0, "pmma", spacing_mm=4.0), 0.2, 30.0, at_mm=(40.0, 0.0, 0.0))
    save(twin, tmp_path / "a.h5")
    rays = ((-100.0, 0.01, 0.0), (100.0, 0.01, 0.0))
    before, after = path_lengths_mm(twin, *rays), path_lengths_mm(load(tmp_path / "a.h5"), *rays)
    assert before == after
    assert before["tungsten"] == pytest.approx(2 * math.sqrt(0.01 - 0.0001), abs=1e-12)
    assert before["air"] == -before["tungsten"]


def test_a_wire_weighs_what_it_should_and_displaces_its_host():
    twin = with_wire(sphere(50.0, spacing_mm=4.0), 0.1, 20.0, "tungsten", host="water", slope=(0.02, 0.0))
    (inset,) = twin.insets
    volume_cm3 = math.pi * 0.05**2 * 20 / 1000
    change = inset.delta_g_cm3.astype(float).sum(axis=(1, 2, 3)) * inset.grid.voxel_volume_mm3 / 1000
    np.testing.assert_allclose(change, [19.3 * volume_cm3, -1.0 * volume_cm3], rtol=1e-3)  # quadrature at slanted ends


def test_air_is_nothing_but_air():
    twin = phantoms.air((40.0, 40.0, 40.0), spacing_mm=4.0)
    assert set(np.unique(twin.density)) == {12}
    assert not twin.structure.any()


def test_structure_names_what_fills_most_of_a_voxel():
    twin = cylinder(
        100.0, 20.0, inserts=[rod(20.0, 20.0, "lung_tissue", structure=Structure.LEFT_LUNG)], spacing_mm=2.0
    )
    volume = (twin.structure == Structure.LEFT_LUNG).sum() * twin.grid.voxel_volume_mm3
    assert volume == pytest.approx(math.pi * 100 * 20, rel=0.05)  # whole voxels
    assert twin.structure[0, 0, 0] == Structure.OUTSIDE


def test_what_a_voxel_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="more than two materials"):
        cylinder(
            100.0,
            20.0,
            inserts=[rod(20.0, 20.0, "teflon", at_mm=(0.9, 0.0)), rod(20.0, 20.0, "pmma", at_mm=(21.2, 0.0))],
            spacing_mm=2.0,
        )
    with pytest.raises(ValueError, match="must not overlap"):
        cylinder(100.0, 20.0, inserts=[rod(20.0, 20.0, "teflon"), rod(20.0, 20.0, "pmma", at_mm=(15.0, 0.0))])
    with pytest.raises(ValueError, match="must lie inside"):
        cylinder(100.0, 20.0, inserts=[rod(20.0, 20.0, "teflon", at_mm=(50.0, 0.0))], spacing_mm=2.0)
    with pytest.raises(ValueError, match=r"at most 6\.55.*with_wire"):
        cylinder(100.0, 20.0, inserts=[rod(20.0, 20.0, "tungsten")], spacing_mm=2.0)
    with pytest.raises(ValueError, match="unknown material 'watr'"):
        cylinder(100.0, 20.0, "watr")
    with pytest.raises(ValueError, match="density_g_cm3"):
        Part(Box((0, 0, 0), (1, 1, 1)), "water", -1.0)


def test_only_phantoms_have_exact_path_lengths():
    import dataclasses

    twin = dataclasses.replace(phantoms.air(spacing_mm=10.0), provenance={"kind": "patient"})
    with pytest.raises(ValueError, match="'patient'"):
        path_lengths_mm(twin, (0, 0, 0), (1, 1, 1))


def test_a_custom_material_is_taken_as_given():
    twin = slab((20.0, 20.0, 20.0), material("pmma"), density_g_cm3=1.19, spacing_mm=2.0)
    assert twin.density.max() == 11900
