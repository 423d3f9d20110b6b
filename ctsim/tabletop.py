"""What the couch is made of: a tabletop of foam in a carbon-fibre shell (its physics: :mod:`ctsim.couch`)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twins import material


class Couch(BaseModel):
    """Cross-section of the tabletop; the patient lies on its upper side (towards -y: the back is at +y)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width_mm: float = Field(ge=200, le=800, description="Width [mm]")
    thickness_mm: float = Field(ge=5, le=150, description="Thickness in the middle, shells included [mm]")
    sag_mm: float = Field(0.0, ge=0, le=150, description="How much lower the middle is than the edges (a cradle) [mm]")
    shell_mm: float = Field(ge=0.2, le=10, description="Thickness of each shell [mm]")
    shell_material: str = Field(description="Material of the shell, by the name it has in twins.materials")
    core_material: str = Field(description="Material of the core, by the name it has in twins.materials")
    mattress_mm: float = Field(0.0, ge=0, le=50, description="Thickness of the mattress on it [mm]")
    mattress_material: str | None = Field(None, description="Material of the mattress; none: no mattress")

    @model_validator(mode="after")
    def _is_a_sandwich(self) -> Couch:
        material(self.shell_material)
        material(self.core_material)
        if self.mattress_material is not None:
            material(self.mattress_material)
        if 2 * self.shell_mm >= self.thickness_mm:
            raise ValueError(f"shell_mm must be below half of thickness_mm = {self.thickness_mm}, got {self.shell_mm}")
        if (self.mattress_mm > 0) != (self.mattress_material is not None):
            raise ValueError(f"mattress_mm = {self.mattress_mm} and mattress_material must be given together")
        return self
