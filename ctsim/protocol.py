"""What the operator chooses on the console: acquisition, dose, reconstruction."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .exposure_control import FixedCurrent, NoiseIndex, TargetSd, TubeCurrent
from .scanner import Scanner


class Reconstruction(BaseModel):
    """Defaults of the images that a protocol makes.

    Raises
    ------
    ValueError
        If the increment exceeds the slice thickness.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kernel: str = Field(min_length=1, description="Name of a kernel of the profile")
    iterative_strength: int = Field(
        0,
        ge=0,
        le=5,
        description="Strength of the iterative mode; 0: filtered back projection",
    )
    fov_mm: float = Field(ge=50, le=700, description="Width of the reconstructed square [mm]")
    matrix: int = Field(ge=16, le=2048, description="Pixels along x and y")
    slice_thickness_mm: float = Field(ge=0.25, le=20, description="Slice thickness [mm]")
    increment_mm: float = Field(ge=0.1, le=20, description="Distance of neighbouring slices [mm]")
    centre_mm: tuple[float, float] | None = Field(
        None, description="World (x, y) of the middle of the square [mm]; none: the rotation axis"
    )

    @model_validator(mode="after")
    def _has_no_gaps(self) -> Reconstruction:
        if self.increment_mm > self.slice_thickness_mm:
            raise ValueError(
                f"increment_mm must not exceed slice_thickness_mm = {self.slice_thickness_mm}, got {self.increment_mm}"
            )
        return self


class Acquisition(BaseModel):
    """The part of a protocol that fixes the noise-free exposure: everything but mAs and reconstruction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kvp: int = Field(ge=70, le=150, description="Peak tube potential [kV]")
    spectral_filter: str | None = Field(None, description="Name of a spectral filter of the scanner; none: not used")
    focal_spot: str | None = Field(None, description="Name of a focal spot of the scanner; none: its first")
    flying_focal_spot: str | None = Field(None, description="Name of a deflection of the scanner; none: spot at rest")
    mode: Literal["axial", "step_and_shoot", "helical"] = Field(
        description="One rotation with the table at rest, several with steps between them, or table moving"
    )
    step_mm: float | None = Field(
        None, gt=0, le=320, description="Table step between rotations of step_and_shoot [mm]; none: the collimation"
    )
    collimation_rows: int = Field(ge=1, description="Detector rows in use")
    pitch: float = Field(1.0, gt=0, le=1.5, description="Table feed per rotation / collimation [1]; axial: not used")
    bowtie: str = Field(min_length=1, description="Name of a bowtie of the scanner")
    with_couch: bool = Field(True, description="Whether the scanner's couch, where it has one, carries the patient")
    start_angle_deg: float = Field(0.0, ge=0, lt=360, description="View angle beta of the first view [degrees]")
    scan_range_mm: tuple[float, float] | None = Field(
        None, description="World z range to be imaged [mm]; none: helical the lungs or the grid, axial one beam width"
    )
    isocentre_mm: tuple[float, float] | None = Field(
        None, description="World (x, y) of the rotation axis [mm]; none: the middle of the body"
    )

    @model_validator(mode="after")
    def _has_a_range(self) -> Acquisition:
        if self.scan_range_mm is not None and not self.scan_range_mm[0] < self.scan_range_mm[1]:
            raise ValueError(f"scan_range_mm must grow, got {self.scan_range_mm}")
        return self


class Corrections(BaseModel):
    """What the scanner does to its raw data beside air calibration, logarithm and water correction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scatter: bool = Field(True, description="Subtract the scanner's own estimate of scatter")
    starvation: bool = Field(True, description="Smooth readings that few photons reached")
    bone: bool = Field(False, description="Second pass for the beam hardening of bone")


class Protocol(Acquisition):
    """What the operator chooses on the console, and nothing else.

    Raises
    ------
    ValueError
        If a number is out of range, or scan range or slices contradict themselves.
    """

    name: str = Field(min_length=1, description="Name in reports and file headers")
    mas_per_rotation: float = Field(
        gt=0,
        le=2000,
        description="Tube current x rotation time [mAs]; mAs per slice x pitch. With exposure control: that of the "
        "reference patient, or the most allowed (see ctsim.exposure_control)",
    )
    rotation_s: float = Field(ge=0.2, le=4, description="Time of one rotation [s]")
    tube_current: TubeCurrent = Field(FixedCurrent(), description="How the tube current follows the patient")
    corrections: Corrections = Field(Corrections(), description="What is done to the raw data")
    reconstruction: Reconstruction = Field(description="Defaults of its images")
    source: str = Field(min_length=1, description="Where these numbers come from")
    status: Literal["measured", "published", "estimated"] = Field(description="How sure they are")

    def acquisition(self) -> Acquisition:
        """The part that fixes the noise-free exposure; protocols with equal acquisitions can share one."""
        return Acquisition(**{name: getattr(self, name) for name in Acquisition.model_fields})

    def check_on(self, scanner: Scanner) -> None:
        """Refuse what the scanner cannot do.

        Raises
        ------
        ValueError
            Listing all that is impossible: tube potential, collimation, pitch, rotation time, tube current, bowtie.
        """
        problems = []
        if self.kvp not in scanner.kvp_stations:
            problems.append(f"kvp = {self.kvp} kV is not a station of the tube ({_listed(scanner.kvp_stations)})")
        if self.collimation_rows not in scanner.collimations_rows:
            problems.append(
                f"collimation_rows = {self.collimation_rows} is not one of {_listed(scanner.collimations_rows)}"
            )
        if self.mode == "helical" and not scanner.smallest_pitch <= self.pitch <= scanner.largest_pitch:
            problems.append(f"pitch = {self.pitch} is outside {scanner.smallest_pitch} to {scanner.largest_pitch}")
        if self.rotation_s not in scanner.rotation_times_s:
            problems.append(f"rotation_s = {self.rotation_s} s is not one of {_listed(scanner.rotation_times_s)}")
        problems += self._current_problems(scanner)
        for field, choices in (
            ("bowtie", scanner.bowties),
            ("focal_spot", scanner.focal_spots),
            ("flying_focal_spot", scanner.flying_focal_spots),
            ("spectral_filter", scanner.spectral_filters),
        ):
            chosen, names = getattr(self, field), [choice.name for choice in choices]
            if chosen is not None and chosen not in names:
                problems.append(f"{field} = {chosen!r} is not one of {_listed(names) or 'none'}")
            elif field == "spectral_filter" and chosen is not None:
                allowed = next(f.kvp_stations for f in scanner.spectral_filters if f.name == chosen)
                if self.kvp not in allowed:
                    problems.append(f"kvp = {self.kvp} kV cannot be used with {chosen} ({_listed(allowed)})")
        if problems:
            raise ValueError(f"protocol {self.name!r} is impossible on {scanner.name}: " + "; ".join(problems))

    def _current_problems(self, scanner: Scanner) -> list[str]:
        problems = []
        low, high = current_limits_ma(scanner, self)
        current = self.mas_per_rotation / self.rotation_s
        if not low * (1 - 1e-9) <= current <= high * (1 + 1e-9):
            problems.append(
                f"mas_per_rotation = {self.mas_per_rotation} mAs in {self.rotation_s} s needs {current:.0f} mA, "
                f"the tube gives {low:g} to {high:g} mA"
            )
        style = self.tube_current
        if isinstance(style, NoiseIndex | TargetSd) and style.smallest_ma is not None:
            most = min(current, high)
            if not low <= style.smallest_ma <= most:
                problems.append(
                    f"tube_current.smallest_ma = {style.smallest_ma} mA is outside {low:g} to {most:g} mA "
                    "(generator, mas_per_rotation / rotation_s)"
                )
        return problems


def current_limits_ma(scanner: Scanner, acquisition: Acquisition) -> tuple[float, float]:
    """Smallest and largest tube current [mA]: of the generator, and of the focal spot where it is known there."""
    names = [spot.name for spot in scanner.focal_spots]
    chosen = acquisition.focal_spot
    spot = scanner.focal_spots[0 if chosen is None or chosen not in names else names.index(chosen)]
    largest = scanner.largest_tube_current_ma
    return scanner.smallest_tube_current_ma, largest if spot.largest_ma is None else min(largest, spot.largest_ma)


def _listed(values: object) -> str:
    return ", ".join(str(value) for value in values)  # type: ignore[attr-defined]
