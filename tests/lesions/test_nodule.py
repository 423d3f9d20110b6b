"""A nodule spec means one thing, or is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions import Nodule


def nodule(**fields) -> Nodule:
    return Nodule(**{"id": "a", "key": 1, "equivalent_diameter_mm": 10.0, **fields})


@given(d=st.floats(3, 30))
def test_diameter_and_volume_say_the_same(d):
    volume = math.pi / 6 * d**3
    by_volume = Nodule(id="a", key=1, volume_mm3=volume)
    assert nodule(equivalent_diameter_mm=d).target_volume_mm3 == pytest.approx(by_volume.target_volume_mm3, rel=1e-14)
    assert by_volume.target_diameter_mm == pytest.approx(d, rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"volume_mm3": 100.0}, "exactly one"),
        ({"equivalent_diameter_mm": None}, "exactly one"),
        ({"equivalent_diameter_mm": 1.0}, "greater than or equal to 3"),
        ({"elongation": 0.8}, "together"),
        ({"elongation": 0.6, "flatness": 0.8}, "must not exceed"),
        ({"elongation": 0.8, "flatness": 0.7, "sh_sd_l2": 0.1}, "give one of them"),
        ({"ground_glass_hu": -600.0}, "contradicts type 'solid'"),
        ({"type": "ground_glass", "ground_glass_hu": -600.0, "ground_glass_fraction": 0.3}, "give one of them"),
        ({"solid_core_ratio": 0.5}, "contradicts"),
        ({"type": "ground_glass", "solid_core_ratio": 0.5}, "contradicts"),
        ({"margin_mm": 5.5}, "at most half"),
        ({"n_spicules": 5, "spiculation": 2.0}, "spiculation"),
        ({"margin": 5.0, "margin_mm": 1.5}, "margin_mm 1.5 contradicts margin 5"),
        ({"texture": 1.0, "type": "solid"}, "texture 1 contradicts type 'solid'"),
        ({"lobulation": 4.0, "sh_sd": 0.01}, "sh_sd 0.01 contradicts lobulation 4"),
        ({"spiculation": 4.0, "n_spicules": 0}, "n_spicules 0 contradicts spiculation 4"),
        ({"sphericity": 5.0, "elongation": 0.5, "flatness": 0.3}, "flatness 0.3 contradicts sphericity 5"),
        ({"calcification": "absent", "calcium_fraction": 0.2}, "0.2 contradicts calcification 'absent'"),
        ({"calcification": "central", "type": "ground_glass"}, "'central' contradicts type"),
        ({"internal_structure": "soft_tissue", "fat_fraction": 0.4}, "'soft_tissue' contradicts fat"),
        ({"internal_structure": "air", "necrosis_ratio": 0.7}, "cavity_wall_mm 2.0 and necrosis_ratio 0.7"),
        ({"kind": "cavitary", "cavity_wall_mm": 5.0}, "leaves no cavity"),
        ({"kind": "hamartoma", "type": "ground_glass"}, "contradicts kind 'hamartoma'"),
        ({"kind": "mucus_plug", "n_spicules": 4}, "n_spicules contradicts kind 'mucus_plug'"),
        ({"axis": (1.0, 1.0, 0.0)}, "unit vector"),
        ({"max_distance_to_pleura_mm": 1.0}, "below min_distance_to_pleura_mm 2"),
        ({"centre_mm": (0.0, math.nan, 0.0)}, "finite"),
        ({"equivalent_diameter_mm": 40.0, "texture_correlation_mm": 1.0}, "25th"),
        ({"lobe": "MIDDLE"}, "RIGHT_MIDDLE_LOBE"),
        ({"diameter": 4.0}, "extra"),
        ({"id": "a b"}, "pattern"),
        ({"key": 2**64}, "less than"),
    ],
)
def test_a_contradiction_is_refused_with_its_reason(fields, words):
    with pytest.raises(ValueError, match=words):
        nodule(**fields)


@pytest.mark.parametrize(("hu", "fraction"), [(-700, 0.17), (-600, 0.28), (-450, 0.45), (-300, 0.62)])
def test_ground_glass_hu_is_a_soft_fraction(hu, fraction):
    assert nodule(type="ground_glass", ground_glass_hu=hu).soft_fraction == pytest.approx(fraction, abs=0.005)


def test_a_spec_survives_json():
    spec = nodule(
        type="part_solid", solid_core_ratio=0.4, centre_mm=(1.5, -2.25, 1e-3), key=2**64 - 1, lobe="LEFT_UPPER_LOBE"
    )
    assert Nodule.model_validate_json(spec.model_dump_json()) == spec


def test_streams_are_functions_of_key_and_name():
    a, b = nodule(), nodule(equivalent_diameter_mm=20.0)
    assert a.stream("x").random() == b.stream("x").random()
    assert a.stream("x").random() != a.stream("y").random()
    assert a.stream("x").random() != nodule(key=2).stream("x").random()


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"n_spicules": 24}, "spiculation", 4.0),
        ({"margin_mm": 0.8}, "margin", 3.0),
        ({"margin": 3.0}, "margin_mm", 0.8),
        ({"type": "ground_glass"}, "texture", 1.0),
        ({"elongation": 0.8, "flatness": 0.6}, "sphericity", 3.0),
        ({"cavity_wall_mm": 2.0}, "internal_structure", "air"),
        ({"internal_structure": "fluid"}, "necrosis_ratio", 0.7),
        ({"internal_structure": 3}, "fat_fraction", 0.5),
        ({"calcification": 5}, "calcium_fraction", 0.2),
        ({"calcium_fraction": 0.9}, "calcification", "diffuse"),
        ({"kind": "perifissural"}, "attachment", "fissure"),
        ({"kind": "hamartoma"}, "calcification", "popcorn"),
    ],
)
def test_what_is_set_gives_its_twin_and_is_kept_apart_from_it(fields, name, value):
    spec = nodule(**fields)
    assert getattr(spec.attributes, name) == (pytest.approx(value) if isinstance(value, float) else value)
    assert spec.derived()[name] == getattr(spec.attributes, name)
    assert not set(spec.derived()) & set(fields)


@pytest.mark.parametrize(
    ("rating", "kind"), [(1.0, "ground_glass"), (1.9, "ground_glass"), (2, "part_solid"), (4, "solid")]
)
def test_a_texture_rating_is_a_type(rating, kind):
    assert nodule(texture=rating).type == kind


def test_what_a_kind_implies_gives_way_to_what_is_said():
    spec = nodule(kind="hamartoma", lobulation=1.0, calcification="absent", fat_fraction=0.4)
    assert (spec.attributes.lobulation, spec.attributes.calcification, spec.attributes.fat_fraction) == (
        1.0,
        "absent",
        0.4,
    )


def test_a_volume_that_follows_from_the_form_is_not_guessed():
    with pytest.raises(ValueError, match=r"sizing\.sized"):
        _ = Nodule(id="a", key=1, mean_diameter_mm=8.0).target_volume_mm3
