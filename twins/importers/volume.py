"""Reading a CT volume: any format that SimpleITK reads, brought to LPS axis order, refused unless it is CT in HU."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grid import IDENTITY, Grid

_OBLIQUE_TOLERANCE = 1e-3
"""Largest off-axis part of a direction cosine that still counts as axis-parallel (0.06 degrees)."""


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
    """

    grid: Grid
    hu: NDArray[np.float32]
    host_grid: Grid
    name: str
    sha256: str


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a CT from a NIfTI, NRRD, MHA... file or from a folder with one DICOM series.

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
    image, parts = _read(source)
    array, host = _array_and_grid(image, source.name)
    _check_hounsfield(array, source.name)
    array, grid = _to_lps(array, host, source.name)
    return Volume(grid, np.ascontiguousarray(array, dtype=np.float32), host, source.name, _digest(parts))


def _read(source: Path) -> tuple[Any, list[Path]]:
    import SimpleITK as sitk

    if source.is_dir():
        reader = sitk.ImageSeriesReader()
        series = reader.GetGDCMSeriesIDs(str(source))
        if len(series) != 1:
            raise ValueError(f"{source.name}: the folder must hold one DICOM series, found {len(series)}")
        files = reader.GetGDCMSeriesFileNames(str(source), series[0])
        reader.SetFileNames(files)
        try:
            return reader.Execute(), sorted(Path(f) for f in files)
        except RuntimeError as error:
            raise ValueError(f"{source.name}: the DICOM series cannot be read: {_reason(error)}") from None
    try:
        return sitk.ReadImage(str(source)), [source]
    except RuntimeError as error:
        raise ValueError(f"{source.name}: cannot be read as an image: {_reason(error)}") from None


def _reason(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].replace("sitk::ERROR: ", "")


def _array_and_grid(image: Any, name: str) -> tuple[NDArray[Any], Grid]:
    import SimpleITK as sitk

    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(
            f"{name}: expected one three-dimensional volume of numbers, got {image.GetDimension()} dimensions of size "
            f"{image.GetSize()} with {image.GetNumberOfComponentsPerPixel()} components"
        )
    array = sitk.GetArrayViewFromImage(image)
    if min(array.shape) < 8:
        raise ValueError(f"{name}: a chest CT needs at least 8 voxels along each axis, got {array.shape} (z, y, x)")
    dx, dy, dz = image.GetSpacing()
    shape = (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))
    return np.array(array), Grid(shape, (dz, dy, dx), image.GetOrigin(), image.GetDirection())


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


def _to_lps(array: NDArray[Any], host: Grid, name: str) -> tuple[NDArray[Any], Grid]:
    """Flip and permute the axes so that x, y and z indices grow along world +x, +y and +z."""
    matrix = np.asarray(host.direction).reshape(3, 3)
    axis_of_world = np.argmax(abs(matrix), axis=1)
    signs = np.sign(matrix[np.arange(3), axis_of_world])
    straight = np.zeros((3, 3))
    straight[np.arange(3), axis_of_world] = signs
    if sorted(axis_of_world) != [0, 1, 2] or abs(matrix - straight).max() > _OBLIQUE_TOLERANCE:
        angle = float(np.degrees(np.arccos(np.clip(abs(matrix[np.arange(3), axis_of_world]).min(), -1, 1))))
        raise ValueError(
            f"{name}: oblique volumes are not supported: its axes are turned by {angle:.2f} degrees against the "
            "patient axes; resample it to axis-parallel voxels first"
        )
    order = [2 - int(axis_of_world[k]) for k in (2, 1, 0)]  # array axes that run along world z, y, x
    array = array.transpose(order)
    spacing = tuple(host.spacing_mm[a] for a in order)
    origin = np.asarray(host.origin_mm, dtype=np.float64)
    for array_axis, world in ((0, 2), (1, 1), (2, 0)):
        if signs[world] < 0:
            array = np.flip(array, array_axis)
            origin[world] -= (array.shape[array_axis] - 1) * spacing[array_axis]
    shape = (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))
    point = (float(origin[0]), float(origin[1]), float(origin[2]))
    return array, Grid(shape, spacing, point, IDENTITY)  # type: ignore[arg-type]


def _digest(parts: list[Path]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
