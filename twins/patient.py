"""The person that a twin stands for: what a risk model reads."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Sex = Literal["female", "male"]
Smoking = Literal["never", "former", "current"]


class Patient(BaseModel):
    """Demographics and history. ``None`` means not known: nothing downstream guesses it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    sex: Sex | None = Field(default=None, description="Sex [female, male]")
    age_y: float | None = Field(default=None, ge=18, le=100, description="Age at the scan [years]")
    height_cm: float | None = Field(default=None, ge=120, le=220, description="Standing height [cm]")
    bmi: float | None = Field(default=None, ge=12, le=60, description="Body mass index [kg/m2]")
    smoking: Smoking | None = Field(default=None, description="Smoking status [never, former, current]")
    pack_years: float | None = Field(default=None, ge=0, le=250, description="Packs per day times years [pack years]")
    family_history: bool | None = Field(default=None, description="Lung cancer in a first-degree relative")
    emphysema: bool | None = Field(default=None, description="Emphysema visible on CT")
    smoking_duration_y: float | None = Field(default=None, ge=0, le=90, description="Years of smoking [years]")
    years_since_quit_y: float | None = Field(
        default=None, ge=0, le=90, description="Years since smoking was given up; 0 for who smokes now [years]"
    )
    cigarettes_per_day: float | None = Field(
        default=None, ge=0, le=200, description="Mean number while smoking [cigarettes per day]"
    )
    copd: bool | None = Field(default=None, description="Chronic obstructive pulmonary disease diagnosed")
    personal_cancer: bool | None = Field(default=None, description="Any cancer in the past")
    extrathoracic_cancer_over_5y: bool | None = Field(
        default=None, description="Cancer outside the chest, diagnosed more than five years ago"
    )
    cancer_within_5y: bool | None = Field(default=None, description="Cancer diagnosed within the last five years")
    prior_lung_cancer: bool | None = Field(default=None, description="Lung cancer in the past")
    family_history_any_cancer: bool | None = Field(default=None, description="Any cancer in a first-degree relative")
    education_level: int | None = Field(
        default=None,
        ge=1,
        le=6,
        description="1 less than high school, 2 high school, 3 post high school training, 4 some college, 5 college "
        "degree, 6 postgraduate (as in PLCOm2012) [1-6]",
    )
    race: Literal["white", "black", "hispanic", "asian", "american_indian", "pacific_islander"] | None = Field(
        default=None, description="Race or ethnic group, in the categories of PLCOm2012 [name]"
    )
