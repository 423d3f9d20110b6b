"""Cohorts give persons their margins and keep what goes together; files that are wrong say where."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from pydantic import TypeAdapter

from twins import TwinSpec, draw
from twins.cohorts import COHORTS, Cohort, agreement, load_cohort
from twins.cohorts.laws import Margin
from twins.cohorts.spec import ORDER
from twins.specfile import SpecError

LAWS = [
    {"law": "normal", "mean": 5, "sd": 2, "low": 0, "high": 8},
    {"law": "lognormal", "median": 3, "sigma": 0.6, "shift": 1, "low": 1.5, "high": 20},
    {"law": "uniform", "low": -1, "high": 3},
    {"law": "quantiles", "at": {0: 0, 0.25: 2, 0.9: 3, 1: 9}},
]


def people(cohort, n: int, seed: int = 5, **fixed) -> list[TwinSpec]:
    rng = np.random.default_rng(seed)
    return [draw(rng, cohort=cohort, **fixed) for _ in range(n)]


@pytest.mark.parametrize("data", LAWS, ids=lambda law: law["law"])
def test_the_quantile_of_a_value_is_the_inverse_of_the_value_at_a_quantile(data):
    law = TypeAdapter(Margin).validate_python(data)
    u = np.linspace(0.001, 0.999, 41)
    values = [law.quantile(v) for v in u]
    assert all(b > a for a, b in pairwise(values))
    np.testing.assert_allclose([law.share_below(v) for v in values], u, atol=1e-9)


def test_a_mixture_has_the_mean_of_its_parts_by_their_shares():
    parts = [{"share": 3, "of": {"law": "uniform", "low": 0, "high": 2}}]
    parts += [{"share": 1, "of": {"law": "uniform", "low": 1, "high": 9}}]
    law = TypeAdapter(Margin).validate_python({"law": "mixture", "parts": parts})
    u = (np.arange(20000) + 0.5) / 20000
    values = np.array([law.quantile(v) for v in u])
    assert values.mean() == pytest.approx(0.75 * 1 + 0.25 * 5, rel=1e-3)
    # share of the mixture below 2: all of the first part and an eighth of the second
    assert law.share_below(2.0) == pytest.approx(0.75 + 0.25 / 8)
    assert np.mean(values < 2.0) == pytest.approx(0.75 + 0.25 / 8, abs=1e-3)


@pytest.mark.parametrize("name", COHORTS)
def test_each_cohort_names_its_source_and_draws_valid_persons(name):
    assert load_cohort(name).source
    drawn = people(name, 40)
    assert len({spec.key for spec in drawn}) == 40
    assert all(TwinSpec.model_validate_json(spec.model_dump_json()) == spec for spec in drawn)


def test_every_field_but_the_key_and_the_variants_has_a_place_in_the_order_of_drawing():
    assert set(TwinSpec.model_fields) - set(ORDER) == {"key", "variants", "smoking_duration_y"}


def test_quartiles_are_the_published_ones():
    age = [spec.age_y for spec in people("nlst", 1500)]
    # NLST: median 60, quartiles 57 and 65; standard error of a quartile here 0.15 y
    np.testing.assert_allclose(np.quantile(age, [0.25, 0.5, 0.75]), [57, 60, 65.3], atol=0.7)
    copd = np.array([spec.emphysema_percent for spec in people("copd", 1500)])
    # CanCOLD: 5.3 +- 5.0 %; the cut at 40 % takes a little of both
    assert copd.mean() == pytest.approx(5.3, abs=0.35)
    assert copd.std() == pytest.approx(4.8, abs=0.6)
    never = [spec.emphysema_percent for spec in people("general", 1200, smoking="never")]
    # MESA never-smokers: median 1.1, quartiles 0.5 and 2.5 %
    np.testing.assert_allclose(np.quantile(never, [0.25, 0.5, 0.75]), [0.5, 1.1, 2.5], rtol=0.17)


def test_emphysema_goes_with_pack_years_also_where_these_are_fixed():
    light, heavy = (
        np.median([spec.emphysema_percent for spec in people("nlst", 600, smoking="current", pack_years=packs)])
        for packs in (31.0, 150.0)
    )
    assert heavy > 1.4 * light


def test_lobes_and_variants_have_their_published_spread():
    drawn = people("nlst", 2000)
    right = np.array([spec.right_share for spec in drawn])
    lower = 100 * right * [spec.right_lower_share for spec in drawn]
    middle = 100 * right * [spec.right_middle_share for spec in drawn]
    left = 100 * (1 - right) * [spec.left_lower_share for spec in drawn]
    # Yamada 2020: RLL 26.5 +- 2.6, RML 9.3 +- 1.6, LLL 23.2 +- 2.4 % of both lungs; draws are cut at 2 to 2.5 SD
    for share, mean, sd in ((lower, 26.5, 2.6), (middle, 9.3, 1.6), (left, 23.2, 2.4)):
        assert share.mean() == pytest.approx(mean, abs=0.2)
        assert 0.75 * sd < share.std() < 1.1 * sd
    accessory = np.mean(["inferior_accessory_fissure" in spec.variants for spec in drawn])
    assert accessory == pytest.approx(0.086, abs=0.02)
    assert np.mean([spec.minor_completeness < 1 for spec in drawn]) == pytest.approx(0.63, abs=0.035)
    old = [spec.kyphosis_deg for spec in drawn if spec.age_y >= 65]
    assert np.mean(old) == pytest.approx(42, abs=1.5)


def test_a_fixed_field_leaves_the_chance_of_the_others_alone():
    free, fixed = draw(np.random.default_rng(3)), draw(np.random.default_rng(3), kyphosis_deg=30, n_scars=2)
    assert fixed == free.model_copy(update={"kyphosis_deg": 30.0, "n_scars": 2})


def test_a_population_agrees_with_its_own_cohort_and_not_with_another():
    nlst = people("nlst", 150)
    own = {found.field: found for found in agreement(nlst, "nlst")}
    other = {found.field: found for found in agreement(nlst, "general")}
    assert sum(found.p_value < 0.01 for found in own.values()) <= 2
    assert own["age_y"].distance < 0.15
    assert own["age_y"].wasserstein == pytest.approx(0, abs=1.5)
    # ages 55-75 against 18-90: 0.6 of the general population is younger than all of them
    assert other["age_y"].distance > 0.45
    assert other["age_y"].wasserstein > 8
    assert other["smoking"].distance == pytest.approx(0.65, abs=0.05)
    with pytest.raises(ValueError, match="two persons"):
        agreement(nlst[:1])


def test_margins_of_a_table_replace_those_of_nlst(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text(
        "field,value,quantile,share\nage_y,40,0,\nage_y,44,0.5,\nage_y,50,1,\nsex,female,,1\nsmoking,never,,1\n",
        encoding="utf-8",
    )
    drawn = people(table, 400)
    assert {spec.sex for spec in drawn} == {"female"}
    assert {spec.pack_years for spec in drawn} == {0.0}
    assert min(spec.age_y for spec in drawn) >= 40
    assert np.median([spec.age_y for spec in drawn]) == pytest.approx(44, abs=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("field,value\nage_y,3\n", r"mine.csv:2: needs exactly one of quantile and share"),
        ("field,value,quantile\nage_y,3,x\n", r"mine.csv:2: .*must be numbers"),
        ("fild,value,quantile\nage_y,3,0\n", r"mine.csv:1: columns must be"),
        ("field,value,quantile\nage,3,0\nage,4,1\n", r"no field 'age'; did you mean 'age_y'"),
        ("field,value,quantile\nage_y,3,0.2\nage_y,4,1\n", r"age_y.*must ascend from 0 to 1"),
    ],
)
def test_a_wrong_table_says_what_and_where(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_cohort(path)


def test_a_wrong_cohort_says_what(tmp_path):
    with pytest.raises(SpecError, match="did you mean 'nlst'"):
        load_cohort("nslt")
    with pytest.raises(SpecError, match="no such file"):
        load_cohort(tmp_path / "gone.yaml")
    margins = load_cohort("nlst").model_dump()["margins"]
    base = {"description": "d", "source": "s", "margins": margins}
    with pytest.raises(ValueError, match="age_y: by 'sex', which is not drawn before it"):
        Cohort(
            **base
            | {
                "margins": margins
                | {"age_y": {"law": "by", "by": "sex", "cases": {"male": {"law": "value", "value": 60}}}}
            }
        )
    with pytest.raises(ValueError, match="bmi is not drawn before age_y"):
        Cohort(**base, correlations={"age_y": {"bmi": 0.3}})
    with pytest.raises(ValueError, match="smoking required"):
        Cohort(**base | {"margins": {k: v for k, v in margins.items() if k != "smoking"}})
    with pytest.raises(ValueError, match="no case for smoking 'never'"):
        few = {"law": "by", "by": "smoking", "cases": {"former": {"law": "value", "value": 3}}}
        draw(
            np.random.default_rng(1),
            cohort=Cohort(**base | {"margins": margins | {"pack_years": few}}),
            smoking="never",
        )
