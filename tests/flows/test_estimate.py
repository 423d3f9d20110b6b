"""Estimates of a build, the rates that they rest on, and whether kernels are compiled."""

import os
from dataclasses import fields
from types import SimpleNamespace

import pytest

from ctsim import Sampling, load_profile
from ctsim.plan import TYPICAL, Rates
from flows.study import compilation, load_study, make_plan
from flows.study.estimate import image_s, scan_plan
from flows.study.rates import measure_rates

PROFILE = load_profile("siemens_definition_as")


def test_every_rate_is_measured_and_of_the_order_of_a_computer():
    rates = measure_rates()
    assert isinstance(rates, Rates)
    for field in fields(Rates):
        found, typical = getattr(rates, field.name), getattr(TYPICAL, field.name)
        assert 0 <= found < 30 * typical, field.name
    assert rates.update_s > 0
    assert rates.detected_s > 0
    assert rates.plane_s + 64 * rates.covered_s > 0
    assert measure_rates() is rates


def test_slower_machines_take_longer_in_proportion():
    study = load_study("demo")
    slow = Rates(*(3 * getattr(TYPICAL, field.name) for field in fields(Rates)))
    typical, slower = make_plan(study), make_plan(study, rates=slow)
    scan, slow_scan = typical.cases[0].scans[0], slower.cases[0].scans[0]
    assert 2.5 * scan.exposure_s < slow_scan.exposure_s <= 3 * scan.exposure_s
    assert typical.estimated_memory_mb == slower.estimated_memory_mb > 300
    assert "estimated_memory_mb" in typical.csv().splitlines()[0]


def test_a_chest_is_scanned_over_the_lungs_where_no_range_is_asked_for():
    protocol = PROFILE.protocol("screening_low_dose")
    sampling = Sampling(views_per_rotation=96, column_binning=8, row_binning=8)
    whole = scan_plan(PROFILE.scanner, protocol, sampling, 2.0, TYPICAL, 1)
    there = protocol.model_copy(update={"scan_range_mm": (-1300.0, -960.0)})
    asked = scan_plan(PROFILE.scanner, there, sampling, 2.0, TYPICAL, 1)
    assert asked.readings == whole.readings
    assert asked.exposure_s == pytest.approx(whole.exposure_s, rel=0.1)
    assert image_s(whole, protocol) > whole.detection_s + whole.reconstruction_s


def test_a_kernel_counts_as_compiled_while_its_cache_is_not_older_than_its_source(tmp_path):
    source = tmp_path / "walk.py"
    source.write_text("def step():\n    pass\n", encoding="utf-8")
    code = compile(source.read_text(encoding="utf-8"), str(source), "exec")
    names = {}
    exec(code, names)
    kernel = SimpleNamespace(py_func=names["step"], stats=SimpleNamespace(cache_path=str(tmp_path / "cache")))
    assert not compilation._is_cached(kernel)
    (tmp_path / "cache").mkdir()
    index = tmp_path / "cache" / "walk.step-1.py311.nbi"
    index.touch()
    assert compilation._is_cached(kernel)
    os.utime(source, (index.stat().st_mtime + 10,) * 2)
    assert not compilation._is_cached(kernel)


def test_only_what_is_not_compiled_is_told(monkeypatch, capsys):
    from flows.cli.console import tell_of_compilation

    monkeypatch.setattr(compilation, "_is_cached", lambda _: True)
    tell_of_compilation(quiet=False)
    assert compilation.compiling_s() == 0
    monkeypatch.setattr(compilation, "_is_cached", lambda _: False)
    assert compilation.compiling_s() == compilation.COMPILING_S
    tell_of_compilation(quiet=True)
    assert capsys.readouterr().err == ""
    tell_of_compilation(quiet=False)
    assert "compiling kernels (once, about" in capsys.readouterr().err
