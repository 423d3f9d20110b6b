"""The parts that phantoms are built of: solids filled evenly with one material."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..grid import Point
from ..materials import Material, material
from ..solids import Cylinder, Ellipsoid, Solid, solid_to_dict
from ..structures import Structure
from ..twin import Twin

AIR = "air"
"""What surrounds every phantom."""


@dataclass(frozen=True, slots=True)
class Part:
    """A solid filled evenly with one material.

    Parameters
    ----------
    solid
        Where.
    material
        Name of a built-in material, or a material.
    density_g_cm3
        Its density here; ``None`` means that of its natural packing [g/cm3].
    structure
        What its voxels are called.
    """

    solid: Solid
    material: str | Material
    density_g_cm3: float | None = None
    structure: Structure = Structure.SOFT_TISSUE

    def __post_init__(self) -> None:
        if self.density_g_cm3 is not None and not 0 < self.density_g_cm3 < 25:
            raise ValueError(f"density_g_cm3 must lie between 0 and 25, got {self.density_g_cm3}")

    @property
    def substance(self) -> Material:
        """The material itself."""
        return material(self.material) if isinstance(self.material, str) else self.material

    @property
    def density(self) -> float:
        """Density of the part [g/cm3]."""
        return self.substance.density_g_cm3 if self.density_g_cm3 is None else self.density_g_cm3


def rod(
    diameter_mm: float | tuple[float, float],
    length_mm: float,
    material: str | Material,
    *,
    at_mm: tuple[float, float] = (0.0, 0.0),
    z_mm: float = 0.0,
    density_g_cm3: float | None = None,
    structure: Structure = Structure.SOFT_TISSUE,
) -> Part:
    """A rod along z for ``inserts``, with its middle at world (x, y) = ``at_mm`` and z = ``z_mm`` [mm]."""
    dx, dy = (diameter_mm, diameter_mm) if isinstance(diameter_mm, int | float) else diameter_mm
    return Part(Cylinder((*at_mm, z_mm), (dx / 2, dy / 2), length_mm), material, density_g_cm3, structure)


def ball(
    diameter_mm: float,
    material: str | Material,
    *,
    at_mm: Point = (0.0, 0.0, 0.0),
    density_g_cm3: float | None = None,
    structure: Structure = Structure.SOFT_TISSUE,
) -> Part:
    """A ball for ``inserts``, centred at world point ``at_mm`` [mm]."""
    return Part(Ellipsoid(at_mm, (diameter_mm / 2,) * 3), material, density_g_cm3, structure)


def described(twin: Twin) -> list[dict[str, Any]]:
    """The body that a phantom's provenance describes; ValueError for any other twin."""
    body = twin.provenance.get("body")
    if twin.provenance.get("kind") != "phantom" or not isinstance(body, list | tuple):
        raise ValueError(f"only phantoms have exact path lengths; this twin is of kind {twin.provenance.get('kind')!r}")
    return list(body)


def part_to_dict(part: Part) -> dict[str, Any]:
    """Plain data for a twin's provenance."""
    return {
        "at": solid_to_dict(part.solid),
        "material": part.substance.name,
        "relative_density": part.density / part.substance.density_g_cm3,
    }
