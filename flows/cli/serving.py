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
) -> None:
    """Serve the deployments build-dataset/PRESET to a Prefect server (PREFECT_API_URL), one run at a time."""
    from ..prefect_skin import serve_presets

    serve_presets(folder)
