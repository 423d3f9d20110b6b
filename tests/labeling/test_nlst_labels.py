"""From NLST codes to covariates and labels, on rows made by hand; the mistakes of others are not made."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from labeling.nlst.definitions import NoduleLobe, nodule_lobe, participant_ever, screen_within
from labeling.nlst.features import nodule_features, participant_features, screen_features
from labeling.nlst.tables import read_nlst

from .nlst_rows import ctab, finding, ill, nodule, person, prsn, tables


def features(*rows, people=None):
    return nodule_features(tables(people or [person(1)], list(rows)))


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, "solid"), (2, "nonsolid"), (3, "part_solid"), (4, None), (6, None), (7, None), (9, None)],
)
def test_attenuation_2_is_ground_glass_and_3_is_mixed(code, kind):
    """The public LUNA25 analyses read 2 as part-solid and 3 as ground glass."""
    assert features(nodule(1, sct_pre_att=code))["nodule_type"][0] == kind


@pytest.mark.parametrize(("code", "spiculated"), [(1, True), (2, False), (3, False), (9, None)])
def test_margin_1_is_spiculated_and_9_is_not_known(code, spiculated):
    """The public LUNA25 analyses take 3, poorly defined, for spiculated."""
    assert features(nodule(1, sct_margins=code))["spiculation"][0] is spiculated


@pytest.mark.parametrize(
    ("code", "upper", "without_lingula"),
    [
        (1, True, True),
        (2, False, False),  # the middle lobe is no upper lobe
        (3, False, False),
        (4, True, True),
        (5, True, False),  # 5 is the lingula, not the left lower lobe
        (6, False, False),  # 6 is the left lower lobe, not "multiple"
        (8, None, None),
    ],
)
def test_lobes(code, upper, without_lingula):
    row = features(nodule(1, sct_epi_loc=code)).iloc[0]
    assert (row["upper_lobe"], row["upper_lobe_without_lingula"]) == (upper, without_lingula)


def test_the_interval_change_of_attenuation_is_not_taken_for_the_attenuation():
    """A public script reads the type from sct_ab_attn (1 no change, 2 change) margins from no column."""
    wrong = ctab(nodule(1)).rename(columns={"sct_pre_att": "sct_ab_attn", "sct_margins": "sct_ab_marg"})
    with pytest.raises(ValueError, match="no column sct_margins, sct_pre_att"):
        read_nlst(wrong, prsn(person(1)))


def test_size_is_the_long_diameter_and_the_mean_needs_both():
    row = features(nodule(1, sct_long_dia=9, sct_perp_dia=6), nodule(1, 2, sct_perp_dia=None))
    assert list(row["long_axis_mm"]) == [9, 6]
    assert row["mean_diameter_mm"][0] == 7.5
    assert row["mean_diameter_mm"].isna()[1]


def test_count_and_emphysema_are_of_one_screen():
    rows = [nodule(1), nodule(1, 2), finding(1, 3, 53), nodule(1, year=1), finding(1, 2, 59, year=1)]
    found = features(*rows)
    assert list(zip(found["study_yr"], found["nodule_count"], found["emphysema"], strict=True)) == [
        (0, 2, False),
        (0, 2, False),
        (1, 1, True),
    ]


def test_code_62_makes_the_count_at_least_six():
    found = features(nodule(1), finding(1, 2, 62))
    assert (found["nodule_count"][0], found["count_is_at_least"][0]) == (6, True)


def test_age_is_that_at_the_screen():
    rows = [nodule(1), nodule(1, year=1), nodule(1, year=2)]
    people = [person(1, age=60, scr_days0=364, scr_days1=365, scr_days2=740)]
    assert list(features(*rows, people=people)["age_y"]) == [60, 61, 62]


def test_race_5_is_pacific_islander_and_4_american_indian_and_hispanic_is_no_race():
    people = [person(code, race=code) for code in (1, 2, 3, 4, 5, 6, 7, 99)]
    assert list(participant_features(tables(people, []))["race"]) == [
        "white",
        "black",
        "asian",
        "american_indian_or_alaskan",
        "hawaiian_or_pacific",
        None,
        None,
        None,
    ]


def test_a_family_without_cancer_is_one_of_which_every_relative_is_known():
    plain = dict.fromkeys(("fambrother", "famchild", "famfather", "fammother", "famsister"), 0)
    arm = {"rndgroup": 1, "conflc": 0, "fup_days": 2000}
    people = [
        person(1) | arm | plain,
        person(2) | arm | plain | {"famsister": 1, "famfather": None},
        person(3) | arm | plain | {"famfather": None},
    ]
    assert list(participant_features(tables(people, []))["family_history"]) == [False, True, None]


def labels(definition, people, rows):
    """(pid, round, number) to label of the rows that are kept, and why others are not."""
    kept, why = definition.rows(tables(people, rows))
    keys = kept[[c for c in ("pid", "study_yr", "sct_ab_num") if c in kept]].itertuples(index=False)
    return dict(zip(map(tuple, keys), kept["y"], strict=True)), why


def test_participant_ever():
    people = [ill(1, 15, "locrup"), person(2), ill(3, 2000, "locunk", cancyr=5)]
    assert labels(participant_ever(), people, [])[0] == {(1,): True, (2,): False, (3,): True}


def test_within_a_year_means_less_than_365_days_after_the_screen():
    people = [
        ill(1, 10, "locrup"),  # on the day of the screen
        ill(2, 374, "locrup"),  # 364 days after
        ill(3, 375, "locrup"),  # 365 days after
        ill(4, 9, "locrup"),  # before: left out
        person(5, canc_free_days=374),  # not followed for a year: left out
        person(6, canc_free_days=375),
        person(7, scr_days0=None),  # no screen
    ]
    found, why = labels(screen_within(1, rounds=(0,)), people, [])
    assert {pid: y for (pid, _), y in found.items()} == {1: True, 2: True, 3: False, 6: False}
    assert why == {"cancer before the screen": 1, "followed too briefly": 1}


def test_a_later_screen_counts_from_its_own_date():
    found, _ = labels(screen_within(1), [ill(1, 800, "locrup")], [])
    assert found == {(1, 0): False, (1, 1): False, (1, 2): True}


@pytest.mark.parametrize(
    ("lobe", "place", "matches"),
    [
        (1, "locrup", True),
        (2, "locrmid", True),
        (3, "locrlow", True),
        (4, "loclup", True),
        (5, "loclin", True),
        (5, "loclup", True),  # the lingula is part of the left upper lobe
        (4, "loclin", False),
        (6, "locllow", True),
        (1, "loclup", False),
        (6, "locrlow", False),
    ],
)
def test_a_nodule_is_the_cancer_if_the_cancer_was_in_its_lobe(lobe, place, matches):
    found, _ = labels(nodule_lobe(2), [ill(1, 100, place)], [nodule(1, sct_epi_loc=lobe)])
    assert found == {(1, 0, 1): matches}


def test_a_cancer_of_round_t0_makes_a_positive():
    found, _ = labels(nodule_lobe(1), [ill(1, 30, "locrup", cancyr=0)], [nodule(1)])
    assert found == {(1, 0, 1): True}


def test_after_the_horizon_a_nodule_is_benign():
    people = [ill(1, 10 + 730, "locrup"), ill(2, 10 + 729, "locrup")]
    assert labels(nodule_lobe(2), people, [nodule(1), nodule(2)])[0] == {(1, 0, 1): False, (2, 0, 1): True}


@pytest.mark.parametrize("place", ["locrhil", "locmed", "locunk"])
def test_a_cancer_without_a_lobe_labels_nothing(place):
    found, why = labels(nodule_lobe(2), [ill(1, 100, place)], [nodule(1), nodule(1, 2, sct_epi_loc=6)])
    assert found == {}
    assert why == {"cancer recorded in no lobe": 2}


PAIR = [nodule(1, 1, sct_long_dia=6), nodule(1, 2, sct_long_dia=12), nodule(1, 3, sct_epi_loc=6)]


@pytest.mark.parametrize(
    ("rule", "other", "expected"),
    [
        ("drop_ambiguous", "drop", {}),
        ("drop_ambiguous", "benign", {3: False}),
        ("largest", "drop", {2: True}),
        ("largest", "benign", {1: False, 2: True, 3: False}),
        ("all", "drop", {1: True, 2: True}),
        ("all", "benign", {1: True, 2: True, 3: False}),
        ("alone", "drop", {}),
        ("alone", "benign", {3: False}),
    ],
)
def test_two_nodules_in_the_diagnosed_lobe_and_one_elsewhere(rule, other, expected):
    found, _ = labels(nodule_lobe(2, rule, other_lobes=other), [ill(1, 100, "locrup")], PAIR)
    assert {num: y for (_, _, num), y in found.items()} == expected


def test_without_cancer_only_alone_leaves_out_nodules_that_share_a_lobe():
    """What makes it unbiased: the choice of rows does not look at the outcome."""
    for rule, kept in (("drop_ambiguous", 3), ("largest", 3), ("all", 3), ("alone", 1)):
        found, _ = labels(nodule_lobe(2, rule), [person(1)], PAIR)
        assert len(found) == kept
        assert not any(found.values())


def test_alone_means_no_other_nodule_in_the_left_upper_lobe_or_without_a_lobe():
    rows = [
        *(nodule(1, 1, sct_epi_loc=4), nodule(1, 2, sct_epi_loc=5), nodule(1, 3, sct_epi_loc=3)),
        *(nodule(2, 1, sct_epi_loc=4), nodule(2, 2, sct_epi_loc=8)),
        *(nodule(3, 1, sct_epi_loc=4), nodule(3, 1, sct_epi_loc=4, year=1)),
    ]
    found, _ = labels(nodule_lobe(2), [person(1), person(2), person(3)], rows)
    assert set(found) == {(1, 0, 3), (3, 0, 1), (3, 1, 1)}


def test_two_largest_nodules_are_left_out():
    rows = [nodule(1, 1), nodule(1, 2), nodule(1, 3, sct_long_dia=4)]
    found, _ = labels(nodule_lobe(2, "largest"), [ill(1, 100, "locrup")], rows)
    assert found == {}


def test_a_nodule_of_a_case_without_a_lobe_is_left_out_and_one_of_a_control_is_kept():
    rows = [nodule(1, sct_epi_loc=8), nodule(2, sct_epi_loc=8)]
    found, _ = labels(nodule_lobe(2, "all"), [ill(1, 100, "locrup"), person(2)], rows)
    assert found == {(2, 0, 1): False}


def test_every_definition_writes_its_rule_down_and_refuses_what_it_does_not_know():
    rules = [participant_ever().rule, screen_within(2).rule]
    rules += [
        nodule_lobe(3, r, other_lobes=o).rule
        for r in NoduleLobe.model_fields["in_lobe"].annotation.__args__
        for o in ("drop", "benign")
    ]
    assert len(set(rules)) == len(rules)
    assert all("years" in rule or "any time" in rule for rule in rules)
    assert "3 years" in nodule_lobe(3).rule
    assert "inferred" in nodule_lobe(3).rule
    with pytest.raises(ValidationError):
        nodule_lobe(2, "smallest")
    with pytest.raises(ValidationError):
        screen_within(0)
    with pytest.raises(ValueError, match="give screen too"):
        participant_ever().rows(read_nlst(ctab(nodule(1)), prsn(person(1))))


def test_a_screen_without_findings_has_no_nodules_and_no_emphysema():
    row = screen_features(tables([person(1)], [nodule(1, year=1)])).iloc[0]
    assert (row["nodule_count"], row["emphysema"]) == (0, False)
