"""How finely a scan is simulated: all of the scanner's readings, or fewer, coarser ones for a preview.

Coarser sampling merges cells and views, it does not drop them: a merged reading collects the photons (and the
electronic noise) of all that it stands for, so that the noise of the image stays that of the dose,
while sharpness is lost. Transmissions within a large merged cell differ: ``row_parts`` and ``column_parts`` average
them part by part (:mod:`ctsim.rays`); parts of a row cost little.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Sampling(BaseModel):
    """Fidelity of the simulation; the default is that of the scanner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    views_per_rotation: int | None = Field(
        None, ge=8, le=10000, description="Simulated views per rotation, even; none: the scanner's"
    )
    column_binning: int = Field(1, ge=1, le=16, description="Neighbouring columns merged into one")
    row_binning: int = Field(1, ge=1, le=64, description="Neighbouring rows merged into one")
    rays_per_reading: int = Field(
        4,
        ge=1,
        le=64,
        description="Transmissions averaged in a reading: points of the focal spot x instants of the view; 1: a point "
        "source and a gantry at rest, averaged over the cell alone",
    )
    column_parts: int = Field(
        1, ge=1, le=16, description="Parts of a reading's cell along columns whose transmissions are averaged"
    )
    row_parts: int = Field(
        1, ge=1, le=64, description="Parts of a reading's cell along rows whose transmissions are averaged"
    )
    scatter: bool = Field(True, description="Whether scattered radiation is simulated")

    @model_validator(mode="after")
    def _is_even(self) -> Sampling:
        if self.views_per_rotation is not None and self.views_per_rotation % 2:
            raise ValueError(f"views_per_rotation must be even, got {self.views_per_rotation}")
        return self
