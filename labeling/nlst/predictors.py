"""What a model fitted on NLST may use, how it enters the logit, and the matrix that a fit sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from ..covariate import Covariate, Value
from ..terms import Indicator, Linear, Power, Term
from ..vocabulary import VOCABULARY
from .codes import knows_the_outcome

Transform = Linear | Power | Indicator

_SIZE = (Power(kind="power", scale=10.0, power=-0.5, offset=1.58113883),)


@dataclass(frozen=True, slots=True)
class Predictor:
    """How a covariate enters unless the caller says otherwise, and what the fitted model will accept."""

    transforms: tuple[Transform, ...]
    reference: Value
    meaning: str
    allowed: tuple[float, float] | tuple[str, ...] | None = field(default=None)


def _linear(offset: float, scale: float = 1.0) -> tuple[Transform, ...]:
    return (Linear(kind="linear", offset=offset, scale=scale),)


def _yes(meaning: str) -> Predictor:
    return Predictor((Indicator(kind="is", value=True),), False, meaning)


def _is(*values: str) -> tuple[Transform, ...]:
    return tuple(Indicator(kind="is", value=value) for value in values)


PREDICTORS: dict[str, Predictor] = {
    "age_y": Predictor(_linear(62.0), 62.0, "Age at the screen, or at randomisation if the label has none", (18, 110)),
    "sex": Predictor(_is("female"), "male", "Sex", ("female", "male")),
    "race": Predictor(
        _is("black", "asian", "american_indian_or_alaskan", "hawaiian_or_pacific"),
        "white",
        "Race as told, one of five; Hispanic origin is not a race in NLST",
        ("white", "black", "asian", "american_indian_or_alaskan", "hawaiian_or_pacific"),
    ),
    "family_history": _yes("Lung cancer in parent, sibling or child (CDAS only)"),
    "current_smoker": _yes("Smokes at randomisation"),
    "smoking_duration_y": Predictor(_linear(40.0, 10.0), 40.0, "Years of smoking (CDAS only)", (0, 100)),
    "cigarettes_per_day": Predictor(_linear(28.0, 10.0), 28.0, "Mean cigarettes per day (CDAS only)", (0, 200)),
    "pack_years": Predictor(_linear(50.0, 10.0), 50.0, "Pack-years (CDAS only)", (0, 500)),
    "years_since_quit_y": Predictor(_linear(0.0, 10.0), 0.0, "Years since quitting; smokers 0 (CDAS only)", (0, 80)),
    "copd": _yes("COPD as told by the participant (CDAS only)"),
    "emphysema": _yes("Emphysema on that CT (abnormality 59)"),
    "nodule_count": Predictor(_linear(4.0), 4, "Nodules of at least 4 mm on that CT (code 51)", (1, 1000)),
    "long_axis_mm": Predictor(_SIZE, 4.0, "Longest diameter as the reader measured it (sct_long_dia)", (1, 150)),
    "perp_axis_mm": Predictor(_SIZE, 4.0, "Longest perpendicular diameter (sct_perp_dia)", (1, 150)),
    "mean_diameter_mm": Predictor(_SIZE, 4.0, "Mean of sct_long_dia and sct_perp_dia", (1, 150)),
    "nodule_type": Predictor(
        _is("nonsolid", "part_solid"),
        "solid",
        "Predominant attenuation: soft tissue, ground glass or mixed; all others left out",
        ("solid", "part_solid", "nonsolid"),
    ),
    "upper_lobe": _yes("Right or left upper lobe, the lingula included"),
    "upper_lobe_without_lingula": _yes("Right or left upper lobe, the lingula not included"),
    "spiculation": _yes("Spiculated (stellate) margin"),
}
"""Covariates that NLST tables can give. The size enters as in the PanCan models, centred on its value at 4 mm."""

NODULE_PREDICTORS = (
    "age_y",
    "sex",
    "emphysema",
    "long_axis_mm",
    "nodule_type",
    "upper_lobe",
    "nodule_count",
    "spiculation",
)
"""Those of Brock 2b that the public tables have: all but family history."""

PARTICIPANT_PREDICTORS = ("age_y", "sex", "current_smoker")


class TermTransformer(TransformerMixin, BaseEstimator):
    """Columns by name to the transformed covariates of ``terms``, shape ``(n, len(terms))``: a step of a pipeline."""

    def __init__(self, terms: tuple[Term, ...]):
        self.terms = terms

    def fit(self, X: Any, y: Any = None) -> TermTransformer:  # noqa: ARG002
        """Nothing to learn: offsets and scales are those of the terms."""
        self.n_features_in_ = len(X.columns)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Values of the terms, shape ``(n, len(terms))``."""
        return np.column_stack([term.transform.of(_values(X[term.covariate])) for term in self.terms])


def pipeline(terms: tuple[Term, ...]) -> Any:
    """The unpenalised fit as a scikit-learn pipeline: columns by name in, the coefficients of ``fit_nlst`` out.

    No class weights: they would destroy the calibration.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    regression = LogisticRegression(C=np.inf, solver="lbfgs", max_iter=1000, tol=1e-8)
    return Pipeline([("terms", TermTransformer(terms)), ("regression", regression)])


def choose(
    names: Sequence[str], transforms: Mapping[str, Sequence[Transform]] | None, features: pd.DataFrame
) -> tuple[Term, ...]:
    """Terms, with coefficient 0, of the predictors asked for.

    Raises
    ------
    ValueError
        If a predictor knows the outcome, is not one of ``PREDICTORS``, is not in the tables or rows of this label,
        comes twice, or has transforms without being asked for.
    """
    given = dict(transforms or {})
    terms: list[Term] = []
    for name in names:
        if knows_the_outcome(name):
            raise ValueError(
                f"predictor {name!r} knows the outcome, or was decided because of it: it cannot predict it"
            )
        if name not in PREDICTORS:
            raise ValueError(f"unknown predictor {name!r}; known: {', '.join(PREDICTORS)}")
        if name not in features:
            have = [known for known in PREDICTORS if known in features]
            raise ValueError(f"predictor {name!r} is not in these tables for this label; they have {', '.join(have)}")
        how = given.pop(name, PREDICTORS[name].transforms)
        terms += [Term(covariate=name, transform=transform, coefficient=0.0) for transform in how]
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"predictors must be given, each once; got {', '.join(names) or 'none'}")
    if given:
        raise ValueError(f"transforms of {', '.join(given)}, which are no predictors of this fit")
    return tuple(terms)


def covariate(name: str, features: pd.DataFrame) -> Covariate:
    """What the fitted model needs to know of a predictor; ``trained`` is the range of the rows of the fit.

    Raises
    ------
    ValueError
        If rows of the fit are outside what any model of this package would accept.
    """
    predictor, meaning = PREDICTORS[name], VOCABULARY[name]
    trained = None
    if meaning.kind == "number" and predictor.allowed is not None:
        low, high = float(predictor.allowed[0]), float(predictor.allowed[1])
        trained = (float(features[name].min()), float(features[name].max()))
        strange = ~features[name].between(low, high)
        if strange.any():
            first = features[strange].iloc[0]
            raise ValueError(
                f"{name}: {int(strange.sum())} rows are outside {low:g} to {high:g} {meaning.unit}, the first with "
                f"{first[name]:g} (pid {first['pid']:.0f}): correct them or leave them out"
            )
    return Covariate(
        name=name,
        meaning=predictor.meaning,
        unit=meaning.unit,
        reference=predictor.reference,
        allowed=predictor.allowed,
        trained=trained,
    )


def _values(column: pd.Series) -> NDArray[Any]:
    values = column.to_numpy()
    return values if values.dtype == object else values.astype(np.float64)
