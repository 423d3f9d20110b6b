"""From readings to filtered, cumulated parallel projections on a CUDA device: rebin, extend, filter, add up over rows.

Readings reach the device in the order of their views, through two page-locked buffers on a stream of their own, while
those that are there are resampled. Definitions are those of :mod:`ctsim.kernels.rebin`, :mod:`ctsim.recon.truncation`
and :mod:`ctsim.recon.filtering`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...recon.parallel import Fan
from ...recon.truncation import _SLOPE_MM, _VALUE_MM, LEAST_WATER_MM
from .device import Device

UPLOAD_BYTES = 32 * 2**20
"""Size of each of the two buffers through which readings reach the device (design default)."""

BATCH_BYTES = 64 * 2**20
"""Rows that are filtered together; with their spectra they pass through the second-level cache (design default)."""


@dataclass(frozen=True, slots=True, eq=False)
class Jobs:
    """Parallel projections to make, in the order in which the views that they need are all there.

    Parameters
    ----------
    first
        ``(N,)`` int64: direction, counted like a state's views from ``origin``.
    origin
        ``(N,)`` int64: first view of the rotation.
    start, stop
        ``(N,)`` int64: the views needed are start, ..., stop - 1.
    """

    first: NDArray[np.int64]
    origin: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @property
    def views(self) -> tuple[int, int]:
        """First of the views that any of them needs, and the one after the last."""
        return (int(self.start.min()), int(self.stop.max())) if len(self.start) else (0, 0)

    def take(self, index: NDArray[np.int64]) -> Jobs:
        """Some of them."""
        return Jobs(self.first[index], self.origin[index], self.start[index], self.stop[index])


def plan_jobs(
    first: NDArray[np.int64], origin: NDArray[np.int64], period: int, n_states: int, n_views: int, fans: Sequence[Fan]
) -> Jobs:
    """Views that projections need: a whole rotation at rest (``period`` views of each state), or some of a helix."""
    if period > 0:
        return Jobs(first, origin, origin, origin + period * n_states)
    lowest = min(math.floor(fan.shift.min()) for fan in fans) - 1
    highest = max(math.floor(fan.shift.max()) for fan in fans) + 2
    start = np.clip(origin + (first + lowest) * n_states, 0, n_views - n_states)
    stop = np.clip(origin + (first + highest + 1) * n_states, n_states, n_views)
    return Jobs(first, origin, start, stop)


class Upload:
    """Views start, ..., stop - 1 of a scan on their way to the device.

    Parameters
    ----------
    device
        Where to.
    readings
        ``(view, row, column)`` float32, of the whole scan.
    start, stop
        Views wanted.
    """

    def __init__(self, device: Device, readings: NDArray[np.float32], start: int, stop: int) -> None:
        self.start, self._stop, self._readings = start, stop, readings
        self.array = device.empty((stop - start, *readings.shape[1:]))
        self._arrived = start
        self._compute = device.cupy.cuda.get_current_stream()
        self._copy = device.stream()
        self._copy.wait_event(self._compute.record())  # the memory may have been another array's until now
        self._views = max(1, UPLOAD_BYTES // (4 * math.prod(readings.shape[1:])))
        size = max(1, min(self._views, stop - start))
        self._buffers = [device.pinned((size, *readings.shape[1:])) for _ in range(2)]
        self._sent: list[Any] = [None, None]
        self._turn = 0

    def wait_for(self, stop: int) -> None:
        """Make what is launched next on the stream of this object's making wait for all views below ``stop``."""
        last = None
        while self._arrived < stop:
            end = min(self._arrived + self._views, self._stop)
            buffer = self._buffers[self._turn][: end - self._arrived]
            if self._sent[self._turn] is not None:
                self._sent[self._turn].synchronize()
            buffer[:] = self._readings[self._arrived : end]
            self.array[self._arrived - self.start : end - self.start].set(buffer, stream=self._copy)
            last = self._sent[self._turn] = self._copy.record()
            self._arrived, self._turn = end, 1 - self._turn
        if last is not None:
            self._compute.wait_event(last)


class Resampler:
    """Makes running sums over rows of rebinned, filtered projections.

    Parameters
    ----------
    device
        Where.
    fans
        Rays and places of the scan.
    transfer
        Filter of rows of Q + 2 ``n_beyond`` places (:func:`ctsim.recon.filtering.parallel_filter`) [1/mm].
    length
        Places of the padded rows that are filtered.
    place_mm
        Distance of places [mm].
    n_beyond
        Places by which rows are extended at either end.
    water_per_mm
        Attenuation of water [1/mm].
    n_states, period, n_views
        Of the scan, as in :func:`ctsim.kernels.rebin.rebin`.
    batch
        Projections worked together.
    """

    def __init__(
        self,
        device: Device,
        fans: Sequence[Fan],
        transfer: NDArray[np.float32],
        length: int,
        place_mm: float,
        n_beyond: int,
        water_per_mm: float,
        n_states: int,
        period: int,
        n_views: int,
        batch: int,
    ) -> None:
        from cupyx.scipy import fft

        self._device, self._n_beyond, self._length, self._batch = device, n_beyond, length, batch
        self._fft: Any = fft
        self._place_mm, self._water_per_mm = place_mm, water_per_mm
        self._scan = np.int32(period), np.int32(n_states)
        self._n_views = np.int32(n_views)
        self._n_rows, self._n_places = fans[0].row_weight.shape
        self._tables = [self._table(fan) for fan in fans]
        self._rows = device.empty((batch * self._n_rows, length))  # no view of another array: CuPy would copy that
        self._transfer = device.send(transfer / np.float32(length))  # the transform back leaves the sum unscaled
        x = place_mm * np.arange(1, n_beyond + 1)
        self._fall = device.send(0.5 + 0.5 * np.cos(np.pi * x / (place_mm * (n_beyond + 1))))
        self._cylinder = device.empty((batch * self._n_rows, 2, 2) if n_beyond else (1,), np.float64)

    def _table(self, fan: Fan) -> tuple[Any, ...]:
        """Ray, view_weight, tap, tap_weight, row_weight of the kernel."""
        low = np.floor(fan.shift)
        weight = _cubic_weights(fan.shift - low).astype(np.float32)
        ray = np.stack([fan.state, fan.column, low.astype(np.int64)], axis=1)
        send = self._device.send
        return (send(ray, np.int32), send(weight), send(fan.tap, np.int32), send(fan.tap_weight), send(fan.row_weight))

    def __call__(self, readings: Upload, jobs: Jobs, sums: Any) -> None:
        """Overwrite the device's ``sums`` ``(fan, N, R + 2, Q)`` with running sums over rows from 0, the last twice."""
        device, n_all = self._device, len(jobs.first)
        first, origin = device.send(jobs.first, np.int32), device.send(jobs.origin, np.int32)
        n_rows, n_places = np.int32(self._n_rows), np.int32(self._n_places)
        n_beyond, length = np.int32(self._n_beyond), np.int32(self._length)
        for start in range(0, n_all, self._batch):
            stop = min(start + self._batch, n_all)
            n = stop - start
            readings.wait_for(int(jobs.stop[start:stop].max()))
            for j, table in enumerate(self._tables):
                device.launch(
                    "rebin", "rebin", n * self._length,
                    readings.array, np.int32(readings.start), self._n_views, np.int32(readings.array.shape[2]),
                    first[start:stop], origin[start:stop], *self._scan, *table,
                    self._rows, np.int32(n), n_rows, n_places, n_beyond, length,
                )  # fmt: skip
                if self._n_beyond:
                    self._extend(n)
                device.launch(
                    "rebin", "cumulate_rows", n * self._n_places,
                    self._filtered(), sums[j, start:stop], np.int32(n), n_rows, n_places, n_beyond, length,
                )  # fmt: skip

    def _extend(self, n: int) -> None:
        n_slope = min(max(4, math.ceil(_SLOPE_MM / self._place_mm)), self._n_places)
        n_value = min(max(2, math.ceil(_VALUE_MM / self._place_mm)), n_slope)
        shape = (
            np.int32(n * self._n_rows), np.int32(self._n_places), np.int32(self._n_beyond), np.int32(self._length)
        )  # fmt: skip
        place, water = np.float64(self._place_mm), np.float64(self._water_per_mm)
        self._device.launch(
            "extend", "end_cylinders", 2 * n * self._n_rows,
            self._rows, self._cylinder, *shape, np.int32(n_slope), np.int32(n_value), place, water,
            np.float64(LEAST_WATER_MM),
        )  # fmt: skip
        self._device.launch(
            "extend", "extend_ends", 2 * n * self._n_rows * self._n_beyond,
            self._rows, self._cylinder, *shape, np.int32(self._n_beyond), self._fall, place, water,
        )  # fmt: skip

    def _filtered(self) -> Any:
        """All rows filtered; always as many, so that one plan of the transform serves all batches."""
        spectrum = self._fft.rfft(self._rows, axis=-1)
        spectrum *= self._transfer
        return self._fft.irfft(spectrum, self._length, axis=-1, norm="forward", overwrite_x=True)


def _cubic_weights(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' weights (a = -1/2) of the samples at -1, 0, 1, 2 for places at ``share`` in [0, 1], ``(n, 4)``."""
    s = share
    return np.stack(
        [
            ((-0.5 * s + 1.0) * s - 0.5) * s,
            (1.5 * s - 2.5) * s * s + 1.0,
            ((-1.5 * s + 2.0) * s + 0.5) * s,
            (0.5 * s - 0.5) * s * s,
        ],
        axis=1,
    )
