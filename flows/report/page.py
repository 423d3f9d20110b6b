"""The page: tables, diagrams and previews put into the template, as one file that opens from disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from twins.files import replacing

from ..dataset import Dataset
from ..volumes import read_volume
from . import facts, previews
from .overview import conditions, overview
from .quality import profiles
from .targets import tally, targets
from .times import write_times
from .tissues import compare

TEMPLATE = "page.html.j2"
STYLE = "page.css"
SCRIPTS = ("pictures.js", "viewer.js", "gallery.js", "start.js")
HERE = Path(__file__).parent

MAX_COMPARED = 24
"""Hosts whose tissues are compared in a table; all are in the viewer."""

MOST_AT_ONCE = 4
"""Images worked on at the same time, each held whole in memory."""


def write_report(
    dataset: Dataset,
    *,
    acceptances: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[float, str], None] | None = None,
) -> Path:
    """Write ``report/index.html`` of a finished dataset and return its path; the same dataset gives the same bytes.

    How long the build took goes to ``run/times.js``, which the page takes in when it is asked for.

    Parameters
    ----------
    acceptances
        Files ``qa.json`` of ``lungtwin qa``, shown in place of the acceptance recorded with the package.
    progress
        Called with the share done, 0 to 1, and what comes next.

    Raises
    ------
    ValueError
        If a file of the dataset cannot be read or lacks what this version writes, or one of ``acceptances`` is no
        acceptance of a profile of the study.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    tell = progress or _untold
    _check(dataset)
    quality = profiles(dataset.study, acceptances)
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["words"] = facts.words
    pictured, hosts = _pictures(dataset, tell)
    tell(0.97, "report")
    content = _content(dataset) | {"pictures": pictured, "hosts": hosts, "profiles": quality}
    text = environment.get_template(TEMPLATE).render(**content)
    dataset.report.parent.mkdir(exist_ok=True)
    with replacing(dataset.report) as part:
        part.write_text(text, encoding="utf-8")
    write_times(dataset)
    tell(1.0, "report")
    return dataset.report


def _check(dataset: Dataset) -> None:
    """Refuse a dataset of a version that did not write what the page needs, before any picture is made."""
    lacks = [] if (dataset.root / "card.json").is_file() else ["card.json"]
    for name, rows, columns in (
        ("nodules.csv", dataset.nodules, ("is_mimic", "kind", "in_image", "label", "probability")),
        ("manifest.csv", dataset.manifest, ("scan_id", "ctdi_vol_mgy", "original_file")),
    ):
        lacks += [f"{column} in {name}" for column in columns if rows and column not in rows[0]]
    if lacks:
        raise ValueError(f"{dataset.root}: has no {', '.join(lacks)}; build it again with this version")


def _untold(share: float, what: str) -> None:
    """Progress that nobody asked for."""


def number(value: Any, digits: int = 1) -> str:
    """A number of a table with fixed digits; a dash where nothing is known; other text as it is."""
    if value in {"", None}:
        return "–"
    try:
        return f"{float(value):,.{digits}f}".replace(",", "\u2009")
    except ValueError:
        return str(value)


def embedded(data: Any) -> str:
    """Data as JSON that may stand in a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _content(dataset: Dataset) -> dict[str, Any]:
    manifest, study = dataset.manifest, dataset.study
    card = json.loads((dataset.root / "card.json").read_text(encoding="utf-8"))
    groups = targets(study, dataset.targets, dataset.nodules)
    lesions = [row for row in facts.distinct(dataset.nodules) if row["is_mimic"] != "true"]
    malignant = sum(row["label"] == "malignant" for row in lesions)
    return {
        "study": study,
        "card": card,
        "charts": overview(manifest, dataset.nodules, card),
        "conditions": conditions(manifest),
        "groups": groups,
        "tally": tally(groups),
        "figures": [
            (number(len(manifest), 0), "CT images"),
            (number(len(facts.persons(manifest)), 0), "persons"),
            (number(len(lesions), 0), "nodules"),
            (number(malignant, 0) if study.label_mode != "soft" else "–", "drawn malignant"),
        ],
        "n_images": len(manifest),
        "n_pictured": min(len(manifest), previews.MAX_PICTURED),
        "version": manifest[0]["version"] if manifest else "",
        "backend": manifest[0]["backend"] if manifest else "",
        "windows": {name: previews.window_table(name) for name in previews.WINDOWS},
        "levels": previews.WINDOWS,
        "data": embedded(_data(dataset)),
        "style": (HERE / STYLE).read_text(encoding="utf-8"),
        "script": "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }


def _data(dataset: Dataset) -> dict[str, Any]:
    """What the scripts read: columns and values of images and nodules, and their files."""
    index = {row["image_id"]: i for i, row in enumerate(dataset.manifest)}
    counted: dict[int, int] = {}
    places = []
    for row in dataset.nodules:
        i = index[row["image_id"]]
        places.append([i, counted.get(i, 0)])
        counted[i] = counted.get(i, 0) + 1
    return {
        "scans": {
            "columns": facts.heads(facts.SCANS),
            "rows": facts.table(dataset.manifest, facts.SCANS),
            "files": [[row["image_file"], row["mask_file"]] for row in dataset.manifest],
        },
        "nodules": {
            "columns": facts.heads(facts.NODULES),
            "rows": facts.table(dataset.nodules, facts.NODULES),
            "places": places,
        },
    }


def _pictures(dataset: Dataset, tell: Callable[[float, str], None]) -> tuple[list[str], list[dict[str, Any]]]:
    """Previews of the images as JSON, one text each, and the comparisons of hosts with their scans."""
    detail = previews.detail_for(len(dataset.manifest))
    nodules: dict[str, list[dict[str, str]]] = {}
    for line in dataset.nodules:
        nodules.setdefault(line["image_id"], []).append(line)
    shown = dataset.manifest[: previews.MAX_PICTURED]
    hosted = [row["image_id"] for row in shown if row["original_file"] and row["anatomy_file"]]
    compared = frozenset(hosted[:MAX_COMPARED])

    def picture(row: dict[str, str]) -> tuple[str, dict[str, Any] | None]:
        return _picture(dataset, row, nodules.get(row["image_id"], []), detail, row["image_id"] in compared)

    texts: list[str] = []
    hosts: list[dict[str, Any]] = []
    with ThreadPoolExecutor(min(MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
        # a batch at a time, so that an error ends the rest soon
        for first in range(0, len(shown), 4 * MOST_AT_ONCE):
            batch = shown[first : first + 4 * MOST_AT_ONCE]
            for row, (text, host) in zip(batch, pool.map(picture, batch), strict=True):
                tell(0.97 * len(texts) / len(shown), f"previews of {row['image_id']}")
                texts.append(text)
                hosts += [host] if host else []
    return texts, hosts


def _picture(
    dataset: Dataset,
    row: dict[str, str],
    lines: Sequence[Mapping[str, str]],
    detail: previews.Detail,
    compared: bool,
) -> tuple[str, dict[str, Any] | None]:
    """Previews of one image as JSON, and its comparison with its host where that is asked for and can be made."""
    hu, grid = read_volume(dataset.root / row["image_file"])
    truth = dataset.truth(row)
    found: dict[str, Any] = {
        "volume": previews.preview(hu, grid, detail),
        "nodules": [previews.nodule_views(hu, grid, truth, k, detail) for k in range(len(lines))],
        "places": [
            previews.place(line, grid, nodule.max_diameter_mm)
            for line, nodule in zip(lines, truth.nodules, strict=True)
        ],
    }
    host = None
    if row["original_file"]:
        original, own = read_volume(dataset.root / row["original_file"])
        if own.same_as(grid, tolerance_mm=0.05):
            found["original"] = previews.preview(original, own, detail)
            if compared:
                host = {"image": row["image_id"], "table": _compared(dataset, row, original, hu)}
    return embedded(found), host


def _compared(dataset: Dataset, row: Mapping[str, str], original: Any, hu: Any) -> list[Any]:
    anatomy, mask = (read_volume(dataset.root / row[name])[0] for name in ("anatomy_file", "mask_file"))
    return compare(np.asarray(original), np.asarray(hu), anatomy, mask)
