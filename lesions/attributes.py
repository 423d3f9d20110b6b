"""From what a user says about a nodule to what is built: clinical ratings, physical sizes, and the classes of lesion.

Each attribute has a clinical name (LIDC scales 1-5, LIDC codes) and a physical one (mm, fractions). Whichever is set
gives the other; :func:`resolve` works out all of them, and the spec itself keeps what was set. The LIDC terms are those
of Armato et al., Med. Phys. 38 (2011) 915.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from .nodule import Nodule

NoduleType = Literal["solid", "part_solid", "ground_glass"]
Kind = Literal[
    "nodule",
    "calcified",
    "fat_containing",
    "cavitary",
    "cystic",
    "perifissural",
    "granuloma",
    "hamartoma",
    "lymph_node",
    "scar",
    "mucus_plug",
    "pleural_plaque",
    "vessel_crossing",
]
Calcification = Literal["popcorn", "laminated", "diffuse", "eccentric", "central", "absent"]
InternalStructure = Literal["soft_tissue", "fluid", "fat", "air"]
Attachment = Literal["none", "vessel", "pleura", "fissure", "airway"]

LIDC_CALCIFICATION: dict[int, Calcification] = {
    1: "popcorn",
    2: "laminated",
    3: "diffuse",
    4: "eccentric",
    5: "central",
    6: "absent",
}
"""LIDC codes; LIDC calls 3 "solid" and 4 "non-central"."""

LIDC_INTERNAL_STRUCTURE: dict[int, InternalStructure] = {1: "soft_tissue", 2: "fluid", 3: "fat", 4: "air"}

MIMICS: frozenset[str] = frozenset({"scar", "mucus_plug", "pleural_plaque", "vessel_crossing"})
"""What looks like a nodule and is none. Granuloma, hamartoma and intrapulmonary lymph node are benign nodules."""

TUBULAR: frozenset[str] = frozenset({"mucus_plug", "vessel_crossing"})
"""Kinds whose form is a set of tubes, not a star-shaped body."""

LUNG_HU = -850.0
SOFT_HU = 40.0
"""Levels between which a ground-glass fraction is counted [HU]: aerated lung and unenhanced soft tissue (design
defaults)."""

DEFAULT_GROUND_GLASS_HU = -600.0
"""Design default [HU]; published ground-glass means lie about -675 to -365 (PMC6986053; PLoS ONE 0205490)."""

DEFAULT_TEXTURE_SD_HU: dict[str, float] = {"solid": 10.0, "part_solid": 30.0, "ground_glass": 40.0}
"""Design defaults, unverified: no published internal texture of real nodules was found."""

MARGIN_MM = {1: 3.0, 2: 1.5, 3: 0.8, 4: 0.4, 5: 0.2}
"""10-90 % width of the edge by LIDC margin rating [mm] (design default, unverified)."""

DEFAULT_MARGIN_MM = 0.3

MEAN_SPICULES = (6.0, 24.0, 60.0)
"""Mean number of spicules at LIDC spiculation 3, 4, 5 of a nodule of 10 mm; it grows with the surface, as the square of
the diameter (design default, unverified)."""

MOST_SPICULES = 150
"""No nodule has more (design default)."""

SIZES = ("equivalent_diameter_mm", "volume_mm3", "mean_diameter_mm")
"""The fields that give a size; exactly one of them is set."""

TEXTURE_OF_TYPE: dict[str, float] = {"solid": 5.0, "part_solid": 3.0, "ground_glass": 1.0}

CALCIUM_SHARE: dict[str, float] = {
    "popcorn": 0.15,
    "laminated": 0.4,
    "diffuse": 0.85,
    "eccentric": 0.08,
    "central": 0.2,
}
"""Share of the volume that is calcified, by pattern (design defaults, unverified); benign calcification takes more than
a tenth of a nodule."""

KIND_DEFAULTS: dict[str, dict[str, Any]] = {
    "nodule": {},
    "calcified": {"calcification": "diffuse", "sphericity": 4.5, "sh_sd": 0.06, "margin": 5.0},
    "fat_containing": {"fat_fraction": 0.3},
    "cavitary": {"cavity": 0.2, "cavity_irregularity": 0.45},
    "cystic": {"cavity": 0.08, "cavity_irregularity": 0.15},
    "perifissural": {"attachment": "fissure", "elongation": 0.75, "flatness": 0.6, "sh_sd": 0.04, "margin": 5.0},
    "granuloma": {"calcification": "diffuse", "sphericity": 5.0, "sh_sd": 0.06, "margin": 5.0},
    "hamartoma": {"calcification": "popcorn", "fat_fraction": 0.2, "lobulation": 2.0, "margin": 5.0},
    "lymph_node": {
        "max_distance_to_pleura_mm": 15.0,
        "elongation": 0.75,
        "flatness": 0.55,
        "sh_sd": 0.04,
        "margin": 5.0,
    },
    "scar": {"attachment": "pleura", "elongation": 0.5, "flatness": 0.15, "sphericity": 1.0, "margin": 4.0},
    "mucus_plug": {"attachment": "airway", "sphericity": 1.0, "margin": 4.0, "solid_hu": 20.0},
    "pleural_plaque": {"attachment": "pleura", "elongation": 0.8, "flatness": 0.25, "sphericity": 2.0, "margin": 5.0},
    "vessel_crossing": {"attachment": "vessel", "sphericity": 1.0, "margin": 5.0, "texture_sd_hu": 0.0},
}
"""What a kind means where nothing else is said (design defaults, unverified; ``cavity`` is the wall in diameters).
Perifissural and lymph nodes are smooth, oval or polygonal, mostly up to 12 mm (PMC7978000)."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Every attribute of a nodule, set or derived; the names and units are those of :class:`lesions.Nodule`.

    ``n_spicules``, ``elongation``, ``flatness`` and ``sh_sd`` are None where ``key`` draws them from the ratings.
    """

    sphericity: float
    margin: float
    lobulation: float
    spiculation: float
    texture: float
    calcification: Calcification
    internal_structure: InternalStructure
    attachment: Attachment
    elongation: float | None
    flatness: float | None
    sh_sd: float | None
    n_spicules: int | None
    margin_mm: float
    solid_hu: float
    ground_glass_fraction: float | None
    solid_core_ratio: float | None
    texture_sd_hu: float
    calcium_fraction: float
    fat_fraction: float
    necrosis_ratio: float
    cavity_wall_mm: float | None
    cavity_irregularity: float
    max_distance_to_pleura_mm: float | None


@lru_cache(maxsize=256)
def resolve(nodule: Nodule) -> Attributes:
    """All attributes of a nodule: what it sets, then what its clinical or physical twin says, then its kind's defaults.

    Raises
    ------
    ValueError
        If a clinical attribute contradicts its physical counterpart; both are named.
    """
    kind = KIND_DEFAULTS[nodule.kind]

    def said(name: str, otherwise: Any = None) -> Any:
        value = getattr(nodule, name)
        return kind.get(name, otherwise) if value is None else value

    margin, margin_mm = _margin(nodule, kind)
    spiculation = nodule.spiculation
    if spiculation is None:
        n = nodule.n_spicules
        spiculation = 1.0 if n is None else _spiculation_of(n, nodule.nominal_diameter_mm)
    oval = nodule.elongation is None and nodule.sh_sd_l2 is None and nodule.sphericity is None
    elongation = kind.get("elongation") if oval else nodule.elongation
    flatness = kind.get("flatness") if oval else nodule.flatness
    sphericity = said("sphericity", 4.0 if flatness is None else _sphericity_of(flatness))
    calcification, calcium_fraction = _calcium(nodule, kind)
    fat = said("fat_fraction", 0.5 if nodule.internal_structure == "fat" else 0.0)
    necrosis = said("necrosis_ratio", 0.7 if nodule.internal_structure == "fluid" else 0.0)
    wall = said("cavity_wall_mm")
    if wall is None and ("cavity" in kind or nodule.internal_structure == "air"):
        wall = round(kind.get("cavity", 0.2) * nodule.nominal_diameter_mm, 3)
    internal: InternalStructure = nodule.internal_structure or _internal(fat, necrosis, wall)
    return Attributes(
        sphericity=sphericity,
        margin=margin,
        lobulation=said("lobulation", 1.0),
        spiculation=spiculation,
        texture=TEXTURE_OF_TYPE[nodule.type] if nodule.texture is None else nodule.texture,
        calcification=calcification,
        internal_structure=internal,
        attachment=said("attachment", "none"),
        elongation=elongation,
        flatness=flatness,
        sh_sd=said("sh_sd") if nodule.lobulation is None else nodule.sh_sd,
        n_spicules=nodule.n_spicules,
        margin_mm=margin_mm,
        solid_hu=said("solid_hu", SOFT_HU),
        ground_glass_fraction=None if nodule.type == "solid" else _soft_fraction(nodule),
        solid_core_ratio=(nodule.solid_core_ratio or 0.5) if nodule.type == "part_solid" else None,
        texture_sd_hu=said("texture_sd_hu", DEFAULT_TEXTURE_SD_HU[nodule.type]),
        calcium_fraction=calcium_fraction,
        fat_fraction=fat,
        necrosis_ratio=necrosis,
        cavity_wall_mm=wall,
        cavity_irregularity=said("cavity_irregularity", 0.0),
        max_distance_to_pleura_mm=said("max_distance_to_pleura_mm"),
    )


def derived(nodule: Nodule) -> dict[str, Any]:
    """The attributes that the spec leaves to its kind, its other layer or a default, with the values they got."""
    attributes = resolve(nodule)
    values = {f.name: getattr(attributes, f.name) for f in fields(attributes)}
    return {name: v for name, v in values.items() if v is not None and getattr(nodule, name) is None}


def margin_rating(width_mm: float) -> float:
    """LIDC margin rating of an edge of that 10-90 % width, by interpolation in the logarithm [1-5]."""
    ratings = sorted(MARGIN_MM, reverse=True)
    logs = [math.log(MARGIN_MM[r]) for r in ratings]
    return float(np.interp(math.log(max(width_mm, 1e-3)), logs, ratings))


def margin_width_mm(rating: float, diameter_mm: float) -> float:
    """10-90 % width of the edge for a LIDC margin rating, at most a quarter of the diameter [mm]."""
    ratings = sorted(MARGIN_MM)
    width = math.exp(float(np.interp(rating, ratings, [math.log(MARGIN_MM[r]) for r in ratings])))
    return min(width, 0.25 * diameter_mm)


def mean_spicules(spiculation: float, diameter_mm: float) -> float:
    """Mean number of spicules of a nodule with that LIDC spiculation, from 3 on, and equivalent diameter [mm].

    Examples
    --------
    >>> mean_spicules(5.0, 12.0)
    86.4
    """
    at_10_mm = float(np.interp(spiculation, (3, 4, 5), MEAN_SPICULES))
    return round(min(MOST_SPICULES, at_10_mm * (diameter_mm / 10.0) ** 2), 6)


def _margin(nodule: Nodule, kind: dict[str, Any]) -> tuple[float, float]:
    if nodule.margin_mm is not None:
        rating = margin_rating(nodule.margin_mm)
        if nodule.margin is not None:
            meant = margin_width_mm(nodule.margin, nodule.nominal_diameter_mm)
            # A step of the scale is a factor of about two; within it either may be said.
            if max(nodule.margin_mm, 0.1) > 2.01 * meant or nodule.margin_mm < meant / 2.01 - 0.1:
                raise ValueError(
                    f"margin_mm {nodule.margin_mm} contradicts margin {nodule.margin:g}: that rating means about "
                    f"{meant:.2g} mm"
                )
            rating = nodule.margin
        return rating, nodule.margin_mm
    asked = kind.get("margin") if nodule.margin is None else nodule.margin
    if asked is None:
        width = min(DEFAULT_MARGIN_MM, 0.5 * nodule.nominal_diameter_mm)
        return margin_rating(width), width
    return asked, margin_width_mm(asked, nodule.nominal_diameter_mm)


def _spiculation_of(n_spicules: int, diameter_mm: float) -> float:
    at_10_mm = n_spicules * (10.0 / diameter_mm) ** 2
    return 1.0 if n_spicules == 0 else float(np.interp(at_10_mm, MEAN_SPICULES, (3.0, 4.0, 5.0)))


def _sphericity_of(flatness: float) -> float:
    """LIDC sphericity (1 linear, 3 ovoid, 5 round) of an ellipsoid by its third to first axis (design default)."""
    return float(np.interp(flatness, (0.15, 0.6, 0.9), (1.0, 3.0, 5.0)))


def _calcium(nodule: Nodule, kind: dict[str, Any]) -> tuple[Calcification, float]:
    pattern: Calcification | None = nodule.calcification
    share = nodule.calcium_fraction
    if pattern is None and share is not None:
        pattern = kind.get("calcification", "diffuse" if share >= 0.6 else "central") if share > 0 else "absent"
    if pattern is None:
        pattern = kind.get("calcification", "absent")
    if share is None:
        share = CALCIUM_SHARE.get(pattern, 0.0)
    if (pattern == "absent") != (share == 0):
        raise ValueError(f"calcium_fraction {share} contradicts calcification {pattern!r}")
    return pattern, share


def _internal(fat: float, necrosis: float, wall: float | None) -> InternalStructure:
    if wall is not None:
        return "air"
    if fat >= 0.5:
        return "fat"
    return "fluid" if necrosis >= 0.7 else "soft_tissue"


def _soft_fraction(nodule: Nodule) -> float:
    if nodule.ground_glass_fraction is not None:
        return nodule.ground_glass_fraction
    hu = DEFAULT_GROUND_GLASS_HU if nodule.ground_glass_hu is None else nodule.ground_glass_hu
    return (hu - LUNG_HU) / (SOFT_HU - LUNG_HU)
