"""The nodules of one twin: those listed, completed, and those drawn from a cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from lesions import Nodule
from lesions import draw as draw_nodules
from lesions.cohorts import NoduleTable, completed, draw_counts, draw_each, draw_table, read_table, resample
from lesions.growth import Growth
from twins.specfile import SpecError

from .keys import make_key
from .partial import given
from .people import SIZES, TwinEntry, is_table
from .spec import StudySpec
from .streams import Streams

N_TRIES = 1000
"""Draws until a nodule of the type asked for must have come up."""


def own_table(entry: TwinEntry, study: StudySpec) -> NoduleTable | None:
    """The rows of the file that an entry draws from; None where its cohort comes with the package.

    Raises
    ------
    SpecError
        If the file cannot be used, or nobody says how many nodules to draw.
    """
    if entry.cohort is None or not is_table(entry.cohort):
        return None
    where = f"{study.name}: twins.{entry.id}.cohort"
    try:
        table = read_table(entry.cohort)
    except (ValueError, OSError) as error:
        raise SpecError(f"{where}: {first_line(error)}") from None
    if entry.drawn_nodules is None and entry.design is None:
        raise SpecError(f"{where}: {entry.cohort} does not say how many nodules a person has: give drawn_nodules")
    return table


def resolved_nodules(
    entry: TwinEntry, twins: Sequence[str], study: StudySpec
) -> list[list[tuple[Nodule, Growth | None]]]:
    """All nodules of each twin of an entry, with the growth that was asked for.

    Those drawn whole from a cohort of the package are worked out together: a plan of 10,000 people takes seconds.

    Raises
    ------
    SpecError
        If a nodule contradicts itself or the cohort, or the cohort cannot be used.
    """
    own = own_table(entry, study)
    streams = Streams(study.seed)
    wanted = [_wanted(entry, twin, study, streams) for twin in twins]
    whole = [
        (twin, fields)
        for twin, nodules in zip(twins, wanted, strict=True)
        for fields in nodules
        if own is None and set(fields) <= {"id", "key", "growth"}
    ]
    draws = (streams("twin", twin, "nodule", fields["id"], "draw") for twin, fields in whole)
    known = entry.cohort if own is None and entry.cohort is not None else "lidc"
    table = draw_each(draws, cohort=known, diameter_mm=entry.drawn_diameter_mm)
    place = {(twin, fields["id"]): row for row, (twin, fields) in enumerate(whole)}
    nowhere = {} if entry.cohort is not None and entry.population is not None else {"lobe": None}

    def nodule(twin: str, fields: dict[str, Any]) -> Nodule:
        name = fields["id"]
        row = place.get((twin, name))
        if row is not None:
            return table.nodule(row, name=name, fields={"key": fields["key"], **nowhere})
        if not any(size in fields for size in SIZES):
            fields = _drawn(entry, own, fields, streams("twin", twin, "nodule", name, "draw"))
        return Nodule(**fields)

    found: list[list[tuple[Nodule, Growth | None]]] = []
    for twin, nodules in zip(twins, wanted, strict=True):
        found.append([])
        for fields in nodules:
            growth = fields.pop("growth", None)
            try:
                found[-1].append((nodule(twin, fields), growth))
            except (ValidationError, ValueError) as error:
                where = f"{study.name}: twins.{twin}.nodules.{fields['id']}"
                raise SpecError(f"{where}: {first_line(error)}") from None
    return found


def _wanted(entry: TwinEntry, twin: str, study: StudySpec, streams: Streams) -> list[dict[str, Any]]:
    """What is asked of each nodule of a twin: those listed, then those to be drawn, each with id and key."""
    listed = [given(nodule) for nodule in entry.nodules]
    wanted: list[dict[str, Any]] = [*listed, *({} for _ in range(_n_drawn(entry, twin, streams)))]
    taken = {fields["id"] for fields in listed if "id" in fields}
    free = (name for name in (f"n{i}" for i in range(1, 1000)) if name not in taken)
    for fields in wanted:
        if "id" not in fields:
            fields["id"] = next(free)
        fields.setdefault("key", make_key(study.seed, "twin", twin, "nodule", fields["id"], "shape"))
    return wanted


def _n_drawn(entry: TwinEntry, twin: str, streams: Streams) -> int:
    if entry.drawn_nodules is not None:
        return entry.drawn_nodules
    if entry.cohort is None or entry.design is not None:
        return 0
    room = 250 - len(entry.nodules)
    return min(room, int(draw_counts(streams("twin", twin, "count"), 1, cohort=entry.cohort)[0]))


def _drawn(
    entry: TwinEntry, own: NoduleTable | None, fields: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """``fields`` completed by a nodule drawn from the entry's cohort, of the type asked for if one is."""
    drawn = _draws(entry, own, rng)
    for _ in range(N_TRIES):
        nodule = next(drawn)
        if fields.get("type", nodule.type) == nodule.type:
            return completed(nodule.model_dump(mode="json", exclude_unset=True, exclude_none=True), fields)
    raise ValueError(f"type: no {fields['type']!r} nodule came up in {N_TRIES} draws from the cohort")


def _draws(entry: TwinEntry, own: NoduleTable | None, rng: np.random.Generator) -> Iterator[Nodule]:
    """Nodules of the cohort, without end; with its lobes where a cohort is named and the twin knows lobes."""
    cohort, range_mm = entry.cohort, entry.drawn_diameter_mm
    if cohort is None:
        while True:
            yield draw_nodules(rng, 1, diameter_mm=range_mm)[0]
    nowhere: Mapping[str, Any] = {} if entry.population is not None else {"lobe": None}
    while True:
        if own is None:
            table = draw_table(rng, 1, cohort=cohort, diameter_mm=range_mm)
        else:
            table = resample(own, rng, 1, diameter_mm=range_mm)
        yield table.nodule(0, name="drawn", fields=nowhere)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, e['loc'])) or '(all)'}: {str(e['msg']).removeprefix('Value error, ')}"
            for e in error.errors()
        )
    return str(error).splitlines()[0]
