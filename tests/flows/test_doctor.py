"""The doctor: each thing that can lack is named with how to get it, and only what is needed makes status 1."""

import ctypes
import json
import shutil
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from flows import doctor
from flows.cli import main


def found(name):
    (check,) = [check for check in doctor.examine() if check.name == name]
    return check


def test_what_is_not_fine_says_how_to_get_it():
    for check in doctor.examine():
        assert check.verdict == "fine" or check.remedy, check


def test_a_missing_program_is_optional_and_its_package_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    check = found("dciodvfy")
    assert check.verdict == "missing"
    assert "apt install dicom3tools" in check.remedy


def test_a_missing_package_of_an_extra_names_the_extra(monkeypatch):
    def version(name):
        if name == "highdicom":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", version)
    check = found("extra dicom")
    assert (check.verdict, check.found) == ("missing", "without highdicom")
    assert "pip install 'lungtwin[dicom]'" in check.remedy


def test_every_extra_of_the_distribution_is_known():
    from importlib.metadata import metadata

    known = {*doctor.EXTRAS, "gpu12", "gpu13", "dev"}
    assert set(metadata("lungtwin").get_all("Provides-Extra")) <= known


@pytest.mark.parametrize("driver", [True, False])
def test_a_gpu_lacks_its_driver_or_cupy(monkeypatch, driver):
    import sys

    def load(name):
        if not driver:
            raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setitem(sys.modules, "cupy", None)
    check = doctor._gpu()
    assert check.verdict == "missing"
    assert ("lungtwin[gpu12]" if driver else "no NVIDIA driver") in check.found
    assert "use backend" not in check.found


def test_a_full_disk_is_a_trouble_and_status_1(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=2**28))
    assert main(["doctor", "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["disk here"]["verdict"] == "trouble"
    assert checks["disk here"]["remedy"] == "make room"


def test_a_terminal_without_utf8_is_told(monkeypatch):
    import sys

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding="ascii"))
    assert "LANG=C.UTF-8" in doctor._terminal().remedy


def test_threads_left_idle_are_told(monkeypatch):
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _pid: set(range(512)), raising=False)
    assert "NUMBA_NUM_THREADS=512" in doctor._threads().remedy
