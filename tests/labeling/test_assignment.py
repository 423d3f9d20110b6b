"""Labels of tables: chance hangs on names, modes do what they say, what no image shows can be held."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

import labeling
from labeling import ThresholdWarning, assign_table, get, logit_spread, side_by_side, uniforms, visible_scores
from labeling.philox import uniform_doubles
from labeling.visibility import invisible

MODEL = "brock-2b"


def cohort(n=400, seed=0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "long_axis_mm": rng.uniform(4, 30, n),
        "age_y": rng.uniform(55, 74, n),
        "sex": rng.choice(["female", "male"], n),
        "family_history": rng.random(n) < 0.22,
        "emphysema": rng.random(n) < 0.3,
        "nodule_type": rng.choice(["solid", "part_solid", "nonsolid"], n, p=[0.8, 0.05, 0.15]),
        "upper_lobe": rng.random(n) < 0.55,
        "nodule_count": rng.integers(1, 6, n),
        "spiculation": rng.random(n) < 0.1,
    }


def names(n) -> list[str]:
    return [f"twin-{i // 3}/n{i % 3}" for i in range(n)]


def rows(table, index) -> dict:
    return {name: column[index] for name, column in table.items()}


def labels_of(part) -> list[bool]:
    """In a process of its own."""
    table, ids = part
    return assign_table(table, ids, key=9, model=MODEL).malignant[0].tolist()


def test_order_chunks_processes_and_threads_change_no_label():
    table, ids = cohort(), names(400)
    whole = assign_table(table, ids, key=9, model=MODEL).malignant[0]
    assert 0 < whole.sum() < 400
    order = np.random.default_rng(1).permutation(400)
    turned = assign_table(rows(table, order), [ids[i] for i in order], key=9, model=MODEL).malignant[0]
    np.testing.assert_array_equal(turned, whole[order])
    chunks = [np.arange(a, b) for a, b in ((0, 1), (1, 150), (150, 400))]
    parts = [(rows(table, c), [ids[i] for i in c]) for c in chunks]
    with ThreadPoolExecutor(3) as threads:
        assert [y for part in threads.map(labels_of, parts) for y in part] == whole.tolist()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(labels_of, parts[:1])[0] == whole[:1].tolist()
        assert pool.map(labels_of, parts[2:])[0] == whole[150:].tolist()


def test_a_draw_does_not_depend_on_how_many_there_are():
    many = uniforms(3, "a", 50)
    for n in (1, 2, 7):
        np.testing.assert_array_equal(uniforms(3, "a", n), many[:n])
    table, ids = cohort(30), names(30)
    one, fifty = (assign_table(table, ids, key=9, n_draws=n) for n in (1, 50))
    np.testing.assert_array_equal(one.malignant[0], fifty.malignant[0])
    assert fifty.malignant.shape == fifty.u.shape == (50, 30)


def test_many_streams_at_once_are_those_of_numpy():
    rng = np.random.default_rng(6)
    keys, words = rng.integers(0, 2**64, (2, 300), dtype=np.uint64)
    keys[:3], words[:3] = (0, 2**64 - 1, 0), (0, 2**64 - 1, 2**63)
    for n in (1, 4, 9):
        one_by_one = [
            np.random.Generator(np.random.Philox(key=np.array(pair, dtype=np.uint64))).random(n)
            for pair in zip(keys, words, strict=True)
        ]
        np.testing.assert_array_equal(uniform_doubles(keys, words, n), np.transpose(one_by_one))


def test_draws_of_one_nodule_are_as_independent_as_draws_of_two():
    u = np.array([uniforms(5, f"n{i}", 4) for i in range(3000)])
    correlation = np.corrcoef(u.T)[np.triu_indices(4, 1)]
    assert np.abs(correlation).max() < 4.5 / np.sqrt(3000)  # six correlations, SE 1 / sqrt(n)
    assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 4 / np.sqrt(3000)


def test_labels_follow_their_probabilities_over_many_draws():
    table = assign_table(cohort(512), names(512), key=2, n_draws=200)
    p = table.probability
    counts = table.malignant.sum(axis=1)
    sd = np.sqrt((p * (1 - p)).sum())
    assert np.abs(counts - p.sum()).max() < 4.5 * sd  # 200 sums
    assert counts.mean() == pytest.approx(p.sum(), abs=4 * sd / np.sqrt(200))
    assert counts.std() == pytest.approx(sd, rel=0.2)


def test_a_nodule_can_only_turn_malignant_when_its_probability_grows():
    table, ids = cohort(), names(400)
    runs = [assign_table(table, ids, key=9, shift=shift) for shift in (-2.0, 0.0, 0.5, 3.0)]
    for lower, higher in pairwise(runs):
        assert (lower.probability < higher.probability).all()
        assert not (lower.malignant & ~higher.malignant).any()
        np.testing.assert_array_equal(lower.u, higher.u)
    assert runs[0].malignant.sum() < runs[-1].malignant.sum()
    other = assign_table(table, ids, key=9, model="brock-1a")
    same = other.malignant == runs[1].malignant
    between = (runs[1].u >= np.minimum(other.probability, runs[1].probability)) & (
        runs[1].u < np.maximum(other.probability, runs[1].probability)
    )
    np.testing.assert_array_equal(same, ~between)  # labels differ only where u lies between the two probabilities


def test_six_images_of_a_lesion_share_its_label():
    table, ids = cohort(20), names(20)
    repeated = np.repeat(np.arange(20), 6)
    labels = assign_table(rows(table, repeated), [ids[i] for i in repeated], key=4, n_draws=3).malignant
    assert (labels.reshape(3, 20, 6) == labels.reshape(3, 20, 6)[:, :, :1]).all()
    spoilt = rows(table, repeated)
    spoilt["long_axis_mm"] = spoilt["long_axis_mm"].copy()
    spoilt["long_axis_mm"][7] += 0.5  # another size of the same lesion in one of its images
    with pytest.raises(ValueError, match="rows 6 and 7 differ in the long_axis_mm"):
        assign_table(spoilt, [ids[i] for i in repeated], key=4)


def test_equal_names_under_two_keys_are_two_nodules():
    table = rows(cohort(2), np.array([0, 1]))
    both = assign_table(table, ["n1", "n1"], key=[1, 2])
    assert both.u[0, 0] == uniforms(1, "n1", 1)[0]
    assert both.u[0, 1] == uniforms(2, "n1", 1)[0]


def test_a_threshold_cuts_and_warns():
    table, ids = cohort(), names(400)
    with pytest.warns(ThresholdWarning, match="function of the covariates"):
        cut = assign_table(table, ids, key=9, mode="threshold", threshold=0.1)
    np.testing.assert_array_equal(cut.malignant[0], cut.probability >= 0.1)
    assert cut.u is None
    assert labeling.expected_auc(cut.malignant[0].astype(float), cut.probability) == 1.0  # circular, as it warns


def test_at_the_threshold_itself_a_label_is_malignant():
    table = cohort(3)
    p = get(MODEL).probability(table)
    labels = assign_table(table, names(3), key=9, mode="threshold", threshold=float(p[1]), warn=False)
    assert labels.malignant[0].tolist() == (p >= p[1]).tolist()
    assert labels.malignant[0, 1]


@pytest.mark.parametrize(
    ("ids", "key", "text"),
    [
        ([1, 2], 9, "ids must be text, got 1 in row 0"),
        (["a", None], 9, "ids must be text, got None in row 1"),
        (["a", "b"], [9, 9.5], "64-bit integer.*got 9.5"),
        (["a", "b"], "seed", "64-bit integer.*got seed"),
        (["a", "b"], 2**64, "64-bit integer"),
        (["a", "b"], [1, 2, 3], "one per row: 2 rows, 3 keys"),
    ],
)
def test_what_cannot_name_a_nodule_or_fix_its_draw_is_refused(ids, key, text):
    with pytest.raises(ValueError, match=text):
        assign_table(cohort(2), ids, key=key)


def test_soft_labels_are_probabilities_alone():
    soft = assign_table(cohort(5), names(5), key=9, mode="soft")
    assert soft.malignant is soft.u is None
    assert soft.columns()["label"] == [None] * 5
    np.testing.assert_array_equal(soft.probability, get(MODEL).probability(cohort(5)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "argmax"}, "mode must be"),
        ({"mode": "threshold"}, "threshold must be given"),
        ({"threshold": 0.5}, "only for it"),
        ({"mode": "threshold", "threshold": 1.5}, "between 0 and 1"),
        ({"n_draws": 0}, "n_draws"),
        ({"n_draws": 2, "mode": "soft"}, "draws nothing"),
        ({"shift": float("nan")}, "finite"),
        ({"key": 2**64}, "64-bit"),
        ({"key": [1]}, "one per row"),
        ({"ids": ["a"]}, "one per row"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        assign_table(**{"table": cohort(3), "ids": names(3), "key": 1, **options})


def test_visible_only_leaves_out_what_no_image_shows():
    table, ids = cohort(), names(400)
    held = assign_table(table, ids, key=9, visible_only=True)
    assert held.fixed == invisible(get(MODEL)) == ("age_y", "sex", "family_history")
    other = {**table, "age_y": table["age_y"][::-1], "sex": table["sex"][::-1]}
    np.testing.assert_array_equal(assign_table(other, ids, key=9, visible_only=True).logit, held.logit)
    shown = {name: column for name, column in table.items() if name not in held.fixed}
    np.testing.assert_array_equal(assign_table(shown, ids, key=9, visible_only=True).logit, held.logit)
    by_hand = {**table, "age_y": np.full(400, 62.0), "sex": ["male"] * 400, "family_history": [False] * 400}
    np.testing.assert_array_equal(held.logit, get(MODEL).logit(by_hand))
    assert not held.flagged(held.scores.imputed, 0)  # held is not imputed
    with pytest.raises(ValueError, match="missing covariates: spiculation"):
        del shown["spiculation"]
        assign_table(shown, ids, key=9, visible_only=True)


def test_what_an_image_shows_ranks_no_better_than_all_there_is_to_know():
    table = cohort(2000)
    p = get(MODEL).probability(table)
    seen = visible_scores(get(MODEL), table).logit
    assert labeling.expected_auc(p, table["long_axis_mm"]) < labeling.expected_auc(p, seen) < labeling.expected_auc(p)


def test_a_shifted_cohort_has_the_prevalence_asked_for():
    table, ids = cohort(2000), names(2000)
    delta = labeling.shift_to(get(MODEL).logit(table), 0.5).delta
    shifted = assign_table(table, ids, key=1, shift=delta)
    assert shifted.probability.mean() == pytest.approx(0.5, abs=1e-9)
    p = shifted.probability
    assert abs(shifted.malignant[0].sum() - 1000) < 4 * np.sqrt((p * (1 - p)).sum())


def test_intervals_are_those_of_normal_coefficients():
    spec = get(MODEL)
    table = cohort(40)
    scores = spec.score(table, warn=False)
    spread = logit_spread(spec, scores.inputs)
    rng = np.random.default_rng(0)
    x = np.stack([t.transform.of(scores.inputs[t.covariate]) for t in spec.terms], axis=1)
    se = np.array([t.standard_error or 0.0 for t in spec.terms])
    assert (se > 0).sum() == 9  # all but size
    drawn = scores.logit + (rng.standard_normal((20_000, len(se))) * se) @ x.T
    np.testing.assert_allclose(drawn.std(axis=0), spread.sd, rtol=0.03)  # SE of an SD: 0.5 %
    assert spread.basis == "printed standard errors taken as independent; none for constant, long_axis_mm"
    labels = assign_table(table, names(40), key=1)
    p = 1 / (1 + np.exp(-drawn))
    np.testing.assert_allclose(np.quantile(p, 0.025, axis=0), labels.probability_low, rtol=0.06)
    np.testing.assert_allclose(np.quantile(p, 0.975, axis=0), labels.probability_high, rtol=0.06)


def test_a_covariance_replaces_single_errors():
    spec = get("size-only")
    inputs = {"long_axis_mm": np.array([4.0, 12.0])}
    assert logit_spread(spec, inputs) is None
    fitted = spec.model_copy(update={"covariance": ((0.04, -0.02), (-0.02, 0.09))})
    x = (inputs["long_axis_mm"] / 10) ** -0.5 - 1.58113883
    np.testing.assert_allclose(logit_spread(fitted, inputs).sd, np.sqrt(0.04 - 2 * 0.02 * x + 0.09 * x**2), rtol=1e-12)


def test_models_stand_side_by_side_where_they_can():
    table = {**cohort(6), "ever_smoker": [True] * 6}
    found = side_by_side(table)
    assert set(found) == set(labeling.models("nodule"))
    np.testing.assert_array_equal(found[MODEL], get(MODEL).probability(table))
    assert np.isnan(found["pku"]).all()  # no column says whether the border is clear
    spotted = {**table, "emphysema": table["emphysema"].astype(object)}
    spotted["emphysema"][[1, 4]] = None
    again = side_by_side(spotted)
    assert np.isnan(again[MODEL]).tolist() == [False, True, False, False, True, False]
    np.testing.assert_array_equal(again[MODEL][[0, 2, 3, 5]], found[MODEL][[0, 2, 3, 5]])
    np.testing.assert_array_equal(again["brock-1a"], found["brock-1a"])


def test_a_table_comes_back_with_all_that_led_to_its_labels():
    import pandas as pd

    table = pd.DataFrame(cohort(8))
    out = pd.DataFrame(assign_table(table, names(8), key=9).columns())
    assert out["label"].tolist() == [
        "malignant" if u < p else "benign" for u, p in zip(out.u, out.probability, strict=True)
    ]
    assert set(out["label_model_hash"]) == {get(MODEL).hash()}
    inputs = {name: out[f"input_{name}"] for name in get(MODEL).needs}
    np.testing.assert_array_equal(get(MODEL).logit(inputs), out["logit"])


def test_what_has_probability_zero_is_benign_even_if_u_is_zero(monkeypatch):
    monkeypatch.setattr("labeling.assignment.uniform_doubles", lambda keys, _, n_draws: np.zeros((n_draws, len(keys))))
    labels = assign_table({**cohort(2), "perifissural": [True, False]}, names(2), key=9)
    assert labels.malignant[0].tolist() == [False, True]


def test_an_excluded_nodule_is_benign_in_every_draw_and_shift():
    table = {**cohort(3), "perifissural": [True, False, None]}
    labels = assign_table(table, names(3), key=9, n_draws=200, shift=8.0)
    assert labels.probability[0] == labels.probability_low[0] == labels.probability_high[0] == 0
    assert not labels.malignant[:, 0].any()
    assert labels.malignant[:, 1].mean() > 0.9
    assert labels.unchecked["perifissural"].tolist() == [False, False, True]
