"""Drawn nodules as columns; specs are made of rows when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..attributes import LIDC_INTERNAL_STRUCTURE
from ..nodule import LUNG_HU, SIZES, SOFT_HU, Nodule
from .copula import MEAN_TO_EQUIVALENT

COLUMNS = {
    "equivalent_diameter_mm": "diameter of the sphere of equal volume [mm]",
    "subtlety": "LIDC rating [1-5]",
    "sphericity": "LIDC rating [1-5]",
    "margin": "LIDC rating [1-5]",
    "lobulation": "LIDC rating [1-5]",
    "spiculation": "LIDC rating [1-5]",
    "texture": "LIDC rating [1-5]",
    "malignancy": "LIDC rating, an opinion [1-5]",
    "type": "attenuation type",
    "calcification": "LIDC code [1 popcorn, 2 laminated, 3 solid, 4 non-central, 5 central, 6 absent]",
    "internal_structure": "LIDC code [1 soft tissue, 2 fluid, 3 fat, 4 air]",
    "lobe": "name in twins.Structure, or empty",
    "attachment": "what it touches: pleura, vessel, fissure or none",
    "malignant": "1 or 0 where the cohort knows the diagnosis, else nan",
    "ground_glass_fraction": "share of lung volume that soft tissue takes outside a core [1]",
    "solid_core_ratio": "core to whole equivalent diameter, of part-solid nodules [1]",
    "solid_hu": "soft tissue of solid nodules without calcium, fat, fluid or air [HU]",
    "key": "64-bit key of shape and texture",
}
"""Columns of a table and what they hold."""

NODULE_RATINGS = ("sphericity", "margin", "lobulation", "spiculation", "texture")
"""Ratings that say how a nodule is built; subtlety and malignancy are opinions about it."""

ABSENT, SOFT = 6, 1
"""LIDC codes of a nodule without calcification, and of soft tissue."""

INTERIORS = (
    "calcification",
    "calcium_fraction",
    "internal_structure",
    "fat_fraction",
    "necrosis_ratio",
    "cavity_wall_mm",
)
"""Fields that say what is inside besides soft tissue: with one of them fixed, drawn HU of soft tissue give way."""

ONE_THING = (
    SIZES,
    ("margin", "margin_mm"),
    ("texture", "type"),
    ("spiculation", "n_spicules"),
    ("sphericity", "elongation", "flatness", "sh_sd_l2"),
    ("lobulation", "sh_sd"),
    ("ground_glass_fraction", "ground_glass_hu"),
    INTERIORS,
)
"""Fields that speak of one thing, in clinical or physical terms: one that is fixed replaces all that were drawn."""

BOUND_TO_PLACE = (
    *("centre_mm", "axis", "displacement", "n_pleural_tags"),
    *("max_distance_to_pleura_mm", "min_distance_to_pleura_mm", "min_distance_to_vessel_mm"),
)
"""Fields that say where a nodule lies: with one of them fixed, a drawn attachment gives way."""

GROUND_GLASS_HU = (-700.0, -450.0)
"""Uniform between the means of pre-invasive and minimally invasive series (PMC6986053); uniform by design."""

CORE_RATIO = (0.2, 0.8)
"""Uniform (design default, unverified)."""

SOLID_HU = (-80.0, 50.0)
"""Uniform (design default, unverified): dense tissue reads 20 to 50 HU, yet the cores of five real solid nodules of
LIDC-IDRI read a hundred HU less than those of simulated ones of 40 HU."""


@dataclass(frozen=True, slots=True, eq=False)
class NoduleTable:
    """Nodules as columns of equal length, named as in :data:`COLUMNS`."""

    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        if set(self.columns) != set(COLUMNS) or len({len(c) for c in self.columns.values()}) > 1:
            raise ValueError(f"a table has the columns {', '.join(COLUMNS)}, all of one length")

    def __len__(self) -> int:
        return len(self.columns["key"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def rows(self, index: NDArray[Any]) -> NoduleTable:
        """Some of the rows, by index or mask."""
        return NoduleTable({name: column[index] for name, column in self.columns.items()})

    def nodule(self, i: int, *, name: str, fields: Mapping[str, Any] | None = None) -> Nodule:
        """The spec of row ``i``; ``fields`` of :class:`lesions.Nodule` replace what was drawn.

        Raises
        ------
        ValueError
            If the fixed fields contradict each other or the row.
        """
        row = {key: column[i] for key, column in self.columns.items()}
        spec: dict[str, Any] = {
            "id": name,
            "key": int(row["key"]),
            "type": str(row["type"]),
            "equivalent_diameter_mm": float(row["equivalent_diameter_mm"]),
            **{k: float(row[k]) for k in NODULE_RATINGS},
        }
        if row["type"] != "solid":
            spec["ground_glass_fraction"] = float(row["ground_glass_fraction"])
        if row["type"] == "part_solid":
            spec["solid_core_ratio"] = float(row["solid_core_ratio"])
        inner = int(row["internal_structure"])
        if row["calcification"] != ABSENT:
            spec["calcification"] = int(row["calcification"])
        elif row["type"] == "solid" and inner != SOFT and inner in LIDC_INTERNAL_STRUCTURE:
            spec["internal_structure"] = inner
        elif row["type"] == "solid":
            spec["solid_hu"] = float(row["solid_hu"])
        if row["lobe"]:
            spec["lobe"] = str(row["lobe"])
        if row["attachment"] != "none":
            spec["attachment"] = str(row["attachment"])
        return Nodule.model_validate(completed(spec, dict(fields or {})))

    def nodules(self, *, name: str = "nodule-{:d}", fields: Mapping[str, Any] | None = None) -> Iterator[Nodule]:
        """The specs of all rows, made one by one; ``name`` formats the ids, with the number from 1."""
        return (self.nodule(i, name=name.format(i + 1), fields=fields) for i in range(len(self)))


def completed(drawn: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Drawn fields of a nodule with those that are fixed in their place, and without what these contradict.

    A fixed field replaces whatever was drawn of the same thing (:data:`ONE_THING`); what belongs to another type or
    kind than the one fixed is dropped. A drawn attachment goes with its lobe: where that is fixed as none, for hosts
    that know no lobes, or a place is fixed (:data:`BOUND_TO_PLACE`), the nodule is free.
    """
    given = {k for k, v in fixed.items() if v is not None}
    replaced = {name for group in ONE_THING if given & set(group) for name in group}
    kept = {k: v for k, v in drawn.items() if k not in replaced and k not in given}
    if ("lobe" in fixed and "lobe" not in given) or given & set(BOUND_TO_PLACE):
        kept.pop("attachment", None)
    if "kind" in given and fixed["kind"] != "nodule":
        kept = {k: v for k, v in kept.items() if k in ("id", "key", "lobe", *SIZES)}
    if given & set(INTERIORS):
        kept.pop("solid_hu", None)
    spec = {**kept, **fixed}
    kind = spec.get("type") or (str(type_of(np.array(spec["texture"]))) if spec.get("texture") else "solid")
    for name, types in (
        ("ground_glass_fraction", ("part_solid", "ground_glass")),
        ("solid_core_ratio", ("part_solid",)),
        ("solid_hu", ("solid",)),
        ("calcification", ("solid",)),
        ("internal_structure", ("solid",)),
    ):
        if kind not in types and name not in given:
            spec.pop(name, None)
    return spec


def type_of(texture: NDArray[np.float64]) -> NDArray[np.str_]:
    """LIDC texture below 2 is ground glass, from 2 to below 4 part-solid, from 4 solid."""
    return np.where(texture >= 4, "solid", np.where(texture >= 2, "part_solid", "ground_glass"))


def interior(uniform: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Ground-glass fraction, core ratio, HU of solid tissue and key of ``(n, 4)`` uniform numbers.

    A nodule needs the core ratio or the HU, never both: they share a number.
    """
    low, high = (round((hu - LUNG_HU) / (SOFT_HU - LUNG_HU), 4) for hu in GROUND_GLASS_HU)
    words = np.floor(uniform[:, 2:4] * 2.0**32).astype(np.uint64)
    return {
        "ground_glass_fraction": np.round(low + (high - low) * uniform[:, 0], 4),
        "solid_core_ratio": np.round(CORE_RATIO[0] + (CORE_RATIO[1] - CORE_RATIO[0]) * uniform[:, 1], 3),
        "solid_hu": np.round(SOLID_HU[0] + (SOLID_HU[1] - SOLID_HU[0]) * uniform[:, 1], 1),
        "key": (words[:, 0] << np.uint64(32)) | words[:, 1],
    }


def mean_diameter_mm(table: NoduleTable) -> NDArray[np.float64]:
    """Typical axial mean diameter of each row, 1.094 times the equivalent one [mm]."""
    return np.asarray(MEAN_TO_EQUIVALENT * table["equivalent_diameter_mm"])
