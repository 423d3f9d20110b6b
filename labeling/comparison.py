"""Several risk models on one table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, CovariateError, Table
from .model import get, models
from .scoring import score
from .visibility import columns_of, reads


def side_by_side(table: Table) -> dict[str, NDArray[np.float64]]:
    """Probability by every nodule model of the package, ``(n,)`` each; NaN where a model lacks or refuses something.

    Nothing is imputed. They disagree: populations differ, from 1.5 % malignant to more than half.
    """
    columns = Columns(table)
    found = {}
    for model_id in models(level="nodule"):
        spec = get(model_id)
        part = columns_of(columns, reads(spec))
        probability = np.full(columns.n, np.nan)
        rows = np.arange(columns.n)
        while len(rows):
            try:
                scores = score(spec, {name: column[rows] for name, column in part.items()}, warn=False)
            except CovariateError as error:
                rows = np.delete(rows, error.rows) if len(error.rows) else rows[:0]
                continue
            probability[rows] = scores.probability
            break
        found[model_id] = probability
    return found
