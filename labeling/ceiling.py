"""The best AUC that anyone can reach on drawn labels: once its probability is known, a drawn label is noise.

A classifier that beats the ceiling of what an image shows has seen something that is not in the image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def expected_auc(probability: ArrayLike, score: ArrayLike | None = None) -> float:
    """AUC to be expected of ``score`` when every label is an independent draw with its own probability.

    ``sum_{i != j} p_i (1 - p_j) [s_i > s_j] / sum_{i != j} p_i (1 - p_j)``, equal scores counting one half: the
    expected number of concordant pairs over the expected number of pairs, which the mean AUC over many draws
    approaches as the set grows. Exact, in O(n log n). No score reaches more than ``score = probability``
    (Neyman-Pearson lemma).

    Parameters
    ----------
    probability
        Probability of malignancy of each nodule, ``(n,)`` [0-1].
    score
        What ranks the nodules, ``(n,)``; None: the probability itself.

    Raises
    ------
    ValueError
        If lengths differ, a probability is outside 0-1, a score is not a number, or no pair of one malignant and one
        benign nodule can occur.

    Examples
    --------
    >>> expected_auc([0.0, 1.0])
    1.0
    >>> expected_auc([0.3, 0.3, 0.3])
    0.5
    """
    p = checked_probability(probability)
    s = p if score is None else np.asarray(score, dtype=np.float64)
    if s.shape != p.shape:
        raise ValueError(f"score must be of shape {p.shape} as probability, got {s.shape}")
    if np.isnan(s).any():
        raise ValueError(f"score must be numbers, item {int(np.flatnonzero(np.isnan(s))[0])} is not")
    order = np.argsort(s, kind="stable")
    p, s = p[order], s[order]
    q = 1 - p
    own = p * q  # a nodule makes no pair with itself
    pairs = p.sum() * q.sum() - own.sum()
    if not pairs > 1e-12 * len(p):
        raise ValueError(
            f"probability: no pair of a malignant and a benign nodule can occur among {len(p)} nodules with "
            f"{p.sum():g} malignant ones expected"
        )
    begins = np.flatnonzero(np.concatenate(([True], s[1:] != s[:-1])))
    p_tied, q_tied, own_tied = (np.add.reduceat(x, begins) for x in (p, q, own))
    below = np.concatenate(([0.0], np.cumsum(q_tied)[:-1]))
    concordant = (p_tied * below).sum() + 0.5 * (p_tied * q_tied - own_tied).sum()
    return float(concordant / pairs)


def any_malignant_probability(
    probability: ArrayLike, group: ArrayLike
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Probability that a participant has at least one malignant nodule: ``1 - prod (1 - p)`` over the participant's.

    Nodules are independent given their covariates, as :func:`labeling.assign` draws them.

    Parameters
    ----------
    probability
        Of each nodule, ``(n,)`` [0-1].
    group
        Participant of each nodule, ``(n,)``.

    Returns
    -------
    groups, probability
        Participants in order of first appearance, ``(m,)``, and their probabilities, ``(m,)`` [0-1].
    """
    p, groups = checked_probability(probability), np.asarray(group, dtype=object)
    if groups.shape != p.shape:
        raise ValueError(f"group must be of shape {p.shape} as probability, got {groups.shape}")
    names = list(dict.fromkeys(groups.tolist()))
    row = {name: i for i, name in enumerate(names)}
    none = np.zeros(len(names))
    with np.errstate(divide="ignore"):
        np.add.at(none, [row[g] for g in groups.tolist()], np.log1p(-p))
    found = np.empty(len(names), dtype=object)
    found[:] = names
    return found, -np.expm1(none)


def checked_probability(probability: ArrayLike) -> NDArray[np.float64]:
    """Probabilities as a float array ``(n,)``; ValueError where they are none."""
    p = np.asarray(probability, dtype=np.float64)
    if p.ndim != 1 or not len(p):
        raise ValueError(f"probability must be one number per nodule, got shape {p.shape}")
    wrong = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if len(wrong):
        raise ValueError(f"probability must be 0 to 1, item {wrong[0]} is {p[wrong[0]]:g}")
    return p
