"""Lung-DDPM: ``CT/<id>.nii.gz`` and ``SEG/<id>.nii.gz`` on 128 x 128 x 128 voxels, labels 0, 1 lung, 2 nodule.

The new lattice covers the same box as the image, and its affine says so. Voxels hold the mean HU of what they cover
(exact overlap of boxes, so means are kept); nodules come from the exact truth on the new lattice, not from the old
mask, so that none is lost, however small it is beside a voxel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..volumes import averaged, nearest, resized, write_volume
from .job import Job
from .lungs import filled_lungs
from .source import SourceImage

SHAPE = (128, 128, 128)
"""Voxels along each axis."""


def write(job: Job) -> None:
    """Write CTs and masks."""
    for image in job.images():
        hu, grid = image.hu()
        small = resized(grid, SHAPE)
        write_volume(job.folder("CT") / f"{image.id}.nii.gz", np.rint(averaged(hu, SHAPE)).astype(np.int16), small)
        write_volume(job.folder("SEG") / f"{image.id}.nii.gz", _labels(image, grid, small, job), small)


def _labels(image: SourceImage, grid: Grid, small: Grid, job: Job) -> NDArray[np.uint8]:
    lungs = nearest(filled_lungs(image.anatomy(), grid), grid, small).astype(bool)
    wanted = {nodule.id for nodule in image.nodules(mimics=job.options.mimics)}
    truth = image.source.truth(image.row)
    values = [i + 1 for i, known in enumerate(truth.nodules) if known.id in wanted]
    out = lungs.astype(np.uint8)
    out[np.isin(truth.labels(small, mimics=job.options.mimics), values)] = 2
    return out
