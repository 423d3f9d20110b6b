"""``make gpu-check`` before there is a GPU: its script runs to the end on a stand-in for CuPy.

All that the machine it is for has not got is out of reach: no pydantic, SimpleITK, pandas...
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

BARE = """
import runpy, shutil, sys
from importlib.metadata import packages_distributions
THERE = {"numpy", "scipy", "numba", "llvmlite", "h5py", "pytest", "_pytest", "pluggy", "iniconfig", "packaging"}
MISSING = {*packages_distributions(), "lesions", "labeling", "flows"} - THERE - {"pygments", "ctsim", "twins"}
assert {"pydantic", "SimpleITK", "pandas", "nibabel", "ruamel"} <= MISSING
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r} on the bare machine", name=name)
sys.path[:0] = [".", "scripts"]
import pytest
sys.meta_path.insert(0, Bare())
"""

WITH_DEVICE = """
from tests.ctsim.fake_cupy import install
from tests.ctsim.fake_cupyx_fft import install_fft
patch = pytest.MonkeyPatch()
install(patch, lambda name, package: shutil.which(name))
install_fft(patch)
sys.argv = ["gpu_check.py", "--tiny", "--json", sys.argv[1]]
runpy.run_path("scripts/gpu_check.py", run_name="__main__")
"""


def run(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8")


def test_the_check_starts_on_a_bare_machine():
    done = run(BARE + 'runpy.run_path("scripts/gpu_check.py")')
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_check_passes_on_a_bare_machine_with_a_device(tmp_path, system_tool):
    system_tool("g++", "g++")
    found = tmp_path / "found.json"
    done = run(BARE + WITH_DEVICE, str(found))
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(found.read_text(encoding="utf-8"))
    assert facts["device"] == "Fake device"
    assert facts["is_tiny"]
    passed = [row["what"] for row in facts["rows"] if row["passed"]]
    for part in ("projection", "moments", "readings", "line integrals", "image, fdk", "image, wfbp"):
        assert any(what.startswith(f"{part}") and "same bytes" not in what for what in passed), part
        assert any(what.startswith(f"{part}") and "same bytes" in what for what in passed) or part == "line integrals"
    measured = [row["what"] for row in facts["rows"] if row["unit"] in ("M readings/s", "GUPS", "s", "h (estimate)")]
    assert len(measured) >= 8


def test_without_a_device_the_check_says_what_to_do():
    done = subprocess.run([sys.executable, "scripts/gpu_check.py"], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    assert "backend 'gpu'" in done.stdout


def test_a_part_that_breaks_down_is_a_row_that_failed_and_the_others_go_on(tmp_path):
    code = """
import sys
from pathlib import Path
sys.path.insert(0, "scripts")
from gpu_table import Table
table = Table({"device": "none"}, Path(sys.argv[1]))
table.part("first", lambda: 1 / 0)
table.part("second", lambda: table.add("fine", 1.0, good=True))
print(table.n_failed)
"""
    found = tmp_path / "found.json"
    done = run(code, str(found))
    assert done.stdout.splitlines()[-1] == "1"
    assert "ZeroDivisionError" in done.stderr
    rows = json.loads(found.read_text(encoding="utf-8"))["rows"]
    assert [(row["what"], row["passed"]) for row in rows] == [("first: broke down", False), ("fine", True)]
