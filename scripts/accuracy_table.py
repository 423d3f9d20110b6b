"""Print the acceptance table of docs/accuracy.md from the qa.json files of `lungtwin qa PROFILE --out FOLDER`.

    python scripts/accuracy_table.py FOLDER/qa.json ...

One column per profile and level; the worst condition of each quantity stands in the cell. Bold: a bar was missed; every
missed one is listed below the table. Of several files of one profile and level (`lungtwin qa --only`), a later one
replaces the examinations that it holds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def table(found: Sequence[dict[str, Any]]) -> str:
    """Markdown of several qualifications: the table, then the bars that were missed.

    Parameters
    ----------
    found
        Contents of qa.json files (format "lungtwin qa", version 2), in their order.

    Raises
    ------
    ValueError
        If one is of another format, or holds a quantity that this table does not know.
    """
    for one in found:
        if (one.get("format"), one.get("version")) != ("lungtwin qa", 2):
            raise ValueError(f"format must be 'lungtwin qa', 2, got {one.get('format')!r}, {one.get('version')!r}")
        unknown = {row["quantity"] for row in one["rows"]} - {quantity for _, quantity, *_ in _LINES}
        if unknown:
            raise ValueError(f"quantities without a line in the table: {', '.join(sorted(unknown))}")
    found = _merged(found)
    lines = [
        "| quantity | bar | " + " | ".join(f"{one['profile']}, {one['level']}" for one in found) + " |",
        "|---" * (2 + len(found)) + "|",
    ]
    for title, quantity, part, bar, say in _LINES:
        cells = []
        for one in found:
            rows = [row for row in one["rows"] if row["quantity"] == quantity and part in row["condition"]]
            cells.append(_cell(rows, say))
        lines.append(f"| {title} | {bar} | " + " | ".join(cells) + " |")
    lines += ["", *(_missed(one) for one in found)]
    return "\n".join(lines)


def _merged(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per profile and level, with the last rows of every examination."""
    examined: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for one in found:
        again: dict[str, list[Row]] = {}
        for row in one["rows"]:
            again.setdefault(row["examination"], []).append(row)
        examined.setdefault((one["profile"], one["level"]), {}).update(again)
    return [
        {"profile": profile, "level": level, "rows": [row for rows in parts.values() for row in rows]}
        for (profile, level), parts in examined.items()
    ]


def _cell(rows: list[Row], say: Callable[[Row], tuple[float, str]]) -> str:
    if not rows:
        return "not measured"
    if any(row["measured"] is None for row in rows):
        return "**not to be had**"
    worst = max((say(row) for row in rows), key=lambda value: abs(value[0]))[1]
    misses = sum(not row["passed"] for row in rows)
    return f"**{worst}**, {misses} of {len(rows)} missed" if misses else worst


def _missed(one: dict[str, Any]) -> str:
    missed = [
        f"{row['quantity'].lower() if row['quantity'][1].islower() else row['quantity']} ({row['condition']}) "
        f"{'not to be had' if row['measured'] is None else format(row['measured'], '.4g')} against {row['bar']} "
        f"{row['unit']}".rstrip()
        for row in one["rows"]
        if not row["passed"]
    ]
    return f"- {one['profile']}, {one['level']}: " + (f"missed {'; '.join(missed)}." if missed else "no bar missed.")


def _plain(row: Row) -> tuple[float, str]:
    return row["measured"], f"{row['measured']:.3f}"


def _percent(row: Row) -> tuple[float, str]:
    return row["measured"], f"{row['measured']:.3f} %"


def _hu(row: Row) -> tuple[float, str]:
    return row["measured"], f"{row['measured']:+.2f}"


def _air(row: Row) -> tuple[float, str]:
    return row["measured"] + 1000, f"{row['measured'] + 1000:+.2f}"


def _ratio(row: Row) -> tuple[float, str]:
    return row["measured"], f"{row['measured']:.1f} %"


def _off(row: Row) -> tuple[float, str]:
    """Relative distance from the middle of the bar; without a bar, a word."""
    if row["low"] is None or row["high"] is None:
        return 0.0, "no source, no bar"
    share = 200 * row["measured"] / (row["low"] + row["high"]) - 100
    return share, f"{share:+.1f} %"


def _count(row: Row) -> tuple[float, str]:
    return row["measured"], "identical" if row["measured"] == 0 else "different"


_LINES: tuple[tuple[str, str, str, str, Callable[[Row], tuple[float, str]]], ...] = (
    ("water, no scatter, every kVp [HU]", "CT number of water", "without", "0 +- 1", _hu),
    ("room air less -1000, no scatter, every kVp [HU]", "CT number of air", "without", "0 +- 1", _air),
    ("water, scatter corrected [HU]", "CT number of water", "corrected", "0 +- 1", _hu),
    ("room air less -1000, scatter corrected [HU]", "CT number of air", "corrected", "0 +- 1", _air),
    ("inserts, of their contrast", "CT number of inserts", "", "1.4 % (aim 0.5)", _ratio),
    ("signal by tables against 1 keV sums", "Tabulated moments", "", "0.1 %", _percent),
    ("two bases against exact materials", "Two-basis signal", "", "0.1 %", _percent),
    ("line integrals, 256 voxels", "Line integrals", "256", "0.20 %", _percent),
    ("line integrals, 512 voxels", "Line integrals", "512", "0.10 %", _percent),
    ("noise against prediction", "Noise", "", "2 %", _off),
    ("noise against mAs, exponent", "Noise against mAs", "", "-0.50 +- 0.01", _plain),
    ("MTF50, every kernel, wire and edge", "MTF50", "", "3 %", _off),
    ("MTF10, every kernel, wire and edge", "MTF10", "", "3 %", _off),
    ("NPS mean frequency against theory", "NPS mean frequency", "", "3 %", _off),
    ("NPS shape against theory, of its integral", "NPS shape", "", "5 %", _ratio),
    ("slice profile, axial", "Slice profile FWHM", "axial", "5 %", _off),
    ("slice profile, helical", "Slice profile FWHM", "helical", "5 %", _off),
    ("uniformity of water, helical [HU]", "Uniformity of water", "helical", "2", _plain),
    ("uniformity of water, axial, widest beam [HU]", "Uniformity of water", "axial", "2", _plain),
    ("windmill beyond an ideal detector's [HU]", "Windmill", "", "2", _plain),
    ("scatter-to-primary, 32 cm PMMA, beam <= 40 mm", "Scatter-to-primary ratio", "PMMA", "10-19 %", _ratio),
    ("scatter-to-primary, thorax with lungs", "Scatter-to-primary ratio", "thorax", "none", _ratio),
    ("CTDIw, other kVp and phantoms than the fitted", "CTDIw", "", "10 % where sourced", _off),
    ("images of one key, whatever the threads", "Different images of one key", "", "identical", _count),
)
"""Title, quantity, part of the condition, bar in words, and how a row is said: what is compared, and its text."""


if __name__ == "__main__":
    print(table([json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]))
