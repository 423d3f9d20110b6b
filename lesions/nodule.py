"""What a user says about one nodule: clinical attributes (LIDC scales, Lung-RADS types) and physical sizes (mm, HU).

A :class:`Nodule` is complete: together with the twin it fixes every voxel. All chance of its shape and texture comes
from ``key``.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SIZES = ("equivalent_diameter_mm", "volume_mm3", "mean_diameter_mm")
"""The fields that give a size; exactly one of them is set."""

NoduleType = Literal["solid", "part_solid", "ground_glass"]
Lobe = Literal["RIGHT_UPPER_LOBE", "RIGHT_MIDDLE_LOBE", "RIGHT_LOWER_LOBE", "LEFT_UPPER_LOBE", "LEFT_LOWER_LOBE"]

LUNG_HU = -850.0
SOFT_HU = 40.0
"""Levels between which a ground-glass fraction is counted [HU]: aerated lung and unenhanced soft tissue (design
defaults)."""

DEFAULT_GROUND_GLASS_HU = -600.0
"""Design default [HU]; published ground-glass means lie about -675 to -365 (PMC6986053; PLoS ONE 0205490)."""

DEFAULT_TEXTURE_SD_HU: dict[str, float] = {"solid": 10.0, "part_solid": 30.0, "ground_glass": 40.0}
"""Design defaults, unverified: no published internal texture of real nodules was found."""


class Nodule(BaseModel):
    """One nodule, before it is put anywhere or after (``centre_mm``).

    Size is that of the whole body, spicules included, and is met exactly: the volume enclosed by the truth contour is
    ``target_volume_mm3``. Ratings (LIDC, 1-5) mean a distribution of shapes, from which ``key`` draws one; the
    physical overrides (``elongation``, ``sh_sd``, ``n_spicules``...) fix what they name.

    Raises
    ------
    ValueError
        If fields are out of range or contradict each other.

    Examples
    --------
    >>> Nodule(id="n1", equivalent_diameter_mm=10, key=1).target_volume_mm3
    523.598...
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$", description="Name, unique within a twin")
    key: int = Field(ge=0, lt=2**64, description="Fixes all chance of shape and texture [64-bit integer]")
    type: NoduleType = Field(default="solid", description="Attenuation type [solid, part_solid, ground_glass]")

    equivalent_diameter_mm: float | None = Field(
        default=None, ge=3, le=40, description="Diameter of the sphere of equal volume [mm]; exactly one size is given"
    )
    volume_mm3: float | None = Field(
        default=None, ge=14, le=33520, description="Volume [mm3]; exactly one size is given"
    )
    mean_diameter_mm: float | None = Field(
        default=None,
        ge=3.5,
        le=40,
        description="Mean of axial long and short axis, spicules not counted [mm]; exactly one size is given",
    )

    sphericity: float = Field(default=4.0, ge=1, le=5, description="LIDC sphericity rating, 5 = round [1-5]")
    lobulation: float = Field(default=1.0, ge=1, le=5, description="LIDC lobulation rating, 1 = none [1-5]")
    spiculation: float = Field(default=1.0, ge=1, le=5, description="LIDC spiculation rating, 1 = none [1-5]")
    elongation: float | None = Field(
        default=None, ge=0.3, le=1, description="Second to first principal axis [1]; given with flatness"
    )
    flatness: float | None = Field(
        default=None, ge=0.3, le=1, description="Third to first principal axis [1]; given with elongation"
    )
    sh_sd_l2: float | None = Field(
        default=None, ge=0, le=0.3, description="SD of ln radius in degree 2, instead of elongation and flatness [1]"
    )
    sh_sd: float | None = Field(default=None, ge=0, le=0.3, description="SD of ln radius in degrees 3-12 [1]")
    sh_nu: float | None = Field(default=None, ge=1, le=8, description="Fall of radius power with degree, l^-nu [1]")
    n_spicules: int | None = Field(default=None, ge=0, le=80, description="Number of spicules [1]")

    margin_mm: float = Field(
        default=0.3,
        ge=0,
        le=6,
        description="10-90 % width of the edge before imaging [mm]; LIDC margin 5 about 0.2, 3 about 0.8",
    )
    solid_hu: float = Field(default=SOFT_HU, ge=-100, le=150, description="Solid tissue, at 70 keV [HU]")
    ground_glass_hu: float | None = Field(
        default=None,
        ge=-800,
        le=-150,
        description="Ground glass over lung of -850 HU [HU]; not with ground_glass_fraction",
    )
    ground_glass_fraction: float | None = Field(
        default=None,
        ge=0.05,
        le=0.8,
        description="Share of lung volume that soft tissue takes [1]: 0.28 is -600 HU over -850 HU lung",
    )
    solid_core_ratio: float | None = Field(
        default=None,
        ge=0.1,
        le=0.9,
        description="Equivalent diameter of the solid core to that of the whole [1]; part_solid only",
    )
    texture_sd_hu: float | None = Field(
        default=None, ge=0, le=120, description="SD of the interior before imaging [HU]"
    )
    texture_correlation_mm: float = Field(
        default=2.0, ge=0.5, le=8, description="Distance at which the texture's correlation is 1/e [mm]"
    )

    lobe: Lobe | None = Field(
        default=None, description="Lobe asked for, name in twins.Structure; none: anywhere in the lungs"
    )
    centre_mm: tuple[float, float, float] | None = Field(
        default=None, description="World point (x, y, z) of the centroid [mm, LPS]; none: to be placed"
    )
    attachment: Literal["none", "vessel"] = Field(default="none", description="What the nodule touches [none, vessel]")
    min_distance_to_pleura_mm: float = Field(default=2.0, ge=0, le=100, description="Gap from surface to pleura [mm]")
    min_distance_to_vessel_mm: float = Field(
        default=1.0, ge=0, le=100, description="Gap from surface to vessels thicker than avoided_vessel_mm [mm]"
    )
    min_distance_to_airway_mm: float = Field(
        default=1.0, ge=0, le=100, description="Gap from surface to airways thicker than avoided_vessel_mm [mm]"
    )

    @field_validator("attachment", mode="before")
    @classmethod
    def _refuse_what_is_not_modelled(cls, value: Any) -> Any:
        if value == "pleura":
            raise ValueError(
                "attachment 'pleura' is not modelled: the pleura would have to bound the nodule's exact volume; "
                "use 'none' with min_distance_to_pleura_mm=0 for a nodule that reaches the pleura"
            )
        return value

    @model_validator(mode="after")
    def _agree(self) -> Nodule:
        sizes = [n for n in SIZES if getattr(self, n) is not None]
        if len(sizes) != 1:
            raise ValueError(f"exactly one of {', '.join(SIZES)} must be given, got {sizes or 'none'}")
        if (self.elongation is None) != (self.flatness is None):
            raise ValueError("elongation and flatness must be given together")
        if self.elongation is not None and self.flatness is not None and self.flatness > self.elongation:
            raise ValueError(f"flatness {self.flatness} must not exceed elongation {self.elongation}")
        if self.elongation is not None and self.sh_sd_l2 is not None:
            raise ValueError("elongation/flatness and sh_sd_l2 both describe the second degree: give one of them")
        if self.type == "solid":
            for name in ("ground_glass_hu", "ground_glass_fraction"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} contradicts type 'solid'")
        if self.ground_glass_hu is not None and self.ground_glass_fraction is not None:
            raise ValueError("ground_glass_hu and ground_glass_fraction say the same thing: give one of them")
        if self.solid_core_ratio is not None and self.type != "part_solid":
            raise ValueError(f"solid_core_ratio contradicts type {self.type!r}: only part_solid nodules have a core")
        if self.margin_mm > 0.5 * self._nominal_diameter_mm():
            raise ValueError(
                f"margin_mm {self.margin_mm} must be at most half the equivalent diameter, "
                f"{0.5 * self._nominal_diameter_mm():.2f} mm"
            )
        if self.texture_correlation_mm < self._nominal_diameter_mm() / 25:
            raise ValueError(
                f"texture_correlation_mm {self.texture_correlation_mm} must be at least "
                f"{self._nominal_diameter_mm() / 25:.2f} mm, a 25th of the equivalent diameter"
            )
        if self.n_spicules and self.spiculation < 3:
            raise ValueError(
                f"n_spicules {self.n_spicules} contradicts spiculation {self.spiculation}: spicules need a rating >= 3"
            )
        if self.centre_mm is not None and not all(math.isfinite(c) for c in self.centre_mm):
            raise ValueError(f"centre_mm must be finite, got {self.centre_mm}")
        return self

    def _nominal_diameter_mm(self) -> float:
        """About the equivalent diameter, without working out a form."""
        return self.mean_diameter_mm if self.mean_diameter_mm is not None else self.target_diameter_mm

    @property
    def target_volume_mm3(self) -> float:
        """Exact volume asked for [mm3]."""
        if self.volume_mm3 is not None:
            return self.volume_mm3
        if self.equivalent_diameter_mm is not None:
            return math.pi / 6 * self.equivalent_diameter_mm**3
        from .sizing import volume_of_mean_diameter

        return volume_of_mean_diameter(self.model_copy(update={"centre_mm": None}))

    @property
    def target_diameter_mm(self) -> float:
        """Diameter of the sphere of the volume asked for [mm]."""
        return (6 / math.pi * self.target_volume_mm3) ** (1 / 3)

    @property
    def soft_fraction(self) -> float:
        """Share of the lung's volume that soft tissue takes outside a core: 1 for solid, less for ground glass [1]."""
        if self.type == "solid":
            return 1.0
        if self.ground_glass_fraction is not None:
            return self.ground_glass_fraction
        hu = DEFAULT_GROUND_GLASS_HU if self.ground_glass_hu is None else self.ground_glass_hu
        return (hu - LUNG_HU) / (SOFT_HU - LUNG_HU)

    @property
    def core_ratio(self) -> float:
        """Core to whole equivalent diameter [1]: solid 1, ground glass 0, part-solid 0.5 by (design) default."""
        if self.type == "part_solid":
            return 0.5 if self.solid_core_ratio is None else self.solid_core_ratio
        return 1.0 if self.type == "solid" else 0.0

    @property
    def interior_sd_hu(self) -> float:
        """SD of the interior before imaging [HU]."""
        return DEFAULT_TEXTURE_SD_HU[self.type] if self.texture_sd_hu is None else self.texture_sd_hu

    @property
    def avoided_vessel_mm(self) -> float:
        """Vessels and airways thicker than this are kept clear of [mm]: 2, or a quarter of the size (design default).

        Large nodules grow around small vessels; in a full vascular tree no 20 mm sphere is free of 2 mm vessels.
        """
        return max(2.0, float(round(0.25 * self.target_diameter_mm)))

    def stream(self, name: str) -> np.random.Generator:
        """The random stream of one named decision about this nodule, a function of ``(key, name)`` alone."""
        word = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
        return np.random.Generator(np.random.Philox(key=np.array([self.key, word], dtype=np.uint64)))

    def at(self, centre_mm: tuple[float, float, float]) -> Nodule:
        """The same nodule with its centroid there [mm, LPS]."""
        return self.model_copy(update={"centre_mm": tuple(float(c) for c in centre_mm)})
