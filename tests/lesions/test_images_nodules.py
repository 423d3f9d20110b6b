"""A parametric nodule in a real CT: the host's resolution, the host's noise, the object's exact volume."""

from __future__ import annotations

import numpy as np
import pytest

from lesions import Nodule
from lesions.images import Resolution, insert_nodules, prepare
from lesions.images.resolution import FWHM
from lesions.truth import Truth
from twins import Grid

from .synthetic_ct import LUNG_HU, ball, lung_block

SPHERE = {"sh_sd": 0.0, "sh_sd_l2": 0.0, "margin_mm": 0.0, "texture_sd_hu": 0.0, "solid_hu": 40.0}
ISOTROPIC = Resolution(1.4, 0.0, 1.4)


def nodule(d=10.0, at=(0.3, -0.2, 0.4), **fields) -> Nodule:
    return Nodule(**{"id": "a", "key": 1, "equivalent_diameter_mm": d, "centre_mm": at, **fields})


def away(host, at):
    z, y, x = host.grid.axes_mm()
    return np.sqrt((z[:, None, None] - at[2]) ** 2 + (y[:, None] - at[1]) ** 2 + (x - at[0]) ** 2)


@pytest.mark.parametrize("d", [4.0, 8.0, 16.0])
def test_a_ball_is_the_closed_form_of_a_ball_behind_a_gaussian(d):
    host = lung_block(resolution=ISOTROPIC, dtype=np.float32)
    after, _ = insert_nodules(host, [nodule(d, **SPHERE)])
    r = away(host, (0.3, -0.2, 0.4))
    expected = (40 - LUNG_HU) * ball(r, d / 2, 1.4 / FWHM)
    near = r < d / 2 + 3
    # The fine lattice (d/40, at least 0.1 mm) is a box on top of the Gaussian and steps at the edge: below 2 HU.
    assert np.sqrt(((after - host.hu - expected)[near] ** 2).mean()) < 2
    assert abs((after - host.hu)[~near]).max() < 1


def test_the_change_is_the_objects_volume_times_its_contrast():
    host = lung_block(dtype=np.float32)
    after, truth = insert_nodules(host, [nodule(9.0, lobulation=3.0, texture_sd_hu=0.0, solid_hu=25.0)])
    total = float((after - host.hu).sum(dtype=float)) * host.grid.voxel_volume_mm3
    # Lung at -850 HU to 0.05 HU (steps of density); kernels cut at 4 sigma.
    assert total == pytest.approx(truth.nodules[0].volume_mm3 * (25 - LUNG_HU), rel=1e-3)


def test_the_mask_holds_the_exact_volume_on_the_hosts_voxels():
    host = lung_block()
    _, truth = insert_nodules(host, [nodule(7.0, spiculation=3.0)])
    share = truth.occupancy(host.grid, 0)
    assert share.sum(dtype=float) * host.grid.voxel_volume_mm3 == pytest.approx(np.pi / 6 * 343, rel=1e-4)


def test_the_noise_inside_is_that_around():
    ratios = []
    for key in range(12):
        host = lung_block(noise_hu=30.0, key=key)
        clean = lung_block()
        centre = (0.3 * key, -2.0, 0.2 * key)
        spec = nodule(16.0, at=centre, key=key, texture_sd_hu=0.0)
        with_noise, _ = insert_nodules(host, [spec])
        without, _ = insert_nodules(clean, [spec])
        noise = with_noise.astype(float) - without
        r = away(host, centre)
        ratios.append(noise[r < 6.5].std() / noise[(r > 11) & (r < 16)].std())
    # 12 x 940 voxels inside: the SD is known to 0.7 %.
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)
    assert np.std(ratios) < 0.05


def test_what_noise_adds_does_not_shift_the_nodule():
    host, clean = lung_block(noise_hu=30.0), lung_block()
    spec = nodule(16.0, texture_sd_hu=0.0)
    change = insert_nodules(host, [spec])[0] - host.hu.astype(float)
    expected = insert_nodules(clean, [spec])[0] - clean.hu.astype(float)
    r = away(host, spec.centre_mm)
    assert np.sqrt(((change - expected)[r < 12] ** 2).mean()) < 2


def test_vessels_vanish_in_a_solid_nodule_and_stay_in_ground_glass():
    host = lung_block(vessel=True, dtype=np.float32)
    z, y, x = (round(float(v)) for v in host.grid.world_to_index((20.0, 0.0, 0.0)))
    assert host.hu[z, y, x] > -100  # the vessel
    solid, _ = insert_nodules(host, [nodule(14.0, at=(20.0, 0.0, 0.0), **SPHERE)])
    core = solid[z, y - 4 : y + 5, x - 4 : x + 5]
    np.testing.assert_allclose(core, 40, atol=8)
    glass = {"type": "ground_glass", "sh_sd": 0.0, "sh_sd_l2": 0.0, "margin_mm": 0.0, "texture_sd_hu": 0.0}
    hazy, _ = insert_nodules(host, [nodule(14.0, at=(20.0, 0.0, 0.0), ground_glass_fraction=0.3, **glass)])
    assert abs(hazy[z, y, x] - host.hu[z, y, x]) < 25
    assert hazy[z, y + 5, x] - host.hu[z, y + 5, x] == pytest.approx(0.3 * 890, abs=12)
    assert hazy[z, y, x] - hazy[z, y + 5, x] > 400  # the vessel still stands out


def test_a_blurred_host_gets_a_blurred_nodule():
    sharp, soft = (lung_block(resolution=Resolution(f, 1.5), dtype=np.float32) for f in (0.9, 2.4))
    peak = [insert_nodules(h, [nodule(4.0, **SPHERE)])[0][18:22, 35:45, 35:45].max() for h in (sharp, soft)]
    assert peak[0] > peak[1] + 100


def test_nodules_are_placed_in_the_lungs_and_apart():
    host = lung_block()
    specs = [Nodule(id=f"n{k}", key=k, equivalent_diameter_mm=5) for k in range(4)]
    after, truth = insert_nodules(host, specs, rng=np.random.default_rng(1))
    assert after.dtype == host.hu.dtype
    centres = np.array([t.centre_mm for t in truth.nodules])
    gaps = np.linalg.norm(centres[:, None] - centres, axis=2)[np.triu_indices(4, 1)]
    assert gaps.min() > 10
    assert abs(centres[:, 0]).max() < 0.5 * 64 - 8 - 2.5
    again, _ = insert_nodules(host, specs, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(after, again)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([nodule(at=None)], "no centre_mm: give rng"),
        ([nodule(), nodule(id="b", at=(4.0, 0.0, 0.0), key=2)], "overlap"),
        ([nodule(displacement=0.3)], "displacement must be 0"),
        ([nodule(at=(29.0, 0.0, 0.0), d=4.0)], "does not lie in the lungs"),
        ([nodule(at=(0.0, 0.0, 29.0))], "leaves the twin"),
    ],
)
def test_what_cannot_be_is_refused(specs, message):
    host = lung_block()
    before = host.hu.copy()
    with pytest.raises(ValueError, match=message):
        insert_nodules(host, specs)
    np.testing.assert_array_equal(host.hu, before)


def test_a_host_must_make_sense():
    grid = Grid((4, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    given = Resolution(1.0, 1.0)
    with pytest.raises(ValueError, match="grid's shape"):
        prepare(np.zeros((4, 20, 21)), grid, resolution=given)
    with pytest.raises(ValueError, match="mask is empty"):
        prepare(np.zeros((4, 20, 20)), grid, lungs=np.zeros((4, 20, 20), bool), resolution=given)
    turned = Grid((4, 20, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0, 1, 0, -1, 0, 0, 0, 0, 1))
    with pytest.raises(ValueError, match="axis-aligned"):
        prepare(np.zeros((4, 20, 20)), turned, resolution=given)


def test_truth_is_a_truth():
    host = lung_block()
    _, truth = insert_nodules(host, [nodule(12.0, type="part_solid")])
    assert isinstance(truth, Truth)
    assert truth.nodules[0].mean_hu == pytest.approx(-530, abs=60)  # core of an eighth at 40, haze at -600
