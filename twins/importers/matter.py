"""From a clean CT and its anatomy to the arrays of a twin, slab by slab."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid
from ..structures import Structure
from ..twin import DENSITY_STEP_G_CM3, FRACTION_STEP
from .anatomy import Anatomy
from .hu_scale import CURVES, HIGHEST_HU, LOWEST_HU, STEPS_PER_HU, Lookup
from .labelled import Names

VESSEL_HU = -500.0
"""From here on a voxel of the lungs is called a vessel [HU] (design default)."""


def _positions(fine: Grid, grid: Grid, axis: int, step: int = 1) -> NDArray[np.float64]:
    """Index along ``axis`` of ``grid`` (made coarser by ``step``) of every fine voxel, kept inside."""
    at = (fine.axes_mm()[axis] - grid.axes_mm()[axis][0]) / grid.spacing_mm[axis]
    return np.clip((at + 0.5) / step - 0.5, 0, grid.shape[axis] // step - 1)


def _linear(array: NDArray[np.float32], at: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    low = np.minimum(at.astype(np.int64), array.shape[axis] - 1)
    high = np.minimum(low + 1, array.shape[axis] - 1)
    shape = [1] * array.ndim
    shape[axis] = len(at)
    w = (at - low).astype(np.float32).reshape(shape)
    return np.asarray(array.take(low, axis) * (1 - w) + array.take(high, axis) * w, np.float32)


def voxels(
    clean: NDArray[np.float32],
    grid: Grid,
    fine: Grid,
    body: NDArray[np.bool_],
    anatomy: Anatomy,
    step: int,
    lookup: Lookup,
    names: Names | None = None,
) -> tuple[NDArray[Any], ...]:
    """Structure, two materials, fraction and density on the fine grid.

    Parameters
    ----------
    clean, grid
        CT without noise ``(z, y, x)`` [HU] and its lattice.
    fine
        Lattice of the result.
    body, anatomy, step
        Masks on the CT's lattice, made coarser ``step`` times in the plane.
    lookup
        What HU are made of.
    names
        Of labelled structures, where there are labels.
    """
    dz, dy, dx = grid.spacing_mm
    spacing = (dz, dy * step, dx * step)
    named = (body, anatomy.right_lung, anatomy.left_lung, anatomy.airway, anatomy.between, anatomy.bone)
    inside = [_signed(mask, spacing) for mask in named]
    blur = [0.4 * max(0.0, f / g - 1) for f, g in zip(fine.spacing_mm, grid.spacing_mm, strict=True)]
    if max(blur) > 0:
        clean = ndimage.gaussian_filter(clean, blur)
    in_plane = [_positions(fine, grid, axis) for axis in (1, 2)]
    same = all(np.array_equal(at, np.arange(n)) for at, n in zip(in_plane, grid.shape[1:], strict=True))
    if not same:
        clean = _linear(_linear(clean, in_plane[0], 1), in_plane[1], 2)
    coarse_at = [_positions(fine, grid, axis, step) for axis in (1, 2)]
    z_at = _positions(fine, grid, 0)
    table = (
        lookup.material_a,
        lookup.material_b,
        lookup.fraction_b / FRACTION_STEP,
        lookup.density / DENSITY_STEP_G_CM3,
    )
    words = tuple(
        np.rint(np.asarray(t, np.float64)).astype(d)
        for t, d in zip(table, (np.uint8, np.uint8, np.uint16, np.uint16), strict=True)
    )
    blood = 1e9 if anatomy.blood_hu is None else anatomy.blood_hu
    thresholds = np.array([75.0 if anatomy.blood_hu is not None else 1e9, (blood + 50) / 2, blood + 150], np.float32)
    out = tuple(np.zeros(fine.shape, d) for d in (np.uint16, np.uint8, np.uint8, np.uint16, np.uint16))
    carina = -1 if anatomy.carina is None else anatomy.carina
    for k in range(0, fine.shape[0], 16):
        part = slice(k, min(k + 16, fine.shape[0]))
        hu = np.empty((part.stop - part.start, *fine.shape[1:]), np.float32)
        _between_slices(clean, z_at[part], hu)
        fields = np.stack([_linear(f, z_at[part], 0) for f in inside])
        above = (z_at[part] > carina).astype(np.uint8)
        target = [o[part] for o in out]
        _classify(
            hu, fields, coarse_at[0], coarse_at[1], above, thresholds, words[0], words[1], words[2], words[3],
            target[0], target[1], target[2], target[3], target[4],
        )  # fmt: skip
        if names is not None:
            names.give(target[0], hu, z_at[part], in_plane[0], in_plane[1])
    return out


def _signed(mask: NDArray[np.bool_], spacing: tuple[float, float, float], reach_mm: float = 8.0) -> NDArray[np.float32]:
    """Distance to the border, positive inside, cut at ``reach_mm``: interpolates without stairs."""
    if not mask.any():
        return np.full(mask.shape, -reach_mm, np.float32)
    wide = np.pad(mask, 1, mode="edge")
    inner = ndimage.distance_transform_edt(wide, sampling=spacing)
    outer = ndimage.distance_transform_edt(~wide, sampling=spacing)
    signed = np.clip(inner - outer, -reach_mm, reach_mm)[1:-1, 1:-1, 1:-1]
    return np.asarray(signed, np.float32)


@njit(parallel=True, cache=True, error_model="numpy")
def _between_slices(image, at, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Monotone cubic interpolation along z (Fritsch and Carlson 1980, harmonic-mean slopes); at (n,) slice index."""
    nz, ny, nx = image.shape
    for k in prange(at.size):
        low = min(int(at[k]), nz - 1)
        high = min(low + 1, nz - 1)
        before, after = max(low - 1, 0), min(high + 1, nz - 1)
        t = np.float32(at[k] - low)
        h10, h01, h11 = t * (1 - t) * (1 - t), t * t * (3 - 2 * t), t * t * (t - 1)
        for j in range(ny):
            for i in range(nx):
                a, b = image[low, j, i], image[high, j, i]
                d, d0, d1 = b - a, a - image[before, j, i], image[after, j, i] - b
                m0 = 2 * d * d0 / (d + d0) if d * d0 > 0 else np.float32(0.0)
                m1 = 2 * d * d1 / (d + d1) if d * d1 > 0 else np.float32(0.0)
                out[k, j, i] = a + h01 * d + h10 * m0 + h11 * m1


_FROM_HU = np.float32(VESSEL_HU)
_OUTSIDE, _RIGHT, _LEFT, _VESSEL = (
    int(s) for s in (Structure.OUTSIDE, Structure.RIGHT_LUNG, Structure.LEFT_LUNG, Structure.LUNG_VESSEL)
)
_TRACHEA, _BRONCHUS, _WALL, _GAS = (
    int(s) for s in (Structure.TRACHEA, Structure.BRONCHUS, Structure.AIRWAY_WALL, Structure.BOWEL_GAS)
)
_FAT, _MUSCLE, _MEDIASTINUM, _BONE, _BLOOD, _SOFT = (
    int(s)
    for s in (
        Structure.FAT,
        Structure.MUSCLE,
        Structure.MEDIASTINUM,
        Structure.BONE,
        Structure.CONTRAST_BLOOD,
        Structure.SOFT_TISSUE,
    )
)
_IN_LUNG, _IN_SOFT, _IN_CONTRAST, _IN_BONE = (list(CURVES).index(name) for name in ("lung", "soft", "contrast", "bone"))


@njit(parallel=True, cache=True, error_model="numpy")
def _classify(hu, fields, y_at, x_at, above, thresholds, a_of, b_of, f_of, d_of, structure, a, b, fraction, density):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Name every voxel and look up its mixture (one iteration = one slice).

    hu (z, y, x); fields (6, z, v, u) signed distances of body, right lung, left lung, airway, between, bone [mm],
    coarse in the plane; y_at, x_at where each fine row and column lies on them;
    above (z,) whether above the carina; thresholds: HU from which soft tissue holds iodine, from which it is called
    blood between the lungs, and from which it is bone elsewhere; a_of, b_of, f_of, d_of (curves, steps) lookup; outputs
    (z, y, x).
    """
    ny, nx = fields.shape[2], fields.shape[3]
    for k in prange(hu.shape[0]):
        near = np.empty(6, np.float32)
        for j in range(hu.shape[1]):
            j0 = min(int(y_at[j]), ny - 1)
            j1 = min(j0 + 1, ny - 1)
            v1 = np.float32(y_at[j] - j0)
            for i in range(hu.shape[2]):
                i0 = min(int(x_at[i]), nx - 1)
                i1 = min(i0 + 1, nx - 1)
                u1 = np.float32(x_at[i] - i0)
                for f in range(6):
                    upper = fields[f, k, j0, i0] + u1 * (fields[f, k, j0, i1] - fields[f, k, j0, i0])
                    lower = fields[f, k, j1, i0] + u1 * (fields[f, k, j1, i1] - fields[f, k, j1, i0])
                    near[f] = upper + v1 * (lower - upper)
                v = hu[k, j, i]
                curve = _IN_SOFT
                if near[0] <= 0 and (near[0] < -2.5 or v < -300):
                    v = np.float32(LOWEST_HU)
                    name = _OUTSIDE
                elif near[3] > 0:
                    curve = _IN_LUNG
                    name = _WALL if v > -500 else (_TRACHEA if above[k] else _BRONCHUS)
                elif near[1] > 0 or near[2] > 0:
                    curve = _IN_LUNG
                    side = _RIGHT if near[1] > near[2] else _LEFT
                    name = _VESSEL if v > _FROM_HU else side
                elif near[5] > 0 and v > 100:
                    curve = _IN_BONE
                    name = _BONE
                elif v > thresholds[0] and (near[4] > 0 or v < thresholds[2]):
                    curve = _IN_CONTRAST
                    name = _SOFT
                    if near[4] > 0:
                        name = _BLOOD if v > thresholds[1] else _MEDIASTINUM
                elif v > 200:
                    curve = _IN_BONE
                    name = _BONE
                elif v > -20:
                    name = _MEDIASTINUM if near[4] > 0 else _MUSCLE
                else:
                    name = _FAT if v > -400 else _GAS
                step = int((min(max(v, LOWEST_HU), HIGHEST_HU) - LOWEST_HU) * STEPS_PER_HU + 0.5)
                structure[k, j, i] = name
                a[k, j, i] = a_of[curve, step]
                b[k, j, i] = b_of[curve, step]
                fraction[k, j, i] = f_of[curve, step]
                density[k, j, i] = d_of[curve, step]
