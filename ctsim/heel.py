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

with the basis curves b (:mod:`ctsim.basis`). Tungsten's curve is not in their plane, so the three numbers are not
fitted to the spectrum but to what is detected: they make ln M1 right, in the least-squares sense, behind 0 to 400 mm of
water with and without 3 g/cm2 of bone (Gauss-Newton). They have a meaning only together: paths are negative on one side
and the gain makes up for both. What is left of M1 behind 0 to 400 mm of water, at the outermost row and any tube
potential: 0.05 % for beams up to 60 mm, 0.07 % for 80 mm, 0.14 % for 160 mm (``tests/ctsim/test_heel.py``); behind
another 3 g/cm2 of bone up to 0.19 % (160 mm). A fit to water alone would leave 0.08 % there and 0.27 % behind bone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from twins import material

from .attenuation import mass_attenuation
from .basis import basis_curves
from .response import DetectorModel, energy_integrating
from .scanner import Scanner
from .spectrum import tube_spectrum

FITTED_G_CM2 = tuple((water, bone) for water in (0.0, 5.0, 10.0, 20.0, 30.0, 40.0) for bone in (0.0, 3.0))
"""Water and cortical bone behind which the signal is fitted [g/cm2] (design choice)."""

_LARGEST_STEP = 1e-9
_MOST_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class ConeBeam:
    """Relative to the central ray, behind flat filters and absorbed by a cell, without bowtie.

    Parameters
    ----------
    gain
        ``(rows, columns)`` float64: intensity before the path [1].
    path_g_cm2
        ``(2, rows, columns)`` float64: basis area densities; of any sign [g/cm2].
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
    energy_kev = model(scanner.detector, 0.0).energy_kev
    angles = np.arctan(tangent)
    # the exponent is linear in the obliquity of the filters, 1 / cos g: two fits give all columns
    at_middle, at_edge = (
        _fit(np.array([absorbed(phi, fan) for phi in angles]), middle, energy_kev) for fan in (0.0, math.acos(0.5))
    )
    fitted = at_middle[:, :, None] + (at_edge - at_middle)[:, :, None] * (1.0 / np.cos(fan_angle_rad) - 1.0)
    return ConeBeam(np.exp(fitted[:, 0]) * cosine[:, None] ** 3, np.ascontiguousarray(fitted[:, 1:].transpose(1, 0, 2)))


def _fit(
    photons: NDArray[np.float64], reference: NDArray[np.float64], energy_kev: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(ln gain, a_0, a_1)`` of each of the spectra ``(n, 140)`` over the reference, ``(n, 3)``."""
    matter = np.stack([mass_attenuation(material(name)) for name in ("water", "cortical_bone")])
    behind = energy_kev * np.exp(-np.array(FITTED_G_CM2) @ matter)
    curves = basis_curves()[:2]
    target = np.log(photons @ behind.T)
    found = np.zeros((len(photons), 3))
    for _ in range(_MOST_STEPS):
        energy = (reference * np.exp(-found[:, 1:] @ curves))[:, None, :] * behind
        signal = energy.sum(axis=2)
        means = -(energy @ curves.T) / signal[:, :, None]
        slope = np.concatenate([np.ones((*signal.shape, 1)), means], axis=2)
        error = target - np.log(signal) - found[:, :1]
        step = np.linalg.solve(slope.transpose(0, 2, 1) @ slope, (slope.transpose(0, 2, 1) @ error[:, :, None]))[
            :, :, 0
        ]
        found += step
        if np.abs(step).max(initial=0.0) < _LARGEST_STEP:
            break
    return found
