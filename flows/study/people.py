"""Who is scanned in a study, when, and which nodules grow in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from lesions import Nodule
from lesions.cohorts import COHORTS
from lesions.growth import Growth
from twins import Patient, TwinSpec
from twins.cohorts import COHORTS as PEOPLE
from twins.specfile import suggestion

from .base import Frozen, Identifier
from .design import Design
from .partial import partial

SIZES = ("equivalent_diameter_mm", "volume_mm3", "mean_diameter_mm")
"""The fields of a nodule that give its size: where none is given, the nodule is drawn."""


def whole_nodule(fields: dict[str, Any]) -> Nodule:
    """The nodule of given fields, with a stand-in for id, key and size where they are left out; raises ValueError."""
    fields = {name: value for name, value in fields.items() if name != "growth"}
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
        """A Nodule of which each field may be left out, and how it grows between visits."""

        growth: Growth | None

else:
    TwinFields = partial(TwinSpec, "TwinFields")
    _GROWTH = Field(default=None, description="How it changes between visits; none: drawn, by its label [spec]")
    NoduleFields = partial(Nodule, "NoduleFields", check=whole_nodule, more={"growth": (Growth | None, _GROWTH)})


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


class Visit(Frozen):
    """One time at which a person is scanned."""

    day: float = Field(ge=0, le=11_000, description="Days since the first visit [days]")
    scans: tuple[Identifier, ...] | None = Field(
        default=None, min_length=1, description="Scans of the study that are made then; none: the entry's [ids]"
    )
    aged: bool = Field(
        default=True,
        description="Whether the person is older and holds another breath than at the first visit, if this is a later "
        "one; false: the very same anatomy, and only the nodules change [bool]",
    )


class Like(Frozen):
    """What a resolved twin was drawn from, whole, and is compared with as one of many."""

    people: str | None = Field(default=None, description="Cohort of persons [name]")
    cohort: str | None = Field(default=None, description="Cohort of nodules [name]")
    counts: bool = Field(default=False, description="Whether the number of nodules is the cohort's as well [bool]")
    diameter_mm: tuple[float, float] = Field(default=(3.0, 30.0), description="Range of drawn diameters [mm]")


class TwinEntry(Frozen):
    """One twin of a study, or ``count`` twins drawn alike, and the nodules that grow in each.

    The last fields are those of a resolved study: every case has an entry of its own there.
    """

    id: Identifier = Field(description="Name, unique in the study [text]")
    count: int = Field(default=1, ge=1, le=100_000, description="Twins drawn from this entry; ids get a number [1]")
    first: int | None = Field(
        default=None, ge=1, le=100_000, description="Only the first so many of them; none: all [1]"
    )
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

    scans: tuple[Identifier, ...] | None = Field(
        default=None, min_length=1, description="Scans of the study that its twins get; none: all [ids]"
    )
    without: Literal["all", "each"] | None = Field(
        default=None,
        description="Counterfactuals: scan every twin again without any nodule (all), or as often as it has nodules, "
        "without one of them (each); anatomy, places and noise are those of the scan with all [name]",
    )
    visits: tuple[Visit, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=99,
        description="Times at which every twin is scanned; the first is day 0 [specs]",
    )
    person: Identifier | None = Field(
        default=None, description="Whose chance it shares, where several cases are one person; none: its own [id]"
    )
    like: Like | None = Field(default=None, description="What the twin was drawn from, whole [spec]")
    left_out: tuple[str, ...] = Field(
        default=(), description="Nodules that have their place, but are not there: those of a counterfactual [ids]"
    )
    visit: int | None = Field(default=None, ge=1, le=99, description="Number of the visit [1]")
    days: tuple[float, ...] = Field(default=(), description="Days of all visits, to leave room for growth [days]")
    at_first: TwinFields | None = Field(
        default=None, description="The person at the first visit, where the anatomy differs from it now [spec]"
    )

    @field_validator("visits")
    @classmethod
    def _visits_follow(cls, value: tuple[Visit, ...] | None) -> tuple[Visit, ...] | None:
        days = [visit.day for visit in value or ()]
        if days and (days[0] != 0 or days != sorted(days)):
            raise ValueError(f"visits must begin at day 0 and follow one another, got days {days}")
        return value

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
        if self.visits is not None and self.without is not None:
            raise ValueError("without: cannot be combined with 'visits'")
        if self.patient is not None and any(visit.aged and k for k, visit in enumerate(self.visits or ())):
            raise ValueError("visits: a patient twin cannot be aged; give aged: false")
        if self.person is not None and self.count != 1:
            raise ValueError(f"person: names one person, but count is {self.count}")
        if self.visit is not None and self.visit > len(self.days):
            raise ValueError(f"visit: {self.visit} of {len(self.days)} days")
        if len(self.nodules) + (self.drawn_nodules or 0) > 250:
            raise ValueError("at most 250 nodules a twin: instance masks are uint8")
        ids = [nodule.id for nodule in self.nodules if getattr(nodule, "id", None) is not None]  # type: ignore[attr-defined]
        if len(set(ids)) != len(ids):
            raise ValueError(f"nodules: ids must differ, got {ids}")
        return self


def is_table(cohort: str) -> bool:
    """Whether an entry's ``cohort`` means a file rather than a cohort that comes with the package."""
    return "/" in cohort or cohort.endswith(".csv")


def is_file_of_margins(people: str) -> bool:
    """Whether an entry's ``people`` means a file rather than a cohort that comes with the package."""
    return "/" in people or people.endswith((".csv", ".yaml", ".yml"))
