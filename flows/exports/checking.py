"""Checks of an export against the dataset that it was made of."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..tables import read_table
from ..verification import Finding
from .export import RECORD, export_dataset
from .job import ExportOptions
from .source import Source
from .splits import lineages

MAX_DIFFERENCES = 5
"""Differences that are named for each file."""


def check_export(
    dataset: str | os.PathLike[str], folder: str | os.PathLike[str], *, progress: Any = None
) -> list[Finding]:
    """Check an export: made of this dataset, sides without common lineage, every file as the dataset gives it.

    The dataset is exported again with the recorded options, into a temporary folder, and compared. Tables and JSON
    files that differ are compared value by value, so that a shifted box or a swapped label is named.

    Raises
    ------
    ValueError
        If the dataset is unfinished or damaged, or the folder is no export.
    """
    root = Path(folder)
    try:
        record = json.loads((root / RECORD).read_text(encoding="utf-8"))
        options = ExportOptions.model_validate(record["options"])
        name, sealed = str(record["format"]), str(record["dataset_seal_sha256"])
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{root}: is no export of lungtwin: {RECORD} cannot be read ({error})") from None
    source = Source(dataset)
    if sealed != source.seal_sha256:
        problem = f"it was made of a dataset with the seal {sealed[:12]}, this one has {source.seal_sha256[:12]}"
        return [Finding(f"{root.name}: made of this dataset", 1, (problem,))]
    sides = list(_sides(source, root))
    with tempfile.TemporaryDirectory(prefix="lungtwin-") as place:
        fresh = export_dataset(source.root, name, Path(place) / "fresh", options=options, progress=progress)
        n_files, files = _files(root, fresh)
    return [
        Finding(f"{root.name}: made of this dataset", 1, ()),
        Finding(f"{root.name}: no lineage is on two sides", len(source.images), tuple(sides)),
        Finding(f"{root.name}: files are those that the dataset gives", n_files, tuple(files)),
    ]


def _sides(source: Source, root: Path) -> Iterator[str]:
    """What is wrong with ``splits.csv``."""
    try:
        rows = read_table(root / "splits.csv")
        side_of = {row["image_id"]: row["split"] for row in rows}
    except (OSError, KeyError) as error:
        yield f"splits.csv: cannot be read: {error}"
        return
    for image, n in Counter(row["image_id"] for row in rows).items():
        if n > 1:
            yield f"splits.csv: {image} is listed {n} times"
    group_of = lineages(source.dataset.manifest, source.dataset.nodules)
    groups: dict[str, dict[str, str]] = {}
    for image, group in group_of.items():
        if image not in side_of:
            yield f"splits.csv: {image} is missing"
            continue
        seen = groups.setdefault(group, {})
        seen.setdefault(side_of[image], image)
    for seen in groups.values():
        if len(seen) > 1:
            yield "one lineage on two sides: " + ", ".join(f"{image} ({side})" for side, image in sorted(seen.items()))


def _files(root: Path, fresh: Path) -> tuple[int, list[str]]:
    here = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    wanted = {p.relative_to(fresh).as_posix() for p in fresh.rglob("*") if p.is_file()}
    problems = [f"{name}: missing" for name in sorted(wanted - here)]
    problems += [f"{name}: does not belong to the export" for name in sorted(here - wanted)]
    for name in sorted(here & wanted):
        a, b = (root / name).read_bytes(), (fresh / name).read_bytes()
        if a != b:
            problems += _named(name, a, b)
    return len(wanted), problems


def _named(name: str, found: bytes, wanted: bytes) -> list[str]:
    """What differs in a file, value by value where it is a table or JSON."""
    try:
        if name.endswith(".json"):
            pairs = list(_differences(json.loads(found), json.loads(wanted), ""))
        elif name.endswith(".csv"):
            a, b = (list(csv.DictReader(data.decode("utf-8").splitlines())) for data in (found, wanted))
            pairs = list(_differences(a, b, ""))
        else:
            pairs = []
    except (ValueError, UnicodeDecodeError):
        pairs = []
    if not pairs:
        return [f"{name}: differs from what the dataset gives"]
    more = [f"{name}: and {len(pairs) - MAX_DIFFERENCES} more differences"] if len(pairs) > MAX_DIFFERENCES else []
    return [f"{name}: {where}" for where in pairs[:MAX_DIFFERENCES]] + more


def _differences(found: Any, wanted: Any, where: str) -> Iterator[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys(), key=str):
            yield from _differences(found.get(key), wanted.get(key), f"{where}.{key}" if where else str(key))
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            yield from _differences(a, b, f"{where}[{i}]")
    elif found != wanted:
        yield f"{where or 'content'} is {_short(found)}, should be {_short(wanted)}"


def _short(value: Any) -> str:
    text = f"{len(value)} entries" if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
