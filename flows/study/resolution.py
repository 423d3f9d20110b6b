"""The resolved study: all that was drawn, defaulted or looked up made explicit, so that the file alone rebuilds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from ctsim import Profile, Protocol, Sampling, load_profile
from lesions import Nodule
from twins import draw as draw_twin
from twins.specfile import SpecError, check_spec

from .keys import make_key
from .nodules import first_line, own_table, resolved_nodules, stream
from .partial import given
from .spec import Fidelity, NoduleFields, ScanEntry, StudySpec, TwinEntry, TwinFields, check_against

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


def resolve(study: StudySpec) -> StudySpec:
    """The same study with nothing left open. Resolving twice changes nothing.

    Raises
    ------
    SpecError
        If a drawn or completed spec contradicts itself, or a scan asks for what its profile does not have.
    """
    twins = tuple(one for entry in study.twins for one in _resolved_twins(entry, study))
    twice = sorted({twin.id for twin in twins if [t.id for t in twins].count(twin.id) > 1}) if len(twins) < 1000 else []
    if twice:
        raise SpecError(f"{study.name}: twins: ids must differ, {', '.join(twice)} occurs more than once")
    return study.model_copy(
        update={
            "twins": twins,
            "scans": tuple(_resolved_scan(scan, study) for scan in study.scans),
            "sampling": sampling_of(study.sampling),
        }
    )


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


def _resolved_scan(scan: ScanEntry, study: StudySpec) -> ScanEntry:
    protocol = protocol_of(scan, load_profile(scan.profile))
    explicit: dict[str, Any] = {
        "id": scan.name,
        "sampling": sampling_of(study.sampling if scan.sampling is None else scan.sampling),
    }
    explicit.update({name: getattr(protocol, name) for name in FROM_ACQUISITION})
    explicit.update({name: getattr(protocol.reconstruction, name) for name in FROM_RECONSTRUCTION})
    return scan.model_copy(update=explicit)


def _resolved_twins(entry: TwinEntry, study: StudySpec) -> list[TwinEntry]:
    width = max(3, len(str(entry.count)))
    names = [entry.id] if entry.count == 1 else [f"{entry.id}-{n:0{width}d}" for n in range(1, entry.count + 1)]
    if entry.design is None:
        own = own_table(entry, study)
        return [_resolved_twin(entry, name, name, resolved_nodules(entry, name, study, own), study) for name in names]
    try:
        nodules = entry.design.nodules(
            stream(study.seed, "twin", entry.id, "design"), cohort=entry.cohort, diameter_mm=entry.drawn_diameter_mm
        )
        cases = entry.design.cases(nodules, names)
    except ValueError as error:
        raise SpecError(f"{study.name}: twins.{entry.id}.design: {first_line(error)}") from None
    return [_resolved_twin(entry, case, twin, members, study) for case, twin, members in cases]


def _resolved_twin(entry: TwinEntry, case: str, twin: str, nodules: Sequence[Nodule], study: StudySpec) -> TwinEntry:
    """One case: the twin named ``twin``, with its nodules; cases of one twin share its anatomy."""
    explicit: dict[str, Any] = {
        "id": case,
        "count": 1,
        "drawn_nodules": None,
        "cohort": None,
        "people": None,
        "design": None,
        "nodules": tuple(NoduleFields(**nodule.model_dump(mode="json")) for nodule in nodules),
    }
    if entry.population is not None:
        fields = given(entry.population)
        fields.setdefault("key", make_key(study.seed, "twin", twin, "anatomy"))
        try:
            spec = draw_twin(stream(study.seed, "twin", twin, "person"), cohort=entry.people or "nlst", **fields)
        except (ValidationError, ValueError) as error:
            raise SpecError(f"{study.name}: twins.{twin}.population: {first_line(error)}") from None
        explicit["population"] = TwinFields(**spec.model_dump(mode="json"))
    return entry.model_copy(update=explicit)
