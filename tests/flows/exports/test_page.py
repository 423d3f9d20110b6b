"""The page on exports: it lists every format, and its commands run as printed on a finished dataset."""

import re
import shlex
from pathlib import Path

from flows.cli import main
from flows.exports import FORMATS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")


def test_the_page_lists_every_format_and_no_other():
    table = PAGE.split("| format |")[1].split("\n\n")[0]
    listed = [name for line in table.splitlines()[2:] for name in re.findall(r"`([a-z0-9-]+)`", line.split("|")[1])]
    assert sorted(listed) == sorted(FORMATS)


def test_the_export_commands_of_the_page_run(finished, tmp_path, monkeypatch, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/demo").symlink_to(finished)
    monkeypatch.chdir(tmp_path)
    lines = [shlex.split(line) for line in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)[0].splitlines()]
    assert [words[1] for words in lines] == ["export", "export", "export", "verify"]
    for words in lines[:3]:
        assert main([*words[1:], "--quiet"]) == 0, capsys.readouterr().err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"demo", "nnunet", "monai"}
