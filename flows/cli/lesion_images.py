"""``lungtwin lesions seeds|hosts|insert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import answer, bar, out, waiting

Ct = Annotated[Path, typer.Argument(help="A chest CT: NIfTI, NRRD, MetaImage, or a DICOM folder.")]
Fwhm = Annotated[
    float | None,
    typer.Option(min=0.1, max=10, help="In-plane resolution, FWHM [mm]; measured in the image if not given."),
]
Kernel = Annotated[str | None, typer.Option(help="Reconstruction kernel, as an estimate of the in-plane resolution.")]
Thickness = Annotated[float | None, typer.Option(min=0.1, max=20, help="Slice thickness [mm]; measured if not given.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the ``lesions`` group."""
    app.command("seeds")(seeds)
    app.command("hosts")(hosts)
    app.command("insert")(insert)


def seeds(
    ct: Ct,
    labels: Annotated[Path, typer.Argument(help="Its label map, on the same voxels.")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="A folder; each tumour becomes a file in it.")],
    label: Annotated[int | None, typer.Option(min=1, help="The label of tumours; every label if not given.")] = None,
    source: Annotated[str, typer.Option(help="Where the data come from; kept in the seeds.")] = "unknown",
    licence: Annotated[str, typer.Option(help="The licence of the data; kept in the seeds.")] = "unknown",
    fwhm: Fwhm = None,
    kernel: Kernel = None,
    thickness: Thickness = None,
) -> None:
    """Isolate the labelled tumours of a CT as seeds."""
    from ..real_images import Sharpness, write_seeds

    sharpness = Sharpness(fwhm, kernel, thickness)
    with bar(f"seeds of {ct.name}") as progress:
        found = write_seeds(
            ct, labels, folder, label=label, sharpness=sharpness, source=source, licence=licence, progress=progress
        )
    for seed in found.seeds:
        path = (folder / f"{seed.name}.h5").resolve()
        out.print(f"seed     {path}  {seed.equivalent_diameter_mm:.1f} mm", markup=False, highlight=False)
    for reason in found.refused:
        out.print(f"no seed  {reason}", markup=False, highlight=False)
    made = [
        {"seed": (folder / f"{seed.name}.h5").resolve(), "equivalent_diameter_mm": seed.equivalent_diameter_mm}
        for seed in found.seeds
    ]
    answer({"seeds": made, "refused": found.refused})


def hosts(
    ct: Ct,
    target: Annotated[Path, typer.Option("--out", "-o", help="The host file (.h5).")],
    lungs: Annotated[Path | None, typer.Option(help="A lung mask on the same voxels; found if not given.")] = None,
    fwhm: Fwhm = None,
    kernel: Kernel = None,
    thickness: Thickness = None,
) -> None:
    """Find lungs, noise and resolution of a CT, once, for many insertions."""
    from ..real_images import Sharpness, write_host

    if target.suffix != ".h5":
        raise ValueError(f"--out: a host file ends in .h5, got {target}")
    with waiting(f"host {ct.name}"):
        host = write_host(ct, target, sharpness=Sharpness(fwhm, kernel, thickness), lungs=lungs)
    r = host.resolution
    out.print(f"in plane {r.in_plane_fwhm_mm:.2f} mm FWHM, {r.in_plane_source}", highlight=False)
    out.print(f"along z  {r.slice_fwhm_mm:.2f} mm FWHM, {r.slice_source}", highlight=False)
    out.print(f"noise    {host.noise_sd_hu:.1f} HU in the lung, fine texture included", highlight=False)
    out.print(f"host     {target.resolve()}", markup=False, highlight=False)
    answer(
        {
            "host": target.resolve(),
            "in_plane_fwhm_mm": r.in_plane_fwhm_mm,
            "slice_fwhm_mm": r.slice_fwhm_mm,
            "noise_sd_hu": host.noise_sd_hu,
        }
    )


def insert(
    ct: Ct,
    target: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="The image: .nii.gz, .nii, .mha, .nrrd, or a new folder for a DICOM series; mask and truth go beside "
            "it.",
        ),
    ],
    seed_files: Annotated[
        list[Path] | None, typer.Option("--seed-file", help="A seed; may be given many times.")
    ] = None,
    nodules: Annotated[Path | None, typer.Option(help="Nodule specs, one JSON a line (lesions sample).")] = None,
    host: Annotated[Path | None, typer.Option(help="The CT's host file (lesions hosts); else found anew.")] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=255, help="How many lesions.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw; the same one gives the same image.")] = 0,
    fwhm: Fwhm = None,
    kernel: Kernel = None,
    thickness: Thickness = None,
    mimics: Annotated[
        bool, typer.Option("--mimics", help="Paint mimics (scars, plugs, plaques, crossings) into the mask, too.")
    ] = False,
    any_lobe: Annotated[
        bool, typer.Option("--any-lobe", help="Nodules that ask for a lobe may lie in any: a CT alone knows no lobes.")
    ] = False,
) -> None:
    """Insert nodules, or morphed real tumours, into a CT."""
    from ..real_images import Sharpness, insert_into

    if host is not None and (fwhm, kernel, thickness) != (None, None, None):
        raise ValueError(
            "--host: the file holds the resolution; --fwhm, --kernel and --thickness go with lesions hosts"
        )
    with bar(f"insert into {ct.name}") as progress:
        records = insert_into(
            ct,
            target,
            host_file=host,
            seeds=seed_files or (),
            nodules=nodules,
            n=n,
            seed=seed,
            sharpness=Sharpness(fwhm, kernel, thickness),
            mimics=mimics,
            any_lobe=any_lobe,
            progress=progress,
        )
    for record in records:
        name = record.get("id") or record["nodule"]["id"]
        out.print(f"lesion   {name}  {record['equivalent_diameter_mm']:.1f} mm, {record['volume_mm3']:.0f} mm3")
    out.print(f"image    {target.resolve()}", markup=False, highlight=False)
    answer({"image": target.resolve(), "lesions": records})
