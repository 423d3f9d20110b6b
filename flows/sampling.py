"""Nodules drawn from a cohort, as files: one spec per line, and a table of what was drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lesions import Nodule
from lesions.cohorts import COHORTS, NoduleTable, draw_table, read_table, resample
from twins.files import replacing

from .study import make_key

SPECS, TABLE = "specs.jsonl", "truth.csv"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What was drawn, and from where."""

    cohort: str
    table: NoduleTable

    def nodules(self) -> Iterator[Nodule]:
        """The specs, with ids ``n000001``..."""
        return self.table.nodules(name="n{:06d}")

    def specs(self) -> Iterator[str]:
        """One JSON text per nodule, of the fields that were set."""
        return (nodule.model_dump_json(exclude_unset=True) for nodule in self.nodules())


def sample_cohort(cohort: str, n: int, *, seed: int, diameter_mm: tuple[float, float] = (3.0, 30.0)) -> Sample:
    """Draw ``n`` nodules of a cohort, by name or from a CSV file of nodules (:func:`lesions.cohorts.read_table`).

    Raises
    ------
    ValueError
        If there is no such cohort or file, or it has no nodule of such a size.
    """
    name = Path(cohort).name
    rng = np.random.Generator(np.random.Philox(key=make_key(seed, "cohort", name, "sample")))
    if cohort in COHORTS:
        return Sample(cohort, draw_table(rng, n, cohort=cohort, diameter_mm=diameter_mm))
    if not Path(cohort).is_file():
        raise ValueError(f"--cohort: {cohort!r} is neither a file nor one of {', '.join(COHORTS)}")
    return Sample(name, resample(read_table(cohort), rng, n, diameter_mm=diameter_mm))


def summary(sample: Sample) -> list[tuple[str, str]]:
    """A few figures of a sample, as text."""
    table = sample.table
    low, middle, high = np.percentile(table["equivalent_diameter_mm"], (5, 50, 95))
    rows = [
        ("cohort", sample.cohort),
        ("nodules", str(len(table))),
        ("equivalent diameter, 5/50/95 %", f"{low:.1f} / {middle:.1f} / {high:.1f} mm"),
    ]
    for column in ("type", "lobe"):
        names, counts = np.unique(table[column], return_counts=True)
        rows += [(name or "no lobe", f"{100 * c / len(table):.1f} %") for name, c in zip(names, counts, strict=True)]
    rows.append(("spiculation 3 or more", f"{100 * np.mean(table['spiculation'] >= 3):.1f} %"))
    rows.append(("calcified", f"{100 * np.mean(table['calcification'] < 6):.1f} %"))
    return rows


def write_sample(sample: Sample, folder: Path) -> tuple[Path, Path]:
    """Write ``specs.jsonl`` and ``truth.csv`` into a folder; the same sample gives the same bytes.

    ``truth.csv`` has one row per spec: its id and volume, and every column of the cohort's table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = sample.table.columns
    text, lines = io.StringIO(), []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "volume_mm3", *columns])
    for i, nodule in enumerate(sample.nodules()):
        lines.append(nodule.model_dump_json(exclude_unset=True))
        writer.writerow([nodule.id, f"{nodule.target_volume_mm3:.6g}", *(_cell(c[i]) for c in columns.values())])
    for name, content in ((SPECS, "\n".join(lines) + "\n"), (TABLE, text.getvalue())):
        with replacing(folder / name) as part:
            part.write_text(content, encoding="utf-8")
    return folder / SPECS, folder / TABLE


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return str(value)
