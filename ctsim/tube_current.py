"""How the tube current follows the patient."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FixedCurrent(BaseModel):
    """The same tube current in every view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    style: Literal["fixed"] = Field("fixed", description="No modulation")


TubeCurrent = FixedCurrent
