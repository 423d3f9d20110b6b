"""``lungtwin build``, ``lungtwin plan`` and ``lungtwin presets``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import answer, bar, out, tell_of_compilation
from .running import FOREVER_S, build_on_cluster, build_shard

if TYPE_CHECKING:
    from ..study import Plan
    from ..study.targets import Target

SHOWN = 60
"""Rows of a plan that are printed."""

Study = Annotated[
    str, typer.Argument(metavar="PRESET|FILE", help="Name of a preset, a study file (YAML) or a plan table (CSV).")
]
Preview = Annotated[bool, typer.Option("--preview", help="A small, coarse version of the study, in minutes.")]
Rows = Annotated[str | None, typer.Option(help="Rows of a plan table to take, from 1, like 1-10,17.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("build")(build)
    app.command("plan")(plan)
    app.command("presets")(presets)


def build(
    study: Study,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the dataset; made when missing.")],
    backend: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    preview: Preview = False,
    rows: Rows = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another build into the same folder.")] = False,
    shard: Annotated[str | None, typer.Option(help="I/N: build this part alone; lungtwin merge ends it.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Build on a cluster: dask, dask:N, dask:tcp://HOST:PORT, ray, ray:ADDRESS.")
    ] = None,
) -> None:
    """Build a dataset, or go on with one that was interrupted."""
    from ..build import build_dataset
    from ..study import load_study, make_plan

    if shard is not None and cluster is not None:
        raise ValueError("--shard and --cluster exclude each other: a cluster builds the whole study")
    wait_s = FOREVER_S if wait else 0.0
    asked = load_study(study, preview=preview, rows=rows)
    tell_of_compilation()
    if shard is not None:
        build_shard(make_plan(asked), folder, shard, backend=backend, wait_s=wait_s)
        return
    if cluster is not None:
        dataset = build_on_cluster(make_plan(asked), folder, cluster, backend=backend, wait_s=wait_s)
    else:
        with bar(f"build {asked.name}") as report:
            dataset = build_dataset(asked, folder, backend=backend, wait_s=wait_s, progress=report)
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
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write the plan table here: one row per image, 'lungtwin build' reads it."),
    ] = None,
    preview: Preview = False,
    rows: Rows = None,
) -> None:
    """Show what a build would make, one row per image, with time, memory and disk."""
    from ..study import load_study, make_plan
    from ..study.compilation import compiling_s
    from ..study.targets import targets

    loaded, compiling = load_study(study, preview=preview, rows=rows), compiling_s()
    if compiling > 0:
        made, source = make_plan(loaded), "typical rates"
    else:
        from ..study.rates import measure_rates

        made, source = make_plan(loaded, rates=measure_rates()), "rates measured here"
    if csv is not None:
        _write_table(made, csv, study, preview=preview)
    _show(made, source)
    aims = targets(made.study)
    if aims:
        _show_targets(aims)
    answer(
        {
            "n_images": len(made.rows),
            "n_cases": len(made.cases),
            "n_twins": made.n_persons,
            "estimated_s": made.estimated_s,
            "estimated_mb": made.estimated_mb,
            "estimated_memory_mb": made.estimated_memory_mb,
            "compiling_s": compiling,
            "rates": source,
            "targets": [asdict(aim) for aim in aims],
            "csv": None if csv is None else csv.resolve(),
        }
    )
    if compiling > 0:
        out.print(f"and once, on this machine, about {compiling:.0f} s to compile kernels")


def _write_table(made: Plan, csv: Path, study: str, *, preview: bool) -> None:
    """Write the table; it names its study relative to itself, so that both may move together."""
    import os

    from twins.files import replacing

    from ..study import preset_names

    if study.endswith(".csv"):
        raise ValueError(f"--csv: {study} is a plan table already: take rows out of a copy of it, or give --rows")
    place = study if study in preset_names() else os.path.relpath(Path(study).resolve(), csv.resolve().parent)
    with replacing(csv) as part:
        part.write_text(made.csv(study=Path(place).as_posix(), preview=preview), encoding="utf-8")


def _show(made: Plan, source: str) -> None:
    from rich.table import Column, Table

    from ..study.estimate import n_threads

    shown = Table(Column("image", no_wrap=True), "twin", "protocol", "kVp", "mAs", "kernel", "nodules", "s", "MB")
    for row in made.rows[:SHOWN]:
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
    if len(made.rows) > SHOWN:
        out.print(f"... and {len(made.rows) - SHOWN} more rows")
    out.print(
        f"{len(made.rows)} images of {made.n_persons} twins; about {_duration(made.estimated_s)} on {n_threads()} "
        f"threads ({source}), {made.estimated_memory_mb / 1000:.1f} GB of memory and {made.estimated_mb / 1000:.2f} GB "
        "on disk"
    )


def _show_targets(aims: list[Target]) -> None:
    from rich.table import Column, Table

    right = {"justify": "right"}
    shown = Table(
        "cohort",
        Column("figure", no_wrap=True),
        "unit",
        *(Column(name, **right) for name in ("n", "achieved", "target", "p")),  # type: ignore[arg-type]
    )
    for aim in aims:
        p_value = "" if aim.p_value is None else f"{aim.p_value:.2f}"
        shown.add_row(aim.cohort, aim.figure, aim.unit, str(aim.n), f"{aim.achieved:.3g}", f"{aim.target:.3g}", p_value)
    out.print(shown)


def _duration(seconds: float) -> str:
    if seconds < 90 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def presets(
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of study files instead, for editors.")
    ] = False,
) -> None:
    """List the studies that come with the package, and what each answers."""
    from rich.table import Column, Table

    from ..study import load_study, preset_names
    from ..study.schema import schema_text, study_schema

    if schema:
        out.print(schema_text(), end="", markup=False, highlight=False)
        answer(study_schema())
        return
    shown = Table(Column("preset", no_wrap=True), "question")
    questions = {name: load_study(name).question for name in preset_names()}
    for name, question in questions.items():
        shown.add_row(name, question)
    out.print(shown)
    answer(questions)
