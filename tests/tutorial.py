"""Runs a page of the documentation as it is written: its files, its commands, its Python, and what they print.

A fenced block with a title is a file. Blocks of ``sh`` are commands (those of ``lungtwin`` run in this process), blocks
of ``python`` without a title are scripts, and a block of ``text`` is what the block before it printed, with ``...`` for
what may differ.
"""

from __future__ import annotations

import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from flows.cli import main

TUTORIALS = Path(__file__).resolve().parent.parent / "docs" / "tutorials"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    language: str
    title: str | None
    text: str


def blocks_of(page: Path, until: str | None = None) -> list[Block]:
    """The fenced blocks of a page, in order; of those before a heading, where one is named."""
    text = page.read_text(encoding="utf-8")
    if until is not None:
        text = text[: text.index(f"\n## {until}\n")]
    found = re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)
    return [Block(language, title or None, text) for language, title, text in found]


def commands_of(page: Path) -> list[list[str]]:
    """The commands of ``lungtwin`` on a page, as words."""
    lines = [line for block in blocks_of(page) if block.language == "sh" for line in block.text.splitlines()]
    split = [shlex.split(re.split(r"\s(?:>|2>|&&|\|\|)\s", line)[0], comments=True) for line in lines]
    return [words for words in split if words and words[0] == "lungtwin"]


def run_page(
    page: Path, folder: Path, *, until: str | None = None, python: str = sys.executable, more_bin: Path | None = None
) -> None:
    """Run a page in ``folder``, with ``python`` for its scripts and ``more_bin`` at the end of the path."""
    shims = folder / ".bin"
    shims.mkdir()
    for name, target in (("python", python), ("lungtwin", str(BIN / "lungtwin"))):
        (shims / name).write_text(f'#!/bin/sh\nexec "{target}" "$@"\n', encoding="utf-8")
        (shims / name).chmod(0o755)
    path = os.pathsep.join([str(shims), str(BIN), os.environ["PATH"], *([str(more_bin)] if more_bin else [])])
    env = {**os.environ, "PATH": path, "COLUMNS": "120", "PYTHONUTF8": "1"}
    printed = ""
    for block in blocks_of(page, until):
        if block.title is not None:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            printed = _sh(block.text, folder, env)
        elif block.language == "python":
            printed = _script([python, "-W", "error", "-c", block.text], folder, env)
        elif block.language == "text":
            assert matches(block.text, printed), f"{page.name} says\n{block.text}\nbut what is printed is\n{printed}"


def matches(expected: str, printed: str) -> bool:
    """Whether a text is what was printed, spaces aside and with ``...`` for anything."""
    a, b = (" ".join(text.split()) + "\n" for text in (expected, printed))
    return doctest.OutputChecker().check_output(a, b, doctest.ELLIPSIS)


def _sh(text: str, folder: Path, env: dict[str, str]) -> str:
    lines = text.splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    plain = all(words[:1] == ["lungtwin"] for words in split) and not re.search(r"[|&<>$*;]", text)
    if not plain:
        return _script(["bash", "-euo", "pipefail", "-c", text], folder, env)
    before, printed = Path.cwd(), io.StringIO()
    os.chdir(folder)
    try:
        for words in split:
            said = io.StringIO()
            with redirect_stdout(printed), redirect_stderr(said):
                status = main(words[1:])
            assert status == 0, f"{shlex.join(words)}: status {status}\n{printed.getvalue()}{said.getvalue()}"
    finally:
        os.chdir(before)
    return printed.getvalue()


def _script(words: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=1200)
    assert done.returncode == 0, f"{words[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout
