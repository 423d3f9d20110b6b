"""Spec errors name file, line, field, value and what would be right."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field

from twins.specfile import SpecError, parse_spec, read_spec


class Tube(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kvp: float = Field(ge=70, le=150, description="Tube potential [kV]")
    name: str = "a"


class House(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tubes: tuple[Tube, ...]
    named: dict[str, Tube] = {}
    either: Tube | str = "none"


def errors(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, House, name="house.yaml")
    return str(caught.value).splitlines()


def test_a_value_out_of_range_is_named_with_range_file_and_line():
    assert errors("tubes:\n  - kvp: 80\n  - kvp: 40\n") == [
        "house.yaml:3: tubes.1.kvp: must be between 70 and 150 (got 40)"
    ]


def test_an_unknown_key_gets_a_suggestion():
    assert errors("tubes:\n  - kvp: 80\n    nmae: b\n") == [
        "house.yaml:3: tubes.0.nmae: unknown key; did you mean 'name'?"
    ]
    assert errors("tubes: []\nnamed:\n  x: {kvp: 80, what: 1}\n") == [
        "house.yaml:3: named.x.what: unknown key; known: kvp, name"
    ]


def test_all_problems_are_listed_at_once():
    assert errors("tubes:\n  - name: b\ntbues: 3\n") == [
        "house.yaml:2: tubes.0.kvp: required, but not given",
        "house.yaml:3: tbues: unknown key; did you mean 'tubes'?",
    ]


def test_broken_yaml_and_missing_files_are_spec_errors(tmp_path):
    assert errors("tubes: [")[0].startswith("house.yaml:1: not valid YAML")
    assert errors("- 1\n") == ["house.yaml:1: expected fields (key: value), found a list"]
    assert errors("") == ["house.yaml:1: expected fields (key: value), found nothing"]
    with pytest.raises(SpecError, match=r"none\.yaml: no such file"):
        read_spec(tmp_path / "none.yaml", House)


class Street(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    houses: tuple[House, ...] = Field(min_length=1)
    width_mm: float | None = Field(default=None, gt=0, le=9)


def test_bounds_are_named_for_optional_fields_and_a_spoilt_list_is_one_mistake():
    with pytest.raises(SpecError) as caught:
        parse_spec("width_mm: 10\nhouses:\n  - tubes:\n      - kvp: 1\n", Street, name="s.yaml")
    assert str(caught.value).splitlines() == [
        "s.yaml:1: width_mm: must be between above 0 and 9 (got 10)",
        "s.yaml:4: houses.0.tubes.0.kvp: must be between 70 and 150 (got 1)",
    ]


def test_a_good_file_is_read_with_plain_values(tmp_path):
    path = tmp_path / "house.yaml"
    path.write_text("tubes:\n  - {kvp: 120, name: 'x'}\neither: {kvp: 80}\n", encoding="utf-8")
    house = read_spec(path, House)
    assert house.tubes == (Tube(kvp=120, name="x"),)
    assert house.either == Tube(kvp=80)
    assert type(house.tubes[0].name) is str
