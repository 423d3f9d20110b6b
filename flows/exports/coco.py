"""COCO (Lin et al., ECCV 2014): 8-bit axial slices with ``instances_<side>.json``.

Every slice that shows a nodule, and every n-th of the other lung slices (of all others where the dataset has no anatomy
labels). One annotation per nodule and slice: box ``[x, y, w, h]`` in pixels, area, and the mask as uncompressed
run lengths (column by column, as ``pycocotools`` reads them). ``instance`` ties the slices of one nodule together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .job import Job
from .msd import classes
from .planes import WINDOW_HU, is_lung_slice, windowed, without_nodule, write_png
from .source import CLASSES, SourceImage


def write(job: Job) -> None:
    """Write slices and annotations."""
    sides: dict[str, dict[str, Any]] = {}
    for image in job.images():
        side = job.side(image)
        data = sides.setdefault(side, {"images": [], "annotations": []})
        hu = image.hu()[0]
        instances = image.instances(mimics=job.options.mimics)
        nodules = image.nodules(mimics=job.options.mimics)
        shown = np.isin(instances, [nodule.mask_value for nodule in nodules])
        has_nodule = np.asarray(shown.any(axis=(1, 2)))
        # hard negatives that are no class of their own may well be seen in slices without a nodule
        others = without_nodule(has_nodule, _candidates(image, len(hu)), job.options.slice_step)
        job.folder(side)
        for k in sorted({*np.flatnonzero(has_nodule).tolist(), *others}):
            name = f"{side}/{image.id}_z{k:04d}.png"
            write_png(job.root / name, windowed(hu[k]))
            image_id = len(data["images"]) + 1
            height, width = hu[k].shape
            entry = {"id": image_id, "file_name": name, "height": height, "width": width}
            data["images"].append({**entry, "scan": image.id, "slice": k})
            for nodule in nodules:
                mask = instances[k] == nodule.mask_value
                if mask.any():
                    data["annotations"].append(
                        {
                            "id": len(data["annotations"]) + 1,
                            "image_id": image_id,
                            "category_id": CLASSES[nodule.name_of_class],
                            **_mask(mask),
                            "iscrowd": 0,
                            "instance": f"{image.id}/{nodule.id}",
                            "malignancy": nodule.row["label"],
                        }
                    )
    categories = [{"id": value, "name": name, "supercategory": "lesion"} for name, value in classes(job).items()]
    info = {"description": f"{job.source.name}: simulated chest CT", "version": "1", "window_hu": list(WINDOW_HU)}
    for side, data in sides.items():
        job.write_json(f"instances_{side}.json", {"info": info, "licenses": [], "categories": categories, **data})


def _candidates(image: SourceImage, n_slices: int) -> NDArray[np.bool_]:
    return is_lung_slice(image.anatomy()) if image.row.get("anatomy_file") else np.ones(n_slices, bool)


def _mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Box, area and run lengths of a mask ``(y, x)``."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat.astype(np.int8))) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return {
        "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
        "area": int(mask.sum()),
        # runs begin with background
        "segmentation": {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs},
    }
