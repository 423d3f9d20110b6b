"""From raw readings to water-equivalent line integrals.

1. Offset: the dark signal is subtracted.
2. Scatter: the scanner's own estimate of it is subtracted (:mod:`ctsim.scatter.correction`), if the protocol asks for
   it and the readings hold scatter (they do unless their ``meta`` says otherwise).
3. Starvation: readings of few photons are smoothed (:mod:`ctsim.starvation`), if the protocol asks for it.
4. Air: each reading is divided by its cell's mean signal in room air times the view's mAs (the average of many air
   scans with the same detector, taken as free of noise, so that crosstalk of air is in it).
5. Logarithm. A signal below half a mean air photon counts as that (electronic noise can make it negative).
6. Water: p(t) of water (above room air) of 0 to 600 mm behind what is in the beam of each cell (bowtie, heel effect)
   is inverted by a polynomial of order 6 through the origin, so that every cell answers ``mu_water t``; below 0 and
   beyond 600 mm it goes on linearly. Fitted on up to 13 rows, whose coefficients are interpolated by cubic splines.

``mu_water`` is the mean attenuation of the first 200 mm of water where the bowtie is thinnest. Since t is a length of
water in air, air is -1000 HU and water 0 HU.

The water fit per cell is the usual single-material beam-hardening correction (Herman, Phys Med Biol 24 (1979) 81).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.polynomial import Legendre, Polynomial
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from .backends import NodeValues, choose
from .cells import electronic_noise_kev
from .dose import Dose, dose_of
from .exposure import BLOCK_BYTES
from .kernels.correct import evaluate, take_log
from .raw import RawScan
from .scatter.correction import correct_scatter, estimated_scatter
from .signal import Beam, beam_of
from .sinogram import Sinogram
from .starvation import LARGEST_HALF_WIDTH, WANTED_COUNTS, filter_starved
from .voxels import water_per_mm_g_cm2

ORDER = 6
LONGEST_MM = 600.0
REFERENCE_MM = 200.0
FITTED_ROWS = 13
LOWEST_PHOTONS = 0.5
"""Signal floor in mean air photons (design default)."""


@dataclass(frozen=True, slots=True, eq=False)
class WaterCorrection:
    """Polynomials from polychromatic log signal to water-equivalent line integral.

    Parameters
    ----------
    mu_water_per_mm
        Effective attenuation of water above air [1/mm].
    coefficient
        ``(rows, columns, 6)`` float64: of p, p^2 ... p^6.
    longest
        ``(rows, columns, 3)`` float64: largest p of the fit, the polynomial's value and slope there.
    """

    mu_water_per_mm: float
    coefficient: NDArray[np.float64]
    longest: NDArray[np.float64]

    def apply(self, log_loss: NDArray[np.float32]) -> None:
        """Correct ``-ln(signal / air)`` ``(view, row, column)`` in place."""
        evaluate(log_loss, self.coefficient, self.longest)


def water_correction(beam: Beam) -> WaterCorrection:
    """Fit the correction of every cell of a beam.

    Notes
    -----
    Largest misfit on the fitted range: below 0.01 mm of water (``tests/ctsim/test_correction.py``).
    """
    n_rows = beam.path_g_cm2.shape[1]
    rows = np.unique(np.rint(np.linspace(0, n_rows - 1, min(n_rows, FITTED_ROWS))).astype(int))
    per_mm = water_per_mm_g_cm2()
    angle = np.linspace(0, math.pi, 61)
    length_mm = LONGEST_MM * (1 - np.cos(angle)) / 2
    thinnest = int(beam.path_g_cm2[:, n_rows // 2].sum(axis=0).argmin())
    middle = beam.path_g_cm2[:, n_rows // 2, thinnest, None]
    behind = middle + per_mm[:, None] * np.array([0.0, REFERENCE_MM])
    air, water = beam.moments_kev(behind)[0]
    mu = math.log(float(air / water)) / REFERENCE_MM
    loss = _loss_of_lengths(beam, rows, per_mm, length_mm)
    scale = loss[..., -1]
    x = loss / scale[..., None]
    basis = [x * Legendre.basis(k, domain=[0.0, 1.0])(x) for k in range(ORDER)]  # all but orthogonal at these nodes
    gram = np.empty((*scale.shape, ORDER, ORDER))
    for k, m in np.ndindex(ORDER, ORDER):
        gram[..., k, m] = gram[..., m, k] if m < k else np.einsum("rcn,rcn->rc", basis[k], basis[m])
    right = np.stack([of_k @ (mu * length_mm) for of_k in basis], axis=-1)
    fit = np.linalg.solve(gram, right[..., None])[..., 0] @ _monomials()
    coefficient = _over_rows(rows, n_rows, fit / scale[..., None] ** np.arange(1, ORDER + 1))
    end = _over_rows(rows, n_rows, scale)
    terms = coefficient * end[..., None] ** np.arange(1, ORDER + 1)
    longest = np.stack([end, terms.sum(axis=-1), (terms * np.arange(1, ORDER + 1)).sum(axis=-1) / end], axis=-1)
    return WaterCorrection(mu, np.ascontiguousarray(coefficient), longest)


def _monomials() -> NDArray[np.float64]:
    """Coefficients of x, x^2 ... in x times Legendre's polynomials of 2 x - 1, one a row, ``(ORDER, ORDER)``."""
    shifted = [Legendre.basis(k, domain=[0.0, 1.0]).convert(kind=Polynomial).coef for k in range(ORDER)]
    return np.stack([np.pad(coefficient, (0, ORDER - len(coefficient))) for coefficient in shifted])


def _loss_of_lengths(
    beam: Beam, rows: NDArray[np.int_], per_mm: NDArray[np.float64], length_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """-ln(M1 / M1 of air) behind lengths of water, ``(len(rows), columns, lengths)``; same sums as `moments_kev`."""
    signal = beam.behind_kev(beam.path_g_cm2[:, rows], per_mm, length_mm)
    return np.asarray(-np.log(signal / signal[..., :1]))


def _over_rows(rows: NDArray[np.int_], n_rows: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of some rows, by cubic splines for all of them."""
    if len(rows) == n_rows:
        return values
    return np.asarray(CubicSpline(rows, values, axis=0)(np.arange(n_rows)))


def log_loss(
    signal_kev: NDArray[np.float32],
    air_kev_per_mas: NDArray[np.float64],
    mas: NDArray[np.float64],
    photon_kev: float,
) -> None:
    """Replace detected energy by ``-ln(max(signal, floor) / (mas air))``, in place.

    Parameters
    ----------
    signal_kev
        ``(view, row, column)`` float32, overwritten [keV].
    air_kev_per_mas
        ``(row, column)`` float64: mean signal without an object [keV per mAs].
    mas
        ``(view,)`` float64: mAs per rotation in each view.
    photon_kev
        Mean energy of an air photon; half of it is the floor [keV].
    """
    take_log(signal_kev, air_kev_per_mas, mas, LOWEST_PHOTONS * photon_kev)


def correct(
    raw: RawScan, *, overwrite: bool = False, backend: str = "auto", block_bytes: int = BLOCK_BYTES
) -> Sinogram:
    """Correct raw readings: offset, scatter, starvation, air, logarithm, water, as the protocol asks.

    Parameters
    ----------
    raw
        Readings with their calibration.
    overwrite
        Use up ``raw.signal_kev`` instead of a copy; the raw scan is worthless afterwards.
    backend
        "auto", "cpu" or "gpu".
    block_bytes
        Most memory of the device that a block of views may take at a time, see :func:`ctsim.expose` [bytes]. The CPU
        corrects in place and needs none beside the readings.

    Raises
    ------
    ValueError
        If scanner or sampling do not fit the readings, or ``block_bytes`` is below 1.
    RuntimeError
        If backend "gpu" is asked for and cannot be had.
    """
    scanner, protocol, sampling = raw.scanner, raw.protocol, raw.sampling
    chosen = choose(backend)
    if block_bytes < 1:
        raise ValueError(f"block_bytes must be at least 1, got {block_bytes}")
    beam = beam_of(scanner, protocol, sampling)
    if beam.gain.shape != raw.geometry.shape[1:]:
        raise ValueError(
            f"scanner, protocol and sampling make {beam.gain.shape} (rows, columns), "
            f"the readings have {raw.geometry.shape[1:]}"
        )
    signal = raw.signal_kev if overwrite else raw.signal_kev.copy()
    if raw.offset_kev.any():
        signal -= raw.offset_kev.astype(np.float32)
    with_scatter = protocol.corrections.scatter and raw.meta.get("has_scatter", True)
    calibration = (raw.mas, raw.air_kev_per_mas, raw.geometry, scanner, protocol, beam)
    photon_kev, noise_kev = beam.mean_energy_kev, electronic_noise_kev(scanner, sampling)
    correction = water_correction(beam)
    if chosen == "gpu":
        from .backends.gpu import Gpu

        gpu, readings = Gpu(), signal
        signal = gpu.on_host(readings)  # memory for what becomes of them, if they are on the device
        gpu.correct(
            readings,
            signal,
            NodeValues.of(*estimated_scatter(partial(gpu.pooled, readings), *calibration)) if with_scatter else None,
            (photon_kev, noise_kev, WANTED_COUNTS, LARGEST_HALF_WIDTH) if protocol.corrections.starvation else None,
            correction,
            raw.air_kev_per_mas,
            raw.mas,
            LOWEST_PHOTONS * photon_kev,
            block_bytes=block_bytes,
        )
    else:
        if with_scatter:
            correct_scatter(signal, *calibration)
        if protocol.corrections.starvation:
            filter_starved(signal, photon_kev, noise_kev)
        log_loss(signal, raw.air_kev_per_mas, raw.mas, photon_kev)
        correction.apply(signal)
    dose = _dose(raw)
    meta = {**raw.meta, "mean_mas_per_rotation": float(raw.mas.mean())}
    if dose is not None:
        meta["dose"] = asdict(dose)
    return Sinogram(
        raw.geometry,
        signal,
        correction.mu_water_per_mm,
        scanner,
        protocol,
        sampling,
        raw.key,
        None if dose is None else dose.ctdi_vol_mgy,
        meta,
    )


def _dose(raw: RawScan) -> Dose | None:
    """Dose indices of the readings that were taken, overscan included."""
    protocol, geometry = raw.protocol, raw.geometry
    beam_mm = protocol.collimation_rows * raw.scanner.detector.row_pitch_iso_mm
    per_rotation_mm = abs(geometry.feed_per_rotation_mm) or beam_mm
    if protocol.mode == "step_and_shoot":
        per_rotation_mm = protocol.step_mm or beam_mm
    return dose_of(
        raw.scanner,
        protocol,
        mean_mas=float(raw.mas.mean()),
        scan_length_mm=per_rotation_mm * geometry.shape[0] / geometry.views_per_rotation,
        water_diameter_mm=raw.meta.get("water_diameter_mm") or None,
    )
