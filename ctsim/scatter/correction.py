"""Scatter correction as scanners do it: an estimate from the measured signal itself, subtracted.

The scanner's estimator is simpler than what makes the scatter (:mod:`ctsim.scatter.estimate`): one kernel, fewer views,
and it does not know where in depth the body lies. It is calibrated for the acquisition with centred water cylinders
(:mod:`ctsim.scatter.calibration`) and knows nothing else of the body than its shadow. The primary P that it needs is
what is left of the measured signal T after its own estimate S, in a few rounds:

    P_0 = T,    P_k+1 = T / (1 + S(P_k) / P_k)

(low-passed to the nodes; S grows about as the root of P, so that each round shrinks the error more than twofold however
much scatter there is). What is subtracted is at most ``MOST`` of the local mean signal, so that noise and starved
readings do not run away. Subtraction takes the scatter's mean away and leaves its noise.

Residual of centred water of 200 to 400 mm, noise-free: ``docs/accuracy.md``, ``tests/ctsim/test_scatter_hu.py``. Bodies
that are no centred water cylinders keep an error: the factors are those of a detector node, and the shadow of another
body falls elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels import scatter as kernel
from ..protocol import Acquisition
from ..scanner import Scanner
from ..signal import Beam
from .calibration import calibrate, estimator_nodes
from .estimate import LARGEST_P
from .nodes import Nodes

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
    beam: Beam,
) -> None:
    """Subtract the scanner's own estimate of scatter, in place: see :func:`estimated_scatter`.

    ``signal_kev`` is overwritten.
    """
    if signal_kev.shape != geometry.shape:
        raise ValueError(f"signal_kev must have the geometry's shape {geometry.shape}, got {signal_kev.shape}")

    def pool(nodes: Nodes) -> NDArray[np.float64]:
        return nodes.pool_views(signal_kev)

    share, nodes = estimated_scatter(pool, mas, air_kev_per_mas, geometry, scanner, acquisition, beam)
    mas = np.asarray(mas, dtype=np.float64)
    kernel.subtract(share, nodes.view.astype(np.float64), nodes.row, nodes.column, mas, signal_kev)


def estimated_scatter(
    pool: Callable[[Nodes], NDArray[np.float64]],
    mas: NDArray[np.float64],
    air_kev_per_mas: NDArray[np.float64],
    geometry: Geometry,
    scanner: Scanner,
    acquisition: Acquisition,
    beam: Beam,
) -> tuple[NDArray[np.float64], Nodes]:
    """The scanner's own estimate of scatter on its nodes.

    Parameters
    ----------
    pool
        Says the means over nodes of the measured energy, primary and scatter, offset subtracted
        (:meth:`ctsim.scatter.nodes.Nodes.pool_views` of the readings) [keV].
    mas
        ``(V,)``: mAs per rotation of every view.
    air_kev_per_mas
        ``(R, C)``: air calibration [keV per mAs].
    geometry, scanner, acquisition
        Of the scan.
    beam
        What reaches its readings without a body (:func:`ctsim.signal.beam_of`); the calibration phantoms stand in it.

    Returns
    -------
    tuple
        ``(v, r, c)`` float64: scatter per mAs at the nodes [keV], and the nodes.

    Raises
    ------
    ValueError
        If shapes do not fit each other or a view has no mAs.
    """
    n_views = geometry.shape[0]
    if air_kev_per_mas.shape != geometry.shape[1:]:
        raise ValueError(f"air_kev_per_mas must have shape {geometry.shape[1:]}, got {air_kev_per_mas.shape}")
    mas = np.asarray(mas, dtype=np.float64)
    if mas.shape != (n_views,) or not np.all(mas > 0):
        raise ValueError(f"mas must be {n_views} positive numbers, got shape {mas.shape} from {mas.min(initial=0)}")
    estimator = calibrate(geometry, scanner, acquisition, beam)
    nodes = estimator_nodes(geometry)
    air = nodes.pool(air_kev_per_mas)
    total = pool(nodes) / mas[nodes.view, None, None]
    total = np.maximum(total, air * np.exp(-LARGEST_P))
    primary = total
    for _ in range(ROUNDS):
        scatter = estimator.scatter(air, -np.log(primary / air))
        primary = total / (1.0 + scatter / primary)
    return np.minimum(total - primary, MOST * total), nodes
