"""``lungtwin build`` and ``lungtwin plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import answer, bar, out, tell_of_compilation

Study = Annotated[str, typer.Argument(metavar="PRESET|FILE", help="Name of a preset, or a study file (YAML).")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("build")(build)
    app.command("plan")(plan)


def build(
    study: Study,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the dataset; made when missing.")],
    backend: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another build into the same folder.")] = False,
) -> None:
    """Build a dataset, or go on with one that was interrupted."""
    from ..build import build_dataset

    tell_of_compilation()
    with bar(f"build {Path(study).stem}") as report:
        dataset = build_dataset(study, folder, backend=backend, wait_s=1e9 if wait else 0.0, progress=report)
    out.print(
        f"dataset  {dataset.root.resolve()}  ({len(dataset.manifest)} images, {len(dataset.nodules)} rows of nodules)"
    )
    if dataset.report.is_file():
        out.print(f"report   {dataset.report.resolve()}")
    answer(
        {
            "dataset": dataset.root.resolve(),
            "n_images": len(dataset.manifest),
            "n_nodules": len(dataset.nodules),
            "report": dataset.report.resolve() if dataset.report.is_file() else None,
        }
    )


def plan(
    study: Study,
    table: Annotated[Path | None, typer.Option("--csv", help="Write the plan table here, one row per image.")] = None,
) -> None:
    """Show what a build would make: one row per image, with rough time and disk."""
    from rich.table import Column, Table

    from twins.files import replacing

    from ..study import load_study, make_plan
    from ..study.compilation import compiling_s
    from ..study.estimate import n_threads

    loaded, compiling = load_study(study), compiling_s()
    if compiling > 0:
        made, source = make_plan(loaded), "typical rates"
    else:
        from ..study.rates import measure_rates

        made, source = make_plan(loaded, rates=measure_rates()), "rates measured here"
    if table is not None:
        with replacing(table) as part:
            part.write_text(made.csv(), encoding="utf-8")
    image = Column("image", no_wrap=True)
    shown = Table(image, "twin", "protocol", "kVp", "mAs", "kernel", "nodules", "s", "MB")
    for row in made.rows[:60]:
        shown.add_row(
            row.image_id,
            row.kind,
            row.protocol,
            f"{row.kvp:g}",
            f"{row.mas_per_rotation:g}",
            row.kernel,
            str(row.n_nodules),
            f"{row.estimated_s:.0f}",
            f"{row.estimated_mb:.0f}",
        )
    out.print(shown)
    if len(made.rows) > 60:
        out.print(f"... and {len(made.rows) - 60} more rows")
    out.print(
        f"{len(made.rows)} images of {len(made.cases)} twins; about {made.estimated_s / 60:.1f} min on {n_threads()} "
        f"threads ({source}), {made.estimated_memory_mb / 1000:.1f} GB of memory and {made.estimated_mb / 1000:.2f} GB "
        "on disk"
    )
    answer(
        {
            "n_images": len(made.rows),
            "n_twins": len(made.cases),
            "estimated_s": made.estimated_s,
            "estimated_mb": made.estimated_mb,
            "estimated_memory_mb": made.estimated_memory_mb,
            "compiling_s": compiling,
            "rates": source,
            "csv": None if table is None else table.resolve(),
        }
    )
    if compiling > 0:
        out.print(f"and once, on this machine, about {compiling:.0f} s to compile kernels")
