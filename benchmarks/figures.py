"""From results to figures: medians, rates, ratios. No files, no clock."""

from __future__ import annotations

import statistics
from typing import Any

from .rows import OURS, Row

Record = dict[str, Any]


def median(found: dict[str, Any], what: str) -> float:
    """Median over the rounds of ``wall_s`` or ``cpu_s`` [s]."""
    return statistics.median(run[what] for run in found["runs"])


def rate(found: dict[str, Any], what: str) -> float:
    """Units of work per second of ``wall_s`` or ``cpu_s``."""
    return float(found["work"]) / median(found, what)


def peer_of(record: Record) -> str | None:
    """The side beside lungtwin; None where there is none."""
    return next((name for name in record["sides"] if name != OURS), None)


def ratio(record: Record, what: str) -> float | None:
    """Lungtwin's work per second over the peer's, of medians; None without either."""
    peer = peer_of(record)
    if peer is None or OURS not in record["sides"]:
        return None
    return rate(record["sides"][OURS], what) / rate(record["sides"][peer], what)


def whole_grid_ratio(record: Record) -> float | None:
    """Lungtwin's rate over the peer's on all slices of the item, lit or not, by wall time; None where not measured."""
    peer = peer_of(record)
    if peer is None or OURS not in record["sides"]:
        return None
    whole = record["sides"][peer]["found"].get("whole_grid_updates_per_s")
    return None if whole is None else rate(record["sides"][OURS], "wall_s") / float(whole)


def ratio_range(record: Record, what: str) -> tuple[float, float] | None:
    """Smallest and largest ratio of one round."""
    peer = peer_of(record)
    if peer is None or OURS not in record["sides"]:
        return None
    a, b = record["sides"][OURS], record["sides"][peer]
    each = [a["work"] / one[what] / (b["work"] / other[what]) for one, other in zip(a["runs"], b["runs"], strict=False)]
    return min(each), max(each)


def steady_rate(found: dict[str, Any], views: int) -> float | None:
    """Work per wall second of what a scan has beyond a short one: without start-up; None where that is not known."""
    few, brief = found["found"].get("start_up_views"), found["found"].get("start_up_s")
    if few is None or few >= views or median(found, "wall_s") <= brief:
        return None
    return float(found["work"]) * (1 - few / views) / (median(found, "wall_s") - brief)


def counts(row: Row, found: dict[str, Any]) -> bool:
    """Whether a speed was reached at the accuracy that is asked for."""
    error = found["found"].get("relative_rmse")
    return row.error_bar is None or (error is not None and error <= row.error_bar)


def verdict(value: float | None, bar: float | None, aim: float | None, *, at_most: bool = False, unit: str = "") -> str:
    """ "aim met", "bar met" or "bar missed", with the bar; empty where nothing is asked for."""
    if bar is None or value is None:
        return ""

    def met(limit: float) -> bool:
        return value <= limit if at_most else value >= limit

    asked = f"{bar:g}{unit}" + (f" (aim {aim:g}{unit})" if aim is not None else "")
    if not met(bar):
        return f"{asked}: missed"
    return f"{asked}: " + ("aim met" if aim is not None and met(aim) else "met")
