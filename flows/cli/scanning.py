"""``lungtwin scan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import answer, out, single_bar, tell_of_compilation


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("scan")(scan)


def scan(
    twin: Annotated[Path, typer.Argument(help="A twin file (.h5).")],
    profile: Annotated[str, typer.Argument(help="Profile: a name of `lungtwin profiles list`, or a YAML file.")],
    protocol: Annotated[str, typer.Argument(help="Name of one of its protocols.")],
    target: Annotated[Path, typer.Option("--out", "-o", help="The image (.nii.gz).")],
    seed: Annotated[int, typer.Option(help="Fixes the noise.")] = 0,
    fidelity: Annotated[str, typer.Option(help="preview, standard or full.")] = "standard",
    mas: Annotated[
        float | None, typer.Option(help="Tube current x rotation time instead of the protocol's [mAs].")
    ] = None,
    kernel: Annotated[str | None, typer.Option(help="Kernel of the profile instead of the protocol's.")] = None,
    strength: Annotated[int | None, typer.Option(help="Strength of the iterative mode, 0 to 5.")] = None,
    raw: Annotated[Path | None, typer.Option(help="Keep the raw readings too (.h5).")] = None,
    matrix: Annotated[int | None, typer.Option(help="Voxels along each side of a slice.")] = None,
    host_grid: Annotated[bool, typer.Option(help="Reconstruct a patient twin on its own CT's voxels.")] = True,
    backend: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
) -> None:
    """Scan one twin and reconstruct one image."""
    import twins
    from twins.specfile import check_spec

    from ..single import scan_twin
    from ..study.scans import ScanEntry

    if not target.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"--out: an image ends in .nii or .nii.gz, got {target}")
    data = {
        "profile": profile,
        "protocol": protocol,
        "sampling": fidelity,
        "mas_per_rotation": mas,
        "kernel": kernel,
        "iterative_strength": strength,
        "matrix": matrix,
        "host_grid": host_grid,
    }
    entry = check_spec({k: v for k, v in data.items() if v is not None}, ScanEntry, name="options")
    body = twins.load(twin)
    tell_of_compilation()
    with single_bar(f"scan {twin.stem}") as progress:
        ct = scan_twin(body, entry, seed=seed, backend=backend, raw=raw, progress=progress)
    ct.save(target)
    shape, spacing = ("x".join(f"{n:g}" for n in triple[::-1]) for triple in (ct.grid.shape, ct.grid.spacing_mm))
    out.print(f"image    {target.resolve()}  ({shape} voxels of {spacing} mm)", markup=False, highlight=False)
    answer(
        {
            "image": target.resolve(),
            "raw": None if raw is None else raw.resolve(),
            "shape": ct.grid.shape,
            "spacing_mm": ct.grid.spacing_mm,
            "origin_lps_mm": ct.grid.origin_mm,
        }
    )
