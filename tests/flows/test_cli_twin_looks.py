"""``lungtwin twin draw|show|check``: specs that build, views that open, cards that judge."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import twins
from flows.cli import main
from flows.report.twin_page import section_hu
from twins import Structure, TwinSpec
from twins.card import card
from twins.specfile import parse_spec, read_spec


@pytest.fixture(scope="module")
def twin_file(dataset):
    return dataset.root / "twins" / "woman.h5"


def test_drawn_persons_are_specs_that_read_back(tmp_path, capsys):
    assert main(["twin", "draw", "--cohort", "copd", "--seed", "4"]) == 0
    shown = parse_spec(capsys.readouterr().out, TwinSpec, name="drawn")
    assert shown.copd
    assert main(["twin", "draw", "--cohort", "copd", "--seed", "4", "--n", "3", "--out", str(tmp_path / "people")]) == 0
    files = sorted((tmp_path / "people").iterdir())
    people = [read_spec(file, TwinSpec) for file in files]
    assert [file.name for file in files] == ["001.yaml", "002.yaml", "003.yaml"]
    assert people[0] == shown
    assert len({person.key for person in people}) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["draw", "--cohort", "nslt"], "did you mean 'nlst'?"),
        (["draw", "--cohort", "mine.csv"], "no such file: mine.csv"),
        (["check"], "either twin files or --n"),
        (["check", "a.h5", "--n", "2"], "either twin files or --n"),
        (["check", "gone.h5", "-q"], "gone.h5"),
        (["check", "."], "no twin files (.h5) in this folder"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["twin", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_the_card_of_a_file_is_printed_kept_and_decides_the_status(twin_file, tmp_path, capsys):
    found = card(twins.load(twin_file))
    kept = tmp_path / "cards.json"
    assert main(["twin", "check", str(twin_file), "--cards", str(kept), "-q"]) == (1 if found.outside else 0)
    said = capsys.readouterr().out
    assert f"of {sum(item.counted for item in found.items)} counted items inside their bands" in said
    (data,) = json.loads(kept.read_text(encoding="utf-8")).values()
    assert {row["name"]: row["value"] for row in data["items"]} == {item.name: item.value for item in found.items}


def test_several_files_are_a_population_beside_real_ones(twin_file, tmp_path, capsys):
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("a.h5", "b.h5"):
        shutil.copy(twin_file, folder / name)
    assert main(["twin", "check", str(folder), "--cohort", "nlst", "--against", str(twin_file), "-q"]) in (0, 1)
    said = capsys.readouterr().out
    assert "counted items have 95 % of the twins inside" in said
    assert "real CTs (1)" in said
    assert "2 persons against the cohort nlst" in said
    assert "height_cm" in said


def test_a_twin_is_shown_as_a_page_and_as_a_picture(twin_file, tmp_path, capsys):
    page, picture = tmp_path / "twin.html", tmp_path / "twin.png"
    assert main(["twin", "show", str(twin_file), "--out", str(page)]) == 0
    assert main(["twin", "show", str(twin_file), "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text
    assert "right_lung_percent" in text
    assert "lung_volume_l" in text
    capsys.readouterr()
    assert main(["twin", "show", str(twin_file), "--out", str(tmp_path / "twin.txt")]) == 2
    assert "ends in .html or .png" in capsys.readouterr().err


def test_sections_are_on_the_hounsfield_scale(twin_file):
    twin = twins.load(twin_file)
    hu = section_hu(twin, (slice(None),))
    assert np.median(hu[twin.structure == Structure.OUTSIDE]) == pytest.approx(-1000, abs=2)
    # liver at 70 keV: 54 HU; its own texture averages out
    assert np.median(hu[twin.structure == Structure.LIVER]) == pytest.approx(54, abs=8)
