"""The names by which risk models ask for what they need: one meaning and one unit each.

Visible covariates are rendered in the image, so a detector can learn them; invisible ones are facts of the person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "yes_no", "name"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a covariate's name stands for."""

    unit: str
    """Unit, 1 for none."""
    kind: Kind
    """Number, true or false, or one of a model's names."""
    visible: bool
    """Whether an image of the nodule or its thorax shows it."""
    description: str
    """Definition in one sentence."""
    whole: bool = False
    """Whether only whole numbers make sense."""


def _number(unit: str, description: str, *, visible: bool = False, whole: bool = False) -> Meaning:
    return Meaning(unit, "number", visible, description, whole)


def _yes_no(description: str, *, visible: bool = False) -> Meaning:
    return Meaning("1", "yes_no", visible, description)


def _name(description: str, *, visible: bool = False) -> Meaning:
    return Meaning("1", "name", visible, description)


VOCABULARY: dict[str, Meaning] = {
    # the nodule
    "long_axis_mm": _number("mm", "Longest axial diameter of the nodule", visible=True),
    "perp_axis_mm": _number("mm", "Longest axial diameter perpendicular to the long axis, same slice", visible=True),
    "mean_diameter_mm": _number("mm", "Mean of long axis and perpendicular axis", visible=True),
    "solid_mean_diameter_mm": _number("mm", "Mean diameter of the solid part of a part-solid nodule", visible=True),
    "volume_mm3": _number("mm3", "Volume of the nodule", visible=True),
    "nodule_type": _name("solid, part_solid or nonsolid (ground glass)", visible=True),
    "spiculation": _yes_no("Spiculated margin, as a radiologist calls it", visible=True),
    "calcification": _yes_no("Calcification in the nodule", visible=True),
    "clear_border": _yes_no("Clear (well-defined) border", visible=True),
    "perifissural": _yes_no("Smooth solid nodule on a fissure: typical perifissural nodule", visible=True),
    "juxtapleural_smooth": _yes_no("Solid nodule at the pleura, smooth, oval, lentiform or triangular", visible=True),
    "benign_calcification": _yes_no("Calcified in a benign pattern, or with fat", visible=True),
    "change": _name("Against the scan before: baseline (none), new, growing, slow_growing or stable"),
    "upper_lobe": _yes_no("In the right or left upper lobe, the lingula included", visible=True),
    "upper_lobe_without_lingula": _yes_no("In the right or left upper lobe, the lingula not included", visible=True),
    "nodule_count": _number("1", "Nodules on this scan", visible=True, whole=True),
    "fdg_uptake": _name("Uptake on FDG-PET: absent, faint, moderate or intense"),
    "mayo_probability": _number("1", "Probability of malignancy by the Mayo model, as a fraction"),
    "brock_probability": _number("1", "Probability of malignancy by a Brock model, as a fraction"),
    "herder_probability": _number("1", "Probability of malignancy by the Herder model, as a fraction"),
    # the lungs around it
    "emphysema": _yes_no("Emphysema visible on CT", visible=True),
    # the person
    "age_y": _number("years", "Age at the scan"),
    "sex": _name("female or male"),
    "race": _name("Race or ethnic group, in the categories of the model"),
    "education_level": _number("1", "Education, an ordinal level in the categories of the model", whole=True),
    "bmi_kg_m2": _number("kg/m2", "Body mass index"),
    "ever_smoker": _yes_no("Smokes or has smoked"),
    "current_smoker": _yes_no("Smokes now"),
    "years_since_quit_y": _number("years", "Time since smoking was given up; 0 for who smokes now"),
    "smoking_duration_y": _number("years", "Years of smoking"),
    "cigarettes_per_day": _number("1/day", "Mean number of cigarettes per day in the years of smoking"),
    "pack_years": _number("pack-years", "Packs of 20 cigarettes per day times years of smoking"),
    "family_history": _yes_no("Lung cancer in a close relative"),
    "family_history_any_cancer": _yes_no("Cancer of any kind in a close relative"),
    "personal_cancer": _yes_no("The person has had cancer before"),
    "prior_lung_cancer": _yes_no("The person has had lung cancer before"),
    "extrathoracic_cancer_over_5y": _yes_no("Cancer outside the thorax diagnosed more than 5 years before"),
    "cancer_within_5y": _yes_no("Cancer diagnosed within the last 5 years"),
    "copd": _yes_no("Chronic obstructive pulmonary disease, as told by the person"),
    "high_risk": _yes_no("At high risk of lung cancer, as the Fleischner Society defines it"),
    "asbestos_exposure": _yes_no("Exposure to asbestos at work"),
}


def meaning_of(name: str) -> Meaning:
    """Meaning of a covariate's name.

    Raises
    ------
    ValueError
        If the vocabulary has no such name; the message lists those it has.
    """
    if name not in VOCABULARY:
        raise ValueError(f"unknown covariate {name!r}; known: {', '.join(VOCABULARY)}")
    return VOCABULARY[name]
