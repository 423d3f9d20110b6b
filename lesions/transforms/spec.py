"""What is put into a patch: how many lesions, how large, what they are like and what they keep clear of.

The presets ``tiny``, ``small``, ``medium``, ``large`` and ``mix`` are those of the published on-the-fly generator of
liver tumours (Hu et al., Label-free liver tumor segmentation, CVPR 2023, arXiv 2303.14869): radii of 4, 8, 16 and 32
voxels of 1 mm, each axis times U(0.75, 1.25), and counts of 3-10, 3-10, 2-5 and 1-3. Here the radii are millimetres at
any spacing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..cohorts import COHORTS, completed, draw
from ..nodule import Nodule

Sizes = Literal[
    "tiny", "small", "medium", "large", "mix", "lidc", "lidc_consensus", "screening", "incidental_uk", "uniform_log"
]

RADIUS_MM = {"tiny": 4.0, "small": 8.0, "medium": 16.0, "large": 32.0}
COUNTS = {"tiny": (3, 10), "small": (3, 10), "medium": (2, 5), "large": (1, 3)}
MIX = {"tiny": (3, 10), "small": (5, 10), "medium": (2, 5), "large": (1, 3)}
AXES = (0.75, 1.25)

TYPES = {"solid": 0.8, "part_solid": 0.1, "ground_glass": 0.1}
"""Attenuation types of a preset's nodules in lung (design default, unverified)."""

LOBULATION = {"lung": (1.0, 4.0), "organ": (1.0, 2.5)}
"""Range of a preset's LIDC lobulation (design default, unverified)."""

MARGIN_MM = {"lung": (0.3, 3.0), "organ": (2.0, 5.0)}
"""Range of a preset's 10-90 % edge before imaging, at most a quarter of the diameter [mm]. In lung a design default,
unverified; in another organ the published edge (a Gaussian of sigma 1-2 mm in the image) less the scanner's part."""

CONTRAST_LEAST_HU = 3.0

NOT_FIXED = (
    "id",
    "key",
    "centre_mm",
    "lobe",
    "axis",
    "attachment",
    "displacement",
    "n_pleural_tags",
    "max_distance_to_pleura_mm",
)
"""Fields of a nodule that a patch cannot honour."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A lesion without a place; ``contrast_hu`` to the organ's level, None for a nodule in lung [HU]."""

    nodule: Nodule
    contrast_hu: float | None


class Insertion(BaseModel):
    """What a transform inserts; the same for MONAI and TorchIO.

    Raises
    ------
    ValueError
        If fields are out of range or contradict each other.

    Examples
    --------
    >>> Insertion(sizes="small", contrast_hu=(-75, -30)).n_lesions is None
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    sizes: Sizes = Field(
        default="lidc",
        description="A preset (tiny, small, medium, large, mix) or a cohort of lesions.cohorts: sizes and forms",
    )
    n_lesions: tuple[int, int] | None = Field(
        default=None, description="Fewest and most lesions [1]; none: the preset's counts, or one of a cohort"
    )
    diameter_mm: tuple[float, float] = Field(
        default=(3.0, 30.0), description="Range of equivalent diameters drawn from a cohort [mm]"
    )
    contrast_hu: tuple[float, float] | None = Field(
        default=None,
        description="Range of the difference to the organ's own level, below 0 darker, above 0 brighter [HU]; none: "
        "nodules of matter in lung",
    )
    texture_share: float = Field(
        default=0.2, ge=0, le=1, description="SD of a lesion's interior to its contrast, with contrast_hu [1]"
    )
    fields: Mapping[str, Any] = Field(
        default_factory=dict, description="Fields of lesions.Nodule to set whatever is drawn, e.g. type or margin_mm"
    )
    clearance_mm: float = Field(
        default=1.0, ge=0, le=50, description="Gap between a lesion and the end of the organ or patch [mm]"
    )
    gap_mm: float = Field(default=2.0, ge=0, le=100, description="Gap between two lesions [mm]")
    max_vessel_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest share of a lesion that may lie on vessels, in lung: above -500 HU [1]",
    )
    in_plane_fwhm_mm: float | None = Field(
        default=None, gt=0, le=20, description="FWHM of the CT's point spread function in the plane [mm]; none: 1.4"
    )
    slice_thickness_mm: float | None = Field(
        default=None, gt=0, le=20, description="Thickness of the CT's slices [mm]; none: their distance"
    )
    allow_missing: bool = Field(
        default=False, description="Whether lesions without room are left out, and said in the record, or raise"
    )

    @model_validator(mode="after")
    def _agree(self) -> Insertion:
        if self.n_lesions is not None and not 0 <= self.n_lesions[0] <= self.n_lesions[1] <= 100:
            raise ValueError(f"n_lesions must be a range within 0-100, got {self.n_lesions}")
        if not 3.0 <= self.diameter_mm[0] < self.diameter_mm[1] <= 40.0:
            raise ValueError(f"diameter_mm must be a range within 3-40, got {self.diameter_mm}")
        if self.contrast_hu is not None:
            low, high = self.contrast_hu
            if not -500 <= low <= high <= 1000:
                raise ValueError(f"contrast_hu must be a range within -500 to 1000, got {self.contrast_hu}")
            if min(abs(low), abs(high)) < CONTRAST_LEAST_HU or low * high < 0:
                raise ValueError(
                    f"contrast_hu must stay {CONTRAST_LEAST_HU:g} HU or more below or above 0, got {self.contrast_hu}"
                )
        refused = [name for name in self.fields if name in NOT_FIXED]
        if refused:
            raise ValueError(f"fields must not hold {', '.join(refused)}: a patch decides where a lesion is")
        sample = {"id": "sample", "key": 0, "equivalent_diameter_mm": 12.0}
        said = Nodule.model_validate(completed(sample, dict(self.fields)))
        if said.is_tubular or said.attributes.attachment != "none":
            raise ValueError(f"fields: kind {said.kind!r} lies on a vessel, pleura or fissure, which a patch knows not")
        return self

    @property
    def is_preset(self) -> bool:
        """Whether ``sizes`` is a preset, not a cohort."""
        return self.sizes not in COHORTS


def draw_lesions(what: Insertion, rng: np.random.Generator) -> tuple[Drawn, ...]:
    """Draw the lesions of one patch, largest first, without places."""
    fields = dict(what.fields)
    if what.contrast_hu is not None:
        # Their matter is the organ's own, lighter or darker: only the form of a nodule is asked for.
        fields = {"calcification": "absent", "internal_structure": "soft_tissue", "spiculation": 1.0, **fields}
        fields["type"] = "solid"
    nodules = _of_preset(what, fields, rng) if what.is_preset else _of_cohort(what, fields, rng)
    nodules.sort(key=lambda n: -n.nominal_diameter_mm)
    if what.contrast_hu is None:
        return tuple(Drawn(n, None) for n in nodules)
    return tuple(Drawn(n, float(rng.uniform(*what.contrast_hu))) for n in nodules)


def _of_cohort(what: Insertion, fields: Mapping[str, Any], rng: np.random.Generator) -> list[Nodule]:
    low, high = what.n_lesions or (1, 1)
    n = int(rng.integers(low, high + 1))
    return list(draw(rng, n, cohort=what.sizes, diameter_mm=what.diameter_mm, fields=fields, name="lesion-{:d}"))


def _of_preset(what: Insertion, fields: Mapping[str, Any], rng: np.random.Generator) -> list[Nodule]:
    if what.sizes == "mix":
        counts = [(name, int(rng.integers(a, b + 1))) for name, (a, b) in MIX.items()]
        if what.n_lesions is not None:
            # So many lesions in all, shared out as the mix has them.
            share = np.array([a + b for a, b in MIX.values()], float)
            n = rng.multinomial(int(rng.integers(what.n_lesions[0], what.n_lesions[1] + 1)), share / share.sum())
            counts = list(zip(MIX, n.tolist(), strict=True))
    else:
        low, high = what.n_lesions or COUNTS[what.sizes]
        counts = [(what.sizes, int(rng.integers(low, high + 1)))]
    radii = [RADIUS_MM[name] for name, n in counts for _ in range(n)]
    where = "lung" if what.contrast_hu is None else "organ"
    return [_drawn(f"lesion-{i + 1}", radius, where, fields, rng) for i, radius in enumerate(radii)]


def _drawn(name: str, radius_mm: float, where: str, fields: Mapping[str, Any], rng: np.random.Generator) -> Nodule:
    first, second, third = sorted((radius_mm * rng.uniform(*AXES, 3)).tolist(), reverse=True)
    diameter = 2 * (first * second * third) ** (1 / 3)
    kind = str(rng.choice(list(TYPES), p=list(TYPES.values())))
    lobulation = float(rng.uniform(*LOBULATION[where]))
    margin = float(min(rng.uniform(*MARGIN_MM[where]), 0.25 * diameter))
    spec = {
        "id": name,
        "key": int(rng.integers(2**64, dtype=np.uint64)),
        "type": kind,
        "equivalent_diameter_mm": diameter,
        "elongation": second / first,
        "flatness": third / first,
        "lobulation": lobulation,
        "margin_mm": margin,
        "texture_correlation_mm": min(8.0, max(2.0, 0.1 * diameter)),
    }
    return Nodule.model_validate(completed(spec, fields))
