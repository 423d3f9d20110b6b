"""Drawn nodules as columns; specs are made of rows when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    "malignant": "1 or 0 where the cohort knows the diagnosis, else nan",
    "ground_glass_fraction": "share of lung volume that soft tissue takes outside a core [1]",
    "solid_core_ratio": "core to whole equivalent diameter, of part-solid nodules [1]",
    "key": "64-bit key of shape and texture",
}
"""Columns of a table and what they hold."""

MARGIN_MM = {1: 3.0, 2: 1.5, 3: 0.8, 4: 0.4, 5: 0.2}
"""10-90 % width by LIDC margin rating [mm] (design default, unverified); linear in between."""

GROUND_GLASS_HU = (-700.0, -450.0)
"""Uniform between the means of pre-invasive and minimally invasive series (PMC6986053); uniform by design."""

CORE_RATIO = (0.2, 0.8)
"""Uniform (design default, unverified)."""


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
        fixed = dict(fields or {})
        row = {key: column[i] for key, column in self.columns.items()}
        kind: Any = fixed.get("type") or str(row["type"])
        spec: dict[str, Any] = {
            "id": name,
            "key": int(row["key"]),
            "type": kind,
            "equivalent_diameter_mm": float(row["equivalent_diameter_mm"]),
            **{k: float(row[k]) for k in ("sphericity", "lobulation", "spiculation")},
        }
        if kind in ("part_solid", "ground_glass"):
            spec["ground_glass_fraction"] = float(row["ground_glass_fraction"])
        if kind == "part_solid":
            spec["solid_core_ratio"] = float(row["solid_core_ratio"])
        if row["lobe"]:
            spec["lobe"] = str(row["lobe"])
        if set(SIZES) & fixed.keys():
            del spec["equivalent_diameter_mm"]
        if {"ground_glass_hu", "ground_glass_fraction"} & fixed.keys():
            spec.pop("ground_glass_fraction", None)
        spec.update(fixed)
        if "margin_mm" not in fixed:
            size = spec.get("equivalent_diameter_mm") or spec.get("mean_diameter_mm")
            size = size or (6 / np.pi * spec["volume_mm3"]) ** (1 / 3)
            width = float(np.interp(row["margin"], list(MARGIN_MM), list(MARGIN_MM.values())))
            spec["margin_mm"] = min(width, round(0.25 * float(size), 3))
        return Nodule.model_validate(spec)

    def nodules(self, *, name: str = "nodule-{:d}", fields: Mapping[str, Any] | None = None) -> Iterator[Nodule]:
        """The specs of all rows, made one by one; ``name`` formats the ids, with the number from 1."""
        return (self.nodule(i, name=name.format(i + 1), fields=fields) for i in range(len(self)))


def type_of(texture: NDArray[np.float64]) -> NDArray[np.str_]:
    """LIDC texture below 2 is ground glass, from 2 to below 4 part-solid, from 4 solid."""
    return np.where(texture >= 4, "solid", np.where(texture >= 2, "part_solid", "ground_glass"))


def interior(uniform: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Ground-glass fraction, core ratio and key of ``(n, 4)`` uniform numbers."""
    low, high = (round((hu - LUNG_HU) / (SOFT_HU - LUNG_HU), 4) for hu in GROUND_GLASS_HU)
    words = np.floor(uniform[:, 2:4] * 2.0**32).astype(np.uint64)
    return {
        "ground_glass_fraction": np.round(low + (high - low) * uniform[:, 0], 4),
        "solid_core_ratio": np.round(CORE_RATIO[0] + (CORE_RATIO[1] - CORE_RATIO[0]) * uniform[:, 1], 3),
        "key": (words[:, 0] << np.uint64(32)) | words[:, 1],
    }


def mean_diameter_mm(table: NoduleTable) -> NDArray[np.float64]:
    """Typical axial mean diameter of each row, 1.094 times the equivalent one [mm]."""
    return np.asarray(MEAN_TO_EQUIVALENT * table["equivalent_diameter_mm"])
