"""Nodules in a real chest CT: what is added is the predicted object, and the noise inside is the noise around."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from lesions import Nodule
from lesions.images import insert_nodules, prepare
from lesions.images.imaging import imaged
from twins import Grid, Structure

N = 24


@pytest.fixture(scope="module")
def host(real_ct):
    image = sitk.ReadImage(str(real_ct))
    hu = sitk.GetArrayFromImage(image)
    z, y, x = image.GetSpacing()[::-1]
    return prepare(hu, Grid(hu.shape, (z, y, x), image.GetOrigin(), image.GetDirection()))


@pytest.mark.slow
@pytest.mark.data
def test_the_resolution_is_that_of_the_kernel(host):
    # MTF50 of this scan's skin edges 0.305 per mm: the Gaussian of that MTF has an FWHM of 0.4413 / 0.305 = 1.45 mm.
    assert host.resolution.in_plane_fwhm_mm == pytest.approx(1.45, rel=0.1)
    assert 2.5 < host.resolution.slice_fwhm_mm < 5  # slices of 3 mm


@pytest.mark.slow
@pytest.mark.data
def test_what_is_added_is_the_predicted_object_and_noise_is_kept(host):
    specs = [
        Nodule(
            id=f"n{k}", key=k, equivalent_diameter_mm=12, sh_sd=0.0, sh_sd_l2=0.0, texture_sd_hu=0.0, margin_mm=0.0,
            min_distance_to_vessel_mm=2.0, min_distance_to_pleura_mm=5.0,
        )
        for k in range(N)
    ]  # fmt: skip
    after, truth = insert_nodules(host, specs, rng=np.random.default_rng(5))
    error, inside, around = [], [], []
    for nodule in truth.nodules:
        window, share = imaged(nodule.occupancy, nodule.grid, host.grid, host.resolution)
        level = host.level_hu(np.asarray(nodule.centre_mm), 6.0)
        before, now = (a[window].astype(float) for a in (host.hu, after))
        plain = abs(host.background_hu(window, np.ones_like(share), level) - level) < 1  # no vessel stands out there
        lung = np.isin(host.structure[window], [int(Structure.RIGHT_LUNG), int(Structure.LEFT_LUNG)]) & plain
        error.append((now - before - share * (40 - level))[lung])
        # Neighbours in a row: what varies slowly (gravity, emphysema) is no noise.
        noise = np.diff(now - share * (40 - level), axis=2) / np.sqrt(2)
        pair = lung[:, :, 1:] & lung[:, :, :-1]
        inside.append(noise[pair & (share[:, :, 1:] > 0.95) & (share[:, :, :-1] > 0.95)])
        around.append(noise[pair & (share[:, :, 1:] < 0.05) & (share[:, :, :-1] < 0.05)])
    assert np.sqrt((np.concatenate(error) ** 2).mean()) < 2
    ratio = [a.std() / b.std() for a, b in zip(inside, around, strict=True) if min(len(a), len(b)) > 60]
    assert len(ratio) > N // 2
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
