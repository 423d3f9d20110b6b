"""Fit a published model's intercept, or intercept and slope, to other data; its shape stays."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..columns import Table
from ..model import Derivation, ModelSpec
from .estimate import auc, estimate, offset, sandwich, separating
from .fit import MIN_EVENTS

How = Literal["offset", "offset+slope"]


def recalibrate(
    model: ModelSpec, table: Table, y: ArrayLike, groups: ArrayLike | None = None, *, how: How, label: str
) -> ModelSpec:
    """A copy of ``model`` whose intercept, or intercept and common slope, fit the outcomes ``y``.

    "offset": ``logit + a``, with a such that the mean probability is the share of events. "offset+slope":
    ``a + b logit``, a and b by maximum likelihood (Cox, Biometrika 1958;45:562).

    Parameters
    ----------
    model, table
        The model and covariates by name, n rows.
    y
        Outcomes, 0 or 1 (or booleans), shape ``(n,)``.
    groups
        Participant of each row, shape ``(n,)``; None takes each row as its own.
    how
        What is fitted.
    label
        Where the data come from and what counts as the outcome, in words; it is kept in the derivation.

    Raises
    ------
    ValueError
        If shapes differ, there are fewer than 50 events or non-events, ``model`` makes a probability 0, or the slope
        does not exist or is not positive.
    """
    if how not in ("offset", "offset+slope"):
        raise ValueError(f"how must be 'offset' or 'offset+slope', got {how!r}")
    logit = model.logit(table)
    outcome = np.asarray(y, dtype=np.float64)
    who = np.arange(len(logit)) if groups is None else np.asarray(groups)
    if outcome.shape != logit.shape or who.shape != logit.shape:
        raise ValueError(f"y {outcome.shape} and groups {who.shape} must have the {len(logit)} rows of the table")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError("y must be 0 or 1 in every row")
    if not np.isfinite(logit).all():
        raise ValueError(
            f"model {model.id!r} gives {int((~np.isfinite(logit)).sum())} rows probability 0: leave them out"
        )
    events = int(outcome.sum())
    if min(events, len(outcome) - events) < MIN_EVENTS:
        raise ValueError(f"{events} events in {len(outcome)} rows: fewer than {MIN_EVENTS} events or non-events")
    if how == "offset":
        a, b = offset(logit, outcome, np.ones(len(outcome))), 1.0
        words = f"intercept shifted by {a:+.4f}"
    else:
        X = logit[:, None]
        if np.ptp(logit) == 0 or len(separating(X, outcome)):
            raise ValueError(f"model {model.id!r}: the slope has no finite estimate on these rows; how='offset' has")
        beta = estimate(X, outcome, None)
        a, b = float(beta[0]), float(beta[1])
        if b <= 0:
            raise ValueError(f"model {model.id!r}: the slope is {b:.3f} on these rows; the model says nothing of them")
        se = np.sqrt(np.diag(sandwich(X, outcome, who, beta, None)))
        words = f"offset {a:+.4f} (SE {se[0]:.4f}), slope {b:.4f} (SE {se[1]:.4f})"
    errors = "standard errors of the terms are those of the original" if b == 1 else "no standard errors of the terms"
    return model.model_copy(
        update={
            "id": f"{model.id}.recalibrated",
            "title": f"{model.title}, recalibrated",
            "citation": f"{model.citation}. Recalibrated with lungtwin",
            "status": f"Recalibrated by the user ({words}); not validated on other data. {model.status}",
            "uncertainty": f"{words}; {errors}",
            "published": False,
            "checked_by": (),
            "performance": (),
            "intercept": a + b * model.intercept,
            "terms": tuple(
                term.model_copy(
                    update={
                        "coefficient": b * term.coefficient,
                        "standard_error": term.standard_error if b == 1 else None,
                    }
                )
                for term in model.terms
            ),
            "covariance": None,
            "derivation": Derivation(
                n=len(outcome),
                events=events,
                clusters=len(np.unique(who)),
                events_per_variable=events / (1 if how == "offset" else 2),
                label=label,
                tables=(f"{model.id} (hash {model.hash()}) on the caller's rows",),
                apparent_auc=auc(outcome, logit),
                method=f"Recalibration, {how}: {words}",
                synthetic=False,
            ),
        }
    )
