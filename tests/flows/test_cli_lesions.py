"""``lungtwin lesions sample``: specs that read back, a table that says the same, the same bytes for the same seed."""

from __future__ import annotations

import csv
import json

import pytest

from flows.cli import main
from lesions import Nodule


def sampled(folder, *options):
    assert main(["lesions", "sample", "--cohort", "screening", "--n", "40", "--out", str(folder), *options]) == 0
    specs = [
        Nodule.model_validate_json(line) for line in (folder / "specs.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        return specs, list(csv.DictReader(file))


def test_specs_and_table_say_the_same(tmp_path, capsys):
    specs, rows = sampled(tmp_path / "a")
    assert len(specs) == len(rows) == 40
    for spec, row in zip(specs, rows, strict=True):
        assert (spec.id, spec.type, spec.lobe) == (row["id"], row["type"], row["lobe"])
        assert spec.key == int(row["key"])
        assert spec.target_volume_mm3 == pytest.approx(float(row["volume_mm3"]), rel=1e-5)
        assert spec.margin == float(row["margin"])
    said = capsys.readouterr().out
    assert "screening" in said
    assert "truth.csv" in said


def test_a_seed_means_its_bytes(tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        sampled(tmp_path / name, "--seed", seed)
    first, again, other = ((tmp_path / name / "specs.jsonl").read_bytes() for name in "abc")
    assert first == again != other


def test_without_a_folder_specs_are_printed_and_a_table_of_ones_own_is_drawn_from(tmp_path, capsys):
    mine = tmp_path / "mine.csv"
    mine.write_text("deq_mm,spiculation\n7.5,4\n", encoding="utf-8")
    assert main(["lesions", "sample", "--cohort", str(mine), "--n", "3"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["id"], line["equivalent_diameter_mm"], line["spiculation"]) for line in lines] == [
        (f"n{k:06d}", 7.5, 4.0) for k in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cohort", "mars"], "neither a file nor one of lidc"),
        (["--smallest", "20", "--largest", "10"], "diameter_mm"),
        (["--cohort", "incidental_uk", "--smallest", "20"], "next to no nodules"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(options, words, capsys):
    assert main(["lesions", "sample", *options]) == 2
    said = capsys.readouterr().err
    assert words in " ".join(said.split())
    assert "Traceback" not in said
