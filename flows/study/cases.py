"""A case: one twin at one time with its nodules and scans, all that a build needs to make it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ctsim import Kernel, Protocol, Sampling, Scanner
from lesions import Nodule
from lesions.growth import Growth
from twins import TwinSpec

from .people import PatientEntry


@dataclass(frozen=True, slots=True)
class Scan:
    """One image to be made.

    Parameters
    ----------
    image_id
        Name of its files: ``TWIN_SCAN``.
    scan_id, profile, protocol_name
        Where it comes from in the study.
    scanner, protocol, sampling, kernel
        What fixes it.
    raw
        Name of its raw data: scans of a case that share it and their group are reconstructions of one acquisition.
    key
        Fixes its noise.
    host_grid
        Whether a patient twin is reconstructed on its own CT's voxels.
    group
        Scans of one twin with the same ``group`` share one exposure: all but dose and reconstruction is equal.
    exposure_s, detection_s, image_s
        Rough time of the exposure (of the nodules' shadows alone, where an earlier case has the base), of the noise and
        corrections, and of the image with them unless an earlier scan has the raw data [s].
    memory_bytes
        Rough memory at the peak.
    """

    image_id: str
    scan_id: str
    profile: str
    protocol_name: str
    scanner: Scanner
    protocol: Protocol
    sampling: Sampling
    kernel: Kernel
    raw: str
    key: int
    host_grid: bool
    group: str
    exposure_s: float
    detection_s: float
    image_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """One twin with its nodules and scans; cases are independent of each other.

    Cases with the same twin before nodules also have the same exposures, but for the nodules' shadows: ``base_twin`` is
    the id of the first of them in the plan, ``base_anatomy`` the name of its twin's file, ``base_comes_again`` whether
    there is one after this. Several cases may be one ``person``: designs with several groups of nodules,
    counterfactuals without some of them (``left_out``), visits.
    """

    twin_id: str
    person: str
    base_twin: str
    base_anatomy: str
    base_comes_again: bool
    population: TwinSpec | None
    at_first: TwinSpec | None
    patient: PatientEntry | None
    spacing_mm: float
    nodules: tuple[Nodule, ...]
    growths: tuple[Growth | None, ...]
    left_out: tuple[str, ...]
    visit: int | None
    days: tuple[float, ...]
    scans: tuple[Scan, ...]
    placement_key: int
    growth_key: int
    label_key: int
    label_model: str
    label_impute: str | None
    label_mode: str
    label_threshold: float | None
    label_draws: int
    label_shift: float
    label_visible_only: bool
    anatomy: bool
    twin_s: float

    @property
    def kind(self) -> str:
        """``population`` or ``patient``."""
        return "population" if self.patient is None else "patient"

    @property
    def base_came_before(self) -> bool:
        """Whether an earlier case has the same twin before nodules."""
        return self.base_twin != self.twin_id

    @property
    def anatomy_id(self) -> str:
        """Name of the twin's file: the person's, or the case's own where the anatomy is that of a later visit."""
        return self.person if self.at_first is None else self.twin_id

    @property
    def day(self) -> float | None:
        """Days since the first visit; None without visits [days]."""
        return None if self.visit is None else self.days[self.visit - 1]

    @property
    def home(self) -> Case:
        """The person at the first visit, whose places and labels hold at all visits; the case itself without visits."""
        if self.visit is None:
            return self
        return replace(
            self,
            twin_id=(name := self.twin_id.removesuffix(f"-v{self.visit}")),
            base_twin=name,
            base_anatomy=self.person,
            base_comes_again=False,
            population=self.at_first or self.population,
            at_first=None,
            visit=None,
            scans=(),
        )
