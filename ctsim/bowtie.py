"""The bowtie: a body-shaping filter, thin in the middle of the fan and thick at its edges.

It is given as thickness against fan angle and enters the path of every ray as amounts of the two bases (its material
expressed by :mod:`ctsim.basis`), so that one table of moments serves all columns. Expressing PTFE so errs by 0.03 % of
its attenuation. Thicknesses are along the ray in the plane of the fan, flat filters' obliquity there included; rays of
the outer rows go through 1 / cos(cone angle) of it.

Vendor shapes are not public. :func:`equalising_thickness_mm` gives the shape that the profiles call "estimated": it
makes up, up to a limit, for the part of a centred water cylinder's chord that is missing at the fan angle,

    t(g) = min(t_max, s (mu_water / mu_filter) (2 R - 2 sqrt(R^2 - SID^2 sin^2 g))),

the idea of Boone's characterisation (Med Phys 37 (2010) 40, doi:10.1118/1.3264616) turned round.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twins import Material, material

from .attenuation import mass_attenuation
from .basis import coefficients

MM_PER_CM = 10.0
DESIGN_ENERGY_KEV = 70.0
"""Energy at which :func:`equalising_thickness_mm` balances filter and water [keV] (design default)."""


class Bowtie(BaseModel):
    """A body-shaping filter.

    Raises
    ------
    ValueError
        If the angles do not start at 0 and grow, or there are not as many thicknesses as angles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name that a protocol refers to")
    material: str = Field(description="Material, by the name it has in twins.materials")
    fan_angle_deg: tuple[float, ...] = Field(min_length=2, description="Fan angles from the middle outwards [degrees]")
    thickness_mm: tuple[float, ...] = Field(min_length=2, description="Thickness along the ray at each angle [mm]")

    @model_validator(mode="after")
    def _is_a_profile(self) -> Bowtie:
        material(self.material)
        angles = np.asarray(self.fan_angle_deg)
        if len(angles) != len(self.thickness_mm):
            raise ValueError(
                f"thickness_mm must have one value per fan_angle_deg, got {len(self.thickness_mm)} and {len(angles)}"
            )
        if angles[0] != 0 or np.any(np.diff(angles) <= 0):
            raise ValueError(f"fan_angle_deg must start at 0 and grow, got {self.fan_angle_deg}")
        if not 0 <= min(self.thickness_mm) <= max(self.thickness_mm) <= 100:
            raise ValueError(f"thickness_mm must lie in 0 to 100 mm, got {self.thickness_mm}")
        return self

    def thickness_at(self, fan_angle_rad: ArrayLike) -> NDArray[np.float64]:
        """Thickness along the ray [mm] at fan angles of either sign [rad]; constant beyond the last angle."""
        angle = np.abs(np.degrees(np.asarray(fan_angle_rad, dtype=np.float64)))
        return np.interp(angle, self.fan_angle_deg, self.thickness_mm)

    def basis_g_cm2(self, fan_angle_rad: ArrayLike) -> NDArray[np.float64]:
        """Amounts of basis 0 and basis 1 in the ray's path, ``(2, columns)`` [g/cm2]."""
        substance = material(self.material)
        c = coefficients(substance)
        if not c.is_representable:
            raise ValueError(f"bowtie {self.name!r}: material {self.material!r} cannot be expressed by the two bases")
        areal = self.thickness_at(fan_angle_rad) * substance.density_g_cm3 / MM_PER_CM
        return np.stack([c.basis_0 * areal, c.basis_1 * areal])


def equalising_thickness_mm(
    fan_angle_deg: ArrayLike,
    *,
    filter_material: Material,
    source_distance_mm: float,
    radius_mm: float,
    strength: float,
    largest_mm: float,
) -> NDArray[np.float64]:
    """Filter thickness that makes up for a part of a water cylinder's missing chord.

    Parameters
    ----------
    fan_angle_deg
        Fan angles [degrees].
    filter_material
        What the bowtie is made of.
    source_distance_mm
        SID [mm].
    radius_mm
        Radius of the centred water cylinder [mm].
    strength
        Part of the missing attenuation that is made up for, 0 to 1.
    largest_mm
        Limit of the thickness [mm].

    Returns
    -------
    numpy.ndarray
        Thickness [mm], shape of ``fan_angle_deg``.
    """
    offset_mm = source_distance_mm * np.sin(np.radians(np.abs(np.asarray(fan_angle_deg, dtype=np.float64))))
    missing_mm = 2 * radius_mm - 2 * np.sqrt(np.maximum(radius_mm**2 - offset_mm**2, 0.0))
    water = mass_attenuation(material("water"), DESIGN_ENERGY_KEV)
    metal = mass_attenuation(filter_material, DESIGN_ENERGY_KEV) * filter_material.density_g_cm3
    return np.minimum(largest_mm, strength * float(water / metal) * missing_mm)
