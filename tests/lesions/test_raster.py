"""A nodule has the volume asked for, whatever its form, its type or its lattice."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from lesions import Nodule
from lesions.harmonics import draw_harmonics, normalised_legendre
from lesions.measures import axial_diameters_mm, max_diameter_mm
from lesions.raster import WIDTH_10_90, centroid_mm, fine_spacing_mm, rasterise
from lesions.shape import form_power, shape_of

SPHERE = {"sh_sd": 0.0, "sh_sd_l2": 0.0}


def nodule(d=10.0, **fields) -> Nodule:
    return Nodule(**{"id": "a", "key": 1, "equivalent_diameter_mm": d, **fields})


FORMS = [
    {},
    {"lobulation": 4.0, "sphericity": 2.0, "margin_mm": 1.2},
    {"spiculation": 4.0, "lobulation": 3.0},
    {"type": "part_solid", "solid_core_ratio": 0.6, "margin_mm": 0.8},
    {"type": "ground_glass", "elongation": 0.7, "flatness": 0.5},
    {**SPHERE, "margin_mm": 0.0},
]


@pytest.mark.parametrize("d", [3.0, 6.0, 12.0, 30.0])
@pytest.mark.parametrize("form", FORMS)
def test_volume_is_exact_at_every_size_and_form(d, form):
    spec = nodule(d, **form)
    raster = rasterise(spec, spacing_mm=max(d / 30, 0.12))
    voxel = raster.grid.voxel_volume_mm3
    # The offset is solved to 1e-9 of a voxel; float32 storage leaves about 1e-8.
    assert raster.occupancy.sum(dtype=float) * voxel == pytest.approx(spec.target_volume_mm3, rel=1e-6)
    assert raster.profile.sum(dtype=float) * voxel == pytest.approx(spec.target_volume_mm3, rel=1e-6)
    assert raster.occupancy.min() >= 0
    assert raster.occupancy.max() <= 1
    if raster.core_occupancy is not None:
        core = raster.core_occupancy.sum(dtype=float) * voxel
        assert core == pytest.approx(spec.core_ratio**3 * spec.target_volume_mm3, rel=1e-6)
        assert np.all(raster.core_occupancy <= raster.occupancy)
        assert np.all(raster.core_profile <= raster.profile)


@pytest.mark.parametrize("h", [0.125, 0.25, 0.5])
def test_volume_does_not_depend_on_the_lattice(h):
    raster = rasterise(nodule(8.0, spiculation=3.0), spacing_mm=h)
    assert raster.occupancy.sum(dtype=float) * raster.grid.voxel_volume_mm3 == pytest.approx(
        math.pi / 6 * 512, rel=1e-6
    )


def test_the_form_does_not_depend_on_the_lattice():
    spec = nodule(9.0, lobulation=3.0)
    fine, coarse = (rasterise(spec, spacing_mm=h) for h in (0.15, 0.3))
    for a, b in zip(
        axial_diameters_mm(fine.grid, fine.body_mm, 0.0),
        axial_diameters_mm(coarse.grid, coarse.body_mm, 0.0),
        strict=True,
    ):
        assert a == pytest.approx(b, abs=0.15)  # half a coarse voxel: slices sit at other heights


@pytest.mark.parametrize("form", FORMS)
def test_the_centroid_is_the_origin(form):
    raster = rasterise(nodule(10.0, **form))
    np.testing.assert_allclose(centroid_mm(raster.grid, raster.occupancy), 0, atol=1e-9)


def test_a_sphere_is_a_sphere():
    raster = rasterise(nodule(10.0, **SPHERE, margin_mm=0.0))
    z, y, x = raster.grid.axes_mm()
    radius = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    np.testing.assert_allclose(raster.body_mm, 5 - radius, atol=2e-6)  # float32 of a few millimetres
    long_mm, short_mm = axial_diameters_mm(raster.grid, raster.body_mm, 0.0)
    # Highest slice within half a voxel of the equator: 10 (1 - (h/2)^2 / 2 / 25) = 9.997.
    assert long_mm == pytest.approx(10, abs=0.005)
    assert short_mm == pytest.approx(10, abs=0.005)
    assert max_diameter_mm(raster.grid, raster.occupancy, 0.5) == pytest.approx(10, rel=5e-3)


def test_an_ellipsoid_has_the_principal_axes_asked_for():
    spec = nodule(12.0, elongation=0.8, flatness=0.5, sh_sd=0.0, margin_mm=0.0)
    raster = rasterise(spec, spacing_mm=0.25)
    z, y, x = np.meshgrid(*raster.grid.axes_mm(), indexing="ij")
    points = np.stack((x, y, z)).reshape(3, -1)
    second = (points * raster.occupancy.ravel()) @ points.T / raster.occupancy.sum(dtype=float)
    axes = np.sqrt(np.linalg.eigvalsh(second))[::-1]
    np.testing.assert_allclose(axes / axes[0], [1, 0.8, 0.5], rtol=5e-3)  # a ramp one voxel wide adds h^2/12


def test_the_margin_has_its_width():
    raster = rasterise(nodule(16.0, **SPHERE, margin_mm=2.0), spacing_mm=0.2)
    centre = raster.grid.shape[1] // 2
    line = raster.profile[raster.grid.shape[0] // 2, centre, raster.grid.shape[2] // 2 :].astype(float)
    positions = np.arange(len(line)) * 0.2
    width = np.interp(-0.1, -line, positions) - np.interp(-0.9, -line, positions)
    # Blurred also by 0.35 voxel: sqrt(2.0^2 + (0.07 * 2.56)^2) = 2.008; linear reading between points 0.2 mm apart.
    assert width == pytest.approx(2.0, abs=0.03)
    assert pytest.approx(2 * 1.2815516, rel=1e-6) == WIDTH_10_90


def test_spectral_power_is_what_was_asked_for():
    harmonics = draw_harmonics(np.random.default_rng(2), sd_l2=0.12, sd=0.09, nu=3.0)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    values = harmonics.on(np.arccos(nodes), 80)
    mean_square = float((values**2).mean(axis=1) @ weights) / 2
    assert mean_square == pytest.approx(0.12**2 + 0.09**2, rel=1e-10)  # exact quadrature of a degree-24 polynomial


def test_harmonics_are_orthonormal():
    nodes, weights = np.polynomial.legendre.leggauss(40)
    p = normalised_legendre(12, np.arccos(nodes))
    for m in (0, 1, 5, 12):
        gram = 2 * math.pi * np.einsum("at,bt,t->ab", p[m:, m], p[m:, m], weights)
        np.testing.assert_allclose(gram, np.eye(13 - m), atol=1e-12)


def test_degree_two_is_a_quadratic_form_and_its_body_an_ellipsoid_without_waist():
    harmonics = draw_harmonics(np.random.default_rng(2), sd_l2=0.2, sd=0.1, nu=3.0)
    theta, phi = np.linspace(0.1, 3.0, 7), 2 * np.pi * np.arange(8) / 8
    s = np.sin(theta)[:, None]
    u = np.stack((s * np.cos(phi), s * np.sin(phi), np.cos(theta)[:, None] + 0 * phi), axis=-1)
    second = harmonics.on(theta, 8) - harmonics.from_degree(3).on(theta, 8)
    np.testing.assert_allclose(second, np.einsum("tpi,ij,tpj->tp", u, harmonics.quadratic(), u), atol=1e-12)
    body = shape_of(nodule(10.0, sh_sd=0.0, sh_sd_l2=0.25)).body
    points = body.surface_mm(4) - body.centre_mm
    quadratic = np.stack([a * b for a, b in itertools.combinations_with_replacement(points.T, 2)], axis=1)
    fitted = np.linalg.lstsq(quadratic, np.ones(len(points)), rcond=None)[0]
    np.testing.assert_allclose(quadratic @ fitted, 1, atol=1e-9)


def test_ratings_set_the_power_and_overrides_replace_it():
    def mean_sd(**fields):
        return np.mean([form_power(nodule(10.0, key=k, **fields))[1] for k in range(300)])

    # ln sd = -2.82 + .17 (lob - 1) + ...: three more points of lobulation multiply by exp(.51) = 1.67, less the cap.
    assert mean_sd(lobulation=4.0) / mean_sd() == pytest.approx(math.exp(3 * 0.17), rel=0.03)
    assert form_power(nodule(10.0, sh_sd=0.05, sh_sd_l2=0.01, sh_nu=3.5)) == (0.01, 0.05, 3.5)


def test_a_key_is_a_form():
    one, same, other = (rasterise(nodule(8.0, key=k, spiculation=3.0)) for k in (5, 5, 6))
    np.testing.assert_array_equal(one.occupancy, same.occupancy)
    assert one.grid == same.grid
    assert one.occupancy.shape != other.occupancy.shape or np.any(one.occupancy != other.occupancy)


def test_size_scales_the_form():
    # Overrides fix the power, so that a doubled nodule is the same body doubled.
    small, large = (shape_of(nodule(d, sh_sd=0.1, sh_sd_l2=0.1, sh_nu=3.0)).body for d in (8.0, 16.0))
    np.testing.assert_allclose(large.radius_mm, 2 * small.radius_mm, rtol=1e-12)


@pytest.mark.parametrize("rating", [1.0, 2.9])
def test_below_rating_three_nothing_is_spiculated(rating):
    assert shape_of(nodule(spiculation=rating)).n_spicules == 0


def test_spicules_stand_out_of_the_body_and_count_as_asked():
    spec = nodule(12.0, spiculation=5.0, n_spicules=20, margin_mm=0.2)
    raster = rasterise(spec)
    outside = (raster.body_mm < -0.5) & (raster.occupancy > 0.5)
    assert raster.n_spicules == 20
    assert outside.any()
    assert max_diameter_mm(raster.grid, raster.occupancy, 0.5) > 1.3 * max(
        axial_diameters_mm(raster.grid, raster.body_mm, 0.0)
    )


def test_the_lattice_follows_the_size():
    assert [fine_spacing_mm(d) for d in (3.0, 10.0, 30.0)] == [0.1, 0.25, 0.5]


def test_a_lattice_too_coarse_for_the_nodule_is_refused():
    with pytest.raises(ValueError, match="too coarse"):
        rasterise(nodule(3.0), spacing_mm=8.0)


def test_a_body_stands_on_its_own_centroid():
    body = shape_of(nodule(10.0, sh_sd=0.2, sh_sd_l2=0.2, sh_nu=2.0)).body
    theta = np.linspace(0, math.pi, body.radius_mm.shape[0])
    radius = body.radius_mm[:, :-1]
    directions = (body.surface_mm() - body.centre_mm).reshape(*radius.shape, 3) / radius[..., None]
    solid_angle = np.sin(theta)[:, None]
    centroid = (radius**4 * solid_angle)[..., None] * directions / 4
    centroid = centroid.sum(axis=(0, 1)) / (radius**3 * solid_angle / 3).sum() + body.centre_mm
    assert np.linalg.norm(body.centre_mm) > 0.1  # the star centre is elsewhere, so the test can fail
    np.testing.assert_allclose(centroid, 0, atol=2e-3)  # midpoint sums of the table, step 1.4 degrees


def test_distances_are_true_at_the_surface_of_an_oblong_body():
    raster = rasterise(nodule(16.0, elongation=0.5, flatness=0.5, sh_sd=0.0, margin_mm=0.0), spacing_mm=0.25)
    gradient = np.sqrt(sum(g**2 for g in np.gradient(raster.body_mm.astype(float), 0.25)))
    at_surface = np.abs(raster.body_mm) < 0.2
    # First order in the distance: |grad phi| is 1 on the surface, off by curvature times distance (0.2 mm / 2.5 mm
    # at the tips).
    assert gradient[at_surface].mean() == pytest.approx(1, abs=0.02)
    assert np.percentile(np.abs(gradient[at_surface] - 1), 95) < 0.08


@pytest.mark.slow
def test_drawn_forms_look_like_those_of_lidc():
    from lesions import draw

    rows = []
    for spec in draw(np.random.default_rng(5), 250, diameter_mm=(6.0, 30.0)):
        raster = rasterise(spec, spacing_mm=max(spec.target_diameter_mm / 24, 0.3))
        long_mm, short_mm = axial_diameters_mm(raster.grid, raster.body_mm, 0.0)
        points = np.stack(np.meshgrid(*raster.grid.axes_mm(), indexing="ij")).reshape(3, -1)
        second = (points * raster.occupancy.ravel()) @ points.T
        axes = np.sqrt(np.linalg.eigvalsh(second))[::-1]
        rows.append((short_mm / long_mm, axes[1] / axes[0], axes[2] / axes[0]))
    found = np.percentile(rows, [10, 50, 90], axis=0).T
    # LIDC-IDRI nodules from 6 mm (three or more readers): axial short/long, elongation, flatness. A tenth: readers
    # differ by more.
    np.testing.assert_allclose(found, [(0.62, 0.80, 0.91), (0.63, 0.81, 0.91), (0.44, 0.63, 0.78)], atol=0.1)


@pytest.mark.parametrize("key", range(6))
def test_a_large_core_fits_into_any_form(key):
    spec = nodule(6.0, key=key, type="part_solid", solid_core_ratio=0.9, lobulation=5.0, sphericity=1.0)
    raster = rasterise(spec)
    for core, whole in ((raster.core_occupancy, raster.occupancy), (raster.core_profile, raster.profile)):
        assert np.all(core <= whole)
        volume = core.sum(dtype=float) * raster.grid.voxel_volume_mm3
        assert volume == pytest.approx(0.9**3 * spec.target_volume_mm3, rel=1e-6)  # float32 storage
