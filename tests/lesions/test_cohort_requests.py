"""What may be asked of a cohort: conditions, fixed fields, tables of one's own; what cannot be is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from lesions import draw
from lesions.cohorts import Cohort, draw_table, load_cohort, read_table, resample


def test_what_touches_needs_a_lobe_and_no_given_place():
    table = draw_table(np.random.default_rng(3), 1, cohort="screening", conditions={"attachment": "vessel"})
    assert table.nodule(0, name="a").attachment == "vessel"
    assert table.nodule(0, name="a", fields={"lobe": "RIGHT_LOWER_LOBE"}).attachment == "vessel"
    for fields in ({"lobe": None}, {"centre_mm": (1.0, 2.0, 3.0)}, {"max_distance_to_pleura_mm": 5.0}):
        assert table.nodule(0, name="a", fields=fields).attachment is None
    assert table.nodule(0, name="a", fields={"lobe": None, "attachment": "pleura"}).attachment == "pleura"
    data = load_cohort("screening").model_dump()
    data["attached"] = [{"shares": {"pleura": 0.7, "vessel": 0.6}}]
    with pytest.raises(ValueError, match=r"shares must sum to 1 at most, got 1\.3"):
        Cohort.model_validate(data)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"conditions": {"colour": 3}}, "no column"),
        ({"conditions": {"spiculation": (4, 2)}}, "lowest, highest"),
        ({"conditions": {"lobe": "MIDDLE"}}, "next to no nodules"),
        ({"cohort": "mars"}, "not known; there are lidc"),
        ({"diameter_mm": (2.0, 8.0)}, "diameter_mm"),
        ({"diameter_mm": (8.0, 8.0)}, "diameter_mm"),
        ({"diameter_mm": (35.0, 40.0)}, "next to no nodules"),
    ],
)
def test_what_a_cohort_does_not_have_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        draw_table(np.random.default_rng(1), 1, **options)


def test_a_cohort_that_leaves_a_class_of_nodules_without_lobes_is_refused():
    data = load_cohort("lidc").model_dump()
    data["lobes"] = data["lobes"][:1]
    with pytest.raises(ValueError, match="0 rows are for malignant = False, spiculated = True"):
        Cohort.model_validate(data)


def test_a_range_and_fixed_fields_are_honoured():
    fixed = {"lobe": "RIGHT_UPPER_LOBE", "type": "part_solid"}
    drawn = draw(np.random.default_rng(1), 50, diameter_mm=(8.0, 12.0), fields=fixed, name="x{:02d}")
    assert {n.lobe for n in drawn} == {"RIGHT_UPPER_LOBE"}
    assert {n.type for n in drawn} == {"part_solid"}
    assert all(8 <= n.target_diameter_mm <= 12 for n in drawn)
    assert [n.id for n in drawn[:2]] == ["x01", "x02"]
    assert draw(np.random.default_rng(1), 1, fields={"volume_mm3": 500.0})[0].volume_mm3 == 500


@pytest.mark.parametrize(
    "fixed",
    [
        {"margin_mm": 0.1},
        {"n_spicules": 20},
        {"type": "ground_glass"},
        {"texture": 3},
        {"kind": "scar"},
        {"elongation": 0.5, "flatness": 0.4},
        {"ground_glass_hu": -500.0, "type": "part_solid"},
        {"calcium_fraction": 0.3, "type": "solid"},
        {"cavity_wall_mm": 1.0, "equivalent_diameter_mm": 12.0},
        {"mean_diameter_mm": 9.0},
    ],
)
def test_a_fixed_field_replaces_what_was_drawn_of_the_same_thing(fixed):
    for nodule in draw(np.random.default_rng(4), 200, fields=fixed):
        for name, value in fixed.items():
            assert getattr(nodule, name) == value


def test_a_table_of_ones_own_is_drawn_from(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(
        "# mine\ndavg_mm,spiculation,type,lobe,malignancy\n10.94,1,solid,,2\n21.88,5,part_solid,LEFT_LOWER_LOBE,5\n",
        encoding="utf-8",
    )
    table = read_table(file)
    np.testing.assert_allclose(table["equivalent_diameter_mm"], [10, 20])
    drawn = resample(table, np.random.default_rng(3), 4000)
    small = drawn["equivalent_diameter_mm"] < 15
    assert small.mean() == pytest.approx(0.5, abs=0.03)
    assert set(drawn["spiculation"][~small]) == {5}
    assert set(drawn["lobe"][~small]) == {"LEFT_LOWER_LOBE"}
    assert len(set(drawn["key"])) == 4000
    assert resample(table, np.random.default_rng(3), 5, diameter_mm=(15, 25))["texture"].tolist() == [3.0] * 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("davg_mm,colour\n3,4\n", "column 'colour' is not known"),
        ("spiculation\n3\n", "a size is wanted"),
        ("davg_mm\n", "no rows"),
        ("davg_mm,margin\n8,4\n8,7\n", "row 3: margin must be a number within 1-5, got '7'"),
        ("davg_mm,lobe\n8,MIDDLE\n", "row 2: lobe must be one of"),
    ],
)
def test_a_table_with_a_mistake_is_refused_with_its_place(tmp_path, text, words):
    file = tmp_path / "mine.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_table(file)
