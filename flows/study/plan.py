"""The plan: one row per image, grouped in cases (one twin each), with rough figures of time and disk."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from ctsim import Kernel, Profile, Protocol, Sampling, Scanner, load_profile
from ctsim.plan import TYPICAL, Rates
from lesions import Nodule
from twins import TwinSpec
from twins.specfile import SpecError

from .estimate import BUILDING_BYTES, FINISHING_S, image_mb, image_s, n_threads, nodules_s, scan_plan, twin_mb, twin_s
from .keys import make_key
from .partial import given
from .resolution import protocol_of, resolve, sampling_of
from .spec import PatientEntry, ScanEntry, StudySpec, TwinEntry

ADDED_SHARE = 0.05
"""Time to add a set of nodules to the exposure of their base, per time of that exposure (measured, rough)."""


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
    key
        Fixes its noise.
    host_grid
        Whether a patient twin is reconstructed on its own CT's voxels.
    group
        Scans of one twin with the same ``group`` share one exposure: all but dose and reconstruction is equal.
    exposure_s, image_s
        Rough time of the exposure (of the nodules' shadows alone, where an earlier case has the base) and of the image
        [s].
    """

    image_id: str
    scan_id: str
    profile: str
    protocol_name: str
    scanner: Scanner
    protocol: Protocol
    sampling: Sampling
    kernel: Kernel
    key: int
    host_grid: bool
    group: str
    exposure_s: float
    image_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """One twin with its nodules and scans; cases are independent of each other.

    Cases with the same twin before nodules also have the same exposures, but for the nodules' shadows: ``base_twin`` is
    the id of the first of them in the plan, ``base_comes_again`` whether there is one after this.
    """

    twin_id: str
    base_twin: str
    base_comes_again: bool
    population: TwinSpec | None
    patient: PatientEntry | None
    spacing_mm: float
    nodules: tuple[Nodule, ...]
    scans: tuple[Scan, ...]
    placement_key: int
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
        return "population" if self.population is not None else "patient"

    @property
    def base_came_before(self) -> bool:
        """Whether an earlier case has the same twin before nodules."""
        return self.base_twin != self.twin_id


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One image of the plan table."""

    image_id: str
    twin_id: str
    kind: str
    scan_id: str
    profile: str
    protocol: str
    kvp: float
    mas_per_rotation: float
    kernel: str
    n_nodules: int
    exposure_group: str
    scan_key: int
    estimated_s: float
    estimated_mb: float
    estimated_memory_mb: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build will do.

    Parameters
    ----------
    study
        The resolved study.
    cases
        One per twin.
    rows
        One per image.
    """

    study: StudySpec
    cases: tuple[Case, ...]
    rows: tuple[PlanRow, ...]

    @property
    def estimated_s(self) -> float:
        """Rough time on the threads of this process, all work new [s]."""
        return FINISHING_S + sum(row.estimated_s for row in self.rows)

    @property
    def estimated_memory_mb(self) -> float:
        """Rough memory at its peak [MB]."""
        return max((row.estimated_memory_mb for row in self.rows), default=0.0)

    @property
    def estimated_mb(self) -> float:
        """Rough size on disk [MB]."""
        return sum(row.estimated_mb for row in self.rows)

    def csv(self) -> str:
        """The table as CSV text, one row per image."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(PlanRow.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        return text.getvalue()


def make_plan(study: StudySpec, *, rates: Rates = TYPICAL) -> Plan:
    """The plan of a study, which is resolved first.

    Parameters
    ----------
    study
        The study.
    rates
        Of the machine, for its estimates (:func:`flows.study.rates.measure_rates`).

    Raises
    ------
    SpecError
        See :func:`flows.study.resolve`.
    """
    study = resolve(study)
    profiles = {scan.profile: load_profile(scan.profile) for scan in study.scans}
    cases, rows = [], []
    bases = [_base(entry, study.twin_spacing_mm) for entry in study.twins]
    for number, (entry, base) in enumerate(zip(study.twins, bases, strict=True)):
        base_twin = study.twins[bases.index(base)].id
        known = base_twin != entry.id
        scans = tuple(_scan(entry.id, scan, profiles[scan.profile], study, rates, known=known) for scan in study.scans)
        population = None if entry.population is None else TwinSpec(**given(entry.population))
        nodules = tuple(Nodule(**given(nodule)) for nodule in entry.nodules)
        case = Case(
            twin_id=entry.id,
            base_twin=base_twin,
            base_comes_again=base in bases[number + 1 :],
            population=population,
            patient=entry.patient,
            spacing_mm=study.twin_spacing_mm,
            nodules=nodules,
            scans=scans,
            placement_key=make_key(study.seed, "twin", entry.id, "placement"),
            label_key=make_key(study.seed, "twin", entry.id, "label"),
            label_model=study.label_model,
            label_impute=study.label_impute,
            label_mode=study.label_mode,
            label_threshold=study.label_threshold,
            label_draws=study.label_draws,
            label_shift=study.label_shift,
            label_visible_only=study.label_visible_only,
            anatomy=study.outputs.anatomy,
            twin_s=nodules_s(len(nodules))
            + (0.0 if known else twin_s("patient" if population is None else "population", study.twin_spacing_mm)),
        )
        cases.append(case)
        rows += _rows(case)
    images = Counter(row.image_id for row in rows)
    if twice := sorted(name for name, n in images.items() if n > 1):
        raise SpecError(f"{study.name}: ids of twins and scans join to the same image names: {', '.join(twice)}")
    return Plan(study, tuple(cases), tuple(rows))


def _base(entry: TwinEntry, spacing_mm: float) -> str:
    """Short digest of all that a resolved twin is made of before nodules."""
    from ..store import canonical

    source = entry.population or entry.patient
    assert source is not None
    account = [type(source).__name__, source.model_dump(mode="json"), spacing_mm]
    return sha256(canonical(account)).hexdigest()[:12]


def _scan(twin: str, entry: ScanEntry, profile: Profile, study: StudySpec, rates: Rates, *, known: bool) -> Scan:
    protocol = protocol_of(entry, profile)
    sampling = sampling_of(study.sampling if entry.sampling is None else entry.sampling)
    taken = scan_plan(profile.scanner, protocol, sampling, study.twin_spacing_mm, rates, n_threads())
    return Scan(
        image_id=f"{twin}_{entry.name}",
        scan_id=entry.name,
        profile=profile.name,
        protocol_name=entry.protocol,
        scanner=profile.scanner,
        protocol=protocol,
        sampling=sampling,
        kernel=profile.kernel(protocol.reconstruction.kernel),
        key=make_key(study.seed, "twin", twin, "scan", entry.name, "noise"),
        host_grid=entry.host_grid,
        group=_group(profile.scanner, protocol, sampling, host_grid=entry.host_grid),
        exposure_s=taken.exposure_s * (ADDED_SHARE if known else 1.0),
        image_s=image_s(taken, protocol),
        memory_bytes=taken.peak_bytes + BUILDING_BYTES,
    )


def _group(scanner: Scanner, protocol: Protocol, sampling: Sampling, *, host_grid: bool) -> str:
    """Short digest of all that fixes an exposure but the twin."""
    from ..store import canonical

    account: list[Any] = [part.model_dump(mode="json") for part in (scanner, protocol.acquisition(), sampling)]
    # a scan on a host's voxels covers all of them, half a slice beyond at either end
    account.append(protocol.reconstruction.slice_thickness_mm if host_grid else None)
    return sha256(canonical(account)).hexdigest()[:12]


def _rows(case: Case) -> list[PlanRow]:
    seen: set[str] = set()
    rows = []
    for scan in case.scans:
        time_s, disk_mb = scan.image_s, image_mb(scan.protocol)
        if not seen:
            time_s, disk_mb = time_s + case.twin_s, disk_mb + twin_mb(case.kind, case.spacing_mm)
        if scan.group not in seen:
            time_s += scan.exposure_s
        seen.add(scan.group)
        rows.append(
            PlanRow(
                image_id=scan.image_id,
                twin_id=case.twin_id,
                kind=case.kind,
                scan_id=scan.scan_id,
                profile=scan.profile,
                protocol=scan.protocol_name,
                kvp=scan.protocol.kvp,
                mas_per_rotation=scan.protocol.mas_per_rotation,
                kernel=scan.protocol.reconstruction.kernel,
                n_nodules=sum(not nodule.is_mimic for nodule in case.nodules),
                exposure_group=scan.group,
                scan_key=scan.key,
                estimated_s=round(time_s, 1),
                estimated_mb=round(disk_mb, 1),
                estimated_memory_mb=round(scan.memory_bytes / 1e6, 1),
            )
        )
    return rows
