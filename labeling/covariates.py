"""From what is true of a nodule and its patient to what a risk model asks for. None stands for not known, never for no.

Sizes are measured, not nominal: on the truth mask, the exact body on its fine lattice, with the boundary found between
voxels (:class:`lesions.NoduleTruth`). The fields of the spec that asked for them are kept beside (:func:`nominal`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesions import NoduleTruth, Truth
from twins import Grid, Patient

from .covariate import Value

SPICULATED_FROM = 3.0
"""A nodule counts as spiculated from this LIDC spiculation rating on (1 none - 5 marked): 10.8 % of LIDC nodules
seen by three or more readers, 84 % of them above 8 mm. Risk models ask for a radiologist's yes or no; the threshold
is ours (design default)."""

CLEAR_BORDER_UP_TO_MM = 0.4
"""A border counts as clear up to this 10-90 % width [mm]: about LIDC margin ratings 4 and 5 (design default)."""

SMOOTH_BELOW = {"spiculation": 2.0, "lobulation": 3.0}
"""A margin counts as smooth below these LIDC ratings (design default)."""

PERIFISSURAL_BELOW_MM = 10.0
"""Mean diameter below which a smooth solid nodule on a fissure counts as a perifissural nodule [mm]: the limit that
Lung-RADS v2022 sets for juxtapleural nodules."""

AT_PLEURA_MM = 1.0
"""Up to this gap a nodule counts as lying at the pleura [mm] (design default): gaps are known to about one voxel."""

BENIGN_CALCIFICATIONS = ("diffuse", "central", "laminated", "popcorn")
"""The benign patterns of Lung-RADS v2022, category 1: complete, central, concentric rings, popcorn."""

UPPER_LOBES = ("RIGHT_UPPER_LOBE", "LEFT_UPPER_LOBE")
OTHER_LOBES = ("RIGHT_MIDDLE_LOBE", "RIGHT_LOWER_LOBE", "LEFT_LOWER_LOBE")

_TYPES = {"solid": "solid", "part_solid": "part_solid", "ground_glass": "nonsolid"}

_NOMINAL = (
    "equivalent_diameter_mm",
    "volume_mm3",
    "mean_diameter_mm",
    "solid_core_ratio",
    "margin_mm",
    "lobulation",
    "spiculation",
)


def nodule_covariates(nodule: NoduleTruth, truth: Truth, patient: Patient) -> dict[str, Value | None]:
    """All covariates of one nodule, by the names of :data:`labeling.VOCABULARY`.

    ``nodule_count`` counts the nodules of ``truth``, not its mimics. ``upper_lobe`` is not known where the twin knows
    only whole lungs and the spec names no lobe; the lingula counts as left upper lobe (as in PanCan). Twins know no
    lingula, so whether a nodule of the left upper lobe lies in it is not known.
    """
    attributes = nodule.nodule.attributes
    is_benign = attributes.calcification in BENIGN_CALCIFICATIONS or attributes.fat_fraction > 0
    return {
        "long_axis_mm": nodule.long_axis_mm,
        "perp_axis_mm": nodule.short_axis_mm,
        "mean_diameter_mm": nodule.mean_diameter_mm,
        "solid_mean_diameter_mm": nodule.core_diameter_mm,
        "volume_mm3": nodule.volume_mm3,
        "nodule_type": _TYPES[nodule.type],
        "spiculation": attributes.spiculation >= SPICULATED_FROM,
        "calcification": attributes.calcification != "absent",
        "benign_calcification": is_benign,
        "clear_border": attributes.margin_mm <= CLEAR_BORDER_UP_TO_MM,
        "perifissural": is_perifissural(nodule),
        "juxtapleural_smooth": is_juxtapleural(nodule),
        "upper_lobe": _is_upper(nodule.lobe),
        "upper_lobe_without_lingula": None if nodule.lobe == "LEFT_UPPER_LOBE" else _is_upper(nodule.lobe),
        "nodule_count": truth.n_nodules,
        "emphysema": patient.emphysema,
        "age_y": patient.age_y,
        "sex": patient.sex,
        "race": patient.race,
        "education_level": patient.education_level,
        "bmi_kg_m2": patient.bmi,
        "ever_smoker": None if patient.smoking is None else patient.smoking != "never",
        "current_smoker": None if patient.smoking is None else patient.smoking == "current",
        "years_since_quit_y": patient.years_since_quit_y,
        "smoking_duration_y": patient.smoking_duration_y,
        "cigarettes_per_day": patient.cigarettes_per_day,
        "pack_years": patient.pack_years,
        "family_history": patient.family_history,
        "family_history_any_cancer": True if patient.family_history else patient.family_history_any_cancer,
        "personal_cancer": patient.personal_cancer,
        "prior_lung_cancer": patient.prior_lung_cancer,
        "extrathoracic_cancer_over_5y": patient.extrathoracic_cancer_over_5y,
        "cancer_within_5y": patient.cancer_within_5y,
        "copd": patient.copd,
    }


def nominal(nodule: NoduleTruth) -> dict[str, Value]:
    """What the spec asked for, where it did: sizes [mm, mm3] and ratings. For comparison with what was measured."""
    fields = {name: getattr(nodule.nodule, name) for name in _NOMINAL}
    return {name: value for name, value in fields.items() if value is not None}


def mask_covariates(mask: NDArray[np.bool_], grid: Grid) -> dict[str, Value]:
    """Sizes of a nodule known by a voxel mask alone, one's own segmentation for instance.

    The boundary runs midway between voxels inside and outside, so sizes are known to about one voxel;
    :func:`nodule_covariates` knows the body itself and does better.

    Parameters
    ----------
    mask
        True inside the nodule, ``(z, y, x)``; slices are taken along z.
    grid
        Where the voxels lie.

    Returns
    -------
    dict
        ``long_axis_mm``, ``perp_axis_mm``, ``mean_diameter_mm``, ``volume_mm3``.

    Raises
    ------
    ValueError
        If the mask is empty or not of the grid's shape.
    """
    from lesions.measures import axial_diameters_mm

    inside = np.asarray(mask, dtype=np.bool_)
    if inside.shape != grid.shape:
        raise ValueError(f"mask must be of the grid's shape {grid.shape}, got {inside.shape}")
    if not inside.any():
        raise ValueError("mask is empty: it has no size")
    box = tuple(
        slice(int(at[0]), int(at[-1]) + 1)
        for at in (np.flatnonzero(inside.any(axis=tuple(k for k in range(3) if k != axis))) for axis in range(3))
    )
    long_mm, short_mm = axial_diameters_mm(grid, np.pad(inside[box], 1).astype(np.float32), 0.5)
    return {
        "long_axis_mm": long_mm,
        "perp_axis_mm": short_mm,
        "mean_diameter_mm": 0.5 * (long_mm + short_mm),
        "volume_mm3": float(inside[box].sum()) * grid.voxel_volume_mm3,
    }


def is_perifissural(nodule: NoduleTruth) -> bool | None:
    """Whether a nodule is a typical perifissural one: solid, smooth, small, on a fissure; None where that is not known.

    The Brock models leave them out: of 571, pooled, none was malignant (McWilliams et al., N Engl J Med 2013;369:910).
    """
    return nodule.on_fissure if _is_small_smooth(nodule) else False


def is_juxtapleural(nodule: NoduleTruth) -> bool:
    """Whether a nodule is a smooth solid one below 10 mm at the pleura (Lung-RADS v2022)."""
    gap = nodule.distance_to_pleura_mm
    return _is_small_smooth(nodule) and gap is not None and gap <= AT_PLEURA_MM


def _is_small_smooth(nodule: NoduleTruth) -> bool:
    smooth = all(getattr(nodule.nodule.attributes, name) < limit for name, limit in SMOOTH_BELOW.items())
    return (
        nodule.type == "solid" and smooth and nodule.n_spicules == 0 and nodule.mean_diameter_mm < PERIFISSURAL_BELOW_MM
    )


def _is_upper(lobe: str | None) -> bool | None:
    if lobe in UPPER_LOBES:
        return True
    return False if lobe in OTHER_LOBES else None
