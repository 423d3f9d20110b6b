"""Expected noise in the middle of a water body, by which a scanner chooses the tube current for a noise asked for.

A reading of t millimetres of water holds the energy S = m M1(t) at m mAs per rotation, with the variance
m M2(t) + s^2 (electronics). As water thickness, with M1' = dM1/dt, its variance is

    v(t, m) = M2 / (m M1'^2) + s^2 / (m M1')^2 = q(t) / m + e(t) / m^2     [mm^2].

Filtered back projection of readings d apart at the axis, with the noise transfer |f| G(f) of its filter, makes of the
mean over the views <v> the variance of the image's middle

    sigma^2 = 1000^2 <v> (2 pi^2 / V) d  (2 integral f^2 G^2 df)  F  Z                                          [HU^2]

V views per rotation; G = MTF of the kernel / (aperture, focal spot, X-ray crosstalk), as the filter makes up for what
blurs the signal but not the noise; F the sum of the squared shares of the half turns that see a direction (1/2 for a
full rotation; for a helix the mean of sum W^2 / (sum W)^2 over the place in the beam, W of
:mod:`ctsim.kernels.gather`); Z what averaging rows of height r over a slab b leaves, (r / b) (1 - r / 3b), or
1 - b / 3r for b < r. Source: the noise of filtered back projection, Kak & Slaney, Principles of Computerized
Tomographic Imaging (1988), section 5.2, with the weights of this chain. Scattered radiation, afterglow and optical
crosstalk are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .protocol import Acquisition
from .rays import ray_points
from .recon.kernels import Kernel
from .recon.slices import box_for
from .sampling import Sampling
from .scanner import Scanner
from .signal import beam_of
from .topogram import LONGEST_MM
from .trajectory import deflections_mm
from .voxels import water_per_mm_g_cm2

LARGEST_GAIN = 12.0
"""Largest G, as in the reconstruction's filter."""

HU = 1000.0
_STEP_MM = 5.0
_FLAT = 0.6
"""Part of the beam where the helical weight W is 1."""


@dataclass(frozen=True, slots=True, eq=False)
class WaterBeam:
    """What the central ray tells of water at full sampling, tabulated over its length.

    Parameters
    ----------
    length_mm
        ``(T,)``: thickness of water [mm].
    log_loss
        ``(T,)``: polychromatic attenuation p = -ln(M1 / M1 of air) [1].
    quantum_mm2_mas
        ``(T,)``: q, variance of the thickness by counting, times the mAs per rotation [mm^2 mAs].
    electronic_mm2_mas2
        ``(T,)``: e, variance of the thickness by electronics, times the square of the mAs [mm^2 mAs^2].
    """

    length_mm: NDArray[np.float64]
    log_loss: NDArray[np.float64]
    quantum_mm2_mas: NDArray[np.float64]
    electronic_mm2_mas2: NDArray[np.float64]

    def attenuation(self, length_mm: ArrayLike) -> NDArray[np.float64]:
        """Attenuation p at lengths of any shape [1]."""
        return np.interp(np.asarray(length_mm, np.float64), self.length_mm, self.log_loss)

    def quantum(self, length_mm: ArrayLike) -> NDArray[np.float64]:
        """Counting q at lengths of any shape [mm^2 mAs]."""
        return np.exp(np.interp(np.asarray(length_mm, np.float64), self.length_mm, np.log(self.quantum_mm2_mas)))

    def electronic(self, length_mm: ArrayLike) -> NDArray[np.float64]:
        """Electronics e at lengths of any shape [mm^2 mAs^2]."""
        if not self.electronic_mm2_mas2.any():
            return np.zeros(np.shape(length_mm))
        return np.exp(np.interp(np.asarray(length_mm, np.float64), self.length_mm, np.log(self.electronic_mm2_mas2)))


def water_beam(scanner: Scanner, acquisition: Acquisition) -> WaterBeam:
    """Attenuation and noise of water on the central ray of one reading of the scanner."""
    beam = beam_of(scanner, acquisition, Sampling())
    _, n_rows, _ = beam.path_g_cm2.shape
    middle = n_rows // 2, round(scanner.detector.isocentre_column)
    length = np.arange(0.0, LONGEST_MM + _STEP_MM / 2, _STEP_MM)
    path = beam.path_g_cm2[:, middle[0], middle[1]]
    first, second = beam.moments_kev(path[:, None] + water_per_mm_g_cm2()[:, None] * length)
    first, second = beam.gain[middle] * first, beam.gain[middle] * second
    slope = first * np.gradient(np.log(first), length, edge_order=2)  # M1 falls almost exponentially
    noise_kev = scanner.detector.electronic_noise_kev
    return WaterBeam(length, -np.log(first / first[0]), second / slope**2, noise_kev**2 / slope**2)


def image_variance_hu2_per_mm2(
    scanner: Scanner, acquisition: Acquisition, kernel: Kernel, slice_thickness_mm: float
) -> float:
    """sigma^2 / <v>: variance in the middle of the image per mean variance of a reading's water thickness [HU^2/mm^2].

    Raises
    ------
    ValueError
        If the slice is thinner than a row at the axis.
    """
    row_mm = scanner.detector.row_pitch_iso_mm
    box_mm = box_for(slice_thickness_mm, row_mm)
    n_views = scanner.views_per_rotation * len(deflections_mm(scanner, acquisition))
    cell_mm = scanner.column_pitch_rad * scanner.source_distance_mm
    f = np.linspace(0.0, 2 * kernel.mtf10_per_mm, 2001)
    transfer = np.minimum(kernel.mtf(f) / np.maximum(_blur(scanner, acquisition, cell_mm, f), 1e-3), LARGEST_GAIN)
    ramp = 2 * float(np.trapezoid((f * transfer) ** 2, f))
    rows = row_mm / box_mm * (1 - row_mm / (3 * box_mm)) if box_mm >= row_mm else 1 - box_mm / (3 * row_mm)
    turns = _half_turns(acquisition.pitch) if acquisition.mode == "helical" else 0.5
    return HU**2 * 2 * math.pi**2 / n_views * cell_mm * ramp * turns * rows


def _blur(scanner: Scanner, acquisition: Acquisition, cell_mm: float, f: NDArray[np.float64]) -> NDArray[np.float64]:
    """MTF at the axis of what blurs the signal before it is counted."""
    points = ray_points(scanner, acquisition, Sampling())
    place = points.spot_mm[:, 0] * (1 - scanner.source_distance_mm / scanner.detector_distance_mm)
    spot = np.abs(np.exp(-2j * np.pi * f[:, None] * place) @ points.weight)
    leak = scanner.detector.xray_crosstalk[0]
    return np.asarray(np.sinc(f * cell_mm) * spot * (1 - 2 * leak + 2 * leak * np.cos(2 * np.pi * f * cell_mm)))


def _half_turns(pitch: float) -> float:
    """Mean over the place in the beam of sum W^2 / (sum W)^2; half turns are ``pitch`` half beams apart."""
    place = (np.arange(2000) + 0.5) / 2000 * pitch
    q = np.abs(place[:, None] - 1.0 + pitch * np.arange(math.ceil(2 / pitch) + 1))
    s = np.clip((q - _FLAT) / (1 - _FLAT), 0.0, 1.0)
    weight = 1 - s * s * (3 - 2 * s)
    total = weight.sum(axis=1)
    return float(np.mean((weight**2).sum(axis=1) / np.maximum(total, 1e-12) ** 2))
