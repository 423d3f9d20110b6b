"""``lungtwin lesions sample|classes``, and the group that the commands on real images join."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import lesion_images
from .console import answer, bar, errors, out

if TYPE_CHECKING:
    from lesions import Nodule

TwinFile = Annotated[
    Path | None, typer.Option("--twin", help="The twin file (.h5) to show them in; else a population twin is built.")
]
Technique = Annotated[
    str, typer.Option(help="How the close-ups are taken: thin (1 mm), sharp (1 mm, sharp kernel), thick (2.5 mm).")
]

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
    sheet: Annotated[
        Path | None, typer.Option(help="A contact sheet of them, .png or .html: every nodule imaged in three planes.")
    ] = None,
    twin: TwinFile = None,
    technique: Technique = "thin",
) -> None:
    """Draw nodules of a cohort: their specs (one JSON a line), a table of what was drawn, a contact sheet."""
    from rich.table import Table

    from ..sampling import sample_cohort, summary, write_sample

    drawn = sample_cohort(cohort, n, seed=seed, diameter_mm=(smallest, largest))
    if sheet is not None:
        title = f"{n} nodules, {drawn.cohort}"
        made = _draw_sheet(sheet, twin, technique, seed, nodules=tuple(drawn.nodules()), title=title)
        if target is None:
            answer(made)
            return
    if target is None:
        for line in drawn.specs():
            out.file.write(f"{line}\n")
        answer([json.loads(line) for line in drawn.specs()])
        return
    table = Table("quantity", "drawn")
    for name, value in summary(drawn):
        table.add_row(name, value)
    out.print(table)
    written = [path.resolve() for path in write_sample(drawn, target)]
    for path in written:
        out.print(f"written  {path}", markup=False, highlight=False)
    answer({"written": written, "summary": dict(summary(drawn))})


@app.command("classes")
def classes(
    sheet: Annotated[Path, typer.Argument(help="The contact sheet, .png or .html.")],
    diameter: Annotated[float, typer.Option(min=6, max=30, help="Equivalent diameter [mm].")] = 12.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same one draws the same nodules.")] = 0,
    twin: TwinFile = None,
    technique: Technique = "thin",
) -> None:
    """A contact sheet with one nodule of every class."""
    answer(_draw_sheet(sheet, twin, technique, seed, diameter_mm=diameter))


def _draw_sheet(
    sheet: Path,
    twin_file: Path | None,
    technique: str,
    seed: int,
    *,
    nodules: tuple[Nodule, ...] = (),
    title: str = "",
    diameter_mm: float | None = None,
) -> dict[str, Any]:
    """Draw the sheet; returns where it is and which nodules found no place in it."""
    from ..lesion_sheet import check_sheet, sheet_twin, write_class_sheet, write_nodule_sheet

    check_sheet(sheet, technique)
    with bar("contact sheet") as progress:
        twin = sheet_twin(twin_file, seed)
        how: dict[str, Any] = {"twin": twin, "technique": technique, "seed": seed, "progress": progress}
        if diameter_mm is None:
            without = write_nodule_sheet(nodules, sheet, title=title, **how)
        else:
            without = write_class_sheet(sheet, diameter_mm=diameter_mm, **how)
    for line in without:
        errors.print(f"no place {line}", markup=False, highlight=False)
    out.print(f"sheet    {sheet.resolve()}", markup=False, highlight=False)
    return {"sheet": sheet.resolve(), "without_place": list(without)}
