"""What water phantoms teach a scanner about scatter: the factors that its estimator is multiplied by.

A scanner is calibrated for each geometry, potential, filter, bowtie, collimation and grid with centred water cylinders
of several sizes. Of such a phantom the primary is known, so what the detector reads beyond it is scatter. Its ratio to
the estimator's answer is kept for every size and node of the detector; for a body of another size it is interpolated
linearly in the area of the body's shadow, ``int p ds``.

The phantoms are scanned here by what makes the scatter of every scan (:func:`ctsim.scatter.estimate_scatter`), noise-
free, in one view each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ..geometry import Geometry
from ..protocol import Acquisition
from ..scanner import Scanner
from ..signal import Beam
from ..voxels import water_per_mm_g_cm2
from .estimate import estimate_scatter, grid_factor
from .model import NodeGeometry, beam_energy_kev, scanner_model
from .nodes import Nodes, nodes_of

VIEW_NODES = 36
COLUMN_NODES = 40
ROW_NODES = 9

PHANTOM_SHARES = np.linspace(0.2, 0.97, 10)
"""Diameters of the phantoms as shares of the field of view's (100 to 485 mm of 500 mm; design default)."""

_PHANTOM_ROWS = 13
"""Rows of a phantom whose primary is computed; those between are interpolated."""

_STEP_MM = 5.0
"""Lengths of water between which the primary is interpolated."""


@dataclass(frozen=True, slots=True, eq=False)
class ScatterEstimator:
    """A scanner's estimator of scatter, calibrated for one acquisition.

    Parameters
    ----------
    cells
        Nodes of the detector.
    beam_kev
        Mean detected energy of the beam [keV].
    grid_factor
        Scatter's transmission through the grid relative to the primary's [1].
    shadow_mm
        ``(n,)`` growing: area of each phantom's shadow, :func:`shadow_mm` [mm].
    factor
        ``(n, r, c)``: scatter of the phantom over the bare estimate [1].
    """

    cells: NodeGeometry
    beam_kev: float
    grid_factor: float
    shadow_mm: NDArray[np.float64]
    factor: NDArray[np.float64]

    def scatter(self, air: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scatter at the nodes, ``(views, r, c)`` in the unit of ``air``.

        Parameters
        ----------
        air
            ``(r, c)`` air signal.
        p
            ``(views, r, c)``: -ln(primary / air). Bodies beyond the sizes calibrated get the nearest size's factors.
        """
        size = shadow_mm(p, self.cells)
        low = np.clip(np.searchsorted(self.shadow_mm, size) - 1, 0, len(self.shadow_mm) - 2)
        share = (size - self.shadow_mm[low]) / (self.shadow_mm[low + 1] - self.shadow_mm[low])
        share = np.clip(share, 0.0, 1.0)[:, None, None]
        factor = (1.0 - share) * self.factor[low] + share * self.factor[low + 1]
        return np.asarray(factor * bare_scatter(self.cells, air, p, self.beam_kev, self.grid_factor))


def bare_scatter(
    cells: NodeGeometry, air: NDArray[np.float64], p: NDArray[np.float64], beam_kev: float, grid: float
) -> NDArray[np.float64]:
    """The scanner's estimate before calibration: one kernel, the body taken to lie about the axis."""
    return grid * scanner_model().scatter(cells, air, p, beam_kev)


def shadow_mm(p: NDArray[np.float64], cells: NodeGeometry) -> NDArray[np.float64]:
    """``int p ds`` over the fan, s the distance of rays from the axis, mean over rows: ``(views,)`` [mm].

    A body's cross-section times its attenuation, whatever its shape, place and the view.
    """
    place = cells.source_distance_mm * np.sin(cells.fan_angle_rad)
    width = np.gradient(place) if len(place) > 1 else np.ones(1)
    return np.asarray((p.mean(axis=1) * width).sum(axis=-1))


def estimator_nodes(geometry: Geometry) -> Nodes:
    """The nodes that the scanner estimates scatter at."""
    return nodes_of(geometry, views_per_rotation=VIEW_NODES, columns=COLUMN_NODES, most_rows=ROW_NODES)


def calibrate(geometry: Geometry, scanner: Scanner, acquisition: Acquisition, beam: Beam) -> ScatterEstimator:
    """Scan water phantoms with an acquisition and calibrate the estimator of scatter.

    Parameters
    ----------
    geometry
        Of the scan; only its detector and distances matter.
    scanner, acquisition
        Of the scan.
    beam
        What reaches its readings without a body (:func:`ctsim.signal.beam_of`).

    Raises
    ------
    ValueError
        If the beam has other readings than the geometry, or the fan does not hold the axis.
    """
    if beam.gain.shape != geometry.shape[1:]:
        raise ValueError(f"beam must have the geometry's readings {geometry.shape[1:]}, got {beam.gain.shape}")
    n = len(PHANTOM_SHARES)
    views = replace(
        geometry,
        isocentre_mm=(0.0, 0.0),
        view_angle_rad=2 * np.pi * np.arange(n) / n,
        source_z_mm=np.zeros(n),
        views_per_rotation=n,
        feed_per_rotation_mm=0.0,
        deflection_mm=np.zeros((1, 3)),
    )
    air_kev, primary_kev = _phantoms(views, beam)
    scatter_kev = estimate_scatter(primary_kev, air_kev, views, scanner, acquisition).block(0, n)[0]
    nodes = estimator_nodes(views)
    air, primary, scatter = nodes.pool(air_kev), nodes.pool(primary_kev), nodes.pool(scatter_kev)
    p = -np.log(primary / air)
    kev, grid = beam_energy_kev(scanner, acquisition), grid_factor(scanner)
    factor = scatter / bare_scatter(nodes.cells, air, p, kev, grid)
    return ScatterEstimator(nodes.cells, kev, grid, shadow_mm(p, nodes.cells), factor)


def _phantoms(views: Geometry, beam: Beam) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Air ``(R, C)`` and primary behind a phantom in every view ``(n, R, C)``, endless along z [keV per mAs]."""
    n_rows = views.shape[1]
    rows = np.unique(np.rint(np.linspace(0, n_rows - 1, min(n_rows, _PHANTOM_ROWS))).astype(int))
    offset_mm = views.source_distance_mm * np.sin(views.column_angle_rad)
    half_view_mm = min(-offset_mm[0], offset_mm[-1])
    if half_view_mm <= 0:
        raise ValueError(f"the fan must hold the axis, got columns from {offset_mm[0]:g} to {offset_mm[-1]:g} mm of it")
    slant = np.hypot(1.0, views.row_offset_mm[rows] / views.detector_distance_mm)
    shares = np.append(0.0, PHANTOM_SHARES)
    chord_mm = 2 * np.sqrt(np.maximum((shares[:, None] * half_view_mm) ** 2 - offset_mm**2, 0.0))
    log_all = _log_signal(beam, rows, chord_mm[:, None, :] * slant[:, None])
    if len(rows) < n_rows:
        log_all = CubicSpline(rows, log_all, axis=1)(np.arange(n_rows))
    signal = beam.gain * np.exp(log_all)
    return signal[0], signal[1:].astype(np.float32)


def _log_signal(beam: Beam, rows: NDArray[np.int_], water_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of M1, before the gain, behind lengths of water ``(n, len(rows), columns)`` [mm].

    Sums over energy are taken at lengths ``_STEP_MM`` apart, and between them cubics through four (to 1e-7).
    """
    lengths_mm = _STEP_MM * np.arange(-1.0, int(water_mm.max() / _STEP_MM) + 4)
    table = np.log(beam.behind_kev(beam.path_g_cm2[:, rows], water_per_mm_g_cm2(), lengths_mm))
    place = water_mm / _STEP_MM
    low = place.astype(np.intp)
    t = place - low
    weights = (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )
    r, c = np.ogrid[: len(rows), : water_mm.shape[2]]
    return np.asarray(sum(weight * table[r, c, low + k] for k, weight in enumerate(weights)))
