"""The Python of docs/cohorts.md runs, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

from lesions import Nodule, insert

from .synthetic_thorax import block

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cohorts.md"


def test_the_python_of_the_page_runs():
    twin = block(vessel=False)
    known = Nodule(id="seen", key=4, equivalent_diameter_mm=12.0, centre_mm=(-30.0, 3.0, 20.0))
    names: dict[str, object] = {"twin": twin, "truth": insert(twin, [known])[1], "grid": twin.grid}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 4
    for text in blocks:
        exec(compile(text, str(PAGE), "exec"), names)
    assert len(names["nodules"]) == 200  # type: ignore[arg-type]
    assert len({v.nodule.centre_mm for v in names["visits"]}) == 1  # type: ignore[attr-defined]
