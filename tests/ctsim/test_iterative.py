"""The iterative mode: how much noise it takes, where that noise was, what happens to means and edges."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ctsim.kernels.denoise import smooth
from ctsim.quality import noise_spectrum
from ctsim.quality.mtf import edge_mtf
from ctsim.recon import Kernel, reconstruct
from tests.ctsim.scans import Ellipsoid, centred, geometry, integrals
from tests.ctsim.test_reconstruction import scan

KERNEL = Kernel(name="lung", mtf50_per_mm=0.45, mtf10_per_mm=0.75)
BODY = (
    Ellipsoid((0, 0, 0), (85, 85, np.inf)),
    Ellipsoid((-35, 0, 0), (15, 15, np.inf), 1.0),  # 1000 HU above water
    Ellipsoid((35, 0, 0), (15, 15, np.inf), 0.06),  # 60 HU
)
GRID = centred((10, 200, 200), (1.0, 0.8, 0.8))
Z, Y, X = GRID.axes_mm()


@cache
def exact():
    g = geometry(360, 16, 200, pitch_iso_mm=1.0, row_iso_mm=1.0, start_rad=0.2)
    return g, integrals(g, list(BODY))


@cache
def image(strength, seed):
    g, line = exact()
    noise = 0.0
    if seed is not None:  # 40 HU; more noise behind more water
        noise = np.random.default_rng(seed).normal(size=line.shape) * np.exp(0.01 * (line - 170))
    ct = reconstruct(
        scan(g, line + noise), kernel=KERNEL, grid=GRID, slice_thickness_mm=1.3, iterative_strength=strength
    )
    assert ct.meta["iterative_strength"] == strength
    return ct.hu.astype(float)


def disc(x, y, radius):
    return np.hypot(Y[:, None] - y, X - x) < radius


PLAIN = disc(0, 0, 70) & ~disc(-35, 0, 20) & ~disc(35, 0, 20)


def noise(strength):
    difference = (image(strength, 1) - image(strength, 2)) / np.sqrt(2)
    regions = np.stack([slice_[i : i + 40, 80:120] for slice_ in difference for i in (35, 125)])
    return difference[:, PLAIN].std(), noise_spectrum(regions, (0.8, 0.8), 16).mean_per_mm


def test_each_strength_takes_more_noise_and_leaves_it_at_lower_frequencies():
    taken, frequency = zip(*(noise(strength) for strength in range(6)), strict=True)
    share = 1 - np.array(taken) / taken[0]
    # a step takes 12 % where differences are small against 2.5 standard deviations; those of a sharp kernel are not
    np.testing.assert_allclose(share, [0, 0.09, 0.19, 0.31, 0.43, 0.57], atol=0.03)
    assert np.all(np.diff(frequency) < -0.005)
    assert frequency[5] < 0.8 * frequency[0]


def test_means_stay():
    for region in (PLAIN, disc(-35, 0, 10), disc(35, 0, 10)):
        before, after = image(0, 1)[:, region].mean(), image(5, 1)[:, region].mean()
        assert after == pytest.approx(before, abs=0.3)


def mtf50(strength, x, seeds):
    mean = np.mean([image(strength, seed) for seed in seeds], axis=0)
    return edge_mtf(mean, (0.8, 0.8), (-Y[0], x - X[0]), 15.0).frequency_at(0.5)


def test_high_contrast_edges_stay_sharp_and_low_contrast_edges_do_not():
    before, after = mtf50(0, -35, (1, 2)), mtf50(3, -35, (1, 2))
    assert after > 0.95 * before
    assert mtf50(5, -35, (1, 2)) > 0.9 * before
    # strength 0 is linear: its MTF is the same at any contrast, and drowns in noise where there is little
    assert mtf50(5, 35, (1, 2)) < 0.85 * before


def test_an_image_without_noise_loses_its_streaks_alone():
    streaks = image(0, None)[:, PLAIN].std()  # of 360 views, 4 HU
    assert np.abs(image(5, None) - image(0, None))[:, PLAIN].std() < streaks
    assert mtf50(5, -35, (None,)) == pytest.approx(mtf50(0, -35, (None,)), rel=0.02)


def test_strength_comes_from_the_protocol_and_must_be_known():
    g, line = exact()
    sinogram = scan(g, line, choice={"iterative_strength": 2})
    grid = centred((2, 24, 24), (1.0, 1.0, 1.0))
    assert reconstruct(sinogram, kernel=KERNEL, grid=grid).meta["iterative_strength"] == 2
    for wrong in (-1, 6):
        with pytest.raises(ValueError, match="iterative_strength must lie in 0 to 5"):
            reconstruct(sinogram, kernel=KERNEL, grid=grid, iterative_strength=wrong)


def test_a_step_is_its_formula_and_threads_change_no_byte(on_one_and_all_threads):
    rng = np.random.default_rng(5)
    y, x = rng.normal(size=(2, 7, 6, 5)).astype(np.float32)
    inverse = rng.uniform(0.5, 2, x.shape).astype(np.float32)
    inverse[3, 2, 1] = 0
    weights, b, edge = np.array([1.0, 0.8, 0.45, 0.3], np.float32), 0.7, 0.4

    def smoothed() -> np.ndarray:
        out = np.empty_like(x)
        smooth(y, x, inverse, weights, np.float32(b), np.float32(edge), out)
        return out

    one, out = on_one_and_all_threads(smoothed)
    assert one.tobytes() == out.tobytes()
    for at in np.ndindex(x.shape):
        if inverse[at] == 0:
            assert out[at] == x[at]
            continue
        above, below = float(y[at]), 1.0
        for step in np.ndindex(3, 3, 3):
            dy, dx, dz = np.array(step) - 1
            if (dz != 0) == (dy != 0 or dx != 0):
                continue
            there = tuple(np.clip(np.add(at, (dy, dx, dz)), 0, np.array(x.shape) - 1))
            if dz != 0 and there == at:
                continue  # beyond the last slice nothing is added
            w = weights[3] if dz else weights[2] if dx and dy else weights[1] if dy else weights[0]
            c = 2 / edge / (inverse[at] + inverse[there])
            a = w * inverse[there] / inverse[at] / np.sqrt(1 + ((x[at] - x[there]) / c) ** 2)
            above += b * a * x[there]
            below += b * a
        assert out[at] == pytest.approx(above / below, rel=1e-5, abs=1e-6)
