"""Published models reproduce their own worked examples, and not the known mistakes of others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling import ModelSpec, get, models

PERSON = {
    "age_y": 65.0,
    "sex": "male",
    "family_history": False,
    "emphysema": False,
    "long_axis_mm": 10.0,
    "nodule_type": "solid",
    "upper_lobe": False,
    "nodule_count": 1,
    "spiculation": False,
}


@pytest.mark.parametrize(("nodule_type", "percent"), [("solid", 3.468), ("part_solid", 4.977), ("nonsolid", 3.065)])
def test_the_worked_example_of_a_65_year_old_man_with_a_10_mm_nodule(nodule_type, percent):
    p = get("brock-2b").probability([{**PERSON, "nodule_type": nodule_type}])[0]
    assert 100 * p == pytest.approx(percent, abs=1e-3)  # printed to three decimals of a percent, rounded or cut


@given(
    age=st.floats(50, 75),
    size=st.floats(1, 86),
    count=st.integers(1, 20),
    flags=st.tuples(*[st.booleans()] * 5),
    kind=st.sampled_from(["solid", "part_solid", "nonsolid"]),
)
def test_brock_2b_is_its_formula(age, size, count, flags, kind):
    female, family, emphysema, upper, spiculated = flags
    x = -6.78917 + 0.0286687 * (age - 62) + 0.6010727 * female + 0.296109 * family + 0.2953112 * emphysema
    x += -5.385484 * ((size / 10) ** -0.5 - 1.58113883) + 0.6581383 * upper - 0.0824156 * (count - 4)
    x += 0.7729335 * spiculated + {"solid": 0, "part_solid": 0.3769578, "nonsolid": -0.1276173}[kind]
    record = {
        "age_y": age,
        "sex": "female" if female else "male",
        "family_history": family,
        "emphysema": emphysema,
        "long_axis_mm": size,
        "nodule_type": kind,
        "upper_lobe": upper,
        "nodule_count": count,
        "spiculation": spiculated,
    }
    assert get("brock-2b").logit([record])[0] == pytest.approx(x, abs=1e-12)  # rounding of a dozen additions


def test_printed_and_full_precision_differ_by_at_most_2e_4_in_probability():
    records = [
        {**PERSON, "long_axis_mm": float(d), "age_y": age, "upper_lobe": u, "spiculation": s, "nodule_count": n}
        for d in (4, 8, 15, 30)
        for age in (50.0, 75.0)
        for u in (False, True)
        for s in (False, True)
        for n in (1, 6)
    ]
    gap = np.abs(get("brock-2b").probability(records) - get("brock-2b-4dp").probability(records))
    # A logit that is off by sum |error of coefficient| |value| < 8e-4 moves p by at most a quarter of it.
    assert 0 < gap.max() < 2e-4


@pytest.mark.parametrize("model_id", models())
@given(small=st.floats(1, 85), more=st.floats(0.1, 1))
def test_probability_grows_with_size(model_id, small, more):
    low, high = get(model_id).probability([{**PERSON, "long_axis_mm": small}, {**PERSON, "long_axis_mm": small + more}])
    assert high > low


def test_size_is_centred_after_the_power_not_before():
    # A copy in public use reads "centred on 4 mm" as d - 4 and takes sqrt(10 / (d - 4)) - 1.58.
    at_4 = get("size-only").logit([{"long_axis_mm": 4.0}])[0]
    assert at_4 == pytest.approx(-6.5929, abs=5e-8)  # (4/10)^-0.5 = 1.58113883 to eight decimals: the term vanishes
    wrong = -6.5929 - 5.8616 * (math.sqrt(10 / (10.0 - 4)) - 1.58113883)
    assert abs(get("size-only").logit([{"long_axis_mm": 10.0}])[0] - wrong) > 1


def test_the_nodule_count_is_centred_on_four():
    four, five = get("brock-2b").logit([{**PERSON, "nodule_count": 4}, {**PERSON, "nodule_count": 5}])
    one = get("brock-2b").logit([PERSON])[0]
    assert one - four == pytest.approx(3 * 0.0824156, abs=1e-12)
    assert five < four


def test_the_uncentred_constant_is_that_printed_elsewhere():
    # PMC6717521 prints the constant of 2b without centring: 0.2761, with linear terms in age, count and (d/10)^-0.5.
    record = {**PERSON, "age_y": 62.0, "nodule_count": 4, "long_axis_mm": 4.0}
    uncentred = get("brock-2b-4dp").logit([record])[0] - 62 * 0.0287 + 4 * 0.0824 + 5.3854 * 0.4**-0.5
    assert uncentred == pytest.approx(0.2761, abs=6e-5)  # printed to four decimals


@pytest.mark.parametrize("name", [*PERSON])
@pytest.mark.parametrize("gone", [True, False])
def test_a_missing_covariate_is_refused_and_named(name, gone):
    record = {k: v for k, v in PERSON.items() if k != name} if gone else {**PERSON, name: None}
    with pytest.raises(ValueError, match=name):
        get("brock-2b").logit([record])


@pytest.mark.parametrize(
    ("name", "value"),
    [("long_axis_mm", 0.5), ("long_axis_mm", 500.0), ("sex", "m"), ("nodule_type", "ground_glass"), ("emphysema", 1)],
)
def test_what_a_model_cannot_take_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        get("brock-2b").logit([{**PERSON, name: value}])


def test_an_unknown_model_lists_those_there_are():
    with pytest.raises(ValueError, match=r"unknown model 'brok'.*brock-2b.*size-only"):
        get("brok")


def test_the_hash_follows_the_content():
    model = get("brock-2b")
    assert model.hash() == ModelSpec.model_validate_json(model.model_dump_json()).hash()
    assert model.hash() != model.model_copy(update={"intercept": -6.7892}).hash()
    assert len({get(m).hash() for m in models()}) == len(models())


def test_a_model_whose_terms_and_covariates_disagree_is_refused():
    data = get("size-only").model_dump()
    with pytest.raises(ValueError, match="covariates"):
        ModelSpec.model_validate({**data, "covariates": get("brock-1a").model_dump()["covariates"]})


def test_every_model_says_where_it_comes_from_and_what_it_is_not():
    for m in map(get, models()):
        assert "10.1056/NEJMoa1214726" in m.citation
        assert "claim" in m.status or "not validated" in m.status.lower()
