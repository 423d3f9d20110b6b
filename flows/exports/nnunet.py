"""nnU-Net v2 raw data: ``DatasetNNN_name`` with ``imagesTr``, ``labelsTr``, ``imagesTs``, ``labelsTs``.

Layout: the project's ``documentation/dataset_format.md`` (labels by name, channel suffix ``_0000``, ``file_ending``).
``splits_final.json`` keeps lineages apart in nnU-Net's own cross-validation: copy it to the folder of the preprocessed
dataset before training. It holds one fold per ``fold_*`` side, or one fold of ``val`` against ``train``; where nothing
is split, five folds by lineage, or as many as there are lineages.
"""

from __future__ import annotations

import re

from ..volumes import write_volume
from .job import Job
from .msd import classes
from .splits import SplitSpec, lineages, split

N_FOLDS = 5
"""Folds of nnU-Net's default cross-validation."""


def write(job: Job) -> None:
    """Write the dataset as nnU-Net's raw data."""
    word = re.sub(r"[^A-Za-z0-9]", "", job.source.name.title()) or "Lungtwin"
    home = f"Dataset{job.options.dataset_id:03d}_{word}"
    n_training = 0
    for image in job.images():
        part = "Ts" if job.is_test(image) else "Tr"
        n_training += part == "Tr"
        job.copy_image(image, f"{home}/images{part}/{image.id}_0000.nii.gz")
        folder = job.folder(f"{home}/labels{part}")
        write_volume(folder / f"{image.id}.nii.gz", image.labels(mimics=job.options.mimics), image.grid())
    job.write_json(
        f"{home}/dataset.json",
        {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, **classes(job)},
            "numTraining": n_training,
            "file_ending": ".nii.gz",
            "name": job.source.name,
            "description": "Simulated chest CTs with lung nodules; masks from exact truth",
        },
    )
    job.write_json(f"{home}/splits_final.json", folds(job))


def folds(job: Job) -> list[dict[str, list[str]]]:
    """nnU-Net's list of folds, each with the ids of ``train`` and ``val``; no lineage is on both sides."""
    side_of = {image.id: job.side(image) for image in job.source.images if not job.is_test(image)}
    if "val" in side_of.values():
        parts = ["val"]
    else:
        parts = sorted({side for side in side_of.values() if side.startswith("fold_")})
    if not parts:
        manifest = [row for row in job.source.dataset.manifest if row["image_id"] in side_of]
        nodules = [row for row in job.source.dataset.nodules if row["image_id"] in side_of]
        n = min(N_FOLDS, len(set(lineages(manifest, nodules).values())))
        if n < 2:
            return []
        side_of = split(manifest, nodules, SplitSpec.parse(f"folds={n}"))
        parts = sorted(set(side_of.values()))
    return [
        {
            "train": sorted(image for image, side in side_of.items() if side != part),
            "val": sorted(image for image, side in side_of.items() if side == part),
        }
        for part in parts
    ]
