"""What a scan is worked out on: the CPU (Numba) or a CUDA device (CuPy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..illumination import Illumination
    from ..scatter.field import ScatterField
    from ..scatter.nodes import Nodes
    from ..voxels import BasisInset, BasisVolume

KNOWN = ("auto", "cpu", "gpu")


class BackendError(RuntimeError):
    """A backend that was asked for and cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeValues:
    """Values on coarse nodes of a scan.

    Parameters
    ----------
    values
        ``(n, v, r, c)`` float64: n quantities at the nodes.
    view, row, column
        float64, growing: where the nodes are, in readings.
    """

    values: NDArray[np.float64]
    view: NDArray[np.float64]
    row: NDArray[np.float64]
    column: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64], nodes: Nodes) -> NodeValues:
        """One quantity on the nodes of a scan."""
        return cls(values[None], nodes.view.astype(np.float64), nodes.row, nodes.column)

    @classmethod
    def of_field(cls, field: ScatterField) -> NodeValues:
        """Signal [keV per mAs] and mean energy [keV] of a scatter field."""
        values = np.stack([field.node_signal_kev_per_mas, field.node_mean_energy_kev])
        return cls(values, field.view, field.row, field.column)


@dataclass(frozen=True, slots=True, eq=False)
class ReadingSteps:
    """What readings go through, in numbers of simulated cells; see :mod:`ctsim.readout`.

    Parameters
    ----------
    xray_shares, optical_shares
        Crosstalk to each neighbour along columns and rows [1].
    afterglow_fraction, afterglow_views
        ``(K,)`` float64: parts of the light, and their time constants [1], [views].
    gain
        ``(rows, columns)`` float32: what calibration leaves [1].
    noise_kev
        Standard deviation of the electronic noise [keV].
    limit_kev, step_kev
        Saturation (infinity: none) and step of the converter (0: none) [keV].
    """

    xray_shares: tuple[float, float]
    optical_shares: tuple[float, float]
    afterglow_fraction: NDArray[np.float64]
    afterglow_views: NDArray[np.float64]
    gain: NDArray[np.float32]
    noise_kev: float
    limit_kev: float
    step_kev: float


class Backend(Protocol):
    """What works out a scan: a name for the kind, and that of the device."""

    name: str
    device: str

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
        """Overwrite the noise-free moments of a scan.

        Parameters
        ----------
        light
            Which readings, and what lights them.
        volume, insets
            The body in their way.
        signal
            ``(view, row, column)`` float32: M1 [keV per mAs].
        mean_energy
            ``(view, row, column)`` uint16: M2 / M1 in steps of ``ctsim.signal.MEAN_ENERGY_STEP_KEV`` [keV].
        block_bytes
            Most memory that a block of views may take (one view at least); results do not depend on it [bytes].
        progress
            Called with the fraction done, 0 to 1.
        """
        ...


def choose(backend: str) -> str:
    """Name of the backend that will work, "cpu" or "gpu".

    Parameters
    ----------
    backend
        "auto", "cpu" or "gpu". "auto" is the CPU until the GPU has been measured against it.

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
