"""Noise of simulated images against its prediction through the chain, its spectrum, its fall with dose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.phantoms import water

from ...exposure import Exposure, expose
from ...protocol import Protocol
from ...recon.kernels import Kernel
from ...recon.reconstruction import reconstruct
from ...scanning import detect
from ...sinogram import Sinogram
from ..noise import NoiseSpectrum, noise_spectrum
from ..theory import ReadingNoise, expected_spectrum, reading_noise, variance
from ..weights import voxel_weights
from .bench import Bench, difference, square
from .rows import Curve, Map, Part, Row, at_most, within

DIAMETER_MM = 200.0
REGION_MM = 48.0
"""Middle of the water that is measured [mm]: a square of this side."""

LEAST_SAMPLES = 15_000
"""Independent samples that noise is measured on at least: 0.6 % of the standard deviation."""

MOST_KEYS = 32

_KEY = 20_000
_PEAK_HU = 2000.0
"""Height of a covariance's middle when it is reconstructed, so that rounding to whole HU is 1e-4 of it [HU]."""


@dataclass(frozen=True, slots=True, eq=False)
class _Set:
    """Images of one phantom under many keys."""

    values: NDArray[np.float64]  # (key, z, y, x)
    grid: Grid
    thickness_mm: float


def noise(bench: Bench) -> Part:
    """Standard deviation and spectrum against theory, exponent of dose."""
    protocol = bench.protocol()
    row_binning = 1 if bench.is_full else max(1, protocol.collimation_rows // 8)
    sampling = bench.merged(
        protocol.collimation_rows, to=protocol.collimation_rows // row_binning, column_binning=1,
        views_per_rotation=None, rays_per_reading=1,
    )  # fmt: skip
    diameter_mm = min(DIAMETER_MM, 1.5 * bench.radius_mm)
    exposure = expose(water(diameter_mm, 60.0, spacing_mm=(20.0, 2.0, 2.0)), bench.scanner, protocol, sampling=sampling)
    kernels = bench.profile.kernels if bench.is_full else (bench.softest, _sharpest(bench))
    rows, curves, maps = [], [], []
    readings = reading_noise(exposure, protocol)
    quiet = detect(exposure, protocol, key=None)
    for kernel in dict.fromkeys(kernels):
        try:
            images = _images(bench, exposure, protocol, kernel, n_keys=2)
        except ValueError as error:
            if "kernel" not in str(error):
                raise
            continue  # it needs a flying focal spot; its MTF is measured with one
        covariance = _covariance(quiet, readings, kernel, images)
        _, from_two = _standard_deviation(images, covariance)
        n_keys = 1 + int(np.ceil((2 if bench.is_full else 1) * LEAST_SAMPLES / from_two))
        images = _images(bench, exposure, protocol, kernel, n_keys=max(2, min(n_keys, MOST_KEYS)))
        predicted = float(np.sqrt(_predicted_variance(quiet, readings, kernel, images)))
        measured, n_independent = _standard_deviation(images, covariance)
        condition = f"{kernel.name}, {diameter_mm:g} mm water, {protocol.mas_per_rotation:g} mAs"
        how = f"predicted by propagation through the chain; {n_independent:.0f} independent samples"
        rows.append(within("Noise", condition, measured, predicted, 0.02 * predicted, "HU", how))
        seen, expected = _spectra(images, covariance)
        frequency, how = expected.mean_per_mm, "regions around the axis; theory of the chain"
        rows.append(within("NPS mean frequency", condition, seen.mean_per_mm, frequency, 0.03 * frequency, "1/mm", how))
        shape = _shape_error(seen, expected)
        rows.append(at_most("NPS shape", condition, 100 * shape, 5.0, "% of its integral",
                            "mean absolute difference of the normalised spectra"))  # fmt: skip
        curves.append(Curve(f"NPS {kernel.name}", "frequency [1/mm]", "NPS [HU2 mm2]", (
            ("simulated", seen.frequency_per_mm, seen.nps_hu2_mm2),
            ("theory", expected.frequency_per_mm, expected.nps_hu2_mm2),
        )))  # fmt: skip
        maps.append(Map(f"noise {kernel.name}", images.values[0, 0], (-4 * measured, 4 * measured), "HU"))
    slope = _slope(bench, exposure, protocol)
    rows.append(slope)
    return Part(tuple(rows), tuple(curves), tuple(maps))


def _sharpest(bench: Bench) -> Kernel:
    """The sharpest kernel of at most 0.9/mm, which a spot at rest can do on all scanners."""
    gentle = [kernel for kernel in bench.profile.kernels if kernel.mtf10_per_mm <= 0.9]
    return max(gentle or [bench.softest], key=lambda kernel: kernel.mtf10_per_mm)


def _images(bench: Bench, exposure: Exposure, protocol: Protocol, kernel: Kernel, n_keys: int) -> _Set:
    """Noisy slices that share no row, of a square around the axis."""
    row_mm = bench.row_mm(exposure.sampling)
    n_rows = exposure.geometry.shape[1]
    thickness_mm, step_mm = 1.5 * row_mm, 3 * row_mm
    n_slices = max(1, int((n_rows * row_mm - thickness_mm) / step_mm) + 1)
    z = (np.arange(n_slices) - (n_slices - 1) / 2) * step_mm
    grid = square(min(REGION_MM, 0.5 * bench.radius_mm) / 2, 0.5, z)
    values = []
    for key in range(_KEY, _KEY + n_keys):
        sinogram = detect(exposure, protocol, key=key)
        ct = reconstruct(sinogram, kernel=kernel, grid=grid, slice_thickness_mm=thickness_mm)
        values.append(ct.hu.astype(np.float64))
    return _Set(np.stack(values), grid, thickness_mm)


def _deviations(images: _Set) -> NDArray[np.float64]:
    """``(key, z, y, x)`` what each image is off the mean of all keys, scaled to the variance of one image [HU]."""
    n_keys = len(images.values)
    return np.asarray((images.values - images.values.mean(axis=0)) * np.sqrt(n_keys / (n_keys - 1)))


def _standard_deviation(images: _Set, covariance: NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviation without the rounding to whole HU, and of how many independent samples."""
    correlation = covariance / covariance.max()
    n_keys, n_pixels = len(images.values), images.values[0].size
    n_independent = n_pixels * (n_keys - 1) / float((correlation**2).sum())
    return float(np.sqrt((_deviations(images) ** 2).mean() - 1 / 12)), n_independent


def _places(images: _Set) -> list[int]:
    """Pixels along a side at the two Gauss-Legendre places: means over them are those of any cubic.

    They lie off the axis, whose own pixel is like no other: there all views read a place without interpolation.
    """
    n = images.grid.shape[1]
    return [int(v) for v in np.rint((n - 1) / 2 * (1 + np.polynomial.legendre.leggauss(2)[0]))]


def _predicted_variance(sinogram: Sinogram, readings: ReadingNoise, kernel: Kernel, images: _Set) -> float:
    """Mean variance over the region: 2 x 2 places in the middle slice, one of them in all slices [HU^2]."""
    n_z, places = images.grid.shape[0], _places(images)

    def at(z: int, y: int, x: int) -> float:
        weights = voxel_weights(sinogram, kernel, images.grid, (z, y, x), images.thickness_mm)
        return variance(readings, weights) * (1000.0 / sinogram.mu_water_per_mm) ** 2

    plane = np.mean([at(n_z // 2, y, x) for y in places for x in places])
    along = [at(z, places[1], places[0]) for z in range(n_z)]
    return float(plane * np.mean(along) / along[n_z // 2])


def _covariance(sinogram: Sinogram, readings: ReadingNoise, kernel: Kernel, images: _Set) -> NDArray[np.float64]:
    """Covariance of one of the places with its neighbours ``(2 n - 1, 2 n - 1)``, reconstructed [HU^2]."""
    z, y, x = images.grid.axes_mm()
    low, high = _places(images)
    n, pixel = images.grid.shape[1], images.grid.spacing_mm[1]
    reach = (n - 1) * pixel
    grid = Grid((1, 2 * n - 1, 2 * n - 1), (1.0, pixel, pixel), (x[high] - reach, y[low] - reach, z[len(z) // 2]))
    weights = voxel_weights(sinogram, kernel, grid, (0, n - 1, n - 1), images.thickness_mm)
    spread = readings.covariance_with(weights)
    own = float(np.vdot(weights.astype(np.float64), spread))
    mu = sinogram.mu_water_per_mm
    raised = replace(sinogram, line_integral=spread * np.float32(_PEAK_HU / 1000 * mu / own))
    radius_mm = 0.9 * sinogram.geometry.source_distance_mm * float(np.sin(-sinogram.geometry.column_angle_rad[0]))
    image = difference(raised, None, kernel, grid, images.thickness_mm, radius_mm, 1.0)[0]
    return image / _PEAK_HU * own * (1000.0 / mu) ** 2


def _spectra(images: _Set, covariance: NDArray[np.float64]) -> tuple[NoiseSpectrum, NoiseSpectrum]:
    spacing = (images.grid.spacing_mm[1], images.grid.spacing_mm[2])
    regions = _deviations(images).reshape(-1, *images.grid.shape[1:])
    seen = noise_spectrum(regions, spacing)
    rounding = spacing[0] * spacing[1] / 12  # white noise of whole HU
    return replace(seen, nps_hu2_mm2=seen.nps_hu2_mm2 - rounding), expected_spectrum(covariance, spacing)


def _shape_error(seen: NoiseSpectrum, expected: NoiseSpectrum) -> float:
    """Mean absolute difference of two spectra per mean height, both weighted like areas of the plane [1]."""
    f = seen.frequency_per_mm
    one, other = (s.nps_hu2_mm2 * f / (s.nps_hu2_mm2 * f).sum() for s in (seen, expected))
    return float(np.abs(one - other).sum())


def _slope(bench: Bench, exposure: Exposure, protocol: Protocol) -> Row:
    """Exponent of noise against dose with electronics switched off."""
    detector = exposure.scanner.detector.model_copy(update={"electronic_noise_kev": 0.0, "step_kev": 0.0})
    quiet = replace(exposure, scanner=exposure.scanner.model_copy(update={"detector": detector}))
    low, high = (bench.mas(mas, protocol.rotation_s) for mas in (50.0, 400.0))
    spreads = []
    for mas in (low, high):
        dose = protocol.model_copy(update={"mas_per_rotation": mas})
        spreads.append(float((_deviations(_images(bench, quiet, dose, bench.softest, n_keys=3)) ** 2).mean() - 1 / 12))
    slope = 0.5 * np.log(spreads[1] / spreads[0]) / np.log(high / low)
    return within("Noise against mAs", f"{low:g} and {high:g} mAs, electronic noise off", slope, -0.5, 0.01, "",
                  "exponent from two doses under the same keys")  # fmt: skip
