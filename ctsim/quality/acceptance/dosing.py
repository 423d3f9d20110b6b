"""CTDIw of simulated PMMA phantoms against the profile's table."""

from __future__ import annotations

from .bench import Bench
from .rows import Part


def dose_indices(bench: Bench) -> Part:
    """CTDIw by Monte Carlo."""
    return Part()
