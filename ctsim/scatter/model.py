"""Thickness-dependent kernel superposition: scatter from the primary alone.

The beam through node m, weakened by ``p_m = -ln(primary / air)``, scatters as if from a point on its way a little
behind the body's middle, by two kernels i (a narrow one: coherent and forward scatter; a broad one). On the way to
node n it crosses the rays between m and n, whose mean p is ``p_mn``:

    S_n = sum_i sum_m Q_m A_m a_i p_m^u_i exp(-b_i p_m - k_i p_mn - (theta_nm / s_i)^e_i) cos(alpha_nm) / d_nm^2

with Q_m the air signal, A_m the node's area, d and theta distance and scattering angle from that point to n, alpha the
obliquity there. It follows fast adaptive scatter kernel superposition (Sun & Star-Lack, Phys Med Biol 55 (2010) 6695,
doi:10.1088/0031-9155/55/22/007): amplitudes by thickness, kernels made asymmetric by the thickness around. Written in
angles and distances it holds for any SID, SDD and collimation. The coefficients, linear in the mean energy of the beam,
are fitted to the package's own Monte Carlo (``scripts/bake_scatter.py``), errors in ``data/scatter.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from twins import material

from ..attenuation import ENERGY_KEV, mass_attenuation
from ..kernels import scatter as kernel
from ..protocol import Acquisition
from ..scanner import Scanner
from ..spectrum import tube_spectrum

MM_PER_CM = 10.0
REFERENCE_KEV = 68.0
"""Beam energy about which the coefficients are linear [keV]."""

NAMES = ("log_a", "u", "b", "log_s", "e", "k")
"""Coefficients of one kernel; log_s: of radians."""


@dataclass(frozen=True, slots=True, eq=False)
class ScatterModel:
    """Coefficients of the superposition.

    Parameters
    ----------
    coefficient
        ``(2, kernels, 6)`` float64: at ``REFERENCE_KEV`` and change per keV of ``NAMES``.
    behind_mm
        How far behind the body's middle the beams scatter [mm].
    energy
        ``(3,)`` float64: mean energy of the scatter / that of the beam = e0 + e1 p_n + e2 mean p over the detector.
    """

    coefficient: NDArray[np.float64]
    behind_mm: float
    energy: NDArray[np.float64]

    def at(self, beam_kev: float) -> NDArray[np.float64]:
        """Coefficients ``(kernels, 6)`` for a beam of that mean detected energy."""
        return np.asarray(self.coefficient[0] + (beam_kev - REFERENCE_KEV) * self.coefficient[1])

    def scatter(
        self,
        nodes: NodeGeometry,
        air: NDArray[np.float64],
        p: NDArray[np.float64],
        beam_kev: float,
        depth_mm: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Scatter at the nodes, without grid.

        Parameters
        ----------
        nodes
            Where the nodes are.
        air
            ``(r, c)``: air signal at the nodes, any unit per reading.
        p
            ``(views, r, c)``: -ln(primary / air), below 0 taken as 0.
        beam_kev
            :func:`beam_energy_kev`.
        depth_mm
            ``(views,)``: how far the body's middle lies behind the axis, seen from the source [mm]; none: on it.

        Returns
        -------
        numpy.ndarray
            ``(views, r, c)`` in the unit of ``air``.
        """
        p = np.ascontiguousarray(np.maximum(p, 0.0))
        depth = np.zeros(len(p)) if depth_mm is None else depth_mm
        out = np.empty(p.shape)
        kernel.superpose(
            p,
            np.ascontiguousarray(air * nodes.area_mm2),
            nodes.fan_angle_rad,
            nodes.height_mm,
            np.array([nodes.source_distance_mm, nodes.detector_distance_mm]),
            depth + self.behind_mm,
            self.at(beam_kev),
            out,
        )
        return out

    def mean_energy_kev(self, p: NDArray[np.float64], beam_kev: float) -> NDArray[np.float64]:
        """M2 / M1 of the scatter at nodes with ``p`` ``(views, r, c)`` [keV]."""
        p = np.maximum(p, 0.0)
        e0, e1, e2 = self.energy
        ratio = e0 + e1 * p + e2 * p.mean(axis=(1, 2), keepdims=True)
        return np.asarray(beam_kev * np.clip(ratio, 0.5, 1.2))


@dataclass(frozen=True, slots=True, eq=False)
class NodeGeometry:
    """Coarse cells of the detector.

    Parameters
    ----------
    source_distance_mm, detector_distance_mm
        SID and SDD [mm].
    fan_angle_rad
        ``(c,)`` middles [rad].
    height_mm
        ``(r,)`` middles on the detector [mm].
    area_mm2
        Area of each cell, one for all or ``(r, c)`` [mm2].
    """

    source_distance_mm: float
    detector_distance_mm: float
    fan_angle_rad: NDArray[np.float64]
    height_mm: NDArray[np.float64]
    area_mm2: float | NDArray[np.float64]


def beam_energy_kev(scanner: Scanner, acquisition: Acquisition) -> float:
    """Mean detected energy of the central ray, M2 / M1 behind the flat filters [keV]."""
    filters = [layer.as_filter() for layer in scanner.filters(acquisition.spectral_filter)]
    spectrum = tube_spectrum(acquisition.kvp, scanner.anode_angle_deg, filters).fluence_per_mm2_mas
    scintillator = material(scanner.detector.material)
    depth = mass_attenuation(scintillator) * scintillator.density_g_cm3 * scanner.detector.thickness_mm / MM_PER_CM
    energy = spectrum * -np.expm1(-depth) * ENERGY_KEV
    return float((energy * ENERGY_KEV).sum() / energy.sum())


def scatter_model() -> ScatterModel:
    """The model that makes the scatter of a scan, with its baked coefficients."""
    return _baked()[0]


def scanner_model() -> ScatterModel:
    """The simpler model that a scanner corrects with: one kernel for all scanners and beams, before calibration."""
    return _baked()[1]


@cache
def _baked() -> tuple[ScatterModel, ScatterModel]:
    data = json.loads(files("ctsim").joinpath("data/scatter.json").read_text(encoding="utf-8"))
    energy = np.array(data["energy"])
    full = ScatterModel(np.array(data["coefficient"]), float(data["behind_mm"]), energy)
    return full, ScatterModel(np.array(data["scanner_coefficient"]), float(data["behind_mm"]), energy)
