"""All figures of one set of probabilities against one set of outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from . import calibration
from .calibration import Bin, Smooth
from .decision import NetBenefit, net_benefit
from .discrimination import auc_delong, auc_of_groups
from .inputs import CLIP, Estimate, checked, clipped, group_codes

MINIMUM_EVENTS = 100
"""Slope and smooth calibration need this many records of either outcome: external validation below it is unreliable
(G. S. Collins, E. O. Ogundimu, D. G. Altman, Stat Med 2016;35:214)."""

THRESHOLDS = (0.01, 0.02, 0.05, 0.10)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found; a figure that is not given is None, and ``withheld`` says why.

    On labels that were drawn from the probabilities themselves, an offset of 0 and a slope of 1 show that the draws
    are what they claim to be, and nothing about patients.
    """

    n: int
    events: int
    n_groups: int | None
    prevalence: float
    mean_probability: float
    auc: Estimate | None
    auc_grouped: Estimate | None
    average_precision: float
    brier: float
    brier_skill: float
    log_loss: float
    offset: Estimate | None
    slope: Estimate | None
    observed_to_expected: Estimate | None
    smooth: Smooth | None
    bins: tuple[Bin, ...]
    decision: tuple[NetBenefit, ...]
    n_clipped: int
    clip: float
    withheld: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them."""
        return asdict(self)


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    rng: np.random.Generator | None = None,
    n_bootstrap: int = 1000,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Evaluation:
    """Discrimination, overall error, calibration and net benefit.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, shape ``(n,)``; both must occur.
    p
        Probabilities of outcome 1, shape ``(n,)``.
    groups
        Participant of each record, shape ``(n,)``. Nodules of one person are not independent: with groups, the
        intervals of calibration are robust to that, and the area gets a second interval from whole participants.
    rng
        Draws participants; needed with groups.
    n_bootstrap
        Draws of participants.
    thresholds
        Probabilities at which net benefit is given.

    Returns
    -------
    Evaluation
        Average precision is the step sum without interpolation (scikit-learn); Brier skill is that against the
        prevalence of these records; log-loss is natural and, like logits, keeps p ``CLIP`` from 0 and 1.

    Raises
    ------
    ValueError
        If lengths differ, a value is outside its range, only one outcome occurs, or groups come without rng.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

    truth, probability = checked(y, p)
    codes, n_groups = (None, None) if groups is None else group_codes(groups, truth.size)
    if codes is not None and rng is None:
        raise ValueError("rng is needed to draw participants: give a numpy.random.Generator")
    if n_bootstrap < 100:
        raise ValueError(f"n_bootstrap must be at least 100, got {n_bootstrap}")
    events = int(np.count_nonzero(truth))
    fewer = min(events, truth.size - events)
    withheld: dict[str, str] = {}

    def attempt(name: str, compute: Callable[[], T]) -> T | None:
        try:
            return compute()
        except ValueError as error:
            withheld[name] = str(error)
            return None

    def with_enough(name: str, compute: Callable[[], T]) -> T | None:
        if fewer < MINIMUM_EVENTS:
            withheld[name] = f"needs {MINIMUM_EVENTS} records of either outcome, got {fewer}"
            return None
        return attempt(name, compute)

    grouped: Estimate | None = None
    if codes is not None and n_groups is not None and rng is not None:
        found = auc_of_groups(truth, probability, codes, n_groups, rng=rng, n_bootstrap=n_bootstrap)
        if isinstance(found, str):
            withheld["auc_grouped"] = found
        else:
            grouped = found
    prevalence = events / truth.size
    brier = float(brier_score_loss(truth, probability))
    inside = np.clip(probability, CLIP, 1 - CLIP)
    return Evaluation(
        n=truth.size,
        events=events,
        n_groups=n_groups,
        prevalence=prevalence,
        mean_probability=float(probability.mean()),
        auc=attempt("auc", lambda: auc_delong(truth, probability)),
        auc_grouped=grouped,
        average_precision=float(average_precision_score(truth, probability)),
        brier=brier,
        brier_skill=1 - brier / (prevalence * (1 - prevalence)),
        log_loss=float(log_loss(truth, inside)),
        offset=attempt("offset", lambda: calibration.offset(truth, probability, codes)),
        slope=with_enough("slope", lambda: calibration.slope(truth, probability, codes)),
        observed_to_expected=attempt(
            "observed_to_expected", lambda: calibration.observed_to_expected(truth, probability, codes)
        ),
        smooth=with_enough("smooth", lambda: calibration.smooth(truth, probability)),
        bins=calibration.bins(truth, probability),
        decision=tuple(net_benefit(truth, probability, t) for t in thresholds),
        n_clipped=clipped(probability),
        clip=CLIP,
        withheld=withheld,
    )
