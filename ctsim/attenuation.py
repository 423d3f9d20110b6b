"""Mass attenuation of materials: the mixture rule over a baked table of the elements.

``mu/rho (E) = sum_k w_k (mu/rho)_k(E)`` with mass fractions ``w_k``. Elements 1 to 92, total attenuation
(photoelectric, coherent, incoherent) every 0.5 keV from 10 to 150 keV.

Source: Elam, Ravel & Sieber, Radiat Phys Chem 63 (2002) 121, as distributed by xraydb
(``scripts/bake_attenuation.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twins import Material

ENERGY_KEV = np.arange(10.5, 150.0, 1.0)
"""Middles of the 1 keV bins on which every spectrum of this package stands [keV]."""
ENERGY_KEV.setflags(write=False)


def mass_attenuation(
    material: Material | Mapping[str, float], energy_kev: ArrayLike = ENERGY_KEV
) -> NDArray[np.float64]:
    """Mass attenuation coefficient of a material [cm2/g].

    Parameters
    ----------
    material
        A material, or a mapping of element symbol to mass fraction (which need not sum to 1).
    energy_kev
        Photon energies, 10 to 150 [keV]. Multiples of 0.5 keV are table values; others are interpolated in log-log.

    Returns
    -------
    numpy.ndarray
        float64, shape of ``energy_kev``.

    Raises
    ------
    ValueError
        If an element is not in the table or an energy is outside of it.

    Examples
    --------
    >>> from twins import material
    >>> round(float(mass_attenuation(material("water"), 60.0)), 4)
    0.2059
    """
    energy, symbols, table = _elements()
    wanted = np.asarray(energy_kev, dtype=np.float64)
    if np.any(~(wanted >= energy[0]) | ~(wanted <= energy[-1])):
        raise ValueError(f"energy_kev must lie in {energy[0]:g} to {energy[-1]:g} keV, got {wanted}")
    fractions = material.mass_fractions if isinstance(material, Material) else tuple(material.items())
    name = material.name if isinstance(material, Material) else "mixture"
    total = np.zeros(wanted.shape)
    for symbol, fraction in fractions:
        if symbol not in symbols:
            raise ValueError(f"material {name!r}: unknown element {symbol!r}; known are H (1) to U (92)")
        row = table[symbols[symbol]]
        total += fraction * np.exp(np.interp(np.log(wanted), np.log(energy), np.log(row)))
    return total


@cache
def _elements() -> tuple[NDArray[np.float64], dict[str, int], NDArray[np.float64]]:
    with files(__package__).joinpath("data/attenuation.npz").open("rb") as handle, np.load(handle) as data:
        symbols = {str(symbol): row for row, symbol in enumerate(data["symbol"])}
        return data["energy_kev"].astype(np.float64), symbols, data["mass_attenuation_cm2_g"].astype(np.float64)
