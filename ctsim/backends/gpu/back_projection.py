"""Filtered parallel projections to voxels on a CUDA device: what ``kernels/backproject.cu`` needs, and its launches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import Geometry
from ...kernels.gather import FULL_WEIGHT, LEAST_WEIGHT
from ...recon.backprojection import Turns
from ...recon.parallel import Fan
from .device import Device

DEPTH = 8
"""Slices that one thread works, as in ``backproject.cu``."""

_PATCH = 16, 8
"""Voxels along x and y that 128 neighbouring threads work, as there."""


def reach_mm(turns: Turns, geometry: Geometry, box_mm: float, radius_mm: float) -> float:
    """Distance along z from a source's nominal place beyond which none of its rays counts [mm]."""
    sid, sdd = geometry.source_distance_mm, geometry.detector_distance_mm
    moved = np.abs(geometry.deflection_mm).max(axis=0)
    tallest = float(np.abs(geometry.row_offset_mm).max()) + geometry.row_pitch_mm + moved[2]
    fan = float(np.abs(geometry.fan_angle_rad()).max()) + 0.01
    cone = turns.beyond * tallest * (sid + radius_mm + moved[1]) / sdd
    return float(cone + box_mm + fan * abs(turns.climb_mm_per_rad) + moved[2])


class BackProjector:
    """Adds directions to an image on the device.

    Parameters
    ----------
    device
        Where.
    geometry, turns, fans
        Which rays see a direction.
    places_mm
        ``(Q,)`` float64: signed distances of the places, equally spaced [mm].
    axes_mm
        World coordinates of the voxel centres along y and x [mm].
    box_mm, radius_mm
        Of :func:`ctsim.recon.backprojection.back_project`.
    """

    def __init__(
        self,
        device: Device,
        geometry: Geometry,
        turns: Turns,
        fans: Sequence[Fan],
        places_mm: NDArray[np.float64],
        axes_mm: tuple[NDArray[np.float64], NDArray[np.float64]],
        box_mm: float,
        radius_mm: float,
    ) -> None:
        self._device, self._turns, self._n_fans = device, turns, len(fans)
        self._box_mm, self._radius_mm = box_mm, radius_mm
        self._reach_mm = reach_mm(turns, geometry, box_mm, radius_mm)
        self._first_angle = float(geometry.view_angle_rad[0])
        row_mm = geometry.row_pitch_mm
        table = [(fan.to_axis_mm, turns.climb_mm_per_rad * fan.lead_rad, fan.cell_distance_mm / row_mm) for fan in fans]
        self._ray = device.send(np.stack([np.stack(each, axis=1) for each in table]), np.float32)
        self._bottom = device.send(np.array([fan.bottom_mm / row_mm for fan in fans]), np.float32)
        self._height_mm = np.array([fan.height_mm for fan in fans])
        self._half_turn = device.send(np.repeat(turns.half_turn, len(fans)), np.float32)
        self._fan = device.send(np.tile(np.arange(len(fans)), len(turns.half_turn)), np.int32)
        y, x = axes_mm
        self._y = device.send(y - geometry.isocentre_mm[1])
        self._x = device.send(x - geometry.isocentre_mm[0])
        place = (places_mm[-1] - places_mm[0]) / (len(places_mm) - 1)
        self._places = places_mm[0], 1.0 / place, np.rint(-2.0 * places_mm[0] / place)
        self._sums: Any = None
        self._tables: tuple[Any, ...] = ()
        self._slices: tuple[float, float, int] = 0.0, 1.0, 0

    def prepare(
        self, sums: Any, index: NDArray[np.int64], directions: slice, z_mm: NDArray[np.float64], slices: slice
    ) -> None:
        """What :meth:`add` will add: some directions, in some slices.

        Parameters
        ----------
        sums
            ``(fan, N, R + 2, Q)`` float32 on the device: running sums over rows, from 0, the last twice.
        index
            ``(B, T)``: which of N is turn t of direction b, -1 for none.
        directions
            The B directions among all.
        z_mm
            World z of all slices, equally spaced [mm].
        slices
            Those meant, from a multiple of ``DEPTH`` on.
        """
        n, n_directions = sums.shape[1], index.shape[0]
        turn = np.where(index[..., None] >= 0, index[..., None] + n * np.arange(self._n_fans), -1)
        source_z = self._turns.source_z_mm[directions, :, None] + self._height_mm
        theta = self._first_angle + math.pi / len(self._turns.view) * np.arange(directions.start, directions.stop)
        direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
        lit_first, lit = self._lit(index, self._turns.source_z_mm[directions], z_mm[slices])
        send = self._device.send
        self._sums = sums
        self._tables = (
            send(turn.reshape(n_directions, -1), np.int32), send(source_z.reshape(n_directions, -1), np.float64),
            send(direction), self._half_turn, self._fan, self._ray, self._bottom, send(lit_first, np.int32),
            send(lit, np.int32),
        )  # fmt: skip
        self._slices = float(z_mm[0]), float(z_mm[1] - z_mm[0]) if len(z_mm) > 1 else 1.0, slices.start

    def add(self, lines: slice, image: Any, seen: Any) -> None:
        """Add to lines ``lines`` (along y) of ``image`` and ``seen``, ``(y, x, z)`` on the device."""
        n_y, (n_x, n_z) = lines.stop - lines.start, image.shape[1:]
        first_z, slice_mm, first_slice = self._slices
        n_directions, n_sets = self._tables[0].shape
        patches = math.ceil(n_x / _PATCH[0]) * math.ceil(n_y / _PATCH[1])
        turns = self._turns
        self._device.launch(
            "backproject", "back_project", patches * _PATCH[0] * _PATCH[1] * math.ceil(n_z / DEPTH),
            self._sums, *self._tables, self._x, self._y[lines], *(np.float64(value) for value in self._places),
            np.float64(first_z), np.float64(slice_mm), np.float64(self._box_mm),
            np.float32(FULL_WEIGHT), np.float32(LEAST_WEIGHT if turns.beyond > 1.0 else 0.0),
            np.float32(turns.beyond), np.float64(self._radius_mm),
            np.int32(n_directions), np.int32(n_sets), np.int32(self._sums.shape[2] - 2),
            np.int32(self._sums.shape[3]), np.int32(n_y), np.int32(n_x), np.int32(n_z), np.int32(first_slice),
            image[lines], seen[lines],
        )  # fmt: skip

    def _lit(
        self, index: NDArray[np.int64], source_z_mm: NDArray[np.float64], z_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sets that may reach each ``DEPTH`` slices: where those of each begin, and all of them."""
        found = []
        for k in range(0, len(z_mm), DEPTH):
            some = z_mm[k : k + DEPTH]
            near = (source_z_mm >= some[0] - self._reach_mm) & (source_z_mm <= some[-1] + self._reach_mm)
            turns = np.nonzero((near & (index >= 0)).any(axis=0))[0]
            found.append((turns[:, None] * self._n_fans + np.arange(self._n_fans)).ravel())
        return np.cumsum([0, *(len(each) for each in found)]), np.concatenate([*found, np.zeros(1, np.int64)])
