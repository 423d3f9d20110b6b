"""Scatter of a whole scan on coarse nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..kernels import scatter as kernel


@dataclass(frozen=True, slots=True, eq=False)
class ScatterField:
    """Mean absorbed energy of scattered photons, behind the grid.

    Parameters
    ----------
    node_signal_kev_per_mas
        ``(v, r, c)`` float64: M1 of one reading at the nodes [keV per mAs per rotation].
    node_mean_energy_kev
        ``(v, r, c)`` float64: M2 / M1 [keV].
    view, row, column
        float64, growing: view, row and column numbers of the nodes.
    shape
        ``(views, rows, columns)`` of the scan.

    Raises
    ------
    ValueError
        If shapes do not fit each other.
    """

    node_signal_kev_per_mas: NDArray[np.float64]
    node_mean_energy_kev: NDArray[np.float64]
    view: NDArray[np.float64]
    row: NDArray[np.float64]
    column: NDArray[np.float64]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        nodes = (len(self.view), len(self.row), len(self.column))
        if self.node_signal_kev_per_mas.shape != nodes or self.node_mean_energy_kev.shape != nodes:
            raise ValueError(
                f"node arrays must have shape {nodes} (views, rows, columns), got "
                f"{self.node_signal_kev_per_mas.shape} and {self.node_mean_energy_kev.shape}"
            )

    def block(self, first: int, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signal [keV per mAs] and mean energy [keV] of views ``first`` to ``first + n``, each ``(n, R, C)``.

        Linear between nodes and half a node beyond the outer ones.

        Raises
        ------
        ValueError
            If the scan has not these views.
        """
        if not 0 <= first <= first + n <= self.shape[0]:
            raise ValueError(f"views {first} to {first + n} are not among the {self.shape[0]} of the scan")
        return self._full(self.node_signal_kev_per_mas, first, n), self._full(self.node_mean_energy_kev, first, n)

    def _full(self, values: NDArray[np.float64], first: int, n: int) -> NDArray[np.float32]:
        out = np.empty((n, *self.shape[1:]), np.float32)
        kernel.interpolate(values, self.view, self.row, self.column, first, out)
        return out
