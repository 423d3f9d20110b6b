"""Generators from the seeds that people give on a command line."""

from __future__ import annotations

import numpy as np


def generator(seed: int) -> np.random.Generator:
    """Philox keyed by ``seed``.

    Raises
    ------
    ValueError
        If the seed is not a 64-bit integer.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"--seed must be 0 to 2^64 - 1, got {seed}")
    return np.random.Generator(np.random.Philox(key=seed))
