"""The twins with their nodules as voxelized XCIST phantoms, one folder per twin (:func:`twins.exports.write_xcist`)."""

from __future__ import annotations

import twins
from twins import Twin

from .job import Job
from .source import SourceImage


def write(job: Job) -> None:
    """Write ``<twin>/<twin>.json`` with its maps and materials."""
    from twins.exports import write_xcist

    done: set[str] = set()
    for image in job.images():
        name = image.row["twin_id"]
        if name not in done:
            done.add(name)
            write_xcist(twins_of(image)[1], job.folder(name), name=name)


def twins_of(image: SourceImage) -> tuple[Twin, Twin]:
    """The twin of an image before and with its nodules and mimics, from the dataset's twin and truth files."""
    import lesions

    base = twins.load(image.source.path(image.row["twin_file"]))
    placed = tuple(known.nodule for known in image.source.truth(image.row).nodules)
    return base, lesions.insert(base, placed)[0] if placed else base
