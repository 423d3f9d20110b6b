"""Readout and correction on the device, by ``detect.cu``: the steps of :mod:`ctsim.readout`, :mod:`ctsim.correction`.

Estimates of scatter are made on the CPU and come as values on coarse nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import BackendError, NodeValues, ReadingSteps
from .blocks import in_blocks
from .device import Device

if TYPE_CHECKING:
    from ...correction import WaterCorrection
    from ...scatter.nodes import Nodes

MOST_PARTS = 4
"""Components of afterglow, as in ``detect.cu``."""

_BYTES_PER_READING = 4 * 4 + 2
"""Buffers of a stream: two pairs of moments, mean energies [bytes]."""


class _OnNodes:
    """Node values on the device, with the places of readings among them."""

    def __init__(self, device: Device, nodes: NodeValues, shape: tuple[int, int, int]) -> None:
        self._device = device
        self.values = device.send(nodes.values, np.float64)
        self.n_nodes = tuple(np.int32(n) for n in nodes.values.shape[1:])
        axes = (nodes.view, nodes.row, nodes.column)
        self._places = [_places(n, where) for n, where in zip(shape, axes, strict=True)]

    def at(self, views: slice) -> tuple[Any, Any]:
        """Lower nodes and shares of the upper ones: of the views, then rows, then columns."""
        (low_v, share_v), *others = self._places
        low = np.concatenate([low_v[views], *(low for low, _ in others)])
        share = np.concatenate([share_v[views], *(share for _, share in others)])
        return self._device.send(low, np.int32), self._device.send(share, np.float64)


def _places(n: int, nodes: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lower node and share of the upper one for readings 0 to n - 1; linear beyond the ends."""
    where = np.arange(n, dtype=np.float64)
    if len(nodes) == 1:
        return np.zeros(n, np.int64), np.zeros(n)
    low = np.clip(np.searchsorted(nodes, where, side="right") - 1, 0, len(nodes) - 2)
    return low, (where - nodes[low]) / (nodes[low + 1] - nodes[low])


@dataclass(frozen=True, slots=True, eq=False)
class _Buffers:
    """Of one stream: two arrays for each moment, and pinned memory for the readings."""

    mean: Any
    other: Any
    square: Any
    other_square: Any
    host: NDArray[np.float32] | None


def read_out(
    device: Device,
    primary: NDArray[np.float32],
    energy_units: NDArray[np.uint16],
    energy_step_kev: float,
    scatter: NodeValues | None,
    mas: NDArray[np.float64],
    detector: ReadingSteps,
    key: tuple[np.uint32, np.uint32] | None,
    signal: Any,
    *,
    block_bytes: int,
) -> None:
    """Overwrite ``signal`` ``(view, row, column)`` float32, of the host or on the device, with what is read [keV].

    Parameters
    ----------
    device
        Where.
    primary, energy_units, energy_step_kev
        ``(view, row, column)``: M1 of the primary [keV per mAs] and M2 / M1 in steps of ``energy_step_kev`` [keV];
        ``primary`` may be ``signal`` itself.
    scatter
        Scattered signal [keV per mAs] and its mean energy [keV] on nodes; None: none.
    mas
        ``(view,)`` float64 [mAs per rotation].
    detector
        What the readings go through.
    key
        Low and high word of the noise's key; None: mean readings.
    block_bytes
        Most device memory that a block of views may take (one view at least); results do not depend on it [bytes].
    """
    n_views, n_rows, n_columns = primary.shape
    readings = n_rows * n_columns
    stays = device.has(signal)
    sizes = np.int32(n_rows), np.int32(n_columns)
    key_low, key_high = key if key is not None else (np.uint32(0), np.uint32(0))
    gain = device.send(detector.gain, np.float32)
    nodes = None if scatter is None else _OnNodes(device, scatter, primary.shape)
    no_scatter = (*(device.send(np.zeros(1, kind)) for kind in "ddid"), *(np.int32(0),) * 3)
    parts, prompt = _afterglow(detector)
    n_parts = parts.shape[1]
    sent_parts = device.send(parts)
    memory = device.empty((max(1, n_parts), n_rows, n_columns), np.float64)
    before: list[Any] = []  # reached when the memory holds what the block before has left

    def prepare(n: int) -> _Buffers:
        shape = (n, n_rows, n_columns)
        mean, other, square, other_square = (device.empty(shape) for _ in range(4))
        return _Buffers(mean, other, square, other_square, None if stays else device.pinned(shape))

    def mix(given: Any, other: Any, shares: tuple[float, float], n: int) -> tuple[Any, Any]:
        """What is mixed, and the memory that is free then."""
        if not any(share > 0 for share in shares):
            return given, other
        device.launch(
            "detect", "mix", n * readings, given, *(np.float64(share) for share in shares), np.int32(n), *sizes, other
        )
        return other, given

    def queue(views: slice, b: _Buffers) -> None:
        n = views.stop - views.start
        count = np.int32(n)
        scattered = no_scatter
        if nodes is not None:
            scattered = (nodes.values[0], nodes.values[1], *nodes.at(views), *nodes.n_nodes)
        device.launch(
            "detect", "expect", n * readings,
            device.send(primary[views]), device.send(energy_units[views]), np.float64(energy_step_kev),
            *scattered, device.send(mas[views], np.float64), count, *sizes, b.mean, b.square,
        )  # fmt: skip
        mean, free = mix(b.mean, b.other, detector.xray_shares, n)
        if views.start == 0 and n_parts:
            device.launch(
                "detect", "glow_begin", n_parts * readings,
                mean, sent_parts, np.int32(n_parts), np.int32(readings), memory,
            )  # fmt: skip
        if key is not None:
            square, _ = mix(b.square, b.other_square, detector.xray_shares, n)
            device.launch(
                "detect", "count", n * readings,
                mean, square, np.int32(views.start), key_low, key_high, count, *sizes,
            )  # fmt: skip
        if n_parts:
            if before:
                device.cupy.cuda.get_current_stream().wait_event(before.pop())
            device.launch(
                "detect", "glow", readings,
                mean, sent_parts, np.int32(n_parts), np.float64(prompt), count, np.int32(readings), memory,
            )  # fmt: skip
            before.append(device.event())
        mean, _ = mix(mean, free, detector.optical_shares, n)
        device.launch(
            "detect", "electronics", n * readings,
            mean, gain, np.float64(detector.noise_kev if key is not None else 0.0),
            np.float64(detector.limit_kev), np.float64(detector.step_kev if key is not None else 0.0),
            np.int32(views.start), key_low, key_high, count, *sizes, signal[views] if stays else mean,
        )  # fmt: skip
        if b.host is not None:
            mean[:n].get(out=b.host[:n], blocking=False)

    def collect(views: slice, b: _Buffers) -> None:
        if b.host is not None:
            signal[views] = b.host[: views.stop - views.start]

    per_block = max(1, min(n_views, block_bytes // (_BYTES_PER_READING * readings)))
    in_blocks(device, n_views, per_block, prepare, queue, collect)


def correct(
    device: Device,
    signal: Any,
    out: NDArray[np.float32],
    scatter: NodeValues | None,
    starved: tuple[float, float, float, float] | None,
    water: WaterCorrection,
    air_kev_per_mas: NDArray[np.float64],
    mas: NDArray[np.float64],
    floor_kev: float,
    *,
    block_bytes: int,
) -> None:
    """Overwrite the host's ``out`` ``(view, row, column)`` float32 with water-corrected line integrals.

    Parameters
    ----------
    device
        Where.
    signal
        ``(view, row, column)`` float32: readings, dark signal subtracted, of the host (may be ``out``) or on the
        device, where they are used up [keV].
    scatter
        One quantity on nodes to be subtracted [keV per mAs]; None: nothing.
    starved
        Mean energy of a photon [keV], electronic noise [keV], counts wanted and largest half width of the starvation
        filter (:mod:`ctsim.starvation`); None: no filter.
    water
        Polynomials of the cells (:class:`ctsim.correction.WaterCorrection`).
    air_kev_per_mas, mas
        ``(row, column)`` air signal [keV per mAs], ``(view,)`` [mAs per rotation].
    floor_kev
        A signal below counts as that [keV].
    block_bytes
        As :func:`read_out`.
    """
    n_views, n_rows, n_columns = signal.shape
    readings = n_rows * n_columns
    sizes = np.int32(n_rows), np.int32(n_columns)
    nodes = None if scatter is None else _OnNodes(device, scatter, signal.shape)
    air = device.send(air_kev_per_mas, np.float64)
    coefficient, longest = device.send(water.coefficient, np.float64), device.send(water.longest, np.float64)
    order = np.int32(water.coefficient.shape[2])

    def prepare(n: int) -> tuple[Any, NDArray[np.float32]]:
        shape = (n, n_rows, n_columns)
        return device.empty(shape), device.pinned(shape)

    def queue(views: slice, b: tuple[Any, NDArray[np.float32]]) -> None:
        n = views.stop - views.start
        other, host = b
        mean = signal[views] if device.has(signal) else device.send(signal[views])
        sent_mas = device.send(mas[views], np.float64)
        if nodes is not None:
            low, share = nodes.at(views)
            device.launch(
                "detect", "subtract", n * readings,
                mean, nodes.values, low, share, *nodes.n_nodes, sent_mas, np.int32(n), *sizes,
            )  # fmt: skip
        if starved is not None:
            device.launch(
                "detect", "feed_starved", n * readings,
                mean, *(np.float64(number) for number in starved), np.int32(n), *sizes, other,
            )  # fmt: skip
            mean = other
        device.launch(
            "detect", "line_integrals", n * readings,
            mean, air, sent_mas, np.float64(floor_kev), coefficient, order, longest, np.int32(n), np.int32(readings),
        )  # fmt: skip
        mean[:n].get(out=host[:n], blocking=False)

    def collect(views: slice, b: tuple[Any, NDArray[np.float32]]) -> None:
        out[views] = b[1][: views.stop - views.start]

    per_block = max(1, min(n_views, block_bytes // (_BYTES_PER_READING * readings)))
    in_blocks(device, n_views, per_block, prepare, queue, collect)


def pooled(device: Device, signal: Any, nodes: Nodes) -> NDArray[np.float64]:
    """Means of readings on the device ``(view, row, column)`` over the nodes of a scan, ``(v, r, c)``."""
    shape = (len(nodes.view), len(nodes.row_edge) - 1, len(nodes.column_edge) - 1)
    means = device.empty(shape, np.float64)
    device.launch(
        "detect", "pool", means.size,
        signal, *(device.send(places, np.int32) for places in (nodes.view, nodes.row_edge, nodes.column_edge)),
        *(np.int32(n) for n in (*shape, *signal.shape[1:])), means,
    )  # fmt: skip
    host: NDArray[np.float64] = means.get()
    return host


def _afterglow(detector: ReadingSteps) -> tuple[NDArray[np.float64], float]:
    """``(3, K)`` factors of the recursion in :mod:`ctsim.kernels.afterglow`, and the prompt part."""
    fraction, views = detector.afterglow_fraction, detector.afterglow_views
    if len(fraction) > MOST_PARTS:
        raise BackendError(
            f"backend 'gpu' knows {MOST_PARTS} components of afterglow at most, the detector has {len(fraction)}; "
            "use backend 'cpu'"
        )
    keep, fill = np.exp(-1.0 / views), np.exp(-0.5 / views)
    return np.stack([-fraction * np.expm1(-1.0 / views), keep, fill]), 1.0 - math.fsum(fraction * fill)
