"""Part four of the card: trachea and main bronchi, branches by generation, what a CT sees of walls and of the tree."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..bronchovascular import wall_mm
from ..structures import Structure
from ..twin import Twin
from .branches import Branches, box_dimension, branches_of, volume_mm3

VISIBLE_MM = 2.0
"""Lumen from which on an airway counts as visible [mm]. Design default: a point spread of 1 mm."""

WALL_PSF_FWHM_MM = 1.0
"""Point spread at which walls are measured [mm]. Design default: a sharp lung kernel."""

PARENCHYMA_HU, WALL_HU = -870.0, 40.0


def airways(twin: Twin, *, wall_scale: float) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Values and tables of the group ``airways``, and the scaling of the tree; empty for a twin without one."""
    tree = twin.airways
    values = _trachea(twin)
    if len(tree) == 0:
        return values, {}
    found = branches_of(tree)
    values |= _main_bronchi(found)
    visible = found.diameter_mm >= VISIBLE_MM
    grown = found.lobe > 0
    values["visible_airways"] = float(np.count_nonzero(visible))
    wide = tree.start_radius_mm + tree.end_radius_mm >= VISIBLE_MM
    scanned = wide & twin.grid.contains(tree.end_mm)
    values["airway_volume_ml"] = 1e-3 * float(volume_mm3(tree)[scanned].sum())
    for generation in (3, 4, 5, 6):
        here = grown & (found.generation == generation)
        if here.any():
            values[f"generation_{generation}_diameter_mm"] = float(found.diameter_mm[here].mean())
    angle = found.angles_deg()
    forking = grown & (found.generation <= 12) & np.isfinite(angle)
    values["airway_angle_deg"] = float(angle[forking].mean())
    ratios = [
        found.length_mm[here].mean() / found.diameter_mm[here].mean()
        for here in (grown & (found.generation == generation) for generation in range(5, 13))
        if here.any()
    ]
    if ratios:
        values["airway_length_per_diameter"] = float(np.mean(ratios))
    values["airway_branching_ratio"], values["airway_diameter_ratio"] = found.horton()
    values["pi10_mm"], values["wall_area_percent"] = _walls(found, wall_scale)
    values["airway_box_dimension"] = box_dimension(tree, wide)
    return values, _by_generation(found)


def _by_generation(found: Branches) -> dict[str, dict[str, float]]:
    tables: dict[str, dict[str, float]] = {"airways": {}, "airway_diameter_mm": {}, "airway_length_mm": {}}
    for generation in range(int(found.generation.max()) + 1):
        here = found.generation == generation
        if here.any():
            name = str(generation)
            tables["airways"][name] = int(here.sum())
            tables["airway_diameter_mm"][name] = round(float(found.diameter_mm[here].mean()), 2)
            tables["airway_length_mm"][name] = round(float(found.length_mm[here].mean()), 2)
    return tables


def _trachea(twin: Twin) -> dict[str, float]:
    """Width and depth of the lumen 2 to 6 cm above the carina, from the air in its voxels [mm]."""
    if "carina" not in twin.landmarks_mm:
        return {}
    z, _, _ = twin.grid.axes_mm()
    found = []
    for k in np.flatnonzero((z > twin.landmarks_mm["carina"][2] + 20) & (z < twin.landmarks_mm["carina"][2] + 60)):
        lumen = twin.structure[k] == Structure.TRACHEA
        if not lumen.any():
            continue
        rows, columns = np.flatnonzero(lumen.any(1)), np.flatnonzero(lumen.any(0))
        around = (slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2))
        air = np.clip(1 - twin.density[k][around].astype(float) * 1e-4 / 1.03, 0, 1)
        found.append((air.sum(1).max() * twin.grid.spacing_mm[2], air.sum(0).max() * twin.grid.spacing_mm[1]))
    if not found:
        return {}
    width, depth = np.mean(found, axis=0)
    return {"trachea_width_mm": float(width), "trachea_depth_mm": float(depth)}


def _main_bronchi(found: Branches) -> dict[str, float]:
    """Sizes of the two branches that leave the trachea."""
    values = {}
    for b in np.flatnonzero(found.generation == 1):
        side = "left" if found.end_mm[b, 0] > found.start_mm[b, 0] else "right"
        values[f"{side}_main_length_mm"] = float(found.length_mm[b])
        if side == "left":
            values["left_main_diameter_mm"] = float(found.diameter_mm[b])
    return values


def _walls(found: Branches, scale: float) -> tuple[float, float]:
    """Pi10 [mm] and wall area [%] as half-maximum edges show them.

    Pi10 is the square root of the wall area of an airway with a lumen of 10 mm perimeter, on the line through all
    airways with lumens of 6 to 20 mm perimeter; the wall area is that of the airways of generations 4 to 6.
    """
    inner, outer = seen_radii(scale)
    radius = 0.5 * found.diameter_mm
    seen_in, seen_out = (np.interp(radius, _RADII, column) for column in (inner, outer))
    perimeter = 2 * np.pi * seen_in
    wall = np.pi * (seen_out**2 - seen_in**2)
    used = (found.lobe > 0) & (perimeter > 6) & (perimeter < 20)
    if np.count_nonzero(used) < 10:
        return float("nan"), float("nan")
    slope, offset = np.polyfit(perimeter[used], np.sqrt(wall[used]), 1)
    segmental = used & (found.generation >= 4) & (found.generation <= 6)
    share = 100 * wall[segmental] / (np.pi * seen_out[segmental] ** 2)
    return float(offset + 10 * slope), float(share.mean()) if segmental.any() else float("nan")


_RADII = np.array([0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0])


@cache
def seen_radii(scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inner and outer radius at half maximum of walls ``scale`` times the usual, for lumen radii of 0.8 to 6 mm [mm].

    A ring of wall (40 HU) around air in lung (-870 HU) is blurred by a Gaussian point spread; the inner edge lies half
    way from the lowest value of the lumen to the highest of the wall, the outer one half way from there to the lung.
    """
    from scipy.ndimage import gaussian_filter

    step = 0.1
    axis = np.arange(-12, 12 + step / 2, step)
    away = np.hypot(axis[:, None], axis[None, :])
    inner, outer = [], []
    for radius in _RADII:
        wall = scale * float(wall_mm(np.array([radius], np.float32))[0])
        cover = lambda r: np.clip(0.5 + (r - away) / step, 0, 1)  # noqa: E731
        hu = PARENCHYMA_HU + (WALL_HU - PARENCHYMA_HU) * cover(radius + wall) - (WALL_HU + 1000) * cover(radius)
        line = gaussian_filter(hu, WALL_PSF_FWHM_MM / 2.3548 / step, mode="nearest")[len(axis) // 2, len(axis) // 2 :]
        peak = int(line.argmax())
        low = line[: peak + 1].min()
        rising = line[: peak + 1] - 0.5 * (low + line[peak])
        falling = line[peak:] - 0.5 * (PARENCHYMA_HU + line[peak])
        first = int(np.flatnonzero(rising > 0)[0])
        last = peak + int(np.flatnonzero(falling < 0)[0])
        inner.append(step * (first - rising[first] / (rising[first] - rising[first - 1]) if first else 0.0))
        outer.append(step * (last - falling[last - peak] / (falling[last - peak] - falling[last - peak - 1])))
    return np.asarray(inner), np.asarray(outer)
