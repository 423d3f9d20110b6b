"""MONAI detection: NIfTI images and ``datalist.json`` in the form of MONAI's LUNA16 recipe.

Boxes are ``[x, y, z, w, h, d]``: centre and full widths in world millimetres. **World is LPS**, as in LUNA16 and DICOM:
load them with ``StandardizeBoxd``/``ConvertBoxToStandardModed(mode="cccwhd")`` and then
``AffineBoxToImageCoordinated(affine_lps_to_ras=True)``; without the flag, MONAI's default, boxes land elsewhere.

A box is the exact extent of the nodule, before any imaging. Sides are the keys ``training``, ``validation`` (side
``val``) and ``test``; other sides (folds) keep their names. Images without a nodule have empty lists, which MONAI's box
transforms refuse; they are listed apart under ``<side>_without_nodules``.
"""

from __future__ import annotations

from typing import Any

from .job import Job
from .source import CLASSES, SourceImage, SourceNodule

KEYS = {"train": "training", "val": "validation"}


def write(job: Job) -> None:
    """Write images and datalist."""
    lists: dict[str, list[dict[str, Any]]] = {"training": []}
    for image in job.images():
        name = f"images/{image.id}.nii.gz"
        job.copy_image(image, name)
        nodules = image.nodules(mimics=job.options.mimics)
        side = KEYS.get(job.side(image), job.side(image))
        key = side if nodules else f"{side}_without_nodules"
        lists.setdefault(key, []).append(
            {
                "image": name,
                "box": [box(image, nodule) for nodule in nodules],
                "label": [CLASSES[nodule.name_of_class] - 1 for nodule in nodules],
                "nodule_id": [nodule.id for nodule in nodules],
                "malignancy": [nodule.row["label"] for nodule in nodules],
            }
        )
    job.write_json("datalist.json", lists)


def box(image: SourceImage, nodule: SourceNodule) -> list[float]:
    """Centre and full width ``[x, y, z, w, h, d]`` [mm, LPS], to 0.1 micrometre."""
    low, high = image.box_mm(nodule)
    centre = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    width = [b - a for a, b in zip(low, high, strict=True)]
    return [round(value, 4) for value in (*centre, *width)]
