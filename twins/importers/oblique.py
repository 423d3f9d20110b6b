"""Turned and sheared stacks of slices (oblique volumes, tilted gantries) brought onto the patient's axes.

A voxel ``(z, y, x)`` of such a stack lies at ``origin + i_x e_x + i_y e_y + i_z e_z`` with any three step vectors. The
stack is interpolated linearly on an axis-aligned lattice around it. Slices of that lattice in which part of the patient
was not measured are left out, so that no anatomy is made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid

SOLID_HU = -300.0
"""Columns with anything denser hold patient or table (design default)."""

FEWEST_SLICES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices as a file has them.

    Parameters
    ----------
    array
        ``(z, y, x)``.
    origin_mm
        World point of voxel (0, 0, 0) [mm, LPS].
    steps_mm
        ``(3, 3)``: columns are the world steps along x, y and z indices [mm]; need not be orthogonal.
    """

    array: NDArray[Any]
    origin_mm: NDArray[np.float64]
    steps_mm: NDArray[np.float64]

    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbours along ``(z, y, x)`` [mm]."""
        x, y, z = np.linalg.norm(self.steps_mm, axis=0)
        return float(z), float(y), float(x)

    def shear_deg(self) -> float:
        """Angle between the stacking direction and the normal of the slices: the tilt of the gantry [degrees]."""
        x, y, z = (self.steps_mm / np.linalg.norm(self.steps_mm, axis=0)).T
        return float(np.degrees(np.arccos(np.clip(abs(np.cross(x, y) @ z), 0, 1))))

    def turn_deg(self) -> float:
        """Largest angle of an index axis against the nearest patient axis [degrees]."""
        unit = self.steps_mm / np.linalg.norm(self.steps_mm, axis=0)
        return float(np.degrees(np.arccos(np.clip(abs(unit).max(axis=0).min(), 0, 1))))


def straightened(stack: Stack, name: str, air_hu: float = -1024.0) -> tuple[NDArray[np.float32], Grid, dict[str, Any]]:
    """The stack on patient axes: array ``(z, y, x)`` float32, its grid, and an account for the provenance.

    Raises
    ------
    ValueError
        If two index axes lie along one patient axis, or fewer than 8 slices hold all of the patient.
    """
    steps = stack.steps_mm
    axis_of_world = abs(steps).argmax(axis=1)
    if sorted(axis_of_world) != [0, 1, 2]:
        raise ValueError(
            f"{name}: its axes are turned by {stack.turn_deg():.0f} degrees: no one is nearest to each patient axis"
        )
    spacing_xyz = np.linalg.norm(steps, axis=0)[axis_of_world]
    n_z, n_y, n_x = stack.array.shape
    corners = np.array([[i, j, k] for i in (0, n_x - 1) for j in (0, n_y - 1) for k in (0, n_z - 1)], np.float64)
    world = corners @ steps.T + stack.origin_mm
    low = world.min(axis=0)
    count = np.floor((world.max(axis=0) - low) / spacing_xyz + 1e-6).astype(int) + 1
    to_index = np.linalg.inv(steps)
    # of array indices (z, y, x) in array indices (z, y, x)
    matrix = (to_index * spacing_xyz)[::-1, ::-1]
    offset = (to_index @ (low - stack.origin_mm))[::-1]
    shape = (int(count[2]), int(count[1]), int(count[0]))
    outside = np.float32(np.nan)
    out = np.empty(shape, np.float32)
    source = np.asarray(stack.array, np.float32)
    ndimage.affine_transform(source, matrix, offset, shape, out, order=1, mode="constant", cval=outside)
    measured = np.isfinite(out)
    solid = ((out > SOLID_HU) & measured).any(axis=0)
    whole = np.asarray(~(~measured & solid).any(axis=(1, 2)) & measured.any(axis=(1, 2)))
    first, last = _longest_run(whole)
    if last - first < FEWEST_SLICES:
        raise ValueError(
            f"{name}: its axes are turned by {stack.turn_deg():.1f} degrees (slices by {stack.shear_deg():.1f}): "
            f"only {last - first} slices across the patient's axis are complete, at least {FEWEST_SLICES} are needed"
        )
    out = out[first:last]
    out[~measured[first:last]] = air_hu
    origin = (float(low[0]), float(low[1]), float(low[2] + first * spacing_xyz[2]))
    grid = Grid(out.shape, tuple(spacing_xyz[::-1]), origin)
    account = {
        "turned_deg": round(stack.turn_deg(), 2),
        "tilt_deg": round(stack.shear_deg(), 2),
        "slices_left_out": int(shape[0] - (last - first)),
        "interpolation": "linear",
    }
    return out, grid, account


def _longest_run(good: NDArray[np.bool_]) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    if not edges.size:
        return 0, 0
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])
