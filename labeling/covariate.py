"""What a model needs to know, what it accepts, and whom it says nothing about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from .terms import Spec
from .vocabulary import Kind, meaning_of

Value = bool | int | float | str
Record = Mapping[str, Value | None]


class Implied(Spec):
    """A value that follows from another covariate: who never smoked has given up 0 years ago."""

    covariate: str = Field(description="Covariate that decides, by its name in the vocabulary")
    value: bool | str = Field(description="Where it has this value")
    gives: Value = Field(description="the value is this one, and any other is refused")

    @model_validator(mode="after")
    def _known(self) -> Implied:
        meaning_of(self.covariate)
        return self


class Covariate(Spec):
    """What a model needs to know."""

    name: str = Field(description="Name in the vocabulary")
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
    from_model: str | None = Field(
        default=None, description="Id of the model whose probability this is; it is computed where it is not given"
    )
    implied: tuple[Implied, ...] = Field(default=(), description="Values that follow from other covariates")

    @model_validator(mode="after")
    def _agrees_with_the_vocabulary(self) -> Covariate:
        meaning = meaning_of(self.name)
        if self.kind != meaning.kind:
            raise ValueError(f"covariate {self.name!r} must be a {meaning.kind} (see allowed), got a {self.kind}")
        if self.unit != meaning.unit:
            raise ValueError(f"covariate {self.name!r}: unit must be {meaning.unit!r}, got {self.unit!r}")
        return self

    @property
    def kind(self) -> Kind:
        """Number, true or false, or one of ``allowed`` names."""
        if self.allowed is None:
            return "yes_no"
        return "name" if isinstance(self.allowed[0], str) else "number"

    @property
    def wanted(self) -> str:
        """What is accepted, in words."""
        if self.allowed is None:
            return "true or false"
        if self.kind == "name":
            return f"one of {', '.join(map(str, self.allowed))}"
        whole = "a whole number, " if meaning_of(self.name).whole else ""
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{whole}{float(self.allowed[0]):g} to {float(self.allowed[1]):g}{unit}"

    def check(self, value: Value, model_id: str) -> None:
        """Raise ``ValueError`` if the model cannot take ``value``."""
        if self.allowed is None:
            fits = isinstance(value, bool)
        elif self.kind == "name":
            fits = value in self.allowed
        else:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = number and float(self.allowed[0]) <= float(value) <= float(self.allowed[1])
            fits = fits and (float(value).is_integer() or not meaning_of(self.name).whole)
        if not fits:
            raise ValueError(f"model {model_id!r}: {self.name} must be {self.wanted}, got {value!r}")


class Exclusion(Spec):
    """Whom a model was not developed on. It takes effect where a column says so; the column may be absent."""

    covariate: str = Field(description="Yes-or-no covariate, by its name in the vocabulary")
    value: bool = Field(default=True, description="Value that excludes")
    effect: Literal["zero", "refuse"] = Field(
        description="zero: the probability is 0, flagged, since such nodules were found benign; refuse: the model says "
        "nothing, and scoring raises ValueError"
    )
    reason: str = Field(min_length=1, description="Why, with the source")

    @model_validator(mode="after")
    def _is_yes_or_no(self) -> Exclusion:
        if meaning_of(self.covariate).kind != "yes_no":
            raise ValueError(f"exclusion: {self.covariate} must be a yes-or-no covariate")
        return self
