"""Mistakes found in code and papers that people use, one test each: ours must differ from the wrong answer."""

from __future__ import annotations

import math

import pytest

from labeling import get

BROCK = {
    **{"age_y": 65.0, "sex": "male", "family_history": False, "emphysema": False, "long_axis_mm": 10.0},
    **{"nodule_type": "solid", "upper_lobe": False, "nodule_count": 1, "spiculation": False},
}
SPN = {
    **{"age_y": 62.0, "ever_smoker": True, "extrathoracic_cancer_over_5y": False, "long_axis_mm": 10.0},
    **{"spiculation": False, "upper_lobe_without_lingula": False, "current_smoker": False, "years_since_quit_y": 10.0},
}
SMOKER = {
    **{"age_y": 62.0, "education_level": 4, "bmi_kg_m2": 27.0, "copd": False, "personal_cancer": False},
    **{"family_history": False, "current_smoker": True, "cigarettes_per_day": 20.0, "smoking_duration_y": 40.0},
    **{"years_since_quit_y": 0.0, "race": "white"},
}


def logit(model_id, record, **change):
    return float(get(model_id).logit([{**record, **change}])[0])


def test_brock_size_is_centred_after_the_power_not_before():
    # lungbl (MASILab): sqrt(10 / (d - 4)) - 1.58, from reading "centred on 4 mm" as d - 4.
    at_4 = logit("size-only", {"long_axis_mm": 4.0})
    assert at_4 == pytest.approx(-6.5929, abs=5e-8)  # (4/10)^-0.5 = 1.58113883 to eight decimals: the term vanishes
    wrong = -6.5929 - 5.8616 * (math.sqrt(10 / (10.0 - 4)) - 1.58113883)
    assert abs(logit("size-only", {"long_axis_mm": 10.0}) - wrong) > 1


def test_plco_risk_falls_with_education():
    # lungbl (MASILab): +0.0812744, the sign lost.
    assert logit("plcom2012", SMOKER, education_level=6) - logit("plcom2012", SMOKER) == pytest.approx(-2 * 0.0812744)


def test_the_constant_of_mayo_has_all_its_digits():
    # PMC6717521, table 2: -6.872.
    at_zero = logit("mayo", SPN, ever_smoker=False) - 62 * 0.0391 - 10 * 0.1274
    assert at_zero == pytest.approx(-6.8272, abs=1e-9)


def test_va_risk_falls_with_time_since_quitting():
    # PMC6717521, table 2: + 0.567.
    later = logit("va", SPN, years_since_quit_y=20.0) - logit("va", SPN)
    assert later == pytest.approx(-0.567, abs=1e-9)


def test_the_constant_of_brock_is_the_centred_one():
    # PMC6717521, table 2: 0.2761 is that of 2b without centring, with terms in age, count and (d/10)^-0.5.
    centre = logit("brock-2b-4dp", BROCK, age_y=62.0, nodule_count=4, long_axis_mm=4.0)
    assert centre == pytest.approx(-6.7892, abs=5e-8)
    assert centre - 62 * 0.0287 + 4 * 0.0824 + 5.3854 * 0.4**-0.5 == pytest.approx(0.2761, abs=6e-5)  # four decimals


def test_the_pacific_islander_coefficient_of_plco_is_not_that_of_american_indians():
    # lcmodels 2.0: the two swapped.
    white = logit("plcom2012", SMOKER)
    assert logit("plcom2012", SMOKER, race="hawaiian_or_pacific") - white == pytest.approx(1.027152, abs=1e-9)
    assert logit("plcom2012", SMOKER, race="american_indian_or_alaskan") == white


def test_the_hispanic_coefficient_of_plco_has_all_its_digits():
    # An R script in circulation: -0.734744.
    gap = logit("plcom2012", SMOKER, race="hispanic") - logit("plcom2012", SMOKER)
    assert gap == pytest.approx(-0.7434744, abs=1e-9)


def test_the_nodule_count_of_brock_is_centred_on_four():
    # Scripts around LUNA25: not centred.
    one, four, five = (logit("brock-2b", BROCK, nodule_count=n) for n in (1, 4, 5))
    assert one - four == pytest.approx(3 * 0.0824156, abs=1e-12)
    assert five < four
    at_centre = logit("brock-2b", BROCK, nodule_count=4, age_y=62.0, long_axis_mm=4.0)
    assert at_centre == pytest.approx(-6.78917, abs=5e-8)


def test_brock_is_not_mayo_with_the_logarithm_of_size():
    # A page of a React application: Mayo's constants with log(size + 1), called Brock.
    wrong = -6.8272 + 0.0391 * 65 + 0.1274 * math.log(11)
    assert abs(logit("brock-2b", BROCK) - wrong) > 0.5


def test_herder_takes_the_mayo_probability_as_a_fraction():
    # The paper says percentage; entered as 30 the logit would be above 100.
    records = [{"mayo_probability": p, "fdg_uptake": "absent"} for p in (0.0, 0.3)]
    low, high = get("herder").logit(records)
    assert high - low == pytest.approx(0.3 * 3.691)
    with pytest.raises(ValueError, match="mayo_probability must be 0 to 1"):
        get("herder").logit([{"mayo_probability": 30.0, "fdg_uptake": "absent"}])


def test_herder_is_not_odds_times_a_likelihood_ratio():
    # Calculators multiply Mayo's odds by 0.08, 0.17, 1.9 and 9.9: another rule under the same name.
    p = get("herder").probability([{"mayo_probability": 0.3, "fdg_uptake": "moderate"}])[0]
    odds = 0.3 / 0.7 * 1.9
    assert abs(p - odds / (1 + odds)) > 0.05


def test_pku_takes_the_diameter_in_centimetres():
    nodule = {
        **{"age_y": 60.0, "long_axis_mm": 10.0, "spiculation": False, "family_history_any_cancer": False},
        **{"calcification": False, "clear_border": False},
    }
    assert logit("pku", nodule, long_axis_mm=20.0) - logit("pku", nodule) == pytest.approx(0.676)


def test_mayo_leaves_the_lingula_out_of_the_upper_lobes():
    with pytest.raises(ValueError, match="upper_lobe_without_lingula"):
        get("mayo").logit([{k: v for k, v in SPN.items() if k != "upper_lobe_without_lingula"} | {"upper_lobe": True}])


@pytest.mark.parametrize("cigarettes", [0.0, -1.0])
def test_plco_refuses_a_smoker_of_no_cigarettes(cigarettes):
    with pytest.raises(ValueError, match="cigarettes_per_day must be 0.1 to 200"):
        logit("plcom2012", SMOKER, cigarettes_per_day=cigarettes)
