"""Parts two, three and eight of the card: histogram of the lungs, gradient, emphysema.

Values are those of the lungs with their vessels, without the air of the bronchi, behind a point spread of 1.4 mm full
width at half maximum, as a standard kernel has it, in the scale ``HU = -1000 + 995 density`` (g/cm3; within 3 HU for
lung at 60-80 keV).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..structures import AERATED
from ..twin import Twin

PSF_FWHM_MM = 1.4
"""Full width of the point spread at half maximum [mm]. Design default: a standard body kernel."""

PERCENTILES = (1, 5, 10, 15, 25, 50, 75, 90, 95, 99)

HU_PER_G_CM3 = 995.0
"""Slope of CT numbers with the density of lung [HU / (g/cm3)]: within 3 HU at 60 to 80 keV."""

EMPHYSEMA_HU = -950.0


def blurred_hu(twin: Twin, box: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    """Density in a box behind the point spread, as CT numbers [HU]; a voxel's own width counts towards the spread."""
    from scipy.ndimage import gaussian_filter

    hu = (-1000 + HU_PER_G_CM3 * 1e-4 * twin.density[box].astype(np.float32)).astype(np.float32)
    sigmas = [math.sqrt(max(0.0, (PSF_FWHM_MM / 2.3548) ** 2 - step**2 / 12)) / step for step in twin.grid.spacing_mm]
    if max(sigmas) < 0.1:
        return hu
    return np.asarray(gaussian_filter(hu, sigmas, mode="nearest", truncate=3.0), np.float32)


def density(
    twin: Twin, lung: NDArray[np.bool_], *, capacity_l: float | None, inflation: float | None
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Values and tables of the groups ``density`` and ``emphysema``.

    Parameters
    ----------
    twin, lung
        The twin and the mask of its lungs, air of the bronchi left out.
    capacity_l
        Predicted total lung capacity, to which the density of the parenchyma is brought; None: unknown [L].
    inflation
        Volume / volume at full effort; None: unknown [1].
    """
    from scipy.stats import skew

    box = _box_of(lung)
    inside = lung[box]
    hu = blurred_hu(twin, box)
    values_hu = hu[inside].astype(np.float64)
    percentiles = dict(zip(PERCENTILES, np.percentile(values_hu, PERCENTILES).tolist(), strict=True))
    values = {
        "lung_mean_hu": float(values_hu.mean()),
        "lung_p15_hu": percentiles[15],
        "lung_skewness": float(skew(values_hu)),
        "laa950_percent": 100 * float(np.mean(values_hu < EMPHYSEMA_HU)),
    }
    tissue = twin.is_any(AERATED)[box] & (hu < -700)
    if capacity_l is not None:
        volume_l = float(inside.sum()) * twin.grid.voxel_volume_mm3 * 1e-6
        values["parenchyma_g_cm3"] = (float(np.median(hu[tissue])) + 1000) / HU_PER_G_CM3 * volume_l / capacity_l
    y_cm = 0.1 * twin.grid.axes_mm()[1][box[1]]
    gradient, ratio = _gradient(hu, tissue, y_cm)
    values["gradient_hu_per_cm"] = gradient
    if inflation is not None and inflation < 0.75:
        values["dorsal_per_ventral_density"] = ratio
    thirds = _thirds(hu, inside)
    tables = {
        "lung_hu_percentile": {str(p): round(v, 1) for p, v in percentiles.items()},
        "lung_hu": {"sd": round(float(values_hu.std()), 1)},
        "median_hu_by_third": {name: round(median, 1) for name, (median, _) in thirds.items()},
        "laa950_percent_by_third": {name: round(share, 2) for name, (_, share) in thirds.items()},
    }
    exponent = cluster_exponent(inside & (hu < EMPHYSEMA_HU))
    if exponent is not None:
        values["cluster_exponent"] = exponent
    return values, tables


def cluster_exponent(low: NDArray[np.bool_]) -> float | None:
    """Exponent D of the number of low-attenuation clusters above a size, ``N ~ size^-D``; None below 30 clusters.

    Clusters join by faces (Mishima et al., PNAS 1999;96:8829); least squares on logarithms, sizes of 2 voxels and more.
    """
    from scipy.ndimage import label

    clusters, n = label(low)
    if n < 30:
        return None
    sizes = np.bincount(clusters.ravel())[1:]
    sizes = sizes[sizes >= 2]
    if len(np.unique(sizes)) < 4:
        return None
    size = np.unique(sizes)
    above = np.array([np.count_nonzero(sizes >= s) for s in size])
    return float(-np.polyfit(np.log(size), np.log(above), 1)[0])


def _box_of(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    spans = [np.flatnonzero(mask.any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
    z, y, x = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    return z, y, x


def _gradient(hu: NDArray[np.float32], tissue: NDArray[np.bool_], y_cm: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of the median from front to back [HU/cm], and density of the back third over the front third."""
    per_row = tissue.sum((0, 2))
    rows = np.flatnonzero(per_row > 0.05 * per_row.max())
    medians = np.array([np.median(hu[:, j][tissue[:, j]]) for j in rows])
    slope = float(np.polyfit(y_cm[rows], medians, 1, w=np.sqrt(per_row[rows]))[0])
    order = np.cumsum(per_row) / per_row.sum()
    front, back = order < 1 / 3, order > 2 / 3
    mean = [1000 + float(hu[:, part][tissue[:, part]].mean()) for part in (front, back)]
    return slope, mean[1] / mean[0]


def _thirds(hu: NDArray[np.float32], inside: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    """Median [HU] and share below -950 HU [%] of the lower, middle and upper third of the lungs by height."""
    found = {}
    for name, part in zip(("lower", "middle", "upper"), np.array_split(np.arange(len(hu)), 3), strict=True):
        values = hu[part][inside[part]]
        found[name] = (float(np.median(values)), 100 * float(np.mean(values < EMPHYSEMA_HU)))
    return found
