"""A score depends on the row alone, and says all that it assumed."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from labeling import CovariateError, ExtrapolationWarning, ModelSpec, get, models, read_model, write_model
from labeling.scoring import probability_of

BROCK = get("brock-2b")


def table(n, rng):
    return {
        "age_y": rng.uniform(50, 75, n),
        "sex": rng.choice(["female", "male"], n),
        "family_history": rng.random(n) < 0.2,
        "emphysema": rng.random(n) < 0.3,
        "long_axis_mm": rng.uniform(2, 40, n),
        "nodule_type": rng.choice(["solid", "part_solid", "nonsolid"], n),
        "upper_lobe": rng.random(n) < 0.5,
        "nodule_count": rng.integers(1, 9, n),
        "spiculation": rng.random(n) < 0.1,
    }


COLUMNS = table(2000, np.random.default_rng(3))
RECORDS = pd.DataFrame(COLUMNS).to_dict("records")
NODULE = {**RECORDS[0], "sex": "female", "age_y": 60.0}


def test_columns_records_and_frames_score_alike_to_the_last_bit():
    expected = BROCK.score(COLUMNS).logit
    frame = pd.DataFrame(COLUMNS)
    nullable = frame.convert_dtypes().assign(nodule_type=frame["nodule_type"].astype("category"))
    lists = {name: list(column) for name, column in COLUMNS.items()}
    for form in (RECORDS, tuple(RECORDS), frame, nullable, lists, frame.sample(frac=1, random_state=1).sort_index()):
        np.testing.assert_array_equal(BROCK.logit(form), expected)


def test_order_and_chunks_change_no_bit():
    expected = BROCK.logit(COLUMNS)
    order = np.random.default_rng(5).permutation(len(expected))
    np.testing.assert_array_equal(BROCK.logit({k: v[order] for k, v in COLUMNS.items()}), expected[order])
    for size in (1, 7, 64):
        parts = [BROCK.logit({k: v[i : i + size] for k, v in COLUMNS.items()}) for i in range(0, 300, size)]
        np.testing.assert_array_equal(np.concatenate(parts)[:300], expected[:300])


def test_more_columns_than_needed_change_nothing():
    np.testing.assert_array_equal(
        BROCK.logit({**COLUMNS, "note": ["x"] * 2000, "pack_years": np.full(2000, np.nan)}), BROCK.logit(COLUMNS)
    )


def test_a_table_of_no_rows_has_no_scores():
    assert BROCK.score([]).probability.shape == (0,)
    assert BROCK.score({k: v[:0] for k, v in COLUMNS.items()}).logit.shape == (0,)


@pytest.mark.parametrize("nothing", [None, np.nan, float("nan"), pd.NA])
def test_a_missing_value_is_refused_with_field_and_row(nothing):
    for name in ("age_y", "emphysema", "nodule_type"):
        with pytest.raises(
            CovariateError, match=rf"'brock-2b': missing covariates: {name} .in 1 of 3 rows.*row 1"
        ) as e:
            BROCK.score([NODULE, {**NODULE, name: nothing}, NODULE])
        assert (e.value.field, e.value.rows.tolist()) == (name, [1])


def test_nan_in_a_column_of_numbers_is_missing_not_a_number():
    ages = COLUMNS["age_y"].copy()
    ages[[5, 9]] = np.nan
    for form in ({**COLUMNS, "age_y": ages}, pd.DataFrame({**COLUMNS, "age_y": ages})):
        with pytest.raises(CovariateError, match="missing covariates: age_y .in 2 of 2000 rows, first in row 5") as e:
            BROCK.score(form)
        assert e.value.rows.tolist() == [5, 9]
        assert np.flatnonzero(BROCK.score(form, impute="reference").imputed["age_y"]).tolist() == [5, 9]


def test_what_is_masked_is_missing_whatever_stands_under_the_mask():
    masked = {**COLUMNS, "age_y": np.ma.array(COLUMNS["age_y"], mask=np.arange(len(COLUMNS["age_y"])) == 1)}
    with pytest.raises(CovariateError, match="age_y .in 1 of .* first in row 1"):
        BROCK.score(masked)


def test_scoring_leaves_the_caller_s_table_as_it_was():
    frame = pd.DataFrame({**COLUMNS, "perifissural": True})
    frame.loc[3, ["age_y", "nodule_type"]] = None
    columns = {name: frame[name].to_numpy() for name in frame}
    before = frame.copy(deep=True)
    for form in (frame, columns):
        BROCK.score(form, impute="reference")
    pd.testing.assert_frame_equal(frame, before)
    assert columns["nodule_type"][3] is None or columns["nodule_type"][3] != columns["nodule_type"][3]


def test_an_absent_column_is_refused_and_told_from_an_empty_one():
    bare = {k: v for k, v in COLUMNS.items() if k != "emphysema"}
    with pytest.raises(CovariateError, match="emphysema .no such column") as e:
        BROCK.score(bare)
    assert len(e.value.rows) == 0


def test_imputation_is_asked_for_and_says_where():
    scores = BROCK.score([NODULE, {**NODULE, "age_y": None, "emphysema": None}], impute="reference")
    assert {name for name, flags in scores.imputed.items() if flags.any()} == {"age_y", "emphysema"}
    assert scores.imputed["age_y"].tolist() == [False, True]
    np.testing.assert_array_equal(
        scores.logit[1], BROCK.logit([{**NODULE, "age_y": 62.0, "emphysema": False}])[0]
    )  # the reference person
    with pytest.raises(ValueError, match="impute must be None or 'reference', got 'mean'"):
        BROCK.score([NODULE], impute="mean")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("long_axis_mm", 0.4, "1 to 100 mm, got 0.4 in row 2 .1 of 3"),
        ("long_axis_mm", np.inf, "1 to 100 mm, got inf"),
        ("long_axis_mm", "10", "a number, got '10' in row 2"),
        ("age_y", True, "a number, got True"),
        ("nodule_count", 1.5, "a whole number, 1 to 1000, got 1.5 in row 2"),
        ("sex", "F", "one of female, male, got 'F' in row 2"),
        ("spiculation", 1, "true or false, got 1 in row 2"),
        ("spiculation", "yes", "true or false, got 'yes'"),
        ("nodule_type", 3, "a name, got 3"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_wanted(name, value, said):
    with pytest.raises(CovariateError, match=f"model 'brock-2b': {name} must be {said}") as e:
        BROCK.score([NODULE, NODULE, {**NODULE, name: value}])
    assert e.value.rows.tolist() == [2]


def test_values_beyond_the_development_data_are_warned_of_per_field_and_flagged():
    young = [NODULE, {**NODULE, "age_y": 40.0}, {**NODULE, "age_y": 45.0, "long_axis_mm": 90.0}]
    with pytest.warns(ExtrapolationWarning, match="age_y in 2 of 3 rows, long_axis_mm in 1 of 3 rows"):
        scores = BROCK.score(young)
    assert scores.extrapolated["age_y"].tolist() == [False, True, True]
    assert scores.extrapolated["long_axis_mm"].tolist() == [False, False, True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BROCK.score(young, warn=False)
        BROCK.probability(young)


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        (np.ones((3, 9)), TypeError, "columns by name.*ndarray"),
        ([1.0, 2.0], TypeError, "columns by name"),
        ("age_y", TypeError, "columns by name"),
        ({"age_y": 60.0}, ValueError, "'age_y' must be one-dimensional.*record"),
        ({"age_y": [60.0], "sex": ["male", "male"]}, ValueError, "equally long"),
        (pd.DataFrame([[1.0, 2.0]], columns=["age_y", "age_y"]), ValueError, "age_y occur more than once"),
    ],
)
def test_a_table_without_names_or_of_ragged_columns_is_refused(bad, error, said):
    with pytest.raises(error, match=said):
        BROCK.score(bad)


def test_a_perifissural_nodule_has_probability_zero_and_is_flagged():
    with_column = [{**NODULE, "perifissural": p} for p in (False, True, None)]
    scores = BROCK.score(with_column)
    assert scores.excluded.tolist() == [False, True, False]
    assert (scores.probability[1], scores.logit[1]) == (0.0, -np.inf)
    assert scores.probability[0] == scores.probability[2] == BROCK.probability([NODULE])[0] > 0


SPN = {
    **{"age_y": 62.0, "ever_smoker": True, "extrathoracic_cancer_over_5y": False, "long_axis_mm": 12.0},
    **{"spiculation": True, "upper_lobe_without_lingula": True},
}


@pytest.mark.parametrize("name", ["cancer_within_5y", "prior_lung_cancer"])
def test_mayo_says_nothing_of_people_it_was_not_developed_on(name):
    get("mayo").score([{**SPN, name: False}, {**SPN, name: None}])
    with pytest.raises(CovariateError, match=rf"'mayo' says nothing where {name} is true.*first in row 1") as e:
        get("mayo").score([{**SPN, name: False}, {**SPN, name: True}])
    assert e.value.rows.tolist() == [1]


def test_the_participant_models_say_nothing_of_people_who_never_smoked():
    for model_id in models("participant"):
        with pytest.raises(CovariateError, match="says nothing where ever_smoker is false"):
            get(model_id).score([{"ever_smoker": False}], impute="reference")


def test_herder_takes_the_mayo_probability_or_computes_it():
    mayo = get("mayo").probability([SPN])[0]
    records = [{**SPN, "fdg_uptake": "faint"}, {"mayo_probability": mayo, "fdg_uptake": "faint"}]
    scores = get("herder").score(records)
    assert scores.logit[0] == scores.logit[1]
    assert scores.computed["mayo_probability"].tolist() == [True, False]
    assert scores.inputs["mayo_probability"][0] == mayo


def test_what_herder_cannot_compute_is_refused_with_the_reason_and_the_row():
    given = {"mayo_probability": 0.2, "fdg_uptake": "faint"}
    with pytest.raises(CovariateError, match="'herder': mayo_probability is not given.*'mayo'.*ever_smoker") as e:
        get("herder").score(
            [given, {**SPN, "fdg_uptake": "faint"}, {**SPN, "ever_smoker": None, "fdg_uptake": "faint"}]
        )
    assert e.value.rows.tolist() == [2]


def test_what_herder_computes_from_imputed_or_extrapolated_values_is_marked_so():
    record = {**SPN, "age_y": None, "long_axis_mm": 60.0, "fdg_uptake": "absent"}
    with pytest.warns(ExtrapolationWarning, match="mayo_probability in 1"):
        scores = get("herder").score([record], impute="reference")
    assert scores.imputed["mayo_probability"][0]
    assert scores.extrapolated["mayo_probability"][0]


def test_time_since_quitting_follows_from_smoking_and_may_not_contradict_it():
    va = get("va")
    person = {"age_y": 62.0, "long_axis_mm": 10.0, "ever_smoker": True}
    logit = va.logit(
        [
            {**person, "current_smoker": True},
            {**person, "current_smoker": True, "years_since_quit_y": 0.0},
            {**person, "current_smoker": False, "years_since_quit_y": 10.0},
        ]
    )
    assert logit[0] == logit[1]
    assert logit[2] - logit[0] == pytest.approx(-0.567)  # per 10 years
    with pytest.raises(CovariateError, match=r"years_since_quit_y must be 0.0 where ever_smoker is False, got 9.0"):
        va.logit([{**person, "ever_smoker": False, "years_since_quit_y": 9.0}])
    with pytest.raises(CovariateError, match="missing covariates: years_since_quit_y"):
        va.logit([{**person, "current_smoker": False}])


def test_probability_is_the_logistic_function_without_overflow():
    x = np.array([-np.inf, -800.0, -2.0, 0.0, 2.0, 800.0])
    p = probability_of(x)
    np.testing.assert_allclose(p[2:5], [0.11920292202211755, 0.5, 0.8807970779778823], rtol=1e-15)
    assert (p[0], p[1], p[5]) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("model_id", models())
def test_a_model_survives_its_file_with_equal_hash(model_id, tmp_path):
    spec = get(model_id)
    for name in ("a.json", "b.json"):
        write_model(spec, tmp_path / name)
    again = read_model(tmp_path / "a.json")
    assert again == spec
    assert again.hash() == spec.hash()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_model_scores_the_same_bits_after_export(tmp_path):
    n = 1 + len(BROCK.terms)
    fitted = BROCK.model_copy(update={"intercept": -6.1 / 3, "covariance": tuple(map(tuple, np.eye(n) / 7))})
    write_model(fitted, tmp_path / "mine.json")
    again = read_model(tmp_path / "mine.json")
    assert again.covariance == fitted.covariance
    np.testing.assert_array_equal(again.logit(COLUMNS), fitted.logit(COLUMNS))


def test_a_hash_is_the_same_everywhere_and_for_ever():
    # Datasets store it: it may change only with the content of the file, and then with its version.
    code = "from labeling import get; print(get('brock-2b').hash())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == BROCK.hash()
    assert BROCK.version == "1.2"
    assert BROCK.hash() == "d63b0123f7ac66d4c399116ab8896b5057f985e62aec7923c574c58877869810"


def test_a_file_that_holds_no_model_is_named(tmp_path):
    path = tmp_path / "x.json"
    for text, said in (
        ("{}", "id"),
        ("not json", "JSON"),
        (json.dumps({**BROCK.model_dump(mode="json"), "note": 1}), "note"),
        (json.dumps({**BROCK.model_dump(mode="json"), "intercept": "NaN"}), "intercept"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=rf"(?s)x\.json: not a model: .*{said}"):
            read_model(path)


def _changed(**update):
    data = BROCK.model_dump(mode="json")
    data.update(update)
    return data


def _covariate(index, **update):
    covariates = [dict(c) for c in BROCK.model_dump(mode="json")["covariates"]]
    covariates[index].update(update)
    return _changed(covariates=covariates)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_covariate(0, name="shoe_size"), "unknown covariate 'shoe_size'; known: long_axis_mm"),
        (_covariate(0, unit="months"), "unit must be 'years', got 'months'"),
        (_covariate(0, allowed=None, reference=True, trained=None), "'age_y' must be a number"),
        (_covariate(0, reference=5.0), "age_y must be 18 to 110 years, got 5"),
        (_changed(exclusions=[{"covariate": "age_y", "effect": "zero", "reason": "x"}]), "yes-or-no"),
        (_changed(covariance=[[1.0]]), "symmetric, 11 x 11"),
        (_changed(covariance=(-np.eye(11)).tolist()), "negative eigenvalue"),
        (_changed(level="voxel"), "nodule"),
        (
            _changed(
                terms=[
                    {"covariate": c.name, "transform": {"kind": "linear"}, "coefficient": 1.0} for c in BROCK.covariates
                ]
            ),
            "cannot enter as 'linear'",
        ),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(data, said):
    with pytest.raises(ValueError, match=said):
        ModelSpec.model_validate_json(json.dumps(data))
