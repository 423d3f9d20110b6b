"""The spec of a population twin: everything about one person that :func:`twins.build` needs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .lung_function import supine_full_volume_l
from .patient import Patient, Sex, Smoking

EmphysemaType = Literal["centrilobular", "paraseptal", "panlobular", "mixed"]
"""Where emphysema lies in and between lobules."""

Variant = Literal["azygos_fissure", "inferior_accessory_fissure", "left_minor_fissure", "absent_minor_fissure"]
"""Variants of fissures."""

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
    emphysema_type: EmphysemaType = Field(
        default="centrilobular",
        description="Where emphysema lies: round lobule centres, under the pleura and fissures, all of the lobule, or "
        "the first two mixed [centrilobular, paraseptal, panlobular, mixed]",
    )
    paraseptal_share: float = Field(
        default=0.3, ge=0, le=1, description="Share of the emphysema under pleura and fissures, for type mixed [1]"
    )
    emphysema_upper: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Preference for the upper lung: emphysema per volume goes as exp(4 (value - 0.5) level), level 0 "
        "at the base and 1 at the apex; 0.5 is even [1]",
    )
    lung_volume_l: float | None = Field(
        default=None, ge=1.8, le=10, description="Volume of both lungs at full effort; None: GLI 2021 prediction [L]"
    )
    inflation: float = Field(
        default=1.0,
        ge=0.35,
        le=1.1,
        description="Volume at the scan / volume at full effort, at constant tissue mass and with the bones of full "
        "effort; about 0.4 at residual volume [1]",
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
    right_middle_share: float = Field(
        default=9.3 / 53.7, ge=0.08, le=0.28, description="Right middle lobe / right lung, by volume [1]"
    )
    right_lower_share: float = Field(
        default=26.5 / 53.7, ge=0.34, le=0.64, description="Right lower lobe / right lung, by volume [1]"
    )
    left_lower_share: float = Field(
        default=23.2 / 46.3, ge=0.34, le=0.66, description="Left lower lobe / left lung, by volume [1]"
    )
    right_major_completeness: float = Field(
        default=1.0, ge=0.2, le=1, description="Right major fissure: share of its area that parts the lobes [1]"
    )
    left_major_completeness: float = Field(
        default=1.0, ge=0.2, le=1, description="Left major fissure: share of its area that parts the lobes [1]"
    )
    minor_completeness: float = Field(
        default=1.0, ge=0.2, le=1, description="Minor fissure: share of its area that parts the lobes [1]"
    )
    variants: tuple[Variant, ...] = Field(
        default=(),
        description="Variants of fissures [azygos_fissure, inferior_accessory_fissure, left_minor_fissure, "
        "absent_minor_fissure]",
    )
    diaphragm_shift_mm: float = Field(
        default=0.0,
        ge=-20,
        le=20,
        description="Domes above (+) where this inflation has them; the ribs make up for the volume [mm]",
    )
    kyphosis_deg: float | None = Field(
        default=None, ge=15, le=75, description="Kyphosis of the thoracic spine (Cobb angle); None: by age [deg]"
    )
    wall_thickness_scale: float = Field(
        default=1.0, ge=0.6, le=2.0, description="Thickness of the bronchial walls / expected thickness [1]"
    )
    texture_scale: float = Field(
        default=1.0, ge=0, le=3, description="Contrast of the parenchyma's texture / expected contrast [1]"
    )
    dependent_atelectasis: float = Field(
        default=0.0, ge=0, le=1, description="Dense band along the back: 0 none, 1 20 mm deep and +150 HU [1]"
    )
    apical_cap_mm: float = Field(default=0.0, ge=0, le=12, description="Thickness of the apical caps [mm]")
    n_scars: int = Field(default=0, ge=0, le=8, description="Scars and bands in the lungs [1]")
    n_lymph_nodes: int = Field(default=0, ge=0, le=20, description="Mediastinal and hilar lymph nodes [1]")
    coronary_calcium: float = Field(
        default=0.0, ge=0, le=1, description="Calcium in the coronary arteries: 0 none, 1 extensive in all three [1]"
    )
    aortic_calcium: float = Field(
        default=0.0, ge=0, le=1, description="Calcium in the aorta and its branches: 0 none, 1 extensive [1]"
    )
    costal_calcification: float = Field(
        default=0.0, ge=0, le=1, description="Calcification of the costal cartilages: 0 none, 1 extensive [1]"
    )
    blood_iodine_mg_ml: float = Field(
        default=0.0, ge=0, le=20, description="Iodine in the blood; 0: no contrast agent [mg/mL]"
    )
    breast_scale: float = Field(
        default=1.0, ge=0.5, le=1.6, description="Linear size of the breasts / expected size [1]"
    )
    key: int = Field(ge=0, lt=_KEYS, description="64-bit key of everything else about this anatomy")

    @field_validator("variants")
    @classmethod
    def _variants_agree(cls, value: tuple[Variant, ...]) -> tuple[Variant, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _lobes_fit(self) -> Self:
        upper = 1 - self.right_middle_share - self.right_lower_share
        if upper < 0.2:
            raise ValueError(
                f"right_middle_share + right_lower_share must leave 0.2 to the upper lobe, got {1 - upper:.3f}"
            )
        return self

    def full_volume_l(self) -> float:
        """Volume of both lungs at full effort [L]."""
        if self.lung_volume_l is not None:
            return self.lung_volume_l
        hyperinflation = 1 + 0.12 * min(1.0, self.emphysema_percent / 20)  # design default, unverified
        return supine_full_volume_l(self.sex, self.age_y, self.height_cm) * hyperinflation

    def target_kyphosis_deg(self) -> float:
        """Kyphosis of the thoracic spine [deg]: 27 in the young, 42 from 65 years on, where none is given."""
        if self.kyphosis_deg is not None:
            return self.kyphosis_deg
        return 27.0 + 15.0 * min(1.0, max(0.0, (self.age_y - 30) / 35))

    def target_volume_l(self) -> float:
        """Volume of both lungs in the scan [L]."""
        return self.full_volume_l() * self.inflation

    def target_tissue_mass_g(self) -> float:
        """Mass of the parenchyma, explicit vessels and airway walls excluded [g].

        556 g (men) and 396 g (women) at 176 and 163 cm, growing with height to the power 1.5, +8 % in current smokers;
        calibrated so that the mean of the whole lung is near -860 HU at full inspiration; lungs larger or smaller than
        predicted hold tissue as their volume to the power 0.7 (design defaults, unverified).
        """
        if self.tissue_mass_g is not None:
            return self.tissue_mass_g
        base, height = (556.0, 176.0) if self.sex == "male" else (396.0, 163.0)
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
