"""``lungtwin export``: a finished dataset in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import answer, bar, out


def add_to(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command("export")(export)


def export(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of a finished dataset; it is only read.")],
    format: Annotated[str, typer.Option("--format", "-f", help="dicom, nnunet, monai...; 'list' shows all.")],  # noqa: A002
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to make; it appears only when it is complete.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Sides by lineage: train=0.7,val=0.1,test=0.2 or folds=5. Default: all for training."),
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Decides between lineages that are alike.")] = 0,
    mimics: Annotated[
        bool, typer.Option("--mimics", help="Label hard negatives as a class of their own, not as background.")
    ] = False,
    dataset_id: Annotated[int, typer.Option(help="Number of the nnU-Net dataset, 1 to 999.")] = 501,
    slice_step: Annotated[
        int, typer.Option(help="2-D formats take every n-th of the lung slices without a nodule.")
    ] = 4,
) -> None:
    """Write a finished dataset in the format of other tools."""
    from ..exports import FORMATS, ExportOptions, SplitSpec, export_dataset

    if format == "list":
        for name, kind in FORMATS.items():
            needs = f"  (pip install 'lungtwin[{kind.extra}]')" if kind.extra else ""
            out.print(f"{name:<16} {kind.what}{needs}", markup=False, highlight=False)
        answer([{"format": name, "what": kind.what, "extra": kind.extra or None} for name, kind in FORMATS.items()])
        return
    if folder is None:
        raise ValueError("--out is missing: the folder to make")
    options = ExportOptions(
        split=None if split is None else SplitSpec.parse(split, seed=split_seed),
        mimics=mimics,
        dataset_id=dataset_id,
        slice_step=slice_step,
    )
    with bar(f"export {format}") as progress:
        made = export_dataset(dataset, format, folder, options=options, progress=progress)
    out.print(f"export   {made.resolve()}", markup=False, highlight=False)
    answer({"export": made.resolve(), "format": format, "options": options.model_dump(mode="json")})
