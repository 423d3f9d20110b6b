"""From a sinogram to a CT image: kernel, slices and lattice chosen, back projected, put on the Hounsfield scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..backends import load
from ..image import CT
from .backprojection import BackProjection, back_project
from .chain import chain_of
from .fdk import fdk
from .filtering import softened
from .hounsfield import LOWEST_HU, to_hu
from .iterative import denoise
from .kernels import Kernel
from .slices import blur_of, box_for, profile_fwhm_mm
from .wfbp import wfbp

if TYPE_CHECKING:
    from ..backends import Backend
    from ..geometry import Geometry
    from ..sinogram import Sinogram

_LEAST_SHARE = 0.95
"""Voxels seen from a smaller share of all directions are padded: those at the ends of a helix (design default)."""


def reconstruct(
    sinogram: Sinogram,
    *,
    kernel: Kernel | None = None,
    grid: Grid | None = None,
    slice_thickness_mm: float | None = None,
    iterative_strength: int | None = None,
    backend: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> CT:
    """Reconstruct a CT image: FDK for rotations at rest, WFBP for a helix.

    Parameters
    ----------
    sinogram
        Water-corrected line integrals with their geometry and protocol; corrected for bone first where the protocol
        asks for it.
    kernel
        Kernel of the image; ``None``: the one that the protocol names, looked up in the shipped profile of the scanner.
    grid
        Axis-aligned lattice of the image; its z spacing is the increment. ``None``: the protocol's square around its
        centre (the rotation axis unless given), slices over the range that the scan covers.
    slice_thickness_mm
        FWHM of the slice profile at the axis [mm]; ``None``: the protocol's.
    iterative_strength
        0 for filtered back projection, 1 to 5 for the iterative mode (:mod:`ctsim.recon.iterative`); ``None``: the
        protocol's.
    backend
        What filters and back projects: "auto", "cpu" or "gpu"; the rest is the CPU's.
    progress
        Called with the finished share, 0 to 1.

    Returns
    -------
    CT
        int16 HU, clipped to -1024..3071. Voxels outside the scanner's circular field of view (radius SID sin of the
        smaller outermost fan angle), beyond the beams' height at the axis of rotations at rest, or seen from less than
        95 % of all directions of a helix hold -1024. ``meta`` says what was done.

    Raises
    ------
    ValueError
        If the kernel is sharper or the slices thinner than the scanner can resolve, the lattice is not axis-aligned,
        or the scan is no full rotation or half a helical turn. Where columns or rows were merged for a preview, the
        kernel is softened and the slice thickened to what the merged cells resolve, and ``meta`` says so.
    BackendError
        If backend "gpu" is asked for and cannot be had.
    """
    device = load(backend)
    if sinogram.protocol.corrections.bone and not sinogram.meta.get("bone_corrected"):
        from ..bone import bone_corrected

        sinogram = bone_corrected(sinogram)
    geometry = sinogram.geometry
    if grid is None:
        grid = _default_grid(sinogram)
    if not grid.is_axis_aligned:
        raise ValueError(f"grid must be axis-aligned, direction is {grid.direction}")
    chain = chain_of(sinogram)
    asked = _default_kernel(sinogram) if kernel is None else kernel
    used = softened(asked, chain) if sinogram.sampling.column_binning > 1 else asked
    row_mm = geometry.row_pitch_mm * geometry.source_distance_mm / geometry.detector_distance_mm
    thickness = (
        sinogram.protocol.reconstruction.slice_thickness_mm if slice_thickness_mm is None else slice_thickness_mm
    )
    asked_thickness = thickness
    if sinogram.sampling.row_binning > 1:
        thickness = max(thickness, row_mm)
    blur = blur_of(sinogram)
    box_mm = box_for(thickness, row_mm, blur)
    p, _ = geometry.parallel_rays()
    radius = max(0.0, min(-float(p[:, 0].max()), float(p[:, -1].min())))
    line_integral = np.ascontiguousarray(sinogram.line_integral, dtype=np.float32)
    axes = grid.axes_mm()
    method = wfbp if geometry.is_helical else fdk
    water = float(sinogram.mu_water_per_mm)
    mu, seen = method(
        line_integral, geometry, used, chain, axes, box_mm, radius, water, progress, _back_projection(device)
    )
    good, n_unseen = _complete(mu, seen, geometry, axes, radius)
    strength = sinogram.protocol.reconstruction.iterative_strength if iterative_strength is None else iterative_strength
    if strength != 0:
        mu = denoise(mu, good, grid.spacing_mm, used, chain, row_mm, box_mm, strength)
    hu = np.empty(grid.shape, np.int16)
    for j in range(grid.shape[1]):
        hu[:, j, :] = np.where(good[j], to_hu(mu[j], water), LOWEST_HU).T
    meta: dict[str, Any] = {
        "method": method.__name__,
        "backend": device.name,
        "device": device.device,
        "kernel": used.name,
        "kernel_mtf50_per_mm": used.mtf50_per_mm,
        "kernel_mtf10_per_mm": used.mtf10_per_mm,
        "kernel_is_softened": used != asked,
        "slice_thickness_mm": profile_fwhm_mm(row_mm, box_mm, blur),
        "slice_is_thickened": thickness != asked_thickness,
        "iterative_strength": strength,
        "increment_mm": grid.spacing_mm[0],
        "field_of_view_radius_mm": radius,
        "padding_hu": LOWEST_HU,
        "n_unseen_voxels": n_unseen,
        "mu_water_per_mm": float(sinogram.mu_water_per_mm),
        "key": sinogram.key,
        "ctdi_vol_mgy": sinogram.ctdi_vol_mgy,
        "scanner": sinogram.scanner.name,
        "protocol": sinogram.protocol.name,
        "kvp": sinogram.protocol.kvp,
        "mas_per_rotation": sinogram.protocol.mas_per_rotation,
    }
    return CT(grid, hu, meta)


def _back_projection(device: Backend) -> BackProjection:
    """What back projects there."""
    from ..backends.gpu import Gpu

    if not isinstance(device, Gpu):
        return back_project
    from ..backends.gpu.reconstruction import back_project as on_device

    return partial(on_device, device.on)


def _default_grid(sinogram: Sinogram) -> Grid:
    """The protocol's square, slices centred on the covered range."""
    choice = sinogram.protocol.reconstruction
    low, high = (float(edge) for edge in sinogram.meta["z_range_mm"])
    n_slices = math.floor((high - low) / choice.increment_mm + 1e-6) + 1
    first = 0.5 * (low + high) - 0.5 * (n_slices - 1) * choice.increment_mm
    pixel = choice.fov_mm / choice.matrix
    x, y = sinogram.geometry.isocentre_mm if choice.centre_mm is None else choice.centre_mm
    corner = 0.5 * (choice.matrix - 1) * pixel
    return Grid(
        (n_slices, choice.matrix, choice.matrix), (choice.increment_mm, pixel, pixel), (x - corner, y - corner, first)
    )


def _default_kernel(sinogram: Sinogram) -> Kernel:
    """The kernel that the protocol names, from the shipped profile of the same scanner."""
    from ..profile import load_profile, profile_names

    name = sinogram.protocol.reconstruction.kernel
    for profile in map(load_profile, profile_names()):
        if profile.scanner.name == sinogram.scanner.name:
            return profile.kernel(name)
    raise ValueError(
        f"scanner {sinogram.scanner.name!r} is in no shipped profile: pass kernel=profile.kernel({name!r}) of your own"
    )


def _complete(
    mu: NDArray[np.float32],
    seen: NDArray[np.uint16],
    geometry: Geometry,
    axes_mm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    radius_mm: float,
) -> tuple[NDArray[np.bool_], int]:
    """Scale ``(y, x, z)`` attenuation to all directions, in place; what was seen, and how much in the circle not."""
    _, y, x = axes_mm
    n_directions = geometry.views_per_rotation // len(geometry.deflection_mm) // 2
    good = np.empty(mu.shape, np.bool_)
    n_unseen = 0
    for j in range(len(y)):
        inside = (x - geometry.isocentre_mm[0]) ** 2 + (y[j] - geometry.isocentre_mm[1]) ** 2 <= radius_mm**2
        good[j] = (seen[j] >= _LEAST_SHARE * n_directions) & inside[:, None]
        mu[j] *= np.float32(n_directions) / np.maximum(seen[j], np.uint16(1)).astype(np.float32)
        n_unseen += int(inside.sum()) * mu.shape[2] - int(good[j].sum())
    return good, n_unseen
