"""Readout and correction on the "device": the driver through a stand-in for CuPy, the arithmetic on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctsim import Sampling, correct, detect, read_out
from ctsim.backends import BackendError
from ctsim.detector import Afterglow
from ctsim.kernels.noise import normal_quantile, philox, poisson_quantile, uniform
from ctsim.scatter.field import ScatterField
from tests.ctsim import fake_cupy
from tests.ctsim.cuda_on_cpu import cuda_on_cpu
from tests.ctsim.readings import exposure_of, protocol_with, scanner_with

EVERYTHING = {
    "xray_crosstalk": (0.02, 0.01),
    "optical_crosstalk": (0.04, 0.03),
    "afterglow": (
        Afterglow(fraction=0.03, time_constant_ms=1.0),
        Afterglow(fraction=0.003, time_constant_ms=40.0),
    ),
    "electronic_noise_kev": 230.0,
    "step_kev": 5.0,
    "saturation_kev": 2e6,
    "gain_spread": 0.01,
}
KEY = 0x0123456789ABCDEF
N_VIEWS = 25


ON_GPU = {"backend": "gpu", "block_bytes": 60_000}  # a few views at a time


@pytest.fixture(autouse=True, params=["others last", "others first"])
def cupy(request, monkeypatch, system_tool):
    return fake_cupy.install(monkeypatch, system_tool, others_first=request.param == "others first")


@pytest.fixture(scope="module")
def exposure():
    """From air to starvation, with scatter, by a detector with all its faults."""
    protocol = protocol_with(corrections={"scatter": True, "starvation": True})
    n_columns = exposure_of(n_views=1).geometry.shape[2]
    water_mm = np.linspace(0.0, 700.0, n_columns) * np.linspace(0.8, 1.0, N_VIEWS)[:, None, None]
    bare = exposure_of(scanner_with(**EVERYTHING), protocol, water_mm=water_mm, n_views=N_VIEWS)
    nodes = (3, 2, 5)
    rng = np.random.default_rng(3)
    signal = rng.uniform(-0.2, 1.0, nodes) * 2e-3 * bare.air_kev_per_mas.mean()
    scatter = ScatterField(
        np.maximum(signal, 0.0), rng.uniform(50.0, 70.0, nodes), np.array([0.0, 9.0, 24.0]),
        np.array([0.5, 2.5]), np.linspace(4.0, n_columns - 5.0, 5), bare.geometry.shape,
    )  # fmt: skip
    return replace(bare, scatter=scatter)


def same_but_for_rounding(got, expected, rtol=1e-5, atol=0.0):
    """No more than one reading in 10^4 may have another count."""
    apart = np.abs(got - expected) > rtol * np.abs(expected) + atol
    assert apart.mean() <= 1e-4
    return apart.sum()


def test_noise_free_readings_are_those_of_the_cpu(exposure):
    protocol = protocol_with(corrections={"scatter": True, "starvation": True})
    by_cpu = read_out(exposure, protocol, key=None)
    by_gpu = read_out(exposure, protocol, key=None, with_truth=True, **ON_GPU)
    np.testing.assert_allclose(by_gpu.signal_kev, by_cpu.signal_kev, rtol=1e-6)
    assert (by_cpu.signal_kev == by_cpu.signal_kev.max()).sum() > 10  # saturated
    with_truth = read_out(exposure, protocol, key=None, with_truth=True)
    np.testing.assert_array_equal(by_gpu.primary_kev, with_truth.primary_kev)
    np.testing.assert_array_equal(by_gpu.scatter_kev, with_truth.scatter_kev)


def test_noisy_readings_and_line_integrals_are_those_of_the_cpu(exposure):
    protocol = protocol_with(corrections={"scatter": True, "starvation": True})
    by_cpu = read_out(exposure, protocol, key=KEY)
    by_gpu = read_out(exposure, protocol, key=KEY, **ON_GPU)
    assert (
        same_but_for_rounding(by_gpu.signal_kev, by_cpu.signal_kev, atol=20.1) <= 2
    )  # a converter's step, 4 x 4 merged
    expected = correct(by_cpu)
    got = correct(by_cpu, **ON_GPU)
    assert expected.line_integral.max() > 8  # starved readings among them
    np.testing.assert_allclose(got.line_integral, expected.line_integral, rtol=2e-6, atol=2e-6)
    in_one = detect(exposure, protocol, key=KEY, **ON_GPU)
    np.testing.assert_allclose(in_one.line_integral, correct(by_gpu, **ON_GPU).line_integral, rtol=1e-6, atol=1e-6)


def test_a_perfect_detector_without_corrections_comes_out_alike():
    protocol = protocol_with()
    exposure = exposure_of(protocol=protocol, water_mm=200.0)
    expected, got = (detect(exposure, protocol, key=5, backend=backend) for backend in ("cpu", "gpu"))
    same_but_for_rounding(got.line_integral, expected.line_integral, atol=1e-6)


def test_readings_that_do_not_fit_the_device_go_through_the_host_and_come_out_the_same(exposure, monkeypatch):
    protocol = protocol_with(corrections={"scatter": True, "starvation": True})
    on_device = detect(exposure, protocol, key=KEY, **ON_GPU).line_integral
    bytes_of_readings = 4 * on_device.size
    for memory in (3 * bytes_of_readings, bytes_of_readings):
        monkeypatch.setattr(fake_cupy, "MEMORY", memory)
        again = detect(exposure, protocol, key=KEY, **ON_GPU).line_integral
        # the means over nodes that scatter is estimated from are summed in another order
        np.testing.assert_allclose(again, on_device, rtol=1e-6, atol=1e-6)


def test_blocks_do_not_matter(exposure):
    protocol = protocol_with(corrections={"scatter": True, "starvation": True})
    some = detect(exposure, protocol, key=KEY, **ON_GPU)
    for n in (1, 10**9):
        other = detect(exposure, protocol, key=KEY, backend="gpu", block_bytes=n)
        np.testing.assert_array_equal(other.line_integral, some.line_integral)


def test_more_components_of_afterglow_than_the_device_knows_are_refused(exposure):
    parts = tuple(Afterglow(fraction=0.001, time_constant_ms=k + 1.0) for k in range(5))
    many = exposure_of(scanner_with(afterglow=parts))
    with pytest.raises(BackendError, match="4 components of afterglow at most, the detector has 5"):
        read_out(many, protocol_with(), key=1, backend="gpu")


def test_a_single_reading_is_read_out():
    """A single view, row or column has neighbours on no side."""
    sampling = Sampling(column_binning=16, row_binning=16, rays_per_reading=1, scatter=False)
    scanner, protocol = scanner_with(**EVERYTHING), protocol_with()
    alone = exposure_of(scanner, protocol, water_mm=100.0, n_views=1, sampling=sampling)
    assert alone.geometry.shape[:2] == (1, 1)
    expected, got = (read_out(alone, protocol, key=9, backend=backend) for backend in ("cpu", "gpu"))
    same_but_for_rounding(got.signal_kev, expected.signal_kev, atol=80.1)


@pytest.mark.parametrize("mean", [1e-3, 0.7, 8.0, 31.99, 32.0, 500.0, 3e4, 1e7])
def test_counts_are_the_monotone_quantiles_of_the_same_numbers(system_tool, mean):
    cuda = cuda_on_cpu("detect", system_tool)
    shape = (3, 7, 50)
    signal = np.full(shape, mean * 60.0, np.float32)
    square = (signal * np.float32(60.0)).astype(np.float32)
    cuda.launch("count", signal.size, signal, square, 1000, 0x89ABCDEF, 0x01234567, *shape)
    energy = np.float32(np.float32(mean * 60.0) * np.float32(60.0)) / np.float32(mean * 60.0)
    expected_mean = float(np.float32(mean * 60.0) / energy)
    low, high = np.uint32(0x89ABCDEF), np.uint32(0x01234567)
    for place in np.ndindex(shape):
        v, r, c = place
        words = philox(c, r, 1000 + v, 0, low, high)
        n = poisson_quantile(uniform(words[0], words[1]), expected_mean)
        assert signal[place] == np.float32(energy * n)


def test_electronic_noise_is_the_normal_quantile_of_the_later_words(system_tool):
    cuda = cuda_on_cpu("detect", system_tool)
    shape = (3, 40, 50)
    signal = np.zeros(shape, np.float32)
    gain = np.ones(shape[1:], np.float32)
    low, high = np.uint32(7), np.uint32(2**32 - 1)
    cuda.launch("electronics", signal.size, signal, gain, 230.0, np.inf, 0.0, 0, low, high, *shape, signal)
    expected = np.zeros(shape)
    for v, r, c in np.ndindex(shape):
        words = philox(c, r, v, 0, low, high)
        expected[v, r, c] = 230.0 * normal_quantile(uniform(words[2], words[3]))
    np.testing.assert_allclose(signal, expected, rtol=1e-7)
    assert np.abs(signal).max() > 3.3 * 230.0  # the tails' polynomials are in it
