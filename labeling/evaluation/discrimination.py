"""Area under the ROC curve: DeLong's variance in O(n log n), and a bootstrap that draws whole participants.

E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 1988;44:837 (variance of correlated areas); X. Sun, W. Xu,
IEEE Signal Processing Letters 2014;21:1389 (the same from midranks). Ties count one half throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from .inputs import Z95, Estimate, checked

UNDEFINED_MAX = 0.05
"""Share of bootstrap draws without both outcomes from which on no interval is given."""


def delong(y: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas under the ROC curves of several scores on the same records, and their covariance.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, shape ``(n,)``; two or more of each.
    scores
        Shape ``(k, n)``; only their order matters, and higher means more likely.

    Returns
    -------
    areas
        Shape ``(k,)``.
    covariance
        Shape ``(k, k)``.

    Raises
    ------
    ValueError
        If shapes disagree, a score is not a number, or there are fewer than two of an outcome.
    """
    truth, rows = np.asarray(y).astype(bool), np.asarray(scores, dtype=np.float64)
    if rows.ndim != 2 or truth.shape != rows.shape[1:]:
        raise ValueError(f"scores must have shape (k, n) for y of shape (n,), got {rows.shape} and {truth.shape}")
    if np.isnan(rows).any():
        raise ValueError(f"scores must be numbers, got {np.count_nonzero(np.isnan(rows))} NaN")
    m = int(np.count_nonzero(truth))
    n = truth.size - m
    if min(m, n) < 2:
        raise ValueError(f"DeLong's variance needs two of each outcome, got {m} with and {n} without the event")
    with_event, without = rows[:, truth], rows[:, ~truth]
    ranks = rankdata(np.concatenate([with_event, without], axis=1), axis=1)
    # For each event the share of the others that it exceeds, and for each of the others the share that exceeds it.
    v10 = (ranks[:, :m] - rankdata(with_event, axis=1)) / n
    v01 = 1 - (ranks[:, m:] - rankdata(without, axis=1)) / m
    areas = v10.mean(axis=1)
    covariance = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    return areas, covariance


def auc_delong(y: NDArray[np.bool_], p: NDArray[np.float64]) -> Estimate:
    """Area with DeLong's interval, area +- 1.96 SE cut to 0..1; records are taken as independent."""
    areas, covariance = delong(y, p[None])
    half = Z95 * float(np.sqrt(covariance[0, 0]))
    area = float(areas[0])
    return Estimate(area, max(area - half, 0.0), min(area + half, 1.0), "DeLong")


def auc_difference(y: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[Estimate, float]:
    """Difference of two areas on the same records, first less second, with DeLong's interval and two-sided p value.

    Raises
    ------
    ValueError
        As :func:`evaluate`; records are taken as independent.
    """
    truth, a = checked(y, first)
    _, b = checked(y, second)
    areas, covariance = delong(truth, np.stack([a, b]))
    gap = float(areas[0] - areas[1])
    error = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0)))
    p_value = 1.0 if gap == 0 else float(2 * norm.sf(abs(gap) / error)) if error > 0 else 0.0
    return Estimate(gap, gap - Z95 * error, gap + Z95 * error, "DeLong, paired"), p_value


def auc_of_groups(
    y: NDArray[np.bool_],
    p: NDArray[np.float64],
    codes: NDArray[np.intp],
    n_groups: int,
    *,
    rng: np.random.Generator,
    n_bootstrap: int,
) -> Estimate | str:
    """Area with the percentile interval of a bootstrap over whole groups, or the reason why there is none.

    Each draw takes ``n_groups`` groups with replacement; draws without both outcomes are left out, and from 5 % of
    such draws on no interval is given.
    """
    order = np.argsort(p, kind="stable")
    owner, score = codes[order], p[order]
    events = np.flatnonzero(y[order])
    # Records of the same score as each event, as a range of the order.
    first = np.searchsorted(score, score[events], side="left")
    last = np.searchsorted(score, score[events], side="right")
    other = ~y[order]
    area = _weighted_auc(np.ones(n_groups), owner, other, events, first, last)
    areas = np.empty(n_bootstrap)
    for i in range(n_bootstrap):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups).astype(np.float64)
        areas[i] = _weighted_auc(times, owner, other, events, first, last)
    defined = areas[np.isfinite(areas)]
    if defined.size < (1 - UNDEFINED_MAX) * n_bootstrap:
        return f"{n_bootstrap - defined.size} of {n_bootstrap} bootstrap draws of participants lack one of the outcomes"
    low, high = np.quantile(defined, [0.025, 0.975])
    return Estimate(area, float(low), float(high), f"bootstrap over participants, {n_bootstrap} draws")


def _weighted_auc(
    times: NDArray[np.float64],
    owner: NDArray[np.intp],
    other: NDArray[np.bool_],
    events: NDArray[np.intp],
    first: NDArray[np.intp],
    last: NDArray[np.intp],
) -> float:
    """Area when group g counts ``times[g]`` times; records sorted by score. NaN without both outcomes."""
    weight = times[owner]
    below = np.concatenate([[0.0], np.cumsum(weight * other)])
    mine = weight[events]
    total = mine.sum() * below[-1]
    if total == 0:
        return float("nan")
    return float(mine @ (below[first] + below[last]) / (2 * total))
