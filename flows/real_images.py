"""Lesions in real images, as files: seeds out of labelled CTs, hosts, and CTs with lesions inserted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesions import Nodule
from lesions.images import (
    Host,
    Isolated,
    Resolution,
    draw_seeds,
    insert_nodules,
    insert_seeds,
    isolate,
    load_host,
    load_seed,
    prepare,
    resolution_of_kernel,
    save_host,
    save_seed,
)
from twins import Grid
from twins.files import replacing
from twins.importers.volume import Volume
from twins.importers.volume import read_volume as read_ct

from .study import make_key
from .volumes import nearest, read_volume, write_volume


@dataclass(frozen=True, slots=True)
class Sharpness:
    """What is said about a CT's resolution; with nothing said it is measured in the image."""

    fwhm_mm: float | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None

    def resolution(self, grid: Grid) -> Resolution | None:
        """The resolution, or None where the image is to tell it."""
        thickness = grid.spacing_mm[0] if self.slice_thickness_mm is None else self.slice_thickness_mm
        if self.fwhm_mm is not None and self.kernel is not None:
            raise ValueError("give the in-plane FWHM or the kernel, not both")
        if self.fwhm_mm is not None:
            said = "given" if self.slice_thickness_mm is not None else "estimated as the distance of the slices"
            return Resolution(self.fwhm_mm, thickness, slice_source=said)
        return None if self.kernel is None else resolution_of_kernel(self.kernel, thickness)


def write_seeds(
    ct: Path,
    labels: Path,
    folder: Path,
    *,
    label: int | None = None,
    sharpness: Sharpness | None = None,
    source: str = "unknown",
    licence: str = "unknown",
) -> Isolated:
    """Isolate the labelled tumours of a CT and write each as ``<name>.h5`` into a folder.

    Raises
    ------
    ValueError
        If the label map is not on the CT's voxels, holds no such label, or the resolution cannot be told.
    """
    volume, hu = _read(ct)
    found = isolate(
        hu,
        volume.grid,
        _labels_on(labels, volume),
        name=ct.name.partition(".")[0],
        label=label,
        resolution=_resolution(volume, hu, sharpness or Sharpness()),
        source=source,
        licence=licence,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for seed in found.seeds:
        save_seed(seed, folder / f"{seed.name}.h5")
    return found


def write_host(ct: Path, target: Path, *, sharpness: Sharpness | None = None, lungs: Path | None = None) -> Host:
    """Find out about a CT what the insertion of lesions needs, and write it.

    Raises
    ------
    ValueError
        If there is no lung, or the resolution cannot be told.
    """
    host = _host(ct, sharpness or Sharpness(), lungs)[0]
    save_host(host, target)
    return host


def insert_into(
    ct: Path,
    target: Path,
    *,
    host_file: Path | None = None,
    seeds: Sequence[Path] = (),
    nodules: Path | None = None,
    n: int = 1,
    seed: int = 0,
    sharpness: Sharpness | None = None,
    mimics: bool = False,
) -> list[dict[str, Any]]:
    """Insert nodules (specs, one JSON per line) or tumours drawn from seed files into a CT.

    Writes ``target`` (a NIfTI on the CT's own lattice), ``<stem>_mask.nii.gz`` with one label per lesion (mimics only
    if ``mimics``) and ``<stem>_truth.json``; returns the records of the truth.

    Raises
    ------
    ValueError
        If a file cannot be used, or a lesion cannot be placed.
    """
    if not target.name.endswith(".nii.gz"):
        raise ValueError(f"--out: an image ends in .nii.gz, got {target}")
    if bool(seeds) == (nodules is not None):
        raise ValueError("give either seeds or nodules")
    if host_file is None:
        host, volume = _host(ct, sharpness or Sharpness(), None)
    else:
        volume, hu = _read(ct)
        host = load_host(host_file, hu, volume.grid)
    rng = np.random.Generator(np.random.Philox(key=make_key(seed, "image", "lesions")))
    if nodules is not None:
        image, truth = insert_nodules(host, _specs(nodules, n), rng=rng)
        records, labels = [t.record() for t in truth.nodules], truth.labels(host.grid, mimics=mimics)
    else:
        drawn = draw_seeds([load_seed(path) for path in seeds], n, rng=rng)
        image, tumours = insert_seeds(host, drawn, rng=rng)
        records, labels = [t.record() for t in tumours.tumours], tumours.labels(host.grid)
    stem = target.name.removesuffix(".nii.gz")
    for path, array in ((target, image), (target.with_name(f"{stem}_mask.nii.gz"), labels)):
        with replacing(path) as part:
            write_volume(part, *_on_own_lattice(array, volume))
    with replacing(target.with_name(f"{stem}_truth.json")) as part:
        text = {
            "image": volume.name,
            "image_sha256": volume.sha256,
            "seed": seed,
            "resolution": {name: getattr(host.resolution, name) for name in Resolution.__dataclass_fields__},
            "noise_sd_hu": host.noise_sd_hu,
            "lesions": records,
        }
        part.write_text(json.dumps(text, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return records


def _read(ct: Path) -> tuple[Volume, NDArray[np.int16]]:
    volume = read_ct(ct)
    return volume, np.clip(np.rint(volume.hu), -32768, 32767).astype(np.int16)


def _host(ct: Path, sharpness: Sharpness, lungs: Path | None) -> tuple[Host, Volume]:
    volume, hu = _read(ct)
    mask = None if lungs is None else _labels_on(lungs, volume) > 0
    try:
        host = prepare(
            hu,
            volume.grid,
            lungs=mask,
            resolution=sharpness.resolution(volume.grid),
            slice_thickness_mm=sharpness.slice_thickness_mm,
        )
    except ValueError as error:
        raise ValueError(f"{volume.name}: {error}") from None
    return host, volume


def _resolution(volume: Volume, hu: NDArray[np.int16], sharpness: Sharpness) -> Resolution:
    given = sharpness.resolution(volume.grid)
    if given is not None:
        return given
    try:
        return prepare(hu, volume.grid, slice_thickness_mm=sharpness.slice_thickness_mm).resolution
    except ValueError as error:
        raise ValueError(f"{volume.name}: {error}; or give --fwhm or --kernel") from None


def _labels_on(path: Path, volume: Volume) -> NDArray[np.integer]:
    """A label map on the CT's axes-straightened lattice."""
    labels, grid = read_volume(path)
    if not np.issubdtype(labels.dtype, np.integer):
        if not np.array_equal(labels, np.rint(labels)):
            raise ValueError(f"{path}: labels must be whole numbers")
        labels = labels.astype(np.int32)
    if not grid.same_as(volume.host_grid, tolerance_mm=0.05):
        raise ValueError(
            f"{path}: the label map must be on the voxels of {volume.name}: {volume.host_grid.shape} (z, y, x) of "
            f"{volume.host_grid.spacing_mm} mm at {volume.host_grid.origin_mm} mm, got {grid.shape} of "
            f"{grid.spacing_mm} mm at {grid.origin_mm} mm"
        )
    return np.asarray(nearest(labels, grid, volume.grid)).astype(labels.dtype)


def _on_own_lattice(array: NDArray[np.generic], volume: Volume) -> tuple[NDArray[np.generic], Grid]:
    if volume.grid.same_as(volume.host_grid):
        return array, volume.host_grid
    return nearest(array, volume.grid, volume.host_grid), volume.host_grid


def _specs(path: Path, n: int) -> list[Nodule]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) < n:
        raise ValueError(f"{path}: it holds {len(lines)} nodules, {n} were asked for")
    specs = []
    for k, line in enumerate(lines[:n]):
        try:
            specs.append(Nodule.model_validate_json(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {k + 1}: {error}") from None
    return specs
