"""Logistic regression of clustered rows: maximum likelihood or Firth, its covariance, and how much it flatters itself.

Rows of one participant are not independent: the covariance, the folds and the bootstrap all go by participant.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..scoring import probability_of

Floats = NDArray[np.float64]
Penalty = Literal["firth"] | None


def estimate(X: Floats, y: Floats, penalty: Penalty, weights: Floats | None = None) -> Floats:
    """Coefficients, intercept first, shape ``(1 + k,)``, of a logistic regression of ``y`` on ``X``.

    A column that is the same in all rows gets 0.

    Parameters
    ----------
    X, y, weights
        Shapes ``(n, k)``, ``(n,)``, ``(n,)``; ``y`` 0 or 1, weights how often a row counts.
    penalty
        None is maximum likelihood, without class weights, which would destroy the calibration. "firth" maximises the
        likelihood times the root of the determinant of the information (Firth, Biometrika 1993;80:27; Heinze &
        Schemper, Stat Med 2002;21:2409), then fits the intercept anew by maximum likelihood, so that the mean
        probability is the share of events (FLIC; Puhr et al., Stat Med 2017;36:2302).

    Raises
    ------
    ValueError
        If the fit does not converge.
    """
    counts = np.ones(len(y)) if weights is None else weights
    spread = X.std(axis=0)
    varies = spread > 1e-12 * np.abs(X).max(axis=0, initial=0.0)
    scaled = np.column_stack([np.ones(len(y)), X[:, varies] / spread[varies]])
    found = _newton(scaled, y, counts, penalty == "firth")
    beta = np.zeros(1 + X.shape[1])
    beta[0] = found[0]
    beta[1:][varies] = found[1:] / spread[varies]
    if penalty == "firth":
        beta[0] = offset(X @ beta[1:], y, counts)
    return beta


def offset(logit: Floats, y: Floats, weights: Floats) -> float:
    """The constant to add to ``logit``, shape ``(n,)``, that makes the weighted mean probability that of ``y``."""
    from scipy.optimize import brentq

    target = float(weights @ y)
    return float(brentq(lambda a: float(weights @ probability_of(a + logit)) - target, -60.0, 60.0, xtol=1e-12))


def separating(X: Floats, y: Floats) -> NDArray[np.intp]:
    """Columns of ``X``, shape ``(n, k)``, that separate events from the rest; empty if maximum likelihood exists.

    There is a direction b with ``(2 y - 1) (1, x) b >= 0`` in all rows and > 0 in some exactly where the maximum
    likelihood estimate does not exist (Albert & Anderson, Biometrika 1984;71:1); a linear program looks for it.
    """
    from scipy.optimize import linprog

    scaled = np.column_stack([np.ones(len(y)), X / np.maximum(np.abs(X).max(axis=0), 1e-300)])
    signed = np.unique(np.where(y == 1, 1.0, -1.0)[:, None] * scaled, axis=0)
    done = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1), method="highs")
    if done.status != 0:
        raise ValueError(f"looking for separation failed: {done.message}")
    if -done.fun <= 1e-6:
        return np.array([], dtype=np.intp)
    return np.flatnonzero(np.abs(done.x[1:]) > 1e-6)


def sandwich(X: Floats, y: Floats, groups: NDArray[Any], beta: Floats, penalty: Penalty) -> Floats:
    """Covariance of the coefficients that holds for correlated rows of a group, shape ``(1 + k, 1 + k)``.

    ``A^-1 B A^-1 * G / (G - 1) * (n - 1) / (n - 1 - k)`` with the information A and the sum B of outer products of
    the groups' scores (Liang & Zeger, Biometrika 1986;73:13; small-sample factor as in common statistical packages).
    ``groups``: shape ``(n,)``.
    """
    ones = np.column_stack([np.ones(len(y)), X])
    p = probability_of(ones @ beta)
    spread = p * (1 - p)
    information = ones.T @ (spread[:, None] * ones)
    residual = y - p
    if penalty == "firth":
        residual = residual + _leverage(ones, spread, information) * (0.5 - p)
    _, index = np.unique(groups, return_inverse=True)
    n, k = ones.shape
    scores = np.zeros((int(index.max()) + 1, k))
    np.add.at(scores, index, residual[:, None] * ones)
    half = np.linalg.solve(information, scores.T)
    factor = len(scores) / (len(scores) - 1) * (n - 1) / (n - k)
    covariance = factor * (half @ half.T)
    return np.asarray((covariance + covariance.T) / 2)


def auc(y: Floats, score: Floats, weights: Floats | None = None) -> float:
    """Area under the ROC curve; ties count half. ``y``, ``score``, ``weights``: shape ``(n,)``."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, score, sample_weight=weights))


def optimism(
    X: Floats, y: Floats, groups: NDArray[Any], penalty: Penalty, n_bootstrap: int, rng: np.random.Generator
) -> float:
    """How much the AUC on the rows of a fit exceeds that on others, by a bootstrap of participants.

    Mean over resamples of the AUC of the resample's fit on the resample, less that on the original rows (Harrell,
    Lee & Mark, Stat Med 1996;15:361). Resamples without both outcomes are drawn again.
    """
    _, index = np.unique(groups, return_inverse=True)
    n_groups = int(index.max()) + 1
    gaps: list[float] = []
    while len(gaps) < n_bootstrap:
        weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups))[index].astype(np.float64)
        events = float(weights @ y)
        if not 0 < events < weights.sum():
            continue
        drawn = weights > 0
        beta = estimate(X[drawn], y[drawn], penalty, weights[drawn])
        logit = beta[0] + X @ beta[1:]
        gaps.append(auc(y[drawn], logit[drawn], weights[drawn]) - auc(y, logit))
    return float(np.mean(gaps))


def folds(
    y: Floats, groups: NDArray[Any], n_folds: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to fit and rows to test, ``n_folds`` times.

    Participants, not rows, are dealt out, so that nobody is in both; those with events are spread evenly.
    """
    from sklearn.model_selection import StratifiedKFold

    people, index = np.unique(groups, return_inverse=True)
    ill = np.zeros(len(people), dtype=bool)
    np.logical_or.at(ill, index, y == 1)
    fewest = min(int(ill.sum()), int((~ill).sum()))
    if fewest < n_folds:
        raise ValueError(f"n_folds {n_folds}: only {fewest} participants with, or without, an event; take fewer folds")
    splitter = StratifiedKFold(n_splits=n_folds, shuffle=True, random_state=int(rng.integers(2**31)))
    fold = np.empty(len(people), dtype=int)
    for k, (_, test) in enumerate(splitter.split(people[:, None], ill)):
        fold[test] = k
    return [(np.flatnonzero(fold[index] != k), np.flatnonzero(fold[index] == k)) for k in range(n_folds)]


def cross_validated_auc(
    X: Floats, y: Floats, groups: NDArray[Any], penalty: Penalty, n_folds: int, rng: np.random.Generator
) -> float:
    """Mean AUC over folds of participants whom the fit did not see.

    Raises
    ------
    ValueError
        If there are fewer participants with events, or without, than folds.
    """
    found = []
    for train, test in folds(y, groups, n_folds, rng):
        beta = estimate(X[train], y[train], penalty)
        found.append(auc(y[test], X[test] @ beta[1:]))
    return float(np.mean(found))


def _newton(X: Floats, y: Floats, weights: Floats, firth: bool) -> Floats:
    """Maximum of the likelihood, or Firth's, by Newton steps with halving; ``X`` with its column of ones.

    It ends where the step or the mean score vanishes. Where no maximum exists the score vanishes at large
    coefficients, as in a resample that is separated by chance.
    """

    def state(beta: Floats) -> tuple[float, Floats, Floats]:
        eta = X @ beta
        p = probability_of(eta)
        spread = weights * p * (1 - p)
        information = X.T @ (spread[:, None] * X)
        value = float(weights @ (y * eta - np.logaddexp(0, eta)))
        residual = weights * (y - p)
        if firth:
            sign, logdet = np.linalg.slogdet(information)
            if sign <= 0 or not np.isfinite(logdet):
                return -np.inf, beta, information
            value += 0.5 * float(logdet)
            residual = residual + _leverage(X, spread, information) * (0.5 - p)
        return value, X.T @ residual, information

    total = float(weights.sum())
    beta = np.zeros(X.shape[1])
    value, score, information = state(beta)
    for _ in range(200):
        step = np.linalg.lstsq(information, score, rcond=1e-12)[0]
        if np.abs(step).max() < 1e-10 or np.abs(score).max() < 1e-11 * total:
            return beta
        step *= min(1.0, 5.0 / np.abs(step).max())
        for _ in range(40):
            new = state(beta + step)
            if new[0] >= value - 1e-12 * abs(value):
                break
            step = step / 2
        beta = beta + step
        value, score, information = new
    raise ValueError("the likelihood has not converged after 200 Newton steps")


def _leverage(X: Floats, spread: Floats, information: Floats) -> Floats:
    return np.asarray(spread * np.einsum("ij,ij->i", X, np.linalg.solve(information, X.T).T))
