"""Score a CSV file by one or several models; a bad row stops it all, and is named by line and column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import labeling
from labeling import CovariateError, ModelSpec, Scores
from labeling.vocabulary import meaning_of

from .csvfile import NOT_KNOWN, CsvFile


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What one model says of the rows of a file."""

    model: ModelSpec
    scores: Scores

    def columns(self) -> dict[str, list[Any]]:
        """Columns to add: probability, logit, names of imputed and extrapolated covariates, excluded."""
        s, end = self.scores, self.model.id
        found: dict[str, list[Any]] = {
            f"p_{end}": s.probability.tolist(),
            f"logit_{end}": s.logit.tolist(),
            f"imputed_{end}": _named(s.imputed, s.logit.size),
            f"extrapolated_{end}": _named(s.extrapolated, s.logit.size),
        }
        if s.computed:
            found[f"computed_{end}"] = _named(s.computed, s.logit.size)
        if any(e.effect == "zero" for e in self.model.exclusions):
            found[f"excluded_{end}"] = s.excluded.tolist()
        return found


def find_models(words: str) -> tuple[ModelSpec, ...]:
    """Models by id or file (``.json``), separated by commas.

    Raises
    ------
    ValueError
        If none is named, one is unknown, or two have one id.
    """
    names = [word.strip() for word in words.split(",") if word.strip()]
    if not names:
        raise ValueError("name at least one model")
    found = tuple(labeling.read_model(n) if n.endswith(".json") else labeling.get(n) for n in names)
    ids = [model.id for model in found]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ValueError(f"models must have different ids, got {', '.join(twice)} twice")
    return found


def score_file(file: CsvFile, models: Sequence[ModelSpec], impute: str | None) -> tuple[Scored, ...]:
    """Score every row by every model.

    Raises
    ------
    ValueError
        If a column is lacking, a cell cannot be read, or a model cannot take a value; the message names file, line,
        column, value and what is allowed.
    """
    if impute not in (None, "reference"):
        raise ValueError(f"--impute must be reference, got {impute!r}")
    wanted = dict.fromkeys(name for model in models for name in _asked(model))
    ranges = {c.name: c.wanted for model in models for c in model.covariates if c.kind == "number"}
    table = {name: covariate_column(file, name, ranges.get(name)) for name in wanted if name in file.names}
    table = table or {"(row)": np.zeros(len(file.rows))}
    found = []
    for model in models:
        try:
            scores = model.score(table, "reference" if impute else None, warn=False)
        except CovariateError as error:
            raise located(error, file, model) from None
        found.append(Scored(model, scores))
    return tuple(found)


def default_output(path: Path) -> Path:
    """Where scores of a file go when nothing is said: beside it, ``_scored`` before the suffix."""
    return path.with_name(f"{path.stem}_scored{path.suffix or '.csv'}")


def _asked(model: ModelSpec) -> tuple[str, ...]:
    inner = [name for c in model.covariates if c.from_model for name in _asked(labeling.get(c.from_model))]
    return (*model.needs, *model.may_use, *inner)


def covariate_column(file: CsvFile, name: str, wanted: str | None = None) -> Any:
    """Array of a column by its kind in the vocabulary, shape (n,); not known is NaN or None."""
    kind = meaning_of(name).kind
    values = file.values(name, kind, wanted)
    if kind == "number":
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _named(flags: dict[str, Any], n: int) -> list[str]:
    names: list[list[str]] = [[] for _ in range(n)]
    for name, where in flags.items():
        for row in np.flatnonzero(where):
            names[row].append(name)
    return [" ".join(each) for each in names]


def located(error: CovariateError, file: CsvFile, model: ModelSpec | None = None) -> ValueError:
    """The same mistake in terms of the file: line, column, text of the cell, what is allowed."""
    covariate = next((c for c in model.covariates if c.name == error.field), None) if model else None
    if model is not None and error.rows.size == 0:
        lacking = [c for c in model.covariates if c.name not in file.names and c.from_model is None]
        words = [f"{c.name} ({c.meaning}: {c.wanted})" for c in lacking]
        return ValueError(
            f"{file.path}: model {model.id!r} needs columns that are not there: {', '.join(words) or error}. "
            "--impute reference takes the model's reference values instead"
        )
    line = file.lines[int(error.rows[0])]
    more = f" ({error.rows.size} of {len(file.rows)} rows)" if error.rows.size > 1 else ""
    if model is None or covariate is None or error.field not in file.names or covariate.from_model is not None:
        return ValueError(f"{file.path}, line {line}: {_without_rows(str(error))}")
    text = file.texts(error.field)[int(error.rows[0])]
    wanted = covariate.wanted
    if text.strip().lower() in NOT_KNOWN:
        return file.mistake(
            error.field,
            line,
            f"not known{more}, and model {model.id!r} needs it: {wanted}. --impute reference takes the model's "
            "reference value instead",
        )
    if covariate.wanted in str(error):
        return file.mistake(error.field, line, f"model {model.id!r} accepts {wanted}, got {text!r}{more}")
    return ValueError(f"{file.path}, line {line}: {_without_rows(str(error))}")


def _without_rows(message: str) -> str:
    """The message without its row numbers, which count from 0 and would stand beside the line of the file."""
    return re.sub(r",? (first )?in row \d+|; rows count from 0| \(rows\s+count from 0\)", "", message)
