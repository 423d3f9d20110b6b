"""What the documents say is true: the README's commands exist and run, its Python runs, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands(program: str) -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    split = [shlex.split(line, comments=True) for line in lines]
    return [words for words in split if words and words[0] == program]


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(path, command)]
    return [leaf for name, child in inner.items() for leaf in leaves(child, (*path, name))]


def command_line() -> list[tuple[tuple[str, ...], click.Command]]:
    from flows.cli.app import app

    return leaves(typer.main.get_command(app))


def run(words: list[str], cwd: Path) -> str:
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]], capture_output=True, encoding="utf-8", cwd=cwd, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readme_names_every_command_and_only_commands_that_exist():
    known = {path for path, _ in command_line()}
    shown = {
        max((p for p in known if tuple(words[1 : 1 + len(p)]) == p), key=len, default=None)
        for words in commands("lungtwin")
    }
    assert None not in shown
    assert known == shown


@pytest.mark.parametrize("path", [path for path, _ in command_line()], ids=" ".join)
def test_every_command_explains_itself(path):
    command = dict(command_line())[path]
    assert command.help
    assert all(getattr(parameter, "help", None) for parameter in command.params if parameter.name != "help")


@pytest.mark.parametrize(
    "words",
    [
        w
        for w in commands("lungtwin")
        if " ".join(w[1:3]) in {"plan demo", "profiles list", "profiles show", "profiles diff"} or w[1] == "doctor"
    ],
    ids=lambda w: " ".join(w[1:3]),
)
def test_a_light_command_of_the_readme_runs_as_printed(words, tmp_path):
    assert run(words, tmp_path)


def test_the_readme_options_are_those_of_the_commands():
    known = dict(command_line())
    for words in commands("lungtwin"):
        path = next(p for p in sorted(known, key=len, reverse=True) if tuple(words[1 : 1 + len(p)]) == p)
        options = {opt for parameter in known[path].params for opt in parameter.opts}
        assert {w for w in words if w.startswith("--")} <= options, words


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in commands("make"):
        assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE), words


def test_the_python_of_the_readme_runs(tmp_path):
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) <= 10
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert "probability" in done.stdout
    assert (tmp_path / "ct.nii.gz").stat().st_size > 100_000


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_study_shown_in_the_documents_is_one(tmp_path):
    from flows.study import StudySpec
    from twins.specfile import parse_spec

    (text,) = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs" / "studies.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    study = parse_spec(text, StudySpec, name="studies.md")
    assert study.name == "my-host"


def test_the_page_on_profiles_runs(tmp_path):
    page = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    (profile,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "my_scanner.yaml").write_text(profile, encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    assert code.count("assert") >= 6
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=400
    )
    assert done.returncode == 0, done.stderr
    run(["lungtwin", "profiles", "validate", "my_scanner.yaml"], tmp_path)
    known = {path for path, _ in command_line()}
    shown = re.findall(r"lungtwin ((?:[a-z]+ ?)+)", page)
    assert all(any(tuple(words.split()[: len(path)]) == path for path in known) for words in shown), shown


def test_the_page_on_labels_runs(tmp_path, monkeypatch, capsys):
    from flows.cli import main

    page = (ROOT / "docs" / "labeling.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```csv\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "nodules.csv").write_text(table, encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    assert code.count("assert") >= 9
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=400
    )
    assert done.returncode == 0, done.stderr
    shown = [line for block in re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL) for line in block.splitlines()]
    split = [shlex.split(line, comments=True) for line in shown]
    known = dict(command_line())
    for words in split:
        options = {opt for parameter in known[tuple(words[1:3])].params for opt in parameter.opts}
        assert {w for w in words if w.startswith("--")} <= options, words
    monkeypatch.chdir(tmp_path)
    for words in split[:4]:
        assert main(words[1:]) == 0, capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"nodules.csv", "nodules_scored.csv", "both.csv", "brock-2b.md"}
