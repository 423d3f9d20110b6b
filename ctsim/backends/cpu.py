"""The CPU backend: a block of views projected and turned into noise-free moments, with Numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..projection import project

if TYPE_CHECKING:
    from ..geometry import Geometry
    from ..signal import SignalTable
    from ..voxels import BasisInset, BasisVolume


def expose_views(
    volume: BasisVolume,
    insets: Sequence[BasisInset],
    geometry: Geometry,
    table: SignalTable,
    first_view: int,
    path: NDArray[np.float32],
    signal_kev: NDArray[np.float32],
    mean_energy: NDArray[np.uint16],
) -> None:
    """Overwrite moments of the views ``first_view`` to ``first_view + len(signal_kev)``.

    Parameters
    ----------
    volume, insets, geometry, table
        What is scanned, from where, and how area densities become signal.
    first_view
        First view of the block.
    path
        ``(channel, view, row, column)`` float32, room for the area densities, overwritten [g/cm2].
    signal_kev
        ``(view, row, column)`` float32, overwritten [keV per mAs per rotation].
    mean_energy
        ``(view, row, column)`` uint16, overwritten [``ctsim.signal.MEAN_ENERGY_STEP_KEV``].
    """
    project(volume, insets, geometry, first_view, path)
    table.transmit(path, signal_kev, mean_energy)
