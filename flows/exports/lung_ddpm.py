"""Lung-DDPM: ``CT/<id>.nii.gz`` and ``SEG/<id>.nii.gz`` on 128 x 128 x 128 voxels, labels 0, 1 lung, 2 nodule.

The new lattice covers the same box as the image, and its affine says so. Voxels hold the mean HU of what they cover
(exact overlap of boxes, so means are kept); nodules come from the exact truth on the new lattice, not from the old
mask, so that none is lost, however small it is beside a voxel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..volumes import nearest, write_volume
from .job import Job
from .lungs import filled_lungs
from .source import SourceImage

SIZE = 128
"""Voxels along each axis."""


def write(job: Job) -> None:
    """Write CTs and masks."""
    for image in job.images():
        hu, grid = image.hu()
        small = resized(grid, SIZE)
        write_volume(job.folder("CT") / f"{image.id}.nii.gz", np.rint(averaged(hu, SIZE)).astype(np.int16), small)
        write_volume(job.folder("SEG") / f"{image.id}.nii.gz", _labels(image, grid, small, job), small)


def resized(grid: Grid, n: int) -> Grid:
    """A lattice of ``n`` voxels along each axis over the same box."""
    ratio = np.asarray(grid.shape) / n
    x, y, z = grid.index_to_world(0.5 * ratio - 0.5)
    dz, dy, dx = np.asarray(grid.spacing_mm) * ratio
    return Grid((n, n, n), (float(dz), float(dy), float(dx)), (float(x), float(y), float(z)), grid.direction)


def averaged(array: NDArray[np.generic], n: int) -> NDArray[np.float32]:
    """Means over ``n`` equal parts of each axis; the mean of all is kept."""
    out = array.astype(np.float32)
    for axis in range(3):
        out = np.moveaxis(np.tensordot(_overlap(array.shape[axis], n), out, axes=(1, axis)), 0, axis)
    return out


def _overlap(n_old: int, n_new: int) -> NDArray[np.float32]:
    """Share of each new cell that each old cell fills, ``(n_new, n_old)``; rows sum to 1."""
    old, new = np.arange(n_old + 1) / n_old, np.arange(n_new + 1) / n_new
    high = np.minimum(new[1:, None], old[None, 1:])
    low = np.maximum(new[:-1, None], old[None, :-1])
    return (np.clip(high - low, 0, None) * n_new).astype(np.float32)


def _labels(image: SourceImage, grid: Grid, small: Grid, job: Job) -> NDArray[np.uint8]:
    lungs = nearest(filled_lungs(image.anatomy(), grid), grid, small).astype(bool)
    wanted = {nodule.id for nodule in image.nodules(mimics=job.options.mimics)}
    truth = image.source.truth(image.row)
    values = [i + 1 for i, known in enumerate(truth.nodules) if known.id in wanted]
    out = lungs.astype(np.uint8)
    out[np.isin(truth.labels(small, mimics=job.options.mimics), values)] = 2
    return out
