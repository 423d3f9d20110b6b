"""The projector on a CUDA device, through CuPy.

One kernel so far: :func:`Gpu.project` stands in for :func:`ctsim.kernels.project.project` with the same arguments.
Everything else of the chain runs on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import Device

_MOST_RESIDENT = 2


class Gpu:
    """A CUDA device with the projector compiled for it.

    Raises
    ------
    BackendError
        If CuPy is not installed, or there is no usable device; the message says what to do.
    """

    name = "gpu"

    def __init__(self) -> None:
        self._device = Device()
        self._resident: dict[int, tuple[NDArray[np.generic], Any]] = {}

    @property
    def device(self) -> str:
        """Name of the device in use."""
        return self._device.name

    def project(
        self,
        volume: NDArray[np.generic],
        spacing: NDArray[np.float64],
        source: NDArray[np.float64],
        column: NDArray[np.float64],
        row: NDArray[np.float32],
        cell: NDArray[np.float64],
        distance: NDArray[np.float64],
        drift: float,  # noqa: ARG002 - same arguments as the Numba kernel
        unit: float,
        out: NDArray[np.float32],
    ) -> None:
        """Add the line integrals of ``volume`` to ``out``; arguments as in :mod:`ctsim.kernels.project`.

        ``drift`` has no effect here: every plane is read at its own height. The last two volumes stay on the device
        (densities and iodine of one twin).
        """
        cp = self._device.cupy
        n_y, n_x, n_z = volume.shape
        n_out, n_views, n_rows, n_columns = out.shape
        result = cp.zeros((2, n_views, n_rows, n_columns), cp.float32)
        n = n_views * n_rows * n_columns
        self._device.launch(
            "project", "project", n,
            self._words(volume), np.int32(n_y), np.int32(n_x), np.int32(n_z),
            *(np.float64(s) for s in spacing),
            cp.asarray(source), cp.asarray(column), cp.asarray(row),
            np.float64(cell[0]), np.float64(cell[1]), cp.asarray(distance), np.float64(unit),
            result, np.int32(n_views), np.int32(n_rows), np.int32(n_columns),
        )  # fmt: skip
        out += result[:n_out].get()

    def _words(self, volume: NDArray[np.generic]) -> Any:
        """The volume on the device as 32-bit words (16-bit volumes get an empty high half)."""
        place = volume.ctypes.data
        if place not in self._resident:
            if volume.dtype.itemsize not in (2, 4) or volume.dtype.kind not in "iu":
                raise TypeError(f"volume must hold 16- or 32-bit integers, got {volume.dtype}")
            words = volume.astype(np.uint32) if volume.dtype.itemsize == 2 else volume.view(np.uint32)
            while len(self._resident) >= _MOST_RESIDENT:
                del self._resident[next(iter(self._resident))]
            # the host array is kept too, so that its address stays its own
            self._resident[place] = (volume, self._device.cupy.asarray(np.ascontiguousarray(words)))
        return self._resident[place][1]
