"""The plain tree of a dataset, as it is published: images, masks, anatomy, tables and card."""

from __future__ import annotations

from ..dataset import DRAWS
from .job import Job

TABLES = ("manifest.csv", "nodules.csv", DRAWS, "CARD.md", "card.json", "study.yaml")
"""What is copied besides volumes, where the dataset has it."""

VOLUMES = {"image": "images", "mask": "masks", "mimics": "mimics", "anatomy": "anatomy"}
"""Kinds of volumes and the folder of each; there may be no anatomy, and mimics are of images with hard negatives."""


def copy_tree(job: Job) -> dict[str, str]:
    """Copy volumes, tables and card; returns the SHA-256 of each copied file by its path."""
    digests = job.source.dataset.digests()
    names = [name for name in TABLES if name in digests]
    for image in job.images():
        names += [image.row[f"{kind}_file"] for kind in VOLUMES if image.row.get(f"{kind}_file")]
    for name in names:
        job.copy(name, name)
    return {name: digests[name] for name in names}
