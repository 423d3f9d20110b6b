"""One nodule of every class that a radiologist names: for a contact sheet, a test of a reader, a first look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .nodule import Nodule

CLASSES: Mapping[str, Mapping[str, Any]] = {
    "solid": {},
    "solid lobulated": {"lobulation": 4.0, "sphericity": 3.0},
    "solid spiculated": {"spiculation": 5.0, "lobulation": 3.0, "margin": 4.0},
    "poor margin": {"margin": 2.0},
    "part-solid": {"type": "part_solid", "solid_core_ratio": 0.5, "margin": 3.0},
    "ground glass": {"type": "ground_glass", "margin": 3.0},
    "calcified, diffuse": {"kind": "calcified", "calcification": "diffuse"},
    "calcified, central": {"kind": "calcified", "calcification": "central"},
    "calcified, laminated": {"kind": "calcified", "calcification": "laminated"},
    "calcified, popcorn": {"kind": "calcified", "calcification": "popcorn"},
    "calcified, eccentric": {"kind": "calcified", "calcification": "eccentric"},
    "fat-containing": {"kind": "fat_containing"},
    "cavitary": {"kind": "cavitary", "margin": 4.0},
    "cystic": {"kind": "cystic"},
    "perifissural": {"kind": "perifissural"},
    "granuloma": {"kind": "granuloma"},
    "hamartoma": {"kind": "hamartoma"},
    "intrapulmonary lymph node": {"kind": "lymph_node"},
    "juxtapleural": {"attachment": "pleura"},
    "juxtavascular": {"attachment": "vessel"},
    "necrosis": {"necrosis_ratio": 0.7, "solid_hu": 90.0},
    "bubbles": {"type": "part_solid", "solid_core_ratio": 0.7, "n_bubbles": 5, "margin": 4.0},
    "air bronchogram": {"n_bronchograms": 1, "margin": 4.0},
    "halo": {"halo_mm": 3.0, "margin": 4.0},
    "pleural tags": {"n_pleural_tags": 2, "max_distance_to_pleura_mm": 12.0, "spiculation": 3.0},
    "vessel convergence": {"displacement": -0.4, "spiculation": 3.0},
    "displacing": {"displacement": 0.5},
    "scar": {"kind": "scar"},
    "mucus plug": {"kind": "mucus_plug"},
    "pleural plaque": {"kind": "pleural_plaque"},
    "vessel crossing": {"kind": "vessel_crossing"},
}
"""Fields of :class:`lesions.Nodule` that make a class, by its name."""


def examples(diameter_mm: float = 12.0, *, key: int = 0) -> dict[str, Nodule]:
    """One nodule of each class, to be placed [equivalent diameter in mm].

    Raises
    ------
    ValueError
        If a class cannot have that size (a 3 mm nodule has no room for bubbles).

    Examples
    --------
    >>> examples()["hamartoma"].attributes.calcification
    'popcorn'
    """
    return {
        name: Nodule(id=f"class-{i:02d}", key=key + i, equivalent_diameter_mm=diameter_mm, **fields)
        for i, (name, fields) in enumerate(CLASSES.items())
    }


def tags_of(nodule: Nodule) -> tuple[str, ...]:
    """The classes that a nodule belongs to, in words: its kind or type first, then what else marks it, then its size.

    Examples
    --------
    >>> tags_of(Nodule(id="n", key=1, equivalent_diameter_mm=7, spiculation=4))
    ('solid', 'spiculated', '6-8 mm')
    """
    said = nodule.attributes
    tags = [nodule.type.replace("_", "-") if nodule.kind == "nodule" else nodule.kind.replace("_", " ")]
    marks = {
        "spiculated": said.spiculation >= 3,
        "lobulated": said.lobulation >= 3,
        "poor margin": said.margin <= 2,
        f"calcium {said.calcification}": said.calcification != "absent",
        "fat": said.fat_fraction > 0,
        "cavity": said.cavity_wall_mm is not None,
        "necrosis": said.necrosis_ratio > 0,
        "bubbles": nodule.n_bubbles > 0,
        "air bronchogram": nodule.n_bronchograms > 0,
        "halo": nodule.halo_mm > 0,
        "pleural tags": nodule.n_pleural_tags > 0,
        f"at {said.attachment}": said.attachment != "none",
        "mimic": nodule.is_mimic,
    }
    tags += [name for name, there in marks.items() if there]
    size = nodule.nominal_diameter_mm
    limits = (0, 6, 8, 15, 30)
    low = max(limit for limit in limits if size >= limit)
    high = next((limit for limit in limits if size < limit), None)
    tags.append(f"{low} mm and more" if high is None else f"below {high} mm" if low == 0 else f"{low}-{high} mm")
    return tuple(tags)
