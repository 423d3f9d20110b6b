"""``report/index.html``: what a finished dataset holds, to look at. Reads the dataset only."""

from __future__ import annotations

from .page import write_report

__all__ = ["write_report"]
