"""Real spherical harmonics on latitude-longitude tables: evaluated ring by ring, never per voxel.

``f(theta, phi) = sum_lm c_lm Y_lm`` with orthonormal real ``Y_lm``: ``P_l0``, ``sqrt(2) P_lm cos(m phi)``, ``sqrt(2)
P_lm sin(m phi)``, where ``P_lm`` are the fully normalised associated Legendre functions (recursion of Holmes and
Featherstone, J. Geodesy 76 (2002) 279, stable far beyond the degrees used here). By the addition theorem degree l with
coefficients of variance
``4 pi V_l / (2l + 1)`` has variance ``V_l`` at every point of the sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

L_MIN, L_MAX = 2, 12

NORMALS = (L_MAX + 1, 2 * L_MAX + 1)
"""Shape of the numbers that fix a pattern: by degree, orders of cosines and then of sines."""


@dataclass(frozen=True, slots=True, eq=False)
class Harmonics:
    """Coefficients of degrees 0..12: ``cosine[l, m]`` and ``sine[l, m]`` (m = 0..l; ``sine[:, 0]`` is 0)."""

    cosine: NDArray[np.float64]
    sine: NDArray[np.float64]

    def on(self, theta: NDArray[np.float64], n_phi: int) -> NDArray[np.float64]:
        """Values ``(theta, phi)`` on rings of ``n_phi`` equally spaced longitudes that begin at 0."""
        legendre = _legendre(theta.tobytes())
        # Rings are sums of cosines and sines of the longitude: one Fourier transform each, of enough points for all.
        finer = 2 * L_MAX // n_phi + 1
        rings = np.zeros((len(theta), finer * n_phi // 2 + 1), np.complex128)
        share = np.where(np.arange(L_MAX + 1) == 0, 1.0, math.sqrt(0.5))
        rings.real[:, : L_MAX + 1] = np.einsum("lm,lmt->tm", self.cosine * share, legendre)
        rings.imag[:, : L_MAX + 1] = -np.einsum("lm,lmt->tm", self.sine * share, legendre)
        return np.fft.irfft(rings, finer * n_phi, axis=1, norm="forward")[:, ::finer]

    def quadratic(self) -> NDArray[np.float64]:
        """Degree 2 as a symmetric matrix ``Q`` of trace 0: its part at the unit vector u is ``u Q u``."""
        k0, k1, k2 = math.sqrt(5 / (16 * math.pi)), math.sqrt(15 / (4 * math.pi)), math.sqrt(15 / (16 * math.pi))
        (c0, c1, c2), (_, s1, s2) = self.cosine[2, :3], self.sine[2, :3]
        return np.array(
            [
                [k2 * c2 - k0 * c0, k2 * s2, 0.5 * k1 * c1],
                [k2 * s2, -k2 * c2 - k0 * c0, 0.5 * k1 * s1],
                [0.5 * k1 * c1, 0.5 * k1 * s1, 2 * k0 * c0],
            ]
        )

    def from_degree(self, lowest: int) -> Harmonics:
        """The degrees from ``lowest`` on."""
        cosine, sine = self.cosine.copy(), self.sine.copy()
        cosine[:lowest], sine[:lowest] = 0, 0
        return Harmonics(cosine, sine)


@lru_cache(maxsize=8)
def _legendre(theta: bytes) -> NDArray[np.float64]:
    """The functions on rings given as the bytes of their float64 angles: a few tables serve all bodies."""
    table = normalised_legendre(L_MAX, np.frombuffer(theta))
    table.setflags(write=False)
    return table


def normalised_legendre(l_max: int, theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """``P_lm(cos theta)`` as ``(l_max + 1, l_max + 1, theta)``, with ``2 pi int P_lm^2 sin(theta) dtheta = 1``."""
    x, s = np.cos(theta), np.sin(theta)
    p = np.zeros((l_max + 1, l_max + 1, len(theta)))
    p[0, 0] = 1 / math.sqrt(4 * math.pi)
    for m in range(1, l_max + 1):
        p[m, m] = math.sqrt((2 * m + 1) / (2 * m)) * s * p[m - 1, m - 1]
    for m in range(l_max):
        p[m + 1, m] = math.sqrt(2 * m + 3) * x * p[m, m]
    for m in range(l_max + 1):
        for n in range(m + 2, l_max + 1):
            a = math.sqrt((4 * n * n - 1) / (n * n - m * m))
            b = math.sqrt(((n - 1) ** 2 - m * m) / (4 * (n - 1) ** 2 - 1))
            p[n, m] = a * (x * p[n - 1, m] - b * p[n - 2, m])
    return p


def draw_harmonics(rng: np.random.Generator, *, sd_l2: float, sd: float, nu: float) -> Harmonics:
    """:func:`harmonics_of` numbers drawn from ``rng``: the same generator state gives the same pattern at every sd."""
    return harmonics_of(rng.standard_normal(NORMALS), sd_l2=sd_l2, sd=sd, nu=nu)


def harmonics_of(normals: NDArray[np.float64], *, sd_l2: float, sd: float, nu: float) -> Harmonics:
    """Coefficients with an rms of ``sd_l2`` in degree 2 and ``sd`` in degrees 3-12, power falling as ``l^-nu``.

    The rms over the sphere is met exactly; the numbers, of shape :data:`NORMALS` and normal, decide how the degrees and
    orders share it.
    """
    power = np.zeros(L_MAX + 1)
    degrees = np.arange(3, L_MAX + 1)
    power[3:] = degrees**-nu / np.sum(degrees**-nu)
    power[2] = 1.0
    cosine, sine = np.zeros((L_MAX + 1, L_MAX + 1)), np.zeros((L_MAX + 1, L_MAX + 1))
    for n in range(L_MIN, L_MAX + 1):
        scale = math.sqrt(4 * math.pi * power[n] / (2 * n + 1))
        cosine[n, : n + 1] = scale * normals[n, : n + 1]
        sine[n, 1 : n + 1] = scale * normals[n, n + 1 : 2 * n + 1]
    for part, wanted in ((slice(2, 3), sd_l2), (slice(3, None), sd)):
        rms = math.sqrt((np.sum(cosine[part] ** 2) + np.sum(sine[part] ** 2)) / (4 * math.pi))
        cosine[part] *= wanted / rms
        sine[part] *= wanted / rms
    return Harmonics(cosine, sine)
