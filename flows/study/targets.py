"""Achieved against target: persons and nodules of a study beside the cohorts that they were drawn from.

Only twins that were drawn whole count (:class:`flows.study.people.Like`). A population that was drawn from its cohort
has a p-value below 0.05 in one figure of twenty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesions import Nodule
from lesions.cohorts import draw_table, load_cohort
from twins import TwinSpec
from twins.cohorts import agreement

from .partial import given
from .people import Like, TwinEntry
from .spec import StudySpec

REFERENCE = 4000
"""Nodules drawn from a cohort to compare with."""


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
        Probability of such a difference of the distributions, or a larger one, by chance alone; None where only the
        figure itself was compared, or there are too few to tell.
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
        found += _people(name, [TwinSpec(**given(t.population)) for t in own if t.population is not None])
    groups: dict[tuple[str, bool, tuple[float, float]], list[TwinEntry]] = {}
    for twin in people:
        like = twin.like
        if like is not None and like.cohort is not None:
            groups.setdefault((like.cohort, like.counts, like.diameter_mm), []).append(twin)
    for (name, counts, diameter_mm), own in sorted(groups.items()):
        found += _nodules(Like(cohort=name, counts=counts, diameter_mm=diameter_mm), own)
    return found


def _people(cohort: str, specs: Sequence[TwinSpec]) -> list[Target]:
    if len(specs) < 2:
        return []
    found = []
    for field in agreement(specs, cohort):
        if field.mean is not None and field.expected_mean is not None:
            unit = _unit(field.field)
            p_value = field.p_value if field.wasserstein_sd is not None else None
            found.append(Target(cohort, field.field, unit, len(specs), field.mean, field.expected_mean, p_value))
    for name in ("sex", "smoking"):
        expected = _reference_people(cohort)
        found += _shares(
            cohort, name, [str(getattr(s, name)) for s in specs], [str(getattr(s, name)) for s in expected]
        )
    return found


def _reference_people(cohort: str) -> list[TwinSpec]:
    from twins import draw

    rng = np.random.Generator(np.random.Philox(key=0))
    return [draw(rng, cohort=cohort) for _ in range(1000)]


def _nodules(like: Like, twins: Sequence[TwinEntry]) -> list[Target]:
    from scipy.stats import ks_2samp

    assert like.cohort is not None
    ours = [Nodule(**{k: v for k, v in given(n).items() if k != "growth"}) for twin in twins for n in twin.nodules]
    found = []
    if like.counts:
        shares = load_cohort(like.cohort).counts.shares()
        n = [len(twin.nodules) for twin in twins]
        mean = float(shares @ np.arange(len(shares)))
        found.append(Target(like.cohort, "nodules per person", "1", len(n), float(np.mean(n)), mean, _fit(n, shares)))
    if not ours:
        return found
    rng = np.random.Generator(np.random.Philox(key=0))
    drawn = list(draw_table(rng, REFERENCE, cohort=like.cohort, diameter_mm=like.diameter_mm).nodules())
    mine, theirs = (np.array([nodule.target_diameter_mm for nodule in some]) for some in (ours, drawn))
    p_value = float(ks_2samp(mine, theirs, method="asymp").pvalue) if len(ours) > 1 else None
    size = ("equivalent_diameter_mm", "mm", len(ours))
    found.append(Target(like.cohort, *size, float(mine.mean()), float(theirs.mean()), p_value))
    for name in ("type", "lobe"):
        found += _shares(
            like.cohort, name, [str(getattr(n, name)) for n in ours], [str(getattr(n, name)) for n in drawn]
        )
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
