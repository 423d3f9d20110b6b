"""A CT whose body is cut off by the field of view becomes a whole twin."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from twins.importers.ct import from_ct
from twins.importers.truncation import carried_on, measured_region, outline_of
from twins.structures import LUNG, Structure

from .test_import_ct import NOISE_HU, SPACING_MM, synthetic_chest, twin_hu, write

BODY_MM = (160.0, 110.0)
"""Half axes of the synthetic chest's body, whose middle is at x = 200, y = 140 from the first voxel's."""


@pytest.fixture(scope="module")
def chest():
    return synthetic_chest()


def body_of(twin):
    """Mask of the voxels that are body, and their place in the synthetic chest's millimetres."""
    x0, y0, _z0 = twin.grid.origin_mm
    _, ny, nx = twin.grid.shape
    x = x0 + np.arange(nx) * twin.grid.spacing_mm[2]
    y = y0 + np.arange(ny) * twin.grid.spacing_mm[1]
    return twin.structure != Structure.OUTSIDE, y[:, None], x[None, :]


def cut_by_circle(chest, radius_mm, padding=-2000):
    _, ny, nx = chest.shape
    y, x = np.indices((ny, nx))
    out = chest.copy()
    out[:, np.hypot((y - (ny - 1) / 2) * 2.0, (x - (nx - 1) / 2) * 2.0) > radius_mm] = padding
    return out


def true_body(y, x):
    return (x / BODY_MM[0]) ** 2 + (y / BODY_MM[1]) ** 2 < 1


def check(twin, cut_by, tolerance):
    body, y, x = body_of(twin)
    middle = body[5:-5]
    truth = np.broadcast_to(true_body(y, x), middle.shape)
    # the lattice holds all of the body, with air around it
    assert not body[:, [0, -1]].any()
    assert not body[:, :, [0, -1]].any()
    expected = np.pi * BODY_MM[0] * BODY_MM[1]
    area = middle.sum(axis=(1, 2)) * 4.0
    np.testing.assert_allclose(area, expected, rtol=tolerance)
    overlap = 2 * (middle & truth).sum() / (middle.sum() + truth.sum())
    assert overlap > 1 - tolerance
    extension = twin.provenance["extension"]
    assert extension["cut_by"] == cut_by
    return extension


@pytest.fixture(scope="module")
def whole(chest, tmp_path_factory):
    return from_ct(write(chest, tmp_path_factory.mktemp("whole") / "whole.nii.gz", origin=(-200.0, -140.0, 0.0)))


@pytest.fixture(scope="module")
def cut(chest, tmp_path_factory):
    """Twins of the chest cut by the circle, by what stands outside it [HU]."""
    folder = tmp_path_factory.mktemp("cut")

    @cache
    def twin(padding):
        path = folder / f"{padding}.nii.gz"
        return from_ct(write(cut_by_circle(chest, 139.0, padding), path, origin=(-200.0, -140.0, 0.0)))

    return twin


@pytest.mark.parametrize("padding", [-2000, -1024, -3024])
def test_a_body_cut_by_the_circle_is_whole_again(cut, padding):
    twin = cut(padding)
    extension = check(twin, "circle", 0.03)
    _, y, x = body_of(twin)
    missing = true_body(y, x) & (np.hypot(x - -1.0, y - 9.0) > 139.0)  # the circle's middle
    assert extension["share_of_body"] == pytest.approx(missing.sum() / true_body(y, x).sum(), abs=0.02)
    assert 15.0 < extension["largest_mm"] < 35.0


def test_a_body_cut_by_the_edges_of_the_image_is_whole_again(chest, tmp_path):
    cut = chest[:, :, 33:-36]  # x from -134 to +126
    twin = from_ct(write(cut, tmp_path / "cut.nii.gz", origin=(-134.0, -140.0, 0.0)))
    extension = check(twin, "image edge", 0.03)
    assert 0.02 < extension["share_of_body"] < 0.10
    assert twin.grid.origin_mm[0] < -155.0
    assert twin.provenance["host_grid"]["origin_mm"][0] == -134.0


def test_a_body_cut_on_one_side_in_some_slices_is_whole_again(chest, tmp_path):
    # a field of view off the middle, which a body that moves sideways along z enters and leaves
    cut = np.stack([np.roll(part, shift, axis=1) for part, shift in zip(chest, np.arange(40) // 2 - 10, strict=True)])
    cut = cut[:, :, 10:178]
    twin = from_ct(write(cut, tmp_path / "cut.nii.gz", origin=(-180.0, -140.0, 0.0)))
    body, _, _ = body_of(twin)
    area = body[5:-5].sum(axis=(1, 2)) * 4.0
    np.testing.assert_allclose(area, np.pi * BODY_MM[0] * BODY_MM[1], rtol=0.03)


def test_what_was_added_is_fat_and_muscle_under_skin_and_what_was_measured_stays(whole, cut):
    twin = cut(-2000)
    hu = twin_hu(twin)
    body, y, x = body_of(twin)
    far = np.hypot(x + 1.0, y - 9.0)
    below_surface = ndimage.binary_erosion(body, np.ones((1, 3, 3)))
    added = below_surface & (far > 141.0)
    assert hu[added].min() > -130
    assert hu[added].max() < 100
    assert (hu[added] < -50).mean() > 0.3  # at the limit there is fat: it goes on
    kept = body & (far < 132.0)
    back = np.rint(whole.grid.world_to_index(twin.grid.index_to_world(np.argwhere(kept)))).astype(int)
    difference = hu[kept] - twin_hu(whole)[tuple(back.T)]
    assert np.abs(np.mean(difference)) < 1.0
    assert np.percentile(np.abs(difference), 99) < 3 * NOISE_HU
    assert twin.is_any(LUNG).sum() == pytest.approx(whole.is_any(LUNG).sum(), rel=0.01)
    assert twin.provenance["noise_sd_hu"] == pytest.approx(NOISE_HU, rel=0.15)


def test_a_whole_body_is_left_alone(chest, whole, tmp_path):
    assert whole.provenance["extension"] == {"cut_by": None, "share_of_body": 0.0, "largest_mm": 0.0}
    padded = from_ct(write(cut_by_circle(chest, 198.0), tmp_path / "padded.nii.gz"))
    assert padded.provenance["extension"]["cut_by"] is None


def test_lung_that_meets_the_limit_gets_its_wall_back(chest, tmp_path):
    cut = chest[:, :, 50:]  # x from -100: through the right lung, which reaches to -123
    twin = from_ct(write(cut, tmp_path / "cut.nii.gz", origin=(-100.0, -140.0, 0.0)))
    body, _y, x = body_of(twin)
    lung = twin.is_any(LUNG) & (x < -60)
    assert lung[15:25].any(axis=(1, 2)).all()
    wall = body & (x < -103)
    assert wall[5:-5].any(axis=(1, 2)).all()
    area = body[5:-5].sum(axis=(1, 2)) * 4.0
    np.testing.assert_allclose(area, np.pi * BODY_MM[0] * BODY_MM[1], rtol=0.08)


def test_the_measured_circle_is_found_and_clipped_air_is_not_taken_for_it():
    y, x = np.indices((120, 120))
    disc = np.hypot(y - 59.5, x - 61.5) <= 55
    rng = np.random.default_rng(0)
    noisy = rng.normal(-1000, 10, (5, 120, 120)).astype(np.float32)
    np.testing.assert_array_equal(measured_region(noisy), True)
    padded = np.where(disc, noisy, -1024.0).astype(np.float32)
    found = measured_region(padded)
    assert not (found & ~disc).any()
    assert found.sum() > 0.94 * disc.sum()
    ellipse = ((y - 60) / 40) ** 2 + ((x - 60) / 55) ** 2 < 1
    clipped = np.where(ellipse, noisy + 1040, -1000.0).astype(np.float32)
    np.testing.assert_array_equal(measured_region(clipped), True)
    np.testing.assert_array_equal(carried_on(padded, found)[:, found], padded[:, found])


def test_a_body_cut_all_round_is_refused():
    hu = np.full((8, 60, 60), 40.0, np.float32)
    body = np.ones(hu.shape, bool)
    with pytest.raises(ValueError, match="cut off all round"):
        outline_of(hu, body, body[0], SPACING_MM)
