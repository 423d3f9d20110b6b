"""Noise-free detector signal: first two energy moments of what a reading absorbs, per mAs.

    lambda(E) = Phi(E) (1000 / SDD)^2 A eta(E) / views    photons per bin, reading and mAs per rotation
    M1 = sum E lambda(E) T(E),   M2 = sum E^2 lambda(E) T(E),   T = exp(-sum_k f_k(E) (L_bowtie,k + L_k))

with Phi the filtered spectrum at 1 m, A a cell's active area, eta = 1 - exp(-mu d) the scintillator's absorption. The
detector adds up energy (M1); M2 / M1 is the energy that one count stands for in the noise model. The cell is taken as
square to the ray at distance SDD: the cone angle's cos^3 (0.05 % for a 40 mm beam) is left out; it cancels in the air
calibration.

Tables over the area densities stand for the sums over 1 keV bins: M1 errs by at most 0.025 % (two channels) and, with
iodine, 0.05 % (0.1 % at 80 kVp), see ``tests/ctsim/test_signal.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import material

from .attenuation import ENERGY_KEV, mass_attenuation
from .basis import basis_curves
from .kernels import transmit as kernel
from .sampling import Sampling
from .scanner import Scanner
from .spectrum import tube_spectrum
from .trajectory import binned_column_angle_rad, n_merged

MEAN_ENERGY_STEP_KEV = 1 / 256
"""One unit of a stored mean energy [keV]."""

MM_PER_CM = 10.0
MM_PER_M = 1000.0

_RANGES = {2: ((201, 0.5), (301, 0.1), (1, 1.0)), 3: ((101, 1.0), (151, 0.2), (65, 0.005))}
"""Nodes and their distance [g/cm2] for basis 0, basis 1, iodine: to 100, 30 and 0.32 g/cm2, linear beyond."""


@dataclass(frozen=True, slots=True, eq=False)
class Beam:
    """What reaches and is absorbed by one reading when nothing but flat filters is in the way.

    Parameters
    ----------
    photons_per_mas
        ``(140,)`` float64: photons per 1 keV bin absorbed in one reading, per mAs per rotation.
    bowtie_g_cm2
        ``(2, columns)`` float64: basis area densities of the bowtie [g/cm2].
    """

    photons_per_mas: NDArray[np.float64]
    bowtie_g_cm2: NDArray[np.float64]

    def moments_kev(self, path_g_cm2: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """M1 [keV] and M2 [keV2] per mAs from the 1 keV bins, for area densities ``(channels, ...)`` [g/cm2].

        The path is all that is in the way; the bowtie has to be part of it.
        """
        curves = basis_curves()
        depth = sum(path_g_cm2[k][..., None] * curves[k] for k in range(len(path_g_cm2)))
        energy = self.photons_per_mas * ENERGY_KEV * np.exp(-depth)
        return energy.sum(axis=-1), (energy * ENERGY_KEV).sum(axis=-1)

    @property
    def mean_energy_kev(self) -> float:
        """Mean energy that a count stands for in air, M2 / M1 without bowtie [keV]."""
        energy = self.photons_per_mas * ENERGY_KEV
        return float((energy * ENERGY_KEV).sum() / energy.sum())

    def air_kev(self) -> NDArray[np.float64]:
        """M1 per mAs behind the bowtie alone, ``(columns,)`` [keV]."""
        return self.moments_kev(self.bowtie_g_cm2)[0]


@dataclass(frozen=True, slots=True, eq=False)
class SignalTable:
    """Tables over the channels' area densities that replace the sums over energy.

    Parameters
    ----------
    beam
        Whose signal it is.
    log_loss
        ``(n_0, n_1, n_2)`` float32: -ln(M1 / M1 of nothing).
    mean_energy_kev
        ``(n_0, n_1, n_2)`` float32: M2 / M1 [keV].
    step_g_cm2
        ``(3,)`` float32: distance of nodes [g/cm2].
    """

    beam: Beam
    log_loss: NDArray[np.float32]
    mean_energy_kev: NDArray[np.float32]
    step_g_cm2: NDArray[np.float32]

    def air_kev(self) -> NDArray[np.float64]:
        """M1 per mAs in room air by these same tables, ``(columns,)`` [keV]."""
        n_channels = 3 if self.log_loss.shape[2] > 1 else 2
        shape = (1, 1, self.beam.bowtie_g_cm2.shape[1])
        signal, energy = np.empty(shape, np.float32), np.empty(shape, np.uint16)
        self.transmit(np.zeros((n_channels, *shape), np.float32), signal, energy)
        return signal[0, 0].astype(np.float64)

    def transmit(
        self,
        path_g_cm2: NDArray[np.float32],
        signal_kev: NDArray[np.float32],
        mean_energy: NDArray[np.uint16],
    ) -> None:
        """Overwrite M1 [keV per mAs] and M2 / M1 [``MEAN_ENERGY_STEP_KEV``] of ``(channel, view, row, column)``."""
        air_kev = float((self.beam.photons_per_mas * ENERGY_KEV).sum())
        bowtie = self.beam.bowtie_g_cm2.astype(np.float32)
        three = len(path_g_cm2) == 3
        tables = (self.log_loss, self.mean_energy_kev)
        run: Any = kernel.transmit_iodine if three else kernel.transmit
        run(
            path_g_cm2,
            bowtie,
            *(tables if three else (table[:, :, 0] for table in tables)),
            self.step_g_cm2,
            air_kev,
            MEAN_ENERGY_STEP_KEV,
            signal_kev,
            mean_energy,
        )


def beam_of(scanner: Scanner, kvp: int, bowtie: str, sampling: Sampling) -> Beam:
    """The beam of a scanner at one tube potential, as one simulated reading sees it."""
    filters = [layer.as_filter() for layer in scanner.inherent_filters]
    spectrum = tube_spectrum(kvp, scanner.anode_angle_deg, filters)
    detector = scanner.detector
    scintillator = material(detector.material)
    depth = mass_attenuation(scintillator) * scintillator.density_g_cm3 * detector.thickness_mm / MM_PER_CM
    row_pitch_mm = detector.row_pitch_iso_mm * scanner.detector_distance_mm / scanner.source_distance_mm
    area_mm2 = detector.column_pitch_mm * row_pitch_mm * detector.fill_factor
    readings = n_merged(scanner, sampling) / scanner.views_per_rotation
    photons = spectrum.fluence_per_mm2_mas * (MM_PER_M / scanner.detector_distance_mm) ** 2 * area_mm2 * readings
    angles = binned_column_angle_rad(scanner, sampling)
    return Beam(photons * -np.expm1(-depth), scanner.bowtie(bowtie).basis_g_cm2(angles))


def signal_table(beam: Beam, n_channels: int) -> SignalTable:
    """Tables of a beam for two or three channels.

    Raises
    ------
    ValueError
        If ``n_channels`` is neither.
    """
    if n_channels not in _RANGES:
        raise ValueError(f"n_channels must be 2 or 3, got {n_channels}")
    (n_0, step_0), (n_1, step_1), (n_2, step_2) = _RANGES[n_channels]
    step = np.array([step_0, step_1, step_2])
    log_loss = np.empty((n_0, n_1, n_2), np.float32)
    mean_energy = np.empty((n_0, n_1, n_2), np.float32)
    present = beam.photons_per_mas > 0
    kernel.tabulate(
        beam.photons_per_mas[present],
        ENERGY_KEV[present],
        np.ascontiguousarray(basis_curves()[:, present]),
        n_0,
        n_1,
        n_2,
        step,
        log_loss,
        mean_energy,
    )
    return SignalTable(beam, log_loss, mean_energy, step.astype(np.float32))
