"""Transmissions averaged over focal spot and view: the design's moments, and how fast it converges."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, qmc

from ctsim import Sampling, load_profile
from ctsim.basis import basis_curves
from ctsim.protocol import Acquisition
from ctsim.rays import RayPoints, cell_parts, ray_points, slope_share
from ctsim.signal import Beam, signal_table
from ctsim.tube import radial_shift_mm
from tests.ctsim.scans import Ellipsoid, geometry, integrals, rays

AS = load_profile("siemens_definition_as").scanner
ASKED = Acquisition(kvp=120, mode="helical", collimation_rows=64, bowtie="body")


def points_of(n, shape="gaussian", width_mm=0.9, length_mm=0.8):
    spot = AS.focal_spots[0].model_copy(update={"shape": shape, "width_mm": width_mm, "length_mm": length_mm})
    return ray_points(AS.model_copy(update={"focal_spots": (spot,)}), ASKED, Sampling(rays_per_reading=n))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 16, 64])
@pytest.mark.parametrize(("shape", "per_width"), [("gaussian", 1 / 2.354820045), ("uniform", 1 / math.sqrt(12))])
def test_the_points_have_the_spots_and_the_views_moments(n, shape, per_width):
    points = points_of(n, shape)
    assert points.weight.sum() == pytest.approx(1.0)
    samples = np.stack([points.spot_mm[:, 0], points.spot_mm[:, 2], points.instant], axis=1)
    np.testing.assert_allclose(points.weight @ samples, 0.0, atol=1e-12)
    variance = points.weight @ samples**2
    np.testing.assert_allclose(variance, [(0.9 * per_width) ** 2, (0.8 * per_width) ** 2, 1 / 12], rtol=1e-9)
    if n >= 4:
        np.testing.assert_allclose(samples.T @ samples / n, np.diag(variance), atol=1e-12)
    assert np.abs(points.instant).max() <= 0.5 + 0.02


def test_many_points_are_distributed_as_the_spot_and_the_view():
    points = points_of(64)
    quantiles = np.quantile(points.spot_mm[:, 0], [0.25, 0.75])
    np.testing.assert_allclose(quantiles, np.array([-1, 1]) * 0.6745 * 0.9 / 2.3548, atol=0.02)
    np.testing.assert_allclose(np.sort(points.instant), (np.arange(64) + 0.5) / 64 - 0.5, atol=0.03)
    # no half of one dimension prefers a half of another one
    for a, b in ((0, 2), (0, 1), (2, 1)):
        columns = (points.spot_mm[:, 0], points.spot_mm[:, 2], points.instant)
        share = np.mean((columns[a] > 0) == (columns[b] > 0))
        assert 0.4 < share < 0.6


def test_one_point_is_the_middle_of_spot_and_view():
    points = points_of(1)
    assert points.spot_mm.tolist() == [[0.0, 0.0, 0.0]]
    assert points.instant.tolist() == [0.0]
    assert points.weight.tolist() == [1.0]


def test_points_lie_on_the_slanted_anode():
    points = points_of(8)
    slope = points.spot_mm[:, 1] / points.spot_mm[:, 2]
    np.testing.assert_allclose(slope, radial_shift_mm(1.0, AS.anode_angle_deg))


def test_an_instant_turns_the_gantry_and_moves_the_table_by_its_share_of_a_view():
    g = geometry(1152, 4, 8, rotations=0.01, feed_mm=38.4)
    points = points_of(4)
    for moved, when, spot in zip(points.geometries(g), points.instant, points.spot_mm, strict=True):
        np.testing.assert_allclose(moved.view_angle_rad - g.view_angle_rad, when * 2 * np.pi / 1152, atol=1e-12)
        np.testing.assert_allclose(moved.source_z_mm - g.source_z_mm, when * 38.4 / 1152, atol=1e-12)
        np.testing.assert_allclose(moved.deflection_mm, spot[None])


MU_PER_MM = 0.02
THORAX = [
    Ellipsoid((0, 0, 0), (170, 110, np.inf), MU_PER_MM),
    Ellipsoid((-75, 0, 0), (60, 80, 120), -0.75 * MU_PER_MM),
    Ellipsoid((75, 0, 0), (60, 80, 120), -0.75 * MU_PER_MM),
    *(Ellipsoid((155 * c, 98 * s, 5 * c), (6, 6, 40), 1.5 * MU_PER_MM) for c, s in ((1, 0), (0.6, 0.8), (-0.6, -0.8))),
    Ellipsoid((60, 30, 0), (4, 4, 4), 0.75 * MU_PER_MM),
]
ROD = [Ellipsoid((150, 0, 0), (5, 5, np.inf), 10 * MU_PER_MM)]


def error_of(n, bodies):
    """Root mean square error of the transmission over a fan's readings, relative to that with 64 rays."""
    g = geometry(1152, 2, 600, pitch_iso_mm=0.6, row_iso_mm=0.6, rotations=40 / 1152, feed_mm=38.4)
    g = replace(g, view_angle_rad=0.2 + np.linspace(0, 2 * np.pi, 40, endpoint=False))

    def transmission(count):
        points = points_of(count)
        scans = zip(points.geometries(g), points.weight, strict=True)
        return sum(weight * np.exp(-integrals(moved, bodies)) for moved, weight in scans)

    return np.sqrt(((transmission(n) / transmission(64) - 1) ** 2).mean())


# measured for 1, 2, 4, 8, 16 rays: thorax 0.66, 0.61, 0.25, 0.16, 0.09 %; rod 1.05, 1.08, 0.45, 0.30, 0.17 %
@pytest.mark.parametrize(("bodies", "with_four"), [(THORAX, 0.003), (ROD, 0.006)], ids=["thorax", "rod"])
def test_more_rays_per_reading_come_closer_to_the_whole_average(bodies, with_four):
    one, four, eight, sixteen = (error_of(n, bodies) for n in (1, 4, 8, 16))
    assert one > 2 * four
    assert four > 1.3 * eight > 1.3**2 * sixteen
    assert four < with_four


def test_the_parts_of_a_cell_tile_it():
    g = geometry(8, 3, 10)
    fine = cell_parts(g, Sampling(row_parts=2, column_parts=3))
    assert fine.shape == (8, 6, 30)
    np.testing.assert_allclose(fine.row_offset_mm.reshape(3, 2).mean(axis=1), g.row_offset_mm, atol=1e-12)
    np.testing.assert_allclose(fine.column_angle_rad.reshape(10, 3).mean(axis=1), g.column_angle_rad, atol=1e-15)
    np.testing.assert_allclose(np.diff(fine.row_offset_mm), g.row_pitch_mm / 2, rtol=1e-12)
    np.testing.assert_allclose(np.diff(fine.column_angle_rad), g.column_pitch_rad / 3, rtol=1e-9)
    assert fine.row_pitch_mm == g.row_pitch_mm / 2
    whole = cell_parts(g, Sampling())
    np.testing.assert_array_equal(whole.column_angle_rad, g.column_angle_rad)
    np.testing.assert_array_equal(whole.row_offset_mm, g.row_offset_mm)


def fan(column_mm, row_mm, views, columns, rows=2, n_views=8):
    """Neighbouring cells about the axis, from all around."""
    g = geometry(
        views, rows, columns, pitch_iso_mm=column_mm, row_iso_mm=row_mm, rotations=n_views / views, feed_mm=38.4
    )
    return replace(g, view_angle_rad=0.2 + np.linspace(0, 2 * np.pi, n_views, endpoint=False))


def one_energy(g):
    """Table of a beam of one energy, behind which 1 g/cm2 of the first basis is an optical depth of 0.2 or so."""
    photons = np.zeros(140)
    photons[60] = 1.0
    return signal_table(Beam(photons, np.zeros((2, *g.shape[1:])), np.ones(g.shape[1:])), 2)


def whole_average(g, bodies, count=512, spot_and_view=1.0):
    """Transmissions averaged over spot, view and cell at ``count`` points of a five-dimensional sequence."""
    places = qmc.Sobol(5, scramble=True, rng=3).random(count)
    when, tangential, axial = places[:, 0] - 0.5, *(norm.ppf(places[:, k]) / 2.354820045 for k in (1, 2))
    radial = radial_shift_mm(1.0, AS.anode_angle_deg) * 0.8 * axial
    spots = np.stack([0.9 * tangential, radial, 0.8 * axial], axis=1) * spot_and_view
    points = RayPoints(spots, when * spot_and_view, np.ones(count))
    total = np.zeros(g.shape)
    for moved, (across, along) in zip(points.geometries(g), places[:, 3:] - 0.5, strict=True):
        source, cell = rays(moved, across, along)
        total += np.exp(-sum(body.integral(source, cell) for body in bodies)) / count
    return total


def simulated(g, bodies, n=4, parts=1, neighbours=True):
    """Transmissions as an exposure averages them, of exact chords averaged over the parts of the cells."""
    points, fine = points_of(n), Sampling(row_parts=parts, column_parts=parts)
    table, first = one_energy(g), np.zeros(g.shape, np.float32)
    depth = basis_curves()[0, 60]
    for moved, weight in zip(points.geometries(cell_parts(g, fine)), points.weight, strict=True):
        path = np.zeros((2, *moved.shape), np.float32)
        path[0] = integrals(moved, bodies, sub=6 // parts) / depth
        table.transmit(
            path,
            first,
            np.zeros(g.shape, np.float32),
            weight=weight,
            slope_share=(1.0, 1.0) if neighbours else (0.0, 0.0),
        )
    return first / table.air_kev()


def test_a_path_varies_over_one_cell_of_the_scanner_at_most():
    assert slope_share(Sampling()) == (1.0, 1.0)
    assert slope_share(Sampling(row_parts=3, column_parts=2)) == (1.0, 1.0)
    assert slope_share(Sampling(row_binning=8, column_binning=4, column_parts=2)) == (1 / 8, 1 / 2)
    assert slope_share(Sampling(row_binning=8, column_binning=4, row_parts=8, column_parts=4)) == (1.0, 1.0)


def rms(error):
    return np.sqrt((error**2).mean())


INSIDE = [
    Ellipsoid((0, 0, 0), (90, 60, np.inf), MU_PER_MM),
    Ellipsoid((20, 10, 0), (4, 4, np.inf), 9 * MU_PER_MM),
    Ellipsoid((-15, 0, 2), (12, 12, 12), 2 * MU_PER_MM),
    Ellipsoid((0, -25, -9), (10, 14, 10), -0.75 * MU_PER_MM),
]


@pytest.mark.parametrize("cell_mm", [0.6, 2.4], ids=["fine cells", "coarse cells"])
def test_finer_parts_come_closer_to_the_transmission_averaged_over_the_cell(cell_mm):
    g = fan(cell_mm, cell_mm, 1152, int(70 / cell_mm), rows=10)
    exact = whole_average(g, INSIDE, 512, spot_and_view=0.0)[:, 1:-1, 1:-1]
    flat, sloped = (
        [simulated(g, INSIDE, 1, parts, neighbours)[:, 1:-1, 1:-1] / exact - 1 for parts in (1, 2)]
        for neighbours in (False, True)
    )
    assert np.mean(flat[0]) < 0  # averaged paths always transmit less
    assert rms(flat[1]) < 0.5 * rms(flat[0])
    assert rms(sloped[1]) < 0.75 * rms(sloped[0])
    assert abs(np.mean(sloped[0])) < 0.7 * abs(np.mean(flat[0]))
    for even, uneven in zip(flat, sloped, strict=True):
        assert rms(uneven) < 0.85 * rms(even)


def test_more_rays_and_parts_come_closer_to_the_average_over_spot_view_and_cell():
    g = fan(0.6, 0.6, 1152, 120, rows=4)
    exact = whole_average(g, INSIDE, 1024)
    one, four, sixteen = (rms(simulated(g, INSIDE, n, parts) / exact - 1) for n, parts in ((1, 1), (4, 1), (16, 2)))
    assert one > 2.5 * four
    assert four > 1.5 * sixteen
    assert four < 0.8 * rms(simulated(g, INSIDE, 4, neighbours=False) / exact - 1)
    assert four < 0.002  # measured 0.16 %; paths alone 0.24 %; one ray 0.57 %, 16 rays of 2 x 2 parts 0.05 %
