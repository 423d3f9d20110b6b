"""The images of a case: one exposure per group of scans, then dose, noise and reconstruction for each; masks on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ctsim
from ctsim import CT, Exposure, Kernel, Protocol
from lesions import Truth
from twins import Grid, Twin

from ..store import Artefact, content_key
from ..study import Case, Scan
from ..volumes import nearest, read_volume, write_volume
from .exposing import drop_exposure, take_exposure
from .site import Held, Site

VERSION = 5

DOSES = ("ctdi_vol_mgy", "dlp_mgy_cm", "ssde_mgy")
"""Dose indices of a scan that are kept with its image."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """The files of one image."""

    image_id: str
    image: Artefact
    mask: Artefact
    mimics: Artefact | None
    anatomy: Artefact | None


def make_images(
    site: Site,
    case: Case,
    twin_file: Artefact,
    truth_file: Artefact,
    truth: Held[Truth],
    base: Held[Twin],
    twin: Held[Twin],
) -> list[ImageRecord]:
    """Make ``images/``, ``masks/``, ``mimics/``, ``anatomy/`` of every scan; the exposure where an image is missing.

    ``base`` and ``twin`` are the twin before and with its nodules.
    """
    inputs = {"twin": twin_file.sha256, "truth": truth_file.sha256}
    keys = {scan.image_id: _image_key(site, scan, inputs) for scan in case.scans}
    found = {scan.image_id: site.store.find(keys[scan.image_id]) for scan in case.scans}
    raws = list(dict.fromkeys(scan.raw for scan in case.scans))
    for group in dict.fromkeys(scan.group for scan in case.scans):
        scans = sorted((scan for scan in case.scans if scan.group == group), key=lambda scan: raws.index(scan.raw))
        missing = [scan for scan in scans if found[scan.image_id] is None]
        first, weight = scans[0], scans[0].exposure_s
        if not missing:
            drop_exposure(site, case, first, twin_file)
            site.meter.skip(weight + sum(scan.image_s for scan in scans), f"{case.twin_id}: images found")
            continue
        with site.meter.part(f"{case.twin_id}: projecting", weight) as progress:
            protocol = covering(first.protocol, twin.get(), host=first.host_grid)
            exposure = take_exposure(site, case, first, protocol, twin_file, base, twin, progress)
        readings = _Readings(exposure, site.backend)
        for number, scan in enumerate(scans):
            if scan not in missing:
                site.meter.skip(scan.image_s, f"{scan.image_id}: found")
                continue
            with site.meter.part(f"{scan.image_id}: reconstructing", scan.image_s) as progress:

                def write(
                    part: Path,
                    scan: Scan = scan,
                    readings: _Readings = readings,
                    last: bool = all(later.raw == scan.raw for later in scans[number:]),
                    progress: Any = progress,
                ) -> Mapping[str, Any]:
                    protocol = covering(scan.protocol, twin.get(), host=scan.host_grid)
                    sinogram = readings.of(scan, protocol, last=last)
                    ct = reconstruct_on(
                        sinogram,
                        protocol,
                        scan.kernel,
                        twin.get(),
                        host=scan.host_grid,
                        backend=site.backend,
                        progress=progress,
                    )
                    ct.save(part)
                    return _facts(ct, sinogram)

                found[scan.image_id] = site.store.put(keys[scan.image_id], _image_path(scan), write)
        drop_exposure(site, case, first, twin_file)
    records = []
    for scan in case.scans:
        image = found[scan.image_id]
        assert image is not None
        with site.meter.part(f"{scan.image_id}: masks", 0.1 * scan.image_s):
            records.append(_with_masks(site, case, scan, image, twin_file, truth_file, truth, twin))
    return records


class _Readings:
    """The readings of a group's scans: noise is drawn once for all reconstructions of one acquisition."""

    def __init__(self, exposure: Exposure, backend: str) -> None:
        self._exposure = exposure
        self._backend = backend
        self._raw: str | None = None
        self._sinogram: Any = None

    def of(self, scan: Scan, protocol: Protocol, *, last: bool) -> Any:
        """The sinogram of a scan; ``last``: no other acquisition follows, so the exposure may be overwritten."""
        if self._raw != scan.raw:
            self._sinogram = None  # its memory goes before that of the next
            self._sinogram = ctsim.detect(self._exposure, protocol, key=scan.key, overwrite=last, backend=self._backend)
            self._raw = scan.raw
        return replace(self._sinogram, protocol=protocol)


def host_grid(twin: Twin) -> Grid | None:
    """The lattice of the CT that a patient twin comes from, axes turned along the world's; None where unknown."""
    data = twin.provenance.get("host_grid")
    return upright(Grid.from_dict(data)) if isinstance(data, Mapping) else None


def covering(protocol: Protocol, twin: Twin, *, host: bool) -> Protocol:
    """The protocol with a range that covers all slices of a patient twin's own CT, where it is to come back on them."""
    grid = host_grid(twin) if host else None
    if grid is None or protocol.scan_range_mm is not None or protocol.mode == "axial":
        return protocol
    z = grid.axes_mm()[0]
    half = 0.5 * max(grid.spacing_mm[0], protocol.reconstruction.slice_thickness_mm)
    return protocol.model_copy(update={"scan_range_mm": (float(z[0]) - half, float(z[-1]) + half)})


def upright(grid: Grid) -> Grid:
    """The same voxels with index axes x, y, z along world +x, +y, +z.

    Raises
    ------
    ValueError
        If the lattice is oblique.
    """
    matrix = np.asarray(grid.direction).reshape(3, 3)
    if not np.allclose(np.abs(matrix), np.rint(np.abs(matrix)), atol=1e-4):
        raise ValueError(f"an oblique lattice cannot be reconstructed on, direction is {grid.direction}")
    order = np.abs(matrix).argmax(axis=1)  # index axis that runs along world x, y, z
    last = np.asarray(grid.shape) - 1
    corner = np.where(matrix[np.arange(3), order] > 0, 0, last[::-1][order])
    index = np.zeros(3)
    index[2 - order] = corner
    x, y, z = grid.index_to_world(index)
    shape = [grid.shape[2 - axis] for axis in order[::-1]]
    spacing = [grid.spacing_mm[2 - axis] for axis in order[::-1]]
    return Grid(tuple(shape), tuple(spacing), (float(x), float(y), float(z)))  # type: ignore[arg-type]


def reconstruct_on(
    sinogram: Any,
    protocol: Protocol,
    kernel: Kernel,
    twin: Twin,
    *,
    host: bool,
    backend: str = "auto",
    progress: Any = None,
) -> CT:
    """The image of a sinogram: on the protocol's lattice, or with ``host`` on that of a patient twin's own CT.

    On a host's lattice slices are at least as thick as they are apart.
    """
    grid = host_grid(twin) if host else None
    thickness = protocol.reconstruction.slice_thickness_mm
    if grid is not None:
        thickness = max(thickness, grid.spacing_mm[0])
    return ctsim.reconstruct(
        sinogram, kernel=kernel, grid=grid, slice_thickness_mm=thickness, backend=backend, progress=progress
    )


def _facts(ct: CT, sinogram: Any) -> dict[str, Any]:
    dose = sinogram.meta.get("dose") or {}
    thickness = ct.meta.get("slice_thickness_mm")
    return {
        "grid": ct.grid.to_dict(),
        **{name: dose.get(name) for name in DOSES},
        "dose_is_predicted": dose.get("is_predicted"),
        "mean_mas_per_rotation": sinogram.meta.get("mean_mas_per_rotation"),
        "water_diameter_mm": sinogram.meta.get("water_diameter_mm"),
        "mu_water_per_mm": float(sinogram.mu_water_per_mm),
        "n_views": int(sinogram.line_integral.shape[0]),
        "n_readings": int(sinogram.line_integral.size),
        "slice_thickness_mm": None if thickness is None else float(thickness),
        "device": ct.meta.get("device"),
    }


def _image_path(scan: Scan) -> str:
    return f"images/{scan.image_id}.nii.gz"


def _image_key(site: Site, scan: Scan, inputs: Mapping[str, str]) -> str:
    spec = {
        "scanner": scan.scanner.model_dump(mode="json"),
        "protocol": scan.protocol.model_dump(mode="json"),
        "sampling": scan.sampling.model_dump(mode="json"),
        "kernel": scan.kernel.model_dump(mode="json"),
        "key": scan.key,
        "host_grid": scan.host_grid,
    }
    return content_key(
        "image",
        VERSION,
        path=_image_path(scan),
        spec=spec,
        inputs=inputs,
        backend=site.backend,
        rooms=("twins", "lesions", "ctsim"),
    )


def mimic_labels(truth: Truth, grid: Grid) -> NDArray[np.uint8]:
    """Hard negatives alone ``(z, y, x)``: the numbers that they have in ``truth.labels(grid, mimics=True)``, else 0."""
    numbers = [number for number, nodule in enumerate(truth.nodules, 1) if nodule.is_mimic]
    labels = truth.labels(grid, mimics=True)
    return np.where(np.isin(labels, numbers), labels, np.uint8(0))


def _with_masks(
    site: Site,
    case: Case,
    scan: Scan,
    image: Artefact,
    twin_file: Artefact,
    truth_file: Artefact,
    truth: Held[Truth],
    twin: Held[Twin],
) -> ImageRecord:
    def grid() -> Grid:
        return read_volume(site.store.root / image.path)[1]

    def masked(name: str, paint: Callable[[Truth, Grid], NDArray[np.uint8]]) -> Artefact:
        def write(part: Path) -> Mapping[str, Any]:
            labels = paint(truth.get(), grid())
            write_volume(part, labels, grid())
            counts = np.bincount(labels.ravel(), minlength=len(truth.get().nodules) + 1)
            return {"n_voxels": [int(n) for n in counts[1:]]}

        path = f"{name}/{scan.image_id}.nii.gz"
        key = content_key(
            "mask",
            VERSION,
            path=path,
            spec=image.facts["grid"],
            inputs={"truth": truth_file.sha256},
            backend="cpu",
            rooms=("twins", "lesions"),
        )
        return site.store.make(key, path, write)

    def write_anatomy(part: Path) -> None:
        base = twin.get()
        write_volume(part, nearest(base.structure, base.grid, grid()), grid())

    mask = masked("masks", Truth.labels)
    has_mimics = any(nodule.is_mimic and nodule.id not in case.left_out for nodule in case.nodules)
    mimics = masked("mimics", mimic_labels) if has_mimics else None
    anatomy = None
    if case.anatomy:
        path = f"anatomy/{scan.image_id}.nii.gz"
        inputs = {"twin": twin_file.sha256}
        key = content_key("anatomy", VERSION, path=path, spec=image.facts["grid"], inputs=inputs, backend="cpu")
        anatomy = site.store.make(key, path, write_anatomy)
    return ImageRecord(scan.image_id, image, mask, mimics, anatomy)
