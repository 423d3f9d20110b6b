"""From what is true of a nodule and its patient to what a risk model asks for. None stands for not known, never for no.

Sizes are those measured on the exact body (:class:`lesions.NoduleTruth`), not the nominal ones of the spec.
"""

from __future__ import annotations

from lesions import NoduleTruth, Truth
from twins import Patient

from .model import Value

SPICULATED_FROM = 3.0
"""A nodule counts as spiculated from this LIDC spiculation rating on (1 none - 5 marked): 10.8 % of LIDC nodules
seen by three or more readers, 84 % of them above 8 mm. Risk models ask for a radiologist's yes or no; the threshold
is ours (design default)."""

UPPER_LOBES = ("RIGHT_UPPER_LOBE", "LEFT_UPPER_LOBE")
OTHER_LOBES = ("RIGHT_MIDDLE_LOBE", "RIGHT_LOWER_LOBE", "LEFT_LOWER_LOBE")

_TYPES = {"solid": "solid", "part_solid": "part_solid", "ground_glass": "nonsolid"}


def nodule_covariates(nodule: NoduleTruth, truth: Truth, patient: Patient) -> dict[str, Value | None]:
    """All covariates of one nodule, by name.

    ``nodule_count`` counts the nodules of ``truth``. ``upper_lobe`` is not known where the twin knows only whole
    lungs and the spec names no lobe; the lingula counts as left upper lobe (as in PanCan).
    """
    return {
        "age_y": patient.age_y,
        "sex": patient.sex,
        "family_history": patient.family_history,
        "emphysema": patient.emphysema,
        "long_axis_mm": nodule.long_axis_mm,
        "mean_diameter_mm": nodule.mean_diameter_mm,
        "nodule_type": _TYPES[nodule.type],
        "upper_lobe": _is_upper(nodule.lobe),
        "nodule_count": len(truth.nodules),
        "spiculation": nodule.nodule.spiculation >= SPICULATED_FROM,
    }


def _is_upper(lobe: str | None) -> bool | None:
    if lobe in UPPER_LOBES:
        return True
    return False if lobe in OTHER_LOBES else None
