"""A published model as a scikit-learn classifier, for pipelines, cross-validation and calibration displays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .columns import Columns, Table
from .model import ModelSpec, get
from .scoring import Impute, Scores
from .vocabulary import VOCABULARY


class PublishedRiskModel(ClassifierMixin, BaseEstimator):
    """Classifier whose coefficients are published: ``fit`` learns nothing.

    Input is by name - a data frame, a mapping of columns or a sequence of records; columns that the vocabulary does
    not know are refused (a misspelt covariate would else go unseen), bare arrays too.

    Parameters
    ----------
    model
        Id of a model that comes with the package, or one of the user's.
    impute
        "reference": covariates that are not known take the model's reference value.

    Attributes
    ----------
    spec_
        The model.
    classes_
        ``[0, 1]``: without and with the model's outcome.
    coef_
        Coefficients of the terms, shape ``(1, n_terms)``.
    intercept_
        Constant, shape ``(1,)``.
    n_features_in_, feature_names_in_
        The covariates that the model needs.

    Examples
    --------
    >>> model = PublishedRiskModel("size-only").fit()
    >>> model.predict_proba({"long_axis_mm": [10.0]}).round(3)
    array([[0.96, 0.04]])
    """

    def __init__(self, model: str | ModelSpec = "brock-2b", impute: Impute | None = None) -> None:
        self.model = model
        self.impute = impute

    def fit(self, X: Table | None = None, y: ArrayLike | None = None) -> PublishedRiskModel:
        """Take the model; learn nothing from ``X`` and ``y``, which are checked where they are given.

        Raises
        ------
        ValueError
            If there is no such model, ``impute`` is unknown, ``X`` cannot be scored, ``y`` holds anything but 0 and 1,
            or their lengths differ.
        """
        if self.impute not in (None, "reference"):
            raise ValueError(f"impute must be None or 'reference', got {self.impute!r}")
        spec = get(self.model) if isinstance(self.model, str) else self.model
        self.spec_ = spec
        self.classes_ = np.array([0, 1])
        self.coef_ = np.array([[term.coefficient for term in spec.terms]])
        self.intercept_ = np.array([spec.intercept])
        self.feature_names_in_ = np.array(spec.needs, dtype=object)
        self.n_features_in_ = len(spec.needs)
        n = None if X is None else len(self._scores(X).logit)
        if y is not None:
            labels = np.asarray(y)
            if labels.ndim != 1 or not np.isin(labels, (0, 1)).all():
                raise ValueError("y must be one-dimensional and hold 0 and 1 only")
            if n is not None and len(labels) != n:
                raise ValueError(f"X and y must be equally long, got {n} and {len(labels)}")
        return self

    def decision_function(self, X: Table) -> NDArray[np.float64]:
        """Log odds, shape ``(n,)``; raises as :meth:`labeling.ModelSpec.score`."""
        return self._scores(X).logit

    def predict_proba(self, X: Table) -> NDArray[np.float64]:
        """Probabilities without and with the outcome, shape ``(n, 2)``; raises as :meth:`labeling.ModelSpec.score`."""
        p = self._scores(X).probability
        return np.column_stack([1 - p, p])

    def predict(self, X: Table) -> NDArray[np.int64]:
        """1 where the probability is above 0.5, shape ``(n,)``: the usual meaning of predict, no clinical threshold."""
        return (self._scores(X).probability > 0.5).astype(np.int64)

    def _scores(self, X: Table) -> Scores:
        check_is_fitted(self, "spec_")
        unknown = sorted(set(Columns(X).names) - set(VOCABULARY))
        if unknown:
            raise ValueError(f"unknown columns: {', '.join(unknown)}; model {self.spec_.id!r} needs {self.spec_.needs}")
        return self.spec_.score(X, self.impute)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.two_d_array = False
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.requires_fit = True
        return tags
