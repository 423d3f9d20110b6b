"""Maximum likelihood of a small logistic regression with an offset, with model-based or cluster-robust covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_STEPS = 100
LONGEST_STEP = 5.0
"""Newton's steps change no logit by more than this: far from the maximum they overshoot."""
LARGEST = 40.0
"""Logits beyond this, per unit of the largest column, are taken as running off to infinity."""


class SeparationError(ValueError):
    """The outcomes are separated: the maximum likelihood lies at infinity."""


def fit_logistic(
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    offset: NDArray[np.float64] | None = None,
    codes: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients and their covariance.

    Parameters
    ----------
    x
        Columns, shape ``(n, k)``, the constant among them.
    y
        Outcomes, shape ``(n,)``.
    offset
        Known part of the logit, shape ``(n,)``.
    codes
        Group of each record, 0 to m - 1. With it the covariance is the sandwich of Liang and Zeger (Biometrika
        1986;73:13) with the factor m / (m - 1), else the inverse information.

    Raises
    ------
    SeparationError
        If Newton's steps run off, which is so where the columns separate the outcomes.
    """
    fixed = np.zeros(y.size) if offset is None else offset
    columns = np.ascontiguousarray(x.T)
    largest = max(1.0, float(np.max(np.abs(x))))
    beta = np.zeros(len(columns))
    p, value = _probability(fixed, y)
    for _ in range(MAX_STEPS):
        information = (columns * (p * (1 - p))) @ x
        try:
            step = np.linalg.solve(information, columns @ (y - p))
        except np.linalg.LinAlgError:
            raise SeparationError("the outcomes are separated or the columns depend on each other") from None
        moved = step @ columns
        step *= min(1.0, LONGEST_STEP / max(float(np.max(np.abs(moved))), 1e-300))
        length = 1.0
        while True:
            new = np.asarray(beta + length * step, dtype=np.float64)
            eta = new @ columns
            p, reached = _probability(eta + fixed, y)
            if reached >= value - 1e-9 * abs(value) or length <= 1e-6:
                break
            length /= 2
        beta, value = new, reached
        if not np.all(np.isfinite(beta)) or np.max(np.abs(eta)) > LARGEST * largest:
            break
        if np.max(np.abs(step)) < 1e-10 * (1 + np.max(np.abs(beta))):
            inverse = np.asarray(np.linalg.inv((columns * (p * (1 - p))) @ x), dtype=np.float64)
            return beta, inverse if codes is None else _sandwich(inverse, columns * (y - p), codes)
    raise SeparationError("no finite maximum of the likelihood: the probabilities separate the outcomes")


def _sandwich(
    inverse: NDArray[np.float64], scores: NDArray[np.float64], codes: NDArray[np.intp]
) -> NDArray[np.float64]:
    m = int(codes.max()) + 1
    sums = np.stack([np.bincount(codes, weights=row, minlength=m) for row in scores])
    return np.asarray(inverse @ (sums @ sums.T) @ inverse * (m / (m - 1)))


def _probability(eta: NDArray[np.float64], y: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Probability of each log odds, and the log-likelihood of the outcomes, without overflow."""
    small = np.exp(-np.abs(eta))
    p = np.where(eta >= 0, 1.0, small) / (1 + small)
    return p, float(eta[y].sum() - np.maximum(eta, 0.0).sum() - np.log1p(small).sum())
