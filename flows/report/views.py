"""What is shown of each image: nodules in three planes, whole-lung slices, the original beside the simulated scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesions import Truth
from twins import LUNG, Grid, Structure

from .pictures import Panel, plane, strip

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


def nodule_views(hu: NDArray[np.generic], grid: Grid, truth: Truth, i: int) -> str | None:
    """Axial, coronal and sagittal crop through a nodule with its exact contour; None where it is outside the image."""
    nodule = truth.nodules[i]
    if not bool(grid.contains(nodule.centre_mm)):
        return None
    half_mm = max(20.0, 1.1 * nodule.max_diameter_mm)
    centre = grid.world_to_index(nodule.centre_mm)
    reach = np.ceil(half_mm / np.asarray(grid.spacing_mm)).astype(int)
    start = np.clip(np.rint(centre).astype(int) - reach, 0, np.asarray(grid.shape) - 1)
    stop = np.clip(np.rint(centre).astype(int) + reach + 1, 1, grid.shape)
    crop = grid.crop([int(n) for n in start], [int(n) for n in stop - start])
    values = hu[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    inside = truth.occupancy(crop, i)
    middle = np.clip(np.rint(crop.world_to_index(nodule.centre_mm)).astype(int), 0, np.asarray(crop.shape) - 1)
    panels = []
    for axis, index in zip(("axial", "coronal", "sagittal"), middle, strict=True):
        pixels, extent = plane(values, crop, axis, int(index))
        panels.append(Panel(pixels, extent, "lung", contour=plane(inside, crop, axis, int(index))[0], title=axis))
    return strip(panels, height_px=220)


def lung_views(hu: NDArray[np.generic], grid: Grid, truth: Truth, anatomy: NDArray[np.generic] | None) -> str:
    """An axial and a coronal slice through the lungs in lung and mediastinal windows; circles mark nodules near by."""
    axial, coronal = busiest(hu, anatomy)
    z, y, _ = grid.axes_mm()
    panels = []
    for axis, index in (("axial", axial), ("coronal", coronal)):
        pixels, extent = plane(hu, grid, axis, index)
        at = z[index] if axis == "axial" else y[index]
        marks = [
            (nodule.centre_mm[0], nodule.centre_mm[1] if axis == "axial" else nodule.centre_mm[2])
            for nodule in truth.nodules
            if abs(nodule.centre_mm[2 if axis == "axial" else 1] - at) < 0.5 * nodule.max_diameter_mm
        ]
        name = f"{axis}, {'z' if axis == 'axial' else 'y'} = {at:.0f} mm"
        panels.append(Panel(pixels, extent, "lung", marks=marks, title=name))
        panels.append(Panel(pixels, extent, "mediastinum", title=f"{axis}, mediastinal window"))
    return strip(panels, height_px=330)


def host_views(
    original: NDArray[np.generic], simulated: NDArray[np.generic], grid: Grid, anatomy: NDArray[np.generic] | None
) -> list[tuple[str, str]]:
    """Pairs of the same slices, original left and simulated right: ``(caption, picture)``."""
    axial, coronal = busiest(original, anatomy)
    lung = np.flatnonzero(_lung_of(original, anatomy).any(axis=(1, 2)))
    low, high = (int(lung[0]), int(lung[-1])) if lung.size else (0, grid.shape[0] - 1)
    pairs = []
    for axis, index, name in (
        ("axial", low + (high - low) * 3 // 4, "upper lungs"),
        ("axial", axial, "widest slice"),
        ("axial", low + (high - low) // 4, "lung bases"),
        ("coronal", coronal, "coronal"),
    ):
        for window in ("lung", "mediastinum"):
            panels = []
            for title, volume in (("original CT", original), ("simulated scan of its twin", simulated)):
                pixels, extent = plane(volume, grid, axis, index)
                panels.append(Panel(pixels, extent, window, title=title))
            pairs.append((f"{name}, {window} window", strip(panels, height_px=330)))
    return pairs


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


def busiest(hu: NDArray[np.generic], anatomy: NDArray[np.generic] | None) -> tuple[int, int]:
    """The axial and the coronal slice with most lung in them."""
    lung = _lung_of(hu, anatomy)
    return int(lung.sum(axis=(1, 2)).argmax()), int(lung.sum(axis=(0, 2)).argmax())


def _lung_of(hu: NDArray[np.generic], anatomy: NDArray[np.generic] | None) -> NDArray[np.bool_]:
    if anatomy is not None:
        found: NDArray[np.bool_] = np.isin(anatomy, [int(s) for s in LUNG])
        if found.any():
            return found
    return (hu > -950) & (hu < -600)  # type: ignore[operator]


def share_of(labels: Sequence[str], wanted: str) -> str:
    """``3 of 8`` of the labels are ``wanted``."""
    return f"{sum(label == wanted for label in labels)} of {len(labels)}"
