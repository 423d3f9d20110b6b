"""Label volumes as NIfTI, written through SimpleITK so that geometry agrees with the images to the bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twins import Grid


def write_volume(path: str | os.PathLike[str], array: NDArray[np.generic], grid: Grid) -> None:
    """Write an array ``(z, y, x)`` on ``grid`` as compressed NIfTI; the same array always gives the same bytes.

    Raises
    ------
    ValueError
        If the array does not have the shape of the grid.
    """
    import SimpleITK as sitk

    if array.shape != grid.shape:
        raise ValueError(f"array must have the grid's shape {grid.shape}, got {array.shape}")
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, os.fspath(path), useCompression=True)


def read_volume(path: str | os.PathLike[str]) -> tuple[NDArray[np.generic], Grid]:
    """The array ``(z, y, x)`` and the grid of a volume.

    Raises
    ------
    ValueError
        If the file is missing or is no volume.
    """
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        reason = "no such file" if not Path(path).exists() else str(error).strip().splitlines()[-1]
        raise ValueError(f"{path}: cannot be read as a volume: {reason}") from None
    array: NDArray[np.generic] = sitk.GetArrayFromImage(image)
    z, y, x = image.GetSpacing()[::-1]
    return array, Grid(array.shape, (z, y, x), image.GetOrigin(), image.GetDirection())


def nearest(array: NDArray[np.generic], source: Grid, target: Grid) -> NDArray[np.generic]:
    """``array`` on ``source`` taken at the nearest voxel for every voxel of ``target``; zero outside.

    Both lattices must have index axes along world axes (flips allowed).
    """
    index = []
    outside = []
    for axis in range(3):
        n = target.shape[axis]
        steps = np.zeros((n, 3))
        steps[:, axis] = np.arange(n)
        continuous = source.world_to_index(target.index_to_world(steps))[:, axis]
        nearest_index = np.floor(continuous + 0.5).astype(np.int64)
        outside.append((nearest_index < 0) | (nearest_index >= source.shape[axis]))
        index.append(np.clip(nearest_index, 0, source.shape[axis] - 1))
    found = array[np.ix_(*index)].copy()
    for axis, away in enumerate(outside):
        found[(slice(None),) * axis + (away,)] = 0
    return found
