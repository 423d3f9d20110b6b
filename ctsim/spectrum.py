"""X-ray spectra of the tube: a baked unfiltered tungsten spectrum behind any flat filters.

``Phi(E) = Phi_0(E; kVp, take-off angle) exp(-sum_k (mu/rho)_k rho_k t_k)`` [photons / mm2 / mAs per 1 keV bin at 1 m].

Source of Phi_0: SpekPy 2.5.4 "casim" (Poludniowski et al., Med Phys 48 (2021) 3630, doi:10.1002/mp.14945), see
``scripts/bake_spectra.py``. The take-off angle is that between ray and anode surface: the anode angle for the ray
through the isocentre, less towards the anode (the heel effect, :mod:`ctsim.heel`). A ray at the angle phi to the
central one, in the plane of tube axis and isocentre, has the spectrum of the take-off angle ``anode angle - phi``:
SpekPy's off-axis spectra equal those on the axis of an anode so turned to every digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from twins import Material, material

from .attenuation import ENERGY_KEV, mass_attenuation

MM_PER_CM = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Photons per 1 keV bin (bins of :data:`ctsim.attenuation.ENERGY_KEV`).

    Parameters
    ----------
    fluence_per_mm2_mas
        ``(140,)`` float64: photons per mm2 and mAs in each bin, at 1 m from the focal spot.
    """

    fluence_per_mm2_mas: NDArray[np.float64]

    @property
    def total_per_mm2_mas(self) -> float:
        """Photons of all energies [1/mm2/mAs at 1 m]."""
        return float(self.fluence_per_mm2_mas.sum())

    @property
    def mean_energy_kev(self) -> float:
        """Fluence-weighted mean photon energy [keV]."""
        return float(self.fluence_per_mm2_mas @ ENERGY_KEV / self.fluence_per_mm2_mas.sum())

    def filtered(self, layer: Material, thickness_mm: float) -> Spectrum:
        """The spectrum behind ``thickness_mm`` of a material at its natural density."""
        depth = mass_attenuation(layer) * (layer.density_g_cm3 * thickness_mm / MM_PER_CM)
        return Spectrum(self.fluence_per_mm2_mas * np.exp(-depth))

    def half_value_layer_mm(self, layer: Material | None = None) -> float:
        """Thickness that halves the air kerma [mm], of aluminium unless another material is given.

        Air kerma = energy fluence times the mass energy-absorption coefficient of air (NIST, NISTIR 5632).
        """
        metal = material("aluminium") if layer is None else layer
        mu_per_mm = mass_attenuation(metal) * metal.density_g_cm3 / MM_PER_CM
        kerma = self.fluence_per_mm2_mas * ENERGY_KEV * _air_kerma_weight()
        low, high = 0.0, 200.0
        for _ in range(60):
            middle = (low + high) / 2
            if kerma @ np.exp(-mu_per_mm * middle) > kerma.sum() / 2:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def tube_spectrum(kvp: int, take_off_angle_deg: float, filters: Iterable[tuple[Material, float]] = ()) -> Spectrum:
    """Spectrum of a tungsten tube behind its filters.

    Parameters
    ----------
    kvp
        Peak tube potential [kV]: 70 to 150 in steps of 5.
    take_off_angle_deg
        2 to 20 [degrees]; between whole degrees the fluence is interpolated by cubics.
    filters
        ``(material, thickness [mm])`` of each layer, at the material's natural density.

    Raises
    ------
    ValueError
        If kvp or angle is not in the table.

    Examples
    --------
    >>> from twins import material
    >>> beam = tube_spectrum(120, 10.0, [(material("aluminium"), 6.0)])
    >>> round(beam.mean_energy_kev, 1)
    60.0
    """
    potentials, angles, fluence = _tables()
    if kvp not in potentials:
        raise ValueError(f"kvp must be one of {', '.join(map(str, potentials))} kV, got {kvp}")
    if not angles[0] <= take_off_angle_deg <= angles[-1]:
        raise ValueError(
            f"take_off_angle_deg must lie in {angles[0]} to {angles[-1]} degrees, got {take_off_angle_deg}"
        )
    rows = fluence[:, list(potentials).index(kvp)]
    first = min(max(int(take_off_angle_deg - angles[0]) - 1, 0), len(angles) - 4)
    spectrum = Spectrum(_lagrange(take_off_angle_deg - angles[first]) @ rows[first : first + 4])
    for layer, thickness_mm in filters:
        spectrum = spectrum.filtered(layer, thickness_mm)
    return spectrum


def _lagrange(x: float) -> NDArray[np.float64]:
    """Weights of the values at 0, 1, 2, 3 in the cubic through them, at x."""
    return np.array(
        [
            -(x - 1) * (x - 2) * (x - 3) / 6,
            x * (x - 2) * (x - 3) / 2,
            -x * (x - 1) * (x - 3) / 2,
            x * (x - 1) * (x - 2) / 6,
        ]
    )


@cache
def _tables() -> tuple[tuple[int, ...], tuple[int, ...], NDArray[np.float64]]:
    with files(__package__).joinpath("data/spectra.npz").open("rb") as handle, np.load(handle) as data:
        if not np.array_equal(data["energy_kev"], ENERGY_KEV):
            raise ValueError("ctsim/data/spectra.npz stands on other energy bins; bake it anew")
        return (
            tuple(int(k) for k in data["kvp"]),
            tuple(int(a) for a in data["take_off_angle_deg"]),
            data["fluence_per_mm2_mas"].astype(np.float64),
        )


# Mass energy-absorption coefficient of dry air [cm2/g] (NIST XAAMDI, Hubbell & Seltzer 1995, NISTIR 5632).
_AIR_ENERGY_KEV = (10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
_AIR_MUEN_CM2_G = (4.742, 1.334, 0.5389, 0.1537, 0.06833, 0.04098, 0.03041, 0.02407, 0.02325, 0.02496)


@cache
def _air_kerma_weight() -> NDArray[np.float64]:
    weight = np.interp(np.log(ENERGY_KEV), np.log(_AIR_ENERGY_KEV), np.log(_AIR_MUEN_CM2_G))
    return np.exp(weight)
