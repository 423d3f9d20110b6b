"""What an image shows of a risk: scores without the facts about the person that no image holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, CovariateError, Table
from .model import ModelSpec, get
from .scoring import Impute, Scores, score
from .vocabulary import VOCABULARY, meaning_of


def visible_scores(spec: ModelSpec, table: Table, impute: Impute | None = None) -> Scores:
    """Scores of what an image shows: covariates that none shows are held at the model's reference.

    Where visible and invisible covariates are independent, no image can rank nodules better than this.

    Raises
    ------
    ValueError
        If a visible covariate is not known and ``impute`` is None, or a value is outside what the model accepts.
    """
    columns = Columns(table)
    shown = [name for name in reads(spec) if meaning_of(name).visible]
    if impute is None:
        for name in (name for name in shown if name in needs(spec)):
            found = columns.get(name, meaning_of(name).kind)
            missing = np.ones(columns.n, dtype=np.bool_) if found is None else found[1]
            if missing.any():
                raise CovariateError(
                    f"model {spec.id!r}: missing covariates: {name} (in {int(missing.sum())} of {columns.n} rows, "
                    f"first in row {int(np.argmax(missing))}; rows count from 0). impute='reference' takes the model's "
                    "reference values instead, and records it",
                    name,
                    np.flatnonzero(missing),
                )
    part = columns_of(columns, shown)
    # a table needs a column to have rows
    return score(spec, part or {"nodule_type": np.full(columns.n, None, dtype=object)}, "reference", warn=False)


def invisible(spec: ModelSpec) -> tuple[str, ...]:
    """Covariates of a model that no image shows."""
    return tuple(name for name in spec.needs if not VOCABULARY[name].visible)


def needs(spec: ModelSpec) -> tuple[str, ...]:
    """Covariates, with those of the models that they are computed by."""
    inner = [name for c in spec.covariates if c.from_model is not None for name in needs(get(c.from_model))]
    return tuple(dict.fromkeys((*spec.needs, *inner)))


def reads(spec: ModelSpec) -> tuple[str, ...]:
    """Columns that scoring may look at: covariates, exclusions, what implies a value; inner models' too."""
    inner = [name for c in spec.covariates if c.from_model is not None for name in reads(get(c.from_model))]
    return tuple(dict.fromkeys((*spec.needs, *spec.may_use, *inner)))


def columns_of(columns: Columns, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those columns that there are, ``(n,)`` of objects, None where nothing is known."""
    part: dict[str, NDArray[Any]] = {}
    for name in names:
        found = columns.get(name, meaning_of(name).kind)
        if found is not None:
            column: NDArray[Any] = found[0].astype(object)
            column[found[1]] = None
            part[name] = column
    return part
