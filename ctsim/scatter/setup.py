"""Beam, body and detector as the arrays of the Monte Carlo's kernel (:mod:`ctsim.kernels.montecarlo`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import material

from ..attenuation import mass_attenuation
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


@dataclass(frozen=True, slots=True, eq=False)
class PhotonBeam:
    """Spectrum ``(140,)`` at the detector's distance, bowtie transmission ``(G, 141)``, window on the detector."""

    distances_mm: NDArray[np.float64]
    spectrum_per_mm2_mas: NDArray[np.float64]
    bowtie: NDArray[np.float64]
    window: NDArray[np.float64]

    @property
    def photons_per_mm2_mas(self) -> float:
        """At the detector's distance, without the bowtie."""
        return float(self.spectrum_per_mm2_mas.sum())

    @property
    def area_mm2(self) -> float:
        """Of the window on the detector."""
        low, high, bottom, top = self.window
        return float(self.distances_mm[1] * (high - low) * (top - bottom))


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """What the kernel tallied beside the detector: kerma ``(BATCHES, K)``, energy balance ``(BATCHES, 3)``.

    ``photons_per_mas``: photons of a mAs through the beam's window that one photon of a batch stands for.
    """

    kerma: NDArray[np.float64]
    balance: NDArray[np.float64]
    photons_per_mas: float


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """Beam, body and scintillator as the kernel takes them; depth ``(1, 141)``: of the scintillator [1]."""

    beam: PhotonBeam
    packed: PackedBody
    tables: Interactions
    depth: NDArray[np.float64]

    def shoot(
        self,
        turn_rad: tuple[float, float],
        n_photons: int,
        key: int,
        rings_mm: NDArray[np.float64],
        tally: NDArray[np.float64],
    ) -> Shot:
        """Follow photons from an arc ``turn_rad`` (start, width) and fill ``tally`` ``(BATCHES, rows, columns, 4)``."""
        if not BATCHES <= n_photons <= 10**10:
            raise ValueError(f"n_photons must lie in {BATCHES} to 1e10, got {n_photons}")
        if not 0 <= key < 2**64:
            raise ValueError(f"key must be a whole number from 0 to 2**64 - 1, got {key}")
        per_batch = -(-n_photons // BATCHES)
        beam, tables, packed = self.beam, self.tables, self.packed
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
            (tables.total_cm2_g, tables.coherent_cm2_g, tables.incoherent_cm2_g, self.depth),
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
        return Shot(kerma, balance, beam.photons_per_mm2_mas * beam.area_mm2 / per_batch)


def set_up(body: Sequence[Cylinder] | VoxelBody, scanner: Scanner, acquisition: Acquisition) -> Setup:
    """What the Monte Carlo of a body on a scanner starts from."""
    packed = pack_body(body)
    return Setup(photon_beam(scanner, acquisition), packed, interactions(packed.materials), scintillator_depth(scanner))


def photon_beam(scanner: Scanner, acquisition: Acquisition) -> PhotonBeam:
    """Beam of an acquisition from a point source, cut to the fan and the rows in use."""
    filters = [layer.as_filter() for layer in scanner.filters(acquisition.spectral_filter)]
    spectrum = tube_spectrum(acquisition.kvp, scanner.anode_angle_deg, filters).fluence_per_mm2_mas
    sdd = scanner.detector_distance_mm
    angle = scanner.column_angle_rad()
    low, high = angle[0] - scanner.column_pitch_rad / 2, angle[-1] + scanner.column_pitch_rad / 2
    half = acquisition.collimation_rows * scanner.detector.row_pitch_iso_mm * sdd / scanner.source_distance_mm / 2
    shaped = scanner.bowtie(acquisition.bowtie)
    substance = material(shaped.material)
    areal = shaped.thickness_at(np.linspace(low, high, N_BOWTIE)) * substance.density_g_cm3 / MM_PER_CM
    return PhotonBeam(
        np.array([scanner.source_distance_mm, sdd]),
        spectrum * (MM_PER_M / sdd) ** 2,
        np.exp(-areal[:, None] * mass_attenuation(substance, GRID_KEV)),
        np.array([low, high, -half, half]),
    )


def scintillator_depth(scanner: Scanner) -> NDArray[np.float64]:
    """Depth of the scintillator in mean free paths at the energies of the tables, ``(1, 141)`` [1]."""
    scintillator = material(scanner.detector.material)
    per_mm = mass_attenuation(scintillator, GRID_KEV) * scintillator.density_g_cm3 / MM_PER_CM
    return np.asarray(per_mm * scanner.detector.thickness_mm)[None]
