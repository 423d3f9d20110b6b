"""Reading a CT volume: any format that SimpleITK reads, brought to LPS axis order, refused unless it is CT in HU."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grid import IDENTITY, Grid
from .dicom import read_series
from .oblique import Stack, straightened

_OBLIQUE_TOLERANCE_DEG = 0.06
"""Largest angle between an index axis and a patient axis that still counts as axis-parallel [degrees]."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A CT on an axis-aligned LPS grid.

    Parameters
    ----------
    grid
        Lattice with identity direction.
    hu
        ``(z, y, x)`` float32 [HU].
    host_grid
        The lattice as the file has it, before axes were flipped or permuted.
    name
        Name of the file or folder, without its path.
    sha256
        Digest of the file, or of the files of the series in order of their names.
    header
        What a DICOM header says: see :class:`.dicom.Series`; empty for other formats.
    mended
        What had to be done to the lattice, for the provenance; empty where nothing.
    """

    grid: Grid
    hu: NDArray[np.float32]
    host_grid: Grid
    name: str
    sha256: str
    header: Mapping[str, Any] = field(default_factory=dict)
    mended: Mapping[str, Any] = field(default_factory=dict)


def read_volume(path: str | os.PathLike[str], *, straighten: bool = False, series: str | None = None) -> Volume:
    """Read a CT from a NIfTI, NRRD, MHA... file or from a folder with one DICOM series.

    Parameters
    ----------
    path
        The file or folder.
    straighten
        Whether oblique volumes and tilted slices are interpolated onto the patient's axes (else they are refused).
    series
        SeriesInstanceUID, where a folder holds several.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``.
    ValueError
        If it cannot be read, is not three-dimensional, is oblique, or does not look like CT in HU. The message names
        the file and the reason.
    """
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    header: Mapping[str, Any] = {}
    mended: dict[str, Any] = {}
    if source.is_dir():
        found = read_series(source, series)
        stack, parts, header = found.stack, sorted(found.files), found.header
        mended.update(found.account)
    elif series is not None:
        raise ValueError(f"{source.name}: a series can be named for a DICOM folder only")
    else:
        stack, parts = _read(source), [source]
    if min(stack.array.shape) < 8:
        raise ValueError(
            f"{source.name}: a chest CT needs at least 8 voxels along each axis, got {stack.array.shape} (z, y, x)"
        )
    _check_hounsfield(stack.array, source.name)
    unit = stack.steps_mm / np.linalg.norm(stack.steps_mm, axis=0)
    if stack.turn_deg() <= _OBLIQUE_TOLERANCE_DEG and sorted(abs(unit).argmax(axis=1)) == [0, 1, 2]:
        array, host, grid = _to_lps(stack, unit)
    elif straighten:
        array, grid, account = straightened(stack, source.name)
        host = grid
        mended.update(account)
    else:
        raise ValueError(
            f"{source.name}: oblique volumes are not supported: its axes are turned by {stack.turn_deg():.2f} degrees "
            "against the patient axes; resample it to axis-parallel voxels first"
        )
    hu = np.ascontiguousarray(array, dtype=np.float32)
    return Volume(grid, hu, host, source.name, _digest(parts), header, mended)


def _read(source: Path) -> Stack:
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(source))
    except RuntimeError as error:
        raise ValueError(f"{source.name}: cannot be read as an image: {_reason(error)}") from None
    return _stack(image, source.name)


def _reason(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].replace("sitk::ERROR: ", "")


def _stack(image: Any, name: str) -> Stack:
    import SimpleITK as sitk

    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(
            f"{name}: expected one three-dimensional volume of numbers, got {image.GetDimension()} dimensions of size "
            f"{image.GetSize()} with {image.GetNumberOfComponentsPerPixel()} components"
        )
    array = sitk.GetArrayViewFromImage(image)
    steps = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    return Stack(np.array(array), np.asarray(image.GetOrigin()), steps)


def _check_hounsfield(array: NDArray[Any], name: str) -> None:
    """CT in HU spans air to bone; anything else is refused rather than guessed at."""
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name}: expected numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: not CT in HU: it holds values that are not finite")
    low, high = float(array.min()), float(array.max())
    if low >= 0:
        raise ValueError(
            f"{name}: not CT in HU: all values are >= 0 ({low:g} to {high:g}); "
            "was the rescale intercept (usually -1024) left out?"
        )
    if low > -800 or high < 150:
        raise ValueError(
            f"{name}: not a chest CT in HU: values span {low:g} to {high:g}, expected air (< -800) and bone (> 150)"
        )
    if low < -33000 or high > 33000:
        raise ValueError(f"{name}: not CT in HU: values span {low:g} to {high:g}")


def _to_lps(stack: Stack, unit: NDArray[np.float64]) -> tuple[NDArray[Any], Grid, Grid]:
    """Flip and permute the axes so that x, y and z indices grow along world +x, +y and +z: array, host's grid, grid."""
    axis_of_world = abs(unit).argmax(axis=1)
    signs = np.sign(unit[np.arange(3), axis_of_world])
    x, y, z = stack.origin_mm
    shape = (int(stack.array.shape[0]), int(stack.array.shape[1]), int(stack.array.shape[2]))
    if np.allclose(unit.T @ unit, np.eye(3), atol=1e-4):
        direction = tuple(float(v) for v in unit.ravel())
    else:  # a stack that is a hair off
        direction = tuple(float(v) for v in np.rint(unit).ravel())
    host = Grid(shape, stack.spacing_mm(), (float(x), float(y), float(z)), direction)
    order = [2 - int(axis_of_world[k]) for k in (2, 1, 0)]  # array axes that run along world z, y, x
    array = stack.array.transpose(order)
    spacing = tuple(host.spacing_mm[a] for a in order)
    origin = np.array(stack.origin_mm, dtype=np.float64)
    for array_axis, world in ((0, 2), (1, 1), (2, 0)):
        if signs[world] < 0:
            array = np.flip(array, array_axis)
            origin[world] -= (array.shape[array_axis] - 1) * spacing[array_axis]
    n_z, n_y, n_x = array.shape
    point = (float(origin[0]), float(origin[1]), float(origin[2]))
    return array, host, Grid((n_z, n_y, n_x), spacing, point, IDENTITY)  # type: ignore[arg-type]


def _digest(parts: list[Path]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
