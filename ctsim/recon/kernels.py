"""Reconstruction kernels, described by the in-plane MTF of the image that they promise.

A vendor's kernel is a secret; its modulation transfer function (MTF) in the image is not. A kernel is therefore two or
three numbers: the frequencies where the image MTF has fallen to 50 % and 10 %, and by how much it exceeds one
(edge enhancement). Between them the MTF is

    MTF(f) = (1 + c b(2 f/f50)) exp(-(f/f0)^n),    b(x) = x^2 exp(1 - x^2),

a stretched exponential with c = 0 when there is no overshoot (n = 2, a Gaussian, fits smooth body kernels; n = 4 sharp
lung kernels) and a bump at f50/2 when there is. c, f0 and n follow from the three numbers in closed form up to one
bisection. The form is a design choice; the three numbers are what a kernel's ``source`` vouches for.
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
    overshoot: float = Field(0.0, ge=0.0, le=1.0, description="Largest MTF minus 1: edge enhancement [1]")
    source: str = Field("design default", min_length=1, description="Where the frequencies come from")
    status: Status = Field("estimated", description="How sure they are: measured, published or estimated")

    @model_validator(mode="after")
    def _falls(self) -> Kernel:
        ratio = self.mtf10_per_mm / self.mtf50_per_mm
        if not 1.05 <= ratio <= 3:
            raise ValueError(
                f"mtf10_per_mm must be 1.05 to 3 times mtf50_per_mm, got {self.mtf10_per_mm} and {self.mtf50_per_mm}"
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
    """c, n and (f50/f0)^n of the MTF."""

    c: float
    n: float
    at_f50: float

    def mtf(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """MTF at x = f/f50."""
        return (1.0 + self.c * _bump(x)) * np.exp(-self.at_f50 * x**self.n)

    def peak(self) -> float:
        """Largest value of the MTF."""
        return float(self.mtf(np.linspace(0, 1, 2001)).max())


def _bump(x: ArrayLike) -> NDArray[np.float64]:
    y = 4.0 * np.asarray(x, dtype=np.float64) ** 2
    return y * np.exp(1.0 - y)


def _for_c(ratio: float, c: float) -> _Shape:
    at_50 = math.log(2 * (1 + c * float(_bump(1.0))))
    n = math.log(math.log(10 * (1 + c * float(_bump(ratio)))) / at_50) / math.log(ratio)
    return _Shape(c, n, at_50)


@lru_cache(maxsize=256)
def _shape(ratio: float, overshoot: float) -> _Shape:
    low, high = 0.0, 6.0
    if overshoot == 0:
        return _for_c(ratio, 0.0)
    if _for_c(ratio, high).peak() - 1 < overshoot:
        raise ValueError(f"overshoot = {overshoot} cannot be had with mtf10_per_mm / mtf50_per_mm = {ratio:.3f}")
    for _ in range(60):  # the peak grows with c
        middle = 0.5 * (low + high)
        if _for_c(ratio, middle).peak() - 1 < overshoot:
            low = middle
        else:
            high = middle
    return _for_c(ratio, 0.5 * (low + high))
