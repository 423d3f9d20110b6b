"""The command line: every command explains itself, and a user's mistake is one line and status 2."""

import sys

import numpy as np
import pytest

from ctsim import RawScan, correct, load_profile, reconstruct
from flows.cli import main

COMMANDS = [
    [], ["build"], ["plan"], ["scan"], ["verify"], ["report"], ["doctor"], ["serve"],
    ["twin"], ["twin", "import"], ["twin", "build"], ["twin", "draw"], ["twin", "show"], ["twin", "check"],
    ["profiles"], ["profiles", "list"], ["profiles", "show"], ["profiles", "validate"], ["profiles", "diff"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words, capsys):
    assert main([*words, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "dmeo", "--out", "x"], "did you mean 'demo'?"),
        (["plan", "gone.yaml"], "gone.yaml"),
        (["verify", "nowhere"], "no such folder"),
        (["scan", "gone.h5", "siemens_definition_as", "diagnostic", "--out", "a.nii.gz"], "gone.h5"),
        (["scan", "gone.h5", "siemens_definition_as", "diagnostc", "--out", "a.nii.gz"], "did you mean 'diagnostic'?"),
        (["twin", "import", "gone.nii.gz", "--out", "a.h5"], "gone.nii.gz"),
        (["twin", "build", "--out", "a.txt"], "ends in .h5"),
        (["profiles", "show", "simens_definition_as"], "did you mean 'siemens_definition_as'?"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_a_mistake_was_found():
    with pytest.raises(ValueError, match="did you mean 'demo'"):
        main(["plan", "dmeo", "--debug"])


def test_an_unknown_command_is_status_2(capsys):
    assert main(["biuld"]) == 2
    assert "biuld" in capsys.readouterr().err


def test_the_plan_is_printed_and_written_as_csv(tiny, tmp_path, capsys):
    assert main(["plan", str(tiny), "--csv", str(tmp_path / "plan.csv")]) == 0
    assert "2 images of 1 twins" in capsys.readouterr().out
    assert len((tmp_path / "plan.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_verify_says_what_is_wrong_and_ends_with_status_1(dataset, tmp_path, capsys):
    import shutil

    assert main(["verify", "-q", str(dataset.root)]) == 0
    assert "the dataset is sound" in capsys.readouterr().out
    copy = shutil.copytree(dataset.root, tmp_path / "copy")
    (copy / "study.yaml").write_text("name: other\n", encoding="utf-8")
    assert main(["verify", "-q", str(copy)]) == 1
    assert "study.yaml: changed since the build" in capsys.readouterr().out


def test_a_twin_file_is_scanned_on_its_own(dataset, tmp_path, capsys):
    import SimpleITK as sitk

    image = tmp_path / "scan.nii.gz"
    words = ["scan", str(dataset.root / "twins/woman.h5"), "siemens_definition_as", "axial", "--out", str(image)]
    raw = tmp_path / "raw.h5"
    choice = ["--fidelity", "preview", "--matrix", "64", "--strength", "3", "--raw", str(raw), "-q"]
    assert main([*words, *choice]) == 0
    assert sitk.ReadImage(str(image)).GetSize()[:2] == (64, 64)
    assert str(image) in capsys.readouterr().out
    readings = RawScan.load(raw)  # the same image comes out of the raw data
    assert readings.protocol.reconstruction.iterative_strength == 3
    kernel = load_profile("siemens_definition_as").kernel(readings.protocol.reconstruction.kernel)
    again = reconstruct(correct(readings), kernel=kernel)
    assert np.array_equal(again.hu, sitk.GetArrayFromImage(sitk.ReadImage(str(image))))


def test_the_doctor_finds_this_machine_fit(capsys):
    assert main(["doctor"]) == 0
    assert "FastAPI" in capsys.readouterr().out


def test_a_gpu_that_is_not_there_is_one_line_with_the_fix(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    words = ["scan", str(dataset.root / "twins/woman.h5"), "siemens_definition_as", "axial", "--out"]
    assert main([*words, str(tmp_path / "x.nii.gz"), "--backend", "gpu", "-q"]) == 2
    assert "or use backend 'cpu'" in capsys.readouterr().err.replace("\n", " ")
    assert not list(tmp_path.iterdir())
