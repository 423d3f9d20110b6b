"""The resolution of a CT is read off its own edges: known ones come back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from lesions.images import Resolution, ResolutionError, measure_resolution, resolution_of_kernel
from lesions.images.imaging import averaged, imaged
from lesions.images.resolution import FWHM
from twins import Grid

SKIN_MM = 1.8


def body(fwhm_mm, *, slice_sigma_mm=0.0, cone=0.0, noise_hu=0.0, spacing=(2.0, 0.8, 0.8), shape=(24, 240, 240)):
    """A round body with skin over fat behind a Gaussian; ``cone`` is how fast its radius grows along z.

    Edges of a large cylinder are straight at the scale of the blur; an edge whose place shifts by ``cone`` per mm and
    is averaged along z with ``slice_sigma_mm`` is wider by their product.
    """
    grid = Grid(shape, spacing, (0.0, 0.0, 0.0))
    z, y, x = grid.axes_mm()
    middle = (y.mean(), x.mean())
    r = np.hypot(y[:, None] - middle[0], x - middle[1])
    sigma = np.hypot(fwhm_mm / FWHM, cone * slice_sigma_mm)
    out = np.empty(shape)
    for k in range(shape[0]):
        inside = 70 + cone * (z[k] - z.mean()) - r
        out[k] = -1000 + 1040 * ndtr(inside / sigma) - 140 * ndtr((inside - SKIN_MM) / sigma)
    out += noise_hu * np.random.default_rng(1).standard_normal(shape)
    return out.astype(np.float32), grid, out > -500


@pytest.mark.parametrize("fwhm", [0.8, 1.4, 2.2])
@pytest.mark.parametrize("noise_hu", [0.0, 20.0])
def test_the_in_plane_fwhm_comes_back(fwhm, noise_hu):
    hu, grid, mask = body(fwhm, noise_hu=noise_hu)
    found = measure_resolution(hu, grid, body=mask)
    assert found.in_plane_fwhm_mm == pytest.approx(fwhm, rel=0.05)
    assert "skin" in found.in_plane_source


def test_tilted_skin_tells_the_slice_profile():
    """Three cones end to end; the slices are boxes of 3 mm, so sigma is 3 / sqrt(12)."""
    sd = 3 / np.sqrt(12)
    parts = [
        body(1.4, slice_sigma_mm=sd, cone=c, spacing=(3.0, 0.8, 0.8), shape=(12, 240, 240)) for c in (0, 0.2, 0.45)
    ]
    hu, mask = (np.concatenate([p[k] for p in parts]) for k in (0, 2))
    grid = Grid(hu.shape, (3.0, 0.8, 0.8), (0.0, 0.0, 0.0))
    found = measure_resolution(hu, grid, body=mask)
    assert found.in_plane_fwhm_mm == pytest.approx(1.4, rel=0.05)
    assert "tilted" in found.slice_source
    assert found.slice_sigma_mm == pytest.approx(sd, rel=0.15)
    assert measure_resolution(hu, grid, body=mask, slice_thickness_mm=5.0).slice_thickness_mm == 5.0


def test_upright_skin_alone_leaves_the_slice_to_the_spacing():
    hu, grid, mask = body(1.4)
    found = measure_resolution(hu, grid, body=mask)
    assert (found.slice_thickness_mm, found.slice_source) == (2.0, "estimated as the distance of the slices")


def test_an_image_without_edges_is_refused():
    grid = Grid((8, 60, 60), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    with pytest.raises(ResolutionError, match="cannot be measured: 150 clear, upright borders"):
        measure_resolution(np.full(grid.shape, 40.0), grid, body=np.ones(grid.shape, bool))


@pytest.mark.parametrize(("name", "kind"), [("B30f", 1.7), ("B40f", 1.4), ("Br64", 0.9), ("LUNG", 0.9), ("B", 1.7)])
def test_a_kernels_name_is_an_estimate_and_says_so(name, kind):
    found = resolution_of_kernel(name, 1.0)
    assert found.in_plane_fwhm_mm == kind
    assert "unverified" in found.in_plane_source
    with pytest.raises(ValueError, match="kernel 'XQ' is not known"):
        resolution_of_kernel("XQ", 1.0)


def test_a_resolution_must_be_a_width():
    with pytest.raises(ValueError, match="in_plane_fwhm_mm must be above 0"):
        Resolution(0.0, 1.0)
    with pytest.raises(ValueError, match="must not both be 0"):
        Resolution(1.0, 0.0)
    with pytest.raises(ValueError, match="between 0 and 20"):
        Resolution(1.0, 30.0)


def test_imaging_is_the_integral_of_the_profile():
    """Against plain quadrature of a point's neighbourhood, and the sum is kept."""
    rng = np.random.default_rng(2)
    fine = Grid((9, 11, 10), (0.05, 0.05, 0.05), (0.31, -0.2, 0.17))
    values = rng.random(fine.shape).astype(np.float32)
    image = Grid((13, 19, 19), (1.0, 0.6, 0.6), (-5.4, -5.4, -6.0))
    resolution = Resolution(1.4, 2.0, 0.8)
    window, patch = imaged(values, fine, image, resolution)
    full = np.zeros(image.shape)
    full[window] = patch
    points = fine.index_to_world(np.argwhere(np.ones(fine.shape)))
    sigma, sz = 1.4 / FWHM, 0.8 / FWHM

    def psf(d):  # (..., 3) x, y, z
        flat = np.exp(-0.5 * (d[..., 0] ** 2 + d[..., 1] ** 2) / sigma**2) / (2 * np.pi * sigma**2)
        return flat * (ndtr((d[..., 2] + 1) / sz) - ndtr((d[..., 2] - 1) / sz)) / 2

    for index in ((6, 9, 9), (7, 9, 10), (5, 8, 10), (8, 11, 9)):
        d = image.index_to_world(index) - points
        expected = (psf(d) * values.ravel()).sum() * fine.voxel_volume_mm3
        assert full[index] == pytest.approx(expected, abs=1e-3 * full.max())
    assert full.sum() * image.voxel_volume_mm3 == pytest.approx(values.sum() * fine.voxel_volume_mm3, rel=2e-3)


def test_shares_of_voxels_keep_the_volume():
    rng = np.random.default_rng(3)
    fine = Grid((9, 11, 10), (0.3, 0.3, 0.3), (0.31, -0.2, 0.17))
    values = rng.random(fine.shape).astype(np.float32)
    image = Grid((10, 12, 12), (1.5, 0.7, 0.7), (-2.0, -2.0, -5.0))
    _, patch = averaged(values, fine, image)
    assert patch.sum() * image.voxel_volume_mm3 == pytest.approx(values.sum() * fine.voxel_volume_mm3, rel=1e-5)
    assert 0 <= patch.min() <= patch.max() <= 1
