"""A table through a model: known values in, log odds out, with a record of all that was assumed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, CovariateError, Table
from .covariate import Covariate
from .vocabulary import meaning_of

if TYPE_CHECKING:
    from .model import ModelSpec

Impute = Literal["reference"]
Flags = NDArray[np.bool_]


class ExtrapolationWarning(UserWarning):
    """Values lie outside what a model was developed on."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model says of each row, and from what."""

    inputs: dict[str, NDArray[Any]]
    """Covariates that the model used, shape (n,): float64, bool or names; imputed and computed ones included."""
    logit: NDArray[np.float64]
    """Log odds, shape (n,); -inf where excluded."""
    probability: NDArray[np.float64]
    """Probability of the model's outcome, shape (n,); 0 where excluded."""
    imputed: dict[str, Flags]
    """Where a covariate was not known and took the model's reference, shape (n,)."""
    extrapolated: dict[str, Flags]
    """Where a covariate lies outside what the model was developed on, shape (n,)."""
    computed: dict[str, Flags]
    """Where a covariate was computed by another model, shape (n,); only covariates for which that is foreseen."""
    excluded: Flags
    """Where an exclusion of the model makes the probability 0, shape (n,)."""


def score(spec: ModelSpec, table: Table, impute: Impute | None = None, *, warn: bool = True) -> Scores:
    """Score every row of ``table``; see :meth:`labeling.ModelSpec.score`."""
    if impute not in (None, "reference"):
        raise ValueError(f"impute must be None or 'reference', got {impute!r}")
    columns = Columns(table)
    try:
        scores = _score(spec, columns, table, impute)
    except CovariateError as error:
        if error.args[0].startswith("model "):
            raise
        raise CovariateError(f"model {spec.id!r}: {error}", error.field, error.rows) from None
    counts = {name: int(flags.sum()) for name, flags in scores.extrapolated.items() if flags.any()}
    if warn and counts:
        details = ", ".join(f"{name} in {k} of {columns.n} rows" for name, k in counts.items())
        warnings.warn(
            f"model {spec.id!r} was not developed on values such as these: {details}",
            ExtrapolationWarning,
            stacklevel=3,
        )
    return scores


def probability_of(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """``1 / (1 + exp(-logit))`` without overflow, same shape."""
    small = np.exp(-np.abs(logit))
    return np.asarray(np.where(logit >= 0, 1.0, small) / (1.0 + small), dtype=np.float64)


def _score(spec: ModelSpec, columns: Columns, table: Table, impute: Impute | None) -> Scores:
    n = columns.n
    excluded = _excluded(spec, columns)
    values: dict[str, NDArray[Any]] = {}
    missing: dict[str, Flags] = {}
    imputed: dict[str, Flags] = {}
    extrapolated: dict[str, Flags] = {}
    computed: dict[str, Flags] = {}
    for covariate in spec.covariates:
        name = covariate.name
        found = columns.get(name, covariate.kind)
        values[name], missing[name] = found if found is not None else _nothing(covariate, n)
        if covariate.implied and covariate.kind == "name":
            values[name] = values[name].astype(object)  # text arrays cut what is longer than their items
        _imply(spec, covariate, columns, values[name], missing[name])
        imputed[name] = np.zeros(n, dtype=np.bool_)
        extrapolated[name] = np.zeros(n, dtype=np.bool_)
        if covariate.from_model is not None:
            computed[name] = missing[name].copy()
            _compute(covariate, table, impute, values[name], missing[name], imputed[name], extrapolated[name])
    if impute is None:
        _refuse_missing(spec, columns, missing)
    for covariate in spec.covariates:
        name = covariate.name
        values[name][missing[name]] = covariate.reference
        imputed[name] |= missing[name]
        _check(spec, covariate, values[name])
        if covariate.trained is not None:
            low, high = covariate.trained
            extrapolated[name] |= (values[name] < low) | (values[name] > high)
    logit = np.full(n, spec.intercept, dtype=np.float64)
    for term in spec.terms:
        logit += term.coefficient * term.transform.of(values[term.covariate])
    logit[excluded] = -np.inf
    return Scores(values, logit, probability_of(logit), imputed, extrapolated, computed, excluded)


def _nothing(covariate: Covariate, n: int) -> tuple[NDArray[Any], Flags]:
    values: NDArray[Any]
    if covariate.kind == "number":
        values = np.full(n, np.nan)
    elif covariate.kind == "yes_no":
        values = np.zeros(n, dtype=np.bool_)
    else:
        values = np.full(n, "", dtype=object)
    return values, np.ones(n, dtype=np.bool_)


def _imply(spec: ModelSpec, covariate: Covariate, columns: Columns, values: NDArray[Any], missing: Flags) -> None:
    for rule in covariate.implied:
        found = columns.get(rule.covariate, meaning_of(rule.covariate).kind)
        if found is None:
            continue
        holds = ~found[1] & (found[0] == rule.value)
        against = np.flatnonzero(holds & ~missing & (values != rule.gives))
        if len(against):
            got = values[against].tolist()[0]
            raise CovariateError(
                f"model {spec.id!r}: {covariate.name} must be {rule.gives!r} where {rule.covariate} is {rule.value!r}, "
                f"got {got!r} in row {against[0]} ({len(against)} of {columns.n} rows; rows count from 0)",
                covariate.name,
                against,
            )
        values[holds] = rule.gives
        missing[holds] = False


def _compute(
    covariate: Covariate,
    table: Table,
    impute: Impute | None,
    values: NDArray[Any],
    missing: Flags,
    imputed: Flags,
    extrapolated: Flags,
) -> None:
    """Fill what is missing with the probability of the model that the covariate comes from."""
    from .model import get

    rows = np.flatnonzero(missing)
    if not len(rows) or covariate.from_model is None:
        return
    inner = get(covariate.from_model)
    part = _rows(table, rows, (*inner.needs, *inner.may_use))
    try:
        scores = score(inner, part, impute, warn=False)
    except CovariateError as error:
        raise CovariateError(
            f"{covariate.name} is not given in {len(rows)} rows and cannot be computed: {error}",
            covariate.name,
            rows[error.rows] if len(error.rows) else rows,
        ) from None
    values[rows] = scores.probability
    missing[rows] = False
    imputed[rows] = np.any(list(scores.imputed.values()), axis=0)
    extrapolated[rows] = np.any(list(scores.extrapolated.values()), axis=0)


def _rows(table: Table, rows: NDArray[np.intp], names: tuple[str, ...]) -> Table:
    """Those rows of the columns in ``names`` that there are."""
    columns = Columns(table)
    part: dict[str, NDArray[Any]] = {}
    for name in names:
        found = columns.get(name, meaning_of(name).kind)
        if found is not None:
            values, missing = found
            column = values.astype(object)
            column[missing] = None
            part[name] = column[rows]
    return part


def _refuse_missing(spec: ModelSpec, columns: Columns, missing: dict[str, Flags]) -> None:
    lacking = {name: flags for name, flags in missing.items() if flags.any()}
    if not lacking:
        return
    details = []
    for name, flags in lacking.items():
        if name in columns.names:
            details.append(f"{name} (in {int(flags.sum())} of {columns.n} rows, first in row {np.argmax(flags)})")
        else:
            details.append(f"{name} (no such column)")
    name, flags = next(iter(lacking.items()))
    raise CovariateError(
        f"model {spec.id!r}: missing covariates: {', '.join(details)}; rows count from 0. impute='reference' takes the "
        "model's reference values instead, and records it",
        name,
        np.flatnonzero(flags) if name in columns.names else (),
    )


def _check(spec: ModelSpec, covariate: Covariate, values: NDArray[Any]) -> None:
    if covariate.allowed is None:
        return
    if covariate.kind == "number":
        low, high = (float(x) for x in covariate.allowed)
        fits = (values >= low) & (values <= high)
        if meaning_of(covariate.name).whole:
            fits &= values == np.floor(values)
    else:
        fits = np.zeros(len(values), dtype=np.bool_)
        for name in covariate.allowed:
            fits |= values == name
    bad = np.flatnonzero(~fits)
    if len(bad):
        got = values[bad[0]]
        raise CovariateError(
            f"model {spec.id!r}: {covariate.name} must be {covariate.wanted}, got "
            f"{got if covariate.kind == 'number' else repr(got)} in row {bad[0]} ({len(bad)} of {len(values)} rows; "
            "rows count from 0)",
            covariate.name,
            bad,
        )


def _excluded(spec: ModelSpec, columns: Columns) -> Flags:
    excluded = np.zeros(columns.n, dtype=np.bool_)
    for exclusion in spec.exclusions:
        found = columns.get(exclusion.covariate, "yes_no")
        if found is None:
            continue
        holds = ~found[1] & (found[0] == exclusion.value)
        if exclusion.effect == "refuse" and holds.any():
            rows = np.flatnonzero(holds)
            raise CovariateError(
                f"model {spec.id!r} says nothing where {exclusion.covariate} is {str(exclusion.value).lower()}: "
                f"{exclusion.reason}; so in {len(rows)} of {columns.n} rows, first in row {rows[0]} (rows "
                "count from 0)",
                exclusion.covariate,
                rows,
            )
        excluded |= holds
    return excluded
