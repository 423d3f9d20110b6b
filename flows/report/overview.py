"""The first look: who is in the dataset, which nodules, which scans, as diagrams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import charts
from .facts import Row, distinct, kind_of, number, outcome_of, persons, words

TYPES = ("solid", "part-solid", "ground-glass")
LOBES = (
    "right upper lobe",
    "right middle lobe",
    "right lower lobe",
    "left upper lobe",
    "left lower lobe",
)
MOST_ROWS = 12
"""Rows of one diagram; the rest is summed up in a last one."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A diagram of the page: its title, the drawing (SVG), a line of text below it."""

    title: str
    drawing: str
    note: str = ""


def overview(manifest: Sequence[Row], nodules: Sequence[Row], card: Mapping[str, Any]) -> list[Chart]:
    """Diagrams of a dataset's tables; those about which nothing is known are left out."""
    lesions = distinct(nodules)
    true = [row for row in lesions if row["is_mimic"] != "true"]
    found = [_sizes(true), _types(lesions), _lobes(true), _labels(true, card), _probabilities(true), _dose(manifest)]
    return [chart for chart in (*found, _ages(persons(manifest)), _smoking(persons(manifest))) if chart is not None]


def _sizes(rows: Sequence[Row]) -> Chart | None:
    if not rows:
        return None
    groups = {name: [float(row["equivalent_diameter_mm"]) for row in rows if kind_of(row) == name] for name in TYPES}
    groups = {name: values for name, values in groups.items() if values}
    return Chart(
        "Size of nodules",
        charts.histogram(groups, "diameter of the sphere of equal volume [mm]", "nodules"),
        "Each nodule counts once, however many images show it.",
    )


def _types(rows: Sequence[Row]) -> Chart | None:
    counts = Counter(kind_of(row) for row in rows)
    order = [name for name in TYPES if name in counts] + sorted(set(counts) - set(TYPES), key=lambda n: (-counts[n], n))
    return _counted("Type of nodules", {name: counts[name] for name in order}, "nodules") if rows else None


def _lobes(rows: Sequence[Row]) -> Chart | None:
    counts = Counter(words(row["lobe"]) or "not known" for row in rows)
    if not set(counts) & set(LOBES):
        return None
    order = [*LOBES, *sorted(set(counts) - set(LOBES))]
    return _counted(
        "Place of nodules", {name.removesuffix(" lobe"): counts[name] for name in order}, "nodules, by lobe"
    )


def _labels(rows: Sequence[Row], card: Mapping[str, Any]) -> Chart | None:
    classes = [row for row in card["counts"]["by_size"] if row["malignant"] + row["benign"] + row["none"]]
    if not rows or not classes:
        return None
    groups = [name for name in ("malignant", "benign", "none") if any(row[name] for row in classes)]
    drawn = "none" not in groups
    lines = [
        (row["class"], [float(row[name]) for name in groups], row["expected"] if drawn else None) for row in classes
    ]
    names = ["no outcome drawn" if name == "none" else name for name in groups]
    note = "Expected: the malignant ones, as the sum of their probabilities." if drawn else ""
    return Chart("Outcome by mean diameter", charts.bars(lines, "nodules", names), note)


def _probabilities(rows: Sequence[Row]) -> Chart | None:
    known = [row for row in rows if number(row["probability"]) is not None]
    if not known:
        return None
    order = ("malignant", "benign", "not drawn")
    groups = {name: [100 * float(r["probability"]) for r in known if outcome_of(r) == name] for name in order}
    groups = {name: values for name, values in groups.items() if values}
    return Chart("Probability of cancer", charts.histogram(groups, "probability by the risk model [%]", "nodules"))


def _dose(manifest: Sequence[Row]) -> Chart | None:
    names = dict.fromkeys(row["scan_id"] for row in manifest)
    rows = [
        (name, [float(row["ctdi_vol_mgy"]) for row in manifest if row["scan_id"] == name and row["ctdi_vol_mgy"]])
        for name in names
    ]
    if not any(values for _, values in rows):
        return None
    note = "Bar: median of the images of a scan; box: middle half; line: smallest to largest."
    return Chart("Dose", charts.ranges([(_short(n), v) for n, v in rows[:MOST_ROWS]], "CTDIvol [mGy]"), note)


def _ages(people: Sequence[Row]) -> Chart | None:
    groups = {
        sex: [float(row["age_y"]) for row in people if row["sex"] == sex and row["age_y"]] for sex in ("female", "male")
    }
    groups = {sex: ages for sex, ages in groups.items() if ages}
    if not groups:
        return None
    ages = [age for values in groups.values() for age in values]
    limits = [float(age) for age in range(5 * int(min(ages) // 5), 5 * int(max(ages) // 5) + 6, 5)]
    return Chart("Age", charts.histogram(groups, "age [years]", "persons", limits))


def _smoking(people: Sequence[Row]) -> Chart | None:
    counts = Counter(row["smoking"] or "not known" for row in people)
    if set(counts) <= {"not known"}:
        return None
    order = [name for name in ("never", "former", "current", "not known") if name in counts]
    return _counted("Smoking", {name: counts[name] for name in order}, "persons")


def _counted(title: str, counts: Mapping[str, int], x_label: str) -> Chart:
    rows = list(counts.items())
    if len(rows) > MOST_ROWS:
        rows = [*rows[: MOST_ROWS - 1], ("other", sum(n for _, n in rows[MOST_ROWS - 1 :]))]
    return Chart(title, charts.bars([(_short(name), [float(n)], None) for name, n in rows], x_label))


def _short(name: str) -> str:
    return name if len(name) <= 19 else name[:18] + "…"


def conditions(manifest: Sequence[Row]) -> list[dict[str, Any]]:
    """One line per scan of the study: how it was made, in how many images, and the range of what differs in them."""
    lines = []
    for name in dict.fromkeys(row["scan_id"] for row in manifest):
        rows = [row for row in manifest if row["scan_id"] == name]
        first = rows[0]
        lines.append(
            {
                "id": name,
                "scanner": f"{first['manufacturer']} {first['scanner']}",
                "protocol": words(first["protocol"]),
                "mode": first["mode"],
                "n": len(rows),
                **{key: _spread(rows, column, digits) for key, column, digits in _SPREADS},
                "kernel": ", ".join(dict.fromkeys(row["kernel"] for row in rows)),
            }
        )
    return lines


_SPREADS = (
    ("kvp", "kvp", 0),
    ("mas", "mas_per_rotation", 0),
    ("ctdi", "ctdi_vol_mgy", 2),
    ("slice", "slice_thickness_mm", 2),
    ("voxel", "spacing_x_mm", 3),
)


def _spread(rows: Sequence[Row], column: str, digits: int) -> str:
    values = [float(row[column]) for row in rows if row[column]]
    if not values:
        return "–"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"
