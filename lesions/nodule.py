"""What a user says about one nodule: clinical attributes (LIDC scales and codes) and physical ones (mm, HU, fractions).

A :class:`Nodule` is complete: together with the twin it fixes every voxel. All chance of its shape and texture comes
from ``key``. Its fields hold what was set; :attr:`Nodule.attributes` holds all that follows
(:mod:`lesions.attributes`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from .agreement import check
from .attributes import (
    LIDC_CALCIFICATION,
    LIDC_INTERNAL_STRUCTURE,
    LUNG_HU,
    MIMICS,
    SIZES,
    SOFT_HU,
    TUBULAR,
    Attachment,
    Attributes,
    Calcification,
    InternalStructure,
    Kind,
    NoduleType,
    derived,
    resolve,
)

__all__ = ["LUNG_HU", "SIZES", "SOFT_HU", "Lobe", "Nodule", "NoduleType"]

Angle = Annotated[float, Field(ge=-180, le=180)]
"""Of a rotation [degrees]."""

Lobe = Literal["RIGHT_UPPER_LOBE", "RIGHT_MIDDLE_LOBE", "RIGHT_LOWER_LOBE", "LEFT_UPPER_LOBE", "LEFT_LOWER_LOBE"]


def _by_code(codes: Mapping[int, str]) -> BeforeValidator:
    """LIDC's number or its name."""

    def name(value: Any) -> Any:
        return codes[value] if isinstance(value, int) and value in codes else value

    return BeforeValidator(name)


class Nodule(BaseModel):
    """One nodule or mimic, before it is put anywhere or after (``centre_mm``).

    Size is that of the whole body, spicules included, and is met exactly: the volume enclosed by the truth contour is
    the one asked for. Ratings (LIDC, 1-5) mean a distribution of shapes, from which ``key`` draws one; the
    physical overrides (``elongation``, ``sh_sd``, ``n_spicules``...) fix what they name. A ``kind`` sets what nothing
    else says (:data:`lesions.attributes.KIND_DEFAULTS`).

    Raises
    ------
    ValueError
        If fields are out of range or contradict each other.

    Examples
    --------
    >>> nodule = Nodule(id="n1", equivalent_diameter_mm=10, key=1, n_spicules=24)
    >>> nodule.target_volume_mm3
    523.598...
    >>> nodule.attributes.spiculation
    4.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$", description="Name, unique within a twin")
    key: int = Field(ge=0, lt=2**64, description="Fixes all chance of shape and texture [64-bit integer]")
    kind: Kind = Field(
        default="nodule",
        description="Class of lesion: sets defaults of form, interior and attachment [nodule, calcified, "
        "fat_containing, cavitary, cystic, perifissural, granuloma, hamartoma, lymph_node, scar, mucus_plug, "
        "pleural_plaque, vessel_crossing]",
    )
    type: NoduleType = Field(
        default="solid",
        description="Attenuation type, Lung-RADS [solid, part_solid, ground_glass]; follows texture where given",
    )

    equivalent_diameter_mm: float | None = Field(
        default=None, ge=3, le=100, description="Diameter of the sphere of equal volume [mm]; exactly one size is given"
    )
    volume_mm3: float | None = Field(
        default=None, ge=14, le=523_600, description="Volume [mm3]; exactly one size is given"
    )
    mean_diameter_mm: float | None = Field(
        default=None,
        ge=3.5,
        le=100,
        description="Mean of axial long and short axis, spicules not counted [mm]; exactly one size is given",
    )

    sphericity: float | None = Field(
        default=None, ge=1, le=5, description="LIDC sphericity rating, 1 linear, 3 ovoid, 5 round [1-5]; none: 4"
    )
    margin: float | None = Field(
        default=None, ge=1, le=5, description="LIDC margin rating, 1 poorly defined, 5 sharp [1-5]; none: by margin_mm"
    )
    lobulation: float | None = Field(
        default=None, ge=1, le=5, description="LIDC lobulation rating, 1 = none [1-5]; none: 1"
    )
    spiculation: float | None = Field(
        default=None, ge=1, le=5, description="LIDC spiculation rating, 1 = none [1-5]; none: by n_spicules, or 1"
    )
    texture: float | None = Field(
        default=None,
        ge=1,
        le=5,
        description="LIDC texture rating: below 2 ground glass, below 4 part-solid, from 4 solid [1-5]; none: by type",
    )
    calcification: Annotated[Calcification | None, _by_code(LIDC_CALCIFICATION)] = Field(
        default=None,
        description="LIDC calcification, name or code 1-6 [popcorn, laminated, diffuse, eccentric, central, absent]",
    )
    internal_structure: Annotated[InternalStructure | None, _by_code(LIDC_INTERNAL_STRUCTURE)] = Field(
        default=None, description="LIDC internal structure, name or code 1-4 [soft_tissue, fluid, fat, air]"
    )

    elongation: float | None = Field(
        default=None, ge=0.1, le=1, description="Second to first principal axis [1]; given with flatness"
    )
    flatness: float | None = Field(
        default=None, ge=0.1, le=1, description="Third to first principal axis [1]; given with elongation"
    )
    sh_sd_l2: float | None = Field(
        default=None, ge=0, le=0.3, description="SD of ln radius in degree 2, instead of elongation and flatness [1]"
    )
    sh_sd: float | None = Field(default=None, ge=0, le=0.3, description="SD of ln radius in degrees 3-12 [1]")
    sh_nu: float | None = Field(default=None, ge=1, le=8, description="Fall of radius power with degree, l^-nu [1]")
    n_spicules: int | None = Field(default=None, ge=0, le=150, description="Number of spicules [1]")

    form_correlation: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Correlation of the form with that of one doubling of the volume before; 1: it never changes [1]",
    )
    doublings: float = Field(
        default=0.0, ge=-20, le=20, description="Doublings of the volume since the form was drawn, set by growth [1]"
    )
    turn_deg: tuple[Angle, Angle, Angle] = Field(
        default=(0.0, 0.0, 0.0),
        description="Rotation (x, y, z) of body, spicules and core about the world's axes, by its length [degrees]",
    )

    margin_mm: float | None = Field(
        default=None,
        ge=0,
        le=6,
        description="10-90 % width of the edge before imaging [mm]; LIDC margin 5 about 0.2, 3 about 0.8; none: by "
        "margin, or 0.3",
    )
    solid_hu: float | None = Field(
        default=None, ge=-100, le=150, description="Solid tissue, at 70 keV [HU]; none: 40, or that of the kind"
    )
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

    calcium_fraction: float | None = Field(
        default=None, ge=0, le=1, description="Share of the volume that is calcified [1]; none: by calcification"
    )
    calcium_hu: float = Field(
        default=600.0, ge=150, le=1500, description="Calcified part: soft tissue with hydroxyapatite, at 70 keV [HU]"
    )
    fat_fraction: float | None = Field(default=None, ge=0, le=1, description="Share of the volume that is fat [1]")
    fat_hu: float = Field(default=-90.0, ge=-130, le=-30, description="Fatty part, at 70 keV [HU]")
    necrosis_ratio: float | None = Field(
        default=None, ge=0, le=0.95, description="Equivalent diameter of a necrotic centre to that of the whole [1]"
    )
    necrosis_hu: float = Field(default=10.0, ge=0, le=25, description="Necrotic or fluid centre, at 70 keV [HU]")
    cavity_wall_mm: float | None = Field(
        default=None,
        ge=0.4,
        le=15,
        description="Thickness of the wall around a central air space [mm]; none: no cavity",
    )
    cavity_irregularity: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How far the wall's thickness strays from its mean, in thicknesses (SD); the cavity's volume stays "
        "that of an even wall [1]; none: by kind",
    )
    n_bubbles: int = Field(default=0, ge=0, le=20, description="Number of bubble-like lucencies [1]")
    bubble_mm: float = Field(default=1.5, ge=0.5, le=3, description="Mean diameter of bubble-like lucencies [mm]")
    n_bronchograms: int = Field(
        default=0, ge=0, le=3, description="Number of branching air tubes (air bronchogram) [1]"
    )
    bronchogram_mm: float = Field(default=1.2, ge=0.5, le=3, description="Diameter of the air tubes [mm]")

    halo_mm: float = Field(
        default=0.0, ge=0, le=6, description="Ground-glass halo around the body, not part of its volume [mm]"
    )
    halo_hu: float = Field(default=-650.0, ge=-800, le=-300, description="Halo over lung of -850 HU [HU]")
    n_pleural_tags: int = Field(
        default=0, ge=0, le=5, description="Strands to the nearest pleura, not part of the volume [1]"
    )
    displacement: float = Field(
        default=0.0,
        ge=-0.5,
        le=1,
        description="Share of its own volume by which the nodule pushes its surroundings away; negative draws vessels "
        "towards it (convergence) [1]",
    )

    lobe: Lobe | None = Field(
        default=None, description="Lobe asked for, name in twins.Structure; none: anywhere in the lungs"
    )
    centre_mm: tuple[float, float, float] | None = Field(
        default=None, description="World point (x, y, z) of the centroid [mm, LPS]; none: to be placed"
    )
    attachment: Attachment | None = Field(
        default=None,
        description="What the nodule touches [none, vessel, pleura, fissure; airway: a mucus plug fills one]; "
        "none: by kind",
    )
    axis: tuple[float, float, float] | None = Field(
        default=None, description="World direction (x, y, z) of the longest axis [1]; none: drawn"
    )
    max_distance_to_pleura_mm: float | None = Field(
        default=None, ge=0, le=100, description="Largest gap from surface to pleura [mm]; none: no limit"
    )
    min_distance_to_pleura_mm: float = Field(default=2.0, ge=0, le=100, description="Gap from surface to pleura [mm]")
    min_distance_to_vessel_mm: float = Field(
        default=1.0, ge=0, le=100, description="Gap from surface to vessels thicker than avoided_vessel_mm [mm]"
    )
    min_distance_to_airway_mm: float = Field(
        default=1.0, ge=0, le=100, description="Gap from surface to airways thicker than avoided_vessel_mm [mm]"
    )

    @model_validator(mode="before")
    @classmethod
    def _type_of_texture(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("type") is None and isinstance(data.get("texture"), (int, float)):
            rating = data["texture"]
            return {**data, "type": "ground_glass" if rating < 2 else "part_solid" if rating < 4 else "solid"}
        return data

    @model_validator(mode="after")
    def _agree(self) -> Nodule:
        check(self)
        return self

    @property
    def attributes(self) -> Attributes:
        """Every attribute, set or derived."""
        return resolve(self)

    def derived(self) -> dict[str, Any]:
        """The attributes that were not set, with the values that follow from the kind, the other layer or a default."""
        return derived(self)

    @property
    def is_mimic(self) -> bool:
        """Whether this is a hard negative (scar, mucus plug, plaque, vessel crossing) and no nodule."""
        return self.kind in MIMICS

    @property
    def is_tubular(self) -> bool:
        """Whether the form is a set of tubes."""
        return self.kind in TUBULAR

    @property
    def nominal_diameter_mm(self) -> float:
        """The equivalent diameter, or the mean diameter where that is the size given [mm]."""
        return self.mean_diameter_mm if self.mean_diameter_mm is not None else self.target_diameter_mm

    @property
    def target_volume_mm3(self) -> float:
        """Exact volume asked for [mm3].

        Raises
        ------
        ValueError
            If the size given is ``mean_diameter_mm``: the volume then follows from the form
            (:func:`lesions.sizing.sized`).
        """
        if self.volume_mm3 is not None:
            return self.volume_mm3
        if self.equivalent_diameter_mm is not None:
            return math.pi / 6 * self.equivalent_diameter_mm**3
        raise ValueError(
            f"nodule {self.id!r} gives mean_diameter_mm; its volume follows from its form: lesions.sizing.sized(nodule)"
        )

    @property
    def target_diameter_mm(self) -> float:
        """Diameter of the sphere of the volume asked for [mm]."""
        return (6 / math.pi * self.target_volume_mm3) ** (1 / 3)

    @property
    def soft_fraction(self) -> float:
        """Share of the lung's volume that soft tissue takes outside a core: 1 for solid, less for ground glass [1]."""
        fraction = self.attributes.ground_glass_fraction
        return 1.0 if fraction is None else fraction

    @property
    def core_ratio(self) -> float:
        """Core to whole equivalent diameter [1]: solid 1, ground glass 0, part-solid 0.5 by (design) default."""
        ratio = self.attributes.solid_core_ratio
        return ratio if ratio is not None else 1.0 if self.type == "solid" else 0.0

    @property
    def avoided_vessel_mm(self) -> float:
        """Vessels and airways thicker than this are kept clear of [mm]: 2, or a quarter of the size (design default).

        Large nodules grow around small vessels; in a full vascular tree no 20 mm sphere is free of 2 mm vessels.
        """
        return max(2.0, float(round(0.25 * self.nominal_diameter_mm)))

    def stream(self, name: str) -> np.random.Generator:
        """The random stream of one named decision about this nodule, a function of ``(key, name)`` alone."""
        word = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
        return np.random.Generator(np.random.Philox(key=np.array([self.key, word], dtype=np.uint64)))

    def at(self, centre_mm: tuple[float, float, float]) -> Nodule:
        """The same nodule with its centroid there [mm, LPS]."""
        return self.model_copy(update={"centre_mm": tuple(float(c) for c in centre_mm)})
