"""What a nodule's fields may not say at once. Every refusal names both fields and their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .attributes import SIZES, TEXTURE_OF_TYPE, Attributes

if TYPE_CHECKING:
    from .nodule import Nodule


def check(nodule: Nodule) -> None:
    """Refuse contradictions.

    Raises
    ------
    ValueError
        Naming the fields that contradict each other, and their values.
    """
    given = [n for n in SIZES if getattr(nodule, n) is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of {', '.join(SIZES)} must be given, got {given or 'none'}")
    _form(nodule)
    _type(nodule)
    attributes = nodule.attributes
    _sizes(nodule, attributes)
    _interior(nodule, attributes)
    _place(nodule)


def _form(nodule: Nodule) -> None:
    elongation, flatness, sphericity = nodule.elongation, nodule.flatness, nodule.sphericity
    if (elongation is None) != (flatness is None):
        raise ValueError("elongation and flatness must be given together")
    if elongation is not None and flatness is not None:
        if flatness > elongation:
            raise ValueError(f"flatness {flatness} must not exceed elongation {elongation}")
        if nodule.sh_sd_l2 is not None:
            raise ValueError("elongation/flatness and sh_sd_l2 both describe the second degree: give one of them")
        if sphericity is not None and (
            (sphericity >= 4.5 and flatness < 0.4) or (sphericity <= 1.5 and flatness > 0.9)
        ):
            raise ValueError(f"flatness {flatness} contradicts sphericity {sphericity:g} (1 linear, 5 round)")
    if nodule.lobulation is not None and nodule.lobulation >= 3 and nodule.sh_sd is not None and nodule.sh_sd < 0.03:
        raise ValueError(
            f"sh_sd {nodule.sh_sd} contradicts lobulation {nodule.lobulation:g}: a smooth body has no lobes"
        )
    if nodule.n_spicules is not None and nodule.spiculation is not None:
        if nodule.n_spicules > 0 and nodule.spiculation < 3:
            raise ValueError(
                f"n_spicules {nodule.n_spicules} contradicts spiculation {nodule.spiculation}: spicules need a rating "
                ">= 3"
            )
        if nodule.n_spicules == 0 and nodule.spiculation >= 3:
            raise ValueError(f"n_spicules 0 contradicts spiculation {nodule.spiculation}: from 3 on there are spicules")
    if nodule.is_tubular:
        for name in ("elongation", "sh_sd_l2", "sh_sd", "sh_nu", "n_spicules", "lobulation", "spiculation"):
            if getattr(nodule, name) is not None:
                raise ValueError(f"{name} contradicts kind {nodule.kind!r}, whose form is a set of tubes")


def _type(nodule: Nodule) -> None:
    if nodule.texture is not None:
        meant = "ground_glass" if nodule.texture < 2 else "part_solid" if nodule.texture < 4 else "solid"
        if meant != nodule.type:
            raise ValueError(
                f"texture {nodule.texture:g} contradicts type {nodule.type!r}: that rating means {meant}, as the type "
                f"would be rated about {TEXTURE_OF_TYPE[nodule.type]:g}"
            )
    if nodule.type == "solid":
        for name in ("ground_glass_hu", "ground_glass_fraction"):
            if getattr(nodule, name) is not None:
                raise ValueError(f"{name} contradicts type 'solid'")
    elif nodule.kind not in ("nodule", "cavitary", "cystic"):
        raise ValueError(f"type {nodule.type!r} contradicts kind {nodule.kind!r}, which is solid")
    if nodule.ground_glass_hu is not None and nodule.ground_glass_fraction is not None:
        raise ValueError("ground_glass_hu and ground_glass_fraction say the same thing: give one of them")
    if nodule.solid_core_ratio is not None and nodule.type != "part_solid":
        raise ValueError(f"solid_core_ratio contradicts type {nodule.type!r}: only part_solid nodules have a core")


def _sizes(nodule: Nodule, attributes: Attributes) -> None:
    size = nodule.nominal_diameter_mm
    if attributes.margin_mm > 0.5 * size:
        raise ValueError(
            f"margin_mm {attributes.margin_mm} must be at most half the equivalent diameter, {0.5 * size:.2f} mm"
        )
    if nodule.texture_correlation_mm < size / 25:
        raise ValueError(
            f"texture_correlation_mm {nodule.texture_correlation_mm} must be at least {size / 25:.2f} mm, a 25th of "
            "the equivalent diameter"
        )
    wall = attributes.cavity_wall_mm
    if wall is not None and wall > 0.4 * size:
        raise ValueError(
            f"cavity_wall_mm {wall} leaves no cavity: it must be at most {0.4 * size:.2f} mm, 0.4 of the diameter"
        )
    if nodule.n_bubbles and nodule.bubble_mm > 0.3 * size:
        raise ValueError(f"bubble_mm {nodule.bubble_mm} must be at most {0.3 * size:.2f} mm, 0.3 of the diameter")
    if nodule.n_bronchograms and nodule.bronchogram_mm > 0.25 * size:
        raise ValueError(
            f"bronchogram_mm {nodule.bronchogram_mm} must be at most {0.25 * size:.2f} mm, a quarter of the diameter"
        )


def _interior(nodule: Nodule, attributes: Attributes) -> None:
    parts = {
        "calcification": attributes.calcification != "absent",
        "fat_fraction": attributes.fat_fraction > 0,
        "necrosis_ratio": attributes.necrosis_ratio > 0,
        "cavity_wall_mm": attributes.cavity_wall_mm is not None,
    }
    if nodule.type != "solid":
        for name in ("calcification", "fat_fraction", "necrosis_ratio"):
            if parts[name]:
                raise ValueError(f"{name} {getattr(attributes, name)!r} contradicts type {nodule.type!r}")
    for one, other in (("cavity_wall_mm", "necrosis_ratio"), ("cavity_wall_mm", "fat_fraction")):
        if parts[one] and parts[other]:
            raise ValueError(
                f"{one} {getattr(attributes, one)} and {other} {getattr(attributes, other)} both fill the centre"
            )
    if parts["cavity_wall_mm"] and attributes.calcification in ("central", "laminated", "popcorn"):
        raise ValueError(
            f"calcification {attributes.calcification!r} contradicts cavity_wall_mm {attributes.cavity_wall_mm}: the "
            "centre is air"
        )
    taken = attributes.calcium_fraction + attributes.fat_fraction + attributes.necrosis_ratio**3
    if taken > 1:
        raise ValueError(
            f"calcium_fraction {attributes.calcium_fraction}, fat_fraction {attributes.fat_fraction} and "
            f"necrosis_ratio {attributes.necrosis_ratio} (cubed) must sum to at most 1, they sum to {taken:.2f}"
        )
    said = nodule.internal_structure
    for structure, name, there in (
        ("air", "cavity_wall_mm", parts["cavity_wall_mm"]),
        ("fat", "fat_fraction", attributes.fat_fraction >= 0.3),
        ("fluid", "necrosis_ratio", attributes.necrosis_ratio >= 0.5),
    ):
        if said is not None and (said == structure) != there and (said == structure or there):
            raise ValueError(
                f"internal_structure {said!r} contradicts {name} {getattr(attributes, name)}"
                + ("" if there else f": too little of it to call the inside {structure}")
            )


def _place(nodule: Nodule) -> None:
    if nodule.centre_mm is not None and not all(math.isfinite(c) for c in nodule.centre_mm):
        raise ValueError(f"centre_mm must be finite, got {nodule.centre_mm}")
    if nodule.axis is not None:
        length = math.sqrt(sum(c * c for c in nodule.axis))
        if not 0.99 < length < 1.01:
            raise ValueError(f"axis must be a unit vector, got {nodule.axis} of length {length:.3g}")
    if nodule.attachment == "airway" and nodule.kind != "mucus_plug":
        raise ValueError(f"attachment 'airway' contradicts kind {nodule.kind!r}: only a mucus_plug fills an airway")
    far = nodule.max_distance_to_pleura_mm
    if far is not None and far < nodule.min_distance_to_pleura_mm:
        raise ValueError(
            f"max_distance_to_pleura_mm {far} is below min_distance_to_pleura_mm {nodule.min_distance_to_pleura_mm}"
        )
