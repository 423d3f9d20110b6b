"""One door to all formats: open the dataset, deal the sides, write beside the place, rename."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from twins.specfile import suggestion

from ..progress import Report
from ..store import package_version
from ..tables import write_table
from .folder import new_folder
from .job import ExportOptions, Job
from .source import Source
from .splits import lineages, split

RECORD = "lungtwin_export.json"
"""In every export: from which dataset (digest of its seal) it was made, how, and the side of every image."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the module beside this one that has its ``write(job)``, what it is, and what it needs to be installed.

    Parameters
    ----------
    module
        Name of the module.
    what
        One line for people.
    needs
        Packages that are not among the core dependencies.
    extra
        The extra of the distribution that brings them.
    """

    module: str
    what: str
    needs: tuple[str, ...] = ()
    extra: str = ""


FORMATS: Mapping[str, Format] = {
    "dicom": Format("dicom", "DICOM CT series with SEG and TID 1500 SR", ("pydicom", "highdicom"), "dicom"),
    "msd": Format("msd", "Medical Segmentation Decathlon: imagesTr, labelsTr, dataset.json"),
    "nnunet": Format("nnunet", "nnU-Net v2 raw dataset with splits_final.json"),
    "monai": Format("monai", "MONAI detection: NIfTI images and a datalist of boxes"),
    "luna16": Format("luna16", "LUNA16: MetaImage, annotations.csv, candidates.csv"),
    "coco": Format("coco", "COCO: 8-bit slices with boxes and masks"),
    "maisi": Format("label_maps", "label images with the ids of MAISI and VISTA3D"),
    "totalsegmentator": Format("label_maps", "label images with the ids of TotalSegmentator v2"),
    "lung-ddpm": Format("lung_ddpm", "Lung-DDPM: CT and SEG on 128 x 128 x 128"),
    "slices": Format("slices", "8-bit slices with six classes, for 2-D semantic diffusion and GANs"),
    "croissant": Format("croissant", "the dataset's own tree with Croissant metadata"),
    "huggingface": Format("huggingface", "Hugging Face: NIfTI folders with metadata.jsonl and a card"),
    "ome-zarr": Format("ome_zarr", "OME-Zarr 0.4 multiscale images with labels"),
    "xcist": Format("xcist", "voxelized XCIST phantoms of the twins with their nodules"),
    "sinograms": Format("sinograms", "sinograms (HDF5) of every scan, simulated again"),
}
"""Every format by the name that the command line takes."""


def export_dataset(
    dataset: str | os.PathLike[str],
    format: str,  # noqa: A002 (what the option is called)
    out: str | os.PathLike[str],
    *,
    options: ExportOptions | None = None,
    progress: Report | None = None,
) -> Path:
    """Write a finished dataset in the format of other tools.

    Parameters
    ----------
    dataset
        Folder of the dataset; it is never written to.
    format
        A key of :data:`FORMATS`.
    out
        Folder to make; it must not exist, and appears only when it is complete.
    options
        What may be chosen; the defaults where None.
    progress
        Gets ``(fraction, what)``.

    Returns
    -------
    pathlib.Path
        The folder. The same dataset and options give the same bytes.

    Raises
    ------
    ValueError
        If the format is not known or lacks a package, the dataset is unfinished or damaged, or ``out`` exists or lies
        in the dataset.
    """
    if format not in FORMATS:
        raise ValueError(f"format: {format!r} is not known{suggestion(format, list(FORMATS))}")
    kind = FORMATS[format]
    for package in kind.needs:
        try:
            import_module(package)
        except ImportError:
            raise ValueError(
                f"format {format!r} needs the package {package}: pip install 'lungtwin[{kind.extra}]'"
            ) from None
    source, chosen, target = Source(dataset), options or ExportOptions(), Path(out)
    if target.resolve().is_relative_to(source.root.resolve()):
        raise ValueError(f"{target}: lies in the dataset, which exports never touch; choose a folder beside it")
    manifest, nodules = source.dataset.manifest, source.dataset.nodules
    sides = {} if chosen.split is None else split(manifest, nodules, chosen.split)
    groups = lineages(manifest, nodules)
    with new_folder(target) as part:
        job = Job(source, format, part, chosen, sides, progress)
        import_module(f".{kind.module}", __package__).write(job)
        job.write_json(
            RECORD,
            {
                "format": format,
                "dataset": source.name,
                "dataset_seal_sha256": source.seal_sha256,
                "lungtwin": package_version(),
                "options": chosen.model_dump(mode="json"),
                "coordinates": "world points are patient LPS [mm]",
            },
        )
        rows = [
            {"image_id": image.id, "lineage": groups[image.id], "split": job.side(image)} for image in source.images
        ]
        write_table(part / "splits.csv", rows)
        source.check_unchanged()
    return target
