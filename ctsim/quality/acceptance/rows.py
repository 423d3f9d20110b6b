"""What a qualification says: rows with a measured value and its bar, curves and maps behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity, measured, against its bar.

    Parameters
    ----------
    quantity
        What is measured.
    condition
        On what: tube potential, phantom, kernel.
    measured
        The value; NaN if it could not be had, which fails [unit].
    low, high
        The bar: smallest and largest value that pass [unit].
    unit
        Of the three; "" for plain numbers.
    how
        How it was measured, in a line.
    examination
        That it comes from.
    """

    quantity: str
    condition: str
    measured: float
    low: float
    high: float
    unit: str
    how: str
    examination: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value lies within its bar."""
        return self.low <= self.measured <= self.high

    @property
    def bar(self) -> str:
        """The bar in words."""
        if self.low == -math.inf and self.high == math.inf:
            return "none"
        if self.low == -math.inf:
            return f"<= {self.high:.4g}"
        if self.high == math.inf:
            return f">= {self.low:.4g}"
        middle = 0.5 * (self.low + self.high)
        if abs(middle) < 1e-12 * max(abs(self.low), abs(self.high)):
            return f"0 +- {self.high:.4g}"
        return f"{self.low:.4g} to {self.high:.4g}"


def within(quantity: str, condition: str, measured: float, target: float, tolerance: float, unit: str, how: str) -> Row:
    """A row that passes within ``tolerance`` of ``target``."""
    return Row(quantity, condition, float(measured), target - tolerance, target + tolerance, unit, how)


def at_most(quantity: str, condition: str, measured: float, limit: float, unit: str, how: str) -> Row:
    """A row that passes up to ``limit``."""
    return Row(quantity, condition, float(measured), -math.inf, limit, unit, how)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Lines of one diagram: ``(label, x, y)`` each."""

    name: str
    x_label: str
    y_label: str
    lines: tuple[tuple[str, NDArray[np.float64], NDArray[np.float64]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A picture: ``(y, x)`` values shown between the two numbers of ``window``."""

    name: str
    values: NDArray[np.float64]
    window: tuple[float, float]
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one examination adds to a qualification."""

    rows: tuple[Row, ...] = ()
    curves: tuple[Curve, ...] = ()
    maps: tuple[Map, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Qualification:
    """The whole examination of a profile.

    Parameters
    ----------
    profile
        Name of the profile.
    level
        "quick" or "full".
    rows
        Measured quantities.
    curves, maps
        What some of them were read from.
    """

    profile: str
    level: str
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...]
    maps: tuple[Map, ...]

    @property
    def passed(self) -> bool:
        """Whether every row passed."""
        return all(row.passed for row in self.rows)
