"""Write flows/report/acceptance.json, which the datasets' report shows, from the acceptance table of docs/accuracy.md.

python scripts/record_acceptance.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
TARGET = ROOT / "flows" / "report" / "acceptance.json"
LEVEL = "quick"


def recorded(page: str) -> dict[str, Any]:
    """The table as data: per profile the quantities that were measured, with their bars.

    Raises
    ------
    ValueError
        If the page has no such table or no date.
    """
    date = re.search(r"Date of all rows: (\d{4}-\d\d-\d\d)", page)
    lines = page.splitlines()
    head = next((i for i, line in enumerate(lines) if line.startswith("| quantity | bar |")), None)
    if head is None or date is None:
        raise ValueError(f"{PAGE}: has no table of quantities and bars, or no date")
    columns = _cells(lines[head])[2:]
    profiles: dict[str, list[dict[str, Any]]] = {
        name.removesuffix(f", {LEVEL}"): [] for name in columns if name.endswith(f", {LEVEL}")
    }
    for line in lines[head + 2 :]:
        if not line.startswith("|"):
            break
        quantity, bar, *values = _cells(line)
        for column, value in zip(columns, values, strict=True):
            name = column.removesuffix(f", {LEVEL}")
            if column.endswith(f", {LEVEL}") and value != "not measured":
                row = {
                    "quantity": quantity,
                    "bar": "none" if value.startswith("no source") else bar,
                    "measured": value.replace("**", ""),
                    "passed": "**" not in value,
                }
                profiles[name].append(row)
    return {"date": date.group(1), "level": LEVEL, "profiles": profiles}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


if __name__ == "__main__":
    text = json.dumps(recorded(PAGE.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n"
    TARGET.write_text(text, encoding="utf-8")
    print(f"written  {TARGET}")
