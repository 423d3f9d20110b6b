"""Who is in the population: the spec of a population twin, and how one is drawn.

Lung volume follows the GLI 2021 static lung volumes (Hall et al., Eur Respir J 2021;57:2000289): for men
``TLC = exp(-10.5861 + 0.1433 ln age + 2.3155 ln height)``, for women ``exp(-10.1128 + 0.1062 ln age + 2.2259 ln
height)``
(age in years, height in cm, litres). The CT volume, supine, is 0.90 of it (Yamada et al. 2020: standing is 10.9 % above
supine) times the effort of the breath. Margins of age, sex, body mass index, smoking and pack-years are those of the
NLST
(PMC8159850); those of the duration of smoking, the years since it was given up, COPD and past cancer are those of the
NLST as well (Tammemagi et al., N Engl J Med 2013;368:728, supplement, table S1). The shape of the distributions between
published figures, and their independence of each other, are design defaults.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from .patient import Patient, Sex, Smoking

SUPINE_PER_STANDING = 0.90
"""CT volume, supine, per total lung capacity, upright (Yamada et al. 2020) [1]."""

EMPHYSEMA_THRESHOLD_PERCENT = 5.0
"""From this share of the lung on, a reader calls the emphysema visible [%]. Design default, unverified."""

_KEYS = 2**63


class TwinSpec(BaseModel):
    """A population twin: everything that :func:`twins.build` needs, and nothing drawn later.

    Examples
    --------
    >>> round(TwinSpec(sex="male", age_y=62, height_cm=176, bmi=27, key=1).target_volume_l(), 2)
    6.05
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    sex: Sex = Field(description="Sex [female, male]")
    age_y: float = Field(ge=18, le=95, description="Age at the scan [years]")
    height_cm: float = Field(ge=135, le=210, description="Standing height [cm]")
    bmi: float = Field(ge=15, le=50, description="Body mass index [kg/m2]")
    smoking: Smoking = Field(default="never", description="Smoking status [never, former, current]")
    pack_years: float = Field(default=0.0, ge=0, le=250, description="Packs per day times years [pack years]")
    smoking_duration_y: float | None = Field(default=None, ge=0, le=90, description="Years of smoking [years]")
    years_since_quit_y: float | None = Field(
        default=None, ge=0, le=90, description="Years since smoking was given up, for former smokers [years]"
    )
    family_history: bool | None = Field(default=None, description="Lung cancer in a first-degree relative")
    copd: bool | None = Field(default=None, description="Chronic obstructive pulmonary disease diagnosed")
    extrathoracic_cancer_over_5y: bool | None = Field(
        default=None,
        description="Cancer outside the chest more than five years ago; persons with a later one or one of the lung "
        "are not in the population, as the NLST admitted none (NCT00047385)",
    )
    emphysema_percent: float = Field(
        default=0.0, ge=0, le=40, description="Share of the lung volume that is emphysema (below 0.05 g/cm3) [%]"
    )
    lung_volume_l: float | None = Field(
        default=None, ge=1.8, le=10, description="Volume of both lungs at full effort; None: GLI 2021 prediction [L]"
    )
    inflation: float = Field(
        default=1.0,
        ge=0.65,
        le=1.1,
        description="Volume at the scan / volume at full effort, at constant tissue mass [1]",
    )
    tissue_mass_g: float | None = Field(
        default=None, ge=200, le=1200, description="Lung tissue without explicit vessels; None: by sex and height [g]"
    )
    heart_scale: float = Field(
        default=1.0, ge=0.75, le=1.35, description="Linear size of the heart / expected size [1]"
    )
    chest_width_scale: float = Field(default=1.0, ge=0.88, le=1.12, description="Cage width / expected width [1]")
    chest_depth_scale: float = Field(default=1.0, ge=0.85, le=1.18, description="Cage depth / expected depth [1]")
    right_share: float = Field(default=0.536, ge=0.50, le=0.575, description="Right lung / both lungs, by volume [1]")
    breast_scale: float = Field(
        default=1.0, ge=0.5, le=1.6, description="Linear size of the breasts / expected size [1]"
    )
    key: int = Field(ge=0, lt=_KEYS, description="64-bit key of everything else about this anatomy")

    def full_volume_l(self) -> float:
        """Volume of both lungs at full effort [L]."""
        if self.lung_volume_l is not None:
            return self.lung_volume_l
        hyperinflation = 1 + 0.12 * min(1.0, self.emphysema_percent / 20)  # design default, unverified
        return SUPINE_PER_STANDING * 0.93 * total_lung_capacity_l(self.sex, self.age_y, self.height_cm) * hyperinflation

    def target_volume_l(self) -> float:
        """Volume of both lungs in the scan [L]."""
        return self.full_volume_l() * self.inflation

    def target_tissue_mass_g(self) -> float:
        """Mass of the parenchyma, explicit vessels and airway walls excluded [g].

        555 g (men) and 395 g (women) at 176 and 163 cm, growing with height to the power 1.5, +8 % in current smokers;
        calibrated so that the mean of the whole lung is near -860 HU at full inspiration; lungs larger or smaller than
        predicted hold tissue as their volume to the power 0.7 (design defaults, unverified).
        """
        if self.tissue_mass_g is not None:
            return self.tissue_mass_g
        base, height = (555.0, 176.0) if self.sex == "male" else (395.0, 163.0)
        if self.lung_volume_l is not None:
            predicted = self.model_copy(update={"lung_volume_l": None}).full_volume_l()
            base *= (self.lung_volume_l / predicted) ** 0.7
        return base * (self.height_cm / height) ** 1.5 * (1.08 if self.smoking == "current" else 1.0)

    def patient(self) -> Patient:
        """Demographics and history as risk models read them.

        Cigarettes per day follow from pack-years of 20 cigarettes and the duration of smoking.
        """
        cancer = self.extrathoracic_cancer_over_5y
        daily = 20 * self.pack_years / self.smoking_duration_y if self.smoking_duration_y else None
        return Patient(
            sex=self.sex,
            age_y=self.age_y,
            height_cm=self.height_cm,
            bmi=self.bmi,
            smoking=self.smoking,
            pack_years=self.pack_years,
            family_history=self.family_history,
            emphysema=self.emphysema_percent >= EMPHYSEMA_THRESHOLD_PERCENT,
            smoking_duration_y=self.smoking_duration_y,
            years_since_quit_y=0.0 if self.smoking == "current" else self.years_since_quit_y,
            cigarettes_per_day=None if daily is None else round(min(daily, 200.0), 1),
            copd=self.copd,
            personal_cancer=cancer,
            extrathoracic_cancer_over_5y=cancer,
            cancer_within_5y=None if cancer is None else False,
            prior_lung_cancer=None if cancer is None else False,
        )


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


def draw(rng: np.random.Generator, **fixed: Any) -> TwinSpec:
    """Draw a person with the margins of the NLST; fields given by keyword are kept as they are.

    Every field is drawn whether it is fixed or not, so that fixing one leaves the draws of the others alone (their
    values may still depend on it: height on sex, lung volume on height).

    Parameters
    ----------
    rng
        Source of chance.
    **fixed
        Fields of :class:`TwinSpec`.

    Raises
    ------
    TypeError
        If a keyword is no field of :class:`TwinSpec`.
    ValueError
        If a fixed value is out of its range.

    Examples
    --------
    >>> draw(np.random.default_rng(1), sex="female", age_y=60).sex
    'female'
    """
    unknown = sorted(set(fixed) - set(TwinSpec.model_fields))
    if unknown:
        raise TypeError(f"no such field of TwinSpec: {', '.join(unknown)}; known: {', '.join(TwinSpec.model_fields)}")
    u = rng.random(4)
    normal = rng.standard_normal(10)
    key = int(rng.integers(_KEYS))
    history = rng.random(3)
    smoked = rng.standard_normal()
    kept = {name: value for name, value in fixed.items() if value is not None}

    sex = kept.get("sex", "male" if u[0] < 0.591 else "female")
    male = sex == "male"
    age_y = kept.get("age_y", round(_within(60.5 + 5.0 * normal[0], 55, 74), 1))
    height_cm = kept.get("height_cm", round((176 + 7 * normal[1]) if male else (163 + 6.5 * normal[1]), 1))
    smoking = kept.get("smoking", "current" if u[1] < 0.48 else "former")
    quit_y = kept.get("years_since_quit_y", round(15 * history[0], 1)) if smoking == "former" else 0.0
    # begun at 17.4 +- 3 years of age: with this age and these years since quitting, 39.8 +- 7.3 years of smoking
    smoked_y = round(max(1.0, age_y - quit_y - _within(17.4 + 3 * smoked, 10, 30)), 1)
    expected: dict[str, Any] = {
        "sex": sex,
        "age_y": age_y,
        "height_cm": _within(height_cm, 140, 205) if "height_cm" not in kept else height_cm,
        "bmi": round(_within(27 * math.exp(0.19 * normal[2]), 17, 45), 1),
        "smoking": smoking,
        "pack_years": 0.0 if smoking == "never" else round(_within(30 + 18 * math.exp(0.75 * normal[3]), 30, 200), 1),
        "smoking_duration_y": 0.0 if smoking == "never" else smoked_y,
        "years_since_quit_y": quit_y if smoking == "former" else None,
        "family_history": bool(u[2] < 0.22),
        "copd": bool(history[1] < 0.051),
        "extrathoracic_cancer_over_5y": bool(history[2] < 0.043),
        "emphysema_percent": round(_emphysema_percent(u[3], normal[4], smoking), 2),
        "heart_scale": round(_within(1 + 0.06 * normal[6], 0.85, 1.2), 3),
        "chest_width_scale": round(_within(1 + 0.035 * normal[7], 0.92, 1.08), 3),
        "chest_depth_scale": round(_within(1 + 0.05 * normal[8], 0.88, 1.14), 3),
        "right_share": round(_within(0.536 + 0.010 * normal[9], 0.515, 0.56), 4),
        "key": key,
    }
    expected.update(kept)
    if "lung_volume_l" not in kept:
        reference = TwinSpec(**{k: v for k, v in expected.items() if k != "lung_volume_l"}).full_volume_l()
        expected["lung_volume_l"] = round(_within(reference * (1 + 0.11 * normal[5]), 2.4, 9.0), 3)
    return TwinSpec(**expected)


def _emphysema_percent(u: float, normal: float, smoking: str) -> float:
    """Mixture of log-normals for screened smokers, lighter for never-smokers (design default, unverified)."""
    if smoking == "never":
        return _within(0.8 * math.exp(0.8 * normal), 0, 6)
    for share, median, sigma in ((0.60, 1.2, 0.9), (0.88, 3.5, 0.6), (0.97, 10.0, 0.4), (1.01, 22.0, 0.35)):
        if u < share:
            return _within(median * math.exp(sigma * normal), 0, 40)
    raise AssertionError("the last share exceeds 1")


def _within(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))
