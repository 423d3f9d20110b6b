"""How far a probability moves within the standard errors of the model's coefficients.

The log odds are linear in the coefficients: if these are Normal, so are the log odds, and their variance is
``x' C x`` exactly, with x the transformed covariates (1 for the constant) and C the covariance of the coefficients.
Where a paper prints standard errors alone, C is taken as diagonal, and what has no standard error as exact: the
interval then says how far the *printed* uncertainty reaches. It is no interval for the truth about a nodule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .model import ModelSpec

Z = 1.959963984540054
"""97.5 % quantile of the Normal distribution: intervals hold 95 %."""


@dataclass(frozen=True, slots=True, eq=False)
class LogitSpread:
    """Standard deviation of the log odds.

    Parameters
    ----------
    sd
        ``(n,)`` [1].
    basis
        What it rests on, in words.
    """

    sd: NDArray[np.float64]
    basis: str


def logit_spread(spec: ModelSpec, inputs: Mapping[str, NDArray[Any]]) -> LogitSpread | None:
    """Standard deviation of each row's log odds under the uncertainty of the coefficients.

    Parameters
    ----------
    spec
        The model.
    inputs
        Its covariates, ``(n,)`` each (:attr:`labeling.Scores.inputs`).

    Returns
    -------
    LogitSpread | None
        None where the model states neither standard errors nor a covariance.
    """
    x = np.stack([term.transform.of(inputs[term.covariate]) for term in spec.terms], axis=1)
    if spec.covariance is not None:
        full = np.concatenate((np.ones((len(x), 1)), x), axis=1)
        variance = np.einsum("ni,ij,nj->n", full, np.asarray(spec.covariance, dtype=np.float64), full)
        return LogitSpread(np.sqrt(np.maximum(variance, 0.0)), "covariance of the fit")
    errors = [term.standard_error for term in spec.terms]
    if all(error is None for error in errors):
        return None
    lacking = ["constant", *dict.fromkeys(t.covariate for t in spec.terms if t.standard_error is None)]
    sd = np.sqrt(x**2 @ np.array([0.0 if error is None else error**2 for error in errors]))
    return LogitSpread(sd, f"printed standard errors taken as independent; none for {', '.join(lacking)}")
