"""What single photons do in materials: cross-sections by process and the functions that say in which direction.

    coherent:    dsigma/dOmega ~ F^2(x) (1 + cos^2) / 2          (form factors of independent atoms)
    incoherent:  dsigma/dOmega ~ KN(E, theta) S(x)               (Klein & Nishina; Hubbell's S)

with x = sin(theta / 2) / wavelength, F^2 and S per gram: ``sum_k w_k / A_k F_k^2``. How often each process happens is
the Elam table's (``ctsim/data/photons.npz``), the angular functions are normalised by their own integrals. The
photoelectric part is total less coherent less incoherent. Water's molecules interfere at x < 0.3 / angstrom, which the
independent atoms lack.

Sources: ``scripts/bake_photons.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from twins import Material

from ..attenuation import mass_attenuation
from ..kernels.montecarlo import ELECTRON_KEV, HC_KEV_ANGSTROM, X_STEP
from ..spectrum import _AIR_ENERGY_KEV, _AIR_MUEN_CM2_G

GRID_KEV = np.arange(10.0, 150.5, 1.0)
"""Energies of the Monte Carlo's tables [keV]."""

LARGEST_X = 12.5
"""End of tables over x [1/angstrom]."""


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Tables of a list of materials, rows in the list's order.

    Parameters
    ----------
    total_cm2_g, coherent_cm2_g, incoherent_cm2_g
        ``(M, 141)`` float64 on ``GRID_KEV`` [cm2/g].
    coherent_norm, incoherent_norm
        ``(M, 141)`` float64: integrals over 4 pi of the angular functions [1/g].
    form, bound
        ``(M, X)`` float64: F^2 and S per gram [mol/g] at multiples of ``X_STEP``.
    form_cumulated
        ``(M, X)`` float64: integral of F^2 over x^2 in units of ``X_STEP``^2.
    """

    total_cm2_g: NDArray[np.float64]
    coherent_cm2_g: NDArray[np.float64]
    incoherent_cm2_g: NDArray[np.float64]
    coherent_norm: NDArray[np.float64]
    incoherent_norm: NDArray[np.float64]
    form: NDArray[np.float64]
    bound: NDArray[np.float64]
    form_cumulated: NDArray[np.float64]


def interactions(materials: Sequence[Material]) -> Interactions:
    """Tables of materials.

    Raises
    ------
    ValueError
        If a material has an element that is not in the tables (H to U).
    """
    x = np.arange(0.0, LARGEST_X + X_STEP / 2, X_STEP)
    data = _atoms()
    rows: list[list[NDArray[np.float64]]] = [[] for _ in range(8)]
    for substance in materials:
        shares = [(data.symbols.get(symbol), w) for symbol, w in substance.mass_fractions]
        if any(row is None for row, _ in shares):
            raise ValueError(f"material {substance.name!r} has an element that is not one of H (1) to U (92)")
        pairs = [(int(row), w) for row, w in shares if row is not None]
        coherent = sum(w * data.coherent[z] for z, w in pairs)
        incoherent = sum(w * data.incoherent[z] for z, w in pairs)
        form = sum(w / data.mass[z] * np.interp(x, data.x, data.form[z]) ** 2 for z, w in pairs)
        bound = sum(w / data.mass[z] * np.interp(x, data.x, data.bound[z]) for z, w in pairs)
        form, bound = np.asarray(form), np.asarray(bound)
        widths = np.diff((x / X_STEP) ** 2)
        cumulated = np.concatenate([[0.0], np.cumsum((form[1:] + form[:-1]) / 2 * widths)])
        norms = _norms(x, form, bound)
        new = (mass_attenuation(substance, GRID_KEV), coherent, incoherent, *norms, form, bound, cumulated)
        for row, values in zip(rows, new, strict=True):
            row.append(np.asarray(values, dtype=np.float64))
    return Interactions(*(np.ascontiguousarray(row) for row in rows))


def klein_nishina(energy_kev: NDArray[np.float64], cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differential cross-section of a free electron at rest, in units of r_e^2 per steradian."""
    ratio = 1 / (1 + energy_kev / ELECTRON_KEV * (1 - cosine))
    return 0.5 * ratio**2 * (ratio + 1 / ratio - (1 - cosine**2))


def air_kerma_coefficient_cm2_g() -> NDArray[np.float64]:
    """Mass energy-absorption coefficient of dry air on ``GRID_KEV`` [cm2/g] (NIST XAAMDI, NISTIR 5632)."""
    return np.asarray(np.exp(np.interp(np.log(GRID_KEV), np.log(_AIR_ENERGY_KEV), np.log(_AIR_MUEN_CM2_G))))


def _norms(
    x: NDArray[np.float64], form: NDArray[np.float64], bound: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Integrals of the angular functions over the sphere at every energy, over x (d cosine = -4 x dx / x_max^2)."""
    coherent, incoherent = np.empty(len(GRID_KEV)), np.empty(len(GRID_KEV))
    for i, energy in enumerate(GRID_KEV):
        largest = energy / HC_KEV_ANGSTROM
        places = np.linspace(0, largest, 1200)
        cosine = 1 - 2 * (places / largest) ** 2
        area = 2 * np.pi * 4 * places / largest**2
        coherent[i] = np.trapezoid(area * np.interp(places, x, form) * 0.5 * (1 + cosine**2), places)
        kn = klein_nishina(np.asarray(energy), cosine)
        incoherent[i] = np.trapezoid(area * np.interp(places, x, bound) * kn, places)
    return coherent, incoherent


@dataclass(frozen=True, slots=True, eq=False)
class _Atoms:
    symbols: dict[str, int]
    mass: NDArray[np.float64]
    coherent: NDArray[np.float64]
    incoherent: NDArray[np.float64]
    x: NDArray[np.float64]
    form: NDArray[np.float64]
    bound: NDArray[np.float64]


@cache
def _atoms() -> _Atoms:
    with files("ctsim").joinpath("data/photons.npz").open("rb") as handle, np.load(handle) as data:
        if not np.array_equal(data["energy_kev"], GRID_KEV):
            raise ValueError("ctsim/data/photons.npz stands on other energies; bake it anew")
        names = ("atomic_mass", "coherent_cm2_g", "incoherent_cm2_g", "x_per_angstrom", "form_factor")
        tables = [data[name].astype(np.float64) for name in (*names, "scattering_function")]
        return _Atoms({str(s): row for row, s in enumerate(data["symbol"])}, *tables)
