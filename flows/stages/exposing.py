"""The exposure of a case: that of its twin before nodules, with the shadows of the nodules worked again.

Every case goes this way, whether or not another one has the same base, so that its bytes do not depend on that. Where
the plan has the base again, the exposure of the base is kept beside the dataset until its last case is done, and is
removed then: it is as large as all readings of the scan (6 bytes each). A GPU exposes a twin with its nodules in less
time than the shadows take; there the twin is exposed whole.
"""

from __future__ import annotations

from collections.abc import Callable

import ctsim
from ctsim import Exposure, Protocol
from twins import Twin

from ..store import Artefact, content_key
from ..study import Case, Scan
from .site import Held, Site

VERSION = 1

FOLDER = "exposures"
"""Where exposures of shared bases lie while a build needs them."""


def take_exposure(
    site: Site,
    case: Case,
    scan: Scan,
    protocol: Protocol,
    twin_file: Artefact,
    base: Held[Twin],
    twin: Held[Twin],
    progress: Callable[[float], None],
) -> Exposure:
    """The exposure of a scan's group.

    Parameters
    ----------
    site, case
        Where and what for.
    scan, protocol
        The first of the group, and its protocol with the range that the twin asks for.
    twin_file
        The twin before nodules: its digest is what cases of one base share.
    base, twin
        The twin before and with its nodules.
    progress
        Gets the fraction done.
    """
    if site.backend == "gpu":
        return ctsim.expose(
            twin.get(), scan.scanner, protocol, sampling=scan.sampling, backend=site.backend, progress=progress
        )
    key, path = _key(site, scan, twin_file)
    kept = site.store.find(key) if case.base_came_before or case.base_comes_again else None
    if kept is not None:
        exposure = ctsim.load_exposure(site.store.root / kept.path)
    else:
        exposure = ctsim.expose(
            base.get(), scan.scanner, protocol, sampling=scan.sampling, backend=site.backend, progress=progress
        )
        if case.base_comes_again:
            site.store.put(key, path, lambda part: ctsim.save_exposure(exposure, part))
    return ctsim.add_insets(exposure, twin.get(), overwrite=True)


def drop_exposure(site: Site, case: Case, scan: Scan, twin_file: Artefact) -> None:
    """Remove the exposure of a scan's group after the last case that shares it."""
    if case.base_came_before and not case.base_comes_again:
        site.store.drop(_key(site, scan, twin_file)[0])


def _key(site: Site, scan: Scan, twin_file: Artefact) -> tuple[str, str]:
    """Content key and place of the exposure of a base."""
    path = f"{FOLDER}/{twin_file.sha256[:16]}-{scan.group}.h5"
    spec = {
        "scanner": scan.scanner.model_dump(mode="json"),
        "acquisition": scan.protocol.acquisition().model_dump(mode="json"),
        "sampling": scan.sampling.model_dump(mode="json"),
        # with the twin, these fix the range on a host's own lattice
        "host_grid": scan.host_grid,
        "slice_thickness_mm": scan.protocol.reconstruction.slice_thickness_mm if scan.host_grid else None,
    }
    inputs = {"twin": twin_file.sha256}
    rooms = ("twins", "ctsim")
    key = content_key("exposure", VERSION, path=path, spec=spec, inputs=inputs, backend=site.backend, rooms=rooms)
    return key, path
