"""The CT image: Hounsfield units on a lattice, with how it was made; NIfTI on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.files import replacing, write_nifti

_SUFFIXES = (".nii", ".nii.gz")


@dataclass(frozen=True, slots=True, eq=False)
class CT:
    """An image in Hounsfield units.

    Parameters
    ----------
    grid
        Where its voxels are.
    hu
        ``(z, y, x)`` int16 [HU]; -1024 outside the scanner's field of view.
    meta
        How it was made: plain data (kernel, slice thickness, mAs...); not kept by NIfTI.

    Raises
    ------
    ValueError
        If ``hu`` has not the grid's shape.
    TypeError
        If ``hu`` is not int16.
    """

    grid: Grid
    hu: NDArray[np.int16]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.hu.shape != self.grid.shape:
            raise ValueError(f"hu must have the grid's shape {self.grid.shape}, got {self.hu.shape}")
        if self.hu.dtype != np.int16:
            raise TypeError(f"hu must be int16, got {self.hu.dtype}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a NIfTI file (``.nii`` or ``.nii.gz``); qform and sform agree, RAS+ on disk as NIfTI asks.

        Raises
        ------
        ValueError
            If the suffix is neither.
        FileNotFoundError
            If the folder does not exist.
        """
        import SimpleITK as sitk

        if not Path(path).name.endswith(_SUFFIXES):
            raise ValueError(f"path must end in .nii or .nii.gz, got {path}")
        image = sitk.GetImageFromArray(self.hu)
        image.SetSpacing(self.grid.spacing_mm[::-1])
        image.SetOrigin(self.grid.origin_mm)
        image.SetDirection(self.grid.direction)
        with replacing(path) as part:
            write_nifti(image, part)


def load_ct(path: str | os.PathLike[str]) -> CT:
    """A CT from a file that SimpleITK reads (NIfTI, MetaImage, NRRD...), on its own geometry.

    Values are rounded to whole HU; ``meta`` holds nothing but the file's name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a 3-D scalar image, or values do not fit 16 bits.
    """
    import SimpleITK as sitk

    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ValueError(f"{path} is not an image that can be read: {str(error).splitlines()[-1]}") from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(f"{path} must hold a 3-D scalar image, got {image.GetDimension()} dimensions")
    values = sitk.GetArrayFromImage(image)
    rounded = np.rint(values)
    if not np.all((rounded >= -32768) & (rounded <= 32767)):
        raise ValueError(f"{path}: values must fit int16, got {values.min()} to {values.max()}")
    grid = Grid(values.shape, image.GetSpacing()[::-1], image.GetOrigin(), image.GetDirection())
    return CT(grid, rounded.astype(np.int16), {"file": Path(path).name})
