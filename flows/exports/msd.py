"""Medical Segmentation Decathlon: ``imagesTr``, ``labelsTr``, ``imagesTs`` and ``dataset.json``.

Layout: Antonelli et al., Nat. Commun. 13 (2022) 4128, and the decathlon's own ``dataset.json``: labels by number,
paths relative with a leading ``./``. Images held out as ``test`` go to ``imagesTs``; their labels, which a decathlon
keeps to itself, lie in ``labelsTs``. Validation belongs to training here, as in the decathlon.
"""

from __future__ import annotations

from ..volumes import write_volume
from .job import Job
from .source import CLASSES


def write(job: Job) -> None:
    """Write the dataset in the decathlon's layout."""
    training, test = [], []
    for image in job.images():
        part = "Ts" if job.is_test(image) else "Tr"
        name = f"{image.id}.nii.gz"
        job.copy_image(image, f"images{part}/{name}")
        write_volume(job.folder(f"labels{part}") / name, image.labels(mimics=job.options.mimics), image.grid())
        if part == "Ts":
            test.append(f"./imagesTs/{name}")
        else:
            training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    job.write_json(
        "dataset.json",
        {
            "name": job.source.name,
            "description": "Simulated chest CTs with lung nodules; masks from exact truth",
            "reference": "lungtwin",
            "licence": "see the dataset card",
            "release": job.source.seal_sha256[:12],
            "tensorImageSize": "3D",
            "modality": {"0": "CT"},
            "labels": {"0": "background", **{str(value): name for name, value in classes(job).items()}},
            "numTraining": len(training),
            "numTest": len(test),
            "training": training,
            "test": test,
        },
    )


def classes(job: Job) -> dict[str, int]:
    """The classes of an export's label images."""
    return {name: value for name, value in CLASSES.items() if name != "mimic" or job.options.mimics}
