"""A thorax, a scanner and a beam as plain arrays, for ``gpu_check.py``: NumPy and the package's baked tables suffice.

Geometry of a Siemens Definition AS: SID 595 mm, SDD 1085.6 mm, 736 columns of 0.067864 degrees with a quarter offset,
64 rows of 0.6 mm at the axis. Beam: tungsten at 7 degrees, 120 kVp, 7 mm of aluminium, a bowtie of polyethylene,
scintillator 1.4 mm of gadolinium oxysulfide. Both are design choices of this check, not a vendor's profile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from ctsim.attenuation import ENERGY_KEV, mass_attenuation
from ctsim.geometry import Geometry
from ctsim.spectrum import tube_spectrum
from twins import Grid, Material

SID_MM, SDD_MM, ROW_MM = 595.0, 1085.6, 0.6
STEP_G_CM3 = 3.3 / 65535
ENERGY_STEP_KEV = 1 / 256
MAS = 60.0
NOISE_KEV = 230.0
"""Electronic noise of a reading [keV]."""

ALUMINIUM = Material("aluminium", 2.699, (("Al", 1.0),), "NIST")
SCINTILLATOR = Material("gadolinium oxysulfide", 7.34, (("Gd", 0.830767), ("O", 0.084533), ("S", 0.0847)), "Gd2O2S")
WATER = {"H": 0.111894, "O": 0.888106}
BASES = ({"H": 0.143711, "C": 0.856289}, {"H": 0.002007, "O": 0.414071, "P": 0.184987, "Ca": 0.398935})
"""Polyethylene and hydroxyapatite: what the two densities of a voxel count."""


def curves() -> NDArray[np.float64]:
    """Mass attenuation of the two bases, ``(2, energy)`` [cm2/g]."""
    return np.stack([mass_attenuation(base) for base in BASES])


def water_in_bases() -> NDArray[np.float64]:
    """Grams of each basis that stand for one gram of water."""
    return np.linalg.lstsq(curves()[:, 30:].T, mass_attenuation(WATER)[30:], rcond=None)[0]


@dataclass(frozen=True)
class Size:
    """How large the thorax and its scan are."""

    matrix: int = 512
    slices: int = 300
    length_mm: float = 300.0
    voxel_mm: float = 0.7
    rows: int = 64
    columns: int = 736
    views: int = 1152
    rotations: float = 9.0


THORAX = Size()
TINY = Size(matrix=24, slices=9, length_mm=9.0, voxel_mm=14.0, rows=8, columns=46, views=48, rotations=4.0)


@dataclass(frozen=True)
class Kernel:
    """What the filter asks of a kernel: an MTF like a Gaussian."""

    name: str
    mtf50_per_mm: float
    mtf10_per_mm: float

    def mtf(self, frequency_per_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """MTF asked for at frequencies [1/mm]."""
        return np.exp(-math.log(2) * (np.asarray(frequency_per_mm) / self.mtf50_per_mm) ** 2)


def gaussian(mtf50_per_mm: float) -> Kernel:
    """The kernel of that 50 % frequency."""
    return Kernel("check", mtf50_per_mm, mtf50_per_mm * math.sqrt(math.log(10) / math.log(2)))


def scanner(
    size: Size, feed_mm: float, deflection_mm: tuple[tuple[float, float, float], ...] = ((0, 0, 0),)
) -> Geometry:
    """Views around z = 0; fewer columns are wider ones, so that the fan stays."""
    turn = np.arange(round(size.views * size.rotations)) / size.views
    pitch = math.radians(0.067864) * 736 / size.columns
    row = ROW_MM * 64 / size.rows * SDD_MM / SID_MM
    return Geometry(
        SID_MM, SDD_MM, (0.0, 0.0), 2 * np.pi * turn, feed_mm * (turn - size.rotations / 2),
        (np.arange(size.columns) - (size.columns - 1) / 2 + 0.25) * pitch,
        (np.arange(size.rows) - (size.rows - 1) / 2) * row, row, size.views, feed_mm,
        np.asarray(deflection_mm, dtype=np.float64),
    )  # fmt: skip


def word_of(g_cm3: NDArray[np.float64]) -> int:
    """Densities of the two bases as the projector's word."""
    low, high = (round(float(rho) / STEP_G_CM3) for rho in g_cm3)
    return low | high << 16


def thorax(size: Size, longer_mm: float = 60.0) -> SimpleNamespace:
    """A body of water 330 mm wide with two lungs, a heart and a spine, ``longer_mm`` longer than the scan in all.

    All is water of some density, so that nothing hardens the beam but what the correction knows.
    """
    n, n_z = size.matrix, math.ceil((size.length_mm + longer_mm) / size.voxel_mm)
    x = (np.arange(n) - (n - 1) / 2) * size.voxel_mm
    z = (np.arange(n_z) - (n_z - 1) / 2) * size.voxel_mm
    words = np.zeros((n, n, n_z), np.uint32)
    pure = water_in_bases()
    water, lung, spine = word_of(pure), word_of(0.26 * pure), word_of(1.3 * pure)
    for j in range(n):
        y, line = x[j], words[j]
        line[(x / 165) ** 2 + (y / 115) ** 2 < 1] = water
        for side in (-1, 1):
            square = ((x + side * 78) / 62) ** 2 + ((y + 5) / 85) ** 2
            line[square[:, None] + (z / 160) ** 2 < 1] = lung
        line[((x - 20) / 45)[:, None] ** 2 + ((y + 25) / 45) ** 2 + (z / 55) ** 2 < 1] = water
        line[x**2 + (y - 75) ** 2 < 18**2] = spine
    corner = float(x[0])
    return SimpleNamespace(
        grid=Grid((n_z, n, n), (size.voxel_mm,) * 3, (corner, corner, float(z[0]))),
        words=words, step_g_cm3=STEP_G_CM3, iodine=None, iodine_step_g_cm3=0.1 / 65535, n_channels=2,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Light:
    """A beam as the GPU's driver takes it, and what its tables stand for."""

    geometry: Geometry
    rays: tuple[Geometry, ...]
    weight: NDArray[np.float64]
    parts: tuple[int, int]
    slope_share: tuple[float, float]
    table: SimpleNamespace
    couch: None
    top_mm: None
    photons: NDArray[np.float64]

    def moments(self, path_g_cm2: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """M1 and M2 / M1 by the sum over energies, for area densities ``(2, ...)`` beam included [keV]."""
        depth = sum(path_g_cm2[k][..., None] * curve for k, curve in enumerate(curves()))
        energy = self.photons * ENERGY_KEV * np.exp(-depth)
        first = energy.sum(axis=-1)
        return first, (energy @ ENERGY_KEV) / first


def light_of(geometry: Geometry) -> Light:
    """The beam that lights a scan, with its tables."""
    tube = tube_spectrum(120, 7.0, [(ALUMINIUM, 7.0)]).fluence_per_mm2_mas
    absorbed = -np.expm1(-mass_attenuation(SCINTILLATOR) * SCINTILLATOR.density_g_cm3 * 0.14)
    area_mm2 = geometry.column_pitch_rad * SDD_MM * geometry.row_pitch_mm
    photons = tube * absorbed * (1000 / SDD_MM) ** 2 * area_mm2 / geometry.views_per_rotation
    angle = geometry.column_angle_rad
    bowtie = 4.0 * (1 - np.cos(angle)) / (1 - math.cos(0.436))  # polyethylene [g/cm2]
    slant = np.hypot(1.0, geometry.row_offset_mm / SDD_MM)[:, None]
    path = np.stack([bowtie * slant, np.zeros((len(slant), len(angle)))])
    step = np.array([0.5, 0.1, 1.0])
    thin, dense = curves()
    alone = photons * ENERGY_KEV * np.exp(-np.arange(201)[:, None] * step[0] * thin)
    passed = np.exp(-np.arange(301)[:, None] * step[1] * dense)
    first, second = alone @ passed.T, (alone * ENERGY_KEV) @ passed.T
    table = SimpleNamespace(
        beam=SimpleNamespace(path_g_cm2=path, gain=np.ones(path.shape[1:])),
        log_loss=(-np.log(first / first[0, 0])).astype(np.float32)[..., None],
        mean_energy_kev=(second / first).astype(np.float32)[..., None],
        step_g_cm2=step.astype(np.float32), origin_g_cm2=path.min(axis=(1, 2)), origin_kev=float(first[0, 0]),
    )  # fmt: skip
    return Light(geometry, (geometry,), np.ones(1), (1, 1), (0.0, 0.0), table, None, None, photons)


def water_correction(light: Light) -> SimpleNamespace:
    """Polynomials that take the log signal behind 0 to 600 mm of water to ``mu_water`` times its length."""
    water = water_in_bases() / 10  # g/cm2 per mm
    length = np.linspace(0, 600, 61)
    beam = light.table.beam.path_g_cm2
    middle = beam[:, beam.shape[1] // 2]
    path = water[:, None, None] * length[:, None] + middle[:, None, :]
    p = -np.log(light.moments(path)[0] / light.moments(middle[:, None, :])[0])  # (length, column)
    mu = float(p[length == 200.0].min() / 200)
    powers = np.arange(1, 7)
    one = np.empty((p.shape[1], 6))
    longest = np.empty((p.shape[1], 3))
    for k, loss in enumerate(p.T):
        scaled = loss / loss[-1]
        fitted = np.linalg.lstsq(scaled[:, None] ** powers, mu * length, rcond=None)[0]
        one[k] = fitted / loss[-1] ** powers
        longest[k] = loss[-1], fitted.sum(), (fitted * powers).sum() / loss[-1]
    n_rows = beam.shape[1]
    return SimpleNamespace(
        mu_water_per_mm=mu,
        coefficient=np.repeat(one[None], n_rows, axis=0),
        longest=np.repeat(longest[None], n_rows, 0),
    )


def image_axes(size: Size) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """World z, y, x of the image's voxels [mm]."""
    x = (np.arange(size.matrix) - (size.matrix - 1) / 2) * size.voxel_mm
    return (np.arange(size.slices) - (size.slices - 1) / 2) * (size.length_mm / size.slices), x, x
