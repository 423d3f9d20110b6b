"""Laws of one number or choice: each gives the value at a quantile, and the quantile of a value."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Value = float | bool | str | None

_STANDARD = NormalDist()
_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Normal(BaseModel):
    """Normal, cut off at ``low`` and ``high``."""

    model_config = _STRICT

    law: Literal["normal"] = Field(description="Kind of the law")
    mean: float = Field(description="Mean before the cut [the field's unit]")
    sd: float = Field(gt=0, description="Standard deviation before the cut [the field's unit]")
    low: float = Field(description="Smallest value [the field's unit]")
    high: float = Field(description="Largest value [the field's unit]")

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        return _checked(self)

    def quantile(self, u: float) -> float:
        """Value at the quantile ``u``."""
        return _cut_quantile(u, NormalDist(self.mean, self.sd), self.low, self.high)

    def share_below(self, value: float) -> float:
        """Quantile of ``value``."""
        return _cut_share(value, NormalDist(self.mean, self.sd), self.low, self.high)


class LogNormal(BaseModel):
    """``shift`` plus a log-normal variable, cut off at ``low`` and ``high``."""

    model_config = _STRICT

    law: Literal["lognormal"] = Field(description="Kind of the law")
    median: float = Field(gt=0, description="Median of the variable without its shift, before the cut")
    sigma: float = Field(gt=0, le=3, description="Standard deviation of its natural logarithm [1]")
    shift: float = Field(default=0.0, description="Added to it [the field's unit]")
    low: float = Field(description="Smallest value [the field's unit]")
    high: float = Field(description="Largest value [the field's unit]")

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        if self.low < self.shift:
            raise ValueError(f"low {self.low:g} must not lie under shift {self.shift:g}")
        return _checked(self)

    def _log(self, value: float) -> float:
        return math.log(max(value - self.shift, 1e-12))

    def quantile(self, u: float) -> float:
        """Value at the quantile ``u``."""
        log = NormalDist(math.log(self.median), self.sigma)
        return self.shift + math.exp(_cut_quantile(u, log, self._log(self.low), self._log(self.high)))

    def share_below(self, value: float) -> float:
        """Quantile of ``value``."""
        log = NormalDist(math.log(self.median), self.sigma)
        return _cut_share(self._log(value), log, self._log(self.low), self._log(self.high))


class Uniform(BaseModel):
    """Even between two values."""

    model_config = _STRICT

    law: Literal["uniform"] = Field(description="Kind of the law")
    low: float = Field(description="Smallest value [the field's unit]")
    high: float = Field(description="Largest value [the field's unit]")

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        return _checked(self)

    def quantile(self, u: float) -> float:
        """Value at the quantile ``u``."""
        return self.low + u * (self.high - self.low)

    def share_below(self, value: float) -> float:
        """Quantile of ``value``."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


class Quantiles(BaseModel):
    """Straight lines between given quantiles, the first at 0 and the last at 1."""

    model_config = _STRICT

    law: Literal["quantiles"] = Field(description="Kind of the law")
    at: dict[float, float] = Field(min_length=2, description="Value by quantile [the field's unit]")

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        shares, values = list(self.at), list(self.at.values())
        if shares[0] != 0 or shares[-1] != 1 or any(b <= a for a, b in pairwise(shares)):
            raise ValueError(f"quantiles must ascend from 0 to 1, got {shares}")
        if any(b < a for a, b in pairwise(values)):
            raise ValueError(f"values must not fall with the quantile, got {values}")
        return self

    def quantile(self, u: float) -> float:
        """Value at the quantile ``u``."""
        return float(np.interp(u, list(self.at), list(self.at.values())))

    def share_below(self, value: float) -> float:
        """Quantile of ``value``."""
        return float(np.interp(value, list(self.at.values()), list(self.at)))


class Shares(BaseModel):
    """A choice; shares are relative."""

    model_config = _STRICT

    law: Literal["shares"] = Field(description="Kind of the law")
    shares: dict[str, Annotated[float, Field(ge=0)]] = Field(
        min_length=1, description="Share by value, from low to high where they are correlated with others [1]"
    )

    @field_validator("shares", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return {word(key): share for key, share in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _not_all_zero(self) -> Self:
        if sum(self.shares.values()) <= 0:
            raise ValueError("shares must not all be 0")
        return self

    def _edges(self) -> tuple[float, ...]:
        return _summed(tuple(self.shares.values()))

    def quantile(self, u: float) -> Value:
        """Value at the quantile ``u``."""
        return _meant(list(self.shares)[min(bisect_right(self._edges(), u), len(self.shares) - 1)])

    def share_below(self, value: Value) -> float:
        """Middle of the quantiles of ``value``; one half where it does not occur."""
        names = list(self.shares)
        if word(value) not in names:
            return 0.5
        edges = [0.0, *self._edges()]
        i = names.index(word(value))
        return 0.5 * (edges[i] + edges[i + 1])


class Fixed(BaseModel):
    """Always the same value; ``null`` leaves the field unknown."""

    model_config = _STRICT

    law: Literal["value"] = Field(description="Kind of the law")
    value: bool | float | str | None = Field(description="The value")

    def quantile(self, u: float) -> Value:  # noqa: ARG002
        """The value."""
        return self.value

    def share_below(self, value: Value) -> float:  # noqa: ARG002
        """One half: nothing can be said."""
        return 0.5


_BY_LAW = Field(discriminator="law")
Simple = Annotated[Normal | LogNormal | Uniform | Quantiles | Shares | Fixed, _BY_LAW]


class Part(BaseModel):
    """One part of a mixture."""

    model_config = _STRICT

    share: float = Field(gt=0, description="Share of this part, relative to the others [1]")
    of: Simple = Field(description="Its law")


class Mixture(BaseModel):
    """A mixture of laws, from low to high: low quantiles belong to the first part."""

    model_config = _STRICT

    law: Literal["mixture"] = Field(description="Kind of the law")
    parts: tuple[Part, ...] = Field(min_length=2, description="The parts, from low to high")

    def quantile(self, u: float) -> Value:
        """Value at the quantile ``u``: that of the part in which it falls."""
        total, below = sum(part.share for part in self.parts), 0.0
        for part in self.parts:
            share = part.share / total
            if u < below + share or part is self.parts[-1]:
                return part.of.quantile(min(max((u - below) / share, 0.0), 1.0))
            below += share
        raise AssertionError("the last part holds what is left")

    def share_below(self, value: Any) -> float:
        """Share of the mixture below ``value``."""
        total = sum(part.share for part in self.parts)
        return sum(part.share * part.of.share_below(value) for part in self.parts) / total


class By(BaseModel):
    """A law for each value of another field, which is drawn before."""

    model_config = _STRICT

    law: Literal["by"] = Field(description="Kind of the law")
    by: str = Field(description="The other field")
    cases: dict[str, Annotated[Normal | LogNormal | Uniform | Quantiles | Shares | Fixed | Mixture, _BY_LAW]] = Field(
        min_length=1, description="Law by value of the other field"
    )

    @field_validator("cases", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return {word(key): law for key, law in value.items()} if isinstance(value, dict) else value


Margin = Annotated[Normal | LogNormal | Uniform | Quantiles | Shares | Fixed | Mixture | By, _BY_LAW]


def law_for(margin: Any, person: Mapping[str, Any], field: str) -> Any:
    """The law that holds for a person: the margin itself, or the case of it.

    Raises
    ------
    ValueError
        If the margin has no case for this person.
    """
    if not isinstance(margin, By):
        return margin
    value = word(person[margin.by])
    if value not in margin.cases:
        raise ValueError(f"{field}: the cohort has no case for {margin.by} {value!r}; known: {', '.join(margin.cases)}")
    return margin.cases[value]


def word(value: Any) -> str:
    """A choice as text: ``true`` and ``false`` for booleans."""
    text = str(value)
    return text.lower() if text.lower() in ("true", "false") else text


def _meant(text: str) -> Value:
    """The value of a choice given as text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def standard_normal(u: float) -> float:
    """The standard normal variable at the quantile ``u``, within 5 standard deviations."""
    return _STANDARD.inv_cdf(min(max(u, 2.9e-7), 1 - 2.9e-7))


def standard_share(z: float) -> float:
    """The quantile of a standard normal variable."""
    return _STANDARD.cdf(z)


@lru_cache(maxsize=1024)
def _summed(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Quantiles at which the choices end."""
    return tuple((np.cumsum(shares) / sum(shares)).tolist())


def _checked(law: Any) -> Any:
    if law.high <= law.low:
        raise ValueError(f"high {law.high:g} must exceed low {law.low:g}")
    return law


def _cut_quantile(u: float, law: NormalDist, low: float, high: float) -> float:
    a, b = law.cdf(low), law.cdf(high)
    share = a + u * (b - a)
    if not 0 < share < 1:
        return low if share <= 0 else high
    return min(max(law.inv_cdf(share), low), high)


def _cut_share(value: float, law: NormalDist, low: float, high: float) -> float:
    a, b = law.cdf(low), law.cdf(high)
    return min(max((law.cdf(value) - a) / (b - a), 0.0), 1.0) if b > a else 0.5
