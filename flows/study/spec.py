"""The study: one frozen spec that says everything about a dataset; with the seed, its bytes follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ctsim import Profile, Sampling
from lesions import Nodule
from lesions.cohorts import COHORTS
from twins import Patient, TwinSpec
from twins.cohorts import COHORTS as PEOPLE
from twins.specfile import suggestion

from .design import Design
from .partial import partial

SIZES = ("equivalent_diameter_mm", "volume_mm3", "mean_diameter_mm")
"""The fields of a nodule that give its size: where none is given, the nodule is drawn."""


def whole_nodule(fields: dict[str, Any]) -> Nodule:
    """The nodule of given fields, with a stand-in for id, key and size where they are left out; raises ValueError."""
    stand_in: dict[str, Any] = {"id": "nodule", "key": 0}
    if not any(name in fields for name in SIZES):
        stand_in["equivalent_diameter_mm"] = 20.0
    try:
        return Nodule(**{**stand_in, **fields})
    except ValidationError as error:
        raise ValueError("; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())) from None


if TYPE_CHECKING:

    class TwinFields(BaseModel):
        """A TwinSpec of which each field may be left out."""

    class NoduleFields(BaseModel):
        """A Nodule of which each field may be left out."""

else:
    TwinFields = partial(TwinSpec, "TwinFields")
    NoduleFields = partial(Nodule, "NoduleFields", check=whole_nodule)

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?$")]
"""Lower case, digits, dashes and underscores: ids become file names."""

Fidelity = Literal["preview", "standard", "full"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class PatientEntry(Patient):
    """A patient twin: a person's own CT, or the twin file made of it, and what is known about the person."""

    file: Path | None = Field(default=None, description="Twin file (.h5), relative to the study file [path]")
    ct: Path | None = Field(
        default=None,
        description="The CT that the twin comes from, relative to the study file; the twin is made of it where no file "
        "is named, and the report shows it beside the scans [path]",
    )
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="Digest that the twin file must have [hex]"
    )

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.file is None and self.ct is None:
            raise ValueError("needs 'file' (a twin file) or 'ct' (a chest CT)")
        if self.sha256 is not None and self.file is None:
            raise ValueError("sha256 belongs to 'file', which is not given")
        return self

    def person(self) -> Patient:
        """What is known about the person, without the files."""
        return Patient(**{name: getattr(self, name) for name in Patient.model_fields})


class TwinEntry(_Frozen):
    """One twin of a study, or ``count`` twins drawn alike, and the nodules that grow in each."""

    id: Identifier = Field(description="Name, unique in the study [text]")
    count: int = Field(default=1, ge=1, le=100_000, description="Twins drawn from this entry; ids get a number [1]")
    population: TwinFields | None = Field(
        default=None, description="Fields of a TwinSpec; those left out are drawn [spec]"
    )
    people: str | None = Field(
        default=None,
        min_length=1,
        description="Cohort that population twins are drawn from: nlst (unless given), general, copd, uniform, or a "
        "YAML or CSV file of margins relative to the study file [name or path]",
    )
    patient: PatientEntry | None = Field(default=None, description="A patient twin instead [spec]")
    nodules: tuple[NoduleFields, ...] = Field(
        default=(), max_length=250, description="Nodules; type and size are drawn where left out [specs]"
    )
    drawn_nodules: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Nodules drawn whole, besides those listed; none: where a cohort is named as many as one of its "
        "people has, else 0 [1]",
    )
    cohort: str | None = Field(
        default=None,
        min_length=1,
        description="Cohort that nodules are drawn from, with its lobes where the twin knows lobes: lidc, "
        "lidc_consensus, screening, incidental_uk, uniform_log, or a CSV file relative to the study file; none: lidc, "
        "anywhere in the lungs [text]",
    )
    drawn_diameter_mm: tuple[float, float] = Field(
        default=(3.0, 30.0), description="Smallest and largest equivalent diameter of drawn nodules [mm]"
    )
    design: Design | None = Field(
        default=None, description="Nodules of a virtual trial instead, crossed with the entry's twins [spec]"
    )

    @field_validator("cohort")
    @classmethod
    def _cohort_is_known(cls, value: str | None) -> str | None:
        if value is not None and not is_table(value) and value not in COHORTS:
            raise ValueError(f"unknown cohort {value!r}{suggestion(value, COHORTS)}")
        return value

    @field_validator("people")
    @classmethod
    def _people_are_known(cls, value: str | None) -> str | None:
        if value is not None and not is_file_of_margins(value) and value not in PEOPLE:
            raise ValueError(f"unknown cohort of persons {value!r}{suggestion(value, PEOPLE)}")
        return value

    @field_validator("drawn_diameter_mm")
    @classmethod
    def _range_grows(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 3.0 <= value[0] < value[1] <= 40.0:
            raise ValueError(f"drawn_diameter_mm must be a growing range within 3 to 40 mm, got {value}")
        return value

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.design is not None and (self.nodules or self.drawn_nodules is not None):
            raise ValueError("design: brings its own nodules; 'nodules' and 'drawn_nodules' must be left out")
        if (self.population is None) == (self.patient is None):
            raise ValueError("needs exactly one of 'population' and 'patient'")
        if self.people is not None and self.population is None:
            raise ValueError("people: persons are drawn for 'population', which is not given")
        if self.patient is not None and self.count != 1:
            raise ValueError(f"count: a patient twin is one person, got {self.count}")
        if len(self.nodules) + (self.drawn_nodules or 0) > 250:
            raise ValueError("at most 250 nodules a twin: instance masks are uint8")
        ids = [nodule.id for nodule in self.nodules if getattr(nodule, "id", None) is not None]  # type: ignore[attr-defined]
        if len(set(ids)) != len(ids):
            raise ValueError(f"nodules: ids must differ, got {ids}")
        return self


class ScanEntry(_Frozen):
    """One scan that every twin of the study gets: a protocol of a profile, with what is chosen otherwise."""

    id: Identifier | None = Field(default=None, description="Name, unique in the study; default: the protocol's [text]")
    profile: str = Field(min_length=1, description="Profile name, or a YAML file relative to the study file [text]")
    protocol: str = Field(min_length=1, description="Name of a protocol in the profile [text]")
    sampling: Fidelity | Sampling | None = Field(
        default=None, description="Simulation fidelity of this scan; default: the study's [name or spec]"
    )
    kvp: int | None = Field(default=None, ge=70, le=150, description="Tube potential instead of the protocol's [kV]")
    mas_per_rotation: float | None = Field(
        default=None, gt=0, le=2000, description="Tube current x rotation time instead of the protocol's [mAs]"
    )
    pitch: float | None = Field(default=None, gt=0, le=1.5, description="Helical pitch instead of the protocol's [1]")
    spectral_filter: str | None = Field(default=None, description="Spectral filter of the scanner, e.g. Sn [name]")
    flying_focal_spot: str | None = Field(default=None, description="Deflection of the scanner's focal spot [name]")
    bowtie: str | None = Field(default=None, description="Bowtie of the scanner instead of the protocol's [name]")
    scan_range_mm: tuple[float, float] | None = Field(
        default=None, description="World z range to be imaged, instead of the lungs [mm]"
    )
    kernel: str | None = Field(default=None, description="Kernel of the profile instead of the protocol's [name]")
    iterative_strength: int | None = Field(
        default=None, ge=0, le=5, description="Strength of the iterative mode; 0: filtered back projection [1]"
    )
    fov_mm: float | None = Field(default=None, ge=50, le=800, description="Reconstructed field of view [mm]")
    matrix: int | None = Field(default=None, ge=16, le=2048, description="Voxels along each side of a slice [1]")
    slice_thickness_mm: float | None = Field(default=None, gt=0, le=20, description="Slice thickness [mm]")
    increment_mm: float | None = Field(default=None, gt=0, le=20, description="Distance of slices [mm]")
    host_grid: bool = Field(
        default=True, description="Reconstruct patient twins on the voxels of their own CT, not the protocol's [bool]"
    )

    @property
    def name(self) -> str:
        """The id, or the protocol's name where none is given."""
        return self.id or self.protocol

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if not is_file_name(self.profile):
            from ctsim import load_profile, profile_names

            if self.profile not in profile_names():
                raise ValueError(
                    f"profile: unknown profile {self.profile!r}{suggestion(self.profile, profile_names())}"
                )
            check_against(self, load_profile(self.profile))
        return self


class Outputs(_Frozen):
    """What is written besides images, masks, twins, truth and tables."""

    anatomy: bool = Field(default=True, description="Anatomy labels on the geometry of each image [bool]")
    report: bool = Field(default=True, description="report/index.html with pictures [bool]")


class StudySpec(_Frozen):
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
        return self


def is_table(cohort: str) -> bool:
    """Whether an entry's ``cohort`` means a file rather than a cohort that comes with the package."""
    return "/" in cohort or cohort.endswith(".csv")


def is_file_of_margins(people: str) -> bool:
    """Whether an entry's ``people`` means a file rather than a cohort that comes with the package."""
    return "/" in people or people.endswith((".csv", ".yaml", ".yml"))


def is_file_name(profile: str) -> bool:
    """Whether a scan's ``profile`` means a file rather than a profile that comes with the package."""
    return "/" in profile or profile.endswith((".yaml", ".yml"))


def check_against(scan: ScanEntry, profile: Profile) -> None:
    """Raise ValueError where ``scan`` asks for a protocol or kernel that ``profile`` does not have."""
    protocols = sorted(protocol.name for protocol in profile.protocols)
    if scan.protocol not in protocols:
        raise ValueError(
            f"protocol: {scan.profile!r} has no protocol {scan.protocol!r}{suggestion(scan.protocol, protocols)}"
        )
    kernels = sorted(kernel.name for kernel in profile.kernels)
    if scan.kernel is not None and scan.kernel not in kernels:
        raise ValueError(
            f"kernel: profile {scan.profile!r} has no kernel {scan.kernel!r}{suggestion(scan.kernel, kernels)}"
        )
