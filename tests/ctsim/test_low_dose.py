"""A lower dose made of a scan, against scans that were taken at that dose."""

from functools import cache

import numpy as np
import pytest

from ctsim import lower_dose, read_out

from .readings import exposure_of, protocol_with, scanner_with

LENGTHS_MM = np.linspace(0.0, 420.0, 184)  # one per column: 2e6 to 20 photons at 100 mAs
COLUMNS = np.arange(20, 184, 20)
DETECTORS = {
    "ideal": {},
    "with optical crosstalk": {"optical_crosstalk": (0.16, 0.08)},
    "with electronic noise": {"electronic_noise_kev": 4000.0},
}


@cache
def exposure(detector, n_views):
    return exposure_of(scanner_with(**DETECTORS[detector]), water_mm=LENGTHS_MM, n_views=n_views)


def raw_scan(mas, key, detector="ideal", n_views=400):
    return read_out(exposure(detector, n_views), protocol_with(mas_per_rotation=mas), key=key)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("mas", [50.0, 10.0, 2.0])
def test_mean_and_variance_are_those_of_a_scan_at_that_dose(mas, detector):
    low, true = lower_dose(raw_scan(100.0, 1, detector), mas, key=2).signal_kev, raw_scan(mas, 3, detector).signal_kev
    clean = raw_scan(mas, None, detector).signal_kev
    n = low[..., 0].size
    for c in COLUMNS:
        a, b = (x[..., c].astype(float) - clean[..., c] for x in (low, true))
        assert abs(a.mean()) < 5 * a.std() / np.sqrt(n)
        assert a.std() / b.std() == pytest.approx(1.0, abs=5 / np.sqrt(n))
    along = [(x[..., 1:] - clean[..., 1:]).astype(float) * (x[..., :-1] - clean[..., :-1]) for x in (low, true)]
    for c in COLUMNS:
        scale = true[..., c].astype(float).var()
        covariance = [x[..., c].mean() / scale for x in along]
        assert covariance[0] == pytest.approx(covariance[1], abs=8 / np.sqrt(n))


def test_the_added_noise_is_another_than_that_of_the_scan_even_with_its_key():
    raw = raw_scan(100.0, 1)
    low, clean = lower_dose(raw, 50.0, key=1).signal_kev, raw_scan(100.0, None).signal_kev
    noise = (raw.signal_kev - clean)[..., COLUMNS].astype(float)
    added = (low - 0.5 * raw.signal_kev)[..., COLUMNS].astype(float)
    for c in range(len(COLUMNS)):
        r = np.corrcoef(noise[..., c].ravel(), added[..., c].ravel())[0, 1]
        assert abs(r) < 5 / np.sqrt(noise[..., c].size)


def test_a_scan_at_its_own_dose_stays_as_it_is():
    raw = raw_scan(100.0, 1, n_views=4)
    same = lower_dose(raw, 100.0, key=5)
    np.testing.assert_array_equal(same.signal_kev, raw.signal_kev)
    assert same.key == 5


def test_current_and_protocol_say_the_new_dose():
    raw = raw_scan(100.0, 1, n_views=4)
    low = lower_dose(raw, 25.0, key=5)
    np.testing.assert_allclose(low.mas, raw.mas / 4)
    assert low.protocol.mas_per_rotation == 25.0
    assert lower_dose(raw, 25.0, key=5).signal_kev.tobytes() == low.signal_kev.tobytes()
    assert lower_dose(raw, 25.0, key=6).signal_kev.tobytes() != low.signal_kev.tobytes()


def test_what_cannot_be_is_refused():
    raw = raw_scan(100.0, 1, n_views=2)
    with pytest.raises(ValueError, match="mas_per_rotation must lie in"):
        lower_dose(raw, 120.0, key=1)
    with pytest.raises(ValueError, match="mas_per_rotation must lie in"):
        lower_dose(raw, 0.0, key=1)
    with pytest.raises(ValueError, match="key must be"):
        lower_dose(raw, 10.0, key=2**64)
    with pytest.raises(ValueError, match="without noise"):
        lower_dose(raw_scan(100.0, None, n_views=2), 10.0, key=1)
