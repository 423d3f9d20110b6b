"""Hugging Face: one folder per side with ``metadata.jsonl``, read by ``load_dataset("niftifolder", data_dir=...)``.

Each line holds ``file_name`` (the image), ``mask_file_name`` (one value per nodule), ids and scan, and as JSON text,
since the hub wants one type per column and sides may lack nodules or facts: ``person``, and ``nodules`` with their
place (LPS mm), measures and outcome. ``README.md`` is the dataset's card below the header that the hub reads; it names
no licence: whoever publishes a dataset adds that.
"""

from __future__ import annotations

import json
from typing import Any

from ..volumes import write_volume
from .job import Job
from .source import SourceNodule

SCAN = ("twin_id", "manufacturer", "scanner", "protocol", "kernel", "kvp", "mas_per_rotation")
"""Columns of manifest.csv that each line holds."""

PERSON = ("sex", "age_y", "height_cm", "bmi", "smoking", "pack_years", "emphysema", "family_history")
"""Columns of manifest.csv that say who it is."""

NODULE = ("type", "kind", "volume_mm3", "mean_diameter_mm", "long_axis_mm", "mean_hu", "lobe", "label", "probability")
"""Columns of nodules.csv that each nodule holds."""

NUMBERS = {"age_y", "height_cm", "bmi", "pack_years", "kvp", "mas_per_rotation", "probability"}
NUMBERS |= {name for name in NODULE if name.endswith(("_mm", "_mm3", "_hu"))}


def write(job: Job) -> None:
    """Write volumes, metadata and card."""
    sides: dict[str, list[str]] = {}
    for image in job.images():
        side = {"val": "validation"}.get(job.side(image), job.side(image))
        name = f"{image.id}.nii.gz"
        job.copy(image.row["image_file"], f"{side}/images/{name}")
        if job.options.mimics:
            write_volume(job.folder(f"{side}/masks") / name, image.instances(mimics=True), image.grid())
        else:
            job.copy(image.row["mask_file"], f"{side}/masks/{name}")
        line: dict[str, Any] = {"file_name": f"images/{name}", "mask_file_name": f"masks/{name}", "image_id": image.id}
        line |= {column: _value(image.row, column) for column in SCAN}
        line["person"] = json.dumps({column: _value(image.row, column) for column in PERSON}, allow_nan=False)
        nodules = [_nodule(nodule) for nodule in image.nodules(mimics=job.options.mimics)]
        line["nodules"] = json.dumps(nodules, allow_nan=False)
        sides.setdefault(side, []).append(json.dumps(line, allow_nan=False))
    for side, lines in sides.items():
        job.write_text(f"{side}/metadata.jsonl", "\n".join(lines) + "\n")
    job.write_text("README.md", _card(job, list(sides)))


def _nodule(nodule: SourceNodule) -> dict[str, Any]:
    facts = {column: _value(nodule.row, column) for column in NODULE}
    place = dict(zip(("x_lps_mm", "y_lps_mm", "z_lps_mm"), nodule.centre_mm, strict=True))
    return {"nodule_id": nodule.id, "mask_value": nodule.mask_value, **place, **facts}


def _value(row: Any, column: str) -> str | float | None:
    text = row.get(column) or None
    return float(text) if text is not None and column in NUMBERS else text


def _card(job: Job, sides: list[str]) -> str:
    card = job.source.dataset.root / "CARD.md"
    text = job.source.path("CARD.md").read_text(encoding="utf-8") if card.is_file() else f"# {job.source.name}\n"
    n = len(job.source.images)
    size = "n<1K" if n < 1000 else "1K<n<10K" if n < 10_000 else "10K<n<100K"
    head = ["---", f"pretty_name: {job.source.name}", "tags: [medical, ct, lung, synthetic, simulated]"]
    head += [f"size_categories: [{size}]", "configs:", "- config_name: default", "  data_files:"]
    for side in sides:
        head += [f"  - split: {side}", f"    path: {side}/**"]
    return "\n".join([*head, "---", "", text])
