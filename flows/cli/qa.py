"""``lungtwin qa``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import answer, bar, out

if TYPE_CHECKING:
    from ctsim.quality.acceptance import Qualification


NAMES = (
    "moments, two-bases, line-integrals, water, water-with-scatter, inserts, uniformity, windmill, mtf, "
    "slice-profile, noise, scatter, dose, threads"
)
"""Of :data:`ctsim.quality.acceptance.EXAMINATIONS`, written out: help must not load the scanner."""


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("qa")(qa)


def qa(
    profile: Annotated[str, typer.Argument(help="Profile: a name of `lungtwin profiles list`, or a YAML file.")],
    level: Annotated[str, typer.Option(help="quick or full.")] = "quick",
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for qa.json and the pictures; made if needed.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Run this examination alone; may be given several times. Of: {NAMES}.")
    ] = None,
) -> None:
    """Qualify a scanner profile on simulated phantoms. Status 1 if a bar is missed."""
    from ctsim import load_profile
    from ctsim.quality import qualify

    from ..qualification import as_data, write_qualification

    scanner = load_profile(profile)
    with bar(f"qa {scanner.name}") as report:
        found = qualify(scanner, level=level, only=only or None, progress=report)  # type: ignore[arg-type]
    out.print(_table(found))
    missed = sum(not row.passed for row in found.rows)
    if target is not None:
        files = write_qualification(found, target)
        out.print(f"written  {files[0].resolve()} and {len(files) - 1} pictures")
    out.print(f"{missed} of {len(found.rows)} bars missed" if missed else f"all {len(found.rows)} bars met")
    answer(as_data(found))
    if missed:
        raise typer.Exit(1)


def _table(found: Qualification) -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table("quantity", "condition", "measured", "bar", "unit", "", title=f"{found.profile}, {found.level}")
    for row in found.rows:
        mark = "[green]met[/]" if row.passed else "[red]missed[/]"
        table.add_row(row.quantity, escape(row.condition), f"{row.measured:.4g}", row.bar, row.unit, mark)
    return table
