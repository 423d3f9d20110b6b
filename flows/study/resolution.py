"""The resolved study: all that was drawn, defaulted or looked up made explicit, so that the file alone rebuilds it."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import ValidationError

from ctsim import Profile, Protocol, Sampling, load_profile
from lesions import Nodule
from lesions import draw as draw_nodules
from lesions.cohorts import completed
from twins import draw as draw_twin
from twins.specfile import SpecError, check_spec

from .keys import make_key
from .partial import given
from .spec import SIZES, Fidelity, NoduleFields, ScanEntry, StudySpec, TwinEntry, TwinFields, check_against

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
    if entry.count == 1:
        return [_resolved_twin(entry, entry.id, study)]
    width = max(3, len(str(entry.count)))
    return [_resolved_twin(entry, f"{entry.id}-{n:0{width}d}", study) for n in range(1, entry.count + 1)]


def _resolved_twin(entry: TwinEntry, name: str, study: StudySpec) -> TwinEntry:
    explicit: dict[str, Any] = {"id": name, "count": 1, "drawn_nodules": 0}
    if entry.population is not None:
        fields = given(entry.population)
        fields.setdefault("key", make_key(study.seed, "twin", name, "anatomy"))
        try:
            spec = draw_twin(_stream(study.seed, "twin", name, "person"), **fields)
        except (ValidationError, ValueError) as error:
            raise SpecError(f"{study.name}: twins.{name}.population: {_first_line(error)}") from None
        explicit["population"] = TwinFields(**spec.model_dump(mode="json"))
    explicit["nodules"] = tuple(
        NoduleFields(**nodule.model_dump(mode="json")) for nodule in _resolved_nodules(entry, name, study)
    )
    return entry.model_copy(update=explicit)


def _resolved_nodules(entry: TwinEntry, twin: str, study: StudySpec) -> list[Nodule]:
    listed = [given(nodule) for nodule in entry.nodules]
    wanted: list[dict[str, Any]] = [*listed, *({} for _ in range(entry.drawn_nodules))]
    taken = {fields["id"] for fields in listed if "id" in fields}
    free = (name for name in (f"n{i}" for i in range(1, 1000)) if name not in taken)
    nodules = []
    for fields in wanted:
        if "id" not in fields:
            fields["id"] = next(free)
        name = fields["id"]
        fields.setdefault("key", make_key(study.seed, "twin", twin, "nodule", name, "shape"))
        try:
            if not any(size in fields for size in SIZES):
                fields = _drawn(fields, _stream(study.seed, "twin", twin, "nodule", name, "draw"))
            nodules.append(Nodule(**fields))
        except (ValidationError, ValueError) as error:
            raise SpecError(f"{study.name}: twins.{twin}.nodules.{name}: {_first_line(error)}") from None
    return nodules


def _drawn(fields: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """``fields`` completed by a nodule drawn from the cohort, of the type asked for if one is."""
    for _ in range(1000):
        (nodule,) = draw_nodules(rng, 1)
        if fields.get("type", nodule.type) == nodule.type:
            return completed(nodule.model_dump(mode="json", exclude_unset=True, exclude_none=True), fields)
    raise ValueError(f"type: no {fields['type']!r} nodule came up in 1000 draws from the cohort")


def _stream(seed: int, *names: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=make_key(seed, *names)))


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, e['loc'])) or '(all)'}: {str(e['msg']).removeprefix('Value error, ')}"
            for e in error.errors()
        )
    return str(error).splitlines()[0]
