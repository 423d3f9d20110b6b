"""Outcomes belong to nodules: not to their order, company or number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labeling import (
    VOCABULARY,
    ThresholdWarning,
    assign,
    get,
    load,
    models,
    nodule_covariates,
    participant_label,
    participant_probability,
    problems_of,
    save,
    uniforms,
)
from labeling.covariates import is_perifissural, mask_covariates
from lesions import Nodule, NoduleTruth, Truth
from twins import Grid, Patient, draw

MAN = Patient(sex="male", age_y=65, family_history=False, emphysema=False)
GRID = Grid((2, 2, 2), (1.0, 1.0, 1.0))


def nodule(name="a", *, size=10.0, lobe="RIGHT_LOWER_LOBE", kind="solid", spiculation=1.0) -> NoduleTruth:
    spec = Nodule(id=name, key=1, equivalent_diameter_mm=size, type=kind, spiculation=spiculation)
    return NoduleTruth(
        nodule=spec,
        centre_mm=(0.0, 0.0, 0.0),
        volume_mm3=spec.target_volume_mm3,
        equivalent_diameter_mm=size,
        long_axis_mm=size,
        short_axis_mm=size,
        mean_diameter_mm=size,
        max_diameter_mm=size,
        core_volume_mm3=0.0,
        core_diameter_mm=0.0,
        mass_mg=1.0,
        added_mass_mg=1.0,
        mean_hu=0.0,
        core_mean_hu=None,
        lobe=lobe,
        distance_to_pleura_mm=None,
        distance_to_vessel_mm=None,
        n_spicules=0,
        grid=GRID,
        occupancy=np.ones(GRID.shape, np.float32),
    )


@pytest.mark.parametrize(("kind", "percent"), [("solid", 3.468), ("part_solid", 4.977), ("ground_glass", 3.065)])
def test_the_worked_example_runs_from_truth_to_probability(kind, percent):
    (outcome,) = assign(Truth((nodule(kind=kind),)), MAN, key=3)
    assert 100 * outcome.probability == pytest.approx(
        percent, abs=1e-3
    )  # printed to three decimals of a percent, rounded or cut
    assert outcome.model_hash == get("brock-2b").hash()
    assert outcome.imputed == outcome.extrapolated == ()


def test_order_changes_nothing():
    many = tuple(nodule(f"n{i}", size=4.0 + i) for i in range(12))
    forward = assign(Truth(many), MAN, key=7)
    backward = assign(Truth(many[::-1]), MAN, key=7)
    assert forward == backward[::-1]


def test_company_changes_the_probability_but_never_the_draw():
    alone = assign(Truth((nodule("x"),)), MAN, key=7)[0]
    beside = assign(Truth((nodule("y"), nodule("x"))), MAN, key=7)[1]
    assert beside.u == alone.u
    assert beside.probability < alone.probability  # Brock: more nodules, less risk each


def test_draws_are_uniform_and_differ_between_nodules_and_keys():
    draws = np.array([uniforms(5, f"case-{i}/nodule-1", 1)[0] for i in range(4000)])
    assert len(np.unique(draws)) == 4000
    assert abs(draws.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 4000)  # 4 standard errors of a uniform mean
    assert abs(np.mean(draws < 0.035) - 0.035) < 4 * np.sqrt(0.035 * 0.965 / 4000)
    assert uniforms(5, "a", 1)[0] != uniforms(6, "a", 1)[0]


def test_a_draw_never_changes_between_versions():
    # Philox4x64-10 and BLAKE2b are fixed by their papers; a change here would relabel every dataset.
    assert uniforms(1, "nodule-1", 1)[0] == 0.36364905658175195


def test_labels_follow_their_probabilities():
    truths = [
        Truth(tuple(nodule(f"n{i}", size=float(4 + i % 27)) for i in range(a, a + 250))) for a in range(0, 1500, 250)
    ]
    outcomes = [outcome for truth in truths for outcome in assign(truth, MAN, model="size-only", key=11)]
    p = np.array([o.probability for o in outcomes])
    malignant = np.array([o.label == "malignant" for o in outcomes])
    assert all((o.u < o.probability) == m for o, m in zip(outcomes, malignant, strict=True))
    assert abs(malignant.sum() - p.sum()) < 4 * np.sqrt((p * (1 - p)).sum())  # 4 SD of a sum of Bernoulli draws


def test_what_is_not_known_is_refused_with_what_to_do():
    truth = Truth((nodule(lobe="RIGHT_LUNG"),))
    with pytest.raises(ValueError, match="upper_lobe .the twin knows only whole lungs.*impute='reference'"):
        assign(truth, MAN, key=1)
    with pytest.raises(ValueError, match="age_y"):
        assign(Truth((nodule(),)), Patient(), key=1)


def test_a_model_of_participants_labels_no_nodule():
    with pytest.raises(ValueError, match="model 'plcom2012' is of participants: it cannot label nodules"):
        assign(Truth((nodule(),)), MAN, model="plcom2012", key=1, impute="reference")


def test_imputation_is_asked_for_and_recorded():
    (outcome,) = assign(Truth((nodule(lobe=None),)), Patient(sex="female", age_y=60), key=1, impute="reference")
    assert set(outcome.imputed) == {"upper_lobe", "family_history", "emphysema"}
    assert outcome.inputs["upper_lobe"] is False
    (known,) = assign(
        Truth((nodule(lobe="LEFT_LOWER_LOBE"),)),
        Patient(sex="female", age_y=60, family_history=False, emphysema=False),
        key=1,
    )
    assert known.logit == outcome.logit
    assert known.imputed == ()
    with pytest.raises(ValueError, match="impute"):
        assign(Truth((nodule(),)), MAN, key=1, impute="zero")


def test_a_value_beyond_the_development_data_is_marked():
    (outcome,) = assign(Truth((nodule(),)), MAN.model_copy(update={"age_y": 40.0}), key=1)
    assert outcome.extrapolated == ("age_y",)


@pytest.mark.parametrize(
    ("lobe", "upper"),
    [
        ("RIGHT_UPPER_LOBE", True),
        ("LEFT_UPPER_LOBE", True),
        ("RIGHT_MIDDLE_LOBE", False),
        ("RIGHT_LOWER_LOBE", False),
        ("LEFT_LOWER_LOBE", False),
        ("LEFT_LUNG", None),
        (None, None),
    ],
)
def test_only_the_two_upper_lobes_are_upper(lobe, upper):
    one = nodule(lobe=lobe)
    assert nodule_covariates(one, Truth((one,)), MAN)["upper_lobe"] is upper


def test_spiculation_begins_at_rating_three():
    for rating, expected in ((2.9, False), (3.0, True)):
        one = nodule(spiculation=rating)
        assert nodule_covariates(one, Truth((one,)), MAN)["spiculation"] is expected


@pytest.mark.parametrize(
    ("spec", "calcified", "benign"),
    [
        ({}, False, False),
        ({"calcification": "eccentric"}, True, False),
        ({"calcification": "popcorn"}, True, True),
        ({"kind": "granuloma"}, True, True),
        ({"kind": "fat_containing"}, False, True),
    ],
)
def test_calcium_and_fat_are_those_of_the_nodule(spec, calcified, benign):
    plain = nodule()
    one = replace(plain, nodule=Nodule(id="a", key=1, equivalent_diameter_mm=10.0, **spec))
    known = nodule_covariates(one, Truth((one,)), MAN)
    assert (known["calcification"], known["benign_calcification"]) == (calcified, benign)


def test_size_is_measured_not_nominal():
    one = replace(nodule(size=10.0), long_axis_mm=13.5)
    (outcome,) = assign(Truth((one,)), MAN, key=1)
    assert outcome.inputs["long_axis_mm"] == 13.5


def test_outcomes_survive_a_file_and_give_the_same_bytes(tmp_path):
    outcomes = assign(Truth((nodule("a"), nodule("b", kind="ground_glass"))), MAN, key=3)
    for name in ("one.json", "two.json"):
        save(outcomes, tmp_path / name)
    assert load(tmp_path / "one.json") == outcomes
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="outcomes"):
        load(tmp_path / "other.json")


@pytest.mark.parametrize("key", [-1, 2**64])
def test_a_key_that_is_not_64_bits_is_refused(key):
    with pytest.raises(ValueError, match="64-bit"):
        assign(Truth((nodule(),)), MAN, key=key)


def test_every_covariate_is_in_the_vocabulary_and_of_its_kind():
    one = nodule()
    known = nodule_covariates(one, Truth((one,)), draw(np.random.default_rng(2)).patient())
    kinds = {"number": (int, float), "yes_no": (bool,), "name": (str,)}
    for name, value in known.items():
        assert value is None or isinstance(value, kinds[VOCABULARY[name].kind]), name
    asked = {name for model in models("nodule") for name in get(model).needs}
    # PET, the reader's Mayo figure and other relatives' cancers are not in a twin; the rest must be
    assert asked - known.keys() <= {"fdg_uptake", "mayo_probability"}


def test_a_drawn_person_and_a_lower_lobe_nodule_suit_brock_mayo_and_va():
    one = nodule()
    (outcome,) = assign(Truth((one,)), draw(np.random.default_rng(2)).patient(), key=1)
    lacking = {name for name, p in outcome.by_model.items() if p is None}
    assert lacking == {"herder", "pku"}  # no PET, and only lung cancer in the family is drawn
    assert outcome.by_model["brock-2b"] == outcome.probability
    assert outcome.rules == {"lung_rads_2022": "4A", "lung_rads_1_1": "4A", "bts_2015": outcome.rules["bts_2015"]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"on_fissure": False}, False),
        ({"on_fissure": None}, None),
        ({"mean_diameter_mm": 10.0}, False),
        ({"n_spicules": 1}, False),
    ],
)
def test_a_small_smooth_solid_nodule_on_a_fissure_is_benign(changes, expected):
    one = replace(nodule(size=6.0), **{"on_fissure": True, **changes})
    (outcome,) = assign(Truth((one,)), MAN, key=1, shift=30.0)
    assert is_perifissural(one) is expected
    assert outcome.excluded is bool(expected)
    assert (outcome.probability == 0) == (outcome.logit is None) == bool(expected)
    assert outcome.label == ("benign" if expected else "malignant")  # log odds of 30 draw malignant
    assert outcome.unchecked == (("perifissural",) if expected is None else ())


def test_ground_glass_or_lobulated_nodules_are_never_perifissural():
    for one in (nodule(size=6.0, kind="ground_glass"), nodule(size=6.0, spiculation=2.0)):
        assert is_perifissural(replace(one, on_fissure=True)) is False


def test_a_person_with_any_malignant_nodule_is_malignant():
    outcomes = assign(Truth(tuple(nodule(f"n{i}", size=20.0) for i in range(8))), MAN, key=4, shift=2.0)
    labels = [o.label for o in outcomes]
    assert set(labels) == {"malignant", "benign"}
    assert participant_label(outcomes) == "malignant"
    assert participant_label([o for o in outcomes if o.label == "benign"]) == participant_label([]) == "benign"
    expected = 1 - np.prod([1 - o.probability for o in outcomes])
    assert participant_probability(outcomes) == pytest.approx(expected, rel=1e-12)
    assert participant_label(assign(Truth((nodule(),)), MAN, key=4, mode="soft")) is None


def test_modes_reach_the_outcomes():
    truth = Truth((nodule("a", size=20.0), nodule("b", size=5.0)))
    soft = assign(truth, MAN, key=4, mode="soft")
    assert [(o.label, o.u, o.draws) for o in soft] == [(None, None, ())] * 2
    with pytest.warns(ThresholdWarning):
        cut = assign(truth, MAN, key=4, mode="threshold", threshold=0.05)
    assert [o.label for o in cut] == ["malignant", "benign"]
    many = assign(truth, MAN, key=4, n_draws=7, shift=1.0, visible_only=True)
    assert [len(o.draws) for o in many] == [7, 7]
    assert {o.held for o in many} == {("age_y", "sex", "family_history")}
    assert many[0].logit == pytest.approx(many[0].visible_logit + 1.0, abs=1e-12)
    assert [o.u for o in many] == [o.u for o in assign(truth, MAN, key=4)]


def test_nominal_sizes_stand_beside_measured_ones():
    one = replace(nodule(size=10.0), long_axis_mm=13.5)
    (outcome,) = assign(Truth((one,)), MAN, key=1)
    assert outcome.inputs["long_axis_mm"] == 13.5
    assert outcome.nominal["equivalent_diameter_mm"] == 10.0


def test_a_good_outcome_has_no_problems_and_a_changed_one_has():
    truth = Truth((nodule("a", size=20.0), replace(nodule("b", size=6.0), on_fissure=True)))
    outcomes = assign(truth, MAN, key=4, n_draws=3, shift=0.5)
    assert [problems_of(o, 4) for o in outcomes] == [(), ()]
    first, excluded = outcomes
    flipped = "benign" if first.label == "malignant" else "malignant"
    for changes, text in (
        ({"label": flipped}, "label is"),
        ({"u": 0.5}, "the first draw"),
        ({"draws": (first.u, 0.1, 0.2)}, "key 4"),
        ({"logit": first.logit + 1e-9}, "the model says"),
        ({"probability": first.probability * 0.9}, "log odds of"),
        ({"inputs": {**first.inputs, "long_axis_mm": 21.0}}, "the model says"),
        ({"shift": 0.0}, "the model says"),
        ({"model_hash": "0" * 64}, "another one"),
        ({"model_id": "brock-9"}, "unknown model"),
    ):
        assert any(text in problem for problem in problems_of(first.model_copy(update=changes), 4)), changes
    assert problems_of(first, 5)
    assert problems_of(excluded.model_copy(update={"probability": 0.1}), 4)


@pytest.mark.parametrize("turn_deg", [0, 30, 77])
def test_a_mask_is_measured_to_about_a_voxel(turn_deg):
    grid = Grid((24, 64, 64), (1.25, 0.7, 0.7), (-20.0, -22.0, -15.0))
    z, y, x = np.meshgrid(*grid.axes_mm(), indexing="ij")
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    along, across = c * x + s * y, -s * x + c * y
    sizes = mask_covariates((along / 9) ** 2 + (across / 6) ** 2 + (z / 6) ** 2 <= 1, grid)
    assert sizes["long_axis_mm"] == pytest.approx(18, abs=0.7)
    assert sizes["perp_axis_mm"] == pytest.approx(12, abs=0.7)
    assert sizes["mean_diameter_mm"] == pytest.approx(15, abs=0.7)
    assert sizes["volume_mm3"] == pytest.approx(4 / 3 * np.pi * 9 * 6 * 6, rel=0.02)


def test_a_mask_of_one_voxel_at_the_edge_is_a_voxel_wide_and_none_is_refused():
    mask = np.zeros(GRID.shape, bool)
    with pytest.raises(ValueError, match="empty"):
        mask_covariates(mask, GRID)
    mask[0, 0, 0] = True
    assert mask_covariates(mask, GRID)["long_axis_mm"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="shape"):
        mask_covariates(mask[:1], GRID)
