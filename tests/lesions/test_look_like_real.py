"""Solid nodules in close-ups of LIDC's slices and kernels have the edges, the core and the texture of real ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from scipy.stats import mannwhitneyu

from lesions import Nodule
from lesions.cohorts.table import SOLID_HU
from lesions.images import Resolution
from lesions.images.closeup import Technique, closeup
from lesions.readers.reading import read

LIDC_LIKE = Technique(Resolution(1.5, 2.5, 1.0), (2.5, 0.7, 0.7), 18.0)
"""Slices of 2.5-3 mm, pixels of 0.7 mm and standard kernels have the nine patches."""

STEP_MM = 0.5


def measured(hu, mask, spacing):
    """Mean inside 1 mm from the contour, SD there about the median profile, 10-90 % width of the edge at its steepest.

    The profile is that of medians by signed distance to the contour in the slice; what strays from it is noise, texture
    and lopsidedness, whatever the contour's own place.
    """
    distance = np.full(hu.shape, np.nan)
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        inside, outside = (
            distance_transform_edt(m, sampling=spacing[1:]) - 0.5 * spacing[1] for m in (mask[k], ~mask[k])
        )
        distance[k] = np.where(mask[k], inside, -outside)
    levels = np.arange(-5, 5, STEP_MM)
    profile = np.full(len(levels), np.nan)
    for i, low in enumerate(levels):
        values = hu[(distance >= low) & (distance < low + STEP_MM)]
        if values.size >= 6:
            profile[i] = np.median(values)
    known = np.isfinite(profile)
    middle = levels + 0.5 * STEP_MM
    slope = np.gradient(np.interp(middle, middle[known], profile[known]), STEP_MM)[known].max()
    around = np.median(hu[(distance < -3) & (distance > -5)])
    inside = mask & (distance >= 1.0)
    core = hu[inside]
    if core.size < 10:
        return None
    strays = core - np.interp(distance[inside], middle[known], profile[known])
    return core.mean(), strays.std(), 0.8 * (np.nanmax(profile) - around) / slope


@pytest.fixture(scope="module")
def real(real_data):
    """Those of LIDC-IDRI (CC BY 3.0) rated solid or nearly so, calcified ones left out."""
    found = []
    for path in sorted((real_data / "lidc_nodules").glob("*.npz")):
        patch = np.load(path)
        values = measured(patch["hu"].astype(float), patch["mask"].astype(bool), patch["spacing_zyx"])
        if values is not None and int(patch["texture"]) >= 4 and values[0] < 130:
            found.append(values)
    if len(found) < 4:
        pytest.skip("fewer than four real solid nodules")
    return np.array(found)


@pytest.fixture(scope="module")
def simulated(lung_only):
    """Solid nodules of 5-9 mm with LIDC's usual margins and the HU that cohorts draw, outlined by four readers."""
    found = []
    for k in range(24):
        at = (40.3 + 0.31 * (k % 12), -20.2, 24.6 + 0.23 * (k % 12))
        hu = SOLID_HU[0] + (SOLID_HU[1] - SOLID_HU[0]) * (7 * k % 24 + 0.5) / 24
        spec = Nodule(
            id="a", key=k, equivalent_diameter_mm=5.0 + k / 6, margin=(3.0, 4.0)[k % 2], solid_hu=hu, centre_mm=at
        )
        shown = closeup(lung_only, spec, LIDC_LIKE, field_mm=40.0, rng=np.random.default_rng(k))
        readings = read(shown.truth, shown.grid, rng=np.random.default_rng(100 + k), all_mark=True)
        mask = np.zeros(shown.hu.shape, bool)
        mask[readings.window] = readings.consensus()
        values = measured(shown.hu.astype(float), mask, shown.grid.spacing_mm)
        if values is not None:
            found.append(values)
    assert len(found) >= 8
    return np.array(found)


@pytest.mark.parametrize(
    ("k", "name"), [(0, "core HU"), (1, "SD about the profile in the core [HU]"), (2, "edge 10-90 % [mm]")]
)
def test_core_texture_and_edge_lie_inside_the_spread_of_real_nodules(real, simulated, k, name):
    low, high = real[:, k].min(), real[:, k].max()
    ours = simulated[:, k]
    # shown with -s
    print(f"{name}: real {low:.3g} to {high:.3g}, simulated {np.sort(ours).round(2)}")  # noqa: T201
    assert low <= np.median(ours) <= high
    # five of one kind span two thirds of it on average: whether the others are of that kind is asked of all ranks
    assert mannwhitneyu(real[:, k], ours).pvalue > 0.01
    assert np.ptp(np.quantile(ours, [0.25, 0.75])) < high - low
