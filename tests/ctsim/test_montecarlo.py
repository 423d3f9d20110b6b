"""The Monte Carlo: angular laws, attenuation, conservation, single scatter against its integral."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ctsim import load_profile
from ctsim.attenuation import mass_attenuation
from ctsim.kernels import montecarlo as kernel
from ctsim.scatter import Cylinder, VoxelBody, setup, simulate_kerma, simulate_scatter
from ctsim.scatter.body import pack_body
from ctsim.scatter.interactions import GRID_KEV, air_kerma_coefficient_cm2_g, interactions, klein_nishina
from ctsim.scatter.montecarlo import MGY_MM3_PER_KEV_CM2_G_MM
from twins import material

PROFILE = load_profile("siemens_definition_as")
SCANNER = PROFILE.scanner
AXIAL = PROFILE.protocol("axial").acquisition()
WATER = material("water")


def drawn(draw, n: int):
    state, buffer = np.array([0, 0, 0, 12, 34, 4], np.int64), np.empty(4)
    return np.array([draw(state, buffer) for _ in range(n)])


@pytest.mark.parametrize("energy", [30.0, 60.0, 120.0])
def test_free_electrons_scatter_by_klein_nishina(energy):
    free = np.ones((1, 1251))
    got = drawn(lambda s, b: kernel.draw_incoherent(energy, 0, free, s, b), 40000)
    cosine = np.linspace(-1, 1, 4001)
    law = klein_nishina(np.asarray(energy), cosine)
    for power in (1, 2):
        mean = np.trapezoid(law * cosine**power, cosine) / np.trapezoid(law, cosine)
        assert np.mean(got[:, 0] ** power) == pytest.approx(mean, abs=4 * 0.6 / 200)
    after = energy / (1 + energy / kernel.ELECTRON_KEV * (1 - got[:, 0]))
    np.testing.assert_allclose(got[:, 1], after, rtol=1e-12)


def test_klein_nishina_integrates_to_thomson_at_low_energy():
    cosine = np.linspace(-1, 1, 4001)
    total = 2 * np.pi * np.trapezoid(klein_nishina(np.asarray(0.01), cosine), cosine)
    assert total == pytest.approx(8 * np.pi / 3, rel=1e-4)


@pytest.mark.parametrize("process", ["coherent", "incoherent"])
@pytest.mark.parametrize("energy", [30.0, 80.0])
def test_bound_electrons_scatter_by_form_factor_and_scattering_function(process, energy):
    tables = interactions([WATER])
    if process == "coherent":
        got = drawn(lambda s, b: kernel.draw_coherent(energy, 0, tables.form_cumulated, s, b), 30000)
    else:
        got = drawn(lambda s, b: kernel.draw_incoherent(energy, 0, tables.bound, s, b)[0], 30000)
    cosine = 1 - np.linspace(0, math.sqrt(2), 6001) ** 2
    x = energy / kernel.HC_KEV_ANGSTROM * np.sqrt((1 - cosine) / 2)
    grid = np.arange(tables.form.shape[1]) * kernel.X_STEP
    if process == "coherent":
        law = np.interp(x, grid, tables.form[0]) * (1 + cosine**2) / 2
        norm = tables.coherent_norm[0, int(energy - 10)]
    else:
        law = np.interp(x, grid, tables.bound[0]) * klein_nishina(np.asarray(energy), cosine)
        norm = tables.incoherent_norm[0, int(energy - 10)]
    total = -np.trapezoid(law, cosine)
    assert 2 * np.pi * total == pytest.approx(norm, rel=2e-3)
    for power in (1, 2):
        mean = -np.trapezoid(law * cosine**power, cosine) / total
        assert np.mean(got**power) == pytest.approx(mean, abs=4 * np.std(got**power) / len(got) ** 0.5 + 1e-4)


def test_angular_functions_add_up_to_the_cross_sections_of_another_table():
    """r_e^2 N_A times Hubbell's F^2 and S integrated over all angles is Elam's cross-section."""
    barn_mol = 0.0794079 * 0.602214  # r_e^2 [barn] x N_A [1/mol], together [cm2/mol]
    tables = interactions([WATER, material("pmma"), material("cortical_bone")])
    for norm, section, bar in (
        (tables.coherent_norm, tables.coherent_cm2_g, 0.06),
        (tables.incoherent_norm, tables.incoherent_cm2_g, 0.02),
    ):
        np.testing.assert_allclose(barn_mol * norm[:, 20:], section[:, 20:], rtol=bar)  # 30 keV and above


def without_scatter(tables):
    return replace(
        tables, coherent_cm2_g=np.zeros_like(tables.total_cm2_g), incoherent_cm2_g=np.zeros_like(tables.total_cm2_g)
    )


def test_kerma_falls_off_by_beer_lambert_where_all_collisions_absorb(monkeypatch):
    real = setup.interactions
    monkeypatch.setattr(setup, "interactions", lambda m: without_scatter(real(m)))
    body = [Cylinder(WATER, (50.0, 50.0), z_mm=(-75, 75))]
    got = simulate_kerma(body, SCANNER, AXIAL, [(0, 4, 10)], n_photons=2_500_000, key=5)
    beam = setup.photon_beam(SCANNER, AXIAL)
    energy = np.arange(10.5, 150)
    mu = mass_attenuation(WATER, energy) / 10
    weight = np.interp(energy, GRID_KEV, air_kerma_coefficient_cm2_g())
    at_axis = beam.spectrum_per_mm2_mas * (beam.distances_mm[1] / beam.distances_mm[0]) ** 2
    want = (at_axis * energy * weight * np.exp(-50 * mu)).sum() * MGY_MM3_PER_KEV_CM2_G_MM
    assert got.kerma_mgy_per_mas[0] == pytest.approx(want, abs=4 * got.error_mgy_per_mas[0])
    assert got.error_mgy_per_mas[0] < 0.02 * want


def test_energy_is_conserved():
    body = [Cylinder(WATER, (120.0, 90.0)), Cylinder(material("cortical_bone"), (20.0, 20.0), (0.0, 40.0))]
    got = simulate_kerma(body, SCANNER, AXIAL, [], n_photons=64_000, key=3)
    assert got.absorbed_fraction + got.escaped_fraction == pytest.approx(1, abs=2e-3)
    assert 0.1 < got.absorbed_fraction < 0.9


def test_the_first_scatter_is_its_integral():
    """Sum over points of a small cylinder of fluence x cross-section x way out, for both processes."""
    radius, half = 40.0, 60.0
    body = [Cylinder(WATER, (radius, radius), z_mm=(-half, half))]
    columns = 6
    got = simulate_scatter(body, SCANNER, AXIAL, n_photons=500_000, key=11, bins=(1, columns))
    width = np.diff(got.fan_angle_rad).mean()
    sub = (np.arange(6) + 0.5) / 6 - 0.5
    fine = (got.fan_angle_rad[:, None] + width * sub).ravel()
    top = setup.photon_beam(SCANNER, AXIAL).window[3]
    heights = (np.arange(4) + 0.5) / 4 * top  # the other half is its mirror image
    want = np.mean([single_scatter(radius, fine, v) for v in heights], axis=0).reshape(2, columns, 6).mean(axis=-1)
    error = got.error_kev[0] / got.scatter_kev[0]
    assert error.max() < 0.02
    np.testing.assert_allclose(got.parts_kev[:2, 0], want, rtol=0.05)


def single_scatter(radius, gamma, v):
    """(2, columns): first coherent and incoherent scatter per mm2 at height v, by a sum over points."""
    beam = setup.photon_beam(SCANNER, AXIAL)
    sid, sdd = beam.distances_mm
    tables = interactions([WATER])
    mu_table = tables.total_cm2_g[0] / 10
    depth = setup.scintillator_depth(SCANNER)[0]
    axis = (np.arange(16) + 0.5) / 16 * 2 - 1
    heights = (np.arange(6) + 0.5) / 6 * 2 - 1
    high = beam.window[3] / sdd
    x, y, s = (a.ravel() for a in np.meshgrid(axis * radius, axis * radius, heights * high))
    inside = x * x + y * y < radius * radius
    x, y, s = x[inside], y[inside], s[inside]
    far = np.hypot(sid - x, y)  # in-plane distance from the source at (sid, 0)
    z = s * far
    volume = (2 * high / 6) * far * (math.pi * radius**2 / (inside.sum() / 6))
    ray = np.stack([x - sid, y, z], axis=-1)
    length = np.linalg.norm(ray, axis=-1)
    ray /= length[:, None]
    # distance along -ray to the edge of the cylinder
    way_in = chord(x, y, -ray, radius)
    fan = np.arctan2(y, sid - x)
    at = (fan - beam.window[0]) / (beam.window[1] - beam.window[0])
    out = np.zeros((2, len(gamma)))
    grid_x = np.arange(tables.form.shape[1]) * kernel.X_STEP
    for c, g in enumerate(gamma):
        e_in = np.array([-np.cos(g), np.sin(g)])
        cell = np.array([sid + sdd * -np.cos(g), sdd * np.sin(g), v])
        way = cell - np.stack([x, y, z], axis=-1)
        distance = np.linalg.norm(way, axis=-1)
        way /= distance[:, None]
        facing = way[:, :2] @ e_in
        cosine = (way * ray).sum(axis=-1)
        way_out = chord(x, y, way, radius)
        for i in range(0, 140, 4):
            photons = beam.spectrum_per_mm2_mas[i : i + 4]
            if photons.sum() == 0:
                continue
            energy = photons @ np.arange(i + 10.5, i + 14) / photons.sum()
            bowtie = np.interp(
                at, np.linspace(0, 1, len(beam.bowtie)), [np.interp(energy, GRID_KEV, row) for row in beam.bowtie]
            )
            fluence = photons.sum() * (sdd / length) ** 2 * bowtie
            fluence *= np.exp(-np.interp(energy, GRID_KEV, mu_table) * way_in)
            xs = energy / kernel.HC_KEV_ANGSTROM * np.sqrt((1 - cosine) / 2)
            after = energy / (1 + energy / kernel.ELECTRON_KEV * (1 - cosine))
            laws = (
                (
                    tables.coherent_cm2_g,
                    tables.coherent_norm,
                    np.interp(xs, grid_x, tables.form[0]),
                    energy + 0 * after,
                ),
                (tables.incoherent_cm2_g, tables.incoherent_norm, np.interp(xs, grid_x, tables.bound[0]), after),
            )
            for part, (section, norm, law, e) in enumerate(laws):
                angular = (1 + cosine**2) / 2 if part == 0 else klein_nishina(np.asarray(energy), cosine)
                per_mm = np.interp(energy, GRID_KEV, section[0]) / 10 * angular * law
                per_mm /= np.interp(energy, GRID_KEV, norm[0])
                eta = -np.expm1(-np.interp(e, GRID_KEV, depth) / facing)
                out_way = np.exp(-np.interp(e, GRID_KEV, mu_table) * way_out)
                seen = np.where(e > 10, fluence * per_mm * out_way * eta * e * facing / distance**2, 0)
                out[part, c] += (seen * volume).sum()
    return out


def chord(x, y, direction, radius):
    """Way from points inside a long cylinder to its edge."""
    a = direction[:, 0] ** 2 + direction[:, 1] ** 2
    b = x * direction[:, 0] + y * direction[:, 1]
    return (-b + np.sqrt(b * b - a * (x * x + y * y - radius**2))) / a


def test_voxels_and_cylinders_agree():
    n, spacing = 40, 5.0
    middle = (np.arange(n) + 0.5 - n / 2) * spacing
    inside = middle[:, None] ** 2 + middle**2 <= 80.0**2
    index = np.broadcast_to(np.zeros_like(inside, np.uint8), (24, n, n))
    density = np.broadcast_to(inside.astype(np.float32), (24, n, n))
    first = (-11.5 * 5.0, float(middle[0]), float(middle[0]))
    voxels = VoxelBody((WATER,), index, density, first, (5.0, spacing, spacing))
    same_area = math.sqrt(inside.sum() * spacing**2 / math.pi)
    cylinder = [Cylinder(WATER, (same_area, same_area), z_mm=(-60, 60))]
    one = simulate_scatter(voxels, SCANNER, AXIAL, n_photons=60_000, key=1, bins=(1, 4))
    other = simulate_scatter(cylinder, SCANNER, AXIAL, n_photons=60_000, key=2, bins=(1, 4))
    gap = np.abs(one.scatter_kev - other.scatter_kev)
    assert np.all(gap <= 4 * np.hypot(one.error_kev, other.error_kev) + 0.02 * other.scatter_kev)
    np.testing.assert_allclose(one.air_kev, other.air_kev)
    assert one.primary_kev.sum() == pytest.approx(other.primary_kev.sum(), rel=0.02)


def test_paths_through_nested_cylinders_replace_what_they_displace():
    lung = material("lung_tissue")
    packed = pack_body([Cylinder(WATER, (100.0, 100.0)), Cylinder(lung, (50.0, 50.0), density_g_cm3=0.25)])
    path = np.zeros(2)
    kernel.path_g_cm2(500.0, 0.0, 0.0, -1.0, 0.0, 0.0, *packed.arrays(), path)
    np.testing.assert_allclose(path, [10.0, 2.5], rtol=1e-12)


def test_the_same_key_gives_the_same_bytes_for_any_number_of_threads(on_one_and_all_threads):
    body = [Cylinder(WATER, (60.0, 60.0))]
    runs = on_one_and_all_threads(
        lambda: simulate_scatter(body, SCANNER, AXIAL, n_photons=3200, key=9).scatter_kev.tobytes()
    )
    other = simulate_scatter(body, SCANNER, AXIAL, n_photons=3200, key=10).scatter_kev.tobytes()
    assert len(set(runs)) == 1
    assert other not in runs


def test_bad_bodies_are_refused():
    with pytest.raises(ValueError, match="must lie inside cylinder 0"):
        pack_body([Cylinder(WATER, (50.0, 50.0)), Cylinder(WATER, (20.0, 20.0), (45.0, 0.0))])
    with pytest.raises(ValueError, match="n_photons must lie in"):
        simulate_scatter([Cylinder(WATER, (50.0, 50.0))], SCANNER, AXIAL, n_photons=1, key=0)
    with pytest.raises(ValueError, match="key must be"):
        simulate_scatter([Cylinder(WATER, (50.0, 50.0))], SCANNER, AXIAL, n_photons=3200, key=-1)
