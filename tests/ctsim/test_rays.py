"""Transmissions averaged over focal spot and view: the design's moments, and how fast it converges."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ctsim import Sampling, load_profile
from ctsim.protocol import Acquisition
from ctsim.rays import ray_points
from ctsim.tube import radial_shift_mm
from tests.ctsim.scans import Ellipsoid, geometry, integrals

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
