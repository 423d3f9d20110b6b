"""The original CT of a host beside the simulated scan of its twin: mean HU of each tissue, over the same voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Structure

TISSUES: dict[str, tuple[Structure, ...]] = {
    "lung": (
        Structure.RIGHT_UPPER_LOBE,
        Structure.RIGHT_MIDDLE_LOBE,
        Structure.RIGHT_LOWER_LOBE,
        Structure.LEFT_UPPER_LOBE,
        Structure.LEFT_LOWER_LOBE,
        Structure.RIGHT_LUNG,
        Structure.LEFT_LUNG,
    ),
    "fat": (Structure.FAT,),
    "muscle": (Structure.MUSCLE,),
    "aorta": (Structure.AORTA,),
    "contrast blood": (Structure.CONTRAST_BLOOD,),
}
"""Tissues whose mean HU is compared between a host CT and the scan of its twin."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean HU of one tissue in the original and in the simulated scan, over the same voxels."""

    tissue: str
    n_voxels: int
    original_hu: float
    simulated_hu: float
    original_sd_hu: float
    simulated_sd_hu: float

    @property
    def difference_hu(self) -> float:
        """Simulated minus original [HU]."""
        return self.simulated_hu - self.original_hu


def compare(
    original: NDArray[np.generic],
    simulated: NDArray[np.generic],
    anatomy: NDArray[np.generic],
    mask: NDArray[np.generic],
) -> list[Comparison]:
    """Mean HU per tissue over the same voxels: inside its label by two voxels in the slice, nodules left out."""
    from scipy.ndimage import binary_dilation, binary_erosion

    clear = ~binary_dilation(mask != 0, iterations=4) & (simulated != -1024)
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    found = []
    for tissue, structures in TISSUES.items():
        label = np.isin(anatomy, [int(s) for s in structures])
        inside = binary_erosion(label, in_plane, iterations=2) & clear
        if int(inside.sum()) < 200:
            continue
        a, b = original[inside].astype(np.float64), simulated[inside].astype(np.float64)
        found.append(Comparison(tissue, int(inside.sum()), a.mean(), b.mean(), a.std(), b.std()))
    return found
