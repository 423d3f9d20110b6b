"""Projection on the device: what :mod:`ctsim.projection` does on the CPU, all of it, by ``kernels/project.cu``.

A volume is sent once and stays. Of a block of views only where source and cells are is sent; area densities stay on
the device. Planes are read at their own heights, while the CPU groups them (``ctsim.projection.DRIFT_VOXELS``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .. import BackendError
from .device import Device

if TYPE_CHECKING:
    from ...geometry import Geometry
    from ...voxels import BasisInset, BasisVolume

PAD = 3
"""Empty voxels around a volume, as in ``project.cu``."""

SLAB_BYTES = 256 * 2**20
"""Largest part of a volume that is sent at a time [bytes]."""

_MOST_VOXELS = 2**32
_MOST_LANES = 32
_MOST_IDLE = 0.25
_N_WALK, _N_SPAN = 10, 6
_G_CM2_PER_MM = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class DeviceVolume:
    """A lattice of densities on the device.

    Parameters
    ----------
    kind
        "words" (two 16-bit densities), "iodine" (one of 16 bits) or "inset" (one float32 difference).
    channel
        First channel of the area densities that it adds to.
    grid
        Where it is.
    step_g_cm3
        Value of one stored unit [g/cm3].
    padded
        ``(y + 6, x + 6, z + 6)`` device array, empty voxels around it.
    occupied
        ``(y, x)`` uint8 device array: whether a column of voxels along z holds anything.
    """

    kind: str
    channel: int
    grid: Grid
    step_g_cm3: float
    padded: Any
    occupied: Any

    @property
    def n_bytes(self) -> int:
        """Memory that it takes on the device."""
        return int(self.padded.nbytes + self.occupied.nbytes)


def send_body(device: Device, volume: BasisVolume, insets: Sequence[BasisInset]) -> list[DeviceVolume]:
    """A body on the device: words, iodine if there is any, then its insets channel by channel.

    Raises
    ------
    BackendError
        If it does not fit the device's memory or has 2^32 voxels.
    ValueError
        If an inset has not the volume's channels or a lattice is not axis-aligned.
    """
    arrays: list[tuple[str, int, Grid, float, NDArray[Any]]] = [
        ("words", 0, volume.grid, volume.step_g_cm3, volume.words)
    ]
    if volume.iodine is not None:
        arrays.append(("iodine", 2, volume.grid, volume.iodine_step_g_cm3, volume.iodine))
    for inset in insets:
        if inset.delta.shape != (volume.n_channels, *inset.grid.shape):
            raise ValueError(
                f"delta of an inset must have shape {(volume.n_channels, *inset.grid.shape)} (channel, z, y, x), "
                f"got {inset.delta.shape}"
            )
        for channel, delta in enumerate(inset.delta):
            if np.any(delta):
                arrays.append(("inset", channel, inset.grid, 1.0, delta.transpose(1, 2, 0)))
    needed = sum(math.prod(_padded(array.shape)) * array.dtype.itemsize for *_, array in arrays)
    if needed > device.memory_bytes:
        raise BackendError(
            f"backend 'gpu': the twin takes {needed / 2**30:.1f} GiB, more than the {device.memory_bytes / 2**30:.1f} "
            "GiB that this process may hold on the device; give it more, use a coarser twin, or use backend 'cpu'"
        )
    return [_send(device, *array) for array in arrays]


def project(device: Device, body: Sequence[DeviceVolume], geometry: Geometry, views: slice, out: Any) -> None:
    """Overwrite ``out`` with the basis area densities of a block of views, on the current stream.

    Parameters
    ----------
    device, body
        From :func:`send_body`.
    geometry
        Of the whole scan, cells cut into their parts.
    views
        The views asked for, start and stop given.
    out
        ``(channel, view, row, column)`` float32 device array [g/cm2].
    """
    _, n_views, n_rows, n_columns = out.shape
    if n_views * n_rows * n_columns == 0:
        return
    fan = device.send(geometry.fan_angle_rad(), np.float64)
    distance = device.send(geometry.cell_distance_mm(), np.float64)
    height = device.send(geometry.cell_height_mm(), np.float32)
    column_mm, row_mm = geometry.column_pitch_rad * geometry.detector_distance_mm, geometry.row_pitch_mm
    walk = device.empty((n_views, n_columns, _N_WALK), np.float32)
    span = device.empty((n_views, n_columns, _N_SPAN), np.int32)
    n_lanes = lanes(n_rows)
    n_threads = n_views * -(-n_rows // n_lanes) * n_columns * n_lanes
    for volume in body:
        nz, ny, nx = volume.grid.shape
        source = device.send(source_index(volume.grid, geometry, views), np.float64)
        device.launch(
            "project", "walks", n_views * n_columns,
            volume.occupied, np.int32(ny), np.int32(nx), *(np.float64(mm) for mm in volume.grid.spacing_mm),
            source, fan, distance, np.float64(column_mm), np.float64(row_mm),
            np.float64(_G_CM2_PER_MM * volume.step_g_cm3), np.int32(n_views), np.int32(n_columns), walk, span,
        )  # fmt: skip
        device.launch(
            "project", f"project_{volume.kind}", n_threads,
            volume.padded, np.int32(ny), np.int32(nx), np.int32(nz),
            walk, span, source, height, np.float32(row_mm),
            np.int32(n_views), np.int32(n_rows), np.int32(n_columns), np.int32(n_lanes), out[volume.channel :],
        )  # fmt: skip


def lanes(n_rows: int) -> int:
    """Neighbouring threads that share a walk: as many as 32 rows fill without leaving more than a quarter idle."""
    n = _MOST_LANES
    while n > 1 and -(-n_rows // n) * n > (1 + _MOST_IDLE) * n_rows:
        n //= 2
    return n


def source_index(grid: Grid, geometry: Geometry, views: slice) -> NDArray[np.float64]:
    """``(V, 6)``: source as a continuous index (z, y, x), cosine and sine of the view angle, place in the cycle."""
    beta = geometry.view_angle_rad[views]
    source = np.empty((len(beta), 6))
    source[:, :3] = grid.world_to_index(geometry.source_mm(views))
    source[:, 3], source[:, 4] = np.cos(beta), np.sin(beta)
    source[:, 5] = np.arange(views.start, views.stop) % len(geometry.deflection_mm)
    return source


def walk_bytes(n_columns: int) -> int:
    """Memory of the walks of one view [bytes]."""
    return 4 * (_N_WALK + _N_SPAN) * n_columns


def _padded(shape: tuple[int, ...]) -> tuple[int, int, int]:
    y, x, z = (n + 2 * PAD for n in shape)
    return y, x, z


def _send(device: Device, kind: str, channel: int, grid: Grid, step_g_cm3: float, array: NDArray[Any]) -> DeviceVolume:
    """A volume ``(y, x, z)`` on the device, slab by slab."""
    if not grid.is_axis_aligned:
        raise ValueError(f"grid must be axis-aligned to be projected, direction is {grid.direction}")
    n_y, n_x, n_z = array.shape
    if math.prod(_padded(array.shape)) >= _MOST_VOXELS:
        raise BackendError(f"backend 'gpu': a lattice of {array.size} voxels is beyond 2^32; use backend 'cpu'")
    padded = device.cupy.zeros(_padded(array.shape), array.dtype)
    occupied = device.cupy.zeros((n_y, n_x), np.uint8)
    per_slab = max(1, SLAB_BYTES // max(1, n_x * n_z * array.dtype.itemsize))
    for first in range(0, n_y, per_slab):
        slab = device.send(array[first : first + per_slab])
        device.launch(
            "project", f"pad_{kind}", slab.size,
            slab, np.int32(first), np.int32(slab.shape[0]), np.int32(n_x), np.int32(n_z), padded, occupied,
        )  # fmt: skip
    return DeviceVolume(kind, channel, grid, step_g_cm3, padded, occupied)
