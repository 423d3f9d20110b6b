"""Decision curve: net benefit of acting on a probability (A. J. Vickers, E. B. Elkin, Med Decis Making 2006;26:565)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class NetBenefit:
    """True positives less weighted false positives, per record, when all at or above a threshold are acted on."""

    threshold: float
    model: float
    all: float
    sensitivity: float
    specificity: float


def net_benefit(y: NDArray[np.bool_], p: NDArray[np.float64], threshold: float) -> NetBenefit:
    """``TP/n - FP/n t/(1-t)`` at threshold t, and the same for acting on all; acting on none has 0.

    Raises
    ------
    ValueError
        If the threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be above 0 and below 1, got {threshold:g}")
    acted = p >= threshold
    true, false = int(np.count_nonzero(acted & y)), int(np.count_nonzero(acted & ~y))
    n, events = y.size, int(np.count_nonzero(y))
    odds = threshold / (1 - threshold)
    return NetBenefit(
        threshold=threshold,
        model=true / n - false / n * odds,
        all=events / n - (n - events) / n * odds,
        sensitivity=true / events,
        specificity=1 - false / (n - events),
    )
