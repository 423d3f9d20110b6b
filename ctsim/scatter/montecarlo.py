"""Monte Carlo of a scanner's beam in a body: scatter on the detector, air kerma in chambers.

The transport is :mod:`ctsim.kernels.montecarlo`; :mod:`ctsim.scatter.setup` makes its arrays of beam, body, detector.
The beam has the scanner's spectrum, flat filters and bowtie, comes from a point and is cut to the rows in use; heel
effect, the longer way through the flat filters in the cone, the couch and room air are left out. The detector is black
beside its scintillator and has no grid. One core follows about 0.4 million photons a second in 320 mm of PMMA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..attenuation import ENERGY_KEV
from ..kernels import montecarlo as kernel
from ..protocol import Acquisition
from ..scanner import Scanner
from .body import Cylinder, VoxelBody
from .interactions import GRID_KEV
from .setup import BATCHES, Setup, set_up

MGY_MM3_PER_KEV_CM2_G_MM = 1.602176634e-16 * 1e6 * 1e2
"""keV cm2 / g mm per mm3 as kerma: keV in J, per gram to per kg and J/kg to mGy, cm2 to mm2 [mGy]."""


@dataclass(frozen=True, slots=True, eq=False)
class ScatterTally:
    """Energy absorbed per area of the detector and mAs in one view, all ``(rows, columns)`` of coarse bins.

    Parameters
    ----------
    primary_kev, scatter_kev
        Mean absorbed energy [keV per mm2 and mAs].
    air_kev
        Primary without the body [keV per mm2 and mAs].
    parts_kev
        ``(3, rows, columns)``: scattered once coherently, once incoherently, more than once.
    scatter_energy_kev
        M2 / M1 of the scatter [keV].
    error_kev
        Standard error of ``scatter_kev`` from the spread of batches.
    fan_angle_rad, height_mm
        Middles of bins.
    """

    primary_kev: NDArray[np.float64]
    scatter_kev: NDArray[np.float64]
    air_kev: NDArray[np.float64]
    parts_kev: NDArray[np.float64]
    scatter_energy_kev: NDArray[np.float64]
    error_kev: NDArray[np.float64]
    fan_angle_rad: NDArray[np.float64]
    height_mm: NDArray[np.float64]


def simulate_scatter(
    body: Sequence[Cylinder] | VoxelBody,
    scanner: Scanner,
    acquisition: Acquisition,
    *,
    n_photons: int,
    key: int,
    bins: tuple[int, int] = (1, 24),
    view_angle_rad: float = 0.0,
) -> ScatterTally:
    """Scatter of a body on the detector in one view, without grid.

    Parameters
    ----------
    body
        About the rotation axis and the source's plane.
    scanner, acquisition
        Spectrum, bowtie, distances, rows in use.
    n_photons
        Photons to follow, rounded up to a multiple of ``BATCHES``.
    key
        64-bit key of all chance.
    bins
        Rows and columns of the tally.
    view_angle_rad
        Where the source is [rad].

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    if min(bins) < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    setup = set_up(body, scanner, acquisition)
    tally = np.zeros((BATCHES, *bins, 4))
    shot = setup.shoot((view_angle_rad, 0.0), n_photons, key, np.zeros((0, 3)), tally)
    tally *= shot.photons_per_mas * (bins[0] * bins[1])  # each collision fed one of all bins
    mean = tally.mean(axis=0)
    scatter = tally[..., :3].sum(axis=-1)
    primary, air = _primary(setup, bins, view_angle_rad)
    left, right, bottom, top = setup.beam.window
    return ScatterTally(
        primary_kev=primary,
        scatter_kev=mean[..., :3].sum(axis=-1),
        air_kev=air,
        parts_kev=np.moveaxis(mean[..., :3], -1, 0),
        scatter_energy_kev=mean[..., 3] / np.maximum(mean[..., :3].sum(axis=-1), 1e-300),
        error_kev=scatter.std(axis=0, ddof=1) / BATCHES**0.5,
        fan_angle_rad=_middles(left, right, bins[1]),
        height_mm=_middles(bottom, top, bins[0]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class KermaTally:
    """Air kerma in ring-shaped chambers per mAs of a full rotation.

    Parameters
    ----------
    kerma_mgy_per_mas
        ``(K,)`` mean over each chamber [mGy].
    error_mgy_per_mas
        ``(K,)`` standard error.
    absorbed_fraction, escaped_fraction
        Shares of the emitted energy that stay in the body and leave it; they sum to 1 up to roulette's noise [1].
    """

    kerma_mgy_per_mas: NDArray[np.float64]
    error_mgy_per_mas: NDArray[np.float64]
    absorbed_fraction: float
    escaped_fraction: float


def simulate_kerma(
    body: Sequence[Cylinder] | VoxelBody,
    scanner: Scanner,
    acquisition: Acquisition,
    rings_mm: Sequence[tuple[float, float, float]],
    *,
    n_photons: int,
    key: int,
) -> KermaTally:
    """Air kerma of one axial rotation in chambers about the axis.

    Parameters
    ----------
    body
        About the rotation axis and the source's plane.
    scanner, acquisition
        Spectrum, bowtie, distances, rows in use.
    rings_mm
        Inner radius, outer radius, half length of each chamber [mm]. The chamber displaces no material.
    n_photons, key
        Photons to follow and the 64-bit key of all chance.

    Raises
    ------
    ValueError
        If a ring is empty or a number is out of range.
    """
    for inner, outer, half in rings_mm:
        if not 0 <= inner < outer or half <= 0:
            raise ValueError(f"rings_mm must have 0 <= inner < outer and a length, got {(inner, outer, half)}")
    rings = np.array(rings_mm, dtype=np.float64).reshape(-1, 3)
    setup = set_up(body, scanner, acquisition)
    shot = setup.shoot((0.0, 2 * np.pi), n_photons, key, rings, np.zeros((BATCHES, 0, 0, 4)))
    volume_mm3 = 2 * np.pi * (rings[:, 1] ** 2 - rings[:, 0] ** 2) * rings[:, 2]
    kerma = shot.kerma * (shot.photons_per_mas / volume_mm3 * MGY_MM3_PER_KEV_CM2_G_MM)
    shares = shot.balance.sum(axis=0)
    return KermaTally(
        kerma.mean(axis=0),
        kerma.std(axis=0, ddof=1) / BATCHES**0.5,
        float(shares[1] / shares[0]),
        float(shares[2] / shares[0]),
    )


def _primary(
    setup: Setup, bins: tuple[int, int], view_angle_rad: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Absorbed primary per mm2 with and without the body, ``bins`` each: the mean over 3 x 8 rays a bin."""
    beam, tables, packed = setup.beam, setup.tables, setup.packed
    total = np.array([np.interp(ENERGY_KEV, GRID_KEV, row) for row in tables.total_cm2_g])
    absorbed = -np.expm1(-np.interp(ENERGY_KEV, GRID_KEV, setup.depth[0])) * ENERGY_KEV * beam.spectrum_per_mm2_mas
    n_rows, n_columns = bins[0] * 3, bins[1] * 8
    gamma = _middles(beam.window[0], beam.window[1], n_columns)
    height = _middles(beam.window[2], beam.window[3], n_rows)
    sid, sdd = beam.distances_mm
    shares = np.linspace(0, 1, len(beam.bowtie))
    at = (gamma - beam.window[0]) / (beam.window[1] - beam.window[0])
    shape = np.array([np.interp(at, shares, column) for column in beam.bowtie.T])  # (141, columns)
    cos_b, sin_b = np.cos(view_angle_rad), np.sin(view_angle_rad)
    primary, air = np.empty((n_rows, n_columns)), np.empty((n_rows, n_columns))
    path = np.zeros(len(tables.total_cm2_g))
    trace: Any = kernel.path_g_cm2
    for c, g in enumerate(gamma):
        at_bins = np.interp(ENERGY_KEV, GRID_KEV, shape[:, c]) * absorbed
        for r, v in enumerate(height):
            slant = sdd / np.hypot(sdd, v)
            dx = slant * (-np.cos(g) * cos_b - np.sin(g) * sin_b)
            dy = slant * (-np.cos(g) * sin_b + np.sin(g) * cos_b)
            trace(sid * cos_b, sid * sin_b, 0.0, dx, dy, v / sdd * slant, *packed.arrays(), path)
            air[r, c] = at_bins.sum() * slant**3
            primary[r, c] = (at_bins * np.exp(-path @ total)).sum() * slant**3
    return _binned(primary, bins), _binned(air, bins)


def _binned(values: NDArray[np.float64], bins: tuple[int, int]) -> NDArray[np.float64]:
    rows, columns = bins
    return np.asarray(values.reshape(rows, -1, columns, values.shape[1] // columns).mean(axis=(1, 3)))


def _middles(low: float, high: float, n: int) -> NDArray[np.float64]:
    return np.asarray(low + (np.arange(n) + 0.5) / n * (high - low), dtype=np.float64)
