"""Lesions in real images, as files: seeds out of labelled CTs, hosts, and CTs with lesions inserted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

from .image_files import beside, check_image_target, stem_of, write_image, write_labels
from .progress import Report
from .study import make_key
from .volumes import nearest, read_volume

TAGS = ("0018|1210", "0018|0050")
"""DICOM attributes of a CT: convolution kernel, slice thickness [mm] (PS3.3 C.8.2.1, C.7.6.2)."""


@dataclass(frozen=True, slots=True)
class Sharpness:
    """What is said about a CT's resolution; with nothing said it is measured in the image.

    A DICOM series says its slice thickness, and its kernel where the image tells nothing.
    """

    fwhm_mm: float | None = None
    kernel: str | None = None
    slice_thickness_mm: float | None = None
    thickness_source: str = "given"

    def resolution(self, grid: Grid) -> Resolution | None:
        """The resolution, or None where the image is to tell it."""
        thickness = grid.spacing_mm[0] if self.slice_thickness_mm is None else self.slice_thickness_mm
        if self.fwhm_mm is not None and self.kernel is not None:
            raise ValueError("give the in-plane FWHM or the kernel, not both")
        if self.fwhm_mm is not None:
            said = (
                self.thickness_source
                if self.slice_thickness_mm is not None
                else "estimated as the distance of the slices"
            )
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
    progress: Report | None = None,
) -> Isolated:
    """Isolate the labelled tumours of a CT and write each as ``<name>.h5`` into a folder.

    ``progress`` gets ``(fraction, what)``.

    Raises
    ------
    ValueError
        If the label map is not on the CT's voxels, holds no such label, or the resolution cannot be told.
    """
    say = progress or _silent
    say(0.0, f"reading {ct.name}")
    volume, hu = _read(ct)
    found = isolate(
        hu,
        volume.grid,
        _labels_on(labels, volume),
        name=ct.name.partition(".")[0],
        label=label,
        resolution=_resolution(ct, volume, hu, sharpness or Sharpness()),
        source=source,
        licence=licence,
        progress=lambda share: say(0.2 + 0.8 * share, "isolating tumours"),
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
    any_lobe: bool = False,
    progress: Report | None = None,
) -> list[dict[str, Any]]:
    """Insert nodules (specs, one JSON per line) or tumours drawn from seed files into a CT.

    Writes ``target`` on the CT's own lattice, in the kind that its name says (:mod:`flows.image_files`),
    ``<stem>_mask.*`` with one label per lesion (mimics only if ``mimics``) and ``<stem>_truth.json``, which tells label
    from lesion; returns the records of the truth. A CT alone knows its lungs, not their lobes: with ``any_lobe``
    nodules that ask for a lobe may lie in any. ``progress`` gets ``(fraction, what)``.

    Raises
    ------
    ValueError
        If a file cannot be used, or a lesion cannot be placed.
    """
    check_image_target(target)
    if bool(seeds) == (nodules is not None):
        raise ValueError("give either seeds or nodules")
    say = progress or _silent
    say(0.0, f"host {ct.name}")
    if host_file is None:
        host, volume = _host(ct, sharpness or Sharpness(), None)
    else:
        volume, hu = _read(ct)
        host = load_host(host_file, hu, volume.grid)
    rng = np.random.Generator(np.random.Philox(key=make_key(seed, "image", "lesions")))

    def inserted(share: float) -> None:
        say(0.3 + 0.6 * share, "inserting lesions")

    inserted(0.0)
    if nodules is not None:
        specs = _specs(nodules, n)
        if any_lobe:
            # No lobes, no fissures: what a sample attaches to one lies free.
            free = [spec.attachment != "fissure" for spec in specs]
            specs = [
                spec.model_copy(update={"lobe": None, "attachment": spec.attachment if ok else None})
                for spec, ok in zip(specs, free, strict=True)
            ]
        elif asked := [spec.id for spec in specs if spec.lobe is not None]:
            raise ValueError(
                f"{nodules}: lobe is set for {', '.join(asked)}, and a CT alone knows its lungs, not their lobes: "
                "--any-lobe lets such nodules lie in any"
            )
        image, truth = insert_nodules(host, specs, rng=rng, progress=inserted)
        records, labels = [t.record() for t in truth.nodules], truth.labels(host.grid, mimics=mimics)
        legend = truth.legend(mimics=mimics)
    else:
        drawn = draw_seeds([load_seed(path) for path in seeds], n, rng=rng)
        image, tumours = insert_seeds(host, drawn, rng=rng, progress=inserted)
        records, labels = [t.record() for t in tumours.tumours], tumours.labels(host.grid)
        legend = {k + 1: str(record["id"]) for k, record in enumerate(records)}
    say(0.9, f"writing {target.name}")
    write_image(target, *_on_own_lattice(image, volume), source=ct, what=f"{len(records)} lesions inserted")
    write_labels(beside(target, "mask"), *_on_own_lattice(labels, volume))
    with replacing(target.with_name(f"{stem_of(target)}_truth.json")) as part:
        text = {
            "image": volume.name,
            "image_sha256": volume.sha256,
            "seed": seed,
            "resolution": {name: getattr(host.resolution, name) for name in Resolution.__dataclass_fields__},
            "noise_sd_hu": host.noise_sd_hu,
            "labels": {str(value): name for value, name in legend.items()},
            "lesions": records,
        }
        part.write_text(json.dumps(text, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return records


def _silent(_fraction: float, _what: str) -> None:
    """Progress that nobody asked for."""


def _read(ct: Path) -> tuple[Volume, NDArray[np.int16]]:
    volume = read_ct(ct)
    return volume, np.clip(np.rint(volume.hu), -32768, 32767).astype(np.int16)


def _host(ct: Path, sharpness: Sharpness, lungs: Path | None) -> tuple[Host, Volume]:
    volume, hu = _read(ct)
    mask = None if lungs is None else _labels_on(lungs, volume) > 0
    try:
        return _prepared(ct, volume, hu, sharpness, mask), volume
    except ValueError as error:
        raise ValueError(f"{volume.name}: {error}") from None


def _resolution(ct: Path, volume: Volume, hu: NDArray[np.int16], sharpness: Sharpness) -> Resolution:
    given = _with_header(ct, sharpness)[0].resolution(volume.grid)
    if given is not None:
        return given
    try:
        return _prepared(ct, volume, hu, sharpness, None).resolution
    except ValueError as error:
        raise ValueError(f"{volume.name}: {error}; or give --fwhm or --kernel") from None


def _prepared(
    ct: Path, volume: Volume, hu: NDArray[np.int16], sharpness: Sharpness, lungs: NDArray[np.bool_] | None
) -> Host:
    """The host at the resolution said; else as measured; else, of a DICOM series, as its kernel suggests."""
    sharpness, kernel = _with_header(ct, sharpness)
    said, thickness = sharpness.resolution(volume.grid), sharpness.slice_thickness_mm
    if said is not None:
        return prepare(hu, volume.grid, lungs=lungs, resolution=said)
    try:
        host = prepare(hu, volume.grid, lungs=lungs, slice_thickness_mm=thickness)
    except ValueError:
        if kernel is None:
            raise
        said = resolution_of_kernel(kernel, volume.grid.spacing_mm[0] if thickness is None else thickness)
        host = prepare(hu, volume.grid, lungs=lungs, resolution=said)
    if thickness is None:
        return host
    return replace(host, resolution=replace(host.resolution, slice_source=sharpness.thickness_source))


def _with_header(ct: Path, sharpness: Sharpness) -> tuple[Sharpness, str | None]:
    """What is said, with the slice thickness of a DICOM header where none is; and the header's kernel."""
    kernel, thickness = _header(ct)
    if thickness is None or sharpness.slice_thickness_mm is not None:
        return sharpness, kernel
    return replace(sharpness, slice_thickness_mm=thickness, thickness_source="said by the DICOM header"), kernel


def _header(ct: Path) -> tuple[str | None, float | None]:
    """Kernel and slice thickness [mm] that the first file of a DICOM folder names."""
    if not ct.is_dir():
        return None, None
    import SimpleITK as sitk

    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(ct))
    if not files:
        return None, None
    reader = sitk.ImageFileReader()
    reader.SetFileName(files[0])
    reader.ReadImageInformation()
    kernel, thickness = (reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else "" for tag in TAGS)
    try:
        known = float(thickness)
    except ValueError:
        known = 0.0
    # several values where a scanner names more than the kernel: the first is it
    return kernel.split("\\")[0] or None, known if 0 < known <= 20 else None


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
