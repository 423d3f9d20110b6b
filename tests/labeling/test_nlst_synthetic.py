"""The synthetic cohort has the shape and the codes of the NLST tables, the published margins, and says what it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labeling
from labeling.nlst import margins
from labeling.nlst.features import nodule_features, screen_features
from labeling.nlst.synthetic import synthetic_nlst
from labeling.nlst.tables import PUBLIC_COLUMNS, read_nlst

KINDS = ("prsn", "ctab", "ctabc", "screen")


@pytest.fixture(scope="module")
def cohort():
    return synthetic_nlst(20_000, np.random.default_rng(5))


@pytest.fixture(scope="module")
def tables(cohort):
    return read_nlst(cohort.ctab, cohort.prsn, ctabc=cohort.ctabc, screen=cohort.screen)


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_are_those_of_the_public_tables_and_every_row_says_that_it_is_synthetic(cohort, kind):
    table = getattr(cohort, kind)
    assert tuple(table.columns) == PUBLIC_COLUMNS[kind]
    assert set(table["dataset_version"]) == {"synthetic"}


def test_files_names_readme_and_identifiers_say_that_it_is_synthetic(tmp_path):
    made = synthetic_nlst(300, np.random.default_rng(1), tmp_path / "new")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["README_SYNTHETIC.txt", *(f"SYNTHETIC_nlst_{kind}.csv" for kind in sorted(KINDS))]
    assert (tmp_path / "new" / names[0]).read_text(encoding="utf-8").startswith("SYNTHETIC DATA - NOT NLST")
    read = read_nlst(made.paths["ctab"], made.paths["prsn"], ctabc=made.paths["ctabc"], screen=made.paths["screen"])
    assert read.synthetic
    assert read.prsn["pid"].min() > 9_000_000  # those of the trial are 1xx,xxx and 2xx,xxx
    frames = read_nlst(made.ctab, made.prsn, ctabc=made.ctabc, screen=made.screen)
    for kind in KINDS:
        pd.testing.assert_frame_equal(getattr(read, kind), getattr(frames, kind), check_dtype=False)


def test_the_same_generator_state_gives_the_same_tables():
    one, two = (synthetic_nlst(500, np.random.default_rng(3)) for _ in range(2))
    for kind in KINDS:
        pd.testing.assert_frame_equal(getattr(one, kind), getattr(two, kind))


def test_people_have_the_published_margins(cohort):
    people = cohort.prsn
    n = len(people)
    for column, code, share in (
        ("gender", 2, margins.FEMALE),
        ("cigsmok", 1, margins.CURRENT_SMOKER),
    ):
        assert abs((people[column] == code).mean() - share) < 4 * np.sqrt(share * (1 - share) / n)
    age = people["age"].astype(float)
    assert age.mean() == pytest.approx(61.4, abs=4 * 5.0 / np.sqrt(n))
    assert age.std() == pytest.approx(5.0, abs=0.12)
    assert (age.min(), age.max()) == (55, 74)


def test_nodules_have_the_published_margins(tables):
    nodules = nodule_features(tables)
    first = nodules[nodules["study_yr"] == 0]
    n = len(first)
    for column, value, share in (
        ("spiculation", True, 197 / 7_008),
        ("nodule_type", "nonsolid", 1_105 / 6_919),
        ("nodule_type", "part_solid", 303 / 6_919),
        ("upper_lobe", True, 0.326 + 0.231),
    ):
        known = first[column].dropna()
        assert abs((known == value).mean() - share) < 4 * np.sqrt(share * (1 - share) / n), column
    largest = first.groupby("pid")["long_axis_mm"].max()
    assert (largest <= 7).mean() == pytest.approx(0.64, abs=0.03)  # Gierada 2014
    assert first["long_axis_mm"].min() >= 4
    assert len(tables.ctab) / len(tables.screen) == pytest.approx(margins.ROWS_PER_SCREEN, rel=0.03)
    assert (tables.ctab["sct_ab_desc"] == 51).mean() == pytest.approx(0.1995, abs=0.03)


def test_only_nodules_carry_the_columns_of_nodules(tables):
    nodule = tables.ctab["sct_ab_desc"] == 51
    for column in ("sct_epi_loc", "sct_long_dia", "sct_perp_dia", "sct_margins", "sct_pre_att", "sct_slice_num"):
        assert (tables.ctab[column].notna() == nodule).all()
    assert (tables.ctab["sct_perp_dia"] <= tables.ctab["sct_long_dia"])[nodule].all()


def test_nobody_is_screened_after_a_diagnosis_or_after_leaving(tables):
    people = tables.prsn
    for t in range(3):
        days = people[f"scr_days{t}"]
        assert not (days >= people["candx_days"]).any()
        assert not (days >= people["canc_free_days"]).any()
    screened = screen_features(tables)[["pid", "study_yr"]]
    assert set(map(tuple, screened.to_numpy())) == set(map(tuple, tables.screen[["pid", "study_yr"]].to_numpy()))


def test_comparison_reads_know_which_nodules_were_there_before(tables):
    reads = tables.ctabc
    assert set(reads["study_yr"]) == {1, 2}
    assert (reads["visible_days"].notna() == (reads["sct_ab_preexist"] == 2)).all()
    assert (reads["sct_ab_gwth"] == 2).any()


def test_the_cdas_shape_has_arm_follow_up_smoking_and_family(tmp_path):
    made = synthetic_nlst(4_000, np.random.default_rng(2), tmp_path, cdas=True)
    read = read_nlst(made.paths["ctab"], made.paths["prsn"])
    assert (read.delivery, read.ct_arm_known) == ("cdas", True)
    found = screen_features(read)
    assert found["family_history"].mean() == pytest.approx(margins.FAMILY_HISTORY, abs=0.03)
    assert (found["pack_years"] >= 29.9).all()
    assert (found["years_since_quit_y"][found["current_smoker"].eq(True)] == 0).all()
    assert found["years_since_quit_y"].max() <= 15


def test_expected_and_drawn_cancers_agree(cohort, tables):
    """On T0 nodules whose covariates are all known, the generating model's probabilities are those of the labels."""
    rows, _ = cohort.label.rows(tables)
    rows = rows[rows[list(cohort.model.needs)].notna().all(axis=1)]
    p = cohort.model.probability(rows)
    assert abs(rows["y"].sum() - p.sum()) < 4 * np.sqrt((p * (1 - p)).sum())


def test_another_model_can_make_the_cancers():
    made = synthetic_nlst(2_000, np.random.default_rng(1), model=labeling.get("brock-2b"))
    assert made.model.id == "brock-2b"
    with pytest.raises(ValueError, match=r"'pku' needs .*calcification"):
        synthetic_nlst(100, np.random.default_rng(1), model=labeling.get("pku"))
    with pytest.raises(ValueError, match="level 'participant'"):
        synthetic_nlst(100, np.random.default_rng(1), model=labeling.get("plcom2012"))


@pytest.mark.parametrize(("n", "years"), [(0, 2), (10, 0), (10, 4)])
def test_nonsense_is_refused(n, years):
    with pytest.raises(ValueError, match="must be"):
        synthetic_nlst(n, np.random.default_rng(1), years=years)
