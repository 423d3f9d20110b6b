"""Maximum likelihood of a small logistic regression with an offset, with model-based or cluster-robust covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

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
    beta = np.zeros(x.shape[1])
    value = _log_likelihood(x, y, fixed, beta)
    for _ in range(MAX_STEPS):
        p = expit(x @ beta + fixed)
        information = x.T @ (x * (p * (1 - p))[:, None])
        try:
            step = np.linalg.solve(information, x.T @ (y - p))
        except np.linalg.LinAlgError:
            raise SeparationError("the outcomes are separated or the columns depend on each other") from None
        step *= min(1.0, LONGEST_STEP / max(float(np.max(np.abs(x @ step))), 1e-300))
        length = 1.0
        while (new := _log_likelihood(x, y, fixed, beta + length * step)) < value - 1e-9 * abs(value) and length > 1e-6:
            length /= 2
        beta, value = beta + length * step, new
        if not np.all(np.isfinite(beta)) or np.max(np.abs(x @ beta)) > LARGEST * max(1.0, np.max(np.abs(x))):
            break
        if np.max(np.abs(step)) < 1e-10 * (1 + np.max(np.abs(beta))):
            inverse = np.linalg.inv(information)
            return beta, inverse if codes is None else _sandwich(inverse, x * (y - p)[:, None], codes)
    raise SeparationError("no finite maximum of the likelihood: the probabilities separate the outcomes")


def _sandwich(
    inverse: NDArray[np.float64], scores: NDArray[np.float64], codes: NDArray[np.intp]
) -> NDArray[np.float64]:
    m = int(codes.max()) + 1
    sums = np.stack([np.bincount(codes, weights=column, minlength=m) for column in scores.T], axis=1)
    return np.asarray(inverse @ (sums.T @ sums) @ inverse * (m / (m - 1)))


def _log_likelihood(
    x: NDArray[np.float64], y: NDArray[np.bool_], offset: NDArray[np.float64], beta: NDArray[np.float64]
) -> float:
    eta = x @ beta + offset
    return float(np.sum(np.where(y, eta, 0.0) - np.logaddexp(0.0, eta)))
