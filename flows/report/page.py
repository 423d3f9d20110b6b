"""The page: tables and pictures put into the template, as one file that opens from disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twins.files import replacing

from ..dataset import Dataset
from ..study import StudySpec
from ..volumes import read_volume
from .views import compare, host_views, lung_views, nodule_views, share_of

MAX_SHOWN = 24
"""Images shown with pictures; a larger dataset shows its first ones, and all in the tables."""

TEMPLATE = "page.html.j2"


def write_report(dataset: Dataset) -> Path:
    """Write ``report/index.html`` of a finished dataset and return its path; the same dataset gives the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    text = environment.get_template(TEMPLATE).render(**_content(dataset))
    dataset.report.parent.mkdir(exist_ok=True)
    with replacing(dataset.report) as part:
        part.write_text(text, encoding="utf-8")
    return dataset.report


def number(text: str, digits: int = 1) -> str:
    """A number of a table with fixed digits; a dash where nothing is known; other text as it is."""
    if text == "":
        return "–"
    try:
        return f"{float(text):.{digits}f}"
    except ValueError:
        return text


def _content(dataset: Dataset) -> dict[str, Any]:
    manifest, study = dataset.manifest, dataset.study
    twins: list[dict[str, Any]] = []
    shown = 0
    for twin_id, rows in dataset.by_twin():
        images = []
        for row in rows:
            if shown < MAX_SHOWN:
                images.append(_image(dataset, row))
                shown += 1
        nodules = dataset.nodules_of(rows[0]["image_id"])
        twins.append({"id": twin_id, "row": rows[0], "images": images, "nodules": nodules})
    labels = [line["label"] for twin in twins for line in twin["nodules"] if line["is_mimic"] != "true"]
    return {
        "study": study,
        "manifest": manifest,
        "twins": twins,
        "n_hidden": len(manifest) - shown,
        "profiles": _profiles(study),
        "card": json.loads((dataset.root / "card.json").read_text(encoding="utf-8")),
        "figures": {
            "images": len(manifest),
            "twins": len(twins),
            "nodules": len(labels),
            "malignant": share_of(labels, "malignant") if study.label_mode != "soft" else "–",
        },
        "version": manifest[0]["version"] if manifest else "",
        "backend": manifest[0]["backend"] if manifest else "",
    }


def _profiles(study: StudySpec) -> list[dict[str, Any]]:
    """How sure the scanners' values are, for each profile of the package that the study uses."""
    from ctsim import load_profile, profile_names
    from ctsim.facts import facts

    found = []
    for name in dict.fromkeys(scan.profile for scan in study.scans):
        if name not in profile_names():
            found.append({"name": name, "is_own": True})
            continue
        profile = load_profile(name)
        used = {f"protocols.{scan.protocol}" for scan in study.scans if scan.profile == name}
        used |= {f"kernels.{scan.kernel}" for scan in study.scans if scan.profile == name}
        things = {fact.field.rsplit(".", 1)[0] for fact in facts(profile) if fact.status == "estimated"}
        numbers = [fact for fact in facts(profile) if fact.field.startswith("scanner.") and fact.source]
        estimated = [field for entry in profile.sources if entry.status == "estimated" for field in entry.fields]
        found.append(
            {
                "name": name,
                "is_own": False,
                "n_values": len(numbers),
                "n_estimated": sum(fact.status == "estimated" for fact in numbers),
                "estimated": [*estimated, *sorted(thing for thing in used if thing in things)],
            }
        )
    return found


def _image(dataset: Dataset, row: Mapping[str, str]) -> dict[str, Any]:
    hu, grid = read_volume(dataset.root / row["image_file"])
    truth = dataset.truth(dict(row))
    anatomy = read_volume(dataset.root / row["anatomy_file"])[0] if row["anatomy_file"] else None
    lines = dataset.nodules_of(row["image_id"])
    nodules = [{"line": line, "picture": nodule_views(hu, grid, truth, i)} for i, line in enumerate(lines)]
    host: dict[str, Any] | None = None
    if row["original_file"]:
        original, original_grid = read_volume(dataset.root / row["original_file"])
        if original_grid.same_as(grid, tolerance_mm=0.05):
            host = {"pairs": host_views(original, hu, grid, anatomy), "table": []}
            if anatomy is not None:
                mask = read_volume(dataset.root / row["mask_file"])[0]
                host["table"] = compare(np.asarray(original), np.asarray(hu), anatomy, mask)
    return {"row": row, "overview": lung_views(hu, grid, truth, anatomy), "nodules": nodules, "host": host}
