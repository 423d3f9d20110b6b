"""A study says everything, once; what is wrong in it is named by file, line and field."""

import pytest

from flows.study import StudySpec, load_study, make_plan, preset_names, resolve
from twins.specfile import SpecError, parse_spec


def broken(tiny, old: str, new: str) -> str:
    text = tiny.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(SpecError) as caught:
        make_plan(parse_spec(text.replace(old, new, 1), StudySpec, name="study.yaml"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 7", "sead: 7", r"study.yaml:4: sead: unknown key; did you mean 'seed'?"),
        ("smoking: former", "smokign: former", "did you mean 'smoking'?"),
        ("type: solid,", "typ: solid,", "did you mean 'type'?"),
        ("age_y: 63", "age_y: 630", "study.yaml:9: twins.0.population.age_y"),
        ("equivalent_diameter_mm: 16", "equivalent_diameter_mm: 160", "study.yaml:11: twins.0.nodules.0"),
        ("type: solid,", "type: solid, solid_core_ratio: 0.5,", "study.yaml:11: twins.0.nodules.0: solid_core_ratio"),
        ("siemens_definition_as", "siemens_definition", "did you mean 'siemens_definition_as'?"),
        ("screening_low_dose", "screening_low", "did you mean 'screening_low_dose'?"),
        ("id: high", "id: low", "scans: ids must differ, low"),
        ("id: faint", "id: big", "nodules: ids must differ"),
        ("id: woman", "id: Wo man", "study.yaml:8: twins.0.id"),
        ("mas_per_rotation: 130", "mas_per_rotation: 1300", "impossible"),
        ("slice_thickness_mm: 5, ", "slice_thickness_mm: 1, ", "increment_mm must not exceed"),
        ("seed: 7", "seed: 7\nlabel_model: brok-2b", "did you mean 'brock-2b'?"),
        ("seed: 7", "seed: 7\nlabel_model: plcom2012", "is a model of participants, not of nodules"),
        ("seed: 7", "seed: 7\nlabel_mode: threshold", "label_threshold must be given"),
        ("seed: 7", "seed: 7\nlabel_threshold: 0.5", "only for it, got 0.5 for bernoulli"),
        ("seed: 7", "seed: 7\nlabel_mode: soft", "label_draws must be 1 for label_mode soft"),
        ("population: {", "people: nslt\n    population: {", "unknown cohort of persons 'nslt'; did you mean 'nlst'"),
        ("population: {", "patient: {file: a.h5}\n    population: {", "exactly one of 'population' and 'patient'"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(tiny, old, new, message):
    assert message in broken(tiny, old, new)


def test_an_unknown_preset_suggests_the_near_one():
    with pytest.raises(SpecError, match="neither a file nor a preset; did you mean 'demo'"):
        load_study("dmeo")


def test_a_missing_patient_file_is_named(tmp_path, tiny):
    text = tiny.read_text(encoding="utf-8")
    start, stop = text.index("    population"), text.index("    nodules")
    (tmp_path / "study.yaml").write_text(
        text[:start] + "    patient: {file: gone.h5}\n" + text[stop:], encoding="utf-8"
    )
    with pytest.raises(SpecError, match=r"twins\.woman\.patient\.file: no such file: .*gone\.h5"):
        load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_resolves_and_says_what_it_answers(name):
    study = load_study(name)
    assert study.name == name
    assert study.question.endswith((".", "?"))
    assert len(make_plan(study).rows) >= 1


def test_resolving_twice_changes_nothing(tiny):
    once = resolve(load_study(tiny))
    assert resolve(once) == once


def test_the_demo_has_a_woman_a_man_three_types_and_two_doses_of_one_exposure():
    plan = make_plan(load_study("demo"))
    assert {case.population.sex for case in plan.cases} == {"female", "male"}
    assert all({n.type for n in case.nodules} == {"solid", "part_solid", "ground_glass"} for case in plan.cases)
    assert len({row.mas_per_rotation for row in plan.rows}) == 2
    assert len({row.kernel for row in plan.rows}) == 2
    assert len({row.exposure_group for row in plan.rows}) == 1


def with_twins(study: StudySpec, twins) -> StudySpec:
    return study.model_copy(update={"twins": tuple(twins)})


def test_slices_of_another_thickness_share_an_exposure_unless_they_fix_its_range():
    from ctsim import Sampling, load_profile
    from flows.study.plan import _group

    profile = load_profile("siemens_definition_as")
    thin = profile.protocol("screening_low_dose")
    thick = thin.model_copy(
        update={"reconstruction": thin.reconstruction.model_copy(update={"slice_thickness_mm": 5.0})}
    )
    groups = {
        host: [_group(profile.scanner, protocol, Sampling(), host_grid=host) for protocol in (thin, thick)]
        for host in (False, True)
    }
    assert groups[False][0] == groups[False][1]
    assert len({groups[False][0], *groups[True]}) == 3


def test_what_is_drawn_for_a_twin_does_not_depend_on_the_others():
    study = load_study("demo")
    woman, man = study.twins
    drawn = {case.twin_id: case for case in make_plan(study).cases}
    alone = make_plan(with_twins(study, [man])).cases[0]
    swapped = {case.twin_id: case for case in make_plan(with_twins(study, [man, woman])).cases}
    assert alone == drawn["man"]
    assert swapped == drawn


def test_all_keys_of_a_study_differ():
    keys = []
    for case in make_plan(load_study("demo")).cases:
        keys += [case.population.key, case.placement_key, case.label_key, *(n.key for n in case.nodules)]
        keys += [scan.key for scan in case.scans]
    assert len(set(keys)) == len(keys)


def test_a_counted_entry_becomes_that_many_people_and_drawn_nodules_are_whole():
    study = load_study("demo")
    entry = study.twins[0].model_copy(update={"count": 3, "drawn_nodules": 2, "nodules": ()})
    plan = make_plan(with_twins(study, [entry]))
    assert [case.twin_id for case in plan.cases] == ["woman-001", "woman-002", "woman-003"]
    assert len({case.population for case in plan.cases}) == 3
    assert all([n.id for n in case.nodules] == ["n1", "n2"] for case in plan.cases)
    assert len({n.key for case in plan.cases for n in case.nodules}) == 6


def test_the_plan_table_has_one_row_per_image_and_positive_estimates():
    plan = make_plan(load_study("demo"))
    lines = plan.csv().splitlines()
    assert len(lines) == 1 + len(plan.rows) == 5
    assert all(row.estimated_s > 0 and row.estimated_mb > 0 for row in plan.rows)


def test_an_entry_names_the_cohort_of_its_people():
    study = load_study("demo")
    population = study.twins[0].population.model_copy(update={"copd": None})
    entry = study.twins[0].model_copy(update={"count": 12, "people": "copd", "population": population})
    people = [case.population for case in make_plan(with_twins(study, [entry])).cases]
    assert all(person.copd for person in people)
    once = resolve(with_twins(study, [entry]))
    assert resolve(once) == once
