"""A CUDA device, through CuPy: what of the chain runs on it. Nothing else of the package imports CuPy.

On the device: projection of body and insets, couch, tables, averaging of transmissions; scatter added, crosstalk,
counting, afterglow, electronics; scatter subtracted, starvation filter, logarithm, water correction; rebinning,
filter, back projection (:mod:`.reconstruction`). On the CPU: packing of the twin, topogram, both estimates of scatter
(from the moments, from the readings) on their coarse nodes, correction for bone, iterative mode, Hounsfield scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import NodeValues, ReadingSteps
from . import detection
from .device import Device
from .exposing import expose
from .projection import send_body

if TYPE_CHECKING:
    from ...correction import WaterCorrection
    from ...exposure import Exposure
    from ...illumination import Illumination
    from ...scatter.nodes import Nodes
    from ...voxels import BasisInset, BasisVolume


class Gpu:
    """A CUDA device.

    Parameters
    ----------
    memory_bytes
        What this process may hold on the device; None: nine tenths of what is free now.

    Raises
    ------
    BackendError
        If CuPy is not installed, or there is no usable device; the message says what to do.
    """

    name = "gpu"

    def __init__(self, memory_bytes: int | None = None) -> None:
        self.on = Device(memory_bytes)
        self.device = self.on.name

    def expose(
        self,
        light: Illumination,
        volume: BasisVolume,
        insets: Sequence[BasisInset],
        signal: NDArray[np.float32],
        mean_energy: NDArray[np.uint16],
        *,
        block_bytes: int,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Overwrite the moments of a scan, see :class:`ctsim.backends.Backend`.

        Raises
        ------
        BackendError
            If the body does not fit the device's memory.
        """
        from ...signal import MEAN_ENERGY_STEP_KEV

        body = send_body(self.on, volume, insets)
        expose(
            self.on,
            light,
            body,
            signal,
            mean_energy,
            energy_step_kev=MEAN_ENERGY_STEP_KEV,
            block_bytes=block_bytes,
            progress=progress,
        )

    def read_out(
        self,
        exposure: Exposure,
        mas: NDArray[np.float64],
        detector: ReadingSteps,
        key: tuple[np.uint32, np.uint32] | None,
        signal: Any,
        *,
        block_bytes: int,
    ) -> None:
        """Overwrite ``signal``, of the host or on the device, with what the detector reads.

        See :func:`ctsim.backends.gpu.detection.read_out`.
        """
        from ...signal import MEAN_ENERGY_STEP_KEV

        detection.read_out(
            self.on,
            exposure.signal_kev_per_mas,
            exposure.mean_energy,
            MEAN_ENERGY_STEP_KEV,
            None if exposure.scatter is None else NodeValues.of_field(exposure.scatter),
            mas,
            detector,
            key,
            signal,
            block_bytes=block_bytes,
        )

    def room_for(self, shape: tuple[int, int, int]) -> Any:
        """Memory for readings on the device, float32; None where it would take more than half of what may be held."""
        if 2 * 4 * math.prod(shape) > self.on.memory_bytes:
            return None
        return self.on.empty(shape)

    def on_host(self, readings: Any) -> NDArray[np.float32]:
        """Readings of the host themselves; of those on the device new memory of their shape, not their values."""
        return np.empty(readings.shape, np.float32) if self.on.has(readings) else readings

    def pooled(self, readings: Any, nodes: Nodes) -> NDArray[np.float64]:
        """Means over the nodes of readings of the host or on the device, ``(v, r, c)``."""
        return detection.pooled(self.on, readings, nodes) if self.on.has(readings) else nodes.pool_views(readings)

    def correct(
        self,
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
        """Overwrite ``out`` with line integrals, see :func:`ctsim.backends.gpu.detection.correct`."""
        detection.correct(
            self.on, signal, out, scatter, starved, water, air_kev_per_mas, mas, floor_kev, block_bytes=block_bytes
        )
