"""Monte Carlo of a scanner's beam in a body: scatter on the detector, air kerma in chambers.

The transport is :mod:`ctsim.kernels.montecarlo`; here beam, body and detector become its arrays. The beam has the
scanner's spectrum, flat filters and bowtie, comes from a point and is cut to the rows in use; heel effect, the longer
way through the flat filters in the cone, the couch and room air are left out. The detector is black beside its
scintillator and has no grid. One core
follows about 0.4 million photons a second in 320 mm of PMMA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import material

from ..attenuation import ENERGY_KEV, mass_attenuation
from ..kernels import montecarlo as kernel
from ..protocol import Acquisition
from ..scanner import Scanner
from ..spectrum import tube_spectrum
from .body import Cylinder, PackedBody, VoxelBody, pack_body
from .interactions import GRID_KEV, Interactions, air_kerma_coefficient_cm2_g, interactions

BATCHES = 32
"""Independent batches; their spread gives the standard errors."""

MM_PER_CM = 10.0
MM_PER_M = 1000.0
N_BOWTIE = 129
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

    @property
    def total_ratio(self) -> float:
        """Scatter over primary, both summed over the detector [1]."""
        return float(self.scatter_kev.sum() / self.primary_kev.sum())


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
    beam = _beam(scanner, acquisition)
    packed = pack_body(body)
    tables = interactions(packed.materials)
    depth = _scintillator_depth(scanner)
    per_batch = _per_batch(n_photons)
    tally = np.zeros((BATCHES, *bins, 4))
    _transport(packed, tables, beam, depth, (view_angle_rad, 0.0), per_batch, key, np.zeros((0, 3)), tally)
    # all photons of a mAs through the beam's window; each collision fed one of all bins
    photons = beam.photons_per_mm2_mas * beam.area_mm2
    tally *= photons * (bins[0] * bins[1]) / per_batch
    mean = tally.mean(axis=0)
    scatter = tally[..., :3].sum(axis=-1)
    primary, air = _primary(packed, tables, beam, depth, bins, view_angle_rad)
    return ScatterTally(
        primary_kev=primary,
        scatter_kev=mean[..., :3].sum(axis=-1),
        air_kev=air,
        parts_kev=np.moveaxis(mean[..., :3], -1, 0),
        scatter_energy_kev=mean[..., 3] / np.maximum(mean[..., :3].sum(axis=-1), 1e-300),
        error_kev=scatter.std(axis=0, ddof=1) / BATCHES**0.5,
        fan_angle_rad=_middles(beam.window[0], beam.window[1], bins[1]),
        height_mm=_middles(beam.window[2], beam.window[3], bins[0]),
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
    beam = _beam(scanner, acquisition)
    packed = pack_body(body)
    rings = np.array(rings_mm, dtype=np.float64).reshape(-1, 3)
    per_batch = _per_batch(n_photons)
    kerma, balance = _transport(
        packed,
        interactions(packed.materials),
        beam,
        _scintillator_depth(scanner),
        (0.0, 2 * np.pi),
        per_batch,
        key,
        rings,
        np.zeros((BATCHES, 0, 0, 4)),
    )
    volume_mm3 = 2 * np.pi * (rings[:, 1] ** 2 - rings[:, 0] ** 2) * rings[:, 2]
    photons = beam.photons_per_mm2_mas * beam.area_mm2
    kerma *= photons / per_batch / volume_mm3 * MGY_MM3_PER_KEV_CM2_G_MM
    shares = balance.sum(axis=0)
    return KermaTally(
        kerma.mean(axis=0),
        kerma.std(axis=0, ddof=1) / BATCHES**0.5,
        float(shares[1] / shares[0]),
        float(shares[2] / shares[0]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Beam:
    """Spectrum ``(140,)`` at the detector's distance, bowtie transmission ``(G, 141)``, window on the detector."""

    distances_mm: NDArray[np.float64]
    spectrum_per_mm2_mas: NDArray[np.float64]
    bowtie: NDArray[np.float64]
    window: NDArray[np.float64]

    @property
    def photons_per_mm2_mas(self) -> float:
        return float(self.spectrum_per_mm2_mas.sum())

    @property
    def area_mm2(self) -> float:
        low, high, bottom, top = self.window
        return float(self.distances_mm[1] * (high - low) * (top - bottom))


def _beam(scanner: Scanner, acquisition: Acquisition) -> _Beam:
    filters = [layer.as_filter() for layer in scanner.filters(acquisition.spectral_filter)]
    spectrum = tube_spectrum(acquisition.kvp, scanner.anode_angle_deg, filters).fluence_per_mm2_mas
    sdd = scanner.detector_distance_mm
    angle = scanner.column_angle_rad()
    low, high = angle[0] - scanner.column_pitch_rad / 2, angle[-1] + scanner.column_pitch_rad / 2
    half = acquisition.collimation_rows * scanner.detector.row_pitch_iso_mm * sdd / scanner.source_distance_mm / 2
    shaped = scanner.bowtie(acquisition.bowtie)
    substance = material(shaped.material)
    areal = shaped.thickness_at(np.linspace(low, high, N_BOWTIE)) * substance.density_g_cm3 / MM_PER_CM
    return _Beam(
        np.array([scanner.source_distance_mm, sdd]),
        spectrum * (MM_PER_M / sdd) ** 2,
        np.exp(-areal[:, None] * mass_attenuation(substance, GRID_KEV)),
        np.array([low, high, -half, half]),
    )


def _scintillator_depth(scanner: Scanner) -> NDArray[np.float64]:
    scintillator = material(scanner.detector.material)
    per_mm = mass_attenuation(scintillator, GRID_KEV) * scintillator.density_g_cm3 / MM_PER_CM
    return np.asarray(per_mm * scanner.detector.thickness_mm)[None]


def _transport(
    packed: PackedBody,
    tables: Interactions,
    beam: _Beam,
    depth: NDArray[np.float64],
    turn_rad: tuple[float, float],
    per_batch: int,
    key: int,
    rings_mm: NDArray[np.float64],
    tally: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not 0 <= key < 2**64:
        raise ValueError(f"key must be a whole number from 0 to 2**64 - 1, got {key}")
    majorant = (packed.largest_density_g_cm3[:, None] * tables.total_cm2_g).max(axis=0) / MM_PER_CM
    kerma, balance = np.zeros((BATCHES, len(rings_mm))), np.zeros((BATCHES, 3))
    kernel.transport(
        per_batch,
        np.uint32(key & 0xFFFFFFFF),
        np.uint32(key >> 32),
        np.array(turn_rad),
        beam.distances_mm,
        beam.window,
        np.cumsum(beam.spectrum_per_mm2_mas),
        beam.bowtie,
        beam.window,
        (tables.total_cm2_g, tables.coherent_cm2_g, tables.incoherent_cm2_g, depth),
        (tables.coherent_norm, tables.incoherent_norm),
        (tables.form, tables.bound),
        tables.form_cumulated,
        majorant,
        packed.arrays(),
        rings_mm,
        air_kerma_coefficient_cm2_g()[None],
        tally,
        kerma,
        balance,
    )
    return kerma, balance


def _primary(
    packed: PackedBody,
    tables: Interactions,
    beam: _Beam,
    depth: NDArray[np.float64],
    bins: tuple[int, int],
    view_angle_rad: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Absorbed primary per mm2 with and without the body, ``bins`` each: the mean over 3 x 8 rays a bin."""
    total = np.array([np.interp(ENERGY_KEV, GRID_KEV, row) for row in tables.total_cm2_g])
    absorbed = -np.expm1(-np.interp(ENERGY_KEV, GRID_KEV, depth[0])) * ENERGY_KEV * beam.spectrum_per_mm2_mas
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


def _per_batch(n_photons: int) -> int:
    if not BATCHES <= n_photons <= 10**10:
        raise ValueError(f"n_photons must lie in {BATCHES} to 1e10, got {n_photons}")
    return -(-n_photons // BATCHES)
