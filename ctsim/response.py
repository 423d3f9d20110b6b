"""What one photon adds to a reading: the detector as a value.

A response holds, per 1 keV bin, the first two moments of what one photon that falls on a cell adds to its reading,
photons that pass through counted with 0. All of the chain before the readout follows from these two curves: a reading
of n independent photons per bin has the mean ``sum n m_1`` and the variance ``sum n m_2`` (compound Poisson; Whiting et
al., Med Phys 33 (2006) 3290). Another kind of detector is another function from :class:`ctsim.detector.Detector` to
:class:`Response`, handed to :func:`ctsim.signal.beam_of`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import material

from .attenuation import ENERGY_KEV, mass_attenuation
from .detector import Detector

_MM_PER_CM = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """First two moments of what one incident photon adds to a reading.

    Parameters
    ----------
    mean_kev
        ``(140,)`` float64, per bin of ``ctsim.attenuation.ENERGY_KEV`` [keV].
    mean_square_kev2
        ``(140,)`` float64 [keV2].

    Raises
    ------
    ValueError
        If the shapes are others, a value is negative, or a mean square is below its squared mean.
    """

    mean_kev: NDArray[np.float64]
    mean_square_kev2: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("mean_kev", "mean_square_kev2"):
            array = getattr(self, name)
            if array.shape != ENERGY_KEV.shape or not np.all(array >= 0):
                raise ValueError(f"{name} must be {ENERGY_KEV.shape} and not negative, got shape {array.shape}")
        if np.any(self.mean_square_kev2 < self.mean_kev**2 * (1 - 1e-12)):
            raise ValueError("mean_square_kev2 must not be below mean_kev squared")

    @property
    def counts(self) -> NDArray[np.float64]:
        """Counts of one size that have the same two moments, per incident photon: ``m_1^2 / m_2`` [1]."""
        there = self.mean_square_kev2 > 0
        return np.divide(self.mean_kev**2, self.mean_square_kev2, out=np.zeros_like(self.mean_kev), where=there)

    @property
    def energy_kev(self) -> NDArray[np.float64]:
        """Size of these counts, ``m_2 / m_1`` [keV]; the photon's energy where it adds nothing."""
        there = self.mean_kev > 0
        return np.divide(self.mean_square_kev2, self.mean_kev, out=ENERGY_KEV.astype(np.float64), where=there)


DetectorModel = Callable[[Detector, float], Response]
"""From a detector and the cone angle of the ray [rad] to its response."""


def energy_integrating(detector: Detector, cone_angle_rad: float = 0.0) -> Response:
    """Response of a scintillator that is read out in current mode.

    A photon deposits all of its energy with the probability ``eta = 1 - exp(-mu d / cos phi)``, or nothing:
    ``m_1 = eta E``, ``m_2 = eta E^2``. Escape of fluorescence and Compton photons, and light yield that depends on
    depth, are not modelled.
    """
    scintillator = material(detector.material)
    depth_cm = detector.thickness_mm / _MM_PER_CM / math.cos(cone_angle_rad)
    absorbed = -np.expm1(-mass_attenuation(scintillator) * scintillator.density_g_cm3 * depth_cm)
    return Response(absorbed * ENERGY_KEV, absorbed * ENERGY_KEV**2)
