"""8-bit slices with six classes, the input of 2-D semantic diffusion models and of GANs that paint from masks.

Classes: 0 background, 1 body, 2 left lung, 3 right lung, 4 trachea, 5 nodule. Images and labels have the voxels of the
CT; nothing is resized. ``nodule_images`` holds for every nodule the slice through its centre, ``images`` every n-th
lung slice without a nodule; ``*_labels`` hold class numbers, ``*_labels_rgb`` the same in colours. With a split, each
side has its own folder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Structure

from .job import Job
from .lungs import LEFT, filled_lungs
from .planes import is_lung_slice, windowed, without_nodule, write_png
from .source import SourceImage

CLASSES = ("background", "body", "left lung", "right lung", "trachea", "nodule")

COLOURS = np.array([[0, 0, 0], [128, 128, 128], [0, 0, 255], [0, 255, 0], [255, 255, 0], [255, 0, 0]], np.uint8)
"""RGB of the classes."""


def write(job: Job) -> None:
    """Write slices, class numbers and colours."""
    for image in job.images():
        home = f"{job.side(image)}/" if job.options.split is not None else ""
        hu, grid = image.hu()
        grey, labels = windowed(hu), class_image(image, grid, job)
        for nodule in image.nodules(mimics=job.options.mimics):
            k = int(np.clip(np.rint(grid.world_to_index(nodule.centre_mm)[0]), 0, grid.shape[0] - 1))
            _write(job, f"{home}nodule_", f"{image.id}_{nodule.id}_z{k:04d}".replace(":", "-"), grey[k], labels[k])
        has_nodule = (labels == 5).any(axis=(1, 2))
        for k in without_nodule(has_nodule, is_lung_slice(image.anatomy()), job.options.slice_step):
            _write(job, home, f"{image.id}_z{k:04d}", grey[k], labels[k])
    colours = [{"class": i, "name": name, "rgb": COLOURS[i].tolist()} for i, name in enumerate(CLASSES)]
    job.write_json("classes.json", colours)


def class_image(image: SourceImage, grid: Grid, job: Job) -> NDArray[np.uint8]:
    """The six classes of an image, ``(z, y, x)``."""
    anatomy = image.anatomy()
    lungs = filled_lungs(anatomy, grid)
    out = (anatomy != Structure.OUTSIDE).astype(np.uint8)
    out[lungs > 0] = 3
    out[np.isin(lungs, LEFT)] = 2
    out[anatomy == Structure.TRACHEA] = 4
    out[image.labels(mimics=job.options.mimics) > 0] = 5
    return out


def _write(job: Job, home: str, name: str, grey: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    write_png(job.folder(f"{home}images") / f"{name}.png", grey)
    write_png(job.folder(f"{home}labels") / f"{name}.png", labels)
    write_png(job.folder(f"{home}labels_rgb") / f"{name}.png", COLOURS[labels])
