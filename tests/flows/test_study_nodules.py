"""A study draws its nodules from the cohort that it names, as many as a person of it has, or crosses a design."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.study import StudySpec, load_study, make_plan, resolve
from flows.study.streams import stream
from lesions import Nodule, insert
from lesions.cohorts import draw_table, load_cohort
from tests.lesions.synthetic_thorax import block
from twins.specfile import SpecError, parse_spec

HEAD = """
name: drawn
seed: 11
twin_spacing_mm: 4.0
scans: [{profile: siemens_definition_as, protocol: screening_low_dose}]
twins:
  - id: them
"""


def study(text: str) -> StudySpec:
    return parse_spec(HEAD + text, StudySpec, name="study.yaml")


def people(text: str):
    return [case.nodules for case in make_plan(study(text)).cases]


def test_a_cohort_gives_each_person_as_many_nodules_as_its_people_have():
    drawn = people("""
    population: {}
    count: 150
    cohort: screening
""")
    counts = np.array([len(nodules) for nodules in drawn])
    shares = load_cohort("screening").counts.shares()
    n = np.arange(len(shares))
    mean = shares @ n
    sd = np.sqrt(shares @ n**2 - mean**2)
    assert abs(counts.mean() - mean) < 4 * sd / np.sqrt(150)
    assert np.mean(counts == 0) == pytest.approx(shares[0], abs=4 * 0.5 / np.sqrt(150))
    everyone = [nodule for nodules in drawn for nodule in nodules]
    lobes = set(load_cohort("screening").lobes[0].shares)
    assert {nodule.lobe for nodule in everyone} == lobes
    assert len({nodule.key for nodule in everyone}) == len(everyone)
    # density d^-4 from 3 mm, in mean diameters 1.094 times the equivalent ones
    small = np.mean([nodule.target_diameter_mm < 5 for nodule in everyone])
    law = load_cohort("screening").size
    own = np.linspace(0, 1, 10_001)
    wanted = np.mean(law.quantile_mm(own) / law.per_equivalent < 5)
    assert small == pytest.approx(wanted, abs=4 * 0.5 / np.sqrt(len(everyone)))


def test_sizes_counts_and_types_asked_for_are_met():
    (nodules,) = people("""
    population: {}
    cohort: incidental_uk
    drawn_nodules: 5
    drawn_diameter_mm: [8, 12]
    nodules: [{id: mine, type: part_solid}, {id: fixed, equivalent_diameter_mm: 20, lobe: LEFT_LOWER_LOBE}]
""")
    assert [n.id for n in nodules] == ["mine", "fixed", "n1", "n2", "n3", "n4", "n5"]
    assert nodules[0].type == "part_solid"
    assert (nodules[1].equivalent_diameter_mm, nodules[1].lobe) == (20, "LEFT_LOWER_LOBE")
    assert all(8 <= n.target_diameter_mm <= 12 for n in nodules if n.id != "fixed")


def test_nodules_worked_out_together_are_those_drawn_one_by_one():
    # few are so large: most streams have none among their first
    drawn = people("""
    population: {}
    count: 30
    cohort: lidc
    drawn_nodules: 2
    drawn_diameter_mm: [24, 27]
""")
    for person, nodules in enumerate(drawn, 1):
        for number, nodule in enumerate(nodules, 1):
            rng = stream(11, "twin", f"them-{person:03d}", "nodule", f"n{number}", "draw")
            alone = draw_table(rng, 1, cohort="lidc", diameter_mm=(24.0, 27.0)).nodule(0, name=nodule.id)
            assert nodule.model_copy(update={"key": alone.key}) == alone


def test_what_is_drawn_does_not_depend_on_who_else_is_there():
    text = """
    population: {}
    count: 3
    cohort: lidc
  - id: others
    population: {}
    cohort: screening
"""
    both, alone = make_plan(study(text)), make_plan(study(text.split("  - id")[0]))
    assert [case.nodules for case in both.cases[:3]] == [case.nodules for case in alone.cases]
    assert resolve(both.study) == both.study


def test_a_persons_own_table_is_a_cohort_beside_the_study_file(tmp_path):
    (tmp_path / "mine.csv").write_text(
        "davg_mm,spiculation,type,lobe\n10.94,1,solid,\n21.88,5,part_solid,LEFT_LOWER_LOBE\n", encoding="utf-8"
    )
    text = HEAD + "    population: {}\n    cohort: mine.csv\n    drawn_nodules: 40\n"
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    (case,) = make_plan(load_study(tmp_path / "study.yaml")).cases
    found = {(round(n.target_diameter_mm), n.type, n.lobe) for n in case.nodules}
    assert found == {(10, "solid", None), (20, "part_solid", "LEFT_LOWER_LOBE")}
    (tmp_path / "study.yaml").write_text(text.replace("    drawn_nodules: 40\n", ""), encoding="utf-8")
    with pytest.raises(SpecError, match=r"twins\.them\.cohort: .*mine\.csv does not say .* give drawn_nodules"):
        make_plan(load_study(tmp_path / "study.yaml"))
    (tmp_path / "study.yaml").write_text(text.replace("mine.csv", "gone.csv"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"twins\.them\.cohort: no such file: .*gone\.csv"):
        load_study(tmp_path / "study.yaml")
    (tmp_path / "mine.csv").write_text("davg_mm,colour\n8,4\n", encoding="utf-8")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match="column 'colour' is not known"):
        make_plan(load_study(tmp_path / "study.yaml"))


CROSS = """
    population: {}
    count: 3
    design:
      factors: {equivalent_diameter_mm: [5, 8], type: [solid, ground_glass], lobulation: [1, 4]}
      fixed: {lobe: RIGHT_UPPER_LOBE}
      per_twin: 4
"""


def test_a_design_is_crossed_with_the_twins():
    plan = make_plan(study(CROSS))
    assert [case.twin_id for case in plan.cases[:3]] == ["them-001-g01", "them-001-g02", "them-002-g01"]
    assert [len(case.nodules) for case in plan.cases] == [4] * 6
    for first, second in zip(plan.cases[::2], plan.cases[1::2], strict=True):
        assert first.population == second.population  # one anatomy, scanned with either group
        assert second.base_twin == first.twin_id
        cells = {(n.equivalent_diameter_mm, n.type, n.lobulation) for case in (first, second) for n in case.nodules}
        assert len(cells) == 8
    assert len({case.population for case in plan.cases}) == 3
    assert {n.lobe for case in plan.cases for n in case.nodules} == {"RIGHT_UPPER_LOBE"}
    assert len({n.key for case in plan.cases for n in case.nodules}) == 1  # paired: cells differ in their factors alone
    assert resolve(plan.study) == plan.study


def test_a_design_draws_as_many_of_every_class():
    plan = make_plan(
        study("""
    population: {}
    cohort: uniform_log
    design:
      classes: {lobe: [LEFT_UPPER_LOBE, LEFT_LOWER_LOBE], equivalent_diameter_mm: [[4, 6], [9, 12]]}
      replicates: 3
""")
    )
    (case,) = plan.cases
    assert case.twin_id == "them"
    cells = [(n.lobe, n.target_diameter_mm < 6) for n in case.nodules]
    assert {cell: cells.count(cell) for cell in cells} == {
        (lobe, small): 3 for lobe in ("LEFT_UPPER_LOBE", "LEFT_LOWER_LOBE") for small in (True, False)
    }
    assert all(4 <= n.target_diameter_mm <= 6 or 9 <= n.target_diameter_mm <= 12 for n in case.nodules)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cohort: screning", "study.yaml:9: twins.0.cohort: unknown cohort 'screning'; did you mean 'screening'?"),
        ("cohrt: screening", "did you mean 'cohort'?"),
        ("drawn_diameter_mm: [8, 4]", "twins.0.drawn_diameter_mm: drawn_diameter_mm must be a growing range within 3"),
        ("design: {factors: {margin: [1, 5]}, classes: {lobe: [a]}}", "exactly one of 'factors' and 'classes'"),
        ("design: {classes: {lobe: [a]}, fixed: {margin: 1}}", "fixed belongs to factors"),
        ("design: {factors: {margin: [1, 5]}}\n    drawn_nodules: 3", "design: brings its own nodules"),
        ("design: {factors: {margin: [1, 5]}}", "twins.them.design: cell {'margin': 1} of the design"),
        ("design: {classes: {colour: [1]}}", "condition 'colour' is no column"),
        ("design: {factors: {equivalent_diameter_mm: [4, 5, 6]}, per_twin: 2}", "per_twin must divide"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(text, words):
    with pytest.raises(SpecError) as caught:
        make_plan(study(f"    population: {{}}\n    {text}\n"))
    assert words in str(caught.value)


def test_the_guide_names_every_figure_of_the_truth():
    text = (Path(__file__).resolve().parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    table = text[text.index("## nodules.csv") :]
    twin = block((30, 30, 40), 2.0)
    (nodule,) = insert(twin, [Nodule(id="a", key=1, equivalent_diameter_mm=6, centre_mm=(15.0, -12.0, 11.0))])[
        1
    ].nodules
    figures = nodule.measures()
    assert [name for name in figures if f"`{name}`" not in table] == []
    assert figures["recist_diameter_mm"] == nodule.long_axis_mm
    assert {"volume_mm3", "lobe", "fleischner_diameter_mm"} < set(figures)
    assert all(value is None or isinstance(value, bool | int | float | str) for value in figures.values())
