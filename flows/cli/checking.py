"""``lungtwin verify``, ``lungtwin report`` and ``lungtwin doctor``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .console import answer, bar, out, waiting

Folder = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of a finished dataset.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("verify")(verify)
    app.command("report")(report)
    app.command("doctor")(doctor)


def verify(
    dataset: Folder,
    exported: Annotated[
        list[Path] | None,
        typer.Option("--export", help="Folder of an export of this dataset, checked against it too; repeatable."),
    ] = None,
) -> None:
    """Check a dataset, and exports of it: digests, geometry, HU, truth, labels, lineages. Status 1 if one is wrong."""
    from ..verification import verify as check

    with bar("verify") as progress:
        findings = check(dataset, progress=progress)
    if exported:
        from ..exports.checking import check_export

        for folder in exported:
            with bar(f"verify {folder.name}") as progress:
                findings += check_export(dataset, folder, progress=progress)
    for finding in findings:
        mark = "[red]wrong[/]" if finding.problems else "[green]fine [/]"
        out.print(f"{mark} {finding.check} ({finding.n_checked} checked)")
        for problem in finding.problems:
            out.print(f"      {problem}", markup=False)
    wrong = sum(len(finding.problems) for finding in findings)
    out.print(f"{wrong} problems" if wrong else "the dataset is sound")
    answer(
        {
            "sound": not wrong,
            "checks": [{"check": f.check, "n_checked": f.n_checked, "problems": f.problems} for f in findings],
        }
    )
    if wrong:
        raise typer.Exit(1)


def report(
    dataset: Folder,
    qualities: Annotated[
        list[Path] | None,
        typer.Option(
            "--qa",
            metavar="QA.JSON",
            help="Acceptance of a profile of the study, as `lungtwin qa PROFILE --out FOLDER` writes it, shown in "
            "place of the recorded one; repeatable.",
        ),
    ] = None,
) -> None:
    """Make the report of a finished dataset again."""
    from ..dataset import Dataset
    from ..report import write_report

    with bar("report") as progress:
        page = write_report(Dataset.open(dataset), acceptances=qualities or (), progress=progress).resolve()
    out.print(f"report   {page}", markup=False, highlight=False)
    answer({"report": page})


def doctor() -> None:
    """Say what is installed and works here. Status 1 if something needed is not."""
    from ..doctor import examine

    with waiting("examining this machine"):
        checks = examine()
    style = {"fine": "green", "missing": "yellow", "trouble": "red"}
    for check in checks:
        out.print(f"[{style[check.verdict]}]{check.verdict:<8}[/] {check.name:<15}  ", end="")
        out.print(check.found + (f"  ->  {check.remedy}" if check.remedy else ""), markup=False, highlight=False)
    answer([asdict(check) for check in checks])
    if any(check.verdict == "trouble" for check in checks):
        raise typer.Exit(1)
