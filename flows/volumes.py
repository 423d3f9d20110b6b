"""Label volumes as NIfTI, written through SimpleITK so that geometry agrees with the images to the bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.files import write_nifti


def write_volume(path: str | os.PathLike[str], array: NDArray[np.generic], grid: Grid) -> None:
    """Write an array ``(z, y, x)`` on ``grid`` as compressed NIfTI; the same array always gives the same bytes.

    Raises
    ------
    ValueError
        If the array does not have the shape of the grid.
    OSError
        If the disk is full.
    """
    import SimpleITK as sitk

    if array.shape != grid.shape:
        raise ValueError(f"array must have the grid's shape {grid.shape}, got {array.shape}")
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    write_nifti(image, path)


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


def resized(grid: Grid, shape: tuple[int, int, int]) -> Grid:
    """A lattice of ``shape`` voxels ``(z, y, x)`` over the same box."""
    ratio = np.asarray(grid.shape) / shape
    x, y, z = grid.index_to_world(0.5 * ratio - 0.5)
    dz, dy, dx = np.asarray(grid.spacing_mm) * ratio
    return Grid(shape, (float(dz), float(dy), float(dx)), (float(x), float(y), float(z)), grid.direction)


def averaged(array: NDArray[np.generic], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Means of an array ``(z, y, x)`` over ``shape`` equal parts; the mean of all is kept."""
    out = array.astype(np.float32)
    for axis, n in enumerate(shape):
        out = np.moveaxis(np.tensordot(_overlap(array.shape[axis], n), out, axes=(1, axis)), 0, axis)
    return out


def _overlap(n_old: int, n_new: int) -> NDArray[np.float32]:
    """Share of each new cell that each old cell fills, ``(n_new, n_old)``; rows sum to 1."""
    old, new = np.arange(n_old + 1) / n_old, np.arange(n_new + 1) / n_new
    high = np.minimum(new[1:, None], old[None, 1:])
    low = np.maximum(new[:-1, None], old[None, :-1])
    return (np.clip(high - low, 0, None) * n_new).astype(np.float32)
