"""Measures of image quality on images whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.special import erf, j0, j1

from ctsim.quality import edge_mtf, in_cylinder, noise_spectrum, region_statistics, slice_profile, wire_mtf
from ctsim.quality.slices import predicted_fwhm_mm
from ctsim.recon.kernels import Kernel
from tests.ctsim.scans import centred

SIGMA = 0.7


def gaussian(f, sigma=SIGMA):
    return np.exp(-2 * (np.pi * sigma * f) ** 2)


def spot(n=61, pixel=0.4, centre=(11.93, 12.11), sigma=SIGMA, pixel_y=None):
    y, x = np.arange(n) * (pixel_y or pixel), np.arange(n) * pixel
    r2 = (y[:, None] - centre[0]) ** 2 + (x - centre[1]) ** 2
    return -50 + 900 * np.exp(-r2 / (2 * sigma**2))


def test_the_mtf_of_a_gaussian_spot_is_a_gaussian():
    found = wire_mtf(spot(), (0.4, 0.4))
    # a Gaussian sampled at 0.57 sigma and cut at 9 mm: aliasing and tail are below 1e-6
    np.testing.assert_allclose(found.mtf, gaussian(found.frequency_per_mm), atol=1e-5)
    assert found.frequency_at(0.5) == pytest.approx(np.sqrt(np.log(2) / 2) / np.pi / SIGMA, rel=1e-3)  # 200 frequencies


def test_pixels_need_not_be_square():
    found = wire_mtf(spot(n=61, pixel_y=0.35, centre=(10.4, 11.9)), (0.35, 0.4))
    np.testing.assert_allclose(found.mtf, gaussian(found.frequency_per_mm), atol=1e-5)


def test_a_wires_own_width_is_divided_out():
    n, pixel, diameter = 61, 0.4, 0.8
    grid = np.arange(n) * pixel
    points = (np.arange(40) + 0.5) / 40 * diameter - diameter / 2
    dy, dx = np.meshgrid(points, points)
    inside = dy**2 + dx**2 <= diameter**2 / 4
    image = np.zeros((n, n))
    for a, b in zip(dy[inside], dx[inside], strict=True):
        image += np.exp(-((grid[:, None] - 12.02 - a) ** 2) / 2 / SIGMA**2) * np.exp(
            -((grid - 12.1 - b) ** 2) / 2 / SIGMA**2
        )
    found = wire_mtf(image, (pixel, pixel), wire_diameter_mm=diameter)
    # the disc is made of 1200 points
    np.testing.assert_allclose(found.mtf, gaussian(found.frequency_per_mm), atol=2e-3)


def test_the_mtf_of_a_blurred_edge_is_that_of_the_blur():
    pixel, radius = 0.7, 40.0
    x = np.arange(160) * pixel
    r = np.hypot(x[:, None] - 56.1, x - 55.8)
    image = 20 + 500 * (1 - erf((r - radius) / SIGMA / np.sqrt(2)))
    found = edge_mtf(image, (pixel, pixel), (56.1, 55.8), radius)
    low = found.frequency_per_mm < 0.6
    # the circle is not the straight edge of theory: R / SIGMA = 57
    np.testing.assert_allclose(found.mtf[low], gaussian(found.frequency_per_mm[low]), atol=1e-3)


def blurred(mtf, highest_per_mm, own, pixel, half, centre):
    """Image of a round thing with the transform ``own``, blurred by ``mtf``: Hankel transform, spline, pixels."""
    f = np.linspace(0, highest_per_mm, 1501)
    r = np.linspace(0, 1.5 * half, 1201)
    weight = own(f) * mtf(f) * 2 * np.pi * f * (f[1] - f[0])
    profile = CubicSpline(
        r, np.concatenate([j0(2 * np.pi * f * part[:, None]) @ weight for part in np.split(r, [600])])
    )
    x = np.arange(round(2 * half / pixel)) * pixel
    return profile(np.hypot(x[:, None] - centre[0], x - centre[1]))


def disc(radius):
    return lambda f: radius * j1(2 * np.pi * radius * f) / np.maximum(f, 1e-9) + (f == 0) * np.pi * radius**2


SHARP = Kernel(name="sharp", mtf50_per_mm=0.85, mtf10_per_mm=1.2)


@pytest.mark.parametrize(
    ("mtf", "highest", "half_at", "tenth_at"),
    [
        (SHARP.mtf, 2.0, 0.85, 1.2),
        (lambda f: gaussian(f, 0.3), 2.5, 0.18739 / 0.3, 0.34155 / 0.3),
    ],
    ids=["kernel", "Gaussian"],
)
def test_wire_and_edge_say_the_same_of_one_point_spread(mtf, highest, half_at, tenth_at):
    # the rod in the middle of a pixel: few different distances, as on the bench
    pixel, radius, diameter = 0.25, 8.0, 0.17
    wire = blurred(mtf, highest, disc(diameter / 2), 0.2, 7.0, (7.03, 6.91))
    point = wire_mtf(wire, (0.2, 0.2), wire_diameter_mm=diameter)
    rod = 120 * blurred(mtf, highest, disc(radius), pixel, 15.5, (15.5, 15.5))
    rim = edge_mtf(np.round(rod * 2.5) / 2.5, (pixel, pixel), (15.5, 15.5), radius, reach_mm=6.4)
    for found in (point, rim):
        assert found.frequency_at(0.5) == pytest.approx(half_at, rel=0.005)
        assert found.frequency_at(0.1) == pytest.approx(tenth_at, rel=0.005)


def test_a_streak_at_the_end_of_the_reach_is_no_sharpness():
    x = np.arange(-62, 63) * 0.25
    r = np.hypot(x[:, None], x)
    image = 120 * (1 - erf((r - 8.0) / 0.3 / np.sqrt(2))) / 2 + 6.0 * (r < 1.7)
    found = edge_mtf(image, (0.25, 0.25), (15.5, 15.5), 8.0, reach_mm=6.4)
    assert found.frequency_at(0.1) == pytest.approx(0.34155 / 0.3, rel=0.005)


def test_an_edge_with_too_few_pixels_is_refused():
    with pytest.raises(ValueError, match=r"knot_mm = 0\.01"):
        edge_mtf(np.zeros((40, 40)), (0.5, 0.5), (10.0, 10.0), 5.0, reach_mm=4.0, knot_mm=0.01)


def test_an_image_without_a_wire_is_refused():
    with pytest.raises(ValueError, match="no wire"):
        wire_mtf(np.zeros((40, 40)), (0.5, 0.5))
    with pytest.raises(ValueError, match="does not fit"):
        wire_mtf(spot(), (0.4, 0.4), radius_mm=30.0)
    with pytest.raises(ValueError, match=r"does not fall to level = 0\.5"):
        wire_mtf(spot(sigma=0.3), (0.4, 0.4), frequency_per_mm=np.linspace(0, 0.1, 5)).frequency_at(0.5)


def test_white_noise_has_a_flat_spectrum_that_integrates_to_its_variance():
    rng = np.random.default_rng(3)
    found = noise_spectrum(rng.normal(100.0, 20.0, (200, 32, 32)), (0.8, 0.5), n_rings=8)
    # 200 x 1024 samples: SD to 0.16 %, less the 3 of 1024 degrees of freedom of the plane; rings hold >= 8 x 200 values
    assert found.sd_hu == pytest.approx(20.0, rel=0.01)
    np.testing.assert_allclose(found.nps_hu2_mm2[1:], 20.0**2 * 0.8 * 0.5, rtol=0.1)


def test_blurred_noise_has_the_spectrum_of_the_blur():
    rng = np.random.default_rng(4)
    white = rng.normal(0.0, 20.0, (300, 64, 64))
    f = np.hypot(np.fft.fftfreq(64, 0.7)[:, None], np.fft.fftfreq(64, 0.7))
    image = np.fft.ifft2(np.fft.fft2(white) * gaussian(f, 0.5)).real
    found = noise_spectrum(image, (0.7, 0.7), n_rings=16)
    expected = 400 * 0.49 * gaussian(found.frequency_per_mm, 0.5) ** 2
    # rings of 0.045 1/mm; 300 regions with at least 8 values a ring
    np.testing.assert_allclose(found.nps_hu2_mm2[1:], expected[1:], rtol=0.12)
    assert found.peak_per_mm < 0.15


def test_region_statistics_are_those_of_its_voxels():
    grid = centred((3, 21, 21), (2.0, 1.0, 1.0))
    hu = np.zeros(grid.shape, np.int16)
    hu[1] = 7
    disc = in_cylinder(grid, (2.0, -3.0), 4.0, (-0.5, 0.5))
    found = region_statistics(hu, disc)
    assert (found.mean_hu, found.sd_hu, found.n_voxels) == (7.0, 0.0, 49)  # 49 lattice points within 4
    z, y, x = np.nonzero(disc)
    assert (x.mean() - 10, y.mean() - 10, set(z)) == (2.0, -3.0, {1})
    with pytest.raises(ValueError, match="no voxel"):
        in_cylinder(grid, (200.0, 0.0), 4.0)
    with pytest.raises(ValueError, match="shape"):
        region_statistics(hu[1:], disc)


def test_the_width_of_a_profile_is_between_its_half_heights():
    z = np.linspace(-3.0, 3.0, 601)
    profile = slice_profile(20 - 50 * np.clip(1 - np.abs(z - 0.33) / 1.2, 0, None), z, z_disc_mm=0.33)
    assert profile.fwhm_mm == pytest.approx(1.2, rel=1e-3)
    assert profile.z_mm[profile.sensitivity.argmax()] == pytest.approx(0.0, abs=0.006)
    with pytest.raises(ValueError, match="does not fall below one half"):
        _ = slice_profile(np.linspace(0, 1, 40), np.linspace(-1, 1, 40)).fwhm_mm
    with pytest.raises(ValueError, match="at least 20 slices"):
        slice_profile(np.ones(5), np.ones(5))


def test_a_predicted_profile_is_a_triangle_widened_by_what_blurs_it():
    assert predicted_fwhm_mm(0.6, 1e-6) == pytest.approx(0.6, rel=2e-3)
    assert predicted_fwhm_mm(0.6, 2.0) == pytest.approx(2.0, rel=2e-3)
    # a Gaussian spot much longer than a row makes a Gaussian profile: variances add
    places = np.linspace(-12.0, 12.0, 401)
    spot = np.exp(-(places**2) / (2 * 3.0**2))
    expected = np.sqrt(8 * np.log(2) * (3.0**2 + 1.0 / 6))
    assert predicted_fwhm_mm(1.0, 1e-6, places, spot / spot.sum()) == pytest.approx(expected, rel=5e-3)
    assert predicted_fwhm_mm(0.6, 1e-6, leaks=[0.1]) > 0.65
