"""A published model behaves as a scikit-learn classifier wherever input by name allows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from labeling import ExtrapolationWarning, PublishedRiskModel, get

RNG = np.random.default_rng(11)
N = 600
X = pd.DataFrame({"sex": RNG.choice(["female", "male"], N), "long_axis_mm": RNG.uniform(3, 40, N)})
X["upper_lobe"] = RNG.random(N) < 0.5
P = get("brock-1a").probability(X)
Y = (RNG.random(N) < P).astype(int)


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_mixin_order,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
)
def test_the_checks_of_scikit_learn_that_need_no_bare_array(check):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check("PublishedRiskModel", PublishedRiskModel())


def test_it_gives_the_model_s_own_probabilities_bit_for_bit():
    model = PublishedRiskModel("brock-1a").fit(X, Y)
    assert is_classifier(model)
    np.testing.assert_array_equal(model.predict_proba(X)[:, 1], P)
    np.testing.assert_array_equal(model.predict_proba(X).sum(axis=1), np.ones(N))
    np.testing.assert_array_equal(model.decision_function(X), get("brock-1a").logit(X))
    np.testing.assert_array_equal(model.predict(X), P > 0.5)
    assert model.classes_.tolist() == [0, 1]


def test_it_learns_nothing_and_says_what_it_is_made_of():
    seen, unseen = PublishedRiskModel("brock-1a").fit(X, 1 - Y), PublishedRiskModel("brock-1a").fit()
    np.testing.assert_array_equal(seen.predict_proba(X), unseen.predict_proba(X))
    np.testing.assert_array_equal(seen.coef_, [[0.5806, -5.8616, 0.6439]])
    assert seen.intercept_.tolist() == [-6.5929]
    assert seen.feature_names_in_.tolist() == ["sex", "long_axis_mm", "upper_lobe"]
    assert seen.n_features_in_ == 3


def test_it_takes_a_model_of_the_user_s_and_survives_a_clone():
    mine = get("brock-1a").model_copy(update={"id": "mine", "intercept": -5.0})
    model = clone(PublishedRiskModel(mine)).fit()
    np.testing.assert_allclose(model.decision_function(X) - get("brock-1a").logit(X), 1.5929, rtol=1e-12)


def test_it_works_in_pipelines_cross_validation_and_recalibration():
    model = PublishedRiskModel("brock-1a")
    np.testing.assert_array_equal(cross_val_predict(model, X, Y, cv=3, method="predict_proba")[:, 1], P)
    scores = cross_val_score(model, X, Y, cv=3, scoring="roc_auc")
    assert abs(scores.mean() - roc_auc_score(Y, P)) < 0.05  # folds of 200 rows; their mean is near the whole's AUC
    keep = ColumnTransformer([("all", "passthrough", list(X))], verbose_feature_names_out=False).set_output(
        transform="pandas"
    )
    np.testing.assert_array_equal(make_pipeline(keep, model).fit(X, Y).predict_proba(X)[:, 1], P)
    again = CalibratedClassifierCV(FrozenEstimator(model.fit(X, Y)), method="sigmoid").fit(X, Y)
    p = again.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(np.argsort(p, kind="stable"), np.argsort(P, kind="stable"))  # Platt is monotone


def test_it_is_refused_before_fit_and_with_bare_arrays_and_unknown_columns():
    with pytest.raises(NotFittedError):
        PublishedRiskModel("brock-1a").predict_proba(X)
    model = PublishedRiskModel("brock-1a").fit()
    with pytest.raises(TypeError, match="columns by name"):
        model.predict_proba(X.to_numpy())
    with pytest.raises(ValueError, match=r"unknown columns: spiculated; model 'brock-1a' needs"):
        model.predict_proba(X.assign(spiculated=True))
    with pytest.raises(ValueError, match="missing covariates: upper_lobe"):
        model.predict_proba(X.drop(columns="upper_lobe"))
    with pytest.raises(ValueError, match="unknown model 'brok'"):
        PublishedRiskModel("brok").fit()
    with pytest.raises(ValueError, match="impute"):
        PublishedRiskModel(impute="mean").fit()
    for y in (Y[:5], Y + 1, np.column_stack([Y, Y])):
        with pytest.raises(ValueError, match="y"):
            model.fit(X, y)


def test_imputation_and_warnings_pass_through():
    model = PublishedRiskModel("brock-1a", impute="reference").fit()
    without = X.drop(columns="upper_lobe")
    np.testing.assert_array_equal(model.predict_proba(without), model.predict_proba(X.assign(upper_lobe=False)))
    with pytest.warns(ExtrapolationWarning, match="long_axis_mm in 600 of 600 rows"):
        model.predict_proba(X.assign(long_axis_mm=90.0))
