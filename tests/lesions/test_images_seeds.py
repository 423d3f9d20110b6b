"""Real tumours isolated, morphed and put into another CT: volumes are kept, backgrounds are not, no two are alike."""

from __future__ import annotations

import numpy as np
import pytest

from lesions.images import (
    InsertionError,
    Morph,
    Resolution,
    draw_seeds,
    insert_seeds,
    isolate,
    load_seed,
    morph,
    save_seed,
)
from lesions.images.resolution import FWHM
from twins import Grid

from .synthetic_ct import LUNG_HU, ball, lung_block

PSF = Resolution(1.4, 0.0, 1.4)


def donor(d=12.0, noise_hu=0.0, height=890.0, shape=(40, 64, 64), spacing=(1.0, 0.7, 0.7), wall=False):
    """A ball of known size in lung behind a Gaussian, and its label map (voxel centres inside)."""
    size = [(n - 1) * s for n, s in zip(shape, spacing, strict=True)]
    grid = Grid(shape, spacing, (-size[2] / 2, -size[1] / 2, -size[0] / 2))
    z, y, x = grid.axes_mm()
    r = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    hu = LUNG_HU + height * ball(r, d / 2, PSF.in_plane_fwhm_mm / FWHM)
    if wall:
        hu = np.where(np.broadcast_to(x > d / 2 + 2.5, shape), 40.0, hu)
    if noise_hu:
        hu = hu + noise_hu * np.random.default_rng(3).standard_normal(shape)
    return hu.astype(np.float32), grid, (r < d / 2).astype(np.uint8)


@pytest.fixture(scope="module")
def seed():
    (found,) = isolate(*donor(), name="ball", resolution=PSF).seeds
    return found


@pytest.mark.parametrize(("noise_hu", "wall"), [(0.0, False), (25.0, False), (0.0, True)])
def test_a_ball_is_isolated_with_its_size_height_and_edge(noise_hu, wall):
    hu, grid, labels = donor(noise_hu=noise_hu, wall=wall)
    (found,) = isolate(hu, grid, labels, name="ball", resolution=PSF).seeds
    assert found.equivalent_diameter_mm == pytest.approx(12, rel=0.03)  # half level of a blurred ball: 1 % of radius
    assert found.interior[found.distance_mm > 0].mean() == pytest.approx(1, abs=0.03)
    assert found.attributes["edge_sigma_mm"] == pytest.approx(1.4 / FWHM, rel=0.15)
    assert found.margin_sigma_mm < 0.25  # nearly all of the edge is the donor's blur
    assert abs(found.attributes["background_hu"] - LUNG_HU) < 5
    assert found.reach_mm < 7.5  # nothing of the wall


def test_ground_glass_is_a_third_of_soft_tissue():
    (found,) = isolate(*donor(14.0, height=0.3 * 890), name="haze", resolution=PSF).seeds
    assert found.interior[found.distance_mm > 1].mean() == pytest.approx(0.3, abs=0.02)
    assert found.equivalent_diameter_mm == pytest.approx(14, rel=0.04)


def test_noise_goes_into_the_residual():
    hu, grid, labels = donor(16.0, noise_hu=25.0)
    (found,) = isolate(hu, grid, labels, name="ball", resolution=PSF).seeds
    deep = found.distance_mm > 2
    assert found.interior[deep].std() * 890 < 10
    assert found.residual[deep].std() * 890 > 10  # interpolated linearly: less than the 25 HU of the voxels


def test_pieces_that_are_no_seeds_are_named_with_the_reason():
    hu, grid, labels = donor()
    labels[0, 5, 5] = 1
    labels[20, 2:8, 2:3] = 1
    labels[38:40, 30:40, 30:40] = 1
    found = isolate(hu, grid, labels, name="a", min_volume_mm3=5.0)
    assert len(found.seeds) == 1
    assert "margin_source" in found.seeds[0].attributes
    assert any("cut by the end" in r for r in found.refused)
    assert any("below min_volume_mm3" in r or "stand out" in r for r in found.refused)
    with pytest.raises(ValueError, match="no voxel has label 7"):
        isolate(hu, grid, labels, name="a", label=7)


def test_a_seed_comes_back_from_its_file(seed, tmp_path):
    save_seed(seed, tmp_path / "a.h5")
    save_seed(seed, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    back = load_seed(tmp_path / "a.h5")
    np.testing.assert_array_equal(back.distance_mm, seed.distance_mm)
    assert (back.name, back.grid, back.volume_mm3, back.licence) == (
        seed.name,
        seed.grid,
        seed.volume_mm3,
        seed.licence,
    )
    (tmp_path / "c.h5").write_text("no", encoding="utf-8")
    with pytest.raises(ValueError, match="not a seed file"):
        load_seed(tmp_path / "c.h5")


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("warp", [0.0, 0.1])
def test_a_morph_has_exactly_the_volume_asked_for(seed, scale, warp):
    made = morph(seed, Morph(scale=scale, warp=warp, key=5))
    assert made.volume_mm3 == pytest.approx(scale**3 * seed.volume_mm3, rel=1e-12)
    share = made.occupancy().sum(dtype=float) * made.grid.voxel_volume_mm3
    assert share == pytest.approx(made.volume_mm3, rel=1e-5)
    x = made.grid.axes_mm()[2]
    assert abs((made.occupancy().sum(axis=(0, 1), dtype=float) * x).sum()) < 1e-2 * share


def rod(name, n=60):
    """An ellipsoid of axes 4:2:1 as a seed."""
    (found,) = isolate(*donor(12.0), name=name, resolution=PSF).seeds
    z, y, x = found.grid.axes_mm()
    r = np.sqrt((z[:, None, None] / 1.0) ** 2 + (y[:, None] / 2.0) ** 2 + (x / 4.0) ** 2)
    distance = ((1 - r) * 1.5).astype(np.float32)
    volume = float(np.clip(distance / found.grid.spacing_mm[0] + 0.5, 0, 1).sum()) * found.grid.voxel_volume_mm3
    return type(found)(
        name, found.grid, distance, np.full_like(distance, 0.5), np.zeros_like(distance), volume, 0.1, "s", "CC BY"
    )


def moments(seed):
    share = seed.occupancy().astype(float)
    points = seed.grid.index_to_world(np.argwhere(share > 0.5))
    return np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))[::-1]


def test_rotation_keeps_the_form_and_turns_it():
    a = rod("rod")
    turned = [morph(a, Morph(key=k)) for k in (1, 2)]
    for made in turned:
        np.testing.assert_allclose(moments(made), moments(a), rtol=0.06)
    axes = [
        np.linalg.eigh(np.cov(m.grid.index_to_world(np.argwhere(m.distance_mm > 0)).T))[1][:, 2] for m in (a, *turned)
    ]
    assert abs(axes[0] @ axes[1]) < 0.99
    assert abs(axes[1] @ axes[2]) < 0.99


def test_between_two_seeds_lies_a_form_between_them(seed):
    a = rod("rod")
    flat = [morph(a, Morph(weight=w, rotate=False), seed) for w in (0.0, 0.5, 1.0)]
    ratio = [moments(m)[2] / moments(m)[0] for m in flat]
    assert ratio[0] + 0.1 < ratio[1] < ratio[2] - 0.1
    assert ratio[2] == pytest.approx(1, abs=0.05)
    assert flat[1].volume_mm3 == pytest.approx(np.sqrt(a.volume_mm3 * seed.volume_mm3), rel=1e-9)
    middle = flat[1].interior[flat[1].distance_mm > 0.5].mean()
    assert middle == pytest.approx(0.75, abs=0.03)
    assert flat[1].licence == "CC BY and unknown"
    with pytest.raises(ValueError, match="needs a second seed"):
        morph(a, Morph(weight=0.5))


def test_what_was_taken_out_and_put_back_is_what_was_there(seed):
    """Donor and host of one kind: the image of the tumour in the host is that of the donor."""
    host = lung_block(resolution=PSF, dtype=np.float32, shape=(48, 90, 90), spacing=(1.0, 0.7, 0.7))
    after, truth = insert_seeds(host, [seed], rng=np.random.default_rng(0), centres_mm=[(0.0, 0.0, 0.0)])
    z, y, x = host.grid.axes_mm()
    r = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    expected = 890 * ball(r, 6.0, 1.4 / FWHM)
    error = (after - host.hu - expected)[r < 10]
    assert np.sqrt((error**2).mean()) < 25  # 3 % of the contrast
    assert abs(error.mean()) < 8
    assert truth.tumours[0].volume_mm3 == seed.volume_mm3


def test_blending_keeps_the_fraction_volume(seed):
    host = lung_block(dtype=np.float32)
    after, truth = insert_seeds(host, [seed], rng=np.random.default_rng(0), centres_mm=[(1.3, -2.2, 0.4)])
    (t,) = truth.tumours
    total = float((after - host.hu).sum(dtype=float)) * host.grid.voxel_volume_mm3
    assert total == pytest.approx(t.fraction_volume_mm3 * (40 - t.level_hu), rel=2e-3)
    share = truth.occupancy(host.grid, 0)
    assert share.sum(dtype=float) * host.grid.voxel_volume_mm3 == pytest.approx(t.volume_mm3, rel=1e-4)
    assert set(np.unique(truth.labels(host.grid))) == {0, 1}


def test_every_draw_is_another_one(seed):
    host, other = lung_block(), rod("rod")
    made = [
        insert_seeds(host, draw_seeds([seed, other], 1, rng=rng, scale=(0.4, 0.5)), rng=rng)
        for rng in (np.random.default_rng(k) for k in (1, 1, 2))
    ]
    np.testing.assert_array_equal(made[0][0], made[1][0])
    centres = [t.centre_mm for _, truth in made for t in truth.tumours]
    assert len(set(centres)) == 2
    volumes = [t.volume_mm3 for _, truth in made for t in truth.tumours]
    assert len(set(volumes)) == 2
    assert made[0][0].dtype == host.hu.dtype


@pytest.mark.parametrize(
    ("n", "centres", "message"),
    [
        (1, [(500.0, 0.0, 0.0)], "lungs|bounds"),
        (1, [(0.0, 0.0, 28.0)], "bounds: .* leaves the image"),
        (1, [(22.0, 0.0, 0.0)], "lungs: .* at least 99%"),
        (2, [(0.0, 0.0, 0.0), (6.0, 0.0, 0.0)], "overlap: tumours"),
        (1, [None], "pleura: .* needs"),
    ],
)
def test_a_place_that_cannot_be_names_its_constraint(seed, n, centres, message):
    made = morph(seed, Morph(scale=4.0)) if centres == [None] else seed
    with pytest.raises(InsertionError, match=message):
        insert_seeds(lung_block(), [made] * n, rng=np.random.default_rng(0), centres_mm=centres)
