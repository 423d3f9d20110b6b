"""Starvation filter: what it leaves, what it smooths, and the bias it takes away."""

import numpy as np
import pytest
from scipy import optimize

from ctsim import Sampling, correct, read_out
from ctsim.kernels.correct import feed_starved
from ctsim.starvation import LARGEST_HALF_WIDTH, WANTED_COUNTS, filter_starved

from .readings import exposure_of, protocol_with, scanner_with

PHOTON_KEV, NOISE_KEV = 70.0, 230.0
FINE = Sampling(column_binning=4, row_binning=1, rays_per_reading=1, scatter=False)


def counts(mean, shape=(40, 16, 120), seed=0, noise_kev=NOISE_KEV):
    rng = np.random.default_rng(seed)
    signal = PHOTON_KEV * rng.poisson(mean, shape) + noise_kev * rng.standard_normal(shape)
    return signal.astype(np.float32)


def test_readings_with_enough_photons_stay_to_the_bit():
    signal = counts(400.0)
    before = signal.copy()
    filter_starved(signal, PHOTON_KEV, NOISE_KEV)
    np.testing.assert_array_equal(signal, before)


@pytest.mark.parametrize("mean", [40.0, 20.0, 8.0])
def test_starved_readings_gather_the_counts_that_are_wanted(mean):
    signal = counts(mean)
    filter_starved(signal, PHOTON_KEV, NOISE_KEV)
    inner = signal[:, 6:-6, 6:-6].astype(float)
    clean = PHOTON_KEV * mean
    assert inner.mean() == pytest.approx(clean, rel=0.01)
    assert 0.6 * WANTED_COUNTS < (clean / inner.std()) ** 2 < 1.5 * WANTED_COUNTS


def test_a_box_is_as_wide_as_it_must_be_and_no_wider():
    signal = np.full((1, 41, 41), 1.0, np.float32)  # next to nothing: the widest box
    signal[0, 20, 20] = 2.0
    filter_starved(signal, PHOTON_KEV, NOISE_KEV)
    touched = np.argwhere(np.abs(signal[0] - 1.0) > 1e-4)
    reach = int(LARGEST_HALF_WIDTH)
    assert touched.min() == 20 - reach
    assert touched.max() == 20 + reach
    assert signal.sum() == pytest.approx(41**2 + 1, rel=1e-5)


def half_width(wanted, largest):
    """Where a line of readings with partial ends is worth as many independent ones."""

    def worth(half):
        whole = np.floor(half)
        weights = np.array([1.0] * int(2 * whole + 1) + [half - whole] * 2)
        return weights.sum() ** 2 / (weights**2).sum()

    if worth(largest) <= wanted:
        return largest
    return optimize.brentq(lambda half: worth(half) - wanted, 0.0, largest, xtol=1e-12) if wanted > 1 else 0.0


def slow_mean(view, r, c, half_rows, half_columns):
    total = weights = 0.0
    for i in range(view.shape[0]):
        for j in range(view.shape[1]):
            w = max(0.0, min(1.0, half_rows + 1 - abs(i - r))) * max(0.0, min(1.0, half_columns + 1 - abs(j - c)))
            total, weights = total + w * view[i, j], weights + w
    return total / weights


def slow_filter(signal, wanted, largest):
    out = signal.copy()
    n_rows, n_columns = signal.shape[1:]
    for view, new in zip(signal.astype(float), out, strict=True):
        for r in range(n_rows):
            for c in range(n_columns):
                around = view[max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4]
                mean = max(around.mean(), 0.0)
                found = mean**2 / (PHOTON_KEV * mean + NOISE_KEV**2)
                if found < wanted:
                    need = wanted / max(found, 1e-6 * wanted)
                    rows = min(np.sqrt(need), 2 * largest + 1, n_rows)
                    half_rows = min(half_width(rows, largest), (n_rows - 1) / 2)
                    new[r, c] = slow_mean(view, r, c, half_rows, half_width(need / rows, largest))
    return out


@pytest.mark.parametrize("shape", [(2, 9, 14), (1, 2, 20), (1, 1, 20)])
def test_the_kernel_is_the_obvious_filter(shape):
    mean = np.geomspace(3.0, 200.0, shape[2])
    signal = counts(np.broadcast_to(mean, shape), shape)
    expected = slow_filter(signal, WANTED_COUNTS, 3.5)
    feed_starved(signal, PHOTON_KEV, NOISE_KEV, WANTED_COUNTS, 3.5)
    np.testing.assert_allclose(signal, expected, rtol=1e-5)


def logs(water_mm, starvation):
    """Mean error and noise of the water length in rays of few photons, and of the noise-free scan [mm]."""
    exposure = exposure_of(scanner_with(), water_mm=water_mm, n_views=60, sampling=FINE)
    protocol = protocol_with(mas_per_rotation=1.5, corrections={"starvation": starvation})
    sinogram = correct(read_out(exposure, protocol, key=4), overwrite=True)
    error = sinogram.line_integral[:, :, 60:124] / sinogram.mu_water_per_mm - water_mm
    return error.mean(), error.std()


def test_the_logarithm_of_starved_readings_is_biased_less_and_their_noise_is_bounded():
    # 300 mm of water: 20 photons a reading, with electronic noise worth 7.6
    raw_bias, raw_noise = logs(300.0, False)
    bias, noise = logs(300.0, True)
    assert raw_bias > 4.0  # mm: the mean of the logarithm is not the logarithm of the mean
    assert abs(bias) < 0.8  # measured 0.59; 1 / (2 64) of a line integral is 0.39
    assert noise < raw_noise / 3  # measured 7.3 of 30.9


def test_the_slope_of_a_body_is_kept():
    # noise-free chords of a 400 mm cylinder, all but its rim starved at this mAs
    angle = exposure_of(scanner_with(), n_views=1, sampling=FINE).geometry.column_angle_rad
    chord = 2 * np.sqrt(np.maximum(200.0**2 - (595.0 * np.sin(angle)) ** 2, 0.0))
    exposure = exposure_of(scanner_with(), water_mm=chord, n_views=1, sampling=FINE)
    lines = []
    for starvation in (False, True):
        protocol = protocol_with(mas_per_rotation=3.0, corrections={"starvation": starvation})
        sinogram = correct(read_out(exposure, protocol, key=None), overwrite=True)
        lines.append(sinogram.line_integral[0, 8] / sinogram.mu_water_per_mm)
    change = lines[1] - lines[0]
    assert np.count_nonzero(change) > 40
    assert abs(change[change != 0].mean()) < 0.2  # measured 0.11 mm at columns of 2.8 mm, 0.02 at the scanner's own
    assert np.abs(change).max() < 0.5  # measured 0.37


def test_rays_of_enough_photons_are_not_touched_in_a_scan():
    assert logs(150.0, True) == logs(150.0, False)


def test_nothing_at_all_gives_finite_line_integrals():
    signal = np.zeros((2, 4, 30), np.float32)
    signal[1] = -50.0
    filter_starved(signal, PHOTON_KEV, NOISE_KEV)
    assert np.isfinite(signal).all()
    exposure = exposure_of(scanner_with(), water_mm=900.0, n_views=4)
    line = correct(read_out(exposure, protocol_with(corrections={"starvation": True}), key=1)).line_integral
    assert np.isfinite(line).all()
