"""Part one of the card: volumes, lobes, shape of the lungs, heart, and what a section of the trunk is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ..structures import AERATED, LOBES, LUNG, Structure
from ..twin import Twin

AREA_PROFILE = (0.0, 0.15, 0.59, 0.92, 0.93, 0.95, 0.94, 0.86, 0.67, 0.27, 0.0)
"""Cross-section of both lungs / largest, by level from base (0) to apex (1): mean of five LIDC lungs."""

TISSUE = tuple(structure for structure in LUNG if structure != Structure.BRONCHUS)
"""The lungs without the air of the bronchi: whose density counts."""

_HEART = (Structure.HEART, Structure.HEART_MUSCLE, Structure.PERICARDIAL_FAT, Structure.CORONARY_ARTERY)
_BONE_AND_MUSCLE = (
    Structure.MUSCLE, Structure.RIB, Structure.VERTEBRA, Structure.STERNUM, Structure.CLAVICLE, Structure.SCAPULA,
    Structure.COSTAL_CARTILAGE, Structure.HUMERUS, Structure.INTERVERTEBRAL_DISC, Structure.SPINAL_CANAL,
    Structure.BONE,
)  # fmt: skip
_WALL_FAT = (Structure.FAT, Structure.BREAST)
_OF_WALL = (*_BONE_AND_MUSCLE, *_WALL_FAT, Structure.SKIN, Structure.SOFT_TISSUE)

RIGHT = (Structure.RIGHT_UPPER_LOBE, Structure.RIGHT_MIDDLE_LOBE, Structure.RIGHT_LOWER_LOBE, Structure.RIGHT_LUNG)


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """Per structure id (256): voxels, sum of their stored densities, voxels below a stored density."""

    voxels: NDArray[np.int64]
    density: NDArray[np.int64]
    low: NDArray[np.int64]


def census(twin: Twin, low: int = 0) -> Census:
    """Count all voxels by structure in one pass; ``low`` in steps of the stored density."""
    found = np.zeros((twin.grid.shape[0], 3, 256), np.int64)
    _count(twin.structure, twin.density, low, found)
    return Census(*found.sum(0))


@njit(parallel=True, cache=True)
def _count(structure: Any, density: Any, low: Any, out: Any) -> None:
    for k in prange(structure.shape[0]):
        for j in range(structure.shape[1]):
            for i in range(structure.shape[2]):
                s = structure[k, j, i] & 255
                rho = density[k, j, i]
                out[k, 0, s] += 1
                out[k, 1, s] += rho
                if rho < low:
                    out[k, 2, s] += 1


def lung_volume_l(counts: NDArray[np.int64], twin: Twin) -> float:
    """Volume of both lungs with what runs in them [L]."""
    return float(counts[list(LUNG)].sum()) * twin.grid.voxel_volume_mm3 * 1e-6


def lobe_percent(counts: NDArray[np.int64]) -> dict[str, float]:
    """Share of each lobe in the aerated lungs [%]; empty where lobes are not known."""
    lobes = counts[list(LOBES)]
    if not lobes.all():
        return {}
    return {f"{lobe.name.lower()}_percent": float(100 * n / lobes.sum()) for lobe, n in zip(LOBES, lobes, strict=True)}


def gross(twin: Twin, lung: NDArray[np.bool_]) -> dict[str, float]:
    """Values of the group ``gross``; ``lung`` is the closed mask of both lungs."""
    counts = census(twin).voxels
    aerated = counts[list(AERATED)].sum()
    values = {"right_lung_percent": 100 * float(counts[list(RIGHT)].sum() / aerated), **lobe_percent(counts)}
    spans = [np.flatnonzero(lung.any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    ends = [(int(span[0]), int(span[-1]) + 1) for span in spans]
    height, depth, width = ((b - a) * step for (a, b), step in zip(ends, twin.grid.spacing_mm, strict=True))
    values["volume_per_box"] = float(lung.sum()) * twin.grid.voxel_volume_mm3 / (width * depth * height)
    values["area_profile_rmse"] = area_profile_rmse(lung.sum((1, 2))[slice(*ends[0])])
    heart = twin.is_any(_HEART)
    if heart.any():
        across = np.flatnonzero(heart.any((0, 1)))
        values["cardiothoracic_ratio"] = (across[-1] - across[0] + 1) * twin.grid.spacing_mm[2] / width
    values["body_depth_per_width"] = _body_depth_per_width(twin, ends[0])
    if "carina" in twin.landmarks_mm:
        values |= _section(twin)
    return values


def area_profile_rmse(area: NDArray[np.int64]) -> float:
    """Root mean square difference of a profile of areas from base to apex to that of real lungs [1]."""
    level = (np.arange(len(area)) + 0.5) / len(area)
    found = np.interp(np.linspace(0, 1, 11), level, area / area.max())
    found[[0, -1]] = 0
    return float(np.sqrt(np.mean((found - AREA_PROFILE) ** 2)))


def _body_depth_per_width(twin: Twin, ends: tuple[int, int]) -> float:
    """Median over the middle 70 % of the lungs of the depth of the trunk over its width."""
    ratios = []
    for k in np.linspace(ends[0] + 0.15 * (ends[1] - ends[0]), ends[0] + 0.85 * (ends[1] - ends[0]), 15).astype(int):
        body = twin.structure[k] > 0
        rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
        deep, wide = (np.ptp(rows) + 1) * twin.grid.spacing_mm[1], (np.ptp(columns) + 1) * twin.grid.spacing_mm[2]
        ratios.append(deep / wide)
    return float(np.median(ratios))


def _section(twin: Twin) -> dict[str, float]:
    """Shares of the section at the sternal angle, which is that of the carina (T4/5)."""
    k = int(np.clip(round(twin.grid.world_to_index(twin.landmarks_mm["carina"])[0]), 0, twin.grid.shape[0] - 1))
    section = twin.structure[k]
    whole = np.count_nonzero(section)
    fat, wall = np.count_nonzero(np.isin(section, _WALL_FAT)), np.count_nonzero(np.isin(section, _OF_WALL))
    return {
        "fat_area_percent": 100 * fat / whole,
        "bone_muscle_area_percent": 100 * np.count_nonzero(np.isin(section, _BONE_AND_MUSCLE)) / whole,
        "cavity_area_percent": 100 * (whole - wall) / whole,
    }
