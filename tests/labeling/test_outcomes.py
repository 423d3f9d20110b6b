"""Outcomes belong to nodules: not to their order, company or number."""

from __future__ import annotations

import numpy as np
import pytest

from labeling import assign, get, load, nodule_covariates, save
from labeling.assignment import uniform
from lesions import Nodule, NoduleTruth, Truth
from twins import Grid, Patient

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
    draws = np.array([uniform(5, f"case-{i}/nodule-1") for i in range(4000)])
    assert len(np.unique(draws)) == 4000
    assert abs(draws.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 4000)  # 4 standard errors of a uniform mean
    assert abs(np.mean(draws < 0.035) - 0.035) < 4 * np.sqrt(0.035 * 0.965 / 4000)
    assert uniform(5, "a") != uniform(6, "a")


def test_a_draw_never_changes_between_versions():
    # Philox4x64-10 and BLAKE2b are fixed by their papers; a change here would relabel every dataset.
    assert uniform(1, "nodule-1") == 0.36364905658175195


def test_labels_follow_their_probabilities():
    truths = [Truth((nodule(f"n{i}", size=float(4 + i % 27)),)) for i in range(1500)]
    outcomes = [assign(t, MAN, model="size-only", key=11)[0] for t in truths]
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


def test_size_is_measured_not_nominal():
    from dataclasses import replace

    one = replace(nodule(size=10.0), long_axis_mm=13.5)
    (outcome,) = assign(Truth((one,)), MAN, key=1)
    assert outcome.inputs["long_axis_mm"] == 13.5


def test_outcomes_survive_a_file_and_give_the_same_bytes(tmp_path):
    outcomes = assign(Truth((nodule("a"), nodule("b", kind="ground_glass"))), MAN, key=3)
    for name in ("one.json", "two.json"):
        save(outcomes, tmp_path / name)
    assert load(tmp_path / "one.json") == outcomes
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="outcomes"):
        load(tmp_path / "other.json")


@pytest.mark.parametrize("key", [-1, 2**64])
def test_a_key_that_is_not_64_bits_is_refused(key):
    with pytest.raises(ValueError, match="64-bit"):
        assign(Truth((nodule(),)), MAN, key=key)
