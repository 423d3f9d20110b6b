"""From HU to matter: a stoichiometric curve through the package's materials at an effective energy.

HU = 1000 (mu - mu_water) / mu_water with mu = density * (mu/rho) at the effective energy of the tube voltage. Between
two neighbouring materials at natural density a voxel is taken to be a mixture by volume, in which mu and density are
both linear (Schneider et al. 1996, doi:10.1088/0031-9155/41/1/009, for the stoichiometric idea). Beyond the last
material its density is scaled. The table of mu/rho is baked (``hu_curve.yaml``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..materials import Material, material

LOWEST_HU, HIGHEST_HU, STEPS_PER_HU = -1024, 3500, 4
"""Range and resolution of the lookup tables [HU]."""

MATERIALS = (
    "air",
    "lung_tissue",
    "adipose",
    "muscle",
    "blood",
    "iodinated_blood",
    "spongiosa_ribs",
    "cortical_bone",
)
"""Names of the materials of a patient twin; ``material_a`` and ``material_b`` count in this order."""

CURVES: dict[str, tuple[str, ...]] = {
    "lung": ("air", "lung_tissue", "blood", "iodinated_blood"),
    "soft": ("air", "adipose", "muscle"),
    "contrast": ("air", "adipose", "blood", "iodinated_blood"),
    "bone": ("air", "adipose", "muscle", "spongiosa_ribs", "cortical_bone"),
}
"""What a voxel of each class can be made of, in the order of HU."""


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """Mixture of every HU step, one row per curve (order of :data:`CURVES`), columns from ``LOWEST_HU`` up.

    ``material_a``, ``material_b`` uint8 positions in :data:`MATERIALS`; ``fraction_b`` mass fraction; ``density``
    [g/cm3]; ``hu`` what the mixture gives back at the same energy [HU].
    """

    material_a: NDArray[np.uint8]
    material_b: NDArray[np.uint8]
    fraction_b: NDArray[np.float64]
    density: NDArray[np.float64]
    hu: NDArray[np.float64]


def patient_materials() -> tuple[Material, ...]:
    """The materials of a patient twin, in the order of :data:`MATERIALS`."""
    return tuple(material(name) for name in MATERIALS)


def effective_kev(kvp: float, *, iodine: bool = False) -> float:
    """Energy at which a water-corrected scan at ``kvp`` sees bone (or iodine) as it does [keV].

    Raises
    ------
    ValueError
        If ``kvp`` lies outside the table (70 to 150).
    """
    table = _table()["effective_kev"]
    known = sorted(table)
    if not known[0] <= kvp <= known[-1]:
        raise ValueError(f"kvp must lie between {known[0]} and {known[-1]}, got {kvp}")
    return float(np.interp(kvp, known, [table[k][1 if iodine else 0] for k in known]))


def natural_hu(name: str, kvp: float) -> float:
    """HU of a material at its natural density, at ``kvp``.

    Examples
    --------
    >>> round(natural_hu("adipose", 120.0)), round(natural_hu("muscle", 120.0))
    (-81, 44)
    """
    return 1000 * (material(name).density_g_cm3 * _relative_mu_rho(name, kvp) - 1)


def mixture_lookup(kvp: float) -> Lookup:
    """Tables that turn HU into mixtures for every class of :data:`CURVES`, at ``kvp``."""
    steps = np.arange(LOWEST_HU * STEPS_PER_HU, HIGHEST_HU * STEPS_PER_HU + 1) / STEPS_PER_HU
    rows = [_curve(names, steps, kvp) for names in CURVES.values()]
    return Lookup(*(np.stack(column) for column in zip(*rows, strict=True)))


def hu_of(
    material_a: NDArray[np.uint8],
    material_b: NDArray[np.uint8],
    fraction_b: NDArray[np.float64],
    density: NDArray[np.float64],
    kvp: float,
) -> NDArray[np.float64]:
    """HU of mixtures of :data:`MATERIALS` at ``kvp``; ``fraction_b`` by mass, ``density`` [g/cm3]."""
    mu_rho = np.array([_relative_mu_rho(name, kvp) for name in MATERIALS])
    return 1000 * (density * ((1 - fraction_b) * mu_rho[material_a] + fraction_b * mu_rho[material_b]) - 1)


def _curve(names: tuple[str, ...], steps: NDArray[np.float64], kvp: float) -> tuple[NDArray[Any], ...]:
    relative_mu = np.clip(steps / 1000 + 1, 0, None)
    a = np.zeros(steps.shape, np.uint8)
    b = np.zeros(steps.shape, np.uint8)
    fraction = np.zeros(steps.shape)
    density = np.zeros(steps.shape)
    mu_of = [material(n).density_g_cm3 * _relative_mu_rho(n, kvp) for n in names]
    for i in range(len(names) - 1):
        low, high = mu_of[i], mu_of[i + 1]
        here = (relative_mu >= low) if i else np.ones(steps.shape, bool)
        share = np.clip((relative_mu[here] - low) / (high - low), 0, 1)  # by volume
        rho_low, rho_high = material(names[i]).density_g_cm3, material(names[i + 1]).density_g_cm3
        rho = (1 - share) * rho_low + share * rho_high
        excess = np.maximum(relative_mu[here] / high, 1.0) if i == len(names) - 2 else 1.0
        a[here], b[here] = MATERIALS.index(names[i]), MATERIALS.index(names[i + 1])
        fraction[here] = share * rho_high / rho
        density[here] = rho * excess
    return a, b, fraction, density, hu_of(a, b, fraction, density, kvp)


def _relative_mu_rho(name: str, kvp: float) -> float:
    """Mass attenuation relative to that of water [cm3/g]: mu/mu_water = density * this."""
    table = _table()
    kev = effective_kev(kvp, iodine=name == "iodinated_blood")
    log = [np.interp(kev, table["energy_kev"], np.log(table["mu_rho_cm2_g"][n])) for n in (name, "water")]
    return float(np.exp(log[0] - log[1]))


@cache
def _table() -> dict[str, Any]:
    from ruamel.yaml import YAML

    text = files(__package__).joinpath("hu_curve.yaml").read_text(encoding="utf-8")
    return dict(YAML(typ="safe", pure=True).load(text))
