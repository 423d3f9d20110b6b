"""Predicted static lung volumes: GLI 2021 (Hall et al., Eur Respir J 2021;57:2000289), adult splines taken as 0."""

from __future__ import annotations

import math

from .patient import Sex

SUPINE_PER_STANDING = 0.90
"""CT volume, supine, per total lung capacity, upright (Yamada et al. 2020: standing is 10.9 % above supine) [1]."""

EFFORT = 0.93
"""Volume held in a scan / volume at a maximal breath. Design default, unverified [1]."""


def total_lung_capacity_l(sex: Sex, age_y: float, height_cm: float) -> float:
    """Predicted total lung capacity [L], GLI 2021 (Hall et al., Eur Respir J 2021;57:2000289).

    Examples
    --------
    >>> round(total_lung_capacity_l("male", 62, 176), 2), round(total_lung_capacity_l("female", 62, 163), 2)
    (7.23, 5.28)
    """
    if sex == "male":
        return math.exp(-10.5861 + 0.1433 * math.log(age_y) + 2.3155 * math.log(height_cm))
    return math.exp(-10.1128 + 0.1062 * math.log(age_y) + 2.2259 * math.log(height_cm))


def total_lung_capacity_cv(sex: Sex, age_y: float) -> float:
    """Coefficient of variation of the total lung capacity between persons [1], GLI 2021."""
    return math.exp(-2.0616 - 0.00085 * age_y) if sex == "male" else 0.124


def functional_residual_capacity_l(sex: Sex, age_y: float, height_cm: float) -> float:
    """Predicted functional residual capacity [L], GLI 2021.

    Examples
    --------
    >>> round(functional_residual_capacity_l("male", 62, 176), 2)
    3.51
    """
    if sex == "male":
        return math.exp(-13.4898 + 0.1111 * math.log(age_y) + 2.7634 * math.log(height_cm))
    return math.exp(-12.7674 + 0.1251 * math.log(age_y) + 2.6049 * math.log(height_cm))


def residual_volume_l(sex: Sex, age_y: float, height_cm: float) -> float:
    """Predicted residual volume [L], GLI 2021.

    Examples
    --------
    >>> round(residual_volume_l("male", 62, 176), 2)
    2.14
    """
    if sex == "male":
        return math.exp(-2.37211 + 0.01346 * age_y + 0.01307 * height_cm)
    return math.exp(-2.50593 + 0.01307 * age_y + 0.01379 * height_cm)


def supine_full_volume_l(sex: Sex, age_y: float, height_cm: float) -> float:
    """Volume of both lungs expected in a supine CT at full inspiration [L]: 0.837 of the total lung capacity."""
    return SUPINE_PER_STANDING * EFFORT * total_lung_capacity_l(sex, age_y, height_cm)
