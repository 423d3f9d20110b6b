"""Label images with the class numbers of other tools: TotalSegmentator v2 (task ``total``), and MAISI with VISTA3D.

Numbers: TotalSegmentator's class map of version 2 (Wasserthal et al., Radiol. Artif. Intell. 5 (2023) e230024) and the
label dictionary of MONAI's MAISI (Guo et al., WACV 2025), in which 23 is a lung tumour, 132 the airway and 200 the rest
of the body. Only what a twin tells apart is written: ribs and vertebrae have no numbers there, so they are background
(or body). ``labels.csv`` says which classes occur. TotalSegmentator has no class for nodules: they stay lung there, as
everywhere in its training data, and lie beside in ``nodules`` (1).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Structure

from ..tables import write_table
from ..volumes import write_volume
from .job import Job
from .lungs import filled_lungs
from .source import SourceImage

S = Structure

Ids = Mapping[Structure, int | tuple[int, int]]
"""Class number of a structure; a pair is (left, right)."""

TOTALSEGMENTATOR: Ids = {
    S.SPLEEN: 1,
    S.LIVER: 5,
    S.STOMACH: 6,
    S.LEFT_UPPER_LOBE: 10,
    S.LEFT_LOWER_LOBE: 11,
    S.RIGHT_UPPER_LOBE: 12,
    S.RIGHT_MIDDLE_LOBE: 13,
    S.RIGHT_LOWER_LOBE: 14,
    S.OESOPHAGUS: 15,
    S.TRACHEA: 16,
    S.HEART: 51,
    S.HEART_MUSCLE: 51,
    S.PERICARDIAL_FAT: 51,
    S.CORONARY_ARTERY: 51,
    S.AORTA: 52,
    S.PULMONARY_VEIN: 53,
    S.SUPERIOR_VENA_CAVA: 62,
    S.INFERIOR_VENA_CAVA: 63,
    S.HUMERUS: (69, 70),
    S.SCAPULA: (71, 72),
    S.CLAVICLE: (73, 74),
    S.STERNUM: 116,
    S.COSTAL_CARTILAGE: 117,
}
"""TotalSegmentator v2, task ``total``."""

MAISI: Ids = {
    S.LIVER: 1,
    S.SPLEEN: 3,
    S.AORTA: 6,
    S.INFERIOR_VENA_CAVA: 7,
    S.OESOPHAGUS: 11,
    S.STOMACH: 12,
    S.LEFT_LUNG: 20,
    S.RIGHT_LUNG: 20,
    S.LEFT_UPPER_LOBE: 28,
    S.LEFT_LOWER_LOBE: 29,
    S.RIGHT_UPPER_LOBE: 30,
    S.RIGHT_MIDDLE_LOBE: 31,
    S.RIGHT_LOWER_LOBE: 32,
    S.TRACHEA: 57,
    S.HUMERUS: (87, 88),
    S.SCAPULA: (89, 90),
    S.CLAVICLE: (91, 92),
    S.COSTAL_CARTILAGE: 114,
    S.HEART: 115,
    S.HEART_MUSCLE: 115,
    S.PERICARDIAL_FAT: 115,
    S.CORONARY_ARTERY: 115,
    S.PULMONARY_VEIN: 119,
    S.STERNUM: 122,
    S.SUPERIOR_VENA_CAVA: 125,
    S.BRONCHUS: 132,
}
"""MAISI and VISTA3D; whole lungs (20) are VISTA3D's alone."""

MAISI_TUMOUR, MAISI_BODY = 23, 200


def write(job: Job) -> None:
    """Write images and label images."""
    is_maisi = job.format == "maisi"
    ids = MAISI if is_maisi else TOTALSEGMENTATOR
    found: set[int] = set()
    for image in job.images():
        grid = image.grid()
        labels = label_image(image, ids, grid)
        nodules = image.labels(mimics=job.options.mimics)
        if is_maisi:
            labels[(labels == 0) & (image.anatomy() != S.OUTSIDE)] = MAISI_BODY
            labels[nodules == 1] = MAISI_TUMOUR
        else:
            write_volume(job.folder("nodules") / f"{image.id}.nii.gz", nodules, grid)
        found |= set(np.unique(labels).tolist())
        write_volume(job.folder("labels") / f"{image.id}.nii.gz", labels, grid)
        job.copy_image(image, f"images/{image.id}.nii.gz")
    write_table(job.root / "labels.csv", _names(ids, found, is_maisi=is_maisi))


def label_image(image: SourceImage, ids: Ids, grid: Grid) -> NDArray[np.uint8]:
    """The anatomy of an image under other numbers; 0 where a structure has none.

    Vessels and airways inside a lung are lung, as :func:`flows.exports.lungs.filled_lungs` says. What comes in pairs is
    left where it lies left of the spine's middle (of the lattice's, where no spine is in the image).
    """
    anatomy = image.anatomy()
    table = np.zeros((2, 256), np.uint8)
    for structure, number in ids.items():
        table[:, structure] = number if isinstance(number, tuple) else (number, number)
    columns = np.flatnonzero((anatomy == S.VERTEBRA).any(axis=(0, 1)))
    middle = grid.index_to_world([0, 0, columns.mean() if len(columns) else (grid.shape[2] - 1) / 2])[0]
    x = grid.index_to_world([[0, 0, i] for i in range(grid.shape[2])])[:, 0]
    is_right = (x < middle).astype(np.intp)
    labels: NDArray[np.uint8] = table[np.broadcast_to(is_right, anatomy.shape), anatomy]
    lungs = filled_lungs(anatomy, grid)
    return np.where(lungs > 0, table[0][lungs], labels)


def _names(ids: Ids, found: set[int], *, is_maisi: bool) -> list[dict[str, object]]:
    names: dict[int, list[str]] = {}
    for structure, number in ids.items():
        sides = (("LEFT_", number[0]), ("RIGHT_", number[1])) if isinstance(number, tuple) else (("", number),)
        for side, value in sides:
            names.setdefault(value, []).append(side + structure.name)
    if is_maisi:
        names |= {MAISI_TUMOUR: ["NODULE"], MAISI_BODY: ["BODY"]}
    return [{"value": v, "structures": names[v], "occurs": v in found} for v in sorted(names)]
