"""The hardware: geometry, tube, filters, detector. What a protocol can ask for is limited by it."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .bowtie import Bowtie
from .detector import Detector
from .tabletop import Couch
from .tube import FlyingFocalSpot, FocalSpot, Layer, SpectralFilter


class DoseIndex(BaseModel):
    """Normalised CTDI of a PMMA phantom at one tube potential, full collimation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kvp: int = Field(ge=70, le=150, description="Tube potential [kV]")
    bowtie: str = Field(description="Bowtie it belongs to")
    phantom_mm: Literal[160, 320] = Field(320, description="Diameter of the PMMA phantom: head 160, body 320 [mm]")
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
    anode_angle_deg: float = Field(ge=5, le=15, description="Anode angle [degrees]")
    focal_spots: tuple[FocalSpot, ...] = Field(min_length=1, description="Focal spots to choose from")
    flying_focal_spots: tuple[FlyingFocalSpot, ...] = Field((), description="Deflections to choose from")
    inherent_filters: tuple[Layer, ...] = Field(description="Flat filters that are always in the beam")
    spectral_filters: tuple[SpectralFilter, ...] = Field((), description="Filters that a protocol can add")
    bowties: tuple[Bowtie, ...] = Field(min_length=1, description="Body-shaping filters to choose from")
    kvp_stations: tuple[int, ...] = Field(min_length=1, description="Tube potentials to choose from [kV]")
    rotation_times_s: tuple[float, ...] = Field(min_length=1, description="Rotation times to choose from [s]")
    collimations_rows: tuple[int, ...] = Field(min_length=1, description="Numbers of rows that can be used")
    smallest_pitch: float = Field(gt=0, le=1.5, description="Smallest helical pitch [1]")
    largest_pitch: float = Field(
        gt=0, le=1.5, description="Largest helical pitch; one source cannot do more than 1.5 without gaps [1]"
    )
    smallest_tube_current_ma: float = Field(10.0, gt=0, le=500, description="Smallest tube current [mA]")
    largest_tube_current_ma: float = Field(gt=0, le=2000, description="Largest tube current [mA]")
    couch: Couch | None = Field(None, description="Tabletop; none: nothing carries the patient")
    dose_indices: tuple[DoseIndex, ...] = Field((), description="CTDIw per tube potential, bowtie and phantom")

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
        for what in ("bowties", "focal_spots", "flying_focal_spots", "spectral_filters"):
            names = [choice.name for choice in getattr(self, what)]
            if len(set(names)) != len(names):
                raise ValueError(f"names of {what} must differ, got {names}")
        self._tables_fit()
        return self

    def _tables_fit(self) -> None:
        bowties = [bowtie.name for bowtie in self.bowties]
        potentials = [("dose_indices", entry.kvp) for entry in self.dose_indices]
        potentials += [(f"spectral_filters.{f.name}", kvp) for f in self.spectral_filters for kvp in f.kvp_stations]
        for what, kvp in potentials:
            if kvp not in self.kvp_stations:
                raise ValueError(f"{what}: kvp = {kvp} kV is not one of kvp_stations {self.kvp_stations}")
        for entry in self.dose_indices:
            if entry.bowtie not in bowties:
                raise ValueError(f"dose_indices: bowtie = {entry.bowtie!r} is not one of {bowties}")

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
        return _named("bowtie", name, self.bowties)

    def focal_spot(self, name: str | None) -> FocalSpot:
        """The focal spot of that name, the first for None; ValueError if there is none."""
        return self.focal_spots[0] if name is None else _named("focal spot", name, self.focal_spots)

    def flying_focal_spot(self, name: str | None) -> FlyingFocalSpot | None:
        """The deflection of that name, None for None; ValueError if there is none."""
        return None if name is None else _named("flying focal spot", name, self.flying_focal_spots)

    def filters(self, spectral_filter: str | None) -> tuple[Layer, ...]:
        """The flat filters in the beam: inherent, then those of the spectral filter; ValueError if there is none."""
        if spectral_filter is None:
            return self.inherent_filters
        return self.inherent_filters + _named("spectral filter", spectral_filter, self.spectral_filters).layers


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Choice = TypeVar("_Choice", bound=_Named)


def _named(what: str, name: str, choices: tuple[_Choice, ...]) -> _Choice:
    for candidate in choices:
        if candidate.name == name:
            return candidate
    there = ", ".join(candidate.name for candidate in choices) or "none"
    raise ValueError(f"unknown {what} {name!r}; this scanner has: {there}")
