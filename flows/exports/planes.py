"""8-bit slices for 2-D formats: window, choice of slices, PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twins.structures import AERATED

WINDOW_HU = (-1000.0, 400.0)
"""HU that become 0 and 255, the usual range for LUNA16 slices."""

MIN_LUNG_FRACTION = 0.02
"""Share of a slice's voxels that are aerated lung, from which on it counts as a lung slice (design default)."""


def windowed(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """HU as 8-bit grey values: -1000 HU and less 0, 400 HU and more 255, linear and rounded between."""
    low, high = WINDOW_HU
    grey: NDArray[np.uint8] = np.rint((np.clip(hu, low, high) - low) * (255.0 / (high - low))).astype(np.uint8)
    return grey


def is_lung_slice(anatomy: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Whether each slice of ``(z, y, x)`` shows lung."""
    found: NDArray[np.bool_] = np.isin(anatomy, AERATED).mean(axis=(1, 2)) >= MIN_LUNG_FRACTION
    return found


def without_nodule(has_nodule: NDArray[np.bool_], candidate: NDArray[np.bool_], step: int) -> Sequence[int]:
    """Every ``step``-th of the candidate slices that show no nodule."""
    return [int(k) for k in np.flatnonzero(candidate & ~has_nodule)[::step]]


def write_png(path: str | os.PathLike[str], pixels: NDArray[np.uint8]) -> None:
    """Write grey ``(y, x)`` or RGB ``(y, x, 3)`` pixels as PNG; row 0 is the patient's front."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(pixels), isVector=pixels.ndim == 3)
    sitk.WriteImage(image, os.fspath(path), useCompression=True)
