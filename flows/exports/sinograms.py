"""The sinograms of every scan as HDF5 (:meth:`ctsim.Sinogram.save`).

A dataset does not keep readings: they are simulated again from its twins, truths and study, by the way that the build
went, so that reconstructing them gives the dataset's images. This takes as long as the exposures of the build.
"""

from __future__ import annotations

import ctsim
from ctsim import Sinogram
from twins import Twin

from ..stages.imaging import covering
from ..study import Scan, make_plan
from .job import Job
from .xcist import twins_of


def write(job: Job) -> None:
    """Write ``<image>.h5``."""
    plan = make_plan(job.source.dataset.study)
    scans = {scan.image_id: scan for case in plan.cases for scan in case.scans}
    held: tuple[str, Twin, Twin] | None = None
    for image in job.images():
        name = image.row["twin_id"]
        if held is None or held[0] != name:
            held = (name, *twins_of(image))
        backend = image.row.get("backend") or "auto"
        simulated(held[1], held[2], scans[image.id], backend=backend).save(job.root / f"{image.id}.h5")


def simulated(base: Twin, twin: Twin, scan: Scan, *, backend: str) -> Sinogram:
    """The readings of one scan, on the backend that the build used.

    Parameters
    ----------
    base, twin
        The twin before and with its nodules.
    scan
        What the study's plan says about it.
    backend
        ``cpu``, ``gpu`` or ``auto``; as :mod:`flows.stages.exposing` says, a GPU exposes the twin whole.
    """
    protocol = covering(scan.protocol, twin, host=scan.host_grid)
    whole = backend == "gpu"
    exposure = ctsim.expose(twin if whole else base, scan.scanner, protocol, sampling=scan.sampling, backend=backend)
    if not whole:
        exposure = ctsim.add_insets(exposure, twin, overwrite=True)
    return ctsim.detect(exposure, protocol, key=scan.key, overwrite=True, backend=backend)
