"""From attenuation to Hounsfield units: HU = 1000 (mu - mu_water) / mu_water, rounded to 16-bit integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOWEST_HU = -1024
"""Lower end of the 12-bit scale of clinical images; also what voxels outside the field of view hold."""

HIGHEST_HU = 3071
"""Upper end of the 12-bit scale."""


def to_hu(mu_per_mm: NDArray[np.float32], mu_water_per_mm: float) -> NDArray[np.int16]:
    """Rounded Hounsfield units, clipped to -1024..3071.

    Examples
    --------
    >>> to_hu(np.array([0.0, 0.02, 0.03]), 0.02)
    array([-1000,     0,   500], dtype=int16)

    Raises
    ------
    ValueError
        If ``mu_water_per_mm`` is not positive or a value is not finite.
    """
    if not mu_water_per_mm > 0:
        raise ValueError(f"mu_water_per_mm must be positive, got {mu_water_per_mm}")
    hu = np.asarray(mu_per_mm) * (1000.0 / mu_water_per_mm) - 1000.0
    if not np.all(np.isfinite(hu)):
        raise ValueError("mu_per_mm must be finite")
    return np.clip(np.rint(hu), LOWEST_HU, HIGHEST_HU).astype(np.int16)
