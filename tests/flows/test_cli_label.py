"""``lungtwin label``: CSV in, CSV out, and mistakes named by file, line, column, value and what is allowed."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

import labeling
from flows.cli import main
from flows.risk.fitting import parse_label

HEAD = "nodule,note,age_y,sex,family_history,emphysema,long_axis_mm,nodule_type,upper_lobe,nodule_count,spiculation"
ROWS = (
    'a,"x, y",65,male,no,no,10,solid,no,1,no',
    "b,,65,male,false,false,10,part_solid,0,1,0",
    "c,,65.0,male,FALSE,False,10.0,nonsolid,No,1,no",
)


@pytest.fixture
def table(tmp_path):
    def write(*rows, head=HEAD, name="nodules.csv"):
        path = tmp_path / name
        path.write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")
        return path

    return write


def read(path):
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def said(capsys):
    """Standard error with its line ends taken out."""
    return " ".join(capsys.readouterr().err.split())


def test_models_are_listed_with_the_worked_example(capsys):
    assert main(["label", "models"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in labeling.models())
    example = " ".join(shown.split("Worked example")[1].split())
    # public calculators print 3.468, 4.977 and 3.065 %
    assert "solid 3.4683 %, part-solid 4.9772 %, nonsolid 3.0655 %" in example
    assert main(["label", "models", "--level", "participant"]) == 0
    assert "brock" not in capsys.readouterr().out
    assert main(["label", "models", "--level", "lobe"]) == 2


def test_scores_are_added_and_every_input_column_is_kept(table, tmp_path, capsys):
    path = table(*ROWS)
    assert main(["label", "score", str(path), "--model", "brock-2b,size-only", "--out", str(tmp_path / "s.csv")]) == 0
    found = read(tmp_path / "s.csv")
    assert [[row[name] for name in HEAD.split(",")] for row in found] == [list(row.values()) for row in read(path)]
    percent = [100 * float(row["p_brock-2b"]) for row in found]
    np.testing.assert_allclose(percent, [3.468, 4.977, 3.065], atol=1e-3)  # printed by public calculators
    for row in found:
        assert float(row["logit_brock-2b"]) == pytest.approx(
            np.log(float(row["p_brock-2b"]) / (1 - float(row["p_brock-2b"])))
        )
        assert row["imputed_brock-2b"] == row["extrapolated_brock-2b"] == ""
        assert row["p_size-only"] == found[0]["p_size-only"]


def test_what_is_imputed_extrapolated_or_excluded_is_said_per_row(table, capsys):
    path = table("65,,10,", "80,true,90,yes", head="age_y,emphysema,long_axis_mm,perifissural")
    assert main(["label", "score", str(path), "--impute", "reference"]) == 0
    first, second = read(path.with_name("nodules_scored.csv"))
    assert first["imputed_brock-2b"].split() == [
        *("sex", "family_history", "emphysema", "nodule_type", "upper_lobe", "nodule_count", "spiculation")
    ]
    assert "emphysema" not in second["imputed_brock-2b"]
    assert (first["extrapolated_brock-2b"], second["extrapolated_brock-2b"]) == ("", "age_y long_axis_mm")
    assert (first["excluded_brock-2b"], second["excluded_brock-2b"]) == ("false", "true")
    assert float(second["p_brock-2b"]) == 0
    assert "age_y in 1 rows (developed on 50 to 75)" in said(capsys)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (",65,", ",eighty,", r"line 2, column 'age_y': must be 18 to 110 years, got 'eighty'"),
        (",65,", ",300,", r"line 2, column 'age_y': model 'brock-2b' accepts 18 to 110 years, got '300'"),
        (",male,", ",,", r"line 2, column 'sex': not known, and model 'brock-2b' needs it: one of female, male"),
        (",solid,", ",GGN,", r"line 2, column 'nodule_type': .* one of solid, part_solid, nonsolid, got 'GGN'"),
        (",no,no,", ",maybe,no,", r"line 2, column 'family_history': must be true or false .*, got 'maybe'"),
        (",10,", ",inf,", r"line 2, column 'long_axis_mm': must be 1 to 100 mm, got 'inf'"),
        (",no,1,no", ",no,1", r"line 2: 10 cells, the header has 11 columns"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(table, capsys, old, new, wanted):
    assert old in ROWS[0]
    path = table(ROWS[0].replace(old, new, 1), *ROWS[1:])
    assert main(["label", "score", str(path)]) == 2
    message = said(capsys)
    assert re.search(re.escape(str(path)) + ", " + wanted, message), message
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_lines_are_those_of_the_file_where_cells_span_lines(table, capsys):
    path = table(ROWS[0].replace("x, y", "two\nlines"), "", ROWS[1].replace(",65,", ",6,"))
    assert main(["label", "score", str(path)]) == 2
    assert "line 5, column 'age_y'" in said(capsys)


def test_people_whom_a_model_excludes_are_named_by_line_alone(table, capsys):
    head = "age_y,ever_smoker,extrathoracic_cancer_over_5y,long_axis_mm,spiculation,upper_lobe_without_lingula"
    path = table("62,yes,no,12,no,no,no", "62,yes,no,12,no,no,yes", head=head + ",cancer_within_5y")
    assert main(["label", "score", str(path), "--model", "mayo"]) == 2
    message = said(capsys)
    assert f"{path}, line 3: model 'mayo' says nothing where cancer_within_5y is true" in message
    assert "count from 0" not in message
    assert "in row" not in message


def test_files_that_are_no_tables_are_refused(table, capsys):
    for rows, head, wanted in (
        ((), HEAD, "at least one row"),
        (("1,2",), "age_y,age_y", "given twice: age_y"),
        (("1",), "long_axis_mm", "needs columns that are not there: age_y"),
        (("1;65",), "long_axis_mm;age_y", "must be separated by commas, the header is separated by ';'"),
        (("1,0.5",), "long_axis_mm,p_size-only", "already that are to be added: p_size-only"),
    ):
        path = table(*rows, head=head)
        assert main(["label", "score", str(path), "--model", "size-only" if "p_" in head else "brock-2b"]) == 2
        assert wanted in said(capsys)
    assert main(["label", "score", str(path.with_name("none.csv"))]) == 2
    assert main(["label", "score", str(path), "--model", "brok"]) == 2
    assert "unknown model 'brok'" in said(capsys)


def test_rules_add_categories_and_say_which_system_lacks_columns(table, capsys):
    rows = [f"{row},9,{core}" for row, core in zip(ROWS, ("", 4, ""), strict=True)]
    path = table(*rows, head=HEAD + ",mean_diameter_mm,solid_mean_diameter_mm")
    assert main(["label", "score", str(path), "--rules"]) == 0
    found = read(path.with_name("nodules_scored.csv"))
    # 9 mm: solid 8 to under 15 is 4A; part-solid with solid part under 6 is 3; ground glass under 30 is 2
    assert [row["lung_rads_2022"] for row in found] == ["4A", "3", "2"]
    # Brock 3.5 % is below 10 %: the score just made decides
    assert found[0]["bts_2015"] == "surveillance"
    assert "fleischner_2017" not in found[0]
    assert "fleischner_2017 left out: " in " ".join(capsys.readouterr().out.split())


def test_a_system_without_a_rule_for_a_row_is_left_out_and_the_others_are_given(table, capsys):
    path = table(f"{ROWS[0]},9,stable", head=HEAD + ",mean_diameter_mm,change")
    assert main(["label", "score", str(path), "--rules"]) == 0
    (row,) = read(path.with_name("nodules_scored.csv"))
    assert row["lung_rads_1.1"] == "2"
    assert "lung_rads_2022" not in row
    assert "lung_rads_2022 left out: " + str(path) + ", line 2: " in " ".join(capsys.readouterr().out.split())
    path = table(f"{ROWS[0]},9,grown", head=HEAD + ",mean_diameter_mm,change", name="grown.csv")
    assert main(["label", "score", str(path), "--rules"]) == 2
    assert "change must be one of baseline" in said(capsys)


def test_the_table_read_is_never_overwritten(table, capsys):
    path = table(*ROWS)
    before = path.read_bytes()
    assert main(["label", "score", str(path), "--out", str(path)]) == 2
    assert "would be overwritten" in said(capsys)
    assert path.read_bytes() == before


def test_a_model_of_ones_own_is_scored_from_its_file(table, tmp_path):
    labeling.write_model(labeling.get("size-only").model_copy(update={"id": "mine"}), tmp_path / "mine.json")
    path = table(*ROWS)
    assert main(["label", "score", str(path), "--model", f"size-only,{tmp_path / 'mine.json'}"]) == 0
    assert all(row["p_mine"] == row["p_size-only"] for row in read(path.with_name("nodules_scored.csv")))
    assert main(["label", "score", str(path), "--model", "mayo,mayo", "--out", str(tmp_path / "x.csv")]) == 2


def cohort(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(-2, 1.3, n)))
    words = np.where(rng.random(n) < p, "malignant", "benign")
    return [f"P{i // 2},{a:.6f},{a / 2:.7f},{word}" for i, (a, word) in enumerate(zip(p, words, strict=True))]


def test_evaluation_prints_writes_and_agrees_with_the_library(table, tmp_path, capsys):
    path = table(*cohort(), head="person,p,half,label")
    words = ["label", "evaluate", str(path), "--truth", "label", "--probability"]
    options = ["--group", "person", "--bootstrap", "200", "--out", str(tmp_path / "e")]
    assert main([*words, "p", *options]) == 0
    shown = capsys.readouterr().out
    data = json.loads((tmp_path / "e" / "evaluation.json").read_text(encoding="utf-8"))["probabilities"]["p"]
    rows = read(path)
    expected = labeling.evaluate([row["label"] == "malignant" for row in rows], [float(row["p"]) for row in rows])
    for name in ("brier", "log_loss", "average_precision"):
        assert data[name] == getattr(expected, name)
    assert data["auc"]["value"] == expected.auc.value
    assert data["n_groups"] == 1500
    assert f"{expected.auc.value:.3f} ({expected.auc.low:.3f} to" in shown
    assert "3,000 records" in shown
    names = {f.name for f in (tmp_path / "e").iterdir()}
    assert names == {"evaluation.json", "roc_p.png", "calibration_p.png", "decision_p.png"}
    assert main([*words, "p,half"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "observed / expected" in x]
    # Half of the probability expects half of the events; printed to three decimals.
    whole, half = (float(x) for x in re.findall(r"([0-9.]+) \(", line))
    assert half == pytest.approx(2 * whole, abs=1.5e-3)


def test_evaluation_withholds_and_says_so(table, capsys):
    path = table(*cohort(200), head="person,p,half,label")
    assert main(["label", "evaluate", str(path), "--truth", "label", "--probability", "p"]) == 0
    assert "p: slope is not given: needs 100 records of either outcome" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("benign", "unclear", r"line \d+, column 'label': must be malignant or benign .*got 'unclear'"),
        ("benign", "", r"line \d+, column 'label': must be known"),
        ("P1,0", "P1,7", r"line 4, column 'p': must be 0 to 1, got 7.*1 of 200 rows"),
        ("P1,", ",", r"line 4, column 'person': must be known"),
    ],
)
def test_evaluation_refuses_what_is_not_known(table, capsys, old, new, wanted):
    text = "\n".join(cohort(200))
    assert old in text
    path = table(text.replace(old, new, 1), head="person,p,half,label")
    assert main(["label", "evaluate", str(path), "--truth", "label", "--probability", "p", "--group", "person"]) == 2
    message = said(capsys)
    assert re.search(re.escape(str(path)) + ", " + wanted, message), message
    assert main(["label", "evaluate", str(path), "--truth", "truth", "--probability", "p"]) == 2
    assert "no column 'truth'; there are person, p, half, label" in said(capsys)


def test_a_card_is_printed_or_written(tmp_path, capsys):
    assert main(["label", "card", "brock-2b"]) == 0
    assert capsys.readouterr().out == labeling.model_card(labeling.get("brock-2b"))
    assert main(["label", "card", "mayo", "--out", str(tmp_path / "mayo.md")]) == 0
    assert (tmp_path / "mayo.md").read_text(encoding="utf-8") == labeling.model_card(labeling.get("mayo"))


def test_a_fit_writes_a_model_that_scores_and_its_card(tmp_path, capsys):
    from labeling.nlst.synthetic import synthetic_nlst

    paths = synthetic_nlst(20_000, np.random.default_rng(1), tmp_path).paths
    words = [
        "label",
        "fit",
        "--ctab",
        str(paths["ctab"]),
        "--prsn",
        str(paths["prsn"]),
        "--screen",
        str(paths["screen"]),
    ]
    words += ["--label", "nodule_lobe(2, rounds=(0,))", "--bootstrap", "0", "--folds", "0"]
    words += ["--predictors", "long_axis_mm,upper_lobe", "--id", "two", "--card", str(tmp_path / "two.md")]
    assert main([*words, "--out", str(tmp_path / "two.txt")]) == 2
    assert main([*words, "--out", str(tmp_path / "two.json")]) == 0
    shown = capsys.readouterr().out
    model = labeling.read_model(tmp_path / "two.json")
    assert set(model.needs) == {"long_axis_mm", "upper_lobe"}
    assert model.derivation.synthetic
    assert f"{model.derivation.events:,} events" in shown
    assert "SYNTHETIC" in shown
    assert (tmp_path / "two.md").read_text(encoding="utf-8") == labeling.model_card(model)
    assert "mean nothing clinically" in (tmp_path / "two.md").read_text(encoding="utf-8")


def test_label_rules_are_read_as_words():
    from labeling.nlst.definitions import nodule_lobe, participant_ever, screen_within

    assert parse_label("participant_ever") == participant_ever()
    assert parse_label(" screen_within( 2 ) ") == screen_within(2)
    assert parse_label("nodule_lobe(2, 'largest', other_lobes=benign, rounds=(0, 1))") == nodule_lobe(
        2, "largest", other_lobes="benign", rounds=(0, 1)
    )


@pytest.mark.parametrize(
    "text",
    [
        *("cancer", "nodule_lobe", "nodule_lobe(2, bar)", "nodule_lobe(2", "screen_within(9)", "", "[1]"),
        *("screen_within(__import__(1))", "screen_within(**{'years': 1})", "screen_within(years=1).rule"),
    ],
)
def test_other_label_rules_are_refused_with_examples(text):
    with pytest.raises(ValueError, match=r"^--label .*For example: participant_ever, screen_within\(1\)"):
        parse_label(text)
