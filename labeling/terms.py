"""Summands of a logit: a coefficient times a transformed covariate."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class Spec(BaseModel):
    """Base of the specs of this package: frozen, nothing unknown accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Linear(Spec):
    """``(x - offset) / scale``."""

    kind: Literal["linear"]
    offset: float = Field(default=0.0, description="Subtracted from the value [unit of the covariate]")
    scale: float = Field(default=1.0, gt=0, description="Divisor [unit of the covariate]")

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Transformed values, shape ``(n,)``."""
        return np.asarray((values - self.offset) / self.scale, dtype=np.float64)


class Power(Spec):
    """``(x / scale) ** power - offset``: a fractional polynomial, centred on its *transformed* scale."""

    kind: Literal["power"]
    scale: float = Field(default=1.0, gt=0, description="Divisor [unit of the covariate]")
    power: float = Field(description="Exponent [1]")
    offset: float = Field(default=0.0, description="Subtracted from the power [1]")

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Transformed values, shape ``(n,)``."""
        return np.asarray((values / self.scale) ** self.power - self.offset, dtype=np.float64)


class Indicator(Spec):
    """1 where the covariate equals ``value``, else 0."""

    kind: Literal["is"]
    value: bool | str = Field(description="Value for which the term counts")

    def of(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Transformed values, shape ``(n,)``."""
        return np.asarray(values == self.value, dtype=np.float64)


class Term(Spec):
    """One summand of the logit."""

    covariate: str = Field(description="Covariate that enters, by its name in the vocabulary")
    transform: Annotated[Linear | Power | Indicator, Field(discriminator="kind")] = Field(description="How it enters")
    coefficient: float = Field(description="Change of the log odds per unit of the transformed covariate [1]")
    standard_error: float | None = Field(default=None, gt=0, description="Standard error of the coefficient [1]")
