"""Basis area densities of a twin in every reading: the base volume, and its insets on their own fine lattices.

Line integrals add, so an inset (a signed difference to the base) is projected by itself, only for the readings in its
shadow, and added. Each reading is the average over its cell (see :mod:`ctsim.kernels.project`). Outside the lattice is
vacuum; what is outside the scan's rays is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .geometry import Geometry
from .kernels import project as kernel

if TYPE_CHECKING:
    from .voxels import BasisInset, BasisVolume

DRIFT_VOXELS = 0.25
"""Planes are read out together while no row climbs more than this in z [voxels] (adds 1e-5 to an error of 0.0012)."""

_G_CM2_PER_MM = 0.1
"""One g/cm3 over one millimetre [g/cm2]."""


def project(
    volume: BasisVolume,
    insets: Sequence[BasisInset],
    geometry: Geometry,
    first_view: int,
    out: NDArray[np.float32],
) -> None:
    """Overwrite ``out`` ``(channel, view, row, column)`` with the basis area densities of a block of views.

    Parameters and errors are those of :func:`project_rays` with one ray.
    """
    project_rays(volume, insets, [geometry], first_view, out[None])


def project_rays(
    volume: BasisVolume,
    insets: Sequence[BasisInset],
    rays: Sequence[Geometry],
    first_view: int,
    out: NDArray[np.float32],
) -> None:
    """Overwrite ``out`` with the basis area densities that several rays of every reading of a block of views meet.

    Rays that lie close together are walked together: they share what the processor has read of the volume.

    Parameters
    ----------
    volume
        Basis densities of the base.
    insets
        Differences to the base.
    rays
        Geometries of the whole scan, of one shape: as each ray of a reading sees it.
    first_view
        The block is views ``first_view`` to ``first_view + out.shape[2]`` of each.
    out
        ``(ray, channel, view, row, column)`` float32, C order: basis 0, basis 1 and, if the volume has it, iodine
        [g/cm2].

    Raises
    ------
    ValueError
        If shapes do not fit each other, or a lattice is not axis-aligned.
    """
    n_channels = 2 if volume.iodine is None else 3
    n_views, n_rows, n_columns = rays[0].shape
    if out.ndim != 5 or out.shape[:2] != (len(rays), n_channels) or out.shape[3:] != (n_rows, n_columns):
        raise ValueError(
            f"out must have shape ({n_channels}, views, {n_rows}, {n_columns}) per ray, got {out.shape[1:]}"
        )
    if out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out must be float32 in C order, got {out.dtype}")
    if not 0 <= first_view <= first_view + out.shape[2] <= n_views:
        raise ValueError(f"views {first_view} to {first_view + out.shape[2]} are not among the {n_views} of the scan")
    views = slice(first_view, first_view + out.shape[2])
    out[:] = 0.0
    words = np.ascontiguousarray(volume.words).view(np.int32)
    if volume.iodine is None:
        _add(words, volume.grid, rays, views, volume.step_g_cm3, out.reshape(-1, *out.shape[2:]))
    else:
        iodine = np.ascontiguousarray(volume.iodine)
        for geometry, path in zip(rays, out, strict=True):
            _add(words, volume.grid, [geometry], views, volume.step_g_cm3, path[:2])
            _add(iodine, volume.grid, [geometry], views, volume.iodine_step_g_cm3, path[2:])
    for inset in insets:
        if inset.delta.shape != (n_channels, *inset.grid.shape):
            raise ValueError(
                f"delta of an inset must have shape {(n_channels, *inset.grid.shape)} (channel, z, y, x), "
                f"got {inset.delta.shape}"
            )
        for geometry, path in zip(rays, out, strict=True):
            _add_inset(inset, geometry, views, path)


def _add(
    volume: NDArray[np.generic],
    grid: Grid,
    rays: Sequence[Geometry],
    views: slice,
    step_g_cm3: float,
    out: NDArray[np.float32],
) -> None:
    if not grid.is_axis_aligned:
        raise ValueError(f"grid must be axis-aligned to be projected, direction is {grid.direction}")
    if out.shape[1] == 0 or out.shape[3] == 0:
        return
    geometry = rays[0]
    sources = np.stack([_sources(grid, ray, views) for ray in rays], axis=1)
    sources[:, :, 5] += len(geometry.deflection_mm) * np.arange(len(rays))
    run: Any = kernel.project
    run(
        volume,
        np.asarray(grid.spacing_mm),
        sources.reshape(-1, 6),
        np.concatenate([ray.fan_angle_rad() for ray in rays]),
        np.concatenate([ray.cell_height_mm() for ray in rays]).astype(np.float32),
        np.array([geometry.column_pitch_rad * geometry.detector_distance_mm, geometry.row_pitch_mm]),
        np.concatenate([ray.cell_distance_mm() for ray in rays]),
        DRIFT_VOXELS,
        _G_CM2_PER_MM * step_g_cm3,
        out,
    )


def _sources(grid: Grid, geometry: Geometry, views: slice) -> NDArray[np.float64]:
    """``(V, 6)``: source as a continuous index (z, y, x), cosine and sine of the view angle, place in the cycle."""
    beta = geometry.view_angle_rad[views]
    sources = np.empty((len(beta), 6))
    sources[:, :3] = grid.world_to_index(geometry.source_mm(views))
    sources[:, 3], sources[:, 4] = np.cos(beta), np.sin(beta)
    sources[:, 5] = np.arange(views.start, views.stop) % len(geometry.deflection_mm)
    return sources


def _add_inset(inset: BasisInset, geometry: Geometry, views: slice, out: NDArray[np.float32]) -> None:
    """Add an inset's line integrals in the columns of its shadow."""
    channels = [c for c in range(len(inset.delta)) if np.any(inset.delta[c])]
    volumes = {c: np.ascontiguousarray(inset.delta[c].transpose(1, 2, 0), dtype=np.float32) for c in channels}
    for start, stop, low, high in _shadows(inset.grid, geometry, views):
        part = replace(geometry, column_angle_rad=geometry.column_angle_rad[low:high])
        if len(part.column_angle_rad) == 1:  # two columns at least, so that the pitch is known
            low, high = (low - 1, high) if low > 0 else (low, high + 1)
            part = replace(geometry, column_angle_rad=geometry.column_angle_rad[low:high])
        block = slice(views.start + start, views.start + stop)
        for c, delta in volumes.items():
            shadow = np.zeros((1, stop - start, geometry.shape[1], high - low), np.float32)
            _add(delta, inset.grid, [part], block, 1.0, shadow)
            out[c, start:stop, :, low:high] += shadow[0]


def _shadows(grid: Grid, geometry: Geometry, views: slice) -> list[tuple[int, int, int, int]]:
    """Runs of views (first, end, counted from the block's first) and the columns (first, end) of the shadow there."""
    nz, ny, nx = grid.shape
    corners = grid.index_to_world([(k - 0.5, j - 0.5, i - 0.5) for k in (0, nz) for j in (0, ny) for i in (0, nx)])
    beta = geometry.view_angle_rad[views][:, None]
    away = corners[None] - geometry.source_mm(views)[:, None]
    radial = -away[..., 0] * np.cos(beta) - away[..., 1] * np.sin(beta)
    lateral = -away[..., 0] * np.sin(beta) + away[..., 1] * np.cos(beta)
    gamma = np.arctan2(lateral, radial)
    pitch = geometry.column_pitch_rad
    # a deflected spot sees the columns under other angles and at other distances
    turned = np.abs(geometry.fan_angle_rad() - geometry.column_angle_rad).max()
    farther = np.abs(geometry.cell_distance_mm() / geometry.detector_distance_mm - 1).max()
    moved_mm = np.abs(geometry.deflection_mm[:, 2]).max()
    first, last = geometry.column_angle_rad[0], geometry.column_angle_rad[-1]
    margin = pitch + turned + max(grid.spacing_mm) / np.maximum(radial, 1.0).min(axis=1)
    # heights where the shadow's rays meet the inset, a row beyond on either side
    distance = np.maximum(np.hypot(lateral, radial), 1.0)
    climb = away[..., 2] / distance * geometry.detector_distance_mm
    slack = geometry.row_pitch_mm + max(grid.spacing_mm) * geometry.detector_distance_mm / distance.min(axis=1)
    slack += moved_mm + farther * np.abs(climb).max(axis=1)
    seen = (climb.min(axis=1) - slack <= geometry.row_offset_mm[-1] + geometry.row_pitch_mm) & (
        climb.max(axis=1) + slack >= geometry.row_offset_mm[0] - geometry.row_pitch_mm
    )
    low = np.clip(np.floor((gamma.min(axis=1) - margin - first) / pitch), 0, len(geometry.column_angle_rad))
    high = np.clip(np.ceil((gamma.max(axis=1) + margin - first) / pitch) + 1, 0, len(geometry.column_angle_rad))
    seen &= (gamma.max(axis=1) + margin >= first) & (gamma.min(axis=1) - margin <= last) & (high > low)
    runs: list[tuple[int, int, int, int]] = []
    for v in np.nonzero(seen)[0]:
        here = (int(v), int(v) + 1, int(low[v]), int(high[v]))
        if runs and runs[-1][1] == v:
            start, _, a, b = runs[-1]
            a, b = min(a, here[2]), max(b, here[3])
            narrow = b - a <= math.ceil(1.5 * (here[3] - here[2])) + 8
            if narrow and v - start < 64:
                runs[-1] = (start, int(v) + 1, a, b)
                continue
        runs.append(here)
    return runs
