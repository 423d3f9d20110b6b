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
