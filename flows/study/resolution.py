"""The resolved study: all that was drawn, defaulted or looked up made explicit, so that the file alone rebuilds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ctsim import Profile, Protocol, Sampling, load_profile
from lesions import Nodule
from lesions.growth import Growth, follow
from twins import TwinSpec
from twins import draw as draw_twin
from twins.cohorts import load_cohort
from twins.specfile import SpecError, check_spec
from twins.states import later

from .keys import make_key
from .nodules import first_line, resolved_nodules
from .partial import copied, given
from .people import Like, NoduleFields, TwinEntry, TwinFields, is_file_of_margins, is_table
from .scans import Fidelity, ScanEntry, check_against
from .spec import StudySpec
from .streams import Streams, stream

FROM_RECONSTRUCTION = ("kernel", "iterative_strength", "fov_mm", "matrix", "slice_thickness_mm", "increment_mm")
FROM_ACQUISITION = (
    "kvp",
    "spectral_filter",
    "flying_focal_spot",
    "bowtie",
    "mas_per_rotation",
    "pitch",
    "scan_range_mm",
)
"""Fields that a scan entry may change, by the part of the protocol that holds them."""

FIDELITIES: dict[Fidelity, Sampling] = {
    "preview": Sampling(views_per_rotation=320, row_binning=4, rays_per_reading=1),
    "standard": Sampling(views_per_rotation=576, row_binning=2, rays_per_reading=4),
    "full": Sampling(),
}
"""Named simulation fidelities: design defaults for scanners of about 1000 views, 700 columns and 64 rows."""


DAYS_PER_YEAR = 365.25

LONGEST_ID = 48
"""Characters of a twin's or scan's id, with what is added to it."""


def resolve(study: StudySpec) -> StudySpec:
    """The same study with nothing left open. Resolving twice changes nothing.

    Raises
    ------
    SpecError
        If a drawn or completed spec contradicts itself, or a scan asks for what its profile does not have.
    """
    twins = tuple(one for entry in study.twins for one in _resolved_twins(entry, study))
    scans = tuple(one for scan in study.scans for one in _resolved_scans(scan, study))
    for what, ids in (("twins", [twin.id for twin in twins]), ("scans", [scan.name for scan in scans])):
        if long := [name for name in ids if len(name) > LONGEST_ID]:
            raise SpecError(f"{study.name}: {what}: ids become too long, at most {LONGEST_ID} characters: {long[0]}")
        if twice := sorted(name for name, n in Counter(ids).items() if n > 1):
            raise SpecError(f"{study.name}: {what}: ids must differ, {', '.join(twice)} occurs more than once")
    return study.model_copy(update={"twins": twins, "scans": scans, "sampling": sampling_of(study.sampling)})


def sampling_of(fidelity: Fidelity | Sampling) -> Sampling:
    """The numbers behind a fidelity's name."""
    return FIDELITIES[fidelity] if isinstance(fidelity, str) else fidelity


def protocol_of(scan: ScanEntry, profile: Profile) -> Protocol:
    """The protocol that a scan entry means: the profile's, with what the entry changes.

    Raises
    ------
    SpecError
        If the profile lacks it or the changed protocol is not possible.
    """
    where = f"scans.{scan.name}"
    try:
        check_against(scan, profile)
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from None
    data = profile.protocol(scan.protocol).model_dump(mode="json")
    for name in FROM_ACQUISITION:
        if (value := getattr(scan, name)) is not None:
            data[name] = value
    for name in FROM_RECONSTRUCTION:
        if (value := getattr(scan, name)) is not None:
            data["reconstruction"][name] = value
    protocol = check_spec(data, Protocol, name=where)
    try:
        protocol.check_on(profile.scanner)
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from None
    return protocol


def _resolved_scans(scan: ScanEntry, study: StudySpec) -> list[ScanEntry]:
    protocol = protocol_of(scan, load_profile(scan.profile))
    explicit: dict[str, Any] = {
        "sampling": sampling_of(study.sampling if scan.sampling is None else scan.sampling),
        "repeats": 1,
    }
    explicit.update({name: getattr(protocol, name) for name in FROM_ACQUISITION})
    explicit.update({name: getattr(protocol.reconstruction, name) for name in FROM_RECONSTRUCTION})
    width = max(2, len(str(scan.repeats)))
    ends = [""] if scan.repeats == 1 else [f"-r{n:0{width}d}" for n in range(1, scan.repeats + 1)]
    return [
        scan.model_copy(update=explicit | {"id": scan.name + end, "raw": (scan.raw or scan.name) + end}) for end in ends
    ]


def _scan_ids(chosen: Sequence[str] | None, study: StudySpec) -> tuple[str, ...] | None:
    """Names of resolved scans: every repeat of a scan that repeats."""
    if chosen is None:
        return None
    repeats = {scan.name: scan.repeats for scan in study.scans}
    names: list[str] = []
    for name in chosen:
        n = repeats[name]
        width = max(2, len(str(n)))
        names += [name] if n == 1 else [f"{name}-r{k:0{width}d}" for k in range(1, n + 1)]
    return tuple(names)


def _resolved_twins(entry: TwinEntry, study: StudySpec) -> list[TwinEntry]:
    return [
        case
        for twin in _drawn_twins(entry, study)
        for case in (_visits(twin, study) if twin.visits is not None else _counterfactuals(twin))
    ]


def _counterfactuals(twin: TwinEntry) -> list[TwinEntry]:
    """The twin with all its nodules, and as often as asked for without some of them."""
    ids = [str(nodule.id) for nodule in twin.nodules]  # type: ignore[attr-defined]
    if twin.without is None:
        return [twin]
    whole = twin.model_copy(update={"without": None})
    fewer: dict[str, tuple[str, ...]] = {}
    if twin.without == "all" and ids:
        fewer = {"-without": tuple(ids)}
    elif twin.without == "each":
        fewer = {f"-without-{n:02d}": (name,) for n, name in enumerate(ids, 1)}
    return [
        whole,
        *(whole.model_copy(update={"id": twin.id + end, "left_out": out}) for end, out in fewer.items()),
    ]


def _visits(twin: TwinEntry, study: StudySpec) -> list[TwinEntry]:
    """The twin at each of its visits: older, in another breath."""
    assert twin.visits is not None
    person = twin.person or twin.id
    days = tuple(visit.day for visit in twin.visits)
    _check_growth(twin, days, study)
    cases = []
    for number, visit in enumerate(twin.visits, 1):
        changed: dict[str, Any] = {
            "id": f"{twin.id}-v{number}",
            "person": person,
            "visits": None,
            "visit": number,
            "days": days,
            "scans": twin.scans if visit.scans is None else _scan_ids(visit.scans, study),
        }
        if number > 1 and visit.aged and twin.population is not None:
            rng = stream(study.seed, "twin", person, "visit", str(number))
            try:
                spec = later(TwinSpec(**given(twin.population)), visit.day / DAYS_PER_YEAR, rng)
            except ValueError as error:
                raise SpecError(f"{study.name}: twins.{twin.id}.visits.{number - 1}: {first_line(error)}") from None
            changed |= {"population": copied(spec, TwinFields), "at_first": twin.population}
        cases.append(twin.model_copy(update=changed))
    return cases


def _check_growth(twin: TwinEntry, days: Sequence[float], study: StudySpec) -> None:
    """Refuse a growth that leads beyond what can be described, and one to be drawn by labels that nobody draws."""
    for fields in twin.nodules:
        nodule = copied(fields, Nodule)
        try:
            if fields.growth is None and study.label_mode == "soft" and not nodule.is_mimic:
                raise ValueError("is drawn by the label, and label_mode soft draws none: give it")
            if fields.growth is not None:
                follow(nodule, fields.growth, days)
        except ValueError as error:
            where = f"{study.name}: twins.{twin.id}.nodules.{nodule.id}.growth"
            raise SpecError(f"{where}: {first_line(error)}") from None


def _drawn_twins(entry: TwinEntry, study: StudySpec) -> list[TwinEntry]:
    width = max(3, len(str(entry.count)))
    names = [entry.id] if entry.count == 1 else [f"{entry.id}-{n:0{width}d}" for n in range(1, entry.count + 1)]
    names = names[: entry.first]
    groups: Iterable[tuple[str, str, Sequence[tuple[Nodule, Growth | None]]]]
    if entry.design is None:
        persons = [entry.person or name for name in names]
        groups = zip(names, persons, resolved_nodules(entry, persons, study), strict=True)
    else:
        persons = names
        try:
            crossed = entry.design.nodules(
                stream(study.seed, "twin", entry.id, "design"), cohort=entry.cohort, diameter_mm=entry.drawn_diameter_mm
            )
            cases = entry.design.cases(crossed, names)
        except ValueError as error:
            raise SpecError(f"{study.name}: twins.{entry.id}.design: {first_line(error)}") from None
        groups = ((case, twin, [(nodule, None) for nodule in members]) for case, twin, members in cases)
    shared = {
        **{"count": 1, "first": None, "drawn_nodules": None, "cohort": None, "people": None, "design": None},
        "like": entry.like or _like(entry),
        "scans": _scan_ids(entry.scans, study),
    }
    anatomies = _anatomies(entry, persons, study)
    return [
        entry.model_copy(
            update={
                **shared,
                "id": case,
                "person": person,
                "nodules": tuple(copied(nodule, NoduleFields, growth=growth) for nodule, growth in nodules),
                "population": anatomies.get(person),
            }
        )
        for case, person, nodules in groups
    ]


def _anatomies(entry: TwinEntry, persons: Sequence[str], study: StudySpec) -> dict[str, TwinFields]:
    """The anatomy of each person of an entry, which all cases of one share; none of patient twins."""
    if entry.population is None:
        return {}
    asked = given(entry.population)
    name = entry.people or "nlst"
    streams, found = Streams(study.seed), dict[str, TwinFields]()
    try:
        cohort = load_cohort(name)
    except ValueError as error:
        raise SpecError(f"{study.name}: twins.{entry.id}.people: {first_line(error)}") from None
    for person in dict.fromkeys(persons):
        fields = {"key": make_key(study.seed, "twin", person, "anatomy"), **asked}
        try:
            spec = draw_twin(streams("twin", person, "person"), cohort=cohort, **fields)
        except ValueError as error:
            raise SpecError(f"{study.name}: twins.{person}.population: {first_line(error)}") from None
        found[person] = copied(spec, TwinFields)
    return found


def _like(entry: TwinEntry) -> Like | None:
    """What the entry's twins are drawn from, and may be compared with, as a whole: where nothing is fixed."""
    free = entry.population is not None and not given(entry.population)
    drawn = entry.cohort is not None and not is_table(entry.cohort) and not entry.nodules and entry.design is None
    people = (entry.people or "nlst") if free and not is_file_of_margins(entry.people or "nlst") else None
    if people is None and not drawn:
        return None
    return Like(
        people=people,
        cohort=entry.cohort if drawn else None,
        counts=drawn and entry.drawn_nodules is None,
        diameter_mm=entry.drawn_diameter_mm,
    )
