"""The detector: its cells, what they make of photons, and the grid in front of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twins import material


class Afterglow(BaseModel):
    """Part of a reading's light that comes late, falling off exponentially."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fraction: float = Field(ge=0, le=0.5, description="Part of the light [1]")
    time_constant_ms: float = Field(gt=0, le=10000, description="Time constant [ms]")


class AntiScatterGrid(BaseModel):
    """Lamellae before the cells, as two numbers for the whole detector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary_transmission: float = Field(gt=0, le=1, description="Part of the primary that passes [1]")
    scatter_transmission: float = Field(ge=0, le=1, description="Part of the scatter that passes [1]")


class Detector(BaseModel):
    """Scintillating cells on a cylinder around the focal spot, integrating deposited energy.

    A photon deposits all of its energy with probability ``1 - exp(-mu d)``: escape of fluorescence and depth-dependent
    light yield are not modelled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_columns: int = Field(ge=8, le=4096, description="Columns (channels)")
    column_pitch_mm: float = Field(gt=0, le=10, description="Column pitch along the arc at the detector [mm]")
    isocentre_column: float = Field(description="0-based column that the ray through the isocentre hits [1]")
    n_rows: int = Field(ge=1, le=1024, description="Rows")
    row_pitch_iso_mm: float = Field(gt=0, le=10, description="Row pitch, scaled to the isocentre [mm]")
    fill_factor: float = Field(gt=0, le=1, description="Active part of a cell's area [1]")
    material: str = Field(description="Scintillator, by the name it has in twins.materials")
    thickness_mm: float = Field(gt=0, le=10, description="Thickness of the scintillator [mm]")
    electronic_noise_kev: float = Field(ge=0, le=10000, description="Standard deviation per cell and reading [keV]")
    xray_crosstalk: tuple[float, float] = Field(
        (0.0, 0.0), description="Part of a cell's absorbed X-rays that each neighbour takes: along columns, rows [1]"
    )
    optical_crosstalk: tuple[float, float] = Field(
        (0.0, 0.0), description="Part of a cell's light that each neighbour takes: along columns, rows [1]"
    )
    afterglow: tuple[Afterglow, ...] = Field((), description="Components of late light")
    saturation_kev: float | None = Field(
        None, gt=0, description="Largest energy that a cell can read in one reading [keV]; none: no limit"
    )
    step_kev: float = Field(0.0, ge=0, description="Step of the analogue-to-digital converter [keV]; 0: none")
    gain_spread: float = Field(
        0.0, ge=0, le=0.1, description="Standard deviation of the gain that calibration leaves: rings, on request [1]"
    )
    grid: AntiScatterGrid | None = Field(None, description="Anti-scatter grid; none: all passes")

    @model_validator(mode="after")
    def _is_consistent(self) -> Detector:
        material(self.material)
        if not 0 <= self.isocentre_column <= self.n_columns - 1:
            raise ValueError(f"isocentre_column must lie in 0 to {self.n_columns - 1}, got {self.isocentre_column}")
        for name in ("xray_crosstalk", "optical_crosstalk"):
            along = getattr(self, name)
            if not all(0 <= share <= 0.2 for share in along):
                raise ValueError(f"{name} must lie in 0 to 0.2, got {along}")
        return self
