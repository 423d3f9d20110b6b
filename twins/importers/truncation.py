"""Bodies that the field of view cuts off: the outline carried on, and fat, muscle and skin put beyond the cut.

A CT is measured inside a circle (beyond it the scanner writes one fixed value), or inside its image. Where the body
reaches that limit it does not end there, and a projector that let it end would see a flat wall of air. So:

1. seen from the body's middle the outline is r(theta); where it is not cut, 1 / r^2 is fitted by its first harmonics
   (a centred ellipse has only the second), the higher ones held down, and what is left of the known outline at both
   ends of a cut is carried across it linearly. The outline lies at least a skin beyond the limit, and varies smoothly
   along z;
2. between limit and outline the tissue met at the limit (fat or muscle; muscle, where it is lung or bone) goes on for
   half of the way and turns into fat, under a skin.

Measured voxels are never changed. The method is a design choice; what it adds is recorded as a share of the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid

AIR_HU, FAT_HU, MUSCLE_HU, SKIN_HU = -1000.0, -100.0, 50.0, 60.0
SKIN_MM = 2.0
LEAST_MM = 3.0
"""How far beyond the limit a cut body reaches at least [mm] (design default)."""

LARGEST_MM = 80.0
"""And at most [mm] (design default)."""

_ANGLES = 360
_RADIAL_MM = 1.0
_HARMONICS = 4
_RIDGE = 0.02
_SMOOTH_Z_MM = 6.0
_MARGIN_MM = 12.0
_LUNG_HU = -930.0
"""What is denser than this at the limit is no air outside the body (design default)."""

_LEAST_KNOWN = 0.2
"""Part of the outline that must be seen in a slice, for that slice to say how it goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The body's outline about a middle.

    Parameters
    ----------
    middle_mm
        (y, x) from the centre of voxel (0, 0) [mm].
    limit_mm
        ``(360,)``: how far each direction is measured [mm].
    is_cut
        ``(slices, 360)``: where the body reaches that far.
    radius_mm
        ``(slices, 360)``: the outline; carried on where it is cut [mm].
    at_limit_hu
        ``(slices, 360)``: tissue met at the limit [HU].
    """

    middle_mm: tuple[float, float]
    limit_mm: NDArray[np.float64]
    is_cut: NDArray[np.bool_]
    radius_mm: NDArray[np.float64]
    at_limit_hu: NDArray[np.float64]


def measured_region(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mask ``(y, x)`` of what was measured: all, or a circle beyond which every slice holds one fixed value."""
    everything = np.ones(hu.shape[1:], bool)
    corners = hu[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    fixed = corners[0][(corners == corners[0]).all(axis=0) & (corners[0] < -900)]
    if not fixed.size:
        return everything
    label, _ = ndimage.label((hu == fixed.min()).all(axis=0))
    touching = np.unique(label[[0, 0, -1, -1], [0, -1, 0, -1]])
    padding = np.isin(label, touching[touching > 0])
    inner = padding & ~ndimage.binary_erosion(padding, border_value=1)
    y, x = np.nonzero(inner)
    if len(y) < 16:
        return everything
    system = np.stack([x, y, np.ones(len(y))], axis=1).astype(np.float64)
    a, b, c = np.linalg.lstsq(system, x.astype(np.float64) ** 2 + y.astype(np.float64) ** 2, rcond=None)[0]
    radius = float(np.sqrt(max(c + a * a / 4 + b * b / 4, 0.0)))
    rows, columns = np.indices(padding.shape)
    distance = np.hypot(columns - a / 2, rows - b / 2)
    off = np.abs(distance[inner] - radius)
    beyond = distance > radius + 1.5
    is_circle = np.sqrt(np.mean(off**2)) < 1.0 and radius > 0.35 * min(padding.shape) and padding[beyond].mean() > 0.99
    return distance <= radius - 1.0 if is_circle else everything


def carried_on(hu: NDArray[np.float32], measured: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The volume with every unmeasured voxel as the nearest measured one in its slice: for finding the body."""
    if measured.all():
        return hu
    near = ndimage.distance_transform_edt(~measured, return_distances=False, return_indices=True)
    return np.ascontiguousarray(hu[:, near[0], near[1]])


def outline_of(
    hu: NDArray[np.float32],
    body: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> Outline | None:
    """Outline of a body, carried on where it is cut; None where it is cut nowhere.

    Parameters
    ----------
    hu, body
        ``(z, y, x)`` CT and mask of the body in it.
    measured
        ``(y, x)``.
    spacing_mm
        Voxel size along (z, y, x) [mm].

    Raises
    ------
    ValueError
        If too little of the outline is seen in every slice.
    """
    dz, dy, dx = spacing_mm
    voxel_mm = max(dy, dx)
    y, x = np.nonzero(body.any(axis=0) & measured)
    middle = float(y.mean() * dy), float(x.mean() * dx)
    theta = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    r = np.arange(0.0, np.hypot(body.shape[1] * dy, body.shape[2] * dx), _RADIAL_MM)
    rows = np.rint((middle[0] + r * np.sin(theta)[:, None]) / dy).astype(np.int64)
    columns = np.rint((middle[1] + r * np.cos(theta)[:, None]) / dx).astype(np.int64)
    inside = (rows >= 0) & (rows < body.shape[1]) & (columns >= 0) & (columns < body.shape[2])
    rows, columns = np.clip(rows, 0, body.shape[1] - 1), np.clip(columns, 0, body.shape[2] - 1)
    seen = inside & measured[rows, columns]
    limit = r[seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)]
    shown = body[:, rows, columns] & seen
    radius = r[shown.shape[2] - 1 - np.argmax(shown[:, :, ::-1], axis=2)] * shown.any(axis=2)
    near_limit = seen & (r >= limit[:, None] - 4 * voxel_mm)
    at_limit = (hu[:, rows, columns] * near_limit).sum(axis=2) / near_limit.sum(axis=1)
    is_cut = radius >= limit - 1.6 * voxel_mm
    if not is_cut.any():
        return None
    is_cut = _with_cut_lungs(is_cut, at_limit)
    found = np.full(radius.shape, np.nan)
    for k in range(len(radius)):
        known = ~is_cut[k] & (radius[k] > 0)
        if known.mean() >= _LEAST_KNOWN:
            found[k] = _completed(radius[k], known, theta)
    good = np.flatnonzero(~np.isnan(found[:, 0]))
    if not good.size:
        raise ValueError("the body is cut off all round: nothing in the image tells how its outline goes on")
    found = found[good[np.argmin(np.abs(np.arange(len(radius))[:, None] - good), axis=1)]]
    smooth = ndimage.gaussian_filter1d(found, _SMOOTH_Z_MM / dz, axis=0, mode="nearest")
    beyond = np.clip(smooth, limit + LEAST_MM, limit + LARGEST_MM)
    return Outline(middle, limit, is_cut, np.where(is_cut, beyond, radius), at_limit)


def extend(
    hu: NDArray[np.float32], grid: Grid, measured: NDArray[np.bool_], outline: Outline
) -> tuple[NDArray[np.float32], Grid, NDArray[np.bool_]]:
    """A volume that holds the whole body, its lattice, and a mask ``(z, y, x)`` of the voxels that were added to it.

    Unmeasured voxels outside the body become air. ``outline`` must have one row per slice.
    """
    _, dy, dx = grid.spacing_mm
    pads = _padding(hu.shape, (dy, dx), outline)
    hu = np.pad(hu, ((0, 0), *pads), constant_values=AIR_HU)
    unmeasured = ~np.pad(measured, pads)
    x0, y0, z0 = grid.origin_mm
    grid = Grid(hu.shape, grid.spacing_mm, (x0 - pads[1][0] * dx, y0 - pads[0][0] * dy, z0), grid.direction)
    rows, columns = np.nonzero(unmeasured)
    y = (rows - pads[0][0]) * dy - outline.middle_mm[0]
    x = (columns - pads[1][0]) * dx - outline.middle_mm[1]
    place = np.arctan2(y, x) / (2 * np.pi) * _ANGLES % _ANGLES
    low = place.astype(np.int64) % _ANGLES
    high, share = (low + 1) % _ANGLES, place - np.floor(place)
    r = np.hypot(y, x)
    near = np.rint(place).astype(np.int64) % _ANGLES
    added = np.zeros(hu.shape, bool)
    limit = outline.limit_mm[low] * (1 - share) + outline.limit_mm[high] * share
    for k in range(len(hu)):
        radius = outline.radius_mm[k, low] * (1 - share) + outline.radius_mm[k, high] * share
        inner_hu = ndimage.gaussian_filter1d(outline.at_limit_hu[k], 2.0, mode="wrap")
        is_soft = (inner_hu > -200) & (inner_hu < 150)
        inner_hu = np.where(is_soft, np.clip(inner_hu, FAT_HU, MUSCLE_HU), MUSCLE_HU)[near]
        value = _tissue_hu(radius - r, r - limit, inner_hu, min(dy, dx))
        is_body = outline.is_cut[k, near] & (r < radius + min(dy, dx) / 2)
        hu[k, rows, columns] = np.where(is_body, value, AIR_HU)
        added[k, rows, columns] = outline.is_cut[k, near] & (r < radius)
    return hu, grid, added


def _tissue_hu(
    below_skin_mm: NDArray[np.float64], beyond_mm: NDArray[np.float64], inner_hu: NDArray[np.float64], blur_mm: float
) -> NDArray[np.float64]:
    """Air, skin, fat and the tissue met at the limit, from outside inwards; borders as wide as ``blur_mm`` [HU]."""
    depth = np.maximum(below_skin_mm + beyond_mm, 1e-6)
    to_fat = np.clip(4 * (beyond_mm / depth - 0.5) + 0.5, 0, 1)
    soft = inner_hu * (1 - to_fat) + FAT_HU * to_fat
    in_skin = np.clip((below_skin_mm - SKIN_MM) / blur_mm + 0.5, 0, 1)
    covered = SKIN_HU * (1 - in_skin) + soft * in_skin
    inside = np.clip(below_skin_mm / blur_mm + 0.5, 0, 1)
    return np.asarray(AIR_HU * (1 - inside) + covered * inside)


def _padding(
    shape: tuple[int, ...], spacing_mm: tuple[float, float], outline: Outline
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Voxels to add before and after along y and x, so that the outline has a margin of air."""
    theta = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    farthest = np.where(outline.is_cut, outline.radius_mm + _MARGIN_MM, 0.0).max(axis=0)
    pads = []
    for n, step, middle, along in zip(
        shape[1:], spacing_mm, outline.middle_mm, (np.sin(theta), np.cos(theta)), strict=True
    ):
        reach = middle + farthest * along
        before, after = -reach.min() / step, reach.max() / step - (n - 1)
        pads.append((max(0, int(np.ceil(before))), max(0, int(np.ceil(after)))))
    return pads[0], pads[1]


def _with_cut_lungs(is_cut: NDArray[np.bool_], at_limit_hu: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Directions in which lung or a thin wall meets the limit, between two cuts, count as cut too."""
    out = is_cut.copy()
    for k in range(len(out)):
        lung = ~is_cut[k] & (at_limit_hu[k] > _LUNG_HU)
        label, n = ndimage.label(np.tile(lung, 2))
        for part in ndimage.find_objects(label, max_label=n):
            start, stop = part[0].start, part[0].stop
            if start > 0 and stop < 2 * _ANGLES and is_cut[k, (start - 1) % _ANGLES] and is_cut[k, stop % _ANGLES]:
                out[k, np.arange(start, stop) % _ANGLES] = True
    return out


def _completed(
    radius: NDArray[np.float64], known: NDArray[np.bool_], theta: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One slice's outline carried across its gaps [mm]."""
    k = np.arange(1, _HARMONICS + 1)
    basis = np.hstack([np.ones((len(theta), 1)), np.cos(theta[:, None] * k), np.sin(theta[:, None] * k)])
    size = float(np.median(radius[known]))
    y, weight = (size / radius[known]) ** 2, (radius[known] / size) ** 3  # an error of r weighs alike everywhere
    hold = np.sqrt(_RIDGE * known.sum()) * np.hstack([[0.0], *2 * [np.maximum(k - 2, 0.05) ** 2]])
    system = np.vstack([basis[known] * weight[:, None], np.diag(hold)])
    harmonics = np.linalg.lstsq(system, np.append(y * weight, np.zeros(len(hold))), rcond=None)[0]
    longest = 2.0 * radius[known].max()
    fitted = size / np.sqrt(np.maximum(basis @ harmonics, (size / longest) ** 2))
    left = np.log(radius[known] / fitted[known])
    across = np.interp(theta, theta[known], left, period=2 * np.pi)
    return np.where(known, radius, fitted * np.exp(across))
