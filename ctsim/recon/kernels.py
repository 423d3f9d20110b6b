"""Reconstruction kernels, described by the in-plane MTF of the image that they promise.

A vendor's kernel is a secret; its modulation transfer function (MTF) in the image is not. A kernel is therefore two or
three numbers: the frequencies where the image MTF has fallen to 50 % and 10 %, and by how much it exceeds one
(edge enhancement). Between them the MTF is

    MTF(f) = (1 + c b(2x)) D(x),    x = f/f50,    b(t) = t^2 exp(1 - t^2),

where the fall is D = exp(-p x^m - q x^(m+2)) with the even m >= 2 that keeps p and q positive (m = 2, a Gaussian, fits
smooth body kernels; m = 4 sharp lung kernels), or, for falls slower than a Gaussian, D = 1 / (1 + p x^2 + q x^4).
Even powers keep the MTF smooth at 0 and so the point spread short: no edge is felt tens of millimetres away. c, p and q
follow from the three numbers by linear equations and one bisection. The form is a design choice; the three numbers are
what a kernel's ``source`` vouches for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Status = Literal["measured", "published", "estimated"]


class Kernel(BaseModel):
    """A reconstruction kernel by the MTF of its images.

    Raises
    ------
    ValueError
        If ``mtf10_per_mm`` is not above ``mtf50_per_mm``, or the overshoot cannot be had with these two frequencies.

    Examples
    --------
    >>> kernel = Kernel(name="smooth", mtf50_per_mm=0.34, mtf10_per_mm=0.62, source="design default")
    >>> round(float(kernel.mtf(0.34)), 6), round(float(kernel.mtf(0.62)), 6)
    (0.5, 0.1)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Name on the console, e.g. B30f")
    mtf50_per_mm: float = Field(ge=0.05, le=3.0, description="Frequency where the image MTF is 0.5 [1/mm]")
    mtf10_per_mm: float = Field(ge=0.1, le=5.0, description="Frequency where the image MTF is 0.1 [1/mm]")
    overshoot: float = Field(0.0, ge=0.0, le=2.0, description="Largest MTF minus 1: edge enhancement [1]")
    source: str = Field("design default", min_length=1, description="Where the frequencies come from")
    status: Status = Field("estimated", description="How sure they are: measured, published or estimated")

    @model_validator(mode="after")
    def _falls(self) -> Kernel:
        ratio = self.mtf10_per_mm / self.mtf50_per_mm
        if not 1.05 <= ratio <= 2.8:
            raise ValueError(
                f"mtf10_per_mm must be 1.05 to 2.8 times mtf50_per_mm, got {self.mtf10_per_mm} and {self.mtf50_per_mm}"
            )
        _shape(ratio, self.overshoot)
        return self

    def mtf(self, frequency_per_mm: ArrayLike) -> NDArray[np.float64]:
        """Image MTF asked for at frequencies of any shape [1/mm]; even in frequency, 1 at 0."""
        shape = _shape(self.mtf10_per_mm / self.mtf50_per_mm, self.overshoot)
        x = np.abs(np.asarray(frequency_per_mm, dtype=np.float64)) / self.mtf50_per_mm
        return shape.mtf(x)

    def limit_per_mm(self, floor: float = 0.02) -> float:
        """Highest frequency at which the MTF asked for is at least ``floor`` [1/mm]."""
        f = np.linspace(0, 5 * self.mtf10_per_mm, 5001)
        return float(f[np.nonzero(self.mtf(f) >= floor)[0][-1]])


@dataclass(frozen=True, slots=True)
class _Shape:
    """c, p, q and m of the MTF; m = 0 stands for the rational fall."""

    c: float
    p: float
    q: float
    m: int

    def mtf(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """MTF at x = f/f50."""
        if self.m == 0:
            fall = 1.0 / (1.0 + self.p * x**2 + self.q * x**4)
        else:
            fall = np.exp(-self.p * x**self.m - self.q * x ** (self.m + 2))
        return (1.0 + self.c * _bump(x)) * fall

    def peak(self) -> float:
        """Largest value of the MTF."""
        return float(self.mtf(np.linspace(0, 1, 2001)).max())


def _bump(x: ArrayLike) -> NDArray[np.float64]:
    y = 4.0 * np.asarray(x, dtype=np.float64) ** 2
    return y * np.exp(1.0 - y)


def _for_c(ratio: float, c: float) -> _Shape:
    at_50 = math.log(2 * (1 + c * float(_bump(1.0))))
    at_10 = math.log(10 * (1 + c * float(_bump(ratio))))
    power = math.log(at_10 / at_50) / math.log(ratio)
    if power < 2:
        m, low, high = 0, math.expm1(at_50), math.expm1(at_10)
        first, second = ratio**2, ratio**4
    else:
        m, low, high = 2 * math.floor(power / 2), at_50, at_10
        first, second = ratio**m, ratio ** (m + 2)
    q = (high - first * low) / (second - first)
    return _Shape(c, low - q, q, m)


@lru_cache(maxsize=256)
def _shape(ratio: float, overshoot: float) -> _Shape:
    low, high = 0.0, 6.0
    if overshoot == 0:
        return _for_c(ratio, 0.0)
    for _ in range(60):  # the peak grows with c
        middle = 0.5 * (low + high)
        if _for_c(ratio, middle).peak() - 1 < overshoot:
            low = middle
        else:
            high = middle
    found = _for_c(ratio, 0.5 * (low + high))
    if abs(found.peak() - 1 - overshoot) > 1e-3 or found.q < 0:
        raise ValueError(f"overshoot = {overshoot} cannot be had with mtf10_per_mm / mtf50_per_mm = {ratio:.3f}")
    return found
