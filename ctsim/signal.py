"""Noise-free detector signal: first two energy moments of what a reading absorbs, per mAs.

    lambda(E) = Phi(E) (1000 / SDD)^2 A eta(E) / views    photons per bin, reading and mAs per rotation, central ray
    M1 = g sum E lambda(E) T(E),   M2 = g sum E^2 lambda(E) T(E),   T = exp(-sum_k f_k(E) (L_air,k + L_k))

with Phi the filtered spectrum at 1 m, A a cell's active area, eta = 1 - exp(-mu d) the scintillator's absorption. The
detector adds up energy (M1); M2 / M1 is the energy that one count stands for in the noise model. ``L_air`` and ``g`` of
a (row, column) hold the bowtie, and what distinguishes the ray from the central one: heel effect, obliquity, distance
(:mod:`ctsim.heel`) and the primary transmission of the anti-scatter grid. They are those of the spot at rest: a flying
spot's places are taken as calibrated one by one, which leaves their differences (1 % of the intensity) to the noise.

Tables over the area densities stand for the sums over 1 keV bins: M1 errs by at most 0.035 % at 70 kVp and 0.02 % at
120 kVp, with iodine 0.05 % and 0.02 % (``tests/ctsim/test_signal.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .attenuation import ENERGY_KEV
from .basis import basis_curves
from .heel import absorbed_spectrum, cone_beam
from .kernels import transmit as kernel
from .protocol import Acquisition
from .response import DetectorModel, energy_integrating
from .sampling import Sampling
from .scanner import Scanner
from .trajectory import binned_column_angle_rad, binned_rows_mm, deflections_mm, n_merged

MEAN_ENERGY_STEP_KEV = 1 / 256
"""One unit of a stored mean energy [keV]."""

MM_PER_CM = 10.0
MM_PER_M = 1000.0

_RANGES = {2: ((201, 0.5), (301, 0.1), (1, 1.0)), 3: ((201, 0.5), (201, 0.1), (65, 0.005))}
"""Nodes and their distance [g/cm2] for basis 0, basis 1, iodine: from the thinnest air path on,
to 100, 30 (20 with iodine) and 0.32 g/cm2, linear beyond."""


@dataclass(frozen=True, slots=True, eq=False)
class Beam:
    """What reaches and is absorbed by one reading when no body is in the way.

    Parameters
    ----------
    photons_per_mas
        ``(140,)`` float64: photons per 1 keV bin absorbed in one reading of the central ray, behind flat filters alone,
        per mAs per rotation.
    path_g_cm2
        ``(2, rows, columns)`` float64: basis area densities in the way, beyond those of the central ray: bowtie, heel,
        obliquity of the flat filters; slightly negative where the beam is softer [g/cm2].
    gain
        ``(rows, columns)`` float64: intensity relative to the central ray before the path: heel, distance, anti-scatter
        grid; only gain and path together say how strong the beam is [1].
    energy_kev
        ``(140,)`` float64: what one of these photons adds to the reading; its energy, if the detector adds up energy
        (:mod:`ctsim.response`) [keV].
    """

    photons_per_mas: NDArray[np.float64]
    path_g_cm2: NDArray[np.float64]
    gain: NDArray[np.float64]
    energy_kev: NDArray[np.float64] = field(default_factory=lambda: ENERGY_KEV.astype(np.float64))

    def moments_kev(self, path_g_cm2: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """M1 [keV] and M2 [keV2] per mAs from the 1 keV bins, for area densities ``(channels, ...)`` [g/cm2].

        The path is all that is in the way: that of the beam's own has to be part of it, and the gain multiplies both.
        """
        present = self.photons_per_mas > 0
        passed = np.tensordot(path_g_cm2, -basis_curves()[: len(path_g_cm2), present], axes=(0, 0))
        np.exp(passed, out=passed)
        energy_kev = self.energy_kev[present]
        absorbed = self.photons_per_mas[present] * energy_kev
        return passed @ absorbed, passed @ (absorbed * energy_kev)

    def behind_kev(
        self, path_g_cm2: NDArray[np.float64], per_mm_g_cm2: NDArray[np.float64], length_mm: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """M1 per mAs [keV] behind area densities ``(2, ...)`` and lengths of one matter, ``(..., lengths)``.

        The same sums as in :meth:`moments_kev`, as a product of matrices: exponentials of paths times those of lengths.

        Parameters
        ----------
        path_g_cm2
            All that is in the way but the matter [g/cm2].
        per_mm_g_cm2
            ``(2,)`` area densities of a millimetre of the matter [g/cm2].
        length_mm
            ``(lengths,)`` [mm].
        """
        present = self.photons_per_mas > 0
        curves = basis_curves()[:2, present]
        absorbed = (self.photons_per_mas * self.energy_kev)[present]
        passed = np.exp(-np.tensordot(path_g_cm2, curves, axes=(0, 0))) * absorbed
        return np.asarray(passed @ np.exp(-(per_mm_g_cm2 @ curves)[:, None] * length_mm))

    @property
    def mean_energy_kev(self) -> float:
        """Mean energy that a count stands for in air, M2 / M1 of the central ray without bowtie [keV]."""
        energy = self.photons_per_mas * self.energy_kev
        return float((energy * self.energy_kev).sum() / energy.sum())

    def air_kev(self) -> NDArray[np.float64]:
        """M1 per mAs in room air, gain included, ``(rows, columns)`` [keV]."""
        return np.asarray(self.gain * self.moments_kev(self.path_g_cm2)[0])


@dataclass(frozen=True, slots=True, eq=False)
class SignalTable:
    """Tables over the channels' area densities that replace the sums over energy.

    Parameters
    ----------
    beam
        Whose signal it is.
    log_loss
        ``(n_0, n_1, n_2)`` float32: -ln(M1 / M1 at the first node).
    mean_energy_kev
        ``(n_0, n_1, n_2)`` float32: M2 / M1 [keV].
    step_g_cm2
        ``(3,)`` float32: distance of nodes [g/cm2].
    origin_g_cm2
        ``(2,)`` float64: area densities of basis 0 and 1 at the first node: the least in any ray [g/cm2].
    origin_kev
        M1 per mAs at the first node, before the gain [keV].
    """

    beam: Beam
    log_loss: NDArray[np.float32]
    mean_energy_kev: NDArray[np.float32]
    step_g_cm2: NDArray[np.float32]
    origin_g_cm2: NDArray[np.float64]
    origin_kev: float

    def air_kev(self) -> NDArray[np.float64]:
        """M1 per mAs in room air by these same tables, ``(rows, columns)`` [keV]."""
        n_channels = 3 if self.log_loss.shape[2] > 1 else 2
        first, second = np.zeros((2, 1, *self.beam.gain.shape), np.float32)
        self.transmit(np.zeros((n_channels, *first.shape), np.float32), first, second)
        return first[0].astype(np.float64)

    def transmit(
        self,
        path_g_cm2: NDArray[np.float32],
        first: NDArray[np.float32],
        second: NDArray[np.float32],
        *,
        weight: float = 1.0,
        slope_share: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Add one transmission to M1 [keV per mAs] and M2 [keV2 per mAs], ``(view, row, column)``.

        Parameters
        ----------
        path_g_cm2
            ``(channel, view, k row, m column)`` float32: the body's area densities, each the mean over one of the k x m
            equal parts of a cell.
        first, second
            ``(view, row, column)`` float32: added to.
        weight
            Of this transmission among those of a reading [1].
        slope_share
            Share of a part's height and of its width over which the path varies as it does from part to part, and the
            transmission is averaged; 0: the path is the same all over the part [1].

        Raises
        ------
        ValueError
            If the paths are not a whole number per reading.
        """
        n_rows, n_columns = path_g_cm2.shape[2:]
        rows, columns = self.beam.gain.shape
        if n_rows % rows or n_columns % columns or first.shape != (path_g_cm2.shape[1], rows, columns):
            raise ValueError(
                f"path_g_cm2 must hold a whole number of rows and columns per reading of {first.shape}, got shape "
                f"{path_g_cm2.shape}"
            )
        across = n_columns // columns
        n_parts = (n_rows // rows) * across
        origin_kev = (self.origin_kev * weight / n_parts * self.beam.gain).astype(np.float32)
        in_beam = np.zeros((3, rows, columns), np.float32)
        in_beam[:2] = self.beam.path_g_cm2 - self.origin_g_cm2[:, None, None]
        origin_kev, in_beam = (np.repeat(values, across, axis=-1) for values in (origin_kev, in_beam))
        table = np.stack([self.log_loss, self.mean_energy_kev], axis=-1)
        in_air = np.empty(origin_kev.shape, np.float32)
        kernel.air_losses(in_beam, table, self.step_g_cm2, in_air)
        along_rows, along_columns = (np.float32(share) for share in slope_share)
        kernel.transmit(
            path_g_cm2, in_beam, table, self.step_g_cm2, in_air, origin_kev, along_rows, along_columns, first, second
        )


def mean_energy_units(first: NDArray[np.float32], second: NDArray[np.float32], energy: NDArray[np.uint16]) -> None:
    """Overwrite ``energy`` with M2 / M1 in steps of ``MEAN_ENERGY_STEP_KEV``, all ``(view, row, column)``."""
    kernel.mean_energies(first, second, MEAN_ENERGY_STEP_KEV, energy)


def beam_of(
    scanner: Scanner, acquisition: Acquisition, sampling: Sampling, *, model: DetectorModel = energy_integrating
) -> Beam:
    """The beam of a scanner, as the readings of one acquisition see it.

    Parameters
    ----------
    scanner, acquisition, sampling
        Hardware, what is asked of it, and how finely it is simulated.
    model
        What kind of detector it is: what a photon adds to a reading.

    Raises
    ------
    ValueError
        If the scanner has not the bowtie or filter, the sampling does not divide the detector, or the cone reaches rays
        that leave the anode too flatly.
    """
    photons = absorbed_spectrum(scanner, acquisition.kvp, acquisition.spectral_filter, model=model)
    detector = scanner.detector
    row_pitch_mm = detector.row_pitch_iso_mm * scanner.detector_distance_mm / scanner.source_distance_mm
    area_mm2 = detector.column_pitch_mm * row_pitch_mm * detector.fill_factor
    spots = len(deflections_mm(scanner, acquisition))
    views = n_merged(scanner, sampling) / (scanner.views_per_rotation * spots)
    photons = photons * (MM_PER_M / scanner.detector_distance_mm) ** 2 * area_mm2 * views
    angle = binned_column_angle_rad(scanner, sampling)
    offset_mm, _ = binned_rows_mm(scanner, acquisition, sampling)
    cone = cone_beam(scanner, acquisition.kvp, acquisition.spectral_filter, offset_mm, angle, model=model)
    slant = np.sqrt(1.0 + (offset_mm / scanner.detector_distance_mm) ** 2)
    bowtie = scanner.bowtie(acquisition.bowtie).basis_g_cm2(angle)
    passed = detector.grid.primary_transmission if detector.grid is not None else 1.0
    path = cone.path_g_cm2 + bowtie[:, None, :] * slant[:, None]
    return Beam(photons, path, cone.gain * passed, model(detector, 0.0).energy_kev)


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
    origin = beam.path_g_cm2.min(axis=(1, 2))
    photons = beam.photons_per_mas * np.exp(-origin @ basis_curves()[:2])
    present = photons > 0
    kernel.tabulate(
        photons[present],
        beam.energy_kev[present],
        np.ascontiguousarray(basis_curves()[:, present]),
        n_0,
        n_1,
        n_2,
        step,
        log_loss,
        mean_energy,
    )
    first_kev = float((photons * beam.energy_kev).sum())
    return SignalTable(beam, log_loss, mean_energy, step.astype(np.float32), origin, first_kev)
