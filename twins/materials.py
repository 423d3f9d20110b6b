"""Materials: density and elemental composition, each with its source (``materials.yaml``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Material:
    """What something is made of.

    Parameters
    ----------
    name
        Name in lower case with underscores.
    density_g_cm3
        Density at its natural packing [g/cm3].
    mass_fractions
        ``(element symbol, mass fraction)`` pairs; the fractions sum to 1.
    source
        Where the composition comes from.

    Raises
    ------
    ValueError
        If the density is not positive, or the fractions are negative or do not sum to 1 within 0.2 %.
    """

    name: str
    density_g_cm3: float
    mass_fractions: tuple[tuple[str, float], ...]
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.density_g_cm3) and self.density_g_cm3 > 0):
            raise ValueError(f"material {self.name!r}: density_g_cm3 must be positive, got {self.density_g_cm3}")
        total = sum(w for _, w in self.mass_fractions)
        if min((w for _, w in self.mass_fractions), default=-1.0) < 0 or abs(total - 1) > 2e-3:
            raise ValueError(f"material {self.name!r}: mass fractions must be >= 0 and sum to 1, they sum to {total}")


@cache
def known_materials() -> Mapping[str, Material]:
    """The materials that come with the package, by name.

    Examples
    --------
    >>> known_materials()["water"].density_g_cm3
    1.0
    """
    from ruamel.yaml import YAML

    table = YAML(typ="safe", pure=True).load(files(__package__).joinpath("materials.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({name: _material(name, entry) for name, entry in table.items()})


def material(name: str) -> Material:
    """The built-in material of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    try:
        return known_materials()[name]
    except KeyError:
        raise ValueError(f"unknown material {name!r}; known: {', '.join(sorted(known_materials()))}") from None


def _material(name: str, entry: Mapping[str, object]) -> Material:
    percent = entry["percent"]
    total = sum(percent.values())  # type: ignore[attr-defined]
    fractions = tuple((str(e), float(p) / total) for e, p in percent.items())  # type: ignore[attr-defined]
    return Material(name, float(entry["density_g_cm3"]), fractions, str(entry["source"]))  # type: ignore[arg-type]
