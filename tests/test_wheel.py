"""The wheel holds all that the packages read, and works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("twins", "lesions", "ctsim", "labeling", "flows")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel unpacked, as an installation has it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, cwd: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-P", *words], cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_five_packages_and_no_tests(installed):
    here = {
        path.relative_to(ROOT)
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if "__pycache__" not in path.parts and path.is_file()
    }
    there = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert here <= there
    assert not [path for path in there if path.parts[0] not in {*ROOMS, "lungtwin-0.1.0.dist-info"}]


def test_installed_packages_are_used_and_find_their_data(installed, tmp_path):
    code = (
        f"import {', '.join(ROOMS)}\n"
        "print(*{m.__file__.rsplit('/', 2)[0] for m in (twins, lesions, ctsim, labeling, flows)})\n"
        "assert twins.known_materials() and labeling.get('brock-2b')\n"
        "assert [ctsim.load_profile(name) for name in ctsim.profile_names()]\n"
    )
    assert run(installed, tmp_path, "-c", code).split() == [str(installed)]
    assert "woman" in run(installed, tmp_path, "-m", "flows", "plan", "demo")


@pytest.mark.slow
def test_the_wheel_builds_a_dataset(installed, tmp_path):
    study = ROOT / "tests" / "flows" / "tiny.yaml"
    run(installed, tmp_path, "-m", "flows", "build", str(study), "--out", "set", "--quiet")
    assert "sound" in run(installed, tmp_path, "-m", "flows", "verify", "set", "--quiet")
