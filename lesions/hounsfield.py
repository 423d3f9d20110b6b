"""Hounsfield equivalents of matter: what a mixture would read in a monoenergetic 70 keV scan.

``HU = 1000 (sum_m rho_m (mu/rho)_m / mu_water - 1)``, from partial densities alone and without any scanner. 70 keV
is near the effective energy of a 120 kVp beam behind a chest; a polychromatic scan reads soft tissue within a few HU
of it.

Elemental coefficients: total (coherent included) mu/rho at 70 keV from the Elam tables (Elam, Ravel, Sieber,
Radiat. Phys. Chem. 63 (2002) 121, as served by xraydb 4.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from twins import Material, material

MASS_ATTENUATION_70_KEV: dict[str, float] = {
    "H": 0.31726,
    "C": 0.16724,
    "N": 0.17140,
    "O": 0.17718,
    "F": 0.17504,
    "Na": 0.19762,
    "Mg": 0.21840,
    "Al": 0.23011,
    "Si": 0.25898,
    "P": 0.27541,
    "S": 0.31233,
    "Cl": 0.33161,
    "Ar": 0.34535,
    "K": 0.41341,
    "Ca": 0.47168,
    "Ti": 0.53612,
    "Fe": 0.81637,
    "Cu": 1.06419,
    "Sn": 4.33541,
    "I": 5.01561,
    "Gd": 7.88467,
    "W": 11.03506,
}
"""Total mass attenuation coefficient at 70 keV [cm2/g], by element."""


def mass_attenuation_cm2_g(of: Material) -> float:
    """Mass attenuation coefficient of a material at 70 keV [cm2/g].

    Raises
    ------
    ValueError
        If the material holds an element that the table lacks.
    """
    missing = [e for e, _ in of.mass_fractions if e not in MASS_ATTENUATION_70_KEV]
    if missing:
        raise ValueError(f"material {of.name!r}: no 70 keV coefficient for {', '.join(missing)}")
    return sum(w * MASS_ATTENUATION_70_KEV[e] for e, w in of.mass_fractions)


def hounsfield_equivalent(materials: Sequence[Material], partial_g_cm3: NDArray[np.floating]) -> NDArray[np.float64]:
    """HU equivalent of ``(m, ...)`` partial densities [g/cm3] of ``materials``.

    Examples
    --------
    >>> import numpy as np
    >>> from twins import material
    >>> hounsfield_equivalent((material("water"),), np.array([[0.0, 1.0]]))
    array([-1000.,     0.])
    """
    ratio = np.array([mass_attenuation_cm2_g(m) for m in materials]) / _water()
    total = np.zeros(np.shape(partial_g_cm3)[1:])
    for share, part in zip(ratio, partial_g_cm3, strict=True):
        total += share * part
    return np.asarray(1000.0 * (total - 1.0))


def density_g_cm3(of: Material, hu: float) -> float:
    """Density at which a material reads ``hu`` [g/cm3]."""
    return (1 + hu / 1000) * _water() / mass_attenuation_cm2_g(of)


@cache
def _water() -> float:
    return mass_attenuation_cm2_g(material("water"))
