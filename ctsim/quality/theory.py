"""Noise of an image predicted through the chain, without drawing a random number.

Counts of different readings are independent, with the variance M2 after X-ray crosstalk (compound Poisson with one
energy per count, :mod:`ctsim.kernels.noise`). Afterglow and optical crosstalk mix them linearly (G), electronics and
converter add ``s^2 = electronic^2 + step^2 / 12`` to each, and the correction acts on each reading with the slope J of
its line integral. Line integrals have therefore the covariance

    Cov(y) = J (G D G' + s^2) J,      D = diag(M2),

and an image ``f = R y`` has ``Cov(f(x0), f(x)) = R Cov(y) R' e_x0``: the weights of one voxel
(:mod:`ctsim.quality.weights`), spread by the covariance of the readings, and reconstructed by the very same
reconstruction. Its value at x0 is the variance; its Fourier transform over the shifts x - x0 the local noise power
spectrum (Wunderlich & Noo, Phys Med Biol 53 (2008) 2471, doi:10.1088/0031-9155/53/10/002).

Left out: the second order of the logarithm (below 1 % of the variance while readings hold more than 100 counts), and
what is not linear: scatter correction, starvation filter, saturation, iterative modes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cells import crosstalk_shares, electronic_noise_kev
from ..correction import correct
from ..kernels.afterglow import glow
from ..kernels.crosstalk import mix
from ..kernels.readings import moments
from ..readout import S_PER_MS, read_out
from ..signal import MEAN_ENERGY_STEP_KEV
from ..trajectory import n_merged
from .noise import NoiseSpectrum, rings_of

if TYPE_CHECKING:
    from ..exposure import Exposure
    from ..protocol import Protocol

_SMALL = 1e-3
"""Relative change of the readings that stands for the derivative of the correction."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadingNoise:
    """Second moments of the line integrals of one scan.

    Parameters
    ----------
    counting_kev2
        ``(V, R, C)`` float32: variance of each cell's counts, before light is mixed [keV2].
    added_kev2
        Variance that electronics and converter add to each reading [keV2].
    slope_per_kev
        ``(V, R, C)`` float32: change of the line integral per change of the reading, negative [1/keV].
    afterglow
        Fraction and time constant of the components of late light, in units of a view's duration, ``(K, 2)``.
    shares
        Of light that each neighbour takes, along columns and rows [1].
    """

    counting_kev2: NDArray[np.float32]
    added_kev2: float
    slope_per_kev: NDArray[np.float32]
    afterglow: NDArray[np.float64]
    shares: tuple[float, float]

    def covariance_with(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Covariance ``(V, R, C)`` of every line integral with the weighted sum of all of them."""
        per_reading = self.slope_per_kev * weights
        light = per_reading.copy()
        mix(light, *self.shares)
        light = self._glow(light[::-1])[::-1] * self.counting_kev2
        light = self._glow(light)
        mix(light, *self.shares)
        return np.asarray((light + np.float32(self.added_kev2) * per_reading) * self.slope_per_kev)

    def _glow(self, light: NDArray[np.float32]) -> NDArray[np.float32]:
        light = np.ascontiguousarray(light)
        if len(self.afterglow):
            dark = np.zeros(light.shape[1:], np.float32)
            glow(light, dark, self.afterglow[:, 0].copy(), self.afterglow[:, 1].copy(), 1.0)
        return light


def reading_noise(exposure: Exposure, protocol: Protocol) -> ReadingNoise:
    """Second moments of the line integrals that :func:`ctsim.detect` makes of an exposure.

    Raises
    ------
    ValueError
        If the protocol corrects for scatter while there is some: that correction is not linear in the readings.
    """
    if exposure.scatter is not None and protocol.corrections.scatter:
        raise ValueError("noise is predicted without scatter correction; set sampling.scatter or corrections.scatter")
    scanner, sampling = exposure.scanner, exposure.sampling
    quiet = protocol.model_copy(
        update={"corrections": protocol.corrections.model_copy(update={"starvation": False, "bone": False})}
    )
    raw = read_out(exposure, quiet, key=None)
    low = correct(replace(raw, signal_kev=raw.signal_kev * np.float32(1 - _SMALL)), overwrite=True)
    high = correct(replace(raw, signal_kev=raw.signal_kev * np.float32(1 + _SMALL)), overwrite=True)
    slope = (high.line_integral - low.line_integral) / (np.float32(2 * _SMALL) * raw.signal_kev)
    mean, mean_square = np.empty_like(raw.signal_kev), np.empty_like(raw.signal_kev)
    none = np.zeros((1, 1, 1), np.float32)
    scattered, energy = exposure.scatter.block(0, len(mean)) if exposure.scatter is not None else (none, none)
    moments(
        exposure.signal_kev_per_mas, exposure.mean_energy, MEAN_ENERGY_STEP_KEV, exposure.scatter is not None,
        scattered, energy, raw.mas, mean, mean_square,
    )  # fmt: skip
    detector = scanner.detector
    mix(mean_square, *crosstalk_shares(detector.xray_crosstalk, sampling))
    step_kev = detector.step_kev * n_merged(scanner, sampling) ** 0.5
    view_ms = protocol.rotation_s / exposure.geometry.views_per_rotation / S_PER_MS
    late = np.array([(part.fraction, part.time_constant_ms / view_ms) for part in detector.afterglow]).reshape(-1, 2)
    return ReadingNoise(
        mean_square,
        electronic_noise_kev(scanner, sampling) ** 2 + step_kev**2 / 12,
        slope,
        late,
        crosstalk_shares(detector.optical_crosstalk, sampling),
    )


def variance(noise: ReadingNoise, weights: NDArray[np.float32]) -> float:
    """Variance of a weighted sum of line integrals, in the square of the weights' unit."""
    return float(np.vdot(weights.astype(np.float64), noise.covariance_with(weights)))


def expected_spectrum(
    covariance: NDArray[np.floating], spacing_mm: tuple[float, float], n_rings: int = 32
) -> NoiseSpectrum:
    """What :func:`ctsim.quality.noise_spectrum` of regions of n x n pixels shows on average, planes left in.

    Parameters
    ----------
    covariance
        ``(2 n - 1, 2 n - 1)``: covariance of the middle pixel with its neighbours [HU^2].
    spacing_mm
        Pixel size along (y, x) [mm].
    n_rings
        As there.

    Notes
    -----
    The mean square of a region's transform is that of its covariances, each weighted with the number of pairs at that
    shift: a triangle.

    Raises
    ------
    ValueError
        If the covariance is not square with an odd number of pixels.
    """
    size = covariance.shape[0]
    if covariance.shape != (size, size) or size % 2 == 0:
        raise ValueError(f"covariance must be square with an odd number of pixels, got shape {covariance.shape}")
    n = (size + 1) // 2
    pairs = 1 - np.abs(np.arange(size) - (n - 1)) / n
    folded = np.zeros((n, n))
    place = (np.arange(size) - (n - 1)) % n  # the n frequencies see shifts that differ by n as one
    np.add.at(folded, (place[:, None], place), covariance * pairs[:, None] * pairs)
    dy, dx = spacing_mm
    return rings_of(np.fft.fft2(folded).real * dx * dy, spacing_mm, n_rings)
