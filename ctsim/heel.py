"""How the beam differs from row to row: heel effect, cone obliquity of flat filters and scintillator, distance.

The anode lies on the side of growing z, so that a ray at the cone angle phi (towards +z) leaves it at the take-off
angle ``anode angle - phi``: towards the anode the beam comes from deeper in the tungsten and is weaker and harder. Of
the ray to (row at phi, column at fan angle g) the photons absorbed per 1 keV bin are

    lambda(E) = Phi_0(E; a - phi) exp(-sum_k mu_k t_k (1 + x)) eta(E; d / cos phi) cos^3 phi,
    x = (1 / cos phi - 1) / cos g,     eta = 1 - exp(-mu d),

cos^3 because a cell at cone angle phi is 1 / cos phi farther away and seen under the angle phi. The fan's own
obliquity, of filters and of the anode, is part of the bowtie's equivalent thickness along the ray
(:mod:`ctsim.bowtie`).

One table of moments serves all readings (:mod:`ctsim.signal`) because each ratio to the central spectrum is put as

    lambda(E) / lambda_0(E) = gain exp(-a_0 b_0(E) - a_1 b_1(E))

with the basis curves b (:mod:`ctsim.basis`), fitted by least squares of its logarithm under the energy that is detected
behind 0 to 400 mm of water. ``a`` is negative where the beam is softer than the central one. What the fit leaves of the
signal is held below 0.1 % behind 0 to 400 mm of water (``tests/ctsim/test_heel.py`` states what was measured).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from twins import material

from .attenuation import ENERGY_KEV, mass_attenuation
from .basis import basis_curves
from .response import DetectorModel, energy_integrating
from .scanner import Scanner
from .spectrum import tube_spectrum

WATER_G_CM2 = (0.0, 10.0, 20.0, 30.0, 40.0)
"""Water behind which the fit is to hold [g/cm2] (design choice: 0 to 400 mm)."""


@dataclass(frozen=True, slots=True, eq=False)
class ConeBeam:
    """Relative to the central ray, behind flat filters and absorbed by a cell, without bowtie.

    Parameters
    ----------
    gain
        ``(rows, columns)`` float64: intensity [1].
    path_g_cm2
        ``(2, rows, columns)`` float64: basis area densities that make the spectrum's shape; any sign [g/cm2].
    """

    gain: NDArray[np.float64]
    path_g_cm2: NDArray[np.float64]


def absorbed_spectrum(
    scanner: Scanner,
    kvp: int,
    spectral_filter: str | None,
    cone_angle_rad: float = 0.0,
    fan_angle_rad: float = 0.0,
    *,
    model: DetectorModel = energy_integrating,
) -> NDArray[np.float64]:
    """Photons per mm2 and mAs absorbed in a cell at 1 m that the ray meets in the plane, ``(140,)``.

    Without bowtie and without the cos^3 of distance and tilt.

    Raises
    ------
    ValueError
        If the ray leaves the anode below the smallest take-off angle of the spectra (2 degrees), or above the largest.
    """
    take_off_deg = scanner.anode_angle_deg - math.degrees(cone_angle_rad)
    longer = 1.0 + (1.0 / math.cos(cone_angle_rad) - 1.0) / math.cos(fan_angle_rad)
    layers = [layer.as_filter() for layer in scanner.filters(spectral_filter)]
    spectrum = tube_spectrum(kvp, take_off_deg, [(matter, longer * thickness) for matter, thickness in layers])
    return np.asarray(spectrum.fluence_per_mm2_mas * model(scanner.detector, cone_angle_rad).counts)


def cone_beam(
    scanner: Scanner,
    kvp: int,
    spectral_filter: str | None,
    row_offset_mm: NDArray[np.float64],
    fan_angle_rad: NDArray[np.float64],
    *,
    model: DetectorModel = energy_integrating,
) -> ConeBeam:
    """Gain and path of every (row, column).

    Parameters
    ----------
    scanner, kvp, spectral_filter
        Tube, filters and scintillator; tube potential [kV]; name of a spectral filter, or None.
    row_offset_mm
        ``(rows,)`` height of the rows on the detector [mm at SDD].
    fan_angle_rad
        ``(columns,)`` fan angle of the columns [rad].
    model
        What kind of detector it is.

    Raises
    ------
    ValueError
        If a row sees the anode under an angle that the spectra do not hold.
    """
    tangent = row_offset_mm / scanner.detector_distance_mm
    cosine = 1.0 / np.sqrt(1.0 + tangent**2)
    absorbed = partial(absorbed_spectrum, scanner, kvp, spectral_filter, model=model)
    middle = absorbed()
    weights = _weights(middle)
    along_fan = 1.0 / np.cos(fan_angle_rad)
    log_gain = np.empty((len(row_offset_mm), len(fan_angle_rad)))
    path = np.empty((2, *log_gain.shape))
    for row, phi in enumerate(np.arctan(tangent)):
        # the exponent is linear in the obliquity of the filters, 1 / cos g: two fits give all columns
        at_middle = _fit(absorbed(phi), middle, weights)
        at_edge = _fit(absorbed(phi, math.acos(0.5)), middle, weights)
        line = at_middle[:, None] + (at_edge - at_middle)[:, None] * (along_fan - 1.0)
        log_gain[row], path[:, row] = line[0], line[1:]
    return ConeBeam(np.exp(log_gain) * cosine[:, None] ** 3, path)


def _weights(photons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each bin: detected energy behind the amounts of water, each amount counted alike."""
    total = np.zeros(len(ENERGY_KEV))
    water = mass_attenuation(material("water"))
    for areal in WATER_G_CM2:
        energy = photons * ENERGY_KEV * np.exp(-water * areal)
        total += energy / energy.sum()
    return total


def _fit(
    photons: NDArray[np.float64], reference: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(ln gain, a_0, a_1)`` of ``photons / reference``."""
    there = (photons > 0) & (reference > 0)
    curves = basis_curves()[:2, there]
    terms = np.stack([np.ones(there.sum()), -curves[0], -curves[1]], axis=1)
    root = np.sqrt(weights[there])
    ratio = np.log(photons[there] / reference[there])
    return np.asarray(np.linalg.lstsq(terms * root[:, None], ratio * root, rcond=None)[0])
