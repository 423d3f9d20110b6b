"""The tutorials run as they are written, command by command, and print what they say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .flows.exports.readers import reader_python
from .test_docs import command_line
from .tutorial import TUTORIALS, blocks_of, commands_of, matches, run_page

PAGES = ["first-dataset", "own-ct", "own-scanner", "counterfactual", "train"]


def page(name: str) -> Path:
    return TUTORIALS / f"{name}.md"


def test_all_tutorials_are_here():
    assert sorted(PAGES) == sorted(path.stem for path in TUTORIALS.glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_commands_options_studies_and_python_of_a_tutorial_are_real(name, tmp_path, monkeypatch):
    from flows.study import StudySpec
    from twins.specfile import parse_spec

    known = dict(command_line())
    assert commands_of(page(name))
    for words in commands_of(page(name)):
        path = next(p for p in sorted(known, key=len, reverse=True) if tuple(words[1 : 1 + len(p)]) == p)
        options = {opt for parameter in known[path].params for opt in (*parameter.opts, *parameter.secondary_opts)}
        assert {w.split("=")[0] for w in words if w.startswith("-") and w != "-"} <= options, words
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(page(name)):
        if block.language == "yaml":
            parse_spec(block.text, StudySpec, name=block.title)
        elif block.language == "python":
            ast.parse(block.text)


def test_text_that_is_not_printed_is_noticed():
    assert matches("a ... c\n", "a b\n c")
    assert not matches("a ... d\n", "a b c\n")
    assert not matches("a\n", "a\nb\n")


def test_a_scanner_is_made_and_a_wrong_one_refused_as_the_page_says(tmp_path):
    run_page(page("own-scanner"), tmp_path, until="Qualify it")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first-dataset", "own-ct", "own-scanner", "counterfactual"])
def test_a_tutorial_runs_as_the_page_says(name, tmp_path):
    run_page(page(name), tmp_path)


@pytest.mark.slow
def test_training_comes_to_its_first_batches(tmp_path):
    for package in ("torch", "monai", "nnunetv2"):
        python = reader_python(package)
    run_page(page("train"), tmp_path, python=python, more_bin=Path(python).parent)
