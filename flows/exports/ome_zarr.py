"""OME-Zarr 0.4 (Moore et al., Histochem. Cell Biol. 160 (2023) 223): multiscale images with their masks as labels.

``<image>.zarr`` is a Zarr v2 group with the HU of the image in levels ``0``, ``1``, ``2``; each level halves the axes
that then keep at least 16 voxels, and holds means (labels: the voxel nearest to the middle). Axes are ``z, y, x`` in
millimetres; scale and translation give world coordinates (patient LPS). Masks are at ``labels/nodules``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..volumes import averaged, nearest, resized
from .job import Job

VERSION = "0.4"

CHUNK = (32, 128, 128)
"""Voxels of a chunk ``(z, y, x)``."""

N_LEVELS, MIN_SIZE = 3, 16


def write(job: Job) -> None:
    """Write one group per image."""
    for image in job.images():
        hu, grid = image.hu()
        if not grid.is_axis_aligned:
            raise ValueError(f"{image.id}: OME-Zarr has no directions; the lattice must be axis-aligned")
        home = job.folder(f"{image.id}.zarr")
        _multiscale(home, image.id, hu, grid, lambda a, _, to: np.rint(averaged(a, to.shape)).astype(np.int16))
        _json(home / "labels/.zgroup", {"zarr_format": 2})
        _json(home / "labels/.zattrs", {"labels": ["nodules"]})
        labels = image.instances(mimics=job.options.mimics)
        known = [{"label-value": n.mask_value, "nodule_id": n.id} for n in image.nodules(mimics=job.options.mimics)]
        label = {"version": VERSION, "source": {"image": "../../"}, "properties": known}
        _multiscale(home / "labels/nodules", "nodules", labels, grid, nearest, {"image-label": label})


def _multiscale(
    home: Path,
    name: str,
    array: NDArray[Any],
    grid: Grid,
    reduced: Callable[[NDArray[Any], Grid, Grid], NDArray[Any]],
    more: dict[str, Any] | None = None,
) -> None:
    datasets, to = [], grid
    for level in range(N_LEVELS):
        _array(home / str(level), array if level == 0 else reduced(array, grid, to))
        x, y, z = to.origin_mm
        moves = [{"type": "scale", "scale": list(to.spacing_mm)}, {"type": "translation", "translation": [z, y, x]}]
        datasets.append({"path": str(level), "coordinateTransformations": moves})
        shape = tuple(n // 2 if n // 2 >= MIN_SIZE else n for n in to.shape)
        if shape == to.shape:
            break
        to = resized(grid, shape)  # type: ignore[arg-type]
    axes = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"]
    scales = [{"version": VERSION, "name": name, "axes": axes, "datasets": datasets}]
    _json(home / ".zgroup", {"zarr_format": 2})
    _json(home / ".zattrs", {"multiscales": scales, **(more or {})})


def _array(home: Path, array: NDArray[Any]) -> None:
    """A Zarr v2 array: little-endian chunks, zlib, chunk names ``z/y/x``."""
    chunk = tuple(min(a, b) for a, b in zip(CHUNK, array.shape, strict=True))
    data = array.astype(array.dtype.newbyteorder("<"))
    _json(
        home / ".zarray",
        {
            "zarr_format": 2,
            "shape": list(array.shape),
            "chunks": list(chunk),
            "dtype": data.dtype.str,
            "compressor": {"id": "zlib", "level": 1},
            "fill_value": 0,
            "order": "C",
            "filters": None,
            "dimension_separator": "/",
        },
    )
    for index in product(*(range(-(-n // c)) for n, c in zip(array.shape, chunk, strict=True))):
        part = data[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))]
        whole = np.zeros(chunk, data.dtype)  # chunks at the far ends are padded
        whole[tuple(slice(n) for n in part.shape)] = part
        path = home.joinpath(*(str(i) for i in index))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zlib.compress(whole.tobytes(), 1))


def _json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
