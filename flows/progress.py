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
