"""The table that ``gpu_check.py`` prints."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Table:
    """Rows of the report.

    Parameters
    ----------
    facts
        What the figures stand for.
    path
        JSON file that holds facts and rows, as far as they are known; None: no file.
    """

    def __init__(self, facts: dict[str, Any], path: Path | None) -> None:
        self.rows: list[dict[str, Any]] = []
        self._facts, self._path = facts, path

    def add(self, what: str, value: float | str, unit: str = "", *, aim: str = "", good: bool | None = None) -> None:
        """Print a row; ``good`` None: nothing to pass."""
        value, good = value if isinstance(value, str) else float(value), None if good is None else bool(good)
        self.rows.append({"what": what, "value": value, "unit": unit, "aim": aim, "passed": good})
        shown = value if isinstance(value, str) else f"{value:.4g}"
        state = {None: "", True: "ok", False: "FAILED"}[good]
        print(f"{what:72s} {shown:>12s} {unit:14s} {aim:22s} {state}", flush=True)

    def part(self, name: str, run: Callable[[], None]) -> None:
        """Run a part; one that breaks down is a row that failed, and the others go on."""
        try:
            run()
        except Exception as error:  # whatever it is, time on the device is dear
            traceback.print_exc()
            self.add(f"{name}: broke down", type(error).__name__, good=False)
        if self._path is not None:
            self._path.write_text(json.dumps({**self._facts, "rows": self.rows}, indent=1) + "\n", encoding="utf-8")

    @property
    def n_failed(self) -> int:
        """Rows that did not pass."""
        return sum(row["passed"] is False for row in self.rows)
