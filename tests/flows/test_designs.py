"""Counterfactuals, visits, repeats, reconstructions of one acquisition: what is shared, and what is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flows.stages.following import at_their_largest, at_visit, growth_of
from flows.study import StudySpec, load_study, make_plan, resolve
from flows.study.targets import targets
from lesions import Nodule
from lesions.growth import Growth, doubling_time_days
from twins.pose import carried
from twins.specfile import SpecError, parse_spec

HEAD = """
name: designs
seed: 11
twin_spacing_mm: 6.0
scans:
  - {id: low, profile: siemens_definition_as, protocol: screening_low_dose}
  - {id: sharp, profile: siemens_definition_as, protocol: screening_low_dose, kernel: B60f, raw: low}
  - {id: again, profile: siemens_definition_as, protocol: screening_low_dose, repeats: 3}
twins:
  - id: them
"""

PERSON = "population: {sex: female, age_y: 63, height_cm: 164, bmi: 25, smoking: former}"


def study(text: str) -> StudySpec:
    return parse_spec(HEAD + text, StudySpec, name="study.yaml")


def cases(text: str):
    return {case.twin_id: case for case in make_plan(study(text)).cases}


PAIR = f"""
    {PERSON}
    nodules: [{{id: a, equivalent_diameter_mm: 9}}, {{id: b, equivalent_diameter_mm: 7}}]
    without: each
"""


def test_a_counterfactual_shares_anatomy_places_noise_and_labels():
    found = cases(PAIR)
    assert list(found) == ["them", "them-without-01", "them-without-02"]
    assert [case.left_out for case in found.values()] == [(), ("a",), ("b",)]
    first = found["them"]
    for case in found.values():
        assert (case.population, case.nodules, case.anatomy_id) == (first.population, first.nodules, "them")
        assert (case.placement_key, case.label_key) == (first.placement_key, first.label_key)
        assert [scan.key for scan in case.scans] == [scan.key for scan in first.scans]
    assert [case.base_came_before for case in found.values()] == [False, True, True]
    rows = make_plan(study(PAIR)).rows
    assert [row.nodules for row in rows[::5]] == ["a b", "b", "a"]
    assert list(cases(PAIR.replace("each", "all"))) == ["them", "them-without"]


def test_groups_of_a_design_share_the_noise_of_their_person():
    found = make_plan(
        study(f"""
    {PERSON}
    design: {{factors: {{equivalent_diameter_mm: [5, 8]}}, per_twin: 1}}
""")
    ).cases
    assert [scan.key for scan in found[0].scans] == [scan.key for scan in found[1].scans]
    assert found[0].nodules != found[1].nodules


def test_repeats_differ_in_noise_alone_and_reconstructions_of_one_acquisition_in_nothing_of_it():
    scans = {scan.scan_id: scan for scan in cases(f"    {PERSON}\n")["them"].scans}
    assert list(scans) == ["low", "sharp", "again-r01", "again-r02", "again-r03"]
    assert scans["low"].key == scans["sharp"].key
    assert len({scan.key for scan in scans.values()}) == 4
    assert len({scan.group for scan in scans.values()}) == 1
    assert scans["sharp"].image_s < scans["low"].image_s  # noise and corrections are there already


def test_a_scan_of_another_dose_is_no_reconstruction_of_the_same_raw_data():
    text = HEAD.replace("kernel: B60f, raw: low", "mas_per_rotation: 80, raw: low") + f"    {PERSON}\n"
    with pytest.raises(SpecError, match="both low, one acquisition, but differ in more than their reconstruction"):
        make_plan(parse_spec(text, StudySpec, name="study.yaml"))


SERIES = f"""
    {PERSON}
    nodules:
      - {{id: fast, equivalent_diameter_mm: 8, growth: {{model: exponential, vdt_days: 100}}}}
      - {{id: new, equivalent_diameter_mm: 9, growth: {{model: stable, appears_day: 100}}}}
      - {{id: drawn, type: part_solid, equivalent_diameter_mm: 12}}
    visits:
      - {{day: 0, scans: [low]}}
      - {{day: 200, scans: [low, again]}}
      - {{day: 365, scans: [sharp], aged: false}}
"""


def test_visits_are_one_person_growing_older():
    found = cases(SERIES)
    first, second, third = found.values()
    assert list(found) == ["them-v1", "them-v2", "them-v3"]
    assert [[scan.scan_id for scan in case.scans] for case in found.values()] == [
        ["low"],
        ["low", "again-r01", "again-r02", "again-r03"],
        ["sharp"],
    ]
    assert {case.person for case in found.values()} == {"them"}
    assert [case.anatomy_id for case in found.values()] == ["them", "them-v2", "them"]
    assert second.population.key == first.population.key
    assert second.population.age_y == pytest.approx(63 + 200 / 365.25, abs=0.01)
    assert third.population == first.population
    assert first.scans[0].key != second.scans[0].key  # other noise on another day
    homes = [case.home for case in found.values()]
    for home in homes:
        assert (home.twin_id, home.population, home.nodules) == ("them", first.population, first.nodules)
        assert home.placement_key == homes[0].placement_key
    again = resolve(make_plan(study(SERIES)).study)
    assert make_plan(again).cases == tuple(found.values())


class Known:
    """Stand-in for a truth: nodules with places."""

    def __init__(self, *nodules: Nodule) -> None:
        self.nodules = [KnownNodule(nodule) for nodule in nodules]


class KnownNodule:
    def __init__(self, nodule: Nodule) -> None:
        self.nodule, self.id, self.lobe = nodule, nodule.id, "RIGHT_UPPER_LOBE"


def test_a_nodule_at_a_visit_has_the_volume_of_its_law_at_its_place():
    third = list(cases(SERIES).values())[2]
    home = Known(*(nodule.at((10.0, 20.0, 30.0)) for nodule in third.nodules))
    there = {nodule.id: nodule for nodule in at_visit(third, home, {"drawn": "benign"}, None)}
    start = {nodule.id: nodule.target_volume_mm3 for nodule in third.nodules}
    grown = there["fast"].target_volume_mm3
    assert doubling_time_days(start["fast"], grown, 365) == pytest.approx(100, rel=1e-6)
    assert there["new"].target_volume_mm3 == start["new"]
    assert {nodule.centre_mm for nodule in there.values()} == {(10.0, 20.0, 30.0)}
    early = replace(third, visit=1)
    assert "new" not in {nodule.id for nodule in at_visit(early, home, {}, None)}
    room = {nodule.id: nodule.target_volume_mm3 for nodule in at_their_largest(third)}
    assert all(room[name] >= nodule.target_volume_mm3 * (1 - 1e-9) for name, nodule in there.items())


def test_drawn_growth_follows_the_label_and_stays_below_what_would_be_treated():
    case = next(iter(cases(SERIES).values()))
    case = replace(case, days=(0.0, 365.0, 730.0))
    drawn = {"malignant": [], "benign": []}
    for key in range(200):
        nodule = Nodule(id="n", key=key, equivalent_diameter_mm=8)
        for label, found in drawn.items():
            found.append(growth_of(case, nodule, None, malignant=label == "malignant"))
        assert growth_of(case, nodule, None, malignant=True) == drawn["malignant"][-1]
        volumes = [drawn["malignant"][-1].volume_mm3(nodule.target_volume_mm3, day) for day in case.days]
        assert max(volumes) <= np.pi / 6 * 30**3
    growing = {label: np.mean([g.vdt_days is not None for g in found]) for label, found in drawn.items()}
    assert growing["benign"] == pytest.approx(0.33, abs=4 * np.sqrt(0.33 * 0.67 / 200))
    assert growing["malignant"] > growing["benign"] + 0.1
    scar = Nodule(id="s", key=1, kind="scar", equivalent_diameter_mm=8)
    assert growth_of(case, scar, None, malignant=True) == Growth(model="stable")


@pytest.mark.slow
def test_a_place_is_carried_to_another_breath_and_back():
    first = next(iter(cases(SERIES).values())).population
    deep, flat = first.model_copy(update={"inflation": 1.0}), first.model_copy(update={"inflation": 0.85})
    points, lobes = np.array([[-60.0, 10.0, 40.0], [70.0, 20.0, -40.0]]), np.array([0, 4])
    there = carried(points, lobes, deep, flat)
    assert np.linalg.norm(there - points, axis=1).max() > 2
    np.testing.assert_allclose(carried(there, lobes, flat, deep), points, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("without: al", "twins.0.without"),
        ("visits: [{day: 5}]", "visits must begin at day 0 and follow one another"),
        ("visits: [{day: 0}, {day: -1}]", "twins.0.visits.1.day"),
        ("visits: [{day: 0, scans: [lo]}]", "twins.them.visits.0.scans: no scan 'lo'; did you mean 'low'?"),
        ("scans: [lwo]", "twins.them.scans: no scan 'lwo'; did you mean 'low'?"),
        ("visits: [{day: 0}]\n    without: all", "without: cannot be combined with 'visits'"),
        ("person: her\n    count: 2", "person: names one person, but count is 2"),
        ("visits: [{day: 0}, {day: 9000}]", "twins.them.visits.1: "),
        ("nodules: [{id: a, equivalent_diameter_mm: 8, growth: {model: exponential}}]", "vdt_days is needed for model"),
        ("scans: [low]", "scans: no twin gets sharp, again"),
        ("visits: 3", "twins.0.visits: must be a list (got 3)"),
        ("visits: [0]", "twins.0.visits.0: must be fields (key: value) (got 0)"),
        (
            "visits: [{day: 0}, {day: 400}]\n    nodules: [{id: a, equivalent_diameter_mm: 8, "
            "growth: {model: exponential, vdt_days: 30}}]",
            "twins.them.nodules.a.growth: nodule 'a' has an equivalent diameter of",
        ),
    ],
)
def test_a_mistake_in_a_design_is_named(text, words):
    with pytest.raises(SpecError) as caught:
        make_plan(study(f"    {PERSON.replace('63', '80')}\n    {text}\n"))
    assert words in str(caught.value)


def test_a_person_has_one_anatomy():
    text = f"    {PERSON}\n    person: her\n  - id: other\n    person: her\n    population: {{age_y: 70}}\n"
    with pytest.raises(SpecError, match=r"twins.other: person her has another anatomy in twins.them"):
        make_plan(study(text))


def test_what_is_achieved_stands_beside_what_was_aimed_at():
    found = {aim.figure: aim for aim in targets(make_plan(load_study("screening-cohort")).study)}
    assert found["age_y"].target == pytest.approx(61.4, abs=1)
    assert found["sex=male"].target == pytest.approx(0.591, abs=0.05)
    assert found["nodules per person"].target == pytest.approx(1.353, abs=0.01)
    assert found["nodules per person"].n == found["age_y"].n == 300
    p_values = [aim.p_value for aim in found.values() if aim.p_value is not None]
    assert np.mean(np.array(p_values) < 0.01) < 0.1
    none = targets(make_plan(study(f"    {PERSON}\n")).study)
    assert none == []


def test_two_profiles_of_one_name_are_two_files(tmp_path):
    from flows.build import _kept_profile

    names = set()
    for folder, text in (("a", "name: a\n"), ("b", "name: b\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(text, encoding="utf-8")
        names.add(_kept_profile(tmp_path / folder / "mine.yaml", tmp_path / "out"))
    assert len(names) == 2
    for name in names:  # a dataset built from the dataset's own study names them alike
        assert _kept_profile(tmp_path / "out" / name, tmp_path / "again") == name
