"""The CPU backend: Numba kernels, on all threads that Numba has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..illumination import Illumination, add_moments
from ..signal import mean_energy_units
from ..voxels import BasisInset, BasisVolume


class Cpu:
    """Works with the kernels of :mod:`ctsim.kernels`."""

    name = "cpu"
    device = "cpu"

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
        """Overwrite the moments of a scan, see :class:`ctsim.backends.Backend`."""
        n_views = len(signal)
        per_block = min(n_views, light.views_per_block(volume.n_channels, block_bytes))
        n_paths = len(light.rays) * volume.n_channels * per_block
        buffer = np.empty(n_paths * math.prod(light.rays[0].shape[1:]), np.float32)
        second = np.empty((per_block, *signal.shape[1:]), np.float32)
        for first in range(0, n_views, per_block):
            block = slice(first, min(first + per_block, n_views))
            n = block.stop - first
            signal[block], second[:n] = 0.0, 0.0
            add_moments(light, volume, insets, block, signal[block], second[:n], buffer=buffer)
            mean_energy_units(signal[block], second[:n], mean_energy[block])
            if progress is not None:
                progress(block.stop / n_views)
