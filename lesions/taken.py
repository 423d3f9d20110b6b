"""What places are taken, and the error of who finds none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NODULE_GAP_MM = 5.0
"""Gap between the surfaces of two nodules, spicules included [mm] (design default)."""

N_TRIES = 400
"""Places tried where not all can be weighed at once."""

Taken = list[tuple[str, NDArray[np.float64], float]]
"""Id, centre (x, y, z) and reach [mm] of the nodules that have a place."""


class PlacementError(ValueError):
    """No place satisfies what a nodule asks for; the message names the constraint and the numbers."""


def free(points_mm: NDArray[np.float64], full_mm: float, taken: Taken) -> NDArray[np.bool_]:
    """Which points ``(n, 3)`` leave a nodule of that reach its gap to those that have a place."""
    found = np.ones(len(points_mm), bool)
    for _, centre, radius in taken:
        found &= np.sqrt(((points_mm - centre) ** 2).sum(axis=1)) >= radius + full_mm + NODULE_GAP_MM
    return found
