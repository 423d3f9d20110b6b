"""One twin, one scan, one image: the scan of a study entry without a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctsim
from ctsim import CT
from twins import Twin

from .stages.imaging import covering, reconstruct_on
from .study import ScanEntry, make_key
from .study.resolution import protocol_of, sampling_of


def scan_twin(
    twin: Twin,
    entry: ScanEntry,
    *,
    seed: int = 0,
    backend: str = "auto",
    raw: Path | None = None,
    progress: Callable[[float], None] | Any = None,
) -> CT:
    """Scan ``twin`` as ``entry`` says and reconstruct the image; ``raw``: file for the readings, if they are wanted.

    Raises
    ------
    SpecError
        If the profile lacks what the entry asks for.
    """
    profile = ctsim.load_profile(entry.profile)
    protocol = covering(protocol_of(entry, profile), twin, host=entry.host_grid)
    exposure = ctsim.expose(
        twin,
        profile.scanner,
        protocol,
        sampling=sampling_of(entry.sampling or "standard"),
        backend=backend,
        progress=None if progress is None else (lambda fraction: progress(0.7 * fraction)),
    )
    key = make_key(seed, "scan", entry.name, "noise")
    readings = ctsim.read_out(exposure, protocol, key=key, overwrite=True, backend=backend)
    del exposure  # its energies are a third of the memory of a scan
    if raw is not None:
        readings.save(raw)
    sinogram = ctsim.correct(readings, overwrite=True, backend=backend)
    del readings
    kernel = profile.kernel(protocol.reconstruction.kernel)
    return reconstruct_on(
        sinogram,
        protocol,
        kernel,
        twin,
        host=entry.host_grid,
        backend=backend,
        progress=None if progress is None else (lambda fraction: progress(0.7 + 0.3 * fraction)),
    )
