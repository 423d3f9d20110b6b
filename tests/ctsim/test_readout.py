"""What the detector makes of an exposure: crosstalk, afterglow, counting, gains, electronics."""

from dataclasses import replace

import numpy as np
import pytest

from ctsim import Sampling, correct, detect, read_out
from ctsim.cells import gain_of
from ctsim.detector import Afterglow
from ctsim.kernels.afterglow import glow
from ctsim.kernels.crosstalk import mix

from .readings import SAMPLING, exposure_of, protocol_with, scanner_with

QUIET = {"electronic_noise_kev": 0.0}
EVERYTHING = {
    "xray_crosstalk": (0.02, 0.01),
    "optical_crosstalk": (0.04, 0.03),
    "afterglow": (
        Afterglow(fraction=0.03, time_constant_ms=1.0),
        Afterglow(fraction=0.003, time_constant_ms=40.0),
    ),
    "step_kev": 5.0,
    "saturation_kev": 1e9,
}


def random_signal(shape=(6, 5, 40), seed=0):
    return np.random.default_rng(seed).uniform(1, 100, shape).astype(np.float32)


def test_crosstalk_is_a_blur_by_three_cells_that_keeps_the_sum():
    before = random_signal()
    after = before.copy()
    mix(after, 0.03, 0.0)
    line = np.pad(before[2, 3].astype(float), 1, mode="edge")
    np.testing.assert_allclose(after[2, 3], 0.94 * line[1:-1] + 0.03 * (line[:-2] + line[2:]), rtol=1e-6)
    mix(after, 0.0, 0.07)
    np.testing.assert_allclose(after.sum(axis=(1, 2)), before.sum(axis=(1, 2)), rtol=1e-6)
    flat = np.full((2, 3, 4), 7.0, np.float32)
    mix(flat, 0.05, 0.05)
    np.testing.assert_array_equal(flat, 7.0)


def test_crosstalk_along_rows_is_that_along_columns_turned():
    before = random_signal((4, 7, 7))
    along_rows, along_columns = before.copy(), np.ascontiguousarray(before.transpose(0, 2, 1))
    mix(along_rows, 0.0, 0.06)
    mix(along_columns, 0.06, 0.0)
    np.testing.assert_allclose(along_rows, along_columns.transpose(0, 2, 1), rtol=1e-6)


def slow_glow(signal, before, fractions, constants, duration):
    """The same afterglow as an explicit sum over all earlier readings."""
    out = np.zeros(signal.shape)
    past = np.concatenate([np.repeat(before[None], 400, axis=0), signal]).astype(float)
    for v in range(len(signal)):
        now = 400 + v
        out[v] = past[now]
        for a, tau in zip(fractions, constants, strict=True):
            out[v] -= a * np.exp(-duration / 2 / tau) * past[now]
            for age in range(1, now + 1):
                late = np.exp(-duration / 2 / tau) * np.exp(-(age - 1) * duration / tau)
                out[v] += a * (1 - np.exp(-duration / tau)) * late * past[now - age]
    return out


def test_afterglow_is_the_sum_over_all_earlier_readings():
    signal, before = random_signal((30, 2, 40)), random_signal((2, 40), 1)
    fractions, constants = np.array([0.1, 0.02]), np.array([0.9, 11.0])
    expected = slow_glow(signal, before, fractions, constants, 0.6)
    glow(signal, before, fractions, constants, 0.6)
    np.testing.assert_allclose(signal, expected, rtol=2e-6)


def test_afterglow_loses_no_light_and_passes_a_steady_signal():
    pulse = np.zeros((3000, 1, 3), np.float32)
    pulse[4] = 1000.0
    fractions, constants = np.array([0.1, 0.02]), np.array([0.9, 50.0])
    glow(pulse, np.zeros((1, 3), np.float32), fractions, constants, 0.6)
    np.testing.assert_allclose(pulse.sum(axis=0), 1000.0, rtol=1e-5)
    assert pulse[:4].max() == 0.0
    assert np.all(np.diff(pulse[4:, 0, 0]) < 0)
    steady = np.full((50, 2, 3), 70.0, np.float32)
    glow(steady, steady[0], fractions, constants, 0.6)
    np.testing.assert_allclose(steady, 70.0, rtol=1e-6)


@pytest.mark.parametrize("changes", [{}, EVERYTHING, EVERYTHING | {"xray_crosstalk": (0.2, 0.2)}])
def test_a_scan_of_air_is_nothing_but_air(changes):
    scanner = scanner_with(**changes)
    sinogram = detect(exposure_of(scanner), protocol_with(), key=None)
    assert np.abs(sinogram.line_integral).max() < 1e-6


def test_air_calibrated_without_the_crosstalk_of_air_would_not_be_air():
    scanner = scanner_with(**EVERYTHING)
    exposure = exposure_of(scanner)
    raw = replace(read_out(exposure, protocol_with(), key=None), air_kev_per_mas=exposure.air_kev_per_mas)
    assert np.abs(correct(raw).line_integral).max() > 1e-5  # the bowtie's slope


def test_a_noisy_scan_of_air_is_air_on_average():
    raw = read_out(exposure_of(scanner_with(**EVERYTHING), n_views=96), protocol_with(), key=3)
    line = correct(raw).line_integral.astype(float)
    error = line.std() / np.sqrt(line.size)
    assert abs(line.mean()) < 5 * error + 1e-6
    assert 0 < line.std() < 0.02


def test_both_moments_mix_before_counting():
    # column 92, behind 300 mm of water, next to 91 in air: what comes over is softer, and most of what it reads
    edge = np.where(np.arange(184) < 92, 0.0, 300.0)
    share = 0.08 / SAMPLING.column_binning
    exposure = exposure_of(scanner_with(**QUIET, xray_crosstalk=(0.08, 0.0)), water_mm=edge, n_views=600)
    first = exposure.signal_kev_per_mas[0].astype(float)
    second = first * exposure.mean_energy[0] / 256
    m1, m2 = (m[:, 92] + share * (m[:, 91] - 2 * m[:, 92] + m[:, 93]) for m in (first, second))
    protocol = protocol_with(mas_per_rotation=10.0)
    clean = read_out(exposure, protocol, key=None).signal_kev[:, :, 92]
    np.testing.assert_allclose(clean, 10 * np.broadcast_to(m1, clean.shape), rtol=1e-5)
    assert m1.min() > 2 * first[:, 92].max()
    noise = read_out(exposure, protocol, key=2).signal_kev[:, :, 92] - clean
    assert (noise.astype(float) ** 2).mean() == pytest.approx(10 * m2.mean(), rel=5 * np.sqrt(2 / noise.size))
    assert abs(m2 / m1 - (second / first)[:, 92]).min() > 5.0  # keV


def moments_of_noise(changes, n=40, water_mm=250.0):
    """Readings of many views of the same water: mean, variance, covariance with the neighbour along columns, rows."""
    exposure = exposure_of(scanner_with(**QUIET, **changes), water_mm=water_mm, n_views=n)
    raw = read_out(exposure, protocol_with(mas_per_rotation=100.0), key=11)
    mean = read_out(exposure, protocol_with(mas_per_rotation=100.0), key=None).signal_kev
    d = (raw.signal_kev - mean)[:, :, 40:144].astype(float)
    relative = d / mean[:, :, 40:144]
    assert abs(relative.mean()) < 5 * relative.std() / np.sqrt(relative.size)
    scaled = d / np.sqrt(mean[:, :, 40:144])
    along = (scaled[:, :, 1:] * scaled[:, :, :-1]).mean()
    across = (scaled[:, 1:] * scaled[:, :-1]).mean()
    return scaled.var(), along, across, (scaled[1:] * scaled[:-1]).mean(), 5 * scaled.var() / np.sqrt(scaled.size)


def test_counting_noise_has_the_energy_of_a_count_as_its_variance_over_its_mean():
    exposure = exposure_of(water_mm=250.0)
    energy = exposure.mean_energy[:, :, 40:144].mean() / 256
    variance, along, across, later, error = moments_of_noise({})
    assert variance == pytest.approx(energy, rel=0.03)
    assert max(abs(along), abs(across), abs(later)) < error


def test_xray_crosstalk_leaves_noise_white_and_light_colours_it():
    plain = moments_of_noise({})[0]
    variance, along, across, _, error = moments_of_noise({"xray_crosstalk": (0.08, 0.08)})
    assert variance == pytest.approx(plain, rel=0.03)
    assert max(abs(along), abs(across)) < error
    variance, along, across, _, error = moments_of_noise({"optical_crosstalk": (0.2, 0.0)})
    x = 0.2 / SAMPLING.column_binning
    assert variance / plain == pytest.approx((1 - 2 * x) ** 2 + 2 * x**2, rel=0.03)
    assert along / plain == pytest.approx(2 * x * (1 - 2 * x), rel=0.15)
    assert abs(across) < error


def test_afterglow_correlates_a_reading_with_the_next():
    # 24 views in 0.5 s: 20.8 ms a view
    slow = {"afterglow": (Afterglow(fraction=0.4, time_constant_ms=20.0),)}
    variance, along, across, later, error = moments_of_noise(slow)
    assert later > 3 * error
    assert max(abs(along), abs(across)) < error
    assert variance < moments_of_noise({})[0]


def test_gains_belong_to_the_scanner_and_make_rings():
    scanner = scanner_with(gain_spread=0.01)
    gain = gain_of(scanner, Sampling(), 64)
    assert gain.std() == pytest.approx(0.01, rel=0.02)
    assert abs(gain.mean() - 1) < 5 * 0.01 / np.sqrt(gain.size)
    np.testing.assert_array_equal(gain_of(scanner, Sampling(), 16), gain[24:40])
    other = gain_of(scanner.model_copy(update={"name": "another"}), Sampling(), 64)
    assert abs(np.corrcoef(other.ravel(), gain.ravel())[0, 1]) < 5 / np.sqrt(gain.size)
    line = detect(exposure_of(scanner), protocol_with(), key=None).line_integral
    wanted = -np.log(gain_of(scanner, SAMPLING, 4))
    mu = detect(exposure_of(), protocol_with(), key=None).mu_water_per_mm
    assert np.corrcoef(line[0].ravel(), wanted.ravel())[0, 1] > 0.999
    np.testing.assert_array_equal(line, line[:1] + 0 * line)  # the same in every view: a ring
    assert mu > 0


def test_merged_cells_average_their_gains():
    scanner = scanner_with(gain_spread=0.01)
    one, merged = gain_of(scanner, Sampling(), 16), gain_of(scanner, SAMPLING, 4)
    np.testing.assert_allclose(merged, one.reshape(4, 4, 184, 4).mean(axis=(1, 3)))


def test_a_saturated_cell_reads_its_limit_and_the_converter_only_its_steps():
    exposure = exposure_of(scanner_with(saturation_kev=1e5, step_kev=50.0))
    merged = 4 * 4
    raw = read_out(exposure, protocol_with(), key=1)
    assert raw.signal_kev.max() == pytest.approx(1e5 * merged, rel=1e-3)
    steps = raw.signal_kev / (50.0 * merged**0.5)
    np.testing.assert_allclose(steps, np.rint(steps), atol=2e-3)
    sinogram = correct(raw)
    assert np.isfinite(sinogram.line_integral).all()
    assert sinogram.line_integral.max() > 0.1  # too bright to be measured: not air


def test_converter_steps_add_a_twelfth_of_their_square():
    step = 400.0
    exposure = exposure_of(scanner_with(electronic_noise_kev=500.0), water_mm=300.0)
    coarse = replace(exposure, scanner=scanner_with(electronic_noise_kev=500.0, step_kev=step))
    a, b = (read_out(e, protocol_with(), key=5).signal_kev.astype(float) for e in (exposure, coarse))
    assert (b - a).std() == pytest.approx(step * 4 / np.sqrt(12), rel=0.03)


def test_electronic_noise_of_merged_cells_is_that_of_as_many():
    exposure = exposure_of(scanner_with(electronic_noise_kev=100.0), water_mm=600.0)
    silent = replace(exposure, scanner=scanner_with(**QUIET))
    a, b = (read_out(e, protocol_with(), key=5).signal_kev.astype(float) for e in (exposure, silent))
    # 4 x 4 cells; the exposure's few views are no merged ones
    assert (a - b).std() == pytest.approx(100.0 * 4, rel=0.03)


class Flat:
    """Scatter that is the same everywhere."""

    def __init__(self, kev_per_mas, energy_kev, shape):
        self.kev_per_mas, self.energy_kev, self.shape = kev_per_mas, energy_kev, shape

    def block(self, _, n):
        shape = (n, *self.shape[1:])
        return np.full(shape, self.kev_per_mas, np.float32), np.full(shape, self.energy_kev, np.float32)


def test_scatter_adds_its_signal_and_its_noise_and_both_means_can_be_kept():
    primary = exposure_of(scanner_with(**QUIET), water_mm=300.0, n_views=48)
    level = float(primary.signal_kev_per_mas[0, 2, 92])
    both = replace(primary, scatter=Flat(level, 50.0, primary.geometry.shape))
    protocol = protocol_with(mas_per_rotation=100.0)
    clean = read_out(primary, protocol, key=None).signal_kev
    raw = read_out(both, protocol, key=None, with_truth=True)
    np.testing.assert_allclose(raw.signal_kev, clean + 100 * level, rtol=1e-5)
    np.testing.assert_allclose(raw.primary_kev, clean, rtol=1e-6)
    np.testing.assert_allclose(raw.scatter_kev, 100 * level, rtol=1e-6)
    noise = (read_out(both, protocol, key=8).signal_kev - raw.signal_kev)[:, :, 84:100].astype(float)
    energy = primary.mean_energy[:, :, 84:100].mean() / 256
    expected = (clean[:, :, 84:100] * energy + 100 * level * 50.0).mean()
    assert noise.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / noise.size))


def test_blocks_and_threads_change_no_byte(monkeypatch, on_one_and_all_threads):
    exposure = exposure_of(scanner_with(**EVERYTHING, gain_spread=0.01), water_mm=200.0)
    protocol = protocol_with(corrections={"starvation": True}, mas_per_rotation=5.0)
    whole = detect(exposure, protocol, key=2**63 + 1).line_integral
    monkeypatch.setattr("ctsim.readout.BLOCK_BYTES", 5 * 4 * 4 * 184)
    for again in on_one_and_all_threads(lambda: detect(exposure, protocol, key=2**63 + 1).line_integral):
        assert again.tobytes() == whole.tobytes()


def test_noise_falls_as_the_root_of_the_mas():
    exposure = exposure_of(scanner_with(**QUIET), water_mm=200.0, n_views=192)
    mas = np.array([20.0, 40.0, 80.0, 160.0, 320.0])
    clean = detect(exposure, protocol_with(), key=None).line_integral[:, :, 60:124]
    noise = [
        (detect(exposure, protocol_with(mas_per_rotation=m), key=int(m)).line_integral[:, :, 60:124] - clean).std()
        for m in mas
    ]
    slope = np.polyfit(np.log(mas), np.log(noise), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.01)  # 49,000 readings each


def test_neither_blocks_nor_reused_memory_change_a_byte():
    scanner = scanner_with(**EVERYTHING)
    exposure, protocol = exposure_of(scanner), protocol_with()
    whole = read_out(exposure, protocol, key=3, with_truth=True)
    by_view = read_out(exposure, protocol, key=3, with_truth=True, block_bytes=1)
    for name in ("signal_kev", "primary_kev", "scatter_kev"):
        assert getattr(by_view, name).tobytes() == getattr(whole, name).tobytes()
    corrected = correct(whole).line_integral
    own = replace(exposure, signal_kev_per_mas=exposure.signal_kev_per_mas.copy())
    in_place = read_out(own, protocol, key=3, with_truth=True, overwrite=True)
    assert in_place.signal_kev is own.signal_kev_per_mas
    assert in_place.signal_kev.tobytes() == whole.signal_kev.tobytes()
    assert in_place.primary_kev.tobytes() == whole.primary_kev.tobytes()
    own = replace(exposure, signal_kev_per_mas=exposure.signal_kev_per_mas.copy())
    assert detect(own, protocol, key=3, overwrite=True, block_bytes=1).line_integral.tobytes() == corrected.tobytes()


def test_a_block_holds_a_byte_at_least():
    exposure, protocol = exposure_of(scanner_with()), protocol_with()
    with pytest.raises(ValueError, match="block_bytes must be at least 1, got 0"):
        read_out(exposure, protocol, key=None, block_bytes=0)
    with pytest.raises(ValueError, match="block_bytes must be at least 1, got -5"):
        correct(read_out(exposure, protocol, key=None), block_bytes=-5)
