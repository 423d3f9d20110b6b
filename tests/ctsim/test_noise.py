"""Counting noise: known answers, moments, monotone counts, independence of blocks and threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ctsim.kernels.noise import (
    _normal_quantiles,
    add_electronic,
    count,
    normal_quantile,
    philox,
    poisson_quantile,
    uniform,
)
from ctsim.kernels.readings import moments

ENERGY_KEV = 60.0
UNITS = 60 * 256


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [  # Random123 1.09, kat_vectors, philox4x32 10 rounds
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert tuple(int(w) for w in philox(*counter, *key)) == answer


def test_uniform_numbers_stay_inside_zero_and_one():
    assert uniform(0, 0) == 2.0**-53
    assert uniform(0xFFFFFFFF, 0xFFFFFFFF) == 1 - 2.0**-53


def test_the_normal_quantile_is_that_of_scipy():
    u = np.concatenate([np.random.default_rng(0).uniform(size=500), 10.0 ** -np.arange(1, 16)])
    np.testing.assert_allclose([normal_quantile(x) for x in u], stats.norm.ppf(u), rtol=1e-13, atol=1e-14)


@given(u=st.floats(1e-12, 1 - 1e-12), mean=st.floats(0.01, 31.9))
def test_small_means_are_inverted_exactly(u, mean):
    # up to a rounding error of the summed distribution function, which matters only within 1e-13 of a step
    found = poisson_quantile(u, mean)
    assert stats.poisson.cdf(found, mean) >= u * (1 - 1e-12)
    assert found == 0 or stats.poisson.cdf(found - 1, mean) < u * (1 + 1e-12) + 1e-13


@given(u=st.floats(1e-6, 1 - 1e-6), mean=st.floats(32, 1e6))
def test_large_means_are_within_one_count_of_the_exact_inverse(u, mean):
    assert abs(poisson_quantile(u, mean) - stats.poisson.ppf(u, mean)) <= 1


@given(u=st.floats(1e-9, 1 - 1e-9), mean=st.floats(0.01, 1e5), more=st.floats(1e-3, 2.0))
def test_counts_grow_with_the_mean(u, mean, more):
    other = mean * (1 + more)
    step = 1 if mean < 32 <= other else 0  # where summing hands over to the expansion a count may be lost
    assert poisson_quantile(u, other) >= poisson_quantile(u, mean) - step


def detected(mean_counts, key=7, shape=(20, 16, 500), mas=2.0, noise_kev=0.0, offset=0):
    primary, energy = np.full(shape, mean_counts * ENERGY_KEV / mas, np.float32), np.full(shape, UNITS, np.uint16)
    out, second, none = np.empty(shape, np.float32), np.empty(shape, np.float32), np.zeros((1, 1, 1), np.float32)
    moments(primary, energy, 1 / 256, False, none, none, np.full(shape[0], mas), out, second)
    count(out, second, 0, key, offset)
    add_electronic(out, noise_kev, 0, 0, key, offset)
    return out


@pytest.mark.parametrize("mean", [0.5, 8.0, 31.0, 33.0, 400.0, 40000.0])
def test_counts_have_the_moments_of_a_poisson_distribution(mean):
    n = detected(mean) / ENERGY_KEV
    size = n.size
    assert n.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / size))  # five standard errors
    spread = np.sqrt((2 + 1 / mean) / size)
    assert n.var() == pytest.approx(mean, rel=5 * spread)
    assert stats.skew(n, axis=None) == pytest.approx(
        1 / np.sqrt(mean), abs=5 * np.sqrt(6 / size) + 0.01 / np.sqrt(mean)
    )


def test_electronic_noise_adds_its_variance_and_no_mean():
    quiet, noisy = detected(100.0), detected(100.0, noise_kev=230.0)
    extra = noisy - quiet
    assert extra.std() == pytest.approx(230.0, rel=5 / np.sqrt(2 * extra.size))
    assert abs(extra.mean()) < 5 * 230 / np.sqrt(extra.size)
    assert abs(np.corrcoef(extra.ravel(), quiet.ravel())[0, 1]) < 5 / np.sqrt(extra.size)


def test_neighbouring_readings_are_independent():
    n = detected(100.0)
    for axis in range(3):
        a, b = np.take(n, range(1, n.shape[axis]), axis), np.take(n, range(n.shape[axis] - 1), axis)
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_a_pair_with_and_without_a_lesion_shares_its_noise():
    with_lesion, without = detected(198.0) / ENERGY_KEV, detected(200.0) / ENERGY_KEV
    difference = without - with_lesion
    assert difference.min() >= 0
    assert difference.std() < 0.5  # independent draws: 20


def test_another_key_is_another_noise():
    first, second = detected(100.0, key=7), detected(100.0, key=8)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 5 / np.sqrt(first.size)
    third = detected(100.0, key=7, offset=1)
    assert abs(np.corrcoef(first.ravel(), third.ravel())[0, 1]) < 5 / np.sqrt(first.size)


def test_the_number_of_threads_changes_no_byte(on_one_and_all_threads):
    one, many = on_one_and_all_threads(lambda: detected(100.0, noise_kev=10.0))
    assert one.tobytes() == many.tobytes()


@pytest.mark.parametrize("n_columns", [1, 63, 64, 130])
def test_blocks_of_columns_draw_what_single_readings_draw(n_columns):
    rng = np.random.default_rng(3)
    mean = (60 * 10 ** rng.uniform(-2, 5, (2, 3, n_columns))).astype(np.float32)
    mean[0, 0, 0], mean[1, 2, -1] = 0.0, -5.0
    square = np.float32(62) * np.abs(mean)
    signal, noise = mean.copy(), np.zeros_like(mean)
    count(signal, square, 9, 7, 8)
    add_electronic(noise, 230.0, 0, 9, 7, 8)
    for v, r, c in np.ndindex(mean.shape):
        w0, w1, w2, w3 = philox(c, r, 9 + v, 0, 7, 8)
        energy = np.float32(62)
        if mean[v, r, c] > 0:
            energy = square[v, r, c] / mean[v, r, c]
        counts = poisson_quantile(uniform(w0, w1), max(mean[v, r, c], np.float32(0)) / energy)
        assert signal[v, r, c] == np.float32(energy * counts)
        assert noise[v, r, c] == np.float32(230.0 * normal_quantile(uniform(w2, w3)))


def test_quantiles_in_blocks_reach_the_farthest_tails():
    u = np.full(64, 0.3)
    u[:8] = [1e-15, 1.38e-11, 1.4e-11, 1e-3, 1 - 1e-15, 0.5, 0.075, 0.925]
    z, tail, scratch = np.empty(64), np.empty(65, np.int64), np.ones(64)
    _normal_quantiles(u, z, tail, scratch)
    np.testing.assert_array_equal(z, [normal_quantile(x) for x in u])
