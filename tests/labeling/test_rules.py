"""Rule systems give the category that their tables give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling import CovariateError, bts_2015, fleischner_2017, lung_rads

ORDER = ["1", "2", "3", "4A", "4B", "4X"]


def rads(size, kind="solid", version="2022", core=None, **more):
    record = {"mean_diameter_mm": size, "nodule_type": kind, "solid_mean_diameter_mm": core, "spiculation": False}
    return lung_rads([{**record, **more}], version).category[0]


# (size mm, category) at each boundary, from the tables of Lung-RADS v2022 and 1.1, which agree here
SOLID = {
    "baseline": [(1, "2"), (5.9, "2"), (6, "3"), (7.9, "3"), (8, "4A"), (14.9, "4A"), (15, "4B"), (80, "4B")],
    "new": [(1, "2"), (3.9, "2"), (4, "3"), (5.9, "3"), (6, "4A"), (7.9, "4A"), (8, "4B")],
    "growing": [(3, "4A"), (7.9, "4A"), (8, "4B")],
}
# (total mm, solid part mm, category)
PART_SOLID = {
    "baseline": [
        (5.9, 5, "2"),
        (6, 0, "3"),
        (20, 5.9, "3"),
        (8, 6, "4A"),
        (20, 7.9, "4A"),
        (8, 8, "4B"),
        (20, 8, "4B"),
    ],
    "new": [(5.9, 2, "3"), (6, 3.9, "4A"), (20, 4, "4B")],
    "growing": [(5.9, 2, "4A"), (10, 3.9, "4A"), (10, 4, "4B")],
}
NONSOLID = {
    "baseline": [(29.9, "2"), (30, "3")],
    "new": [(29.9, "2"), (30, "3")],
    "growing": [(29.9, "2"), (30, "3")],
    "slow_growing": [(10, "2"), (30, "2")],
    "stable": [(10, "2"), (30, "2")],
}


@pytest.mark.parametrize("version", ["2022", "1.1"])
@pytest.mark.parametrize(("change", "size", "category"), [(c, *row) for c, rows in SOLID.items() for row in rows])
def test_lung_rads_of_solid_nodules(version, change, size, category):
    assert rads(float(size), change=change, version=version) == category


@pytest.mark.parametrize("version", ["2022", "1.1"])
@pytest.mark.parametrize(
    ("change", "size", "core", "category"), [(c, *r) for c, rows in PART_SOLID.items() for r in rows]
)
def test_lung_rads_of_part_solid_nodules(version, change, size, core, category):
    assert rads(float(size), "part_solid", core=float(core), change=change, version=version) == category


@pytest.mark.parametrize("version", ["2022", "1.1"])
@pytest.mark.parametrize(("change", "size", "category"), [(c, *row) for c, rows in NONSOLID.items() for row in rows])
def test_lung_rads_of_ground_glass(version, change, size, category):
    assert rads(float(size), "nonsolid", change=change, version=version) == category


def test_lung_rads_rounds_the_mean_diameter_to_one_decimal():
    assert rads(5.94) == "2"
    assert rads(5.95) == "3"


def test_a_smooth_juxtapleural_nodule_below_10_mm_is_category_2_and_1_1_knows_only_perifissural_ones():
    assert rads(9.9, juxtapleural_smooth=True) == "2"
    assert rads(10.0, juxtapleural_smooth=True) == "4A"
    assert rads(9.9, juxtapleural_smooth=True, version="1.1") == "4A"
    assert rads(9.9, perifissural=True, version="1.1") == "2"
    assert rads(9.9, juxtapleural_smooth=True, change="growing") == "4B"
    assert rads(9.9, "part_solid", core=7.0, juxtapleural_smooth=True) == "4A"  # solid ones only


def test_spiculation_makes_3_and_4_a_4x_and_leaves_2_alone():
    assert [rads(s, spiculation=True) for s in (5.0, 6.0, 8.0, 15.0)] == ["2", "4X", "4X", "4X"]


def test_benign_calcification_is_category_1():
    assert rads(20.0, spiculation=True, benign_calcification=True) == "1"


def test_slow_growth_is_4b_in_2022_and_stability_2_in_1_1_and_what_has_no_rule_is_refused():
    assert rads(5.0, change="slow_growing") == "4B"
    assert rads(20.0, change="stable", version="1.1") == "2"
    with pytest.raises(CovariateError, match="'stable' for a solid or part-solid nodule in row 0.*earlier one"):
        rads(20.0, change="stable")
    with pytest.raises(CovariateError, match="no rule"):
        rads(20.0, change="slow_growing", version="1.1")


@given(size=st.floats(0.5, 80), more=st.floats(0, 20), kind=st.sampled_from(["solid", "nonsolid"]))
def test_lung_rads_never_falls_with_size(size, more, kind):
    assert ORDER.index(rads(size + more, kind)) >= ORDER.index(rads(size, kind))


def test_1_1_says_that_it_is_unverified_and_both_name_their_source():
    table = {"mean_diameter_mm": [7.0], "nodule_type": ["solid"], "spiculation": [False]}
    old, new = lung_rads(table, "1.1"), lung_rads(table)
    assert "Unverified" in old.status
    assert "nverified" not in new.status
    assert "American College of Radiology" in old.source
    assert (old.system, new.system) == ("Lung-RADS 1.1", "Lung-RADS v2022")
    assert new.management[0] == "CT in 6 months"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean_diameter_mm": None}, "mean_diameter_mm is missing in 1 of 1 rows"),
        ({"mean_diameter_mm": 0.0}, "mean_diameter_mm must be above 0 mm, got 0"),
        ({"nodule_type": "ground_glass"}, "nodule_type must be one of solid, part_solid, nonsolid, got 'ground_glass'"),
        ({"nodule_type": "part_solid"}, "missing column solid_mean_diameter_mm"),
        ({"nodule_type": "part_solid", "solid_mean_diameter_mm": 9.0}, "must be 0 to mean_diameter_mm, got 9 of 7 mm"),
        ({"change": "shrinking"}, "change must be one of baseline"),
        ({"spiculation": None}, "spiculation is missing"),
        ({"spiculation": "yes"}, "spiculation must be true or false"),
    ],
)
def test_lung_rads_refuses_what_it_cannot_read(change, said):
    with pytest.raises(CovariateError, match=said):
        lung_rads([{"mean_diameter_mm": 7.0, "nodule_type": "solid", "spiculation": False, **change}])
    with pytest.raises(ValueError, match="version must be"):
        lung_rads([], "2019")


def fleischner(size, kind="solid", count=1, high_risk=False, **more):
    record = {"mean_diameter_mm": size, "nodule_type": kind, "nodule_count": count, "high_risk": high_risk, **more}
    ruling = fleischner_2017([record])
    return ruling.category[0], ruling.management[0]


@pytest.mark.parametrize(
    ("size", "count", "high", "category", "management"),
    [
        (5.4, 1, False, "<6 mm", "no routine follow-up"),
        (5.4, 1, True, "<6 mm", "optional CT at 12 months"),
        (5.5, 1, False, "6-8 mm", "CT at 6-12 months, then consider CT at 18-24 months"),  # rounded to 6 mm
        (8.4, 1, True, "6-8 mm", "CT at 6-12 months, then at 18-24 months"),
        (8.5, 1, False, ">8 mm", "consider CT at 3 months, PET/CT or tissue sampling"),
        (20.0, 1, True, ">8 mm", "consider CT at 3 months, PET/CT or tissue sampling"),
        (4.0, 3, True, "<6 mm", "optional CT at 12 months"),
        (7.0, 3, False, "6-8 mm", "CT at 3-6 months, then consider CT at 18-24 months"),
        (12.0, 3, True, ">8 mm", "CT at 3-6 months, then at 18-24 months"),
    ],
)
def test_fleischner_of_solid_nodules(size, count, high, category, management):
    assert fleischner(size, count=count, high_risk=high) == (category, management)


@pytest.mark.parametrize(
    ("kind", "size", "count", "begins"),
    [
        ("nonsolid", 5.0, 1, "no routine"),
        ("nonsolid", 6.0, 1, "CT at 6-12 months, then every 2 years until 5 years"),
        ("part_solid", 5.0, 1, "no routine"),
        ("part_solid", 6.0, 1, "CT at 3-6 months; if unchanged"),
        ("nonsolid", 5.0, 2, "CT at 3-6 months; if stable, consider CT at 2 and 4 years"),
        ("part_solid", 9.0, 2, "CT at 3-6 months, then by the most suspicious"),
    ],
)
def test_fleischner_of_subsolid_nodules_asks_no_risk(kind, size, count, begins):
    category, management = fleischner(size, kind, count, high_risk=None)
    assert management.startswith(begins)
    assert category == ("<6 mm" if size < 6 else ">=6 mm")


def test_fleischner_is_not_for_the_young_or_for_people_with_cancer():
    assert fleischner(7.0, age_y=34.0)[0] == fleischner(7.0, personal_cancer=True)[0] == "not applicable"
    assert fleischner(7.0, age_y=35.0, personal_cancer=False)[0] == "6-8 mm"
    with pytest.raises(CovariateError, match="high_risk is missing"):
        fleischner(7.0, high_risk=None)


def bts(size, kind="solid", brock=None, **more):
    return bts_2015([{"long_axis_mm": size, "nodule_type": kind, "brock_probability": brock, **more}]).category[0]


def test_bts_first_step_is_by_size_or_by_volume_where_it_is_known():
    assert [bts(s) for s in (4.9, 5.0, 7.9)] == ["discharge", "surveillance", "surveillance"]
    assert bts(4.0, volume_mm3=80.0) == "surveillance"
    assert bts(6.0, volume_mm3=79.0) == "discharge"
    assert bts(7.0, volume_mm3=300.0, brock=0.2) == "PET and Herder"
    assert bts(12.0, perifissural=True) == bts(12.0, benign_calcification=True) == "discharge"
    assert bts(12.0, "nonsolid") == "surveillance, sub-solid"


def test_bts_second_step_is_by_brock_and_herder():
    assert bts(8.0, brock=0.0999) == "surveillance"
    assert bts(8.0, brock=0.10) == "PET and Herder"
    after = [bts(20.0, brock=0.3, herder_probability=h) for h in (0.0999, 0.10, 0.70, 0.701, None)]
    assert after == ["surveillance", "biopsy", "biopsy", "treat", "PET and Herder"]
    with pytest.raises(CovariateError, match="brock_probability is missing"):
        bts(8.0)
    with pytest.raises(CovariateError, match="brock_probability must be 0 to 1, got 30"):
        bts(8.0, brock=30.0)
    assert "secondary" in bts_2015([]).status


def test_rulings_go_row_by_row():
    rng = np.random.default_rng(2)
    n = 400
    table = {
        "mean_diameter_mm": rng.uniform(1, 35, n),
        "nodule_type": rng.choice(["solid", "part_solid", "nonsolid"], n),
        "spiculation": rng.random(n) < 0.2,
        "change": rng.choice(["baseline", "new", "growing"], n),
    }
    table["solid_mean_diameter_mm"] = table["mean_diameter_mm"] * rng.random(n)
    whole = lung_rads(table).category
    alone = [lung_rads({k: v[i : i + 1] for k, v in table.items()}).category[0] for i in range(n)]
    assert whole.tolist() == alone
    assert set(whole) == {"2", "3", "4A", "4B", "4X"}
