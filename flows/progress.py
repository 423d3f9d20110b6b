"""How far a build is: one fraction for the whole, advanced by parts whose weights were estimated beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[float, str], None]
"""Gets the fraction done, 0 to 1, and what is being done."""


class Meter:
    """Turns the progress of parts into that of the whole.

    Parameters
    ----------
    total
        Sum of the weights of all parts.
    report
        Gets ``(fraction, what)``; None: nobody is told.
    """

    def __init__(self, total: float, report: Report | None = None) -> None:
        self._total = max(total, 1e-9)
        self._done = 0.0
        self._report = report

    @contextmanager
    def part(self, what: str, weight: float) -> Iterator[Callable[[float], None]]:
        """One part of the work; yields the ``progress`` callable for the function that does it."""
        self._tell(0.0, what)

        def progress(fraction: float) -> None:
            self._tell(weight * min(1.0, max(0.0, fraction)), what)

        yield progress
        self._done += weight
        self._tell(0.0, what)

    def skip(self, weight: float, what: str) -> None:
        """Count a part as done."""
        self._done += weight
        self._tell(0.0, what)

    def _tell(self, within: float, what: str) -> None:
        if self._report is not None:
            self._report(min(1.0, (self._done + within) / self._total), what)


class TimeLeft:
    """How long the rest takes, from the fractions reported so far; the caller says how late it is.

    Work that was found done already (an interrupted build that goes on) comes in leaps: these say nothing of how fast
    the rest goes, and are left out of the rate.
    """

    LEAP, LEAP_S = 0.01, 0.2
    """A larger step in a shorter time is a leap [1], [s] (design default)."""

    def __init__(self) -> None:
        self._fraction = 0.0
        self._told_s = 0.0
        self._leapt = 0.0

    def tell(self, fraction: float, elapsed_s: float) -> None:
        """Take in a report: the fraction done, and the time since the work began [s]."""
        step = fraction - self._fraction
        if step > self.LEAP and elapsed_s - self._told_s < self.LEAP_S:
            self._leapt += step
        self._fraction, self._told_s = fraction, elapsed_s

    def at(self, elapsed_s: float) -> float | None:
        """Time left at ``elapsed_s`` after the beginning [s]; None where nothing can be said yet."""
        worked = self._fraction - self._leapt
        if worked < 1e-3:
            return None
        left_s = self._told_s * (1.0 - self._fraction) / worked
        return max(0.0, left_s - (elapsed_s - self._told_s))
