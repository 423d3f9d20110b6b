"""Scans with the table at rest: one rotation, or several with steps between them (step-and-shoot).

The method of Feldkamp, Davis and Kress (JOSA A 1:612, 1984, doi:10.1364/JOSAA.1.000612) after rebinning to parallel
rays (Grass, Koehler, Proksa, PMB 45:329, 2000, doi:10.1088/0031-9155/45/2/306): every direction in [0, pi) is seen by
two opposite half turns of each rotation, whose rays through a voxel are averaged with weights that fall towards the
detector's edges (:mod:`ctsim.recon.backprojection`). In the source's plane it is exact.

A slice is imaged where it lies in the beam of a rotation at the axis; where beams of neighbouring rotations overlap,
they blend with the same weights. A cone of that height at the axis is narrower on the source's side. There the opposite
rays alone count; in the few places that neither reaches, within ``SID / sqrt(SID^2 - r^2)`` of the beam's edge, the
outermost row's readings go on. Slices beyond every beam are unseen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from .backprojection import BackProjection, Turns, back_project
from .chain import Chain

if TYPE_CHECKING:
    from .kernels import Kernel


def fdk(
    line_integral: NDArray[np.float32],
    geometry: Geometry,
    kernel: Kernel,
    chain: Chain,
    axes_mm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    box_mm: float,
    radius_mm: float,
    water_per_mm: float | None = None,
    progress: Callable[[float], None] | None = None,
    run: BackProjection = back_project,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Attenuation ``(y, x, z)`` of a scan with the table at rest [1/mm], and how many directions saw each voxel.

    Parameters
    ----------
    line_integral
        ``(view, row, column)`` float32, whole rotations.
    geometry
        Its geometry; source z constant in each rotation.
    kernel, chain, axes_mm, box_mm, radius_mm, water_per_mm
        As of :func:`ctsim.recon.backprojection.back_project`; ``len(turns.view)`` is half the views of a state.
    run
        What does it: the CPU, or another backend with the same arguments.

    Raises
    ------
    ValueError
        If the scan is not of full rotations with the table at rest.
    """
    turns = turns_at_rest(geometry, radius_mm)
    z, half_beam = axes_mm[0], _half_beam_mm(geometry)
    lit = np.zeros(len(z), np.bool_)
    for source_z in np.unique(geometry.source_z_mm):
        lit |= np.abs(z - source_z) <= half_beam + 1e-6
    mu, seen = run(line_integral, geometry, kernel, chain, turns, axes_mm, box_mm, radius_mm, water_per_mm, progress)
    seen[:, :, ~lit] = 0
    return mu, seen


def turns_at_rest(geometry: Geometry, radius_mm: float) -> Turns:
    """The half turns of whole rotations with the table at rest; ValueError if the scan is none."""
    n_views, per_rotation = geometry.shape[0], geometry.views_per_rotation
    n_rotations = n_views // per_rotation
    z = geometry.source_z_mm[: n_rotations * per_rotation].reshape(n_rotations, per_rotation)
    if n_rotations * per_rotation != n_views or n_views == 0 or geometry.is_helical or np.ptp(z, axis=1).max() > 1e-6:
        raise ValueError(
            f"an axial reconstruction needs full rotations of {per_rotation} views, each at one table position, "
            f"got {n_views} views and feed_per_rotation_mm = {geometry.feed_per_rotation_mm}"
        )
    period = per_rotation // len(geometry.deflection_mm)
    n_directions = period // 2
    origin = np.repeat(per_rotation * np.arange(n_rotations), 2)
    view = np.arange(n_directions)[:, None] + n_directions * np.tile([0, 1], n_rotations)
    return Turns(
        view=view,
        origin=origin,
        source_z_mm=np.broadcast_to(geometry.source_z_mm[origin], view.shape).astype(np.float64),
        half_turn=np.tile([1.0, -1.0], n_rotations),
        period=period,
        climb_mm_per_rad=0.0,
        beyond=1.02 / math.sqrt(1 - (radius_mm / geometry.source_distance_mm) ** 2),
    )


def _half_beam_mm(geometry: Geometry) -> float:
    scale = geometry.source_distance_mm / geometry.detector_distance_mm
    return 0.5 * len(geometry.row_offset_mm) * geometry.row_pitch_mm * scale
