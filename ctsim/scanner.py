"""The hardware: geometry, tube, filters, detector. What a protocol can ask for is limited by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twins import Material, material

from .bowtie import Bowtie


class Layer(BaseModel):
    """A flat filter in the beam."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    material: str = Field(description="Material, by the name it has in twins.materials")
    thickness_mm: float = Field(ge=0, le=50, description="Thickness at natural density [mm]")

    @model_validator(mode="after")
    def _is_known(self) -> Layer:
        material(self.material)
        return self

    def as_filter(self) -> tuple[Material, float]:
        """The pair that :func:`ctsim.spectrum.tube_spectrum` takes."""
        return material(self.material), self.thickness_mm


class Detector(BaseModel):
    """Scintillating cells on a cylinder around the focal spot, integrating deposited energy.

    A photon deposits all of its energy with probability ``1 - exp(-mu d)``: escape of fluorescence, depth-dependent
    light yield, crosstalk and afterglow are not modelled.
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

    @model_validator(mode="after")
    def _is_consistent(self) -> Detector:
        material(self.material)
        if not 0 <= self.isocentre_column <= self.n_columns - 1:
            raise ValueError(f"isocentre_column must lie in 0 to {self.n_columns - 1}, got {self.isocentre_column}")
        return self


class DoseIndex(BaseModel):
    """Normalised CTDI of the 32 cm body phantom at one tube potential, full collimation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kvp: int = Field(ge=70, le=150, description="Tube potential [kV]")
    bowtie: str = Field(description="Bowtie it belongs to")
    ctdi_w_mgy_per_100mas: float = Field(gt=0, le=100, description="CTDIw per 100 mAs [mGy]")


class Scanner(BaseModel):
    """A third-generation CT scanner.

    Raises
    ------
    ValueError
        If distances, tables or names contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name in reports and file headers")
    manufacturer: str = Field(min_length=1, description="As in DICOM (0008,0070)")
    model: str = Field(min_length=1, description="As in DICOM (0008,1090)")
    source_distance_mm: float = Field(ge=100, le=2000, description="SID: focal spot to isocentre [mm]")
    detector_distance_mm: float = Field(ge=100, le=4000, description="SDD: focal spot to detector [mm]")
    detector: Detector = Field(description="The detector")
    views_per_rotation: int = Field(ge=8, le=10000, description="Readings of every cell per rotation")
    anode_angle_deg: float = Field(ge=7, le=13, description="Anode angle [degrees]; the heel effect is not modelled")
    focal_spot_width_mm: float = Field(
        ge=0,
        le=5,
        description="In-plane width seen from the isocentre [mm]; kept for later, the spot is taken as a point",
    )
    focal_spot_length_mm: float = Field(
        ge=0,
        le=5,
        description="Length along z seen from the isocentre [mm]; kept for later, the spot is taken as a point",
    )
    inherent_filters: tuple[Layer, ...] = Field(description="Flat filters that are always in the beam")
    bowties: tuple[Bowtie, ...] = Field(min_length=1, description="Body-shaping filters to choose from")
    kvp_stations: tuple[int, ...] = Field(min_length=1, description="Tube potentials to choose from [kV]")
    rotation_times_s: tuple[float, ...] = Field(min_length=1, description="Rotation times to choose from [s]")
    collimations_rows: tuple[int, ...] = Field(min_length=1, description="Numbers of rows that can be used")
    smallest_pitch: float = Field(gt=0, le=3.5, description="Smallest helical pitch [1]")
    largest_pitch: float = Field(gt=0, le=3.5, description="Largest helical pitch [1]")
    largest_tube_current_ma: float = Field(gt=0, le=2000, description="Largest tube current [mA]")
    dose_indices: tuple[DoseIndex, ...] = Field((), description="CTDIw per tube potential and bowtie")

    @model_validator(mode="after")
    def _is_consistent(self) -> Scanner:
        if not self.source_distance_mm < self.detector_distance_mm:
            raise ValueError(
                f"source_distance_mm must be below detector_distance_mm = {self.detector_distance_mm}, "
                f"got {self.source_distance_mm}"
            )
        fan = np.abs(self.column_angle_rad()).max()
        if fan >= np.pi / 4:
            raise ValueError(f"the fan must stay within +-45 degrees, its outermost column is at {np.degrees(fan):.1f}")
        if max(self.collimations_rows) > self.detector.n_rows or min(self.collimations_rows) < 1:
            raise ValueError(f"collimations_rows must lie in 1 to {self.detector.n_rows}, got {self.collimations_rows}")
        if self.smallest_pitch > self.largest_pitch:
            raise ValueError(f"smallest_pitch {self.smallest_pitch} is above largest_pitch {self.largest_pitch}")
        names = [bowtie.name for bowtie in self.bowties]
        if len(set(names)) != len(names):
            raise ValueError(f"names of bowties must differ, got {names}")
        return self

    @property
    def column_pitch_rad(self) -> float:
        """Angle between neighbouring columns [rad]."""
        return self.detector.column_pitch_mm / self.detector_distance_mm

    def column_angle_rad(self) -> NDArray[np.float64]:
        """Fan angle of every column's middle, growing, ``(columns,)`` [rad]."""
        column = np.arange(self.detector.n_columns) - self.detector.isocentre_column
        return np.asarray(column * self.column_pitch_rad, dtype=np.float64)

    def bowtie(self, name: str) -> Bowtie:
        """The bowtie of that name; ValueError if there is none."""
        for candidate in self.bowties:
            if candidate.name == name:
                return candidate
        raise ValueError(f"unknown bowtie {name!r}; this scanner has: {', '.join(b.name for b in self.bowties)}")
