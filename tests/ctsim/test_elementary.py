"""Exponential and logarithm of the kernels against NumPy's."""

import numpy as np
from numba import njit

from ctsim.kernels.elementary import exp32, log64


@njit(error_model="numpy")
def of_all(x32, x64, exponential, logarithm):
    for i in range(x32.size):
        exponential[i] = exp32(x32[i])
    for i in range(x64.size):
        logarithm[i] = log64(x64[i])


def test_they_are_those_of_numpy_to_rounding():
    rng = np.random.default_rng(0)
    x32 = np.concatenate([np.linspace(-87, 88, 20001), rng.uniform(-1, 1, 20000)]).astype(np.float32)
    x64 = np.concatenate([10.0 ** np.linspace(-9, 9, 20001), rng.uniform(0.5, 2.0, 20000), [1.0]])
    exponential, logarithm = np.empty_like(x32), np.empty_like(x64)
    of_all(x32, x64, exponential, logarithm)
    exact = np.exp(x32.astype(np.float64))
    assert np.abs(exponential / exact - 1).max() < 2e-7
    assert np.abs(logarithm - np.log(x64)).max() < 2e-14
    assert logarithm[-1] == 0.0


def test_an_exponential_beyond_float32_is_that_of_the_end():
    x32 = np.array([-1e6, -87.0, 88.0, 1e6, 0.0], np.float32)
    found = np.empty_like(x32)
    of_all(x32, np.ones(1), found, np.empty(1))
    assert found[0] == found[1] > 0
    assert found[3] == found[2] < np.inf
    assert found[4] == 1.0
