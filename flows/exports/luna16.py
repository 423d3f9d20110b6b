"""LUNA16: MetaImage volumes in ``subset0`` ... and ``annotations.csv`` (Setio et al., Med. Image Anal. 42 (2017) 1).

``seriesuid`` is the UID that the DICOM export gives the same image, coordinates are world millimetres (LPS), and
``diameter_mm`` is the mean axial diameter of the body, spicules left out. ``candidates.csv`` has the columns of
LUNA16's false-positive track: nodules with class 1, hard negatives with class 0. With ``mimics`` hard negatives are
in ``annotations.csv`` too. Sides become subsets, in their order; without a split there is ``subset0`` alone.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from .job import Job
from .uids import series_uid

ANNOTATIONS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")
CANDIDATES = ("seriesuid", "coordX", "coordY", "coordZ", "class")


def write(job: Job) -> None:
    """Write volumes and tables."""
    import SimpleITK as sitk

    order = list(job.options.split.fractions) if job.options.split is not None else ["train"]
    annotations: list[list[Any]] = []
    candidates: list[list[Any]] = []
    names: list[list[Any]] = []
    for image in job.images():
        uid = series_uid(job.source, image)
        subset = f"subset{order.index(job.side(image))}"
        volume = sitk.ReadImage(str(image.image_path), sitk.sitkInt16)
        for key in volume.GetMetaDataKeys():
            volume.EraseMetaData(key)
        sitk.WriteImage(volume, str(job.folder(subset) / f"{uid}.mhd"), useCompression=True)
        names.append([uid, image.id, subset])
        for nodule in image.nodules(mimics=True):
            place = [uid, *(f"{value:.9g}" for value in nodule.centre_mm)]
            is_nodule = nodule.name_of_class == "nodule"
            candidates.append([*place, int(is_nodule)])
            if is_nodule or job.options.mimics:
                annotations.append([*place, f"{nodule.number('mean_diameter_mm'):.9g}"])
    _table(job, "annotations.csv", ANNOTATIONS, annotations)
    _table(job, "candidates.csv", CANDIDATES, candidates)
    _table(job, "series.csv", ("seriesuid", "image_id", "subset"), names)


def _table(job: Job, name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with (job.root / name).open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows([header, *rows])
