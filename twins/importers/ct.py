"""A user's own chest CT as a twin: noise, table and air taken away, HU turned into matter, lungs and bones found."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid, Point
from ..patient import Patient
from ..structures import Structure
from ..twin import Twin
from .anatomy import Anatomy, find_anatomy
from .body import find_body
from .hu_scale import effective_kev, mixture_lookup, patient_materials
from .labelled import Names, anatomy_of, solid_in_lung
from .labels import check_labels, read_labels, structures_on
from .matter import voxels
from .noise import denoise, estimate_noise_hu, without_specks
from .truncation import carried_on, extend, measured_region, outline_of
from .volume import Volume, read_volume

VERSION = "patient-ct-3"
"""Changes whenever the same file would give another twin."""

_COARSE_MM = 1.8
_MARGIN_MM = 10.0
_PATCH_MM = 12.0


def from_ct(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    scheme: str | os.PathLike[str] = "auto",
    patient: Patient | None = None,
    spacing_mm: float | None = None,
    kvp: float | None = None,
    series: str | None = None,
) -> Twin:
    """Make a patient twin from a chest CT, alone or with a label map.

    Parameters
    ----------
    path
        NIfTI, NRRD, MHA... file, or a folder with one DICOM series, in HU. Oblique volumes and tilted slices are
        interpolated onto the patient's axes.
    labels
        A label map of the same patient on any lattice: lobes, organs and bones get its names. It must hold lung.
    scheme
        What its numbers mean: ``"totalsegmentator_v2"``, ``"totalsegmentator_v1"``, ``"maisi"``, ``"lungmask_lobes"``,
        ``"lungs"`` (any label is lung), a YAML file, or ``"auto"`` (by the names in its header).
    patient
        Who it is; what it leaves open is taken from a DICOM header (sex, age, height, BMI).
    spacing_mm
        Voxel size of the twin [mm]; ``None`` keeps the CT's in-plane spacing and divides its slices into voxels of
        about that height.
    kvp
        Tube voltage of the scan, 70 to 150 [kV]; decides the effective energy. If not given: that of a DICOM header,
        else 120.
    series
        SeriesInstanceUID, where a folder holds several.

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
        If a file cannot be used (not CT in HU, slices missing, no body, no lung, labels beside the CT): the message
        names it and the reason; or if ``spacing_mm`` or ``kvp`` is out of range.
    """
    if spacing_mm is not None and not 0.3 <= spacing_mm <= 10:
        raise ValueError(f"spacing_mm must lie between 0.3 and 10 mm, got {spacing_mm}")
    volume = read_volume(path, straighten=True, series=series)
    kvp = float(volume.header.get("kvp", 120.0)) if kvp is None else kvp
    lookup = mixture_lookup(kvp)
    label_map = None if labels is None else read_labels(labels, scheme)
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
        clean = without_specks(denoise(hu, noise, body), noise, body)
        coarse_body = coarse_body[:, start[0] // step : stop[0] // step, start[1] // step : stop[1] // step]
        coarse, coarse_spacing = _coarser(clean, step), _coarse_spacing(grid, step)
        names = None
        if label_map is None:
            anatomy = find_anatomy(coarse, coarse_body, coarse_spacing)
        else:
            anatomy, names = _of_labels(structures_on(label_map, grid), clean, grid, coarse, coarse_body, step)
    except ValueError as error:
        raise ValueError(f"{volume.name}: {error}") from None
    fine = _fine_grid(grid, spacing_mm)
    arrays = voxels(clean, grid, fine, coarse_body, anatomy, step, lookup, names)
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
        "mended": dict(volume.mended),
        "labels": None if label_map is None else label_map.account(),
        "noise_sd_hu": round(noise, 3),
        "kvp_assumed": float(kvp),
        "effective_kev": {"bone": effective_kev(kvp), "iodine": effective_kev(kvp, iodine=True)},
        "extension": extension,
        "enhanced_blood_hu": None if anatomy.blood_hu is None else round(anatomy.blood_hu, 1),
        "spacing_mm": None if spacing_mm is None else float(spacing_mm),
        "methods": {
            "denoising": "guided bilateral, edge-avoiding a-trous, 3 passes; single voxels mended",
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
        patient=_who(patient, volume),
        landmarks_mm=landmarks,
        provenance=provenance,
    )


def _of_labels(
    structure: NDArray[np.uint16],
    clean: NDArray[np.float32],
    grid: Grid,
    coarse: NDArray[np.float32],
    coarse_body: NDArray[np.bool_],
    step: int,
) -> tuple[Anatomy, Names]:
    check_labels(structure, clean, grid.spacing_mm)
    middle = step // 2
    thinned = structure[:, middle::step, middle::step][:, : coarse.shape[1], : coarse.shape[2]]
    spacing = _coarse_spacing(grid, step)
    solid = _finer(solid_in_lung(thinned, coarse, spacing), step, structure.shape)
    structure = np.where(solid, np.uint16(Structure.SOFT_TISSUE), structure)
    return anatomy_of(thinned, coarse, coarse_body, spacing), Names(structure, grid.spacing_mm)


def _who(patient: Patient | None, volume: Volume) -> Patient:
    said = {name: value for name, value in volume.header.items() if name in Patient.model_fields}
    known = {} if patient is None else {name: value for name, value in patient if value is not None}
    return Patient(**{**said, **known})


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
