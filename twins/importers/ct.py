"""A user's own chest CT as a twin: noise, table and air taken away, HU turned into matter, lungs and bones found."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid, Point
from ..patient import Patient
from ..structures import Structure
from ..twin import DENSITY_STEP_G_CM3, FRACTION_STEP, Twin
from .anatomy import Anatomy, find_anatomy
from .body import find_body
from .hu_scale import (
    CURVES,
    HIGHEST_HU,
    LOWEST_HU,
    STEPS_PER_HU,
    Lookup,
    effective_kev,
    mixture_lookup,
    patient_materials,
)
from .noise import denoise, estimate_noise_hu
from .truncation import carried_on, extend, measured_region, outline_of
from .volume import read_volume

VERSION = "patient-ct-2"
"""Changes whenever the same file would give another twin."""

_COARSE_MM = 1.8
_MARGIN_MM = 10.0
_PATCH_MM = 12.0
_VESSEL_HU = -500.0


def from_ct(
    path: str | os.PathLike[str],
    *,
    patient: Patient | None = None,
    spacing_mm: float | None = None,
    kvp: float = 120.0,
) -> Twin:
    """Make a patient twin from a chest CT.

    Parameters
    ----------
    path
        NIfTI, NRRD, MHA... file, or a folder with one DICOM series; axis-parallel, in HU.
    patient
        Who it is; ``None`` means that nothing is known.
    spacing_mm
        Voxel size of the twin [mm]; ``None`` keeps the CT's in-plane spacing and divides its slices into voxels of
        about that height.
    kvp
        Tube voltage of the scan, 70 to 150 [kV]; decides the effective energy.

    Returns
    -------
    Twin
        Its provenance holds the file's name and digest, the host's own lattice (``host_grid``), the noise found and
        the methods. A body that the field of view cuts off is carried on beyond it (:mod:`.truncation`), and
        ``extension`` in its provenance says how much of it was added.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be used (oblique, not CT in HU, no body, no lung): the message names it and the reason; or
        if ``spacing_mm`` or ``kvp`` is out of range.
    """
    if spacing_mm is not None and not 0.3 <= spacing_mm <= 10:
        raise ValueError(f"spacing_mm must lie between 0.3 and 10 mm, got {spacing_mm}")
    lookup = mixture_lookup(kvp)
    volume = read_volume(path)
    step = max(1, round(_COARSE_MM / volume.grid.spacing_mm[1]))
    try:
        hu, grid, added, extension = _whole(volume.hu, volume.grid, step)
        coarse_body = find_body(_coarser(hu, step), _coarse_spacing(grid, step))
        body = _finer(coarse_body, step, hu.shape)
        start, stop = _bounds(body, grid, step)
        hu, body = hu[:, start[0] : stop[0], start[1] : stop[1]], body[:, start[0] : stop[0], start[1] : stop[1]]
        grid = grid.crop((0, *start), hu.shape)
        if added is not None:
            added = added[:, start[0] : stop[0], start[1] : stop[1]] & body
            extension["share_of_body"] = round(float(added.sum() / body.sum()), 4)
        seen = body if added is None else body & ~added
        noise = estimate_noise_hu(hu, seen, patch=min(max(round(_PATCH_MM / grid.spacing_mm[1]), 6), 16))
        clean = denoise(hu, noise, body)
        coarse_body = coarse_body[:, start[0] // step : stop[0] // step, start[1] // step : stop[1] // step]
        anatomy = find_anatomy(_coarser(clean, step), coarse_body, _coarse_spacing(grid, step))
    except ValueError as error:
        raise ValueError(f"{volume.name}: {error}") from None
    fine = _fine_grid(grid, spacing_mm)
    arrays = _voxels(clean, grid, fine, coarse_body, anatomy, step, lookup)
    landmarks: dict[str, Point] = {}
    carina = _carina_point(anatomy, grid, step)
    if carina is not None:
        landmarks["carina"] = carina
    provenance = {
        "kind": "patient",
        "generator": VERSION,
        "source": volume.name,
        "sha256": volume.sha256,
        "host_grid": volume.host_grid.to_dict(),
        "noise_sd_hu": round(noise, 3),
        "kvp_assumed": float(kvp),
        "effective_kev": {"bone": effective_kev(kvp), "iodine": effective_kev(kvp, iodine=True)},
        "extension": extension,
        "enhanced_blood_hu": None if anatomy.blood_hu is None else round(anatomy.blood_hu, 1),
        "spacing_mm": None if spacing_mm is None else float(spacing_mm),
        "methods": {
            "denoising": "guided bilateral, edge-avoiding a-trous, 3 passes",
            "between_slices": "monotone cubic (Fritsch-Carlson)",
            "matter": "stoichiometric curve through natural materials, two per voxel",
        },
    }
    return Twin(
        grid=fine,
        structure=arrays[0],
        material_a=arrays[1],
        material_b=arrays[2],
        fraction_b=arrays[3],
        density=arrays[4],
        materials=patient_materials(),
        patient=Patient() if patient is None else patient,
        landmarks_mm=landmarks,
        provenance=provenance,
    )


def _whole(
    hu: NDArray[np.float32], grid: Grid, step: int
) -> tuple[NDArray[np.float32], Grid, NDArray[np.bool_] | None, dict[str, Any]]:
    """The volume with a body that is nowhere cut, its lattice, what was added, and an account of it."""
    measured = measured_region(hu)
    hu = np.clip(hu, -1024, 3071)
    shown = _coarser(carried_on(hu, measured), step)
    spacing = _coarse_spacing(grid, step)
    inside = _coarser(measured[None].astype(np.float32), step)[0] == 1
    outline = outline_of(shown, find_body(shown, spacing), inside, spacing)
    if outline is None:
        return hu, grid, None, {"cut_by": None, "share_of_body": 0.0, "largest_mm": 0.0}
    to_centre = [(step - 1) / 2 * s for s in grid.spacing_mm[1:]]  # of the first coarse voxel from that of the first
    y, x = outline.middle_mm
    outline = replace(outline, middle_mm=(y + to_centre[0], x + to_centre[1]))
    beyond = np.where(outline.is_cut, outline.radius_mm - outline.limit_mm, 0.0)
    account = {
        "cut_by": "image edge" if measured.all() else "circle",
        "share_of_body": 0.0,
        "largest_mm": round(float(beyond.max()), 1),
    }
    return *extend(hu, grid, measured, outline), account


def _coarser(hu: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    nz, ny, nx = hu.shape
    ny, nx = ny // step * step, nx // step * step
    return np.asarray(hu[:, :ny, :nx].reshape(nz, ny // step, step, nx // step, step).mean(axis=(2, 4)), np.float32)


def _coarse_spacing(grid: Grid, step: int) -> tuple[float, float, float]:
    dz, dy, dx = grid.spacing_mm
    return dz, dy * step, dx * step


def _finer(mask: NDArray[np.bool_], step: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    wide = mask.repeat(step, axis=1).repeat(step, axis=2)
    return np.pad(wide, [(0, s - w) for s, w in zip(shape, wide.shape, strict=True)])


def _bounds(body: NDArray[np.bool_], grid: Grid, step: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last in-plane index of the body with a margin, multiples of ``step``."""
    start, stop = [], []
    for axis in (1, 2):
        hit = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = int(np.ceil(_MARGIN_MM / grid.spacing_mm[axis]))
        start.append(max(0, int(hit[0]) - margin) // step * step)
        stop.append(min(body.shape[axis] // step * step, -(-(int(hit[-1]) + 1 + margin) // step) * step))
    return (start[0], start[1]), (stop[0], stop[1])


def _fine_grid(grid: Grid, spacing_mm: float | None) -> Grid:
    if spacing_mm is not None:
        return grid.with_spacing((spacing_mm,) * 3)
    dz, dy, dx = grid.spacing_mm
    return grid.with_spacing((dz / max(1, round(dz / dy)), dy, dx))


def _carina_point(anatomy: Anatomy, grid: Grid, step: int) -> Point | None:
    if anatomy.carina is None:
        return None
    y, x = ndimage.center_of_mass(anatomy.airway[anatomy.carina])
    point = grid.index_to_world((anatomy.carina, (y + 0.5) * step - 0.5, (x + 0.5) * step - 0.5))
    return (float(point[0]), float(point[1]), float(point[2]))


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


def _voxels(
    clean: NDArray[np.float32],
    grid: Grid,
    fine: Grid,
    body: NDArray[np.bool_],
    anatomy: Anatomy,
    step: int,
    lookup: Lookup,
) -> tuple[NDArray[Any], ...]:
    """Structure, two materials, fraction and density on the fine grid, in slabs."""
    spacing = _coarse_spacing(grid, step)
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
                    name = _VESSEL if v > _VESSEL_HU else side
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
