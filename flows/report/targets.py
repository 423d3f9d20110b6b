"""Achieved against target: the dataset's own figures (``targets.csv``) and its outcomes, with what chance allows.

A share is compared with the binomial range, outcomes with the exact law of the number of events; ranges hold 95 % of
repetitions. Other figures have the p-value of their distribution. Of twenty honest figures one falls outside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..study import StudySpec
from . import charts
from .facts import Row, distinct, kind_of, number, words
from .overview import TYPES

SIZES_MM = ((0.0, 6.0), (6.0, 8.0), (8.0, 15.0), (15.0, math.inf))
"""Classes of mean axial diameter [mm]: the limits of solid nodules in Lung-RADS v2022."""

UNLIKELY = 0.05
"""A p-value below this counts as outside [1]."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of the dataset against its target; numbers in ``unit``, ``low`` to ``high`` what chance allows."""

    what: str
    n: int
    achieved: float
    target: float
    unit: str
    low: float | None = None
    high: float | None = None
    p_value: float | None = None

    @property
    def is_inside(self) -> bool | None:
        """Whether chance explains the distance from the target; None where that cannot be said."""
        if self.low is not None and self.high is not None:
            return self.low - 1e-9 <= self.achieved <= self.high + 1e-9
        return None if self.p_value is None else self.p_value >= UNLIKELY

    @property
    def band(self) -> str:
        """The line as a small drawing (SVG); "" without a range."""
        if self.low is None or self.high is None:
            return ""
        return charts.band(self.achieved, self.target, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Group:
    """Lines about one target."""

    title: str
    note: str
    lines: tuple[Line, ...]


def targets(study: StudySpec, table: Sequence[Row], nodules: Sequence[Row]) -> list[Group]:
    """All comparisons of a dataset.

    Parameters
    ----------
    table
        Rows of ``targets.csv``.
    nodules
        Rows of ``nodules.csv``.
    """
    groups = [
        Group(f"Cohort “{cohort}”", "Persons and nodules that were drawn whole from it.", _cohort(table, cohort))
        for cohort in dict.fromkeys(row["cohort"] for row in table)
    ]
    rows = [row for row in distinct(nodules) if row["is_mimic"] != "true"]
    if study.label_mode == "bernoulli" and rows:
        note = f"One outcome per nodule, drawn with the probability of the risk model {study.label_model}."
        groups.append(Group("Outcomes", note, _outcomes(rows)))
    return groups


def tally(groups: Sequence[Group]) -> dict[str, int]:
    """How many lines chance can be asked about, and how many are outside what it allows."""
    verdicts = [line.is_inside for group in groups for line in group.lines]
    return {"n": sum(v is not None for v in verdicts), "outside": verdicts.count(False)}


def _cohort(table: Sequence[Row], cohort: str) -> tuple[Line, ...]:
    from scipy.stats import binom

    lines = []
    for row in (row for row in table if row["cohort"] == cohort):
        n, achieved, target = int(row["n"]), float(row["achieved"]), float(row["target"])
        name = words(row["figure"].replace("=", ": "))
        if row["unit"] == "share":
            low, high = (100 * float(binom.ppf(q, n, target)) / n for q in (0.025, 0.975))
            lines.append(Line(name, n, 100 * achieved, 100 * target, "%", low, high))
            continue
        unit = "" if row["unit"] == "1" else row["unit"]
        for suffix in (" mm", " cm", " y", " l", " g", " percent"):
            name = name.removesuffix(suffix) if unit else name
        lines.append(Line(f"mean {name}", n, achieved, target, unit, p_value=number(row["p_value"])))
    return tuple(lines)


def _outcomes(rows: Sequence[Row]) -> tuple[Line, ...]:
    classes: list[tuple[str, list[Row]]] = [("malignant, all", list(rows))]
    for low, high in SIZES_MM:
        name = f"{low:g} to below {high:g} mm" if math.isfinite(high) else f"{low:g} mm and more"
        inside = [row for row in rows if low <= float(row["mean_diameter_mm"]) < high]
        classes.append((f"malignant, {name if low else f'below {high:g} mm'}", inside))
    classes += [(f"malignant, {kind}", [row for row in rows if kind_of(row) == kind]) for kind in TYPES]
    lines = []
    for name, inside in classes:
        if inside:
            p = np.array([float(row["probability"]) for row in inside])
            got = sum(row["label"] == "malignant" for row in inside)
            lines.append(Line(name, len(inside), got, float(p.sum()), "nodules", *count_range(p)))
    return tuple(lines)


def count_range(p: NDArray[np.float64]) -> tuple[float, float]:
    """Numbers of events between which 95 % of draws fall, for events of probabilities ``p``.

    Exact: the law of the number is the convolution of the single ones (Poisson binomial law).
    """
    law = np.ones(1)
    for value in p:
        law = np.convolve(law, (1 - value, value))
    below = np.cumsum(law)
    return float(np.searchsorted(below, 0.025)), float(np.searchsorted(below, 0.975))
