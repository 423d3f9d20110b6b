"""What an image reads under a lesion: anatomy stands out of the level, noise does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, maximum_filter

from lesions.images import background
from lesions.images.background import background_hu
from twins.importers.noise import FEWER, denoise

LEVEL, SD = -850.0, 25.0


def noise(shape, *, blur, key=1):
    field = gaussian_filter(np.random.default_rng(key).standard_normal(shape), (0, blur, blur))
    return (SD * field / field.std()).astype(np.float32)


def test_what_stands_out_is_as_worked_out_filter_by_filter():
    clean = LEVEL + 4 * noise((3, 41, 37), blur=1.5)
    low, high = np.float32(1.5 * SD), np.float32(3 * SD)
    found = np.empty_like(clean)
    background._standing_out(clean, np.float32(LEVEL), low, high, background._TAPS, found)
    excess = clean - LEVEL
    t = np.clip((abs(gaussian_filter(excess, (0, 0.7, 0.7))) - low) / (high - low), 0, 1)
    weight = gaussian_filter(maximum_filter(t * t * (3 - 2 * t), (1, 5, 5)), (0, 0.7, 0.7))
    np.testing.assert_allclose(found, excess * weight, atol=1e-3)
    assert 0.2 < (weight > 0.5).mean() < 0.99


@pytest.mark.parametrize("blur", [0.0, 0.8])
def test_noise_is_no_anatomy_and_vessels_are(blur):
    truth = np.full((13, 72, 72), LEVEL, np.float32)
    truth[:, 30:33, 20:60] = -100.0
    hu = truth + noise(truth.shape, blur=blur)
    displaced = np.ones((9, 44, 44), np.float32)
    window = (slice(2, 11), slice(14, 58), slice(14, 58))
    there = background_hu(hu, window, displaced, LEVEL, SD)
    vessel, plain = truth[window] > -500, np.ones(displaced.shape, bool)
    plain[:, 10:25] = False
    assert (there[vessel] + 100).mean() == pytest.approx(0, abs=5)
    assert np.sqrt(((there - LEVEL)[plain] ** 2).mean()) < 2


def test_fewer_neighbours_leave_a_little_more_noise_and_the_same_vessels():
    truth = np.full((9, 64, 64), LEVEL, np.float32)
    truth[:, 30:33, ::12] = 0.0
    hu, everywhere = truth + noise(truth.shape, blur=0.0), np.ones(truth.shape, bool)
    quick, slow = denoise(hu, SD, everywhere, FEWER), denoise(hu, SD, everywhere)
    inner = (slice(2, -2), slice(38, 56), slice(8, 56))
    assert (quick - truth)[inner].std() < SD / 3
    assert (slow - truth)[inner].std() < (quick - truth)[inner].std()
    assert quick[:, 31, ::12].mean() == pytest.approx(0, abs=10)
