"""What the gallery and its tables know of every image and nodule: names, units and digits of columns, and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table of the page.

    Parameters
    ----------
    key
        Name in the page's data.
    title
        Head of the column, and name in the list of orders.
    unit
        Below the head; "" for plain numbers and words.
    digits
        Decimals of a number; None: words.
    of
        The value in a row of the dataset's table.
    filters
        Whether the gallery filters by it.
    """

    key: str
    title: str
    unit: str
    digits: int | None
    of: Callable[[Row], Any]
    filters: bool = False


def number(text: str | None) -> float | None:
    """A number of a table; None where nothing is known."""
    return float(text) if text else None


def words(text: str | None) -> str:
    """A word of a table as people write it."""
    return (text or "").replace("_", " ").lower()


def kind_of(row: Row) -> str:
    """Type of a nodule, or what a mimic is."""
    if row["is_mimic"] == "true":
        return "mimic: " + words(row["kind"])
    return row["type"].replace("part_solid", "part-solid").replace("ground_glass", "ground-glass")


def outcome_of(row: Row) -> str:
    """The drawn outcome of a nodule in a word."""
    if row["is_mimic"] == "true":
        return "mimic"
    return row["label"] or "not drawn"


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: words(row.get(name))


def _plain(name: str) -> Callable[[Row], str]:
    return lambda row: row.get(name) or ""


def _number(name: str, factor: float = 1.0) -> Callable[[Row], float | None]:
    def value(row: Row) -> float | None:
        found = number(row.get(name))
        return None if found is None else float(f"{factor * found:.5g}")

    return value


SCANS = (
    Column("id", "image", "", None, _plain("image_id")),
    Column("twin", "person", "", None, lambda row: row.get("lineage_id") or row["twin_id"]),
    Column("day", "day", "", 0, _number("day")),
    Column("kind", "twin", "", None, _plain("kind"), filters=True),
    Column("sex", "sex", "", None, _plain("sex"), filters=True),
    Column("age", "age", "years", 0, _number("age_y")),
    Column("scan", "scan", "", None, _plain("scan_id"), filters=True),
    Column("scanner", "scanner", "", None, lambda row: f"{row['manufacturer']} {row['scanner']}", filters=True),
    Column("protocol", "protocol", "", None, _text("protocol"), filters=True),
    Column("kvp", "tube potential", "kV", 0, _number("kvp")),
    Column("mas", "mAs a rotation", "mAs", 0, _number("mas_per_rotation")),
    Column("ctdi", "CTDIvol", "mGy", 2, _number("ctdi_vol_mgy")),
    Column("ssde", "SSDE", "mGy", 2, _number("ssde_mgy")),
    Column("kernel", "kernel", "", None, _plain("kernel"), filters=True),
    Column("slice", "slice", "mm", 2, _number("slice_thickness_mm")),
    Column("voxel", "voxel", "mm", 3, _number("spacing_x_mm")),
    Column("nodules", "nodules", "", 0, _number("n_nodules")),
    Column("outcome", "person's outcome", "", None, _text("participant_label"), filters=True),
)
"""Columns of the images."""

NODULES = (
    Column("id", "nodule", "", None, _plain("nodule_id")),
    Column("image", "image", "", None, _plain("image_id")),
    Column("type", "type", "", None, kind_of, filters=True),
    Column("lobe", "lobe", "", None, _text("lobe"), filters=True),
    Column("diameter", "diameter", "mm", 1, _number("equivalent_diameter_mm")),
    Column("volume", "volume", "mm³", 0, _number("volume_mm3")),
    Column("long", "long axis", "mm", 1, _number("long_axis_mm")),
    Column("short", "short axis", "mm", 1, _number("short_axis_mm")),
    Column("core", "solid core", "mm", 1, _number("core_diameter_mm")),
    Column("mass", "mass", "mg", 0, _number("mass_mg")),
    Column("hu", "mean", "HU", 0, _number("mean_hu")),
    Column("pleura", "to pleura", "mm", 1, _number("distance_to_pleura_mm")),
    Column("p", "malignant with", "%", 1, _number("probability", 100.0)),
    Column("outcome", "outcome", "", None, outcome_of, filters=True),
)
"""Columns of the nodules."""


def table(rows: Sequence[Row], columns: Sequence[Column]) -> list[list[Any]]:
    """Values of the rows, column by column in their order."""
    return [[column.of(row) for column in columns] for row in rows]


def heads(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """What the page must know about columns."""
    return [{"key": c.key, "title": c.title, "unit": c.unit, "digits": c.digits, "filters": c.filters} for c in columns]


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Each nodule once, however many images show it: as it is at the first visit that does."""
    found: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: number(row.get("day")) or 0.0):
        found.setdefault((row.get("lineage_id") or row["twin_id"], row["nodule_id"]), row)
    return list(found.values())


def persons(rows: Sequence[Row]) -> list[Row]:
    """One row of the manifest per person: the first visit."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: number(row.get("day")) or 0.0):
        found.setdefault(row.get("lineage_id") or row["twin_id"], row)
    return list(found.values())
