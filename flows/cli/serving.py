"""``lungtwin serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("serve")(serve)


def serve(
    folder: Annotated[Path, typer.Option("--out", "-o", help="Where datasets go unless a run says otherwise.")] = Path(
        "out"
    ),
    presets: Annotated[list[str] | None, typer.Option("--preset", help="Serve this one alone; repeatable.")] = None,
    cron: Annotated[
        str | None, typer.Option(help="Build them by themselves at these times: '0 2 * * *' is two every night.")
    ] = None,
    gpu_slots: Annotated[int, typer.Option(help="Cases that may run on GPUs at once, over all workers.")] = 1,
    limit: Annotated[int, typer.Option(help="Runs at once.")] = 1,
) -> None:
    """Serve build-dataset/PRESET and merge-dataset/shards to a Prefect server (PREFECT_API_URL), until interrupted."""
    from ..prefect_skin import serve_presets

    serve_presets(folder, presets=presets or (), cron=cron, gpu_slots=gpu_slots, limit=limit)
