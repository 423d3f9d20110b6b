"""Published risk models as data: ``logit p = intercept + sum_t coefficient_t * transform_t(covariate)``.

A model is one JSON file in ``labeling/published``; nothing about a particular model is written in code.
"""

from __future__ import annotations

import json
import os
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from .covariate import Covariate as Covariate
from .covariate import Exclusion as Exclusion
from .covariate import Record as Record
from .covariate import Value as Value
from .terms import Indicator as Indicator
from .terms import Linear as Linear
from .terms import Power as Power
from .terms import Spec
from .terms import Term as Term

if TYPE_CHECKING:
    from .columns import Table
    from .scoring import Impute, Scores

Level = Literal["nodule", "participant"]


class Performance(Spec):
    """How well a model did, as somebody published it."""

    measure: str = Field(min_length=1, description="What was measured, AUC for instance")
    value: float = Field(description="Result [unit of the measure]")
    interval: tuple[float, float] | None = Field(default=None, description="95 % confidence interval")
    population: str = Field(min_length=1, description="On whom")
    source: str = Field(min_length=1, description="Publication")
    verified: bool = Field(description="Read in the full text of that publication; else an abstract or second hand")


class Derivation(Spec):
    """How the coefficients were fitted, for models that carry it."""

    n: int = Field(ge=1, description="Rows of the fit")
    events: int = Field(ge=0, description="Rows with the outcome")
    clusters: int = Field(ge=1, description="Participants")
    events_per_variable: float = Field(ge=0, description="Events per coefficient, the intercept not counted")
    label: str = Field(min_length=1, description="Rule by which the outcome was read from the tables")
    tables: tuple[str, ...] = Field(min_length=1, description="Tables and their versions")
    apparent_auc: float | None = Field(default=None, ge=0, le=1, description="AUC on the rows of the fit")
    corrected_auc: float | None = Field(default=None, ge=0, le=1, description="AUC corrected for optimism")
    cross_validated_auc: float | None = Field(
        default=None, ge=0, le=1, description="AUC on participants left out of the fit, mean over the folds"
    )
    left_out: tuple[str, ...] = Field(default=(), description="Rows left out of the fit: how many and why")
    method: str = Field(min_length=1, description="Estimator, penalty, covariance, resampling")
    synthetic: bool = Field(description="Fitted on made tables: the coefficients say nothing about people")


class ModelSpec(Spec):
    """A logistic model, with what must be said about it.

    Examples
    --------
    >>> model = get("size-only")
    >>> bool(model.probability([{"long_axis_mm": 20.0}])[0] > model.probability([{"long_axis_mm": 10.0}])[0])
    True
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="Name")
    version: str = Field(min_length=1, description="Version of this file")
    title: str = Field(min_length=1, description="One line for people")
    level: Level = Field(description="Whether the probability is of a nodule or of a participant")
    citation: str = Field(min_length=1, description="Where the coefficients come from")
    population: str = Field(min_length=1, description="Who the model was developed on")
    outcome: str = Field(min_length=1, description="What the probability is of")
    horizon: str = Field(min_length=1, description="Over which time")
    precision: str = Field(min_length=1, description="How exactly the coefficients are known")
    status: str = Field(min_length=1, description="What is verified, what is not, what it must not be used for")
    licence: str = Field(min_length=1, description="Terms of use of the coefficients")
    published: bool = Field(
        default=True, description="The citation gives this equation; false for one made or changed by somebody else"
    )
    checked_by: tuple[str, ...] = Field(default=(), description="What the coefficients were compared with")
    uncertainty: str = Field(
        default="No standard errors", min_length=1, description="Where standard errors come from and what is lacking"
    )
    intercept: float = Field(description="Constant of the logit [1]")
    covariates: tuple[Covariate, ...] = Field(min_length=1, description="All that the model needs to know")
    terms: tuple[Term, ...] = Field(min_length=1, description="Summands of the logit")
    exclusions: tuple[Exclusion, ...] = Field(default=(), description="Whom the model was not developed on")
    covariance: tuple[tuple[float, ...], ...] | None = Field(
        default=None, description="Covariance of the coefficients: intercept, then the terms in their order [1]"
    )
    derivation: Derivation | None = Field(default=None, description="How the coefficients were fitted")
    performance: tuple[Performance, ...] = Field(default=(), description="Published performance")

    @model_validator(mode="after")
    def _agree(self) -> ModelSpec:
        declared, used = [c.name for c in self.covariates], {t.covariate for t in self.terms}
        if len(set(declared)) != len(declared) or set(declared) != used:
            raise ValueError(
                f"model {self.id!r}: covariates {sorted(declared)} must be those of the terms, {sorted(used)}"
            )
        kinds = {c.name: c.kind for c in self.covariates}
        for covariate in self.covariates:
            covariate.check(covariate.reference, self.id)
        for term in self.terms:
            if (term.transform.kind == "is") == (kinds[term.covariate] == "number"):
                raise ValueError(
                    f"model {self.id!r}: a {kinds[term.covariate]} covariate, {term.covariate}, cannot enter as "
                    f"{term.transform.kind!r}"
                )
            if isinstance(term.transform, Indicator):
                next(c for c in self.covariates if c.name == term.covariate).check(term.transform.value, self.id)
        if self.covariance is not None:
            self._check_covariance(np.array(self.covariance, dtype=np.float64))
        return self

    def _check_covariance(self, covariance: NDArray[np.float64]) -> None:
        n = 1 + len(self.terms)
        if covariance.shape != (n, n) or not np.allclose(covariance, covariance.T, rtol=1e-9, atol=1e-12):
            raise ValueError(
                f"model {self.id!r}: covariance must be symmetric, {n} x {n} (intercept, terms), got shape "
                f"{covariance.shape}"
            )
        if np.linalg.eigvalsh(covariance).min() < -1e-9 * np.abs(covariance).max():
            raise ValueError(f"model {self.id!r}: covariance must have no negative eigenvalue")

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the covariates."""
        return tuple(c.name for c in self.covariates)

    @property
    def may_use(self) -> tuple[str, ...]:
        """Names of columns that are used where they are there: exclusions, and what implies a covariate."""
        names = [e.covariate for e in self.exclusions]
        names += [rule.covariate for c in self.covariates for rule in c.implied]
        return tuple(name for name in dict.fromkeys(names) if name not in self.needs)

    def score(self, table: Table, impute: Impute | None = None, *, warn: bool = True) -> Scores:
        """Score every row of a table.

        Parameters
        ----------
        table
            Columns by name (see ``labeling.VOCABULARY``): a mapping of columns, shape ``(n,)`` each, a sequence of
            records, or a data frame. More than the model needs is fine. None and NaN are values not known.
        impute
            "reference": what is not known takes the model's reference value, and ``imputed`` says where.
        warn
            Warn of values outside what the model was developed on; ``extrapolated`` says where in any case.

        Raises
        ------
        ValueError
            If a covariate is missing (absent, None or NaN) and ``impute`` is None, a value is outside what the model
            accepts, or the model says nothing about a row. It is a ``CovariateError`` that names field and rows.
            Nothing is ever taken as 0.
        TypeError
            If the table has no names, as a bare array.

        Warns
        -----
        ExtrapolationWarning
            If values lie outside what the model was developed on, with counts per field.
        """
        from .scoring import score

        return score(self, table, impute, warn=warn)

    def logit(self, table: Table) -> NDArray[np.float64]:
        """Log odds of each row, shape ``(n,)``; raises as :meth:`score`, warns of nothing."""
        return self.score(table, warn=False).logit

    def probability(self, table: Table) -> NDArray[np.float64]:
        """Probability of the outcome for each row, shape ``(n,)``; raises as :meth:`score`, warns of nothing."""
        return self.score(table, warn=False).probability

    def hash(self) -> str:
        """sha256 of the model's content (canonical JSON without what is left at its default), in hex."""
        text = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()


def models(level: Level | None = None) -> tuple[str, ...]:
    """Ids of the models that come with the package, those of one level if it is given.

    Raises
    ------
    ValueError
        If ``level`` is not None, "nodule" or "participant".
    """
    if level not in (None, "nodule", "participant"):
        raise ValueError(f"level must be None, 'nodule' or 'participant', got {level!r}")
    folder = files(__package__).joinpath("published")
    ids = sorted(p.name.removesuffix(".json") for p in folder.iterdir() if p.name.endswith(".json"))
    return tuple(i for i in ids if level is None or get(i).level == level)


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


def read_model(path: str | os.PathLike[str]) -> ModelSpec:
    """Read a model from a JSON file.

    Raises
    ------
    ValueError
        If the file does not hold a model; the message names file and fields.
    """
    try:
        return ModelSpec.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a model: {error}") from None


def write_model(spec: ModelSpec, path: str | os.PathLike[str]) -> None:
    """Write a model as JSON; reading it again gives an equal model, with the same hash and bit-equal scores."""
    from twins.files import replacing

    data = spec.model_dump(mode="json", exclude_defaults=True)
    with replacing(path) as part:
        part.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
