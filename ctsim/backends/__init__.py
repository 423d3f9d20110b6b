"""What does the projecting: the CPU (Numba) or a CUDA device (CuPy)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

KNOWN = ("auto", "cpu", "gpu")


class BackendError(RuntimeError):
    """A backend that was asked for and cannot be had; the message says what to do."""


class Backend(Protocol):
    """Something that walks rays; the rest of the chain runs on the CPU."""

    name: str

    def project(
        self,
        volume: NDArray[np.generic],
        spacing: NDArray[np.float64],
        source: NDArray[np.float64],
        column: NDArray[np.float64],
        row: NDArray[np.float32],
        cell: NDArray[np.float64],
        distance: NDArray[np.float64],
        drift: float,
        unit: float,
        out: NDArray[np.float32],
    ) -> None:
        """Add line integrals to ``out``; arguments as in :mod:`ctsim.kernels.project`."""
        ...


def choose(backend: str) -> str:
    """Name of the backend that will work, "cpu" or "gpu".

    Parameters
    ----------
    backend
        "auto", "cpu" or "gpu". "auto" is the CPU until the GPU projector has been measured on a device.

    Raises
    ------
    ValueError
        If the name is unknown.
    BackendError
        If "gpu" is asked for and cannot be had; the message says what to do.

    Examples
    --------
    >>> choose("auto")
    'cpu'
    """
    if backend not in KNOWN:
        raise ValueError(f"backend must be one of {', '.join(KNOWN)}, got {backend!r}")
    if backend == "gpu" and find_spec("cupy") is None:
        raise BackendError(
            "backend 'gpu' needs CuPy: pip install 'lungtwin[gpu12]' (CUDA 12) or 'lungtwin[gpu13]' (CUDA 13); "
            "or use backend 'cpu'"
        )
    return load(backend).name if backend == "gpu" else "cpu"


def load(backend: str) -> Backend:
    """The backend of that name, ready to work.

    Raises
    ------
    ValueError, BackendError
        As :func:`choose`.
    """
    if backend == "gpu":
        from .gpu import Gpu

        return Gpu()
    choose(backend)
    from .cpu import Cpu

    return Cpu()
