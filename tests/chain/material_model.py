"""What matter reads in CT by its attenuation alone: exact chords, every energy, an ideal scanner in two dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from ctsim.attenuation import ENERGY_KEV, mass_attenuation
from twins import Material, material

STEP_MM = 0.25
"""Distance of parallel rays."""

N_ANGLES = 720


@dataclass(frozen=True)
class Disc:
    """Change of partial densities inside a circle of the slice."""

    centre_mm: tuple[float, float]
    radius_mm: float
    change_g_cm3: tuple[tuple[Material, float], ...]


def hounsfield_at(points_mm, discs: list[Disc], photons: np.ndarray) -> np.ndarray:
    """HU at points of a slice made of ``discs``; the first holds all others, nothing is around it.

    Polychromatic line integrals along parallel rays, turned into lengths of water by the beam's own table, filtered by
    the band-limited ramp (Kak and Slaney 1988, eq. 3.61) and back projected.

    Parameters
    ----------
    points_mm
        ``(n, 2)`` world (x, y).
    photons
        ``(140,)`` weight of each energy in the signal, on ``ENERGY_KEV``.
    """
    points = np.asarray(points_mm)
    materials = list({m.name: m for d in discs for m, _ in d.change_g_cm3}.values())
    row = {m.name: k for k, m in enumerate(materials)}
    use = photons > 1e-6 * photons.max()
    weight = photons[use] / photons[use].sum()
    curves = np.array([mass_attenuation(m)[use] for m in materials])
    water = mass_attenuation(material("water"))[use] * material("water").density_g_cm3 / 10
    lengths = np.linspace(0, 500, 2501)
    loss = -np.log(np.exp(-water * lengths[:, None]) @ weight)
    n = int(discs[0].radius_mm / STEP_MM) + 2
    s = STEP_MM * np.arange(-n, n + 1)
    k = np.arange(-2 * n, 2 * n + 1)
    ramp = np.where(k % 2 == 0, 0.0, -1 / (np.pi**2 * np.where(k == 0, 1, k) ** 2 * STEP_MM**2))
    ramp[k == 0] = 1 / (4 * STEP_MM**2)
    total = np.zeros(len(points))
    for theta in (np.arange(N_ANGLES) + 0.5) * np.pi / N_ANGLES:
        areal = np.zeros((len(materials), len(s)))
        for disc in discs:
            off = s - disc.centre_mm[0] * np.cos(theta) - disc.centre_mm[1] * np.sin(theta)
            chord_cm = np.sqrt(np.maximum(disc.radius_mm**2 - off**2, 0)) / 5
            for m, rho in disc.change_g_cm3:
                areal[row[m.name]] += rho * chord_cm
        length_mm = np.interp(-np.log(np.exp(-areal.T @ curves) @ weight), loss, lengths)
        filtered = fftconvolve(length_mm, ramp)[2 * n : -2 * n]
        total += np.interp(points @ (np.cos(theta), np.sin(theta)), s, filtered)
    return 1000 * (total * STEP_MM * np.pi / N_ANGLES - 1)


def single_energy(kev: float) -> np.ndarray:
    """A spectrum of one energy, between its two neighbours in the table."""
    return np.maximum(0.0, 1 - np.abs(ENERGY_KEV - kev))
