"""The study: one frozen spec that says everything about a dataset; with the seed, its bytes follow from it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ctsim import Sampling
from twins.specfile import suggestion

from .base import Frozen, Identifier
from .people import TwinEntry
from .scans import Fidelity, ScanEntry


class Outputs(Frozen):
    """What is written besides images, masks, twins, truth and tables."""

    anatomy: bool = Field(default=True, description="Anatomy labels on the geometry of each image [bool]")
    report: bool = Field(default=True, description="report/index.html with pictures [bool]")


class Preview(Frozen):
    """A small, coarse version of a study, to see in minutes what it will be."""

    twins: int = Field(default=1, ge=1, le=1000, description="At most so many twins of an entry [1]")
    twin_spacing_mm: float = Field(default=4.0, ge=0.4, le=8.0, description="Voxel spacing of population twins [mm]")
    sampling: Sampling = Field(
        default=Sampling(views_per_rotation=96, column_binning=4, row_binning=8, rays_per_reading=1),
        description="Simulation fidelity of all scans [spec]",
    )
    matrix: int = Field(default=128, ge=16, le=2048, description="Most voxels along each side of a slice [1]")
    slice_mm: float = Field(
        default=5.0, gt=0, le=20, description="Least thickness of slices, and their distance in all scans [mm]"
    )


class StudySpec(Frozen):
    """Everything that a dataset is made of."""

    name: Identifier = Field(description="Name of the dataset [text]")
    question: str = Field(default="", max_length=2000, description="What the dataset is made to answer [text]")
    seed: int = Field(ge=0, lt=2**63, description="From which, with the ids, all chance follows [1]")
    twin_spacing_mm: float = Field(default=1.0, ge=0.4, le=8.0, description="Voxel spacing of population twins [mm]")
    sampling: Fidelity | Sampling = Field(
        default="standard",
        description="Simulation fidelity: preview, standard, full, or explicit numbers [name or spec]",
    )
    twins: tuple[TwinEntry, ...] = Field(min_length=1, description="Who is scanned [specs]")
    scans: tuple[ScanEntry, ...] = Field(min_length=1, description="How each twin is scanned [specs]")
    label_model: str = Field(default="brock-2b", description="Risk model that labels the nodules [id]")
    label_impute: Literal["reference"] | None = Field(
        default=None,
        description="What to do about covariates that are not known: refuse, or the reference value [name]",
    )
    label_mode: Literal["bernoulli", "threshold", "soft"] = Field(
        default="bernoulli",
        description="Draw labels with the model's probability; cut them at a threshold (for ablations: they are then a "
        "function of the covariates); or none, the probability alone [name]",
    )
    label_threshold: float | None = Field(
        default=None, gt=0, lt=1, description="Malignant from this probability on, for mode threshold [1]"
    )
    label_draws: int = Field(default=1, ge=1, le=1000, description="Sets of labels drawn; the first is the label [1]")
    label_shift: float = Field(
        default=0.0,
        ge=-20,
        le=20,
        description="Added to all log odds, to change the prevalence (labeling.shift_to finds it) [1]",
    )
    label_visible_only: bool = Field(
        default=False,
        description="Hold what no image shows (age, sex, family history, smoking) at the model's reference [bool]",
    )
    outputs: Outputs = Field(default=Outputs(), description="What is written besides [spec]")
    preview: Preview | None = Field(
        default=Preview(), description="What `--preview` makes of it; none in a preview itself [spec]"
    )

    @field_validator("label_model")
    @classmethod
    def _model_is_known(cls, value: str) -> str:
        from labeling import models

        if value not in models():
            raise ValueError(f"unknown risk model {value!r}{suggestion(value, models('nodule'))}")
        if value not in models("nodule"):
            raise ValueError(
                f"{value!r} is a model of participants, not of nodules; known: {', '.join(models('nodule'))}"
            )
        return value

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if (self.label_mode == "threshold") != (self.label_threshold is not None):
            raise ValueError(
                f"label_threshold must be given for label_mode threshold and only for it, got {self.label_threshold} "
                f"for {self.label_mode}"
            )
        if self.label_draws > 1 and self.label_mode != "bernoulli":
            raise ValueError(f"label_draws must be 1 for label_mode {self.label_mode}, got {self.label_draws}")
        return self

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        for what, ids in (("twins", [twin.id for twin in self.twins]), ("scans", [scan.name for scan in self.scans])):
            twice = sorted({name for name in ids if ids.count(name) > 1})
            if twice:
                raise ValueError(f"{what}: ids must differ, {', '.join(twice)} occurs more than once")
        known = [scan.name for scan in self.scans]
        for twin in self.twins:
            for place, chosen in (
                ("scans", twin.scans),
                *((f"visits.{k}.scans", v.scans) for k, v in enumerate(twin.visits or ())),
            ):
                for name in chosen or ():
                    if name not in known:
                        raise ValueError(f"twins.{twin.id}.{place}: no scan {name!r}{suggestion(name, known)}")
        return self
