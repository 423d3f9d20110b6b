"""Starvation filter: readings that too few photons reached are smoothed within their view before the logarithm.

A reading S of energies Ebar per photon and electronic noise s_e is worth ``S^2 / (Ebar S + s_e^2)`` noise-equivalent
counts, S being the mean of the 7 x 7 readings around it, which is all but free of the reading's own noise. Where that
is below ``WANTED_COUNTS``, the reading becomes the mean of a box around it, as wide as it takes to collect them (at
most ``2 LARGEST_HALF_WIDTH + 1`` readings along each axis). All other readings stay as they are, to the bit.

The mean is taken of signals, not of logarithms: the logarithm of a noisy signal is biased by half its relative
variance, 1 / (2 n) at n counts, which the filter brings to below 1 / (2 WANTED_COUNTS). Adaptive filters of this kind:
Hsieh, Med Phys 25 (1998) 2139; Kachelriess, Watzke & Kalender, Med Phys 28 (2001) 475.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .kernels.correct import feed_starved

WANTED_COUNTS = 64.0
"""Noise-equivalent counts below which a reading is smoothed: 12.5 % noise (design default)."""

LARGEST_HALF_WIDTH = 5.0
"""Largest half width of the box [readings] (design default)."""


def filter_starved(signal_kev: NDArray[np.float32], photon_kev: float, noise_kev: float) -> None:
    """Smooth the starved readings of ``(view, row, column)``, in place.

    Parameters
    ----------
    signal_kev
        ``(view, row, column)`` float32: detected energy, dark signal subtracted [keV].
    photon_kev
        Energy that a count stands for [keV].
    noise_kev
        Standard deviation of the electronic noise of a reading [keV].
    """
    feed_starved(signal_kev, float(photon_kev), float(noise_kev), WANTED_COUNTS, LARGEST_HALF_WIDTH)
