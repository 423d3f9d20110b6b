"""From detected energy to water-equivalent line integrals: air calibration, logarithm, water correction.

1. Air: each reading is divided by the mean signal of its column with nothing but the bowtie in the way (the average
   of many air scans, taken as free of noise). Dark current is taken as subtracted.
2. Starvation: a signal below half a mean air photon counts as that (electronic noise can make it negative).
   The rule caps the line integral; it is no denoising.
3. Water: p(t) of water (above room air) of 0 to 600 mm behind each column's bowtie is inverted by a polynomial of
   order 6 through the origin, so that every column answers ``mu_water t``; below 0 and beyond 600 mm it goes on
   linearly.

``mu_water`` is the mean attenuation of the middle column's first 200 mm of water. Since t is a length of water in
air, air is -1000 HU and water 0 HU.

The per-column water fit is the usual single-material beam-hardening correction (Herman, Phys Med Biol 24 (1979) 81).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import material

from .basis import coefficients
from .kernels.correct import evaluate, take_log
from .signal import MM_PER_CM, Beam
from .voxels import room_air_g_cm3

ORDER = 6
LONGEST_MM = 600.0
REFERENCE_MM = 200.0
LOWEST_PHOTONS = 0.5
"""Signal floor in mean air photons (design default)."""


@dataclass(frozen=True, slots=True, eq=False)
class WaterCorrection:
    """Polynomials from polychromatic log signal to water-equivalent line integral.

    Parameters
    ----------
    mu_water_per_mm
        Effective attenuation of water above air [1/mm].
    coefficient
        ``(columns, 6)`` float64: of p, p^2 ... p^6.
    longest
        ``(columns, 3)`` float64: largest p of the fit, the polynomial's value and slope there.
    """

    mu_water_per_mm: float
    coefficient: NDArray[np.float64]
    longest: NDArray[np.float64]

    def apply(self, log_loss: NDArray[np.float32]) -> None:
        """Correct ``-ln(signal / air)`` ``(view, row, column)`` in place."""
        evaluate(log_loss, self.coefficient, self.longest)


def water_correction(beam: Beam) -> WaterCorrection:
    """Fit the correction of every column of a beam.

    Notes
    -----
    Largest misfit on the fitted range: below 0.01 mm of water (``tests/ctsim/test_correction.py``).
    """
    c = coefficients(material("water"))
    per_mm = (np.array([c.basis_0, c.basis_1]) * material("water").density_g_cm3 - room_air_g_cm3()[:2]) / MM_PER_CM
    angle = np.linspace(0, math.pi, 61)
    length_mm = LONGEST_MM * (1 - np.cos(angle)) / 2
    n_columns = beam.bowtie_g_cm2.shape[1]
    air = beam.air_kev()
    middle = int(beam.bowtie_g_cm2.sum(axis=0).argmin())
    reference = per_mm * REFERENCE_MM + beam.bowtie_g_cm2[:, middle]
    mu = -math.log(float(beam.moments_kev(reference[:, None])[0][0] / air[middle])) / REFERENCE_MM
    coefficient = np.empty((n_columns, ORDER))
    longest = np.empty((n_columns, 3))
    for column in range(n_columns):
        path = beam.bowtie_g_cm2[:, column, None] + per_mm[:, None] * length_mm
        p = -np.log(beam.moments_kev(path)[0] / air[column])
        scale = p[-1]
        powers = (p / scale)[:, None] ** np.arange(1, ORDER + 1)
        fit = np.linalg.lstsq(powers, mu * length_mm, rcond=None)[0]
        coefficient[column] = fit / scale ** np.arange(1, ORDER + 1)
        longest[column] = scale, fit.sum(), (fit * np.arange(1, ORDER + 1)).sum() / scale
    return WaterCorrection(mu, coefficient, longest)


def log_loss(signal_kev: NDArray[np.float32], air_kev: NDArray[np.float64], photon_kev: float) -> None:
    """Replace detected energy by ``-ln(max(signal, floor) / air)``, in place.

    Parameters
    ----------
    signal_kev
        ``(view, row, column)`` float32, overwritten [keV].
    air_kev
        ``(columns,)`` mean signal without an object [keV].
    photon_kev
        Mean energy of an air photon; half of it is the floor [keV].
    """
    take_log(signal_kev, air_kev, LOWEST_PHOTONS * photon_kev)
