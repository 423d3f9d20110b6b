"""A plan table as a study: what its rows ask for, and nothing else, whether rows were taken out or not."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from twins.specfile import SpecError, suggestion

from .plan import Plan, make_plan
from .previews import preview_of
from .rows import COLUMNS, ESTIMATES, spelled
from .spec import StudySpec

MADE_AGAIN = "make the plan anew with `lungtwin plan`"


def chosen(plan: Plan, images: Collection[str]) -> StudySpec:
    """The resolved study of a plan with these images alone; keys stay as they are.

    Parameters
    ----------
    plan
        The whole plan.
    images
        Ids of images, of the plan.
    """
    kept = {case.twin_id: [scan.scan_id for scan in case.scans if scan.image_id in images] for case in plan.cases}
    twins = tuple(twin.model_copy(update={"scans": tuple(kept[twin.id])}) for twin in plan.study.twins if kept[twin.id])
    used = {name for names in kept.values() for name in names}
    scans = tuple(scan for scan in plan.study.scans if scan.name in used)
    return plan.study.model_copy(update={"twins": twins, "scans": scans})


def read_plan(path: str | os.PathLike[str], *, rows: str | None = None) -> StudySpec:
    """The study that a plan table asks for: that of its ``study`` column, with the images of its rows.

    Parameters
    ----------
    path
        A table written by :meth:`flows.study.Plan.csv`; rows may have been taken out, and put into another order.
    rows
        Numbers of rows to take, from 1, e.g. ``"1-10,17"``; none: all.

    Raises
    ------
    SpecError
        If the table is not one, a row is not as its study has it, or ``rows`` names none that is there.
    """
    table = _read(path)
    wanted = table if rows is None else [table[number - 1] for number in numbers(rows, len(table), path)]
    source, preview = _source(wanted, path)
    study = _loaded(source, path)
    plan = make_plan(preview_of(study) if preview else study)
    known = {row.image_id: row for row in plan.rows}
    seen: dict[str, int] = {}
    for number, row in enumerate(table, 2):
        if row not in wanted:
            continue
        name, place = row["image_id"], f"{path}:{number}"
        if name not in known:
            raise SpecError(f"{place}: image_id: the study has no image {name!r}{_near(name, known)}; {MADE_AGAIN}")
        if name in seen:
            raise SpecError(f"{place}: image_id: {name!r} stands in line {seen[name]} already")
        seen[name] = number
        for column in COLUMNS:
            expected = spelled(getattr(known[name], column))
            if column not in ESTIMATES and row[column] != expected:
                said = row[column] or "empty"
                raise SpecError(
                    f"{place}: {column} of {name!r} is {said}, the study {source} says {expected or 'empty'}: a plan "
                    f"chooses images, the study says what they are; change the study and {MADE_AGAIN}"
                )
    return chosen(plan, seen)


def numbers(text: str, n_rows: int, path: str | os.PathLike[str] = "plan") -> list[int]:
    """Row numbers of a text like ``1-10,17``, in order and each once.

    Raises
    ------
    SpecError
        If the text is none, or a number is beyond the ``n_rows`` rows.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise SpecError(f"rows must read like 1-10,17, got {text!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= n_rows:
            raise SpecError(f"rows: {part.strip()} is not within the {n_rows} rows of {path}, counted from 1")
        found.update(range(first, last + 1))
    return sorted(found)


def _read(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    try:
        with Path(path).open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from None
    wanted = [*COLUMNS, "study", "preview"]
    if missing := [name for name in wanted if name not in columns]:
        raise SpecError(f"{path}:1: is no plan table: it lacks {', '.join(missing[:5])}; {MADE_AGAIN}")
    for name in columns:
        if name not in wanted:
            raise SpecError(f"{path}:1: unknown column {name!r}{suggestion(name, wanted)}")
    if not rows:
        raise SpecError(f"{path}: has no rows")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise SpecError(f"{path}:{number}: has not the {len(columns)} columns of the first line")
    return rows


def _source(rows: list[dict[str, str]], path: str | os.PathLike[str]) -> tuple[str, bool]:
    sources = sorted({(row["study"], row["preview"]) for row in rows})
    if len(sources) > 1:
        raise SpecError(f"{path}: rows of more than one study: {', '.join(name for name, _ in sources)}")
    (source, preview) = sources[0]
    if preview not in ("true", "false"):
        raise SpecError(f"{path}: preview must be true or false, got {preview!r}")
    return source, preview == "true"


def _loaded(source: str, path: str | os.PathLike[str]) -> StudySpec:
    from .presets import load_study, preset_names

    if source in preset_names():
        return load_study(source)
    place = Path(path).parent / source
    if not place.is_file():
        raise SpecError(f"{path}: study: neither a preset nor a file beside the plan: {source!r}")
    return load_study(place)


def _near(name: str, known: Mapping[str, object]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
