"""What evaluation takes, checked once, and the value that its figures come as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

CLIP = 1e-12
"""Probabilities are kept this far from 0 and 1 where their logarithm is needed (log-loss, logit)."""

Z95 = float(norm.ppf(0.975))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    method: str


def checked(y: ArrayLike, p: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Outcomes and probabilities as arrays ``(n,)``.

    Raises
    ------
    ValueError
        If lengths differ, an outcome is not 0 or 1, a probability is not within 0 to 1, or only one outcome occurs.
    """
    truth, probability = np.asarray(y), np.asarray(p, dtype=np.float64)
    if truth.ndim != 1 or probability.shape != truth.shape:
        raise ValueError(
            f"y and p must be one-dimensional and of one length, got shapes {truth.shape}, {probability.shape}"
        )
    if truth.dtype.kind not in "biuf":
        raise ValueError(f"y must be 0 and 1 or booleans, got values of type {truth.dtype}")
    wrong = np.flatnonzero((truth != 0) & (truth != 1))
    if wrong.size:
        raise ValueError(f"y must be 0 or 1, got {truth[wrong[0]]!r} at position {wrong[0]} ({wrong.size} such values)")
    wrong = np.flatnonzero(~((probability >= 0) & (probability <= 1)))
    if wrong.size:
        raise ValueError(
            f"p must be 0 to 1, got {probability[wrong[0]]:g} at position {wrong[0]} ({wrong.size} such values)"
        )
    events = int(np.count_nonzero(truth))
    if events in (0, truth.size):
        raise ValueError(f"y must hold both outcomes, got {events} events among {truth.size}")
    return truth.astype(bool), probability


def group_codes(groups: ArrayLike, n: int) -> tuple[NDArray[np.intp], int]:
    """Groups as numbers 0 to m - 1 per record, and m.

    Raises
    ------
    ValueError
        If there is not one group per record, one is missing, or there is a single group only.
    """
    names = np.asarray(groups)
    if names.shape != (n,):
        raise ValueError(f"groups must have one value per outcome, shape ({n},), got {names.shape}")
    if names.dtype.kind == "f":
        missing = np.flatnonzero(np.isnan(names))
    elif names.dtype.kind == "O":
        missing = np.flatnonzero([name is None or name != name for name in names])
    else:
        missing = np.array([], dtype=np.intp)
    if missing.size:
        raise ValueError(f"groups must be known, missing at position {missing[0]} ({missing.size} such values)")
    found, codes = np.unique(names.astype(str) if names.dtype.kind == "O" else names, return_inverse=True)
    if found.size < 2:
        raise ValueError("groups must be at least two, got one")
    return codes.astype(np.intp), int(found.size)


def logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds, with probabilities kept ``CLIP`` away from 0 and 1."""
    inside = np.clip(p, CLIP, 1 - CLIP)
    return np.asarray(np.log(inside) - np.log1p(-inside), dtype=np.float64)


def clipped(p: NDArray[np.float64]) -> int:
    """How many probabilities :func:`logit` moves."""
    return int(np.count_nonzero((p < CLIP) | (p > 1 - CLIP)))
