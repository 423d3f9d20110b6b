"""The couch: its paths against sampling, its symmetry and mass, and where it stands under a body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctsim.basis import coefficients
from ctsim.couch import couch_path_g_cm2, couch_top_mm
from ctsim.tabletop import Couch
from ctsim.voxels import room_air_g_cm3
from twins import material
from twins.phantoms import air, cylinder, slab

from .scans import geometry

FLAT = Couch(width_mm=400.0, thickness_mm=40.0, shell_mm=1.5, shell_material="carbon_fibre", core_material="couch_foam")
CRADLE = FLAT.model_copy(update={"sag_mm": 35.0, "mattress_mm": 12.0, "mattress_material": "mattress_foam"})
TOP_MM = (12.0, 130.0)


def basis_g_cm3(name):
    c = coefficients(material(name))
    return np.array([c.basis_0, c.basis_1]) * material(name).density_g_cm3 - room_air_g_cm3()[:2]


def matter_g_cm3(couch, x, y, top_mm):
    """Basis densities of the cross-section at points, ``(2, ...)``: the definition, with no geometry of rays."""
    from_middle = x - top_mm[0]
    depth = y - (top_mm[1] + couch.mattress_mm) + couch.sag_mm * (2 * from_middle / couch.width_mm) ** 2
    out = np.zeros((2, *np.shape(x)))
    inside = np.abs(from_middle) <= couch.width_mm / 2
    low = couch.thickness_mm - couch.shell_mm
    core = inside & (np.abs(from_middle) <= couch.width_mm / 2 - couch.shell_mm) & (couch.shell_mm <= depth)
    core &= depth <= low
    body = inside & (depth >= 0) & (depth <= couch.thickness_mm)
    soft = inside & (depth >= -couch.mattress_mm) & (depth < 0)
    for where, name in ((core, couch.core_material), (body & ~core, couch.shell_material)):
        out += where * basis_g_cm3(name).reshape(2, *[1] * np.ndim(x))
    if couch.mattress_material is not None:
        out += soft * basis_g_cm3(couch.mattress_material).reshape(2, *[1] * np.ndim(x))
    return out


def sampled(couch, g, view, top_mm, n=200_000):
    """Sums over n points of each ray of a view, ``(2, C)`` [g/cm2]."""
    k = view % len(g.deflection_mm)
    x, y, _ = g.source_mm()[view]
    out = np.empty((2, g.shape[2]))
    for c, (gamma, length) in enumerate(zip(g.fan_angle_rad()[k], g.cell_distance_mm()[k], strict=True)):
        s = (np.arange(n) + 0.5) / n * length
        turned = g.view_angle_rad[view] - gamma
        points = matter_g_cm3(couch, x - s * np.cos(turned), y - s * np.sin(turned), top_mm)
        out[:, c] = points.sum(axis=1) * length / n / 10
    return out


@pytest.mark.parametrize("couch", [FLAT, CRADLE], ids=["flat", "cradle"])
@pytest.mark.parametrize("start_deg", [0.0, 33.0, 90.0, 217.0, 269.9])
def test_paths_are_those_of_sampled_matter(couch, start_deg):
    flying = np.array([[0.7, 0.0, 0.0], [-0.7, 3.0, 0.4]])
    g = replace(geometry(views=4, columns=24, pitch_iso_mm=16.0, start_rad=np.radians(start_deg)), deflection_mm=flying)
    path = couch_path_g_cm2(couch, g, slice(0, 2), TOP_MM)
    for view in range(2):
        # a shell's end falls between two samples: 1 / 200000 of 1086 mm of carbon at most, 4 ends
        np.testing.assert_allclose(path[:, view], sampled(couch, g, view, TOP_MM), atol=4 * 0.00543 * 0.15 + 1e-5)
    assert path[0].max() > 0.3


def test_the_middle_of_a_ray_from_above_sees_the_layers():
    g = geometry(views=4, columns=1, pitch_iso_mm=1.0, offset=0.0, start_rad=-np.pi / 2, isocentre_mm=(12.0, 0.0))
    path = couch_path_g_cm2(CRADLE, g, slice(0, 1), TOP_MM)[:, 0, 0]
    expected = 0.3 * basis_g_cm3("carbon_fibre") + 3.7 * basis_g_cm3("couch_foam") + 1.2 * basis_g_cm3("mattress_foam")
    np.testing.assert_allclose(path, expected, rtol=1e-6)


def test_opposite_rays_and_mirrored_views_see_the_same():
    g = geometry(views=360, columns=201, pitch_iso_mm=2.5, offset=0.0)
    path = couch_path_g_cm2(CRADLE, g, slice(None), (0.0, 120.0))
    mirrored = (180 - np.arange(360)) % 360  # x to -x: beta to pi - beta, and the fan turned round
    np.testing.assert_allclose(path[:, mirrored, ::-1], path, atol=2e-5)


def test_a_fan_that_sees_all_of_it_weighs_the_cross_section():
    # sum over the fan of path x distance x angle is the mass only for matter at one distance: so a narrow, far couch
    far = FLAT.model_copy(update={"width_mm": 200.0, "thickness_mm": 5.0})
    g = replace(geometry(views=1, columns=20001, pitch_iso_mm=0.03, offset=0.0, start_rad=-np.pi / 2))
    top = (0.0, 0.0)
    path = couch_path_g_cm2(far, g, slice(0, 1), top)[:, 0].astype(float)
    fan = g.fan_angle_rad()[0]
    seen_mm = (g.source_distance_mm + far.thickness_mm / 2) * np.gradient(np.tan(fan))
    mass = (path * np.cos(fan) * seen_mm).sum(axis=1) / 10
    core_cm2 = (20.0 - 0.3) * (0.5 - 0.3)
    expected = basis_g_cm3("couch_foam") * core_cm2 + basis_g_cm3("carbon_fibre") * (20.0 * 0.5 - core_cm2)
    np.testing.assert_allclose(mass, expected, rtol=1e-3)


def test_views_of_a_slice_are_those_of_the_whole():
    g = replace(geometry(views=12, columns=16, pitch_iso_mm=20.0), deflection_mm=np.array([[0.5, 0, 0], [-0.5, 0, 0]]))
    whole = couch_path_g_cm2(CRADLE, g, slice(None), TOP_MM)
    np.testing.assert_array_equal(couch_path_g_cm2(CRADLE, g, slice(5, 9), TOP_MM), whole[:, 5:9])


def test_a_round_body_lies_on_the_middle_of_a_flat_couch():
    body = cylinder(200.0, 8.0, spacing_mm=2.0, centre_mm=(5.0, -7.0, 0.0))
    x, y = couch_top_mm(body, FLAT, 5.0)
    assert x == 5.0
    assert 93.0 <= y <= 93.0 + 2.0  # the lowest voxel that counts as body, a voxel lower at most


def test_the_body_overlaps_no_cradle_and_touches_it():
    body = slab((300.0, 100.0, 8.0), spacing_mm=2.0)
    x, y = couch_top_mm(body, CRADLE, 10.0)
    # the corner at -150 is 160 mm from the middle: the cradle stands 35 (160 / 200)^2 higher there
    assert y == pytest.approx(50.0 + 35.0 * (160 / 200) ** 2, abs=1.0)
    mm = np.arange(-200, 201) * 0.9
    points_y, points_x = np.meshgrid(mm, mm, indexing="ij")
    inside = (np.abs(points_x) < 150) & (np.abs(points_y) < 50)
    assert not matter_g_cm3(CRADLE, points_x, points_y, (x, y))[:, inside].any()


def test_where_there_is_no_body_the_lattice_lies_on_it():
    assert couch_top_mm(air((100.0, 60.0, 20.0), spacing_mm=2.0), FLAT, 0.0) == (0.0, pytest.approx(30.0))


def test_a_material_beyond_the_basis_is_refused():
    metal = FLAT.model_copy(update={"shell_material": "copper"})
    with pytest.raises(ValueError, match="couch: material 'copper'"):
        couch_path_g_cm2(metal, geometry(views=1), slice(0, 1), TOP_MM)
