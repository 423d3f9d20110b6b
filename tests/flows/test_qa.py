"""``lungtwin qa`` on a small scanner of one's own: every examination runs, is written, and misses what it should."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from ctsim import load_profile
from ctsim.quality.acceptance import EXAMINATIONS, qualify, windmill
from ctsim.quality.acceptance.bench import Bench
from flows.cli.app import main
from flows.cli.qa import NAMES


def small_profile(kernels=(("soft", 0.15, 0.26),)):
    """A scanner of 96 x 8 cells of 2.7 mm at the axis, with the rest of a shipped profile."""
    data = load_profile("siemens_definition_as").model_dump(mode="json", exclude_none=True)
    scanner = data["scanner"]
    scanner |= {
        "name": "small",
        "model": "small",
        "views_per_rotation": 240,
        "collimations_rows": [8],
        "kvp_stations": [120],
    }
    scanner["flying_focal_spots"], scanner["spectral_filters"] = [], []
    scanner["detector"] |= {
        "n_columns": 96,
        "column_pitch_mm": 5.0,
        "isocentre_column": 47.75,
        "n_rows": 8,
        "row_pitch_iso_mm": 2.0,
    }
    scanner["dose_indices"] = [d for d in scanner["dose_indices"] if d["kvp"] == 120]
    source = {"source": "invented for a test", "status": "estimated"}
    gone = ("flying_focal_spots", "spectral_filters")
    for entry in data["sources"]:
        entry["fields"] = [f for f in entry["fields"] if not f.startswith(gone)]
    data["sources"] = [entry for entry in data["sources"] if entry["fields"]]
    data["kernels"] = [{"name": n, "mtf50_per_mm": a, "mtf10_per_mm": b, **source} for n, a, b in kernels]
    data["name"] = "small"
    reconstruction = {"kernel": "soft", "fov_mm": 200.0, "matrix": 64, "slice_thickness_mm": 4.0, "increment_mm": 4.0}
    data["protocols"] = [
        {"name": "axial", "kvp": 120, "mode": "axial", "collimation_rows": 8, "rotation_s": 1.0,
         "bowtie": scanner["dose_indices"][0]["bowtie"], "mas_per_rotation": 100.0, "reconstruction": reconstruction,
         **source}
    ]  # fmt: skip
    return data


def written(data, folder):
    path = folder / "small.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(data, stream)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qa")
    status = main(["qa", str(written(small_profile(), folder)), "--out", str(folder / "out"), "--quiet"])
    return status, json.loads((folder / "out" / "qa.json").read_text(encoding="utf-8")), folder / "out"


def test_every_quantity_is_examined(finished):
    _, found, _ = finished
    assert (found["format"], found["version"], found["level"]) == ("lungtwin qa", 2, "quick")
    assert {row["quantity"] for row in found["rows"]} >= {
        "CT number of air", "CT number of inserts", "CT number of water", "Different images of one key",
        "Line integrals", "MTF10", "MTF50", "NPS mean frequency", "Noise", "Noise against mAs", "Slice profile FWHM",
        "Tabulated moments", "Two-basis signal", "Uniformity of water", "Windmill",
    }  # fmt: skip


def test_a_sound_small_scanner_misses_no_bar_but_what_its_cells_are_too_coarse_for(finished):
    _, found, _ = finished
    missed = [f"{row['quantity']}, {row['condition']}: {row['measured']}" for row in found["rows"] if not row["passed"]]
    assert not missed


def test_the_exit_status_says_whether_a_bar_was_missed(finished):
    status, found, _ = finished
    assert status == (0 if found["passed"] else 1)
    assert found["passed"] == all(row["passed"] for row in found["rows"])


def test_pictures_are_written(finished):
    _, _, folder = finished
    names = {path.name for path in folder.glob("*.png")}
    assert len(names) >= 6
    assert all(path.stat().st_size > 3000 for path in folder.glob("*.png"))


def test_an_unknown_level_is_refused(capsys, tmp_path):
    assert main(["qa", str(written(small_profile(), tmp_path)), "--level", "thorough"]) == 2
    assert "level must be quick or full" in capsys.readouterr().err


def test_one_examination_may_be_run_alone(tmp_path):
    profile = str(written(small_profile(), tmp_path))
    chosen = ["--only", "threads", "--only", "moments"]
    assert main(["qa", profile, *chosen, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    found = json.loads((tmp_path / "out" / "qa.json").read_text(encoding="utf-8"))
    assert {row["examination"] for row in found["rows"]} == {"moments", "threads"}


def test_an_unknown_examination_is_refused_with_a_suggestion(capsys, tmp_path):
    assert main(["qa", str(written(small_profile(), tmp_path)), "--only", "slice-profil"]) == 2
    assert "'slice-profil'; did you mean 'slice-profile'?" in capsys.readouterr().err
    assert ", ".join(EXAMINATIONS) == NAMES
    with pytest.raises(ValueError, match="at least one"):
        qualify(load_profile("siemens_definition_as"), only=[])


def test_a_scan_whose_rows_are_steps_shows_a_windmill(monkeypatch, tmp_path):
    def coarse(exposure, protocol, key):
        scan = detect(exposure, protocol, key=key)
        return replace(scan, line_integral=np.repeat(scan.line_integral[:, ::4], 4, axis=1))

    detect = windmill.detect
    monkeypatch.setattr(windmill, "detect", coarse)
    profile = load_profile(str(written(small_profile(), tmp_path)))
    (row,) = windmill.windmill(Bench(profile, "quick")).rows
    assert not row.passed
    assert row.measured > 5


def accuracy_table():
    path = Path(__file__).resolve().parents[2] / "scripts" / "accuracy_table.py"
    spec = importlib.util.spec_from_file_location("accuracy_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.table


def test_the_accuracy_table_holds_every_quantity_and_names_what_was_missed(finished):
    _, found, _ = finished
    table = accuracy_table()
    lines = table([found]).splitlines()
    assert lines[-1] == "- small, quick: no bar missed."
    spoilt = json.loads(json.dumps(found))
    row = next(r for r in spoilt["rows"] if r["quantity"] == "CT number of water")
    row |= {"measured": -3.21, "passed": False}
    lines = table([found, spoilt]).splitlines()
    (water,) = (line for line in lines if line.startswith("| water, no scatter"))
    assert "**-3.21**, 1 of 1 missed" in water
    assert "-3.21 against 0 +- 1 HU" in lines[-1]
    later = found | {"rows": [row for row in found["rows"] if row["examination"] == "water"]}
    assert table([spoilt, later]) == table([found])  # the last water counts, whatever else was run with it
    spoilt["rows"].append(row | {"quantity": "Smell"})
    with pytest.raises(ValueError, match="Smell"):
        table([spoilt])
