"""Studies by name or by file: the presets that come with the package, and the user's own YAML."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from twins.specfile import SpecError, read_spec, suggestion

from .people import is_file_of_margins, is_table
from .previews import preview_of
from .replay import read_plan
from .scans import is_file_name
from .spec import StudySpec

if TYPE_CHECKING:
    from .people import PatientEntry, TwinEntry
    from .scans import ScanEntry

PRESETS = Path(__file__).parent.parent / "presets"
"""Folder of the presets: one study file each, the file's stem is the name."""


def preset_names() -> tuple[str, ...]:
    """Names of the studies that come with the package, sorted."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.yaml")))


def load_study(source: str | os.PathLike[str], *, preview: bool = False, rows: str | None = None) -> StudySpec:
    """The study of a preset's name, a YAML file or a plan table (CSV); files that it names are taken relative to it.

    Parameters
    ----------
    source
        Name or file.
    preview
        Whether its preview is meant (:class:`flows.study.spec.Preview`).
    rows
        Which rows of a plan table, e.g. ``"1-10,17"``; none: all.

    Raises
    ------
    SpecError
        If there is no such preset or file, or it does not fit; the message names file, line, field and value.
    """
    name = os.fspath(source)
    if name.endswith(".csv"):
        if preview:
            raise SpecError(f"{name}: a plan table says itself whether it is that of a preview")
        return read_plan(name, rows=rows)
    if rows is not None:
        raise SpecError(f"{name}: rows are those of a plan table (CSV), which this is not")
    study = _load(name)
    return preview_of(study) if preview else study


def _load(name: str) -> StudySpec:
    if name in preset_names():
        path = PRESETS / f"{name}.yaml"
    elif is_file_name(name) or Path(name).is_file():
        path = Path(name)
    else:
        raise SpecError(f"{name}: neither a file nor a preset{suggestion(name, preset_names())}")
    study = read_spec(path, StudySpec)
    folder = path.resolve().parent
    return study.model_copy(
        update={
            "twins": tuple(_twin_from(twin, folder, path) for twin in study.twins),
            "scans": tuple(_scan_from(scan, folder, path) for scan in study.scans),
        }
    )


def _twin_from(twin: TwinEntry, folder: Path, path: Path) -> TwinEntry:
    if twin.cohort is not None and is_table(twin.cohort):
        table = folder / twin.cohort
        if not table.is_file():
            raise SpecError(f"{path}: twins.{twin.id}.cohort: no such file: {table}")
        twin = twin.model_copy(update={"cohort": str(table)})
    if twin.people is not None and is_file_of_margins(twin.people):
        margins = folder / twin.people
        if not margins.is_file():
            raise SpecError(f"{path}: twins.{twin.id}.people: no such file: {margins}")
        twin = twin.model_copy(update={"people": str(margins)})
    patient: PatientEntry | None = twin.patient
    if patient is None:
        return twin
    places = {name: folder / file for name in ("file", "ct") if (file := getattr(patient, name)) is not None}
    for name, place in places.items():
        if not place.exists():
            raise SpecError(f"{path}: twins.{twin.id}.patient.{name}: no such file: {place}")
    return twin.model_copy(update={"patient": patient.model_copy(update=places)})


def _scan_from(scan: ScanEntry, folder: Path, path: Path) -> ScanEntry:
    if not is_file_name(scan.profile):
        return scan
    place = folder / scan.profile
    if not place.is_file():
        raise SpecError(f"{path}: scans.{scan.name}.profile: no such file: {place}")
    return scan.model_copy(update={"profile": str(place)})
