"""Achieved against target: persons and nodules of a study beside the cohorts that they were drawn from.

Only twins that were drawn whole count (:class:`flows.study.people.Like`). A population that was drawn from its cohort
has a p-value below 0.05 in one figure of twenty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lesions import Nodule
from lesions.cohorts import draw_table, load_cohort
from twins import TwinSpec

from .partial import copied
from .people import Like, TwinEntry
from .spec import StudySpec

REFERENCE, REFERENCE_PEOPLE = 4000, 1000
"""Nodules and persons drawn from a cohort to compare with."""

PEOPLE = (
    "sex", "age_y", "height_cm", "bmi", "smoking", "pack_years", "years_since_quit_y", "smoking_duration_y",
    "family_history", "copd", "emphysema_percent", "lung_volume_l",
)  # fmt: skip
"""Fields of a person that are compared."""


@dataclass(frozen=True, slots=True)
class Target:
    """One figure of a study against its cohort.

    Parameters
    ----------
    cohort
        Name of the cohort.
    figure
        What is compared: a field of a person or nodule, a share (``type=solid``), or the nodules per person.
    unit
        Its unit.
    n
        Persons or nodules.
    achieved, target
        Means; shares for choices.
    p_value
        Probability of such a difference of the distributions, or a larger one, by chance alone (Kolmogorov-Smirnov;
        chi-square for choices); None where there are too few to tell.
    """

    cohort: str
    figure: str
    unit: str
    n: int
    achieved: float
    target: float
    p_value: float | None


def targets(study: StudySpec) -> list[Target]:
    """All figures of a resolved study that have a target; a person counts once, however often it is scanned."""
    persons = {twin.person: twin for twin in reversed(study.twins) if twin.like is not None and twin.visit in (None, 1)}
    people = [persons[name] for name in sorted(persons, key=str)]
    found: list[Target] = []
    for name in sorted({str(twin.like.people) for twin in people if twin.like and twin.like.people}):
        own = [twin for twin in people if twin.like and twin.like.people == name]
        found += _people(name, [copied(t.population, TwinSpec) for t in own if t.population is not None])
    groups: dict[tuple[str, bool, tuple[float, float]], list[TwinEntry]] = {}
    for twin in people:
        like = twin.like
        if like is not None and like.cohort is not None:
            groups.setdefault((like.cohort, like.counts, like.diameter_mm), []).append(twin)
    for (name, counts, diameter_mm), own in sorted(groups.items()):
        found += _nodules(Like(cohort=name, counts=counts, diameter_mm=diameter_mm), own)
    return found


def _people(cohort: str, specs: Sequence[TwinSpec]) -> list[Target]:
    from scipy.stats import ks_2samp

    if len(specs) < 2:
        return []
    expected = _reference_people(cohort)
    found = []
    for name in PEOPLE:
        ours, theirs = ([getattr(spec, name) for spec in some] for some in (specs, expected))
        if isinstance(theirs[0], str | bool):
            found += _shares(cohort, name, [str(v) for v in ours], [str(v) for v in theirs])
            continue
        mine, known = (np.array([v for v in values if v is not None], float) for values in (ours, theirs))
        if len(mine) and len(known):
            p_value = float(ks_2samp(mine, known, method="asymp").pvalue)
            unit = _unit(name)
            found.append(Target(cohort, name, unit, len(mine), float(mine.mean()), float(known.mean()), p_value))
    return found


@cache
def _reference_people(cohort: str) -> tuple[TwinSpec, ...]:
    """Persons of the cohort to compare with, always the same ones."""
    from twins import draw

    rng = np.random.Generator(np.random.Philox(key=0))
    return tuple(draw(rng, cohort=cohort) for _ in range(REFERENCE_PEOPLE))


def _nodules(like: Like, twins: Sequence[TwinEntry]) -> list[Target]:
    from scipy.stats import ks_2samp

    assert like.cohort is not None
    ours = [copied(nodule, Nodule) for twin in twins for nodule in twin.nodules]
    found = []
    if like.counts:
        shares = load_cohort(like.cohort).counts.shares()
        n = [len(twin.nodules) for twin in twins]
        mean = float(shares @ np.arange(len(shares)))
        found.append(Target(like.cohort, "nodules per person", "1", len(n), float(np.mean(n)), mean, _fit(n, shares)))
    if not ours:
        return found
    rng = np.random.Generator(np.random.Philox(key=0))
    drawn = draw_table(rng, REFERENCE, cohort=like.cohort, diameter_mm=like.diameter_mm)
    mine, theirs = np.array([nodule.target_diameter_mm for nodule in ours]), drawn["equivalent_diameter_mm"]
    p_value = float(ks_2samp(mine, theirs, method="asymp").pvalue) if len(ours) > 1 else None
    size = ("equivalent_diameter_mm", "mm", len(ours))
    found.append(Target(like.cohort, *size, float(mine.mean()), float(theirs.mean()), p_value))
    for name in ("type", "lobe"):
        expected = [str(value or None) for value in drawn[name]]
        found += _shares(like.cohort, name, [str(getattr(n, name)) for n in ours], expected)
    return found


def _fit(counts: Sequence[int], shares: NDArray[np.float64]) -> float | None:
    """p-value of counts per person, those of 3 and more taken together (chi-square); None below 20 persons."""
    from scipy.stats import chisquare

    if len(counts) < 20:
        return None
    expected = np.array([*shares[:3], shares[3:].sum()]) * len(counts)
    found = np.bincount(np.minimum(counts, 3), minlength=4)
    return float(chisquare(found, expected * found.sum() / expected.sum()).pvalue)


def _shares(cohort: str, name: str, ours: Sequence[str], theirs: Sequence[str]) -> list[Target]:
    from scipy.stats import chi2_contingency

    mine, expected = Counter(ours), Counter(theirs)
    kinds = sorted(set(mine) | set(expected))
    if len(kinds) < 2:
        return []
    table = np.array([[mine[k] for k in kinds], [expected[k] for k in kinds]], float)
    p_value = float(chi2_contingency(table).pvalue)
    return [
        Target(
            cohort, f"{name}={kind}", "share", len(ours), mine[kind] / len(ours), expected[kind] / len(theirs), p_value
        )
        for kind in kinds
    ]


def _unit(field: str) -> str:
    for suffix, unit in (("_percent", "%"), ("_cm", "cm"), ("_mm", "mm"), ("_y", "years"), ("_l", "L"), ("_g", "g")):
        if field.endswith(suffix):
            return unit
    return "1"
