"""What can be told reliably from a CT alone: lungs, airway, the space between the lungs, bone, contrast medium.

Works on a coarse grid (about 1.8 mm in the plane); fine borders are decided later, voxel by voxel, from the HU.
Thresholds are design defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from ..grid import Triple

Mask = NDArray[np.bool_]
AIR_HU, LUNG_CLOSING_MM = -450.0, 8.0
LARGEST_VESSEL_RADIUS_MM = 9.0
SMALLEST_LUNG_ML, LARGEST_AIRWAY_ML = 150.0, 130.0


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """Masks ``(z, y, x)``, all on one grid.

    ``right_lung``, ``left_lung`` with their vessels; ``airway`` lumen of trachea and large bronchi with its wall;
    ``between`` the space between the lungs; ``bone`` bones, filled; ``carina`` slice at which the trachea divides, or
    ``None``; ``blood_hu`` enhanced blood, ``None`` without contrast medium [HU].
    """

    right_lung: Mask
    left_lung: Mask
    airway: Mask
    between: Mask
    bone: Mask
    carina: int | None
    blood_hu: float | None


def find_anatomy(hu: NDArray[np.float32], body: Mask, spacing_mm: Triple) -> Anatomy:
    """Find what :class:`Anatomy` lists in a (coarse, denoised) chest CT.

    Raises
    ------
    ValueError
        If there is no lung.
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    airway, carina = find_airway(hu, body, spacing_mm)
    right, left = _find_lungs(hu, body & ~airway, spacing_mm)
    between = hull(right | left) & body & ~(right | left)
    bone, blood = tell_bone_from_blood(hu, body & ~(right | left | airway), between, spacing_mm, voxel_ml)
    return Anatomy(right, left, airway, between, bone, carina, blood)


def grow(mask: Mask, radius_mm: float, spacing_mm: Triple) -> Mask:
    """The mask and all within ``radius_mm`` of it [mm]."""
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= radius_mm)


def _close(mask: Mask, radius_mm: float, spacing_mm: Triple) -> Mask:
    """Closing with a ball; the image is mirrored beyond its ends."""
    n = int(np.ceil(radius_mm / min(spacing_mm))) + 1
    pad = [(int(np.ceil(radius_mm / s)) + 1,) * 2 for s in spacing_mm]
    wide = np.pad(mask, pad, mode="edge") if n else mask
    grown = grow(wide, radius_mm, spacing_mm)
    closed = ndimage.distance_transform_edt(grown, sampling=spacing_mm) > radius_mm
    inner = tuple(slice(p[0], -p[1]) for p in pad)
    return np.asarray(closed[inner] | mask)


def find_airway(hu: NDArray[np.float32], body: Mask, spacing_mm: Triple) -> tuple[Mask, int | None]:
    """Region growing from the trachea with the highest threshold that does not leak into the lungs."""
    nothing = np.zeros(hu.shape, bool)
    area, voxel_ml = spacing_mm[1] * spacing_mm[2], float(np.prod(spacing_mm)) / 1000
    seed = None
    for k in range(hu.shape[0] - 1, hu.shape[0] // 2, -1):
        label, n = ndimage.label((hu[k] < -900) & ndimage.binary_erosion(body[k], iterations=4))
        if n == 0:
            continue
        sizes = np.bincount(label.ravel(), minlength=n + 1)[1:] * area
        x_body = np.flatnonzero(body[k].any(axis=0))
        for i in np.flatnonzero((sizes > 60) & (sizes < 700)) + 1:
            if _looks_like_trachea(hu[k], label == i, float(x_body.mean()), spacing_mm):
                y, x = np.argwhere(label == i)[np.argmin(hu[k][label == i])]
                seed = (k, int(y), int(x))
                break
        if seed:
            break
    if seed is None:
        return nothing, None
    lumen = nothing
    for threshold in range(-960, -790, 15):
        label, _ = ndimage.label((hu < threshold) & body)
        if label[seed] == 0:
            continue
        grown = label == label[seed]
        if grown.sum() * voxel_ml > LARGEST_AIRWAY_ML:
            break
        lumen = grown
    if not lumen.any():
        return nothing, None
    return (grow(lumen, 2.5, spacing_mm) & (hu < -300)) | lumen, carina_slice(lumen, seed[0], area)


def _looks_like_trachea(hu: NDArray[np.float32], lumen: Mask, middle: float, spacing_mm: Triple) -> bool:
    """Near the middle, roundish, and surrounded by soft tissue."""
    rows, columns = np.flatnonzero(lumen.any(axis=1)), np.flatnonzero(lumen.any(axis=0))
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    ratio = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
    off_middle = abs(columns.mean() - middle) * spacing_mm[2]
    n = max(1, round(2.5 / spacing_mm[1]))
    ring = ndimage.binary_dilation(lumen, iterations=2 * n) & ~ndimage.binary_dilation(lumen, iterations=n)
    return bool(off_middle < 40 and 0.4 < ratio < 2.5 and lumen.sum() > 0.55 * box and np.median(hu[ring]) > -300)


def carina_slice(lumen: Mask, top: int, area: float) -> int | None:
    """First slice below ``top`` in which the lumen has two large pieces."""
    for k in range(top, -1, -1):
        label, n = ndimage.label(lumen[k], structure=np.ones((3, 3)))
        if n >= 2 and np.sort(np.bincount(label.ravel())[1:])[-2] * area > 40:
            return k
    return None


def _find_lungs(hu: NDArray[np.float32], inside: Mask, spacing_mm: Triple) -> tuple[Mask, Mask]:
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    air = (hu < AIR_HU) & inside
    label, n = ndimage.label(air)
    sizes = np.bincount(label.ravel(), minlength=n + 1) * voxel_ml
    sizes[0] = 0
    order = np.argsort(sizes)[::-1][:2]
    if sizes[order[0]] < SMALLEST_LUNG_ML:
        raise ValueError(
            f"no lung found: the largest air space inside the body has {sizes[order[0]]:.0f} mL, "
            f"expected at least {SMALLEST_LUNG_ML:.0f} mL"
        )
    if sizes[order[1]] >= max(SMALLEST_LUNG_ML, 0.1 * sizes[order[0]]):
        pieces = [label == i for i in order]
    else:
        pieces = _split(label == order[0], spacing_mm)
    right, left = _right_and_left(pieces, float(ndimage.center_of_mass(inside)[2]))
    right = _fill_slices(_close(right, LUNG_CLOSING_MM, spacing_mm)) & inside
    left = _fill_slices(_close(left, LUNG_CLOSING_MM, spacing_mm)) & inside & ~right
    solid = (right | left) & (hu > -550)
    in_slice = (1e6, spacing_mm[1], spacing_mm[2])  # the top of a dome is thin along z, but wide
    thick = ndimage.distance_transform_edt(solid, sampling=in_slice) > LARGEST_VESSEL_RADIUS_MM
    other = solid & grow(thick, LARGEST_VESSEL_RADIUS_MM + 2.0, spacing_mm)  # diaphragm domes, masses
    return right & ~other, left & ~other


def sides(lungs: Mask, spacing_mm: Triple) -> tuple[Mask, Mask]:
    """Right and left part of a mask of both lungs ``(z, y, x)``: small pieces go with the nearer large one.

    A single lung is told by where it lies in the array.
    """
    label, n = ndimage.label(lungs)
    sizes = np.bincount(label.ravel(), minlength=n + 1)
    sizes[0] = 0
    order = np.argsort(sizes)[::-1]
    two = n >= 2 and sizes[order[1]] >= 0.1 * sizes[order[0]]
    pieces = [label == i for i in order[:2]] if two else _split(label == order[0], spacing_mm)
    right, left = _right_and_left([p for p in pieces if p.any()], (lungs.shape[2] - 1) / 2)
    rest = lungs & ~right & ~left
    if rest.any() and right.any() and left.any():
        to_right, to_left = (ndimage.distance_transform_edt(~p, sampling=spacing_mm) for p in (right, left))
        right, left = right | (rest & (to_right <= to_left)), left | (rest & (to_right > to_left))
    elif rest.any():
        right, left = (right | rest, left) if right.any() else (right, left | rest)
    return right, left


def _right_and_left(pieces: list[Mask], middle: float) -> tuple[Mask, Mask]:
    """Pieces by their place along x; a single one by the side of ``middle`` [index] on which it lies."""
    pieces = [p for p in pieces if p.any()]
    at = [ndimage.center_of_mass(p)[2] for p in pieces]
    if len(pieces) == 1:
        right, left = (pieces[0], np.zeros_like(pieces[0]))
        return (left, right) if at[0] > middle else (right, left)
    return (pieces[0], pieces[1]) if at[0] < at[1] else (pieces[1], pieces[0])


def _split(joined: Mask, spacing_mm: Triple) -> list[Mask]:
    """Two lungs that touch: erode until they part, then give each voxel to the nearer part."""
    depth = ndimage.distance_transform_edt(joined, sampling=spacing_mm)
    for radius in (1.5, 2.5, 4.0, 6.0, 8.0, 12.0):
        label, n = ndimage.label(depth > radius)
        if n < 2:
            continue
        sizes = np.bincount(label.ravel())[1:]
        first, second = np.argsort(sizes)[::-1][:2]
        if sizes[second] > 0.2 * sizes[first]:
            one, two = label == first + 1, label == second + 1
            nearer = ndimage.distance_transform_edt(~one, sampling=spacing_mm) < ndimage.distance_transform_edt(
                ~two, sampling=spacing_mm
            )
            return [joined & nearer, joined & ~nearer]
    return [joined]


def _fill_slices(mask: Mask) -> Mask:
    return np.stack([ndimage.binary_fill_holes(part) for part in mask])


def hull(lungs: Mask) -> Mask:
    """Convex hull of the lungs, slice by slice, from the lowest full slice up; above the apices that of the nearest."""
    area = lungs.sum(axis=(1, 2))
    full = np.flatnonzero(area > 0.25 * area.max())
    y, x = np.mgrid[: lungs.shape[1], : lungs.shape[2]]
    out = np.zeros_like(lungs)
    done: dict[int, Mask] = {}
    for k in range(int(full[0]), lungs.shape[0]):
        source = int(full[np.argmin(abs(full - k))])
        if source not in done:
            try:
                faces = ConvexHull(np.argwhere(lungs[source])).equations
                done[source] = (
                    faces[:, 0, None, None] * y + faces[:, 1, None, None] * x <= -faces[:, 2, None, None]
                ).all(axis=0)
            except QhullError:
                done[source] = lungs[source]
        out[k] = done[source]
    return out


def tell_bone_from_blood(
    hu: NDArray[np.float32], solid: Mask, between: Mask, spacing_mm: Triple, voxel_ml: float
) -> tuple[Mask, float | None]:
    """Bone by connection and place.

    Enhanced blood is smooth, lies wholly between the lungs and is not connected to anything denser outside; bones
    reach out of that space (vertebrae through their ribs and arches) or are small (plaques).
    """
    smooth = ndimage.uniform_filter(hu, 3)
    rows = np.flatnonzero(between.any(axis=(0, 2)))
    front = between.copy()  # the heart's side: no vertebrae, whose marrow is as smooth and as bright
    front[:, int(rows[0] + 0.55 * (rows[-1] - rows[0])) :] = False
    core = front & (abs(hu - smooth) < 40) & (smooth > 100) & (smooth < 500)
    parts, n = ndimage.label(core & (ndimage.distance_transform_edt(core, sampling=spacing_mm) > 3.0))
    sizes = np.bincount(parts.ravel(), minlength=n + 1) * voxel_ml
    sizes[0] = 0
    big = np.isin(parts, np.flatnonzero(sizes > 8.0))
    blood = float(np.median(smooth[big])) if big.any() else None
    threshold = max(200.0, (blood or 0.0) + 70.0)
    label, n = ndimage.label((hu > threshold) & solid)
    volume = np.bincount(label.ravel(), minlength=n + 1) * voxel_ml
    inner = np.bincount(label.ravel(), weights=between.ravel(), minlength=n + 1) * voxel_ml
    is_blood = (volume > 0.5) & (inner > 0.9 * volume)
    is_blood[0] = False
    dense = (label > 0) & ~is_blood[label]
    bone = _fill_slices(_close(dense, 4.0, spacing_mm)) & solid
    return grow(bone, 2.5, spacing_mm) & solid & ~grow(is_blood[label], 3.0, spacing_mm), blood
