"""A plan table builds the same images again, all or some of them; what it cannot mean is refused."""

from __future__ import annotations

import csv
import io
import json

import pytest

from flows.study import load_study, make_plan, preset_names
from flows.study.plan import Plan
from flows.study.previews import preview_of
from flows.study.replay import numbers
from flows.study.schema import SCHEMA, schema_text
from twins.specfile import SpecError


@pytest.fixture(scope="module")
def made(tiny) -> Plan:
    return make_plan(load_study(tiny))


@pytest.fixture
def table(made, tiny, tmp_path):
    (tmp_path / "study.yaml").write_text(tiny.read_text(encoding="utf-8"), encoding="utf-8")
    path = tmp_path / "plan.csv"
    path.write_text(made.csv(study="study.yaml"), encoding="utf-8")
    return path


def test_a_whole_table_is_the_study(made, table):
    again = make_plan(load_study(table))
    assert [scan for case in again.cases for scan in case.scans] == [s for case in made.cases for s in case.scans]
    assert [row.row_key for row in again.rows] == [row.row_key for row in made.rows]


def test_rows_that_are_left_keep_their_images(made, table):
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], lines[2]]) + "\n", encoding="utf-8")
    (row,) = make_plan(load_study(table)).rows
    assert row.row_key == made.rows[1].row_key
    assert row.scan_key == made.rows[1].scan_key


def test_rows_are_chosen_by_number(made, table):
    (row,) = make_plan(load_study(table, rows="2")).rows
    assert row.image_id == made.rows[1].image_id
    assert numbers("1-3,2,7", 9) == [1, 2, 3, 7]
    for wrong, words in (("0", "not within the 9 rows"), ("3-1", "not within"), ("x", "must read like 1-10,17")):
        with pytest.raises(SpecError, match=words):
            numbers(wrong, 9)


def test_every_row_names_all_its_factors(made):
    rows = list(csv.DictReader(io.StringIO(made.csv(study="s"))))
    assert rows[0]["kernel"] == "B30f"
    assert (rows[0]["sex"], rows[0]["age_y"], rows[0]["n_nodules"], rows[0]["nodules"]) == (
        "female",
        "63",
        "2",
        "big faint",
    )
    assert [row["mas_per_rotation"] for row in rows] == ["25", "130"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",120,25,", ",120,40,", "plan.csv:2: mas_per_rotation of 'woman_low' is 40, the study study.yaml says 25"),
        ("woman_low,", "woman_lo,", "no image 'woman_lo'; did you mean 'woman_low'"),
        ("kernel,", "kernal,", "is no plan table: it lacks kernel"),
        ("study.yaml,", "gone.yaml,", "more than one study"),
        ("woman_high,", "woman_low,", "'woman_low' stands in line 2 already"),
    ],
)
def test_a_table_that_contradicts_its_study_is_refused(table, old, new, words):
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=words):
        load_study(table)


def test_a_study_that_was_changed_since_is_noticed(table):
    study = table.parent / "study.yaml"
    text = study.read_text(encoding="utf-8")
    study.write_text(text.replace("equivalent_diameter_mm: 16", "equivalent_diameter_mm: 17"), encoding="utf-8")
    with pytest.raises(SpecError, match="row_key of 'woman_low' is"):
        load_study(table)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("gone.csv", {}, "no such file"),
        ("demo", {"rows": "1"}, "rows are those of a plan table"),
        ("x.csv", {"preview": True}, "says itself whether it is that of a preview"),
    ],
)
def test_options_that_do_not_fit_are_refused(name, options, words):
    with pytest.raises(SpecError, match=words):
        load_study(name, **options)


def test_syn_lungs_has_the_size_of_its_model():
    plan = make_plan(load_study("syn-lungs"))
    assert (plan.n_persons, len(plan.rows)) == (174, 1044)
    assert sum(len(case.nodules) for case in plan.cases) == 512
    assert sum(row.n_nodules for row in plan.rows) == 3072
    assert len({row.scan_id for row in plan.rows}) == 6


@pytest.mark.parametrize("name", ["counterfactual", "factorial", "longitudinal", "hard-negatives"])
def test_a_preview_shows_the_first_people_of_the_whole(name):
    whole = load_study(name)
    small = load_study(name, preview=True)
    plan = make_plan(small)
    assert small.name == f"{name}-preview"
    whole_cases = {case.twin_id: case for case in make_plan(whole).cases}
    for case in plan.cases:
        same = whole_cases[case.twin_id]
        assert (case.population, case.nodules) == (same.population, same.nodules)
        assert {scan.scan_id for scan in case.scans} == {scan.scan_id for scan in same.scans}
    with pytest.raises(SpecError, match="has no preview"):
        preview_of(small)


def test_the_schema_that_is_shipped_is_that_of_the_code():
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "run: lungtwin presets --schema > study.schema.json"
    schema = json.loads(schema_text())
    assert schema["properties"]["seed"]["minimum"] == 0
    assert "visits" in schema["$defs"]["TwinEntry"]["properties"]
    fields = [f for model in schema["$defs"].values() for f in model.get("properties", {}).values()]
    assert all("description" in field for field in fields)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_tells_editors_its_schema(name):
    text = SCHEMA.with_name(f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=study.schema.json\n")
