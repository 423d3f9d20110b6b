"""Noise power spectrum (NPS) in the axial plane, ensemble averaged over square regions and slices.

    NPS(fx, fy) = dx dy / (Nx Ny) < |DFT(roi - its mean plane)|^2 >          [HU^2 mm^2]

(ICRU Report 87, 2012; AAPM TG-233, 2019, section 3.3). Its integral over frequencies is the variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class NoiseSpectrum:
    """Radially averaged NPS.

    Parameters
    ----------
    frequency_per_mm
        ``(n,)`` mean frequency of each ring [1/mm].
    nps_hu2_mm2
        ``(n,)`` [HU^2 mm^2].
    sd_hu
        Root of the integral of the two-dimensional NPS [HU].
    """

    frequency_per_mm: NDArray[np.float64]
    nps_hu2_mm2: NDArray[np.float64]
    sd_hu: float

    @property
    def peak_per_mm(self) -> float:
        """Frequency of the highest ring [1/mm]."""
        return float(self.frequency_per_mm[self.nps_hu2_mm2.argmax()])

    @property
    def mean_per_mm(self) -> float:
        """Mean frequency, weighted with the radial NPS [1/mm]."""
        return float((self.frequency_per_mm * self.nps_hu2_mm2).sum() / self.nps_hu2_mm2.sum())


def noise_spectrum(regions: NDArray[np.generic], spacing_mm: tuple[float, float], n_rings: int = 32) -> NoiseSpectrum:
    """NPS of an ensemble of square regions of uniform matter.

    Parameters
    ----------
    regions
        ``(n, y, x)`` values [HU]; a plane is fitted to each and taken away.
    spacing_mm
        Pixel size along (y, x) [mm].
    n_rings
        Rings between 0 and the lower Nyquist frequency.

    Raises
    ------
    ValueError
        If there are fewer than two regions or they have fewer than 8 pixels a side.
    """
    if regions.ndim != 3 or len(regions) < 2 or min(regions.shape[1:]) < 8:
        raise ValueError(f"regions must be (n >= 2, y >= 8, x >= 8), got shape {regions.shape}")
    _, n_y, n_x = regions.shape
    dy, dx = spacing_mm
    y, x = np.mgrid[:n_y, :n_x]
    plane = np.stack([np.ones(n_y * n_x), y.ravel(), x.ravel()], axis=1)
    flat = regions.reshape(len(regions), -1).astype(np.float64)
    flat = flat - (plane @ np.linalg.lstsq(plane, flat.T, rcond=None)[0]).T
    power = np.abs(np.fft.fft2(flat.reshape(regions.shape))) ** 2
    return rings_of(power.mean(axis=0) * dx * dy / (n_x * n_y), spacing_mm, n_rings)


def rings_of(nps: NDArray[np.float64], spacing_mm: tuple[float, float], n_rings: int = 32) -> NoiseSpectrum:
    """Radial average of a two-dimensional NPS.

    Parameters
    ----------
    nps
        ``(y, x)`` at the frequencies of ``numpy.fft.fftfreq`` [HU^2 mm^2].
    spacing_mm
        Pixel size along (y, x) [mm].
    n_rings
        Rings between 0 and the lower Nyquist frequency.
    """
    (n_y, n_x), (dy, dx) = nps.shape, spacing_mm
    f = np.hypot(np.fft.fftfreq(n_y, dy)[:, None], np.fft.fftfreq(n_x, dx))
    sd = float(np.sqrt(nps.sum() / (n_y * dy * n_x * dx)))
    nyquist = min(0.5 / dy, 0.5 / dx)
    ring = np.minimum((f / nyquist * n_rings).astype(int), n_rings)  # the last collects the corners and is dropped
    ring[0, 0] = n_rings  # the mean is no noise
    count = np.bincount(ring.ravel(), minlength=n_rings + 1)[:n_rings]
    total = np.bincount(ring.ravel(), nps.ravel(), n_rings + 1)[:n_rings]
    where = np.bincount(ring.ravel(), f.ravel(), n_rings + 1)[:n_rings]
    filled = count > 0
    return NoiseSpectrum(where[filled] / count[filled], total[filled] / count[filled], sd)
