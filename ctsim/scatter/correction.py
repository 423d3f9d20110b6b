"""Scatter correction as scanners do it: an estimate from the measured signal itself, subtracted.

The scanner's estimator is simpler than what makes the scatter (:mod:`ctsim.scatter.estimate`): one kernel, calibrated
with centred water cylinders only, fewer views and nodes, and it does not know where in depth the body lies. The primary
that it needs is what is left of the measured signal after its own estimate, in a few rounds:

    P_0 = T,    S_k = model(P_k),    P_k+1 = max(T - S_k, T / 20)

(T total, low-passed to the nodes). What is subtracted is at most ``MOST`` of the local mean signal, so that noise and
starved readings do not run away. Subtraction takes the scatter's mean away and leaves its noise.

Residual on the central ray, as HU of uniform water of 20 to 40 cm (analytic, monoenergetic, noise-free; not
reconstructed): at most 1.3 HU with a beam of 38 mm; with 160 mm at most 2.9 HU, but -4.5 HU (outer rows -5.9) at
80 kV and 40 cm, where scatter is 0.9 of the primary. On reconstructed images of narrower beams, 20 to 40 cm at 120 kV,
``lungtwin qa`` finds 0.4 to 1.9 HU by scanner (``docs/accuracy.md``). Symmetric pairs of kernels left up to 4.2 HU.
Given the form of the model that makes the scatter, a calibration recovers that model itself and leaves 0.4 HU, which
says nothing about a scanner: the correction has therefore one kernel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels import scatter as kernel
from ..protocol import Acquisition
from ..scanner import Scanner
from .estimate import LARGEST_P, grid_factor
from .model import beam_energy_kev, scanner_model
from .nodes import nodes_of

VIEW_NODES = 36
COLUMN_NODES = 32
ROW_NODES = 5
ROUNDS = 6
MOST = 0.95
"""Largest part of the local mean signal that is taken for scatter [1] (design default)."""


def correct_scatter(
    signal_kev: NDArray[np.float32],
    mas: NDArray[np.float64],
    air_kev_per_mas: NDArray[np.float64],
    geometry: Geometry,
    scanner: Scanner,
    acquisition: Acquisition,
) -> None:
    """Subtract the scanner's own estimate of scatter, in place.

    Parameters
    ----------
    signal_kev
        ``(V, R, C)`` float32: measured energy, primary and scatter, offset subtracted; overwritten [keV].
    mas
        ``(V,)``: mAs per rotation of every view.
    air_kev_per_mas
        ``(R, C)``: air calibration [keV per mAs].
    geometry, scanner, acquisition
        Of the scan.

    Raises
    ------
    ValueError
        If shapes do not fit each other or a view has no mAs.
    """
    n_views = geometry.shape[0]
    if signal_kev.shape != geometry.shape or air_kev_per_mas.shape != geometry.shape[1:]:
        raise ValueError(
            f"signal and air must have the geometry's shape {geometry.shape}, "
            f"got {signal_kev.shape} and {air_kev_per_mas.shape}"
        )
    mas = np.asarray(mas, dtype=np.float64)
    if mas.shape != (n_views,) or not np.all(mas > 0):
        raise ValueError(f"mas must be {n_views} positive numbers, got shape {mas.shape} from {mas.min(initial=0)}")
    nodes = nodes_of(geometry, views_per_rotation=VIEW_NODES, columns=COLUMN_NODES, most_rows=ROW_NODES)
    air = nodes.pool(air_kev_per_mas)
    total = nodes.pool_views(signal_kev) / mas[nodes.view, None, None]
    total = np.maximum(total, air * np.exp(-LARGEST_P))
    energy, factor, model = beam_energy_kev(scanner, acquisition), grid_factor(scanner), scanner_model()
    scatter = np.zeros_like(total)
    for _ in range(ROUNDS):
        primary = np.maximum(total - scatter, total / 20)
        scatter = factor * model.scatter(nodes.cells, air, -np.log(primary / air), energy)
    share = np.minimum(scatter, MOST * total)
    kernel.subtract(share, nodes.view.astype(np.float64), nodes.row, nodes.column, mas, signal_kev)
