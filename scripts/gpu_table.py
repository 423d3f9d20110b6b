"""The table that ``gpu_check.py`` prints."""

from __future__ import annotations

from typing import Any


class Table:
    """Rows of the report."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, value: float | str, unit: str = "", *, aim: str = "", good: bool | None = None) -> None:
        """Print a row; ``good`` None: nothing to pass."""
        value, good = value if isinstance(value, str) else float(value), None if good is None else bool(good)
        self.rows.append({"what": what, "value": value, "unit": unit, "aim": aim, "passed": good})
        shown = value if isinstance(value, str) else f"{value:.4g}"
        state = {None: "", True: "ok", False: "FAILED"}[good]
        print(f"{what:72s} {shown:>12s} {unit:14s} {aim:22s} {state}", flush=True)

    @property
    def n_failed(self) -> int:
        """Rows that did not pass."""
        return sum(row["passed"] is False for row in self.rows)
