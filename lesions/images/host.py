"""A real CT that lesions are put into: its lungs, noise and resolution, and what its lung reads without vessels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from twins import Grid, Material, Structure, Twin, material
from twins.importers.anatomy import find_anatomy
from twins.importers.body import find_body

from ..hounsfield import density_g_cm3
from .background import MIN_VOXELS, Window, background_hu, ball, fine_noise_hu, robust_level_hu
from .resolution import Resolution, measure_resolution

COARSE_MM = 1.8
"""Lungs and body are looked for on about this grid [mm]."""

VESSEL_HU = -500.0
"""From here on a voxel of the lungs is called a vessel (design default)."""

NEAR_MM = 10.0
"""The local level of the lung is that of the parenchyma up to this far from a lesion [mm] (design default)."""

STAND_IN = Material("lung_around", 1.0, material("lung_tissue").mass_fractions, "lung tissue at the host's own HU")
"""What the lung around a lesion counts as where shares are worked out."""

IN_LUNG = (int(Structure.RIGHT_LUNG), int(Structure.LEFT_LUNG), int(Structure.LUNG_VESSEL))


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """A CT with what the insertion of lesions needs to know about it.

    Parameters
    ----------
    hu
        ``(z, y, x)`` of any integer or floating type [HU].
    grid
        Its lattice, axis-aligned.
    structure
        ``(z, y, x)`` uint16, :class:`twins.Structure`: lungs, their vessels, airways, the rest of the body.
    noise_sd_hu
        SD of noise and fine texture of the aerated lung [HU].
    resolution
        Point spread function.
    """

    hu: NDArray[np.number]
    grid: Grid
    structure: NDArray[np.uint16]
    noise_sd_hu: float
    resolution: Resolution
    _twins: dict[int, Twin] = field(default_factory=dict, repr=False)

    def twin(self, level_hu: float = -850.0) -> Twin:
        """The host as a twin of uniform matter: for placement and truth, which ask for anatomy and not for matter."""
        word = round(density_g_cm3(STAND_IN, level_hu) * 1e4)
        if word not in self._twins:
            zero = np.broadcast_to(np.uint8(0), self.grid.shape)
            self._twins[word] = Twin(
                self.grid,
                self.structure,
                zero,
                zero,
                np.broadcast_to(np.uint16(0), self.grid.shape),
                np.broadcast_to(np.uint16(word), self.grid.shape),
                (STAND_IN,),
                provenance={"kind": "image"},
            )
        return self._twins[word]

    def level_hu(self, centre_mm: NDArray[np.float64], reach_mm: float) -> float:
        """Median of the parenchyma within ``reach_mm`` and 10 mm more of a world point [HU], vessels left out.

        Raises
        ------
        ValueError
            If there is next to none.
        """
        window, squared = ball(self.grid, centre_mm, reach_mm + NEAR_MM)
        lung = np.isin(self.structure[window], IN_LUNG[:2]) & (squared <= (reach_mm + NEAR_MM) ** 2)
        values = self.hu[window][lung].astype(np.float64)
        if len(values) < MIN_VOXELS:
            at = tuple(round(float(c), 1) for c in centre_mm)
            raise ValueError(
                f"only {len(values)} voxels of aerated lung lie within {reach_mm + NEAR_MM:.0f} mm of {at} mm, at "
                f"least {MIN_VOXELS} are needed to know the lung's level"
            )
        return robust_level_hu(values)

    def background_hu(self, window: Window, displaced: NDArray[np.float32], level_hu: float) -> NDArray[np.float32]:
        """What a lesion takes the place of ``(z, y, x)`` [HU]; see :func:`lesions.images.background.background_hu`."""
        return background_hu(self.hu, window, displaced, level_hu, self.noise_sd_hu)


def prepare(
    hu: NDArray[np.number],
    grid: Grid,
    *,
    lungs: NDArray[np.bool_] | None = None,
    resolution: Resolution | None = None,
    slice_thickness_mm: float | None = None,
) -> Host:
    """Find out about a CT what lesions need to know.

    Parameters
    ----------
    hu
        ``(z, y, x)`` [HU]; kept as it is, not copied.
    grid
        Its lattice, axis-aligned.
    lungs
        ``(z, y, x)`` mask of both lungs, vessels included; none: found in the image (a whole chest is needed).
    resolution
        None: measured (:func:`lesions.images.measure_resolution`).
    slice_thickness_mm
        Thickness of the slices [mm], where it is known and the resolution is measured.

    Raises
    ------
    ValueError
        If the shapes do not agree, the grid is turned, or there is no lung.
    ResolutionError
        If the resolution cannot be measured.
    """
    if hu.shape != grid.shape:
        raise ValueError(f"hu must have the grid's shape {grid.shape}, got {hu.shape}")
    if not grid.is_axis_aligned:
        raise ValueError(f"the grid of a host must be axis-aligned, its direction is {grid.direction}")
    if lungs is not None and lungs.shape != grid.shape:
        raise ValueError(f"lungs must have the grid's shape {grid.shape}, got {lungs.shape}")
    airway: NDArray[np.bool_] | None = None
    if lungs is None or resolution is None:
        body, coarse_airway, right, left = _found(hu, grid, need_lungs=lungs is None)
        airway = coarse_airway
    else:
        body = np.ones(hu.shape, bool)
    if lungs is not None:
        if not lungs.any():
            raise ValueError("lungs: the mask is empty")
        x = np.flatnonzero(lungs.any(axis=(0, 1)))
        is_right = np.arange(grid.shape[2]) < 0.5 * (x[0] + x[-1])
        right, left = lungs & is_right, lungs & ~is_right
    if resolution is None:
        resolution = measure_resolution(hu, grid, body=body, airway=airway, slice_thickness_mm=slice_thickness_mm)
    structure = np.where(body, np.uint16(Structure.SOFT_TISSUE), np.uint16(Structure.OUTSIDE))
    structure[right], structure[left] = Structure.RIGHT_LUNG, Structure.LEFT_LUNG
    smooth = gaussian_filter(np.asarray(hu, np.float32), [0.0, 0.6, 0.6])
    structure[(right | left) & (smooth > VESSEL_HU)] = Structure.LUNG_VESSEL
    if airway is not None:
        structure[airway & ~(right | left)] = Structure.BRONCHUS
    try:
        noise = fine_noise_hu(hu, grid.spacing_mm, np.isin(structure, IN_LUNG[:2]))
    except ValueError as error:
        raise ValueError(f"lungs: {error}") from None
    return Host(hu, grid, structure, noise, resolution)


def _found(hu: NDArray[np.number], grid: Grid, *, need_lungs: bool) -> tuple[NDArray[np.bool_], ...]:
    """Body, airway, right and left lung ``(z, y, x)``, found on a coarser grid."""
    step = max(1, round(COARSE_MM / grid.spacing_mm[1]))
    nz, ny, nx = (grid.shape[0], grid.shape[1] // step * step, grid.shape[2] // step * step)
    blocks = np.asarray(hu[:, :ny, :nx], np.float32).reshape(nz, ny // step, step, nx // step, step)
    coarse = np.asarray(np.clip(blocks.mean(axis=(2, 4)), -1024, 3071), np.float32)
    dz, dy, dx = grid.spacing_mm
    spacing = (dz, dy * step, dx * step)
    body = find_body(coarse, spacing)
    masks: tuple[NDArray[np.bool_], ...]
    try:
        anatomy = find_anatomy(coarse, body, spacing)
        masks = (body, anatomy.airway, anatomy.right_lung, anatomy.left_lung)
    except ValueError:
        if need_lungs:
            raise
        masks = (body, np.zeros_like(body), np.zeros_like(body), np.zeros_like(body))
    pad = [(0, 0), (0, grid.shape[1] - ny), (0, grid.shape[2] - nx)]
    return tuple(np.pad(m.repeat(step, axis=1).repeat(step, axis=2), pad) for m in masks)
