"""Evaluate columns of a CSV file, and write what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labeling import Evaluation, evaluate
from labeling.evaluation import plot_calibration, plot_decision, plot_roc
from twins.files import replacing

from .csvfile import NO, NOT_KNOWN, YES, CsvFile
from .generators import generator

MALIGNANT, BENIGN = (*YES, "malignant"), (*NO, "benign")


def evaluate_file(
    file: CsvFile, truth: str, probabilities: Sequence[str], group: str | None, *, seed: int, n_bootstrap: int
) -> dict[str, Evaluation]:
    """Evaluate each column of probabilities against the column of outcomes.

    Raises
    ------
    ValueError
        If a column is lacking, or a cell is not known or cannot be read; the message names file, line and column.
    """
    y = _outcomes(file, truth)
    groups = None if group is None else _known(file, group)
    found = {}
    for name in probabilities:
        p = _probabilities(file, name)
        rng = None if groups is None else generator(seed)
        try:
            found[name] = evaluate(y, p, groups, rng=rng, n_bootstrap=n_bootstrap)
        except ValueError as error:
            raise ValueError(f"{file.path}, column {name!r}: {error}") from None
    return found


def write_evaluation(file: CsvFile, truth: str, found: dict[str, Evaluation], folder: Path) -> list[Path]:
    """Write ``evaluation.json`` and three pictures per column of probabilities into ``folder``, made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "evaluation.json"
    data = {"truth": truth, "probabilities": {name: evaluation.as_dict() for name, evaluation in found.items()}}
    with replacing(target) as part:
        part.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    written, y = [target], _outcomes(file, truth)
    for name in found:
        p, stem = _probabilities(file, name), re.sub(r"[^A-Za-z0-9.-]+", "_", name)
        for what, plot in (("roc", plot_roc), ("calibration", plot_calibration), ("decision", plot_decision)):
            written.append(plot(y, p, folder / f"{what}_{stem}.png", title=f"{what}, {name}"))
    return written


def _outcomes(file: CsvFile, name: str) -> Any:
    values = []
    for line, text in zip(file.lines, _known(file, name), strict=True):
        word = text.lower()
        if word not in (*MALIGNANT, *BENIGN):
            raise file.mistake(
                name, line, f"must be malignant or benign (also true, false, yes, no, 1, 0), got {text!r}"
            )
        values.append(word in MALIGNANT)
    return np.array(values, dtype=np.bool_)


def _probabilities(file: CsvFile, name: str) -> Any:
    _known(file, name)
    values = np.array(file.values(name, "number"), dtype=np.float64)
    outside = np.flatnonzero((values < 0) | (values > 1))
    if outside.size:
        row = int(outside[0])
        raise file.mistake(
            name, file.lines[row], f"must be 0 to 1, got {values[row]:g} ({outside.size} of {values.size} rows)"
        )
    return values


def _known(file: CsvFile, name: str) -> list[str]:
    texts = [text.strip() for text in file.texts(name)]
    for line, text in zip(file.lines, texts, strict=True):
        if text.lower() in NOT_KNOWN:
            raise file.mistake(name, line, "must be known")
    return texts
