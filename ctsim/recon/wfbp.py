"""Helical scans: weighted filtered back projection (WFBP; Stierstorfer et al., PMB 49:2209, 2004).

A ray of direction theta and signed distance p is read at the view angle beta = theta + g(p), when the source stands at
``z(theta) + feed g / 2 pi``. Each direction in [0, pi) is seen by the half turns of the whole helix; what they and the
heights of a flying focal spot say about a voxel is averaged with Stierstorfer's weights
(:mod:`ctsim.recon.backprojection`).

Fan angles' worth of views at either end of the scan only fill in rays; voxels that lack directions are reported by
their count.
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
from .parallel import fans

if TYPE_CHECKING:
    from .kernels import Kernel

BEYOND = 1.05
"""Rays this far from the detector's middle count, 1 at its edge, where no other does: the gaps of pitch 1.5 far from
the axis (design default)."""


def wfbp(
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
    """Attenuation ``(y, x, z)`` of a helical scan [1/mm], and the number of directions that each voxel was seen from.

    Parameters
    ----------
    line_integral
        ``(view, row, column)`` float32.
    geometry
        Its geometry, at constant feed.
    kernel, chain, axes_mm, box_mm, radius_mm, water_per_mm
        As of :func:`ctsim.recon.backprojection.back_project`; ``len(turns.view)`` is half the views of a state.
    run
        What does it: the CPU, or another backend with the same arguments.

    Raises
    ------
    ValueError
        If the number of views per rotation is odd, or the scan is too short for half a turn.
    """
    turns = turns_of_helix(geometry, chain)
    return run(line_integral, geometry, kernel, chain, turns, axes_mm, box_mm, radius_mm, water_per_mm, progress)


def turns_of_helix(geometry: Geometry, chain: Chain) -> Turns:
    """The half turns of a helix that have all their rays; ValueError if there are none."""
    n_states = len(geometry.deflection_mm)
    n_directions = geometry.views_per_rotation // n_states // 2
    shift = np.concatenate([beam.shift for beam in fans(geometry, chain.place_mm)])
    n_views = geometry.shape[0] // n_states
    earliest = math.ceil(1 - shift.min())
    latest = math.floor(n_views - 3 - shift.max())
    if latest - earliest + 1 < n_directions:
        raise ValueError(f"the scan of {n_views} views has no half turn of parallel rays ({n_directions} views)")
    half_turns = np.arange(earliest // n_directions, latest // n_directions + 1)
    view = np.arange(n_directions)[:, None] + n_directions * half_turns
    per_view = geometry.feed_per_rotation_mm / (2 * n_directions)
    return Turns(
        view=np.where((view >= earliest) & (view <= latest), view, -1),
        origin=np.zeros(len(half_turns), np.int64),
        source_z_mm=float(geometry.source_z_mm[0]) + per_view * view,
        half_turn=np.where(half_turns % 2 == 0, 1.0, -1.0),
        period=0,
        climb_mm_per_rad=geometry.feed_per_rotation_mm / (2 * math.pi),
        beyond=BEYOND,
    )
