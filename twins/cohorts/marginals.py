"""How a set of persons agrees with a cohort: Kolmogorov-Smirnov and Wasserstein distance of each margin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..spec import TwinSpec
from .spec import Cohort

REFERENCE = 2000
"""Persons drawn from the cohort to compare with; their distance to the cohort itself is about 0.02."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One field of a population against the same field of a cohort.

    Parameters
    ----------
    field
        Name in a :class:`twins.TwinSpec`.
    distance
        Largest difference of the cumulative distributions (Kolmogorov-Smirnov); of choices: half the sum of the
        differences of shares (total variation) [1].
    p_value
        Probability of such a distance or a larger one by chance alone [1].
    wasserstein
        Mean distance by which values would have to be moved, in the field's unit; None for choices.
    wasserstein_sd
        The same per standard deviation of the cohort [1]; None for choices, and where the cohort has one value.
    mean, expected_mean
        Of the population and of the cohort; None for choices.
    """

    field: str
    distance: float
    p_value: float
    wasserstein: float | None = None
    wasserstein_sd: float | None = None
    mean: float | None = None
    expected_mean: float | None = None


def agreement(specs: Sequence[TwinSpec], cohort: str | Path | Cohort = "nlst") -> list[Agreement]:
    """Compare persons with a cohort, field by field, ``key`` left out.

    A population of n persons drawn from the cohort itself has a p-value below 0.05 in one field of twenty.

    Parameters
    ----------
    specs
        The population, two persons or more.
    cohort
        As for :func:`twins.draw`. It is represented by 2000 persons drawn from it, always the same ones.

    Raises
    ------
    ValueError
        If there are fewer than two persons, or there is no such cohort.
    """
    from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

    from ..population import draw

    if len(specs) < 2:
        raise ValueError(f"a population needs two persons or more, got {len(specs)}")
    rng = np.random.Generator(np.random.Philox(key=0))
    expected = [draw(rng, cohort=cohort) for _ in range(REFERENCE)]
    found = []
    for name in TwinSpec.model_fields:
        if name == "key":
            continue
        ours, theirs = ([getattr(spec, name) for spec in people] for people in (specs, expected))
        numbers = [v for v in (*ours, *theirs) if isinstance(v, float | int) and not isinstance(v, bool)]
        if len(numbers) + sum(v is None for v in (*ours, *theirs)) == len(ours) + len(theirs) and numbers:
            a, b = (np.array([v for v in values if v is not None], float) for values in (ours, theirs))
            if not len(a) or not len(b):
                continue
            test = ks_2samp(a, b, method="asymp")
            moved, sd = float(wasserstein_distance(a, b)), float(b.std())
            found.append(
                Agreement(
                    name,
                    float(test.statistic),
                    float(test.pvalue),
                    moved,
                    moved / sd if sd > 0 else None,
                    float(a.mean()),
                    float(b.mean()),
                )
            )
            continue
        counts = [Counter(map(str, values)) for values in (ours, theirs)]
        kinds = sorted(set(counts[0]) | set(counts[1]))
        table = np.array([[count[kind] for kind in kinds] for count in counts], float)
        shares = table / table.sum(1, keepdims=True)
        p_value = float(chi2_contingency(table).pvalue) if len(kinds) > 1 else 1.0
        found.append(Agreement(name, 0.5 * float(np.abs(shares[0] - shares[1]).sum()), p_value))
    return found
