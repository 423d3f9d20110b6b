"""``lungtwin merge``, ``lungtwin status`` and ``lungtwin clean``, and builds in parts or on a cluster."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import answer, bar, out

if TYPE_CHECKING:
    from ..dataset import Dataset
    from ..study import Plan

FOREVER_S = 1e7
"""How long ``--wait`` waits [s]."""

Folder = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of a dataset, finished or not.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for others that build into the same folder.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("merge")(merge)
    app.command("status")(status)
    app.command("clean")(clean)


def build_shard(plan: Plan, folder: Path, shard: str, *, backend: str, wait_s: float) -> None:
    """``lungtwin build --shard``: one part of a build."""
    from ..running.shards import Shard
    from ..running.shards import build_shard as build

    part = Shard.parse(shard)
    with bar(f"shard {part}") as report:
        twin_ids = build(plan, folder, part, backend=backend, wait_s=wait_s, progress=report)
    out.print(f"shard    {part}: {len(twin_ids)} of {len(plan.cases)} twins are done in {folder.resolve()}")
    out.print(f"when all {part.count} shards are done: lungtwin merge with the same study and folder")
    answer({"shard": str(part), "folder": folder.resolve(), "twins": list(twin_ids), "n_twins": len(plan.cases)})


def build_on_cluster(plan: Plan, folder: Path, cluster: str, *, backend: str, wait_s: float) -> Dataset:
    """``lungtwin build --cluster``."""
    from ..running.clusters import build_on_cluster as build

    with bar(f"build on {cluster}") as report:
        return build(plan, folder, cluster, backend=backend, wait_s=wait_s, progress=report)


def merge(
    study: Annotated[str, typer.Argument(metavar="PRESET|FILE", help="What the shards were built from.")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the dataset.")],
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Folder with shards that were built elsewhere, to be copied in; repeatable."),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="The shards were built with --preview.")] = False,
    rows: Annotated[str | None, typer.Option(help="The shards were built with these --rows.")] = None,
    wait: Wait = False,
) -> None:
    """End a build whose shards are done: verify that all is there, then write tables, seal and report."""
    from ..running.shards import merge as join
    from ..study import load_study, make_plan

    plan = make_plan(load_study(study, preview=preview, rows=rows))
    with bar("merge") as report:
        dataset = join(plan, folder, sources or (), wait_s=FOREVER_S if wait else 0.0, progress=report)
    out.print(f"dataset  {dataset.root.resolve()}  ({len(dataset.manifest)} images)")
    answer({"dataset": dataset.root.resolve(), "n_images": len(dataset.manifest)})


def status(dataset: Folder) -> None:
    """How far a build is, who works on it, what it takes on disk and what of that could go."""
    from ..running.status import status_of

    found = status_of(dataset)
    what = f"{found.study}: " if found.study else ""
    images = f"{found.n_images} of {found.n_images_planned}" if found.n_images_planned else str(found.n_images)
    out.print(f"{found.root.resolve()}", markup=False, highlight=False)
    twins = f", {found.n_twins} of {found.n_twins_planned} twins" if found.n_twins_planned else ""
    out.print(f"state        {what}{found.state}, {images} images{twins}", highlight=False)
    expected = f" of about {_size(found.expected_bytes)}" if found.expected_bytes else ""
    out.print(f"on disk      {_size(found.n_bytes)}{expected}; {_size(found.free_bytes)} free", highlight=False)
    for writer in found.writers[:20]:
        out.print(f"at work      {writer}", markup=False, highlight=False)
    if found.reclaimable:
        out.print(f"reclaimable  {_size(found.reclaimable_bytes)} in {len(found.reclaimable)} files: lungtwin clean")
    if found.state == "unfinished":
        out.print("to go on: run the same command again")
    answer({**asdict(found), "reclaimable_bytes": found.reclaimable_bytes})


def clean(
    dataset: Folder,
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is listed; without it nothing is.")] = False,
) -> None:
    """List what a dataset's folder holds beyond the dataset, and with --delete remove it."""
    from ..running.status import clean as remove
    from ..running.status import status_of
    from ..store import BusyError

    if delete:
        items = remove(dataset)
    else:
        found = status_of(dataset)
        if found.writers:
            raise BusyError(f"{dataset}: a build is at work here ({found.writers[0]}); wait until it ends")
        items = found.reclaimable
    for item in items:
        out.print(f"{_size(item.n_bytes):>9}  {item.path}  ({item.reason})", markup=False, highlight=False)
    total = _size(sum(item.n_bytes for item in items))
    if not items:
        out.print("nothing to clean")
    elif delete:
        out.print(f"removed {total}")
    else:
        out.print(f"{total} could go: --delete removes it")
    answer({"items": [asdict(item) for item in items], "deleted": delete})


def _size(n_bytes: int) -> str:
    """A size in the unit that gives one to three digits before the point."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
