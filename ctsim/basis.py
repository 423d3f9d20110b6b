"""Two basis materials stand for every tissue and plastic; iodine has a curve of its own.

The mass attenuation curves of the tissues lie almost in one plane. That plane is the rank-2 part of a singular value
decomposition of their curves, each divided by its mean, with energy bins weighted by the detected energy of 70 to
150 kVp beams behind 200 mm of water. It is spanned by its extreme rays, the projections into it of polyethylene
(basis 0) and hydroxyapatite (basis 1), so that all tissues and plastics have coefficients >= 0:

    mu/rho (E) = c0 b0(E) + c1 b1(E) [+ w_I (mu/rho)_I(E)].

Errors against the full curves (measured, all beams of 70 to 150 kVp behind 200 mm of water): tissues at most 0.1 HU,
polyethylene, PMMA, PTFE and hydroxyapatite 0.25 HU, graphite 0.5 HU, aluminium 4.1 HU. Iodine is taken out of the
composition first and kept as its own density with the elemental curve, so it adds no error. Heavier metals are refused.

Source: the method is Alvarez & Macovski, Phys Med Biol 21 (1976) 733, doi:10.1088/0031-9155/21/5/002, with a basis
chosen as in Lehmann et al., Med Phys 8 (1981) 659; weights and rays are design choices of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from twins import Material, material

from .attenuation import ENERGY_KEV, mass_attenuation
from .spectrum import tube_spectrum

TISSUES = (
    "water",
    "lung_tissue",
    "adipose",
    "muscle",
    "blood",
    "skin",
    "heart_muscle",
    "liver",
    "cartilage",
    "cortical_bone",
    "spongiosa_ribs",
    "spongiosa_spine",
    "red_marrow",
    "yellow_marrow",
    "breast_gland",
    "gut_wall",
)
"""Materials whose curves define the plane."""

RAYS = ("polyethylene", "hydroxyapatite")
"""Materials of the extreme rays: basis 0 and basis 1."""

LARGEST_ERROR = 0.01
"""A material whose curve leaves the plane by more than this weighted relative error is refused [1] (design default)."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Grams of each channel in one gram of a material.

    Parameters
    ----------
    basis_0, basis_1
        Shares of the two basis curves [1].
    iodine
        Mass fraction of iodine [1].
    error
        Root mean square of the curve's relative error under the detected energy of the weighting beams [1].
    """

    basis_0: float
    basis_1: float
    iodine: float
    error: float

    @property
    def is_representable(self) -> bool:
        """Whether the channels stand for the material well enough to be projected."""
        return min(self.basis_0, self.basis_1) >= -1e-9 and self.error <= LARGEST_ERROR


@cache
def basis_curves() -> NDArray[np.float64]:
    """Mass attenuation of the channels (basis 0, basis 1, iodine), ``(3, 140)`` [cm2/g], on ``ENERGY_KEV``."""
    plane = _plane()
    curves = np.empty((3, len(ENERGY_KEV)))
    for row, name in enumerate(RAYS):
        curves[row] = _in_plane(mass_attenuation(material(name))) @ plane
    curves[2] = mass_attenuation({"I": 1.0})
    curves.setflags(write=False)
    return curves


@cache
def coefficients(substance: Material) -> Coefficients:
    """Grams of each channel in one gram of a material.

    Examples
    --------
    >>> from twins import material
    >>> c = coefficients(material("water"))
    >>> round(c.basis_0, 3), round(c.basis_1, 3), c.iodine
    (0.924, 0.059, 0.0)
    """
    iodine = sum(w for symbol, w in substance.mass_fractions if symbol == "I")
    rest = mass_attenuation({symbol: w for symbol, w in substance.mass_fractions if symbol != "I"})
    curves = basis_curves()
    spanned = np.array([_in_plane(curve) for curve in curves[:2]])
    c0, c1 = np.linalg.solve(spanned.T, _in_plane(rest))
    whole = rest + iodine * curves[2]
    residual = rest - c0 * curves[0] - c1 * curves[1]
    error = float(np.sqrt(_weights() @ residual**2) / (_weights() @ whole))
    c0, c1 = (0.0 if abs(c) < 1e-9 else float(c) for c in (c0, c1))
    return Coefficients(c0, c1, float(iodine), error)


@cache
def _weights() -> NDArray[np.float64]:
    """Share of each energy bin, ``(140,)``, summing to 1: detected energy averaged over 70 to 150 kVp."""
    aluminium, water = material("aluminium"), material("water")
    total = np.zeros(len(ENERGY_KEV))
    for kvp in range(70, 151, 10):
        beam = tube_spectrum(kvp, 8.0, [(aluminium, 7.0), (water, 200.0)])
        energy = beam.fluence_per_mm2_mas * ENERGY_KEV
        total += energy / energy.sum()
    return total / total.sum()


@cache
def _plane() -> NDArray[np.float64]:
    """Two curves ``(2, 140)``, orthonormal under the weights, that span the plane."""
    curves = np.array([mass_attenuation(material(name)) for name in TISSUES])
    scaled = curves / (curves @ _weights())[:, None] * np.sqrt(_weights())
    left, size, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray((left[:, :2].T / size[:2, None]) @ (curves / (curves @ _weights())[:, None]))


def _in_plane(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    return _plane() @ (_weights() * curve)
