"""One real acquisition in two kernels, and the simulated scan of a twin made from one of its images."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import ctsim
from twins import Grid
from twins.importers.ct import from_ct

SLICES = slice(24, 36)
"""Mid-lung slices of the original that are simulated."""

SPOT_CHECK_PER_MM = 0.2


def fit_kernel_pair():
    path = Path(__file__).resolve().parents[2] / "scripts" / "fit_kernel_pair.py"
    spec = importlib.util.spec_from_file_location("fit_kernel_pair", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FIT = fit_kernel_pair()


@pytest.fixture(scope="module")
def originals(real_data):
    """Soft and sharp image of one acquisition (Brilliance 16; Lung-PET-CT-Dx, TCIA), path of the soft one."""
    paths = [real_data / f"chest_ct_philips_{kernel}.nii.gz" for kernel in "BL"]
    if not all(path.is_file() for path in paths):
        pytest.skip("no real CT: the pair chest_ct_philips_B/L is not in the data folder")
    (soft, pixel_mm), (sharp, _) = (FIT.read(path) for path in paths)
    return soft, sharp, pixel_mm, paths[0]


@pytest.fixture(scope="module")
def simulated(originals):
    """The pair from one simulated scan of the twin of the soft image, on the original's voxels."""
    twin = from_ct(originals[-1])
    host = Grid.from_dict(twin.provenance["host_grid"])
    grid = host.crop((SLICES.start, 0, 0), (SLICES.stop - SLICES.start, *host.shape[1:]))
    z = grid.axes_mm()[0]
    profile = ctsim.load_profile("philips_brilliance_16")
    protocol = profile.protocol("thick_chest")
    assert (protocol.kvp, protocol.mas_per_rotation, protocol.reconstruction.slice_thickness_mm) == (120, 150.0, 5.0)
    protocol = protocol.model_copy(update={"scan_range_mm": (float(z.min()) - 2.5, float(z.max()) + 2.5)})
    sampling = ctsim.Sampling(views_per_rotation=580, rays_per_reading=1)
    sinogram = ctsim.scan(twin, profile.scanner, protocol, key=7, sampling=sampling)
    return [
        ctsim.reconstruct(sinogram, kernel=profile.kernel(name), grid=grid, slice_thickness_mm=5.0).hu.astype(float)
        for name in "BL"
    ]


def noise_ratio(soft, sharp, pixel_mm):
    """Frequencies and sqrt(NPS_sharp / NPS_soft) in the flattest soft tissue."""
    n = FIT.size_of(FIT.SOFT_PATCH_MM, pixel_mm)
    at = FIT.flattest(soft, FIT.patches(FIT.inside(soft, FIT.SOFT_HU, erode=1), n, share=1.0), n)
    f, a, b, _ = FIT.spectra(soft, sharp, at, n, pixel_mm)
    return f, np.sqrt(b / a)


def lung(soft):
    mask = FIT.inside(soft, FIT.LUNG_HU, erode=2)
    mask[[0, -1]] = False
    return mask


def test_the_soft_kernel_is_told_by_its_noise():
    """Noise made with the model of the script gives the MTF back."""
    f = np.arange(1, 10) * 0.066
    gaussian = np.exp(-np.log(2) * (f / 0.31) ** 2)
    blur = np.sinc(f * 0.7) * np.exp(-((np.pi * f * 0.5) ** 2) / (4 * np.log(2)))
    assert FIT.soft_mtf50_per_mm(f, f * (gaussian / blur) ** 2, 0.7, 0.5) == pytest.approx(0.31, rel=1e-6)


def test_a_sharp_kernel_is_found_from_its_ratio_to_the_soft_one():
    soft = ctsim.Kernel(name="B", mtf50_per_mm=0.3, mtf10_per_mm=0.546)
    sharp = ctsim.Kernel(name="L", mtf50_per_mm=0.68, mtf10_per_mm=0.78, overshoot=1.2)
    f = np.arange(1, 19) * 0.0312
    found, error = FIT.sharp_kernel(soft, f, sharp.mtf(f) / soft.mtf(f))
    assert np.abs(error - 1).max() < 0.01
    assert found.overshoot == pytest.approx(1.2, abs=0.05)


@pytest.mark.data
def test_both_images_are_of_one_acquisition(originals):
    """One image is the other filtered: high coherence wherever the lung has structure."""
    soft, sharp, pixel_mm, _ = originals
    n = FIT.size_of(FIT.LUNG_PATCH_MM, pixel_mm)
    at = FIT.patches(lung(soft[SLICES]), n, share=0.9)
    f, a, b, cross = FIT.spectra(soft[SLICES], sharp[SLICES], at, n, pixel_mm)
    assert (cross**2 / (a * b))[f < 0.45].min() > 0.95


@pytest.mark.slow
@pytest.mark.data
def test_the_kernels_make_the_noise_of_the_real_pair(originals, simulated):
    soft, sharp, pixel_mm, _ = originals
    f, real = noise_ratio(soft, sharp, pixel_mm)
    g, made = noise_ratio(*simulated, pixel_mm)
    np.testing.assert_allclose(g, f)
    high = f > SPOT_CHECK_PER_MM
    assert high.sum() >= 5
    assert real[high][-1] > 10  # the kernels differ
    np.testing.assert_allclose(made[high], real[high], rtol=0.15)


@pytest.mark.slow
@pytest.mark.data
def test_the_lung_of_the_pair_reads_as_the_original(originals, simulated):
    mask = lung(originals[0][SLICES])
    assert mask.sum() > 100_000
    for real, made in zip(originals[:2], simulated, strict=True):
        assert made[mask].mean() == pytest.approx(real[SLICES][mask].mean(), abs=4.0)
