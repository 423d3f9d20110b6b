"""The tube: focal spots, how they fly, and the filters that can be put before it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from twins import Material, material


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


class SpectralFilter(BaseModel):
    """A filter that a protocol can ask for beside the inherent ones, e.g. 0.6 mm of tin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name that a protocol refers to, e.g. Sn")
    layers: tuple[Layer, ...] = Field(min_length=1, description="Its layers")
    kvp_stations: tuple[int, ...] = Field(min_length=1, description="Tube potentials it can be used with [kV]")


class FocalSpot(BaseModel):
    """Where the X-rays come from: a spot of finite size on the anode, as seen from the isocentre.

    ``width_mm`` and ``length_mm`` are full widths: of a uniform spot its edges, of a Gaussian its half maximum.
    Along z the anode's slope moves each point of the spot radially too (:func:`radial_shift_mm`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name that a protocol refers to, e.g. small, large")
    width_mm: float = Field(ge=0, le=5, description="In-plane full width seen from the isocentre [mm]")
    length_mm: float = Field(ge=0, le=5, description="Full length along z seen from the isocentre [mm]")
    shape: Literal["gaussian", "uniform"] = Field("gaussian", description="Intensity over the spot")
    largest_ma: float | None = Field(None, gt=0, le=2000, description="Largest tube current with this spot [mA]")


class FlyingFocalSpot(BaseModel):
    """A spot that the tube deflects from view to view, in a cycle.

    Raises
    ------
    ValueError
        If the two lists have not the same length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name that a protocol refers to, e.g. z, in_plane, both")
    tangential_mm: tuple[float, ...] = Field(
        min_length=2, max_length=4, description="In-plane deflection of successive views, along growing beta [mm]"
    )
    axial_mm: tuple[float, ...] = Field(
        min_length=2, max_length=4, description="Deflection along z of successive views [mm]"
    )

    @model_validator(mode="after")
    def _is_a_cycle(self) -> FlyingFocalSpot:
        if len(self.tangential_mm) != len(self.axial_mm):
            raise ValueError(
                f"axial_mm must have one value per tangential_mm, got {len(self.axial_mm)} and "
                f"{len(self.tangential_mm)}"
            )
        return self


def radial_shift_mm(axial_mm: float, anode_angle_deg: float) -> float:
    """How far a spot comes towards the isocentre when it moves along z on the slanted anode [mm].

    The anode lies on the side of growing z (design default) and its slope falls away from the patient's axis by the
    anode angle, so that a spot moved by ``axial_mm`` comes ``axial_mm / tan(anode angle)`` closer.
    """
    return axial_mm / math.tan(math.radians(anode_angle_deg))
