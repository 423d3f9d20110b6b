"""Automatic exposure control: what an operator asks of it, in the words of each vendor.

What ``Protocol.mas_per_rotation`` means depends on the style:

| style | ``mas_per_rotation`` |
|---|---|
| ``fixed`` | the mAs of every rotation |
| ``reference_mas`` (Siemens CARE Dose4D) | that of a patient of the reference diameter: quality reference mAs x pitch |
| ``dose_right_index`` (Philips DoseRight) | that of a patient of the reference diameter at the reference index |
| ``noise_index`` (GE Auto mA, Smart mA), ``target_sd`` (Canon SUREExposure) | the most that any rotation may get |

``modulation`` says what is adapted: the mean of a rotation to the patient's size along z (longitudinal), the views of a
rotation to its shape (angular, its mean the scan's mean), or both. Along a rotation mA ~ exp(p / 2) with p the
attenuation of the central ray, which gives the least noise for the same mAs (Gies et al., Med Phys 26 (1999) 2235,
doi:10.1118/1.598779). What becomes of it: :mod:`ctsim.tube_current`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from .recon.kernels import Kernel

Strength = Literal["very_weak", "weak", "average", "strong", "very_strong"]

EXPONENT: dict[Strength, float] = {
    "very_weak": 0.2,
    "weak": 0.35,
    "average": 0.5,
    "strong": 0.65,
    "very_strong": 0.8,
}
"""k in mAs ~ exp(k p) for each strength [1]. The vendor states only the limits, constant dose (0) and constant noise
(1), and the order; the steps between them are estimated, around the 0.5 that is best within a rotation."""


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FixedCurrent(_Spec):
    """The same tube current in every view."""

    style: Literal["fixed"] = Field("fixed", description="No modulation")


class _Modulated(_Spec):
    modulation: Literal["angular", "longitudinal", "both"] = Field(
        "both", description="Whether the current follows the shape within a rotation, the size along z, or both"
    )


class ReferenceMas(_Modulated):
    """Image quality relative to a reference patient, as CARE Dose4D: ``mas = mas_ref exp(k (p - p_ref))``.

    k differs between patients below and above the reference (slim and obese branch).
    """

    style: Literal["reference_mas"] = Field("reference_mas", description="Siemens CARE Dose4D")
    slim: Strength = Field("average", description="How strongly the current falls for slim patients")
    obese: Strength = Field("average", description="How strongly the current rises for obese patients")
    reference_diameter_mm: float = Field(
        300.0, ge=100, le=500, description="Water-equivalent diameter of the reference patient, couch included [mm]"
    )


class DoseRightIndex(_Modulated):
    """An index of image quality, as DoseRight: ``mas = mas_ref (1 + step)^(index - reference) exp(k (p - p_ref))``."""

    style: Literal["dose_right_index"] = Field("dose_right_index", description="Philips DoseRight")
    index: float = Field(ge=1, le=60, description="DoseRight index asked for [1]")
    reference_index: float = Field(ge=1, le=60, description="Index that mas_per_rotation belongs to [1]")
    step: float = Field(0.12, ge=0.01, le=0.5, description="Growth of the mAs per index [1]")
    exponent: float = Field(0.5, ge=0, le=1, description="k: 0 constant dose, 1 constant noise [1]")
    reference_diameter_mm: float = Field(
        330.0, ge=100, le=500, description="Water-equivalent diameter of the reference patient, couch included [mm]"
    )


class _NoiseAsked(_Modulated):
    kernel: Kernel = Field(description="Kernel that the noise is meant for, whatever the images are made with")
    slice_thickness_mm: float | None = Field(
        None, ge=0.25, le=20, description="Slice thickness that it is meant for [mm]; none: the protocol's"
    )
    smallest_ma: float | None = Field(
        None, gt=0, le=2000, description="Smallest tube current allowed [mA]; none: the generator's"
    )


class NoiseIndex(_NoiseAsked):
    """Constant noise, as GE's Auto mA (longitudinal) and Smart mA (both).

    Noise is the standard deviation in the middle of a water ellipse that attenuates as the patient does, by filtered
    back projection.
    """

    style: Literal["noise_index"] = Field("noise_index", description="GE Auto mA, Smart mA")
    noise_index_hu: float = Field(ge=1, le=200, description="Standard deviation asked for [HU]")

    @property
    def asked_hu(self) -> float:
        """Standard deviation asked for [HU]."""
        return self.noise_index_hu


class TargetSd(_NoiseAsked):
    """Constant noise, as Canon's SUREExposure; noise as in :class:`NoiseIndex`."""

    style: Literal["target_sd"] = Field("target_sd", description="Canon SUREExposure")
    sd_hu: float = Field(ge=1, le=200, description="Standard deviation asked for [HU]")

    @property
    def asked_hu(self) -> float:
        """Standard deviation asked for [HU]."""
        return self.sd_hu


TubeCurrent = Annotated[
    FixedCurrent | ReferenceMas | DoseRightIndex | NoiseIndex | TargetSd, Field(discriminator="style")
]
"""How the tube current follows the patient; ``style`` tells which."""
