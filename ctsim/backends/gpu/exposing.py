"""Noise-free moments on the device: projection, couch, tables and averaging, by ``project.cu`` and ``transmit.cu``.

Nothing but the finished moments leaves the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import BackendError
from .blocks import N_STREAMS, in_blocks
from .device import Device
from .projection import DeviceVolume, project, walk_bytes

if TYPE_CHECKING:
    from ...geometry import Geometry
    from ...illumination import Illumination


class Exposing:
    """What a scan's readings are worked out from, on the device.

    Parameters
    ----------
    device
        Where.
    light
        Which readings, and what lights them (:class:`ctsim.illumination.Illumination`).
    body
        What is in their way (:func:`ctsim.backends.gpu.projection.send_body`).
    """

    def __init__(self, device: Device, light: Illumination, body: Sequence[DeviceVolume]) -> None:
        table, beam = light.table, light.table.beam
        self._device, self._light, self._body = device, light, body
        self.n_channels = 3 if table.log_loss.shape[2] > 1 else 2
        nodes = np.stack([table.log_loss, table.mean_energy_kev], axis=-1, dtype=np.float32)
        self._shape = table.log_loss.shape[: self.n_channels]
        self._per_step = [np.float32(1.0) / step for step in table.step_g_cm2[: self.n_channels]]
        self._table = device.send(nodes.view(np.complex64))  # two floats a node
        self._air = device.send(beam.path_g_cm2 - table.origin_g_cm2[:, None, None], np.float32)
        self._gain = device.send(beam.gain, np.float64)
        n_rows, n_columns = light.rays[0].shape[1:]
        self._air_loss = device.cupy.zeros((self.n_channels, 1, n_rows, n_columns), np.float32)
        self._look_up(self._air_loss)
        self._couch = None
        if light.couch is not None and light.top_mm is not None:
            from ...couch import cross_section

            section, amount = cross_section(light.couch)
            top_mm = (light.top_mm[0], light.top_mm[1] + light.couch.mattress_mm)
            self._couch = (device.send(section, np.float64), device.send(amount, np.float64), top_mm)

    def add(self, views: slice, path: Any, first: Any, second: Any) -> None:
        """Overwrite ``first`` and ``second`` with the moments of some views, on the current stream.

        Parameters
        ----------
        views
            Start and stop given.
        path
            ``(channel, view, k row, m column)`` float32 device array to work in.
        first, second
            ``(view, row, column)`` float32 device arrays: M1 [keV per mAs], M2 [keV2 per mAs].
        """
        light, table = self._light, self._light.table
        n_views, n_rows, n_columns = path.shape[1:]
        for ray, (moved, weight) in enumerate(zip(light.rays, light.weight, strict=True)):
            project(self._device, self._body, moved, views, path)
            if self._couch is not None:
                self._add_couch(moved, views, path)
            self._look_up(path)
            self._device.launch(
                "transmit", "add_parts", first.size,
                path, self._air_loss, self._gain,
                np.float64(table.origin_kev * float(weight) / (light.parts[0] * light.parts[1])),
                *(np.float32(share) for share in light.slope_share),
                np.int32(n_views), np.int32(n_rows), np.int32(n_columns), *(np.int32(n) for n in light.parts),
                np.int32(ray == 0), first, second,
            )  # fmt: skip

    def _look_up(self, path: Any) -> None:
        _, n_views, n_rows, n_columns = path.shape
        self._device.launch(
            "transmit", "look_up" if self.n_channels == 2 else "look_up_iodine", n_views * n_rows * n_columns,
            path, self._air, self._table, *(np.int32(n) for n in self._shape), *self._per_step,
            np.int32(n_views), np.int32(n_rows), np.int32(n_columns), *(np.int32(n) for n in self._light.parts),
        )  # fmt: skip

    def _add_couch(self, geometry: Geometry, views: slice, path: Any) -> None:
        assert self._couch is not None
        section, amount, top_mm = self._couch
        device, n_places = self._device, len(geometry.deflection_mm)
        _, n_views, n_rows, n_columns = path.shape
        source = np.empty((n_views, 4))
        source[:, :2] = geometry.source_mm(views)[:, :2] - top_mm
        source[:, 2] = geometry.view_angle_rad[views]
        source[:, 3] = np.arange(views.start, views.stop) % n_places
        distance = device.send(geometry.cell_distance_mm(), np.float64)
        in_plane = device.empty((2, n_views, n_columns), np.float32)
        device.launch(
            "transmit", "couch", n_views * n_columns,
            device.send(source), device.send(geometry.fan_angle_rad(), np.float64), distance, section, amount,
            np.int32(n_views), np.int32(n_columns), in_plane,
        )  # fmt: skip
        device.launch(
            "transmit", "add_in_plane", n_views * n_rows * n_columns,
            in_plane, device.send(geometry.cell_height_mm(), np.float64), distance,
            np.int32(views.start % n_places), np.int32(n_places),
            np.int32(n_views), np.int32(n_rows), np.int32(n_columns), path,
        )  # fmt: skip


def expose(
    device: Device,
    light: Illumination,
    body: Sequence[DeviceVolume],
    signal: NDArray[np.float32],
    mean_energy: NDArray[np.uint16],
    *,
    energy_step_kev: float,
    block_bytes: int,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Overwrite the host's ``signal`` and ``mean_energy`` with the moments of all views.

    Parameters
    ----------
    device, light, body
        As :class:`Exposing`.
    signal
        ``(view, row, column)`` float32: M1 [keV per mAs].
    mean_energy
        ``(view, row, column)`` uint16: M2 / M1 in steps of ``energy_step_kev`` [keV].
    block_bytes
        Most device memory that a block of views may take (one view at least); results do not depend on it [bytes].
    progress
        Called with the fraction done, 0 to 1.

    Raises
    ------
    BackendError
        If beside the body there is no room on the device for a view on each stream.
    """
    exposing = Exposing(device, light, body)
    n_views, n_rows, n_columns = signal.shape
    _, part_rows, part_columns = light.rays[0].shape
    readings = n_rows * n_columns
    n = exposing.n_channels
    per_view = 4 * n * part_rows * part_columns + walk_bytes(part_columns) + 8 * part_columns + 10 * readings
    room = (device.memory_bytes - sum(volume.n_bytes for volume in body)) // N_STREAMS
    if room < per_view:
        raise BackendError(
            f"backend 'gpu': beside the twin there is no room for {N_STREAMS} views of {per_view / 2**20:.0f} MiB in "
            f"the {device.memory_bytes / 2**30:.1f} GiB that this process may hold on the device; give it more, use a "
            "coarser twin, or use backend 'cpu'"
        )
    per_block = max(1, min(n_views, block_bytes // per_view, room // per_view))

    def prepare(n_block: int) -> _Buffers:
        shape = (n_block, n_rows, n_columns)
        return _Buffers(
            device.empty((n * n_block * part_rows * part_columns,)),
            device.empty(shape),
            device.empty(shape),
            device.empty(shape, np.uint16),
            device.pinned(shape),
            device.pinned(shape, np.uint16),
        )

    def queue(views: slice, b: _Buffers) -> None:
        some = views.stop - views.start
        path = b.path[: n * some * part_rows * part_columns].reshape(n, some, part_rows, part_columns)
        exposing.add(views, path, b.first[:some], b.second[:some])
        device.launch(
            "transmit", "mean_energies", some * readings,
            b.first, b.second, np.float32(1.0 / energy_step_kev), np.int64(some * readings), b.units,
        )  # fmt: skip
        b.first[:some].get(out=b.first_host[:some], blocking=False)
        b.units[:some].get(out=b.units_host[:some], blocking=False)

    def collect(views: slice, b: _Buffers) -> None:
        signal[views] = b.first_host[: views.stop - views.start]
        mean_energy[views] = b.units_host[: views.stop - views.start]

    in_blocks(device, n_views, per_block, prepare, queue, collect, progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Buffers:
    """Of one stream: area densities, moments, and pinned copies of what is kept."""

    path: Any
    first: Any
    second: Any
    units: Any
    first_host: NDArray[np.float32]
    units_host: NDArray[np.uint16]
