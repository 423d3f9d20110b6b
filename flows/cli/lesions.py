"""``lungtwin lesions sample``, and the group that the commands on real images join."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import lesion_images
from .console import out

app = typer.Typer(help="Lesions: drawn from a cohort, or put into a real CT.", no_args_is_help=True)
lesion_images.add_to(app)


@app.callback()
def group() -> None:
    """Lesions: drawn from a cohort, or put into a real CT."""


@app.command("sample")
def sample(
    cohort: Annotated[
        str, typer.Option(help="lidc, lidc_consensus, screening, incidental_uk, uniform_log, or a CSV file of nodules.")
    ] = "lidc",
    n: Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="How many nodules.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one draws the same nodules.")] = 0,
    smallest: Annotated[float, typer.Option(min=3, max=40, help="Smallest equivalent diameter [mm].")] = 3.0,
    largest: Annotated[float, typer.Option(min=3, max=40, help="Largest equivalent diameter [mm].")] = 30.0,
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="A folder for specs.jsonl and truth.csv; printed if not given.")
    ] = None,
) -> None:
    """Draw nodules of a cohort: their specs (one JSON a line) and a table of what was drawn."""
    from rich.table import Table

    from ..sampling import sample_cohort, summary, write_sample

    drawn = sample_cohort(cohort, n, seed=seed, diameter_mm=(smallest, largest))
    if target is None:
        for line in drawn.specs():
            typer.echo(line)
        return
    table = Table("quantity", "drawn")
    for name, value in summary(drawn):
        table.add_row(name, value)
    out.print(table)
    for path in write_sample(drawn, target):
        out.print(f"written  {path.resolve()}", markup=False, highlight=False)
