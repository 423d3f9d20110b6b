"""A fit on NLST tables finds the model that made the data, and knows how far it may be off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labeling
from labeling.nlst.definitions import nodule_lobe, participant_ever
from labeling.nlst.estimate import auc, cross_validated_auc, estimate, folds, offset, optimism, sandwich, separating
from labeling.nlst.fit import fit_nlst
from labeling.nlst.predictors import NODULE_PREDICTORS, TermTransformer, choose, pipeline
from labeling.nlst.recalibration import recalibrate
from labeling.nlst.synthetic import synthetic_nlst
from labeling.nlst.tables import read_nlst
from labeling.scoring import probability_of

from .nlst_rows import ctab, nodule, person, prsn


@pytest.fixture(scope="module")
def cohort():
    return synthetic_nlst(50_000, np.random.default_rng(11))


@pytest.fixture(scope="module")
def fitted(cohort):
    return fit(cohort, n_bootstrap=3, n_folds=3)


def fit(cohort, **options):
    plain = {"label": cohort.label, "screen": cohort.screen, "n_bootstrap": 0, "n_folds": 0}
    return fit_nlst(cohort.ctab, cohort.prsn, rng=np.random.default_rng(2), **(plain | options))


def deviations(model, truth):
    """(fitted - true) / standard error, intercept first."""
    true = {(t.covariate, str(t.transform)): t.coefficient for t in truth.terms}
    found = [(model.intercept - truth.intercept) / np.sqrt(model.covariance[0][0])]
    for term in model.terms:
        found.append((term.coefficient - true[term.covariate, str(term.transform)]) / term.standard_error)
    return np.array(found)


def clusters(rng, groups=300, each=6, spread=1.5):
    """Rows of participants who share a random effect and a covariate: the model's variance is too small for them."""
    who = np.repeat(np.arange(groups), each)
    shared = rng.normal(size=groups)[who]
    X = np.column_stack([shared, rng.normal(size=len(who))])
    eta = -1 + X @ [0.5, 0.5] + spread * rng.normal(size=groups)[who]
    return X, (rng.random(len(who)) < probability_of(eta)).astype(float), who


def test_the_fit_finds_the_coefficients_that_made_the_cohort(cohort, fitted):
    assert np.abs(deviations(fitted, cohort.model)).max() < 4
    assert len(fitted.terms) == len(cohort.model.terms)


def test_what_the_fit_says_of_itself(cohort, fitted):
    made = fitted.derivation
    assert made.synthetic
    assert "SYNTHETIC" in fitted.status
    assert made.label == cohort.label.rule == fitted.outcome
    assert made.events_per_variable == made.events / len(fitted.terms)
    assert made.clusters < made.n
    assert made.tables == ("ctab: synthetic", "prsn: synthetic", "screen: synthetic")
    assert any("not alone in its lobe" in why for why in made.left_out)
    assert abs(made.cross_validated_auc - made.apparent_auc) < 0.05
    assert made.corrected_auc < made.apparent_auc
    rows, _ = cohort.label.rows(read_nlst(cohort.ctab, cohort.prsn, screen=cohort.screen))
    rows = rows[rows[list(NODULE_PREDICTORS)].notna().all(axis=1)]
    # the score equation of the intercept: the mean probability is the share of events
    assert fitted.probability(rows).mean() == pytest.approx(rows["y"].mean(), rel=1e-5)


def test_export_and_import_give_bit_equal_scores(cohort, fitted, tmp_path):
    labeling.write_model(fitted, tmp_path / "model.json")
    again = labeling.read_model(tmp_path / "model.json")
    rows, _ = cohort.label.rows(read_nlst(cohort.ctab, cohort.prsn, screen=cohort.screen))
    rows = rows[rows[list(NODULE_PREDICTORS)].notna().all(axis=1)].head(500)
    assert again == fitted
    assert again.hash() == fitted.hash()
    assert np.array_equal(again.logit(rows), fitted.logit(rows))


def test_the_same_generator_gives_the_same_model(cohort, fitted):
    assert fit(cohort, n_bootstrap=3, n_folds=3).hash() == fitted.hash()


def test_the_unpenalised_estimate_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    X, y, _ = clusters(np.random.default_rng(4))
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, y)
    assert estimate(X, y, None) == pytest.approx([*theirs.intercept_, *theirs.coef_[0]], abs=1e-5)


def test_a_column_that_is_constant_in_a_resample_gets_nothing():
    X, y, _ = clusters(np.random.default_rng(4), groups=50)
    for penalty in (None, "firth"):
        alone = estimate(X, y, penalty)
        assert estimate(np.column_stack([X, np.full(len(y), 3.0)]), y, penalty) == pytest.approx([*alone, 0])


def test_the_pipeline_of_scikit_learn_gives_the_same_probabilities(cohort, fitted):
    rows, _ = cohort.label.rows(read_nlst(cohort.ctab, cohort.prsn, screen=cohort.screen))
    rows = rows[rows[list(NODULE_PREDICTORS)].notna().all(axis=1)].reset_index(drop=True)
    terms = choose(NODULE_PREDICTORS, None, rows)
    made = pipeline(terms).fit(rows, rows["y"])
    assert made.predict_proba(rows)[:, 1] == pytest.approx(fitted.probability(rows), abs=2e-4)
    # and the rows of the matrix that the fit sees are what the model computes from the same columns
    X = TermTransformer(terms).fit_transform(rows)
    assert fitted.intercept + X @ [t.coefficient for t in fitted.terms] == pytest.approx(fitted.logit(rows), abs=1e-12)


@pytest.mark.parametrize(
    "column", ["can_scr", "scr_res0", "locrup", "lesionsize", "de_stag", "canc_free_days", "cancyr"]
)
def test_columns_that_leak_are_refused_as_predictors(cohort, column):
    with pytest.raises(ValueError, match=f"predictor '{column}' knows the outcome"):
        fit(cohort, predictors=("age_y", column))


def test_predictors_must_be_known_in_the_tables_once_and_vary(cohort):
    with pytest.raises(ValueError, match="unknown predictor 'volume_mm3'"):
        fit(cohort, predictors=("volume_mm3",))
    with pytest.raises(ValueError, match="'family_history' is not in these tables"):
        fit(cohort, predictors=("family_history",))
    with pytest.raises(ValueError, match="each once"):
        fit(cohort, predictors=("age_y", "age_y"))
    with pytest.raises(ValueError, match="'long_axis_mm' is not in these tables for this label"):
        fit(cohort, label=participant_ever(), predictors=("long_axis_mm",))


def test_too_few_events_are_refused(cohort):
    few = cohort.prsn["pid"] < 9_003_000
    kept = {kind: getattr(cohort, kind)[lambda t: t["pid"] < 9_003_000] for kind in ("ctab", "screen")}
    with pytest.raises(ValueError, match="fewer than 50 events"):
        fit_nlst(
            kept["ctab"], cohort.prsn[few], screen=kept["screen"], label=cohort.label, rng=np.random.default_rng(1)
        )
    some = {kind: getattr(cohort, kind)[lambda t: t["pid"] < 9_015_000] for kind in ("ctab", "screen")}
    people = cohort.prsn[cohort.prsn["pid"] < 9_015_000]
    options = {"label": cohort.label, "screen": some["screen"], "n_bootstrap": 0, "n_folds": 0}
    with pytest.raises(ValueError, match=r"fewer than 10 are not fitted by maximum likelihood.*'firth'"):
        fit_nlst(some["ctab"], people, rng=np.random.default_rng(1), **options)
    model = fit_nlst(some["ctab"], people, rng=np.random.default_rng(1), penalty="firth", **options)
    assert model.derivation.events_per_variable < 10
    assert np.abs(deviations(model, cohort.model)).max() < 4


def test_a_participant_model_of_the_ct_arm(cohort):
    model = fit(cohort, label=participant_ever())
    assert model.level == "participant"
    assert model.needs == ("age_y", "sex", "current_smoker")
    assert model.derivation.n == model.derivation.clusters == cohort.screen["pid"].nunique()


def test_a_label_is_required_and_options_are_checked(cohort):
    with pytest.raises(TypeError, match="label"):
        fit_nlst(cohort.ctab, cohort.prsn, rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"label must be participant_ever\(\).*got 'nodule_lobe'"):
        fit(cohort, label="nodule_lobe")
    with pytest.raises(ValueError, match="penalty must be None or 'firth'"):
        fit(cohort, penalty="ridge")
    with pytest.raises(ValueError, match="n_folds"):
        fit(cohort, n_folds=1)


def test_a_constant_predictor_is_refused():
    people = [
        person(pid, candx_days=100, cancyr=0, can_scr=1, locrup=1) if pid <= 60 else person(pid)
        for pid in range(1, 201)
    ]
    rows = [nodule(pid, sct_long_dia=4 + pid % 17) for pid in range(1, 201)]
    with pytest.raises(ValueError, match="the same in all rows.*: sex = female"):
        fit_nlst(
            ctab(*rows),
            prsn(*people),
            label=nodule_lobe(2),
            predictors=("long_axis_mm", "sex"),
            rng=np.random.default_rng(1),
        )


def test_a_diameter_that_cannot_be_is_refused(cohort):
    findings = cohort.ctab.copy()
    findings.loc[findings.index[findings["sct_ab_desc"] == 51], "sct_long_dia"] = 400
    with pytest.raises(ValueError, match=r"long_axis_mm: \d+ rows are outside 1 to 150 mm, the first with 400"):
        fit_nlst(findings, cohort.prsn, label=cohort.label, screen=cohort.screen, rng=np.random.default_rng(1))


# the estimators


def test_separated_data_have_no_maximum_likelihood_estimate_but_one_of_firth():
    """Heinze & Schemper's case: an effect that is always followed by the event. The 2 x 2 table (a, b, c, d) with
    Firth's prior is the same as adding 1/2 to each cell, so the log odds ratio is known exactly."""
    a, b, c, d = 12, 0, 20, 68  # exposed with and without event, unexposed with and without
    X = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])[:, None]
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    assert list(separating(X, y)) == [0]
    beta = estimate(X, y, "firth")
    assert beta[1] == pytest.approx(np.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5))), abs=1e-7)
    assert probability_of(beta[0] + X @ beta[1:]).mean() == pytest.approx(y.mean(), abs=1e-9)  # FLIC


def test_without_separation_there_is_none_to_find():
    X, y, _ = clusters(np.random.default_rng(1))
    assert len(separating(X, y)) == 0
    both = np.column_stack([X, y + 0.1 * X[:, 0]])  # no single column separates, a combination does
    assert len(separating(both, y)) > 0


def test_firth_and_maximum_likelihood_agree_on_many_events():
    X, y, _ = clusters(np.random.default_rng(2), groups=4000, each=5, spread=0)
    assert estimate(X, y, "firth") == pytest.approx(estimate(X, y, None), abs=2e-3)


@pytest.mark.parametrize("penalty", [None, "firth"])
def test_a_weight_of_two_is_the_row_twice(penalty):
    X, y, _ = clusters(np.random.default_rng(3), groups=60)
    weights = np.random.default_rng(4).integers(1, 4, len(y))
    twice = np.repeat(np.arange(len(y)), weights)
    weighted = estimate(X, y, penalty, weights.astype(float))
    assert weighted == pytest.approx(estimate(X[twice], y[twice], penalty), abs=1e-8)


def test_maximum_likelihood_of_one_yes_or_no_is_the_log_odds_ratio():
    X, y = np.repeat([1.0, 1.0, 0.0, 0.0], [30, 70, 10, 90])[:, None], np.repeat([1.0, 0.0, 1.0, 0.0], [30, 70, 10, 90])
    beta = estimate(X, y, None)
    assert beta == pytest.approx([np.log(10 / 90), np.log(30 * 90 / (70 * 10))], abs=1e-9)
    # its variance is 1/a + 1/b + 1/c + 1/d, up to the small-sample factor of the sandwich
    variance = sandwich(X, y, np.arange(200), beta, None)[1, 1]
    assert variance == pytest.approx((1 / 30 + 1 / 70 + 1 / 10 + 1 / 90) * 200 / 199 * 199 / 198, rel=1e-9)


def test_the_sandwich_is_the_bootstrap_of_participants():
    rng = np.random.default_rng(5)
    X, y, who = clusters(rng)
    beta = estimate(X, y, None)
    robust = np.sqrt(np.diag(sandwich(X, y, who, beta, None)))
    rowwise = np.sqrt(np.diag(sandwich(X, y, np.arange(len(y)), beta, None)))
    drawn = []
    for _ in range(300):
        weights = rng.multinomial(300, np.full(300, 1 / 300))[who].astype(float)
        drawn.append(estimate(X[weights > 0], y[weights > 0], None, weights[weights > 0]))
    spread = np.std(drawn, axis=0, ddof=1)
    assert robust == pytest.approx(spread, rel=0.2)  # 300 draws know a standard deviation to 4 %
    assert robust[1] > 1.25 * rowwise[1]  # the covariate that rows of a participant share


def test_the_sandwich_does_not_depend_on_the_order_of_rows_or_the_names_of_groups():
    X, y, who = clusters(np.random.default_rng(6), groups=50)
    beta = estimate(X, y, None)
    order = np.random.default_rng(7).permutation(len(y))
    shuffled = sandwich(X[order], y[order], np.array([f"p{w}" for w in who[order]]), beta, None)
    assert shuffled == pytest.approx(sandwich(X, y, who, beta, None), rel=1e-9)


def test_no_participant_is_in_two_folds_and_events_are_spread_evenly():
    rng = np.random.default_rng(8)
    who = rng.permutation(np.repeat(np.arange(200), 4))
    y = np.isin(who, np.arange(50)).astype(float)
    cut = folds(y, who, 5, rng)
    for train, test in cut:
        assert not set(who[train]) & set(who[test])
        assert len(train) + len(test) == len(y)
        assert len(set(who[test]) & set(range(50))) == 10
    assert sorted(np.concatenate([test for _, test in cut])) == list(range(len(y)))


def test_rows_of_a_participant_do_not_leak_into_the_cross_validated_auc():
    """Columns that only tell participants apart predict nothing in others, though rows of one share the outcome."""
    rng = np.random.default_rng(9)
    who = np.repeat(np.arange(160), 5)
    y = (rng.random(160) < 0.5).astype(float)[who]
    X = rng.normal(size=(160, 40))[who]
    beta = estimate(X, y, None)
    assert auc(y, X @ beta[1:]) > 0.75
    assert cross_validated_auc(X, y, who, None, 5, rng) == pytest.approx(0.5, abs=0.1)


def test_optimism_is_that_of_new_data():
    rng = np.random.default_rng(10)
    beta = np.array([1.0, 0.5, *np.zeros(10)])

    def draw(n):
        X = rng.normal(size=(n, 12))
        return X, (rng.random(n) < probability_of(X @ beta)).astype(float)

    X, y = draw(200)
    fitted = estimate(X, y, None)
    apparent = auc(y, X @ fitted[1:])
    new_X, new_y = draw(100_000)
    corrected = apparent - optimism(X, y, np.arange(200), None, 60, rng)
    assert corrected < apparent - 0.01
    assert abs(corrected - auc(new_y, new_X @ fitted[1:])) < 0.035  # the standard error of an AUC of 200 rows


def test_optimism_draws_participants_so_rows_written_three_times_change_nothing():
    rng = np.random.default_rng(12)
    X = rng.normal(size=(120, 6))
    y = (rng.random(120) < probability_of(X[:, 0])).astype(float)
    thrice = np.repeat(np.arange(120), 3)
    once = optimism(X, y, np.arange(120), None, 20, np.random.default_rng(13))
    assert once > 0.01
    assert optimism(X[thrice], y[thrice], thrice, None, 20, np.random.default_rng(13)) == pytest.approx(once, abs=1e-9)


def test_the_auc_counts_ties_half_and_weights_as_rows():
    y, score = np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 2.0, 2.0, 3.0])
    assert auc(y, score) == 3.5 / 4
    assert auc(y, score, np.array([2.0, 1.0, 1.0, 1.0])) == pytest.approx(5.5 / 6, abs=1e-15)


# recalibration


def test_recalibration_finds_the_offset_and_slope_that_made_the_outcomes():
    rng = np.random.default_rng(12)
    model = labeling.get("size-only")
    table = pd.DataFrame({"long_axis_mm": rng.uniform(4, 30, 80_000)})
    logit = model.logit(table)
    y = rng.random(len(logit)) < probability_of(-0.7 + 0.8 * logit)
    shifted = recalibrate(model, table, y, how="offset", label="drawn")
    assert shifted.probability(table).mean() == pytest.approx(y.mean(), abs=1e-9)
    assert shifted.logit(table) - logit == pytest.approx(shifted.intercept - model.intercept, abs=1e-12)
    both = recalibrate(model, table, y, how="offset+slope", label="drawn")
    assert both.terms[0].coefficient / model.terms[0].coefficient == pytest.approx(0.8, abs=0.06)
    assert both.logit(table) == pytest.approx(-0.7 + 0.8 * logit, abs=0.3)  # standard error 0.08 at 4 mm
    assert both.derivation.label == "drawn"
    assert both.derivation.apparent_auc == shifted.derivation.apparent_auc  # neither changes an order
    assert both.hash() != model.hash()


def test_the_offset_makes_the_mean_probability_the_share_of_events():
    logit, y = np.array([-2.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])
    weights = np.array([1.0, 2.0, 3.0])
    a = offset(logit, y, weights)
    assert weights @ probability_of(a + logit) == pytest.approx(5.0, abs=1e-9)


def test_recalibration_refuses_what_it_cannot_do():
    model, table = labeling.get("size-only"), pd.DataFrame({"long_axis_mm": np.linspace(4, 30, 200)})
    y = np.arange(200) >= 100
    with pytest.raises(ValueError, match="offset, got|must be 'offset'"):
        recalibrate(model, table, y, how="isotonic", label="x")
    with pytest.raises(ValueError, match="fewer than 50"):
        recalibrate(model, table, np.arange(200) >= 170, how="offset", label="x")
    with pytest.raises(ValueError, match="slope has no finite estimate"):
        recalibrate(model, table, y, how="offset+slope", label="x")
    with pytest.raises(ValueError, match="200 rows"):
        recalibrate(model, table, y[:100], how="offset", label="x")
    with pytest.raises(ValueError, match="the slope is -"):
        recalibrate(model, table, ~y ^ (np.arange(200) % 5 == 0), how="offset+slope", label="x")


@pytest.mark.slow
def test_two_hundred_thousand_participants_give_back_the_generating_model():
    made = synthetic_nlst(200_000, np.random.default_rng(1))
    model = fit_nlst(
        made.ctab,
        made.prsn,
        screen=made.screen,
        ctabc=made.ctabc,
        label=made.label,
        rng=np.random.default_rng(1),
        n_bootstrap=20,
    )
    assert np.abs(deviations(model, made.model)).max() < 4
    assert model.derivation.events > 800
    # leaving out the nodules that share a lobe with another only where a cancer follows pulls the count down
    biased = fit_nlst(
        made.ctab,
        made.prsn,
        screen=made.screen,
        label=nodule_lobe(2, "drop_ambiguous", rounds=(0,)),
        rng=np.random.default_rng(1),
        n_bootstrap=0,
        n_folds=0,
    )
    terms = [t.covariate for t in biased.terms]
    assert deviations(biased, made.model)[1 + terms.index("nodule_count")] < -4
