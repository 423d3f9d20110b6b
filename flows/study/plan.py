"""The plan: one row per image, grouped in cases (one twin each), with figures of time, memory and disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from ctsim import Profile, Protocol, Sampling, Scanner, load_profile
from ctsim.plan import TYPICAL, Rates
from lesions import Nodule
from twins import TwinSpec
from twins.specfile import SpecError

from .cases import Case, Scan
from .estimate import (
    ADDED_SHARE,
    BUILDING_BYTES,
    FINISHING_S,
    image_mb,
    image_s,
    n_threads,
    nodules_s,
    scan_plan,
    twin_mb,
    twin_s,
)
from .keys import make_key
from .partial import copied
from .people import TwinEntry
from .resolution import protocol_of, resolve, sampling_of
from .rows import PlanRow, table
from .scans import ScanEntry
from .spec import StudySpec


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build will do.

    Parameters
    ----------
    study
        The resolved study.
    cases
        One per twin and visit, or group of nodules.
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

    @property
    def n_persons(self) -> int:
        """Number of persons: cases that differ in nodules or time alone count once."""
        return len({case.person for case in self.cases})

    def csv(self, *, study: str = "", preview: bool = False) -> str:
        """The table as CSV text, one row per image; ``study`` is where the study is found again, a file or a preset."""
        return table(self.rows, study=study, preview=preview)


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
    choices = {scan.name: _scan(scan, profiles[scan.profile], study, rates) for scan in study.scans}
    _check_raw(choices, study)
    marks = {name: _mark(scan) for name, scan in choices.items()}
    bases = [_base(entry, study.twin_spacing_mm) for entry in study.twins]
    first = dict(zip(reversed(bases), reversed(study.twins), strict=True))
    left = Counter(bases)
    anatomies: dict[str, tuple[str, str]] = {}
    cases, rows = [], []
    for entry, base in zip(study.twins, bases, strict=True):
        left[base] -= 1
        scans = [choices[name] for name in entry.scans or choices]
        case = _case(entry, study, scans, base=first[base], comes_again=left[base] > 0)
        other = anatomies.setdefault(case.anatomy_id, (base, entry.id))
        if other[0] != base:
            raise SpecError(
                f"{study.name}: twins.{entry.id}: person {case.person} has another anatomy in twins.{other[1]}"
            )
        cases.append(case)
        rows += _rows(case, base, marks)
    images = Counter(row.image_id for row in rows)
    if twice := sorted(name for name, n in images.items() if n > 1):
        raise SpecError(f"{study.name}: ids of twins and scans join to the same image names: {', '.join(twice)}")
    used = {row.scan_id for row in rows}
    if unused := [scan.name for scan in study.scans if scan.name not in used]:
        raise SpecError(f"{study.name}: scans: no twin gets {', '.join(unused)}")
    return Plan(study, tuple(cases), tuple(rows))


def _case(entry: TwinEntry, study: StudySpec, scans: list[Scan], *, base: TwinEntry, comes_again: bool) -> Case:
    person = entry.person or entry.id
    known = base.id != entry.id
    seed = study.seed
    here: tuple[str | int, ...] = ("twin", person) if entry.visit is None else ("twin", person, "visit", entry.visit)
    share = ADDED_SHARE if known else 1.0
    raws: set[tuple[str, str]] = set()
    own_scans = []
    for scan in scans:
        again = (scan.group, scan.raw) in raws
        raws.add((scan.group, scan.raw))
        own_scans.append(
            replace(
                scan,
                image_id=f"{entry.id}_{scan.scan_id}",
                key=make_key(seed, *here, "scan", scan.raw, "noise"),
                exposure_s=scan.exposure_s * share,
                image_s=scan.image_s - (scan.detection_s if again else 0.0),
            )
        )
    kind = "patient" if entry.patient is not None else "population"
    return Case(
        twin_id=entry.id,
        person=person,
        base_twin=base.id,
        base_anatomy=_anatomy_id(base),
        base_comes_again=comes_again,
        population=None if entry.population is None else copied(entry.population, TwinSpec),
        at_first=None if entry.at_first is None else copied(entry.at_first, TwinSpec),
        patient=entry.patient,
        spacing_mm=study.twin_spacing_mm,
        nodules=tuple(copied(nodule, Nodule) for nodule in entry.nodules),
        growths=tuple(nodule.growth for nodule in entry.nodules),
        left_out=entry.left_out,
        visit=entry.visit,
        days=entry.days,
        scans=tuple(own_scans),
        placement_key=make_key(seed, "twin", person, "placement"),
        growth_key=make_key(seed, "twin", person, "growth"),
        label_key=make_key(seed, "twin", person, "label"),
        label_model=study.label_model,
        label_impute=study.label_impute,
        label_mode=study.label_mode,
        label_threshold=study.label_threshold,
        label_draws=study.label_draws,
        label_shift=study.label_shift,
        label_visible_only=study.label_visible_only,
        anatomy=study.outputs.anatomy,
        twin_s=nodules_s(len(entry.nodules)) + (0.0 if known else twin_s(kind, study.twin_spacing_mm)),
    )


def _anatomy_id(entry: TwinEntry) -> str:
    return (entry.person or entry.id) if entry.at_first is None else entry.id


def _base(entry: TwinEntry, spacing_mm: float) -> str:
    """Short digest of all that a resolved twin is made of before nodules."""
    source = entry.population or entry.patient
    assert source is not None
    return _short([type(source).__name__, source.model_dump_json(), spacing_mm])


def _scan(entry: ScanEntry, profile: Profile, study: StudySpec, rates: Rates) -> Scan:
    """What a scan is for every twin; its image's name and its key are those of a case."""
    protocol = protocol_of(entry, profile)
    sampling = sampling_of(study.sampling if entry.sampling is None else entry.sampling)
    taken = scan_plan(profile.scanner, protocol, sampling, study.twin_spacing_mm, rates, n_threads())
    return Scan(
        image_id="",
        scan_id=entry.name,
        profile=profile.name,
        protocol_name=entry.protocol,
        scanner=profile.scanner,
        protocol=protocol,
        sampling=sampling,
        kernel=profile.kernel(protocol.reconstruction.kernel),
        raw=entry.raw or entry.name,
        key=0,
        host_grid=entry.host_grid,
        group=_group(profile.scanner, protocol, sampling, host_grid=entry.host_grid),
        exposure_s=taken.exposure_s,
        detection_s=taken.detection_s,
        image_s=image_s(taken, protocol),
        memory_bytes=taken.peak_bytes + BUILDING_BYTES,
    )


def _check_raw(scans: Mapping[str, Scan], study: StudySpec) -> None:
    """Reconstructions of one acquisition must differ in nothing else; SpecError."""
    first: dict[str, Scan] = {}
    for name, scan in scans.items():
        other = first.setdefault(scan.raw, scan)
        ours, theirs = (
            (
                one.scanner,
                one.sampling,
                one.protocol.model_dump(exclude={"reconstruction", "name", "source", "status"}),
                # a current that aims at a noise without naming the slices aims at it in those of the image
                one.protocol.tube_current.style == "fixed" or one.protocol.reconstruction.slice_thickness_mm,
            )
            for one in (scan, other)
        )
        if ours != theirs:
            raise SpecError(
                f"{study.name}: scans.{name}.raw: {name} and {other.scan_id} are both {scan.raw}, one acquisition, but "
                "differ in more than their reconstruction"
            )


def _group(scanner: Scanner, protocol: Protocol, sampling: Sampling, *, host_grid: bool) -> str:
    """Short digest of all that fixes an exposure but the twin."""
    account: list[Any] = [part.model_dump(mode="json") for part in (scanner, protocol.acquisition(), sampling)]
    # a scan on a host's voxels covers all of them, half a slice beyond at either end
    account.append(protocol.reconstruction.slice_thickness_mm if host_grid else None)
    return _short(account)


def _mark(scan: Scan) -> str:
    """Short digest of all that fixes an image but its twin and its key."""
    return _short([scan.group, scan.protocol.model_dump(mode="json"), scan.kernel.model_dump(mode="json")])


def _short(account: Any) -> str:
    from ..store import canonical

    return sha256(canonical(account)).hexdigest()[:12]


def _rows(case: Case, base: str, marks: Mapping[str, str]) -> list[PlanRow]:
    texts = [base, str(case.placement_key), str(case.left_out), str(case.visit), str(case.days)]
    texts += [nodule.model_dump_json() for nodule in case.nodules]
    texts += ["" if growth is None else growth.model_dump_json() for growth in case.growths]
    own = _short(texts)
    seen: set[str] = set()
    rows = []
    for scan in case.scans:
        time_s, disk_mb = scan.image_s, image_mb(scan.protocol)
        if not seen:
            time_s += case.twin_s
            disk_mb += twin_mb(case.kind, case.spacing_mm) if case.twin_id == case.base_twin else 0.0
        if scan.group not in seen:
            time_s += scan.exposure_s
        seen.add(scan.group)
        rows.append(
            PlanRow.of(
                case,
                scan,
                row_key=_short([own, marks[scan.scan_id], scan.key]),
                estimated_s=time_s,
                estimated_mb=disk_mb,
                estimated_memory_mb=scan.memory_bytes / 1e6,
            )
        )
    return rows
