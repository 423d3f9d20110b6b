"""Progress: fractions become time left, bars become lines where no terminal shows them, and --quiet and --json hold."""

import io
import json
from time import sleep

import pytest
from rich.console import Console

from flows.cli import console, main
from flows.progress import Meter, TimeLeft


def test_the_time_left_is_that_of_a_steady_rate_and_runs_down_between_reports():
    left = TimeLeft()
    assert left.at(1.0) is None
    for step in range(1, 6):
        left.tell(0.05 * step, 3.0 * step)  # 60 s in all
    assert left.at(15.0) == pytest.approx(45.0)
    assert left.at(20.0) == pytest.approx(40.0)
    assert left.at(900.0) == 0.0


def test_what_was_found_done_says_nothing_of_the_rate():
    left = TimeLeft()
    for fraction in (0.3, 0.6, 0.8):  # three quarters found in the store
        left.tell(fraction, 0.01 + fraction / 10)
    for step in range(1, 11):
        left.tell(0.8 + 0.01 * step, 0.1 + 2.0 * step)
    assert left.at(20.1) == pytest.approx(20.1)


def test_a_meter_turns_parts_into_one_rising_fraction():
    told = []
    meter = Meter(4.0, lambda fraction, what: told.append((fraction, what)))
    with meter.part("one", 1.0) as progress:
        progress(0.5)
    meter.skip(1.0, "two")
    with meter.part("three", 2.0) as progress:
        progress(2.0)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert (0.125, "one") in told
    assert (0.5, "two") in told


def test_verify_tells_how_far_it_is_within_a_check_too(dataset):
    from flows.verification import verify

    told = []
    findings = verify(dataset.root, progress=lambda fraction, what: told.append((fraction, what)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert len({what for _, what in told}) == len(findings)
    assert sum(what.startswith("images are int16") for _, what in told) == 1 + len(dataset.manifest)


@pytest.fixture
def on(monkeypatch):
    """The console of errors, on a terminal or not, and a clock that the test turns."""

    def install(*, terminal):
        shown, now = io.StringIO(), [0.0]
        monkeypatch.setattr(
            console, "errors", Console(file=shown, force_terminal=terminal, width=110, color_system=None)
        )
        monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
        return shown, now

    yield install
    console.ask_for()


def test_without_a_terminal_progress_is_a_line_now_and_then(on):
    shown, now = on(terminal=False)
    with console.bar("build x") as report:
        for second in range(1, 3601):
            now[0] = float(second)
            report(second / 3600, f"image {second}")
    lines = shown.getvalue().splitlines()
    assert lines[0] == "build x    0 %  0:05, left 59:55  image 5"
    assert 15 < len(lines) < 45
    assert "\x1b" not in shown.getvalue()


def test_what_is_over_at_once_prints_no_line(on):
    shown, now = on(terminal=False)
    with console.bar("build x") as report:
        now[0] = 2.0
        report(1.0, "image 1")
    assert shown.getvalue() == ""


def test_a_terminal_shows_a_bar_with_the_time_left(on):
    shown, now = on(terminal=True)
    with console.bar("build x") as report:
        now[0] = 30.0
        report(0.25, "image 1")
        sleep(0.3)  # it is drawn ten times a second
    assert "left 1:30" in shown.getvalue()
    assert "image 1" in shown.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_nothing(on, terminal):
    shown, now = on(terminal=terminal)
    console.ask_for(quiet=True)
    with console.bar("x") as report, console.waiting("y"):
        assert report is None
    now[0] = 100.0
    assert shown.getvalue() == ""


def test_an_answer_is_json_whatever_is_in_it(capsys, tmp_path):
    import numpy as np

    console.answer({"never": "shown"})
    console.ask_for(as_json=True)
    console.answer({"path": tmp_path, "nan": float("nan"), 3: (np.float32(0.5), np.arange(2), True, "\u00e4")})
    console.ask_for()
    said = capsys.readouterr().out
    assert said.isascii()  # also where the terminal is not UTF-8
    assert json.loads(said) == {"path": str(tmp_path), "nan": None, "3": [0.5, [0, 1], True, "\u00e4"]}


JSON = [
    ["doctor"],
    ["plan", "TINY"],
    ["verify", "DATASET"],
    ["verify", "DATASET", "--quiet"],
    ["report", "DATASET"],
    ["export", "DATASET", "-f", "list"],
    ["export", "DATASET", "-f", "luna16", "-o", "OUT"],
    ["twin", "draw"],
    ["twin", "show", "TWIN"],
    ["twin", "export", "TWIN", "-o", "OUT"],
    ["profiles", "list"],
    ["profiles", "show", "siemens_force"],
    ["profiles", "diff", "siemens_force", "siemens_definition_as"],
    ["label", "models"],
    ["label", "card", "brock-2b"],
    ["lesions", "sample", "--n", "2"],
    ["lesions", "sample", "--n", "2", "-o", "OUT"],
]


@pytest.mark.parametrize("words", JSON, ids=" ".join)
def test_with_json_standard_output_is_one_document(words, dataset, tiny, tmp_path, capsys):
    places = {"TINY": tiny, "DATASET": dataset.root, "OUT": tmp_path / "out", "TWIN": dataset.root / "twins/woman.h5"}
    assert main([*(str(places.get(word, word)) for word in words), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)
    if "--quiet" in words:
        assert said.err == ""


def test_json_says_what_the_text_says(dataset, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(dataset.root, tmp_path / "copy")
    (copy / "study.yaml").write_text("name: other\n", encoding="utf-8")
    assert main(["verify", str(copy), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] is False
    assert "study.yaml: changed since the build" in found["checks"][0]["problems"]


def test_the_next_command_prints_for_people_again(capsys):
    assert main(["label", "card", "brock-2b", "--json", "-q"]) == 0
    capsys.readouterr()
    assert main(["label", "card", "brock-2b"]) == 0
    assert capsys.readouterr().out.startswith("# Model card")


def test_a_mistake_leaves_standard_output_empty(capsys):
    assert main(["plan", "dmeo", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "did you mean" in said.err


def test_a_fault_of_our_own_is_status_3_with_a_traceback(capsys, monkeypatch):
    def broken():
        raise ZeroDivisionError("no such luck")

    monkeypatch.setattr("flows.doctor.examine", broken)
    assert main(["doctor"]) == 3
    said = capsys.readouterr().err
    assert "no such luck" in said
    assert "report it" in said
    with pytest.raises(ZeroDivisionError):
        main(["doctor", "--debug"])


def test_too_little_memory_is_one_line_and_status_2(capsys, monkeypatch):
    def starved():
        raise MemoryError("Unable to allocate 90 GiB")

    monkeypatch.setattr("flows.doctor.examine", starved)
    assert main(["doctor"]) == 2
    assert "Unable to allocate 90 GiB" in capsys.readouterr().err


def test_an_interruption_is_status_130(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.doctor.examine", interrupted)
    assert main(["doctor"]) == 130
    assert "run the same command again" in capsys.readouterr().err
