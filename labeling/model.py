"""Published risk models as data: ``logit p = intercept + sum_t coefficient_t * transform_t(covariate)``.

A model is one JSON file in ``labeling/published``; nothing about a particular model is written in code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Value = bool | int | float | str
Record = Mapping[str, Value | None]

CovariateName = Literal[
    "age_y",
    "sex",
    "family_history",
    "emphysema",
    "long_axis_mm",
    "mean_diameter_mm",
    "nodule_type",
    "upper_lobe",
    "nodule_count",
    "spiculation",
]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Linear(_Spec):
    """``x - offset``."""

    kind: Literal["linear"]
    offset: float = Field(default=0.0, description="Subtracted from the value [unit of the covariate]")

    def of(self, value: Value) -> float:
        """Transformed value."""
        return float(value) - self.offset


class Power(_Spec):
    """``(x / scale) ** power - offset``: a fractional polynomial, centred on its *transformed* scale."""

    kind: Literal["power"]
    scale: float = Field(gt=0, description="Divisor [unit of the covariate]")
    power: float = Field(description="Exponent [1]")
    offset: float = Field(default=0.0, description="Subtracted from the power [1]")

    def of(self, value: Value) -> float:
        """Transformed value."""
        return float((float(value) / self.scale) ** self.power) - self.offset


class Indicator(_Spec):
    """1 where the covariate equals ``value``, else 0."""

    kind: Literal["is"]
    value: bool | str = Field(description="Value for which the term counts")

    def of(self, value: Value) -> float:
        """Transformed value."""
        return float(value == self.value)


class Covariate(_Spec):
    """What a model needs to know."""

    name: CovariateName = Field(description="Name in labeling.covariates")
    meaning: str = Field(min_length=1, description="Definition that the model's authors use")
    unit: str = Field(description="Unit, 1 for none")
    reference: Value = Field(
        description="Value of the reference person or nodule, used only when imputation is asked for"
    )
    allowed: tuple[float, float] | tuple[str, ...] | None = Field(
        default=None, description="Range or names that are accepted; none: yes or no"
    )
    trained: tuple[float, float] | None = Field(
        default=None, description="Range the model was developed on; outside, an outcome is marked as extrapolated"
    )

    def check(self, value: Value, model_id: str) -> None:
        """Raise ``ValueError`` if the model cannot take ``value``."""
        if self.allowed is None:
            fits = isinstance(value, bool)
            wanted = "true or false"
        elif isinstance(self.allowed[0], str):
            fits = value in self.allowed
            wanted = f"one of {', '.join(map(str, self.allowed))}"
        else:
            low, high = float(self.allowed[0]), float(self.allowed[1])
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = number and low <= float(value) <= high
            wanted = f"{low:g} to {high:g} {self.unit}"
        if not fits:
            raise ValueError(f"model {model_id!r}: {self.name} must be {wanted}, got {value!r}")

    def is_extrapolated(self, value: Value) -> bool:
        """Whether ``value`` lies outside what the model was developed on."""
        return self.trained is not None and not self.trained[0] <= float(value) <= self.trained[1]


class Term(_Spec):
    """One summand of the logit."""

    covariate: CovariateName = Field(description="Covariate that enters")
    transform: Annotated[Linear | Power | Indicator, Field(discriminator="kind")] = Field(description="How it enters")
    coefficient: float = Field(description="Change of the log odds per unit of the transformed covariate [1]")


class ModelSpec(_Spec):
    """A logistic model of malignancy, with what must be said about it.

    Examples
    --------
    >>> model = get("size-only")
    >>> bool(model.probability([{"long_axis_mm": 20.0}])[0] > model.probability([{"long_axis_mm": 10.0}])[0])
    True
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="Name")
    version: str = Field(min_length=1, description="Version of this file")
    title: str = Field(min_length=1, description="One line for people")
    citation: str = Field(min_length=1, description="Where the coefficients come from")
    population: str = Field(min_length=1, description="Who the model was developed on")
    outcome: str = Field(min_length=1, description="What the probability is of")
    horizon: str = Field(min_length=1, description="Over which time")
    precision: str = Field(min_length=1, description="How exactly the coefficients are known")
    status: str = Field(min_length=1, description="What is verified, what is not, what it must not be used for")
    licence: str = Field(min_length=1, description="Terms of use of the coefficients")
    intercept: float = Field(description="Constant of the logit [1]")
    covariates: tuple[Covariate, ...] = Field(min_length=1, description="All that the model needs to know")
    terms: tuple[Term, ...] = Field(min_length=1, description="Summands of the logit")

    @model_validator(mode="after")
    def _agree(self) -> ModelSpec:
        declared, used = [c.name for c in self.covariates], {t.covariate for t in self.terms}
        if len(set(declared)) != len(declared) or set(declared) != used:
            raise ValueError(
                f"model {self.id!r}: covariates {sorted(declared)} must be those of the terms, {sorted(used)}"
            )
        for covariate in self.covariates:
            covariate.check(covariate.reference, self.id)
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the covariates."""
        return tuple(c.name for c in self.covariates)

    def logit(self, records: Sequence[Record]) -> NDArray[np.float64]:
        """Log odds of each record.

        Parameters
        ----------
        records
            Covariates by name; more than the model needs is fine.

        Raises
        ------
        ValueError
            If a covariate is missing (absent or None) or outside what the model accepts. Nothing is ever taken as 0.
        """
        return np.array([self._logit(record) for record in records], dtype=np.float64)

    def probability(self, records: Sequence[Record]) -> NDArray[np.float64]:
        """Probability of the outcome for each record; raises as :meth:`logit`."""
        return 1 / (1 + np.exp(-self.logit(records)))

    def hash(self) -> str:
        """sha256 of the model's content (canonical JSON), in hex."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()

    def _logit(self, record: Record) -> float:
        missing = [name for name in self.needs if record.get(name) is None]
        if missing:
            raise ValueError(f"model {self.id!r}: missing covariates: {', '.join(missing)}")
        values: dict[str, Any] = {name: record[name] for name in self.needs}
        for covariate in self.covariates:
            covariate.check(values[covariate.name], self.id)
        return math.fsum((self.intercept, *(t.coefficient * t.transform.of(values[t.covariate]) for t in self.terms)))


def models() -> tuple[str, ...]:
    """Ids of the models that come with the package."""
    folder = files(__package__).joinpath("published")
    return tuple(sorted(p.name.removesuffix(".json") for p in folder.iterdir() if p.name.endswith(".json")))


@cache
def get(model_id: str) -> ModelSpec:
    """The model of that id.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    if model_id not in models():
        raise ValueError(f"unknown model {model_id!r}; known: {', '.join(models())}")
    text = files(__package__).joinpath("published", f"{model_id}.json").read_text(encoding="utf-8")
    model = ModelSpec.model_validate_json(text)
    if model.id != model_id:
        raise ValueError(f"published/{model_id}.json: id must be {model_id!r}, got {model.id!r}")
    return model
