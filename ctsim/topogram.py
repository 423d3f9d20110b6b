"""The topogram: the scanner's own localiser, from which it chooses the tube current.

The tube stands still above the patient ("ap": view angle -90 degrees) and beside them ("lateral": 0), the table moves,
the middle of the detector reads. Each reading is polychromatic, through the scanner's own filters and bowtie, and is
turned into the thickness of water that would dim it as much (the scanner's water correction, exact instead of a
polynomial). Noise is left out: a topogram's pixels are averaged over centimetres before anything is read from them.

From the water thickness t in the fan angle g of one direction, at every z:

    water-equivalent area      A = SID integral t cos g dg
    water-equivalent diameter  D_w = 2 sqrt(A / pi)                     (AAPM report 220, 2014, eq. 3 to 5)
    thickness                  T = (3 pi / 8) integral t^2 cos g dg / integral t cos g dg

A is exact for matter spread evenly about the foot of the perpendicular from the isocentre to each ray, as in any
centred disc or ellipse: along a ray the area element is r dr dg, and the mean of r over the chord is SID cos g. Matter
nearer to the tube looks larger; where both directions are taken, each one's centroid corrects the other's
magnification. T of an ellipse is its diameter along the rays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .couch import couch_path_g_cm2
from .geometry import Geometry
from .projection import project
from .protocol import Acquisition
from .sampling import Sampling
from .scanner import Scanner
from .signal import Beam, beam_of
from .tabletop import Couch
from .voxels import BasisVolume, water_per_mm_g_cm2

Direction = Literal["ap", "lateral"]
VIEW_ANGLE_DEG: dict[Direction, float] = {"ap": -90.0, "lateral": 0.0}

STEP_MM = 2.0
"""Distance of lines along z, and of columns at the axis [mm] (design default)."""

LONGEST_MM = 1000.0
"""Longest water path of the inversion [mm]; thicker bodies are read off its last slope."""

_TABLE_STEP_MM = 2.0
_LINES_TOGETHER = 16
_G_CM2_PER_MM = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Topogram:
    """Water-equivalent thickness of body and couch, seen from one or two directions.

    Parameters
    ----------
    directions
        "ap", "lateral": where the tube stood.
    z_mm
        ``(lines,)`` float64: world z of every line [mm].
    fan_angle_rad
        ``(columns,)`` float64: fan angle of every column, growing, equally spaced [rad].
    source_distance_mm
        SID [mm].
    water_mm
        ``(directions, lines, columns)`` float32: water that dims each reading as body and couch do [mm].
    couch_water_mm
        ``(directions, columns)`` float32: the same of the couch alone; 0 without one [mm].
    """

    directions: tuple[Direction, ...]
    z_mm: NDArray[np.float64]
    fan_angle_rad: NDArray[np.float64]
    source_distance_mm: float
    water_mm: NDArray[np.float32]
    couch_water_mm: NDArray[np.float32]

    def __post_init__(self) -> None:
        expected = (len(self.directions), len(self.z_mm), len(self.fan_angle_rad))
        if self.water_mm.shape != expected:
            raise ValueError(f"water_mm must have shape {expected}, got {self.water_mm.shape}")
        if self.couch_water_mm.shape != (expected[0], expected[2]):
            raise ValueError(
                f"couch_water_mm must have shape {(expected[0], expected[2])}, got {self.couch_water_mm.shape}"
            )

    def area_mm2(self, *, with_couch: bool = False) -> NDArray[np.float64]:
        """Water-equivalent area of every line, ``(lines,)`` [mm2]; the mean of the directions."""
        apparent, centroid = self._apparent(with_couch)
        if len(self.directions) == 2:
            offset = self._offsets(apparent, centroid)
            apparent = apparent * (1 + offset / self.source_distance_mm)
        return np.asarray(apparent.mean(axis=0))

    def thickness_mm(self, direction: Direction, *, with_couch: bool = False) -> NDArray[np.float64]:
        """Water-equivalent thickness T along one direction, ``(lines,)`` [mm].

        If that direction was not taken, it is the one that makes an ellipse of the area with the other's thickness.
        """
        if direction in self.directions:
            k = self.directions.index(direction)
            t, weight = self._shown(with_couch)[k], np.cos(self.fan_angle_rad)
            total = (t * weight).sum(axis=-1)
            return np.asarray(3 * np.pi / 8 * _ratio((t**2 * weight).sum(axis=-1), total))
        other = self.thickness_mm(self.directions[0], with_couch=with_couch)
        return np.asarray(4 / np.pi * _ratio(self.area_mm2(with_couch=with_couch), other))

    def water_equivalent_diameter_mm(
        self, z_mm: ArrayLike | None = None, *, with_couch: bool = False
    ) -> NDArray[np.float64]:
        """D_w at world z [mm], shape of ``z_mm``; none: of every line. Beyond the ends that of the end."""
        diameter = 2 * np.sqrt(self.area_mm2(with_couch=with_couch) / np.pi)
        return diameter if z_mm is None else np.interp(np.asarray(z_mm, np.float64), self.z_mm, diameter)

    def ellipse_mm(self, *, with_couch: bool = True) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Diameters along x and y of the water ellipse with the body's area and ratio of thicknesses [mm].

        Each ``(lines,)``; a line without a body has diameters of 0. The couch adds to each what it adds, on average, to
        the rays through the body in that direction.
        """
        diameter = self.water_equivalent_diameter_mm()
        along_x, along_y = self.thickness_mm("lateral"), self.thickness_mm("ap")
        there = (along_x > 0) & (along_y > 0)
        root = np.sqrt(np.where(there, along_x, 1.0) / np.where(there, along_y, 1.0))
        x, y = np.where(there, diameter * root, 0.0), np.where(there, diameter / root, 0.0)
        return (x + self._couch_mm("lateral"), y + self._couch_mm("ap")) if with_couch else (x, y)

    def _couch_mm(self, direction: Direction) -> NDArray[np.float64]:
        """Couch before or behind the body, weighted with the body's thickness, ``(lines,)`` [mm]."""
        if direction not in self.directions:
            return np.zeros(len(self.z_mm))
        k = self.directions.index(direction)
        body = self._shown(with_couch=False)[k]
        return _ratio((body * self.couch_water_mm[k]).sum(axis=-1), body.sum(axis=-1))

    def _shown(self, with_couch: bool) -> NDArray[np.float64]:
        shown = self.water_mm.astype(np.float64)
        return shown if with_couch else np.maximum(shown - self.couch_water_mm[:, None, :], 0.0)

    def _apparent(self, with_couch: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Area of every direction as if centred, and the middle of it along e_u, ``(directions, lines)``."""
        t = self._shown(with_couch)
        pitch = float(self.fan_angle_rad[1] - self.fan_angle_rad[0])
        along = self.source_distance_mm * np.cos(self.fan_angle_rad) * pitch
        area = (t * along).sum(axis=-1)
        place = self.source_distance_mm * np.sin(self.fan_angle_rad)
        return area, _ratio((t * along * place).sum(axis=-1), area)

    def _offsets(self, area: NDArray[np.float64], centroid: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much farther than the isocentre from each direction's tube the matter is, ``(2, lines)`` [mm]."""
        beta = np.radians([VIEW_ANGLE_DEG[direction] for direction in self.directions])
        offset = np.zeros_like(area)
        for _ in range(2):  # each centroid is magnified by the other's offset: the second pass settles it
            seen = centroid * (1 + offset / self.source_distance_mm)
            # this direction's e_r is the other's e_u, forwards or backwards
            offset = np.stack([np.sin(beta[1] - beta[0]) * seen[1], np.sin(beta[0] - beta[1]) * seen[0]])
        return offset


def take_topogram(
    volume: BasisVolume,
    scanner: Scanner,
    acquisition: Acquisition,
    sampling: Sampling,
    geometry: Geometry,
    *,
    couch: Couch | None = None,
    top_mm: tuple[float, float] | None = None,
    directions: tuple[Direction, ...] = ("ap", "lateral"),
) -> Topogram:
    """Take the topogram of a scan.

    Parameters
    ----------
    volume
        The body, insets left out: scans that differ in a lesion alone get the same tube current.
    scanner, acquisition, sampling
        As of the scan.
    geometry
        Of the scan: its isocentre, and the range along z that the beam passes.
    couch, top_mm
        What carries the patient, and where (:func:`ctsim.couch.couch_top_mm`); none: nothing.
    directions
        Where the tube stands, one or both.

    Raises
    ------
    ValueError
        If there is no direction or one is repeated, or a couch has no place.
    """
    if not directions or len(set(directions)) != len(directions):
        raise ValueError(f"directions must be one or both of ap, lateral, got {directions}")
    if (couch is None) != (top_mm is None):
        raise ValueError(f"couch and top_mm must be given together, got {couch} and {top_mm}")
    beam = beam_of(scanner, acquisition, sampling)
    lines = lines_mm(geometry)
    angle = columns_rad(geometry)
    in_air = _beam_path_g_cm2(beam, geometry, angle)
    inverse = _Inverse.of(beam, in_air)
    water = np.empty((len(directions), len(lines), len(angle)), np.float32)
    couch_water = np.zeros((len(directions), len(angle)), np.float32)
    for k, direction in enumerate(directions):
        scout = _standing(geometry, math.radians(VIEW_ANGLE_DEG[direction]), lines, angle)
        path = np.empty((volume.n_channels, len(lines), 1, len(angle)), np.float32)
        project(volume, (), scout, 0, path)
        path = path[:, :, 0]
        if couch is not None and top_mm is not None:
            carried = couch_path_g_cm2(couch, scout, slice(0, 1), top_mm)[:, 0]
            couch_water[k] = inverse.water_mm(carried[:, None])[0]
            path[:2] += carried[:, None]
        for first in range(0, len(lines), _LINES_TOGETHER):
            block = slice(first, first + _LINES_TOGETHER)
            water[k, block] = inverse.water_mm(path[:, block])
    return Topogram(directions, lines, angle, geometry.source_distance_mm, water, couch_water)


@dataclass(frozen=True, slots=True, eq=False)
class _Inverse:
    """From polychromatic log loss to water, column by column."""

    beam: Beam
    in_air_g_cm2: NDArray[np.float64]
    length_mm: NDArray[np.float64]
    log_loss: NDArray[np.float64]

    @classmethod
    def of(cls, beam: Beam, in_air_g_cm2: NDArray[np.float64]) -> _Inverse:
        length = np.arange(0.0, LONGEST_MM + _TABLE_STEP_MM / 2, _TABLE_STEP_MM)
        signal = beam.behind_kev(in_air_g_cm2, water_per_mm_g_cm2(), length)
        return cls(beam, in_air_g_cm2, length, -np.log(signal / signal[:, :1]))

    def water_mm(self, path_g_cm2: NDArray[np.float32]) -> NDArray[np.float64]:
        """Water of area densities ``(channel, lines, columns)``, ``(lines, columns)`` [mm]."""
        path = path_g_cm2.astype(np.float64)
        path[:2] += self.in_air_g_cm2[:, None, :]
        air = self.beam.moments_kev(self.in_air_g_cm2)[0]
        log_loss = -np.log(self.beam.moments_kev(path)[0] / air)
        out = np.empty(log_loss.shape)
        for c, table in enumerate(self.log_loss):
            slope = _TABLE_STEP_MM / (table[-1] - table[-2])
            beyond = np.maximum(log_loss[:, c] - table[-1], 0.0) * slope
            out[:, c] = np.interp(log_loss[:, c], table, self.length_mm) + beyond
        return out


def lines_mm(geometry: Geometry) -> NDArray[np.float64]:
    """World z of the lines: all that the beam passes at the axis [mm]."""
    half = 0.5 * len(geometry.row_offset_mm) * geometry.row_pitch_mm
    half *= geometry.source_distance_mm / geometry.detector_distance_mm
    low, high = geometry.source_z_mm.min() - half, geometry.source_z_mm.max() + half
    n = max(1, math.ceil((high - low) / STEP_MM))
    return np.asarray((low + high) / 2 + STEP_MM * (np.arange(n) - (n - 1) / 2))


def columns_rad(geometry: Geometry) -> NDArray[np.float64]:
    """Fan angles about as far apart as the lines, all over the detector."""
    gamma = geometry.column_angle_rad
    half = geometry.column_pitch_rad / 2
    low, high = gamma[0] - half, gamma[-1] + half
    n = max(2, min(len(gamma), math.ceil((high - low) * geometry.source_distance_mm / STEP_MM)))
    return np.asarray(low + (high - low) * (np.arange(n) + 0.5) / n)


def _beam_path_g_cm2(beam: Beam, geometry: Geometry, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the beam itself holds in its middle row, ``(2, columns)`` [g/cm2]."""
    middle = beam.path_g_cm2[:, beam.path_g_cm2.shape[1] // 2]
    return np.stack([np.interp(angle, geometry.column_angle_rad, path) for path in middle])


def _standing(geometry: Geometry, beta: float, lines_mm: NDArray[np.float64], angle: NDArray[np.float64]) -> Geometry:
    """The tube at rest at one view angle while the table moves: one row as high as the step of the lines."""
    return Geometry(
        source_distance_mm=geometry.source_distance_mm,
        detector_distance_mm=geometry.detector_distance_mm,
        isocentre_mm=geometry.isocentre_mm,
        view_angle_rad=np.full(len(lines_mm), beta),
        source_z_mm=lines_mm,
        column_angle_rad=angle,
        row_offset_mm=np.zeros(1),
        row_pitch_mm=STEP_MM * geometry.detector_distance_mm / geometry.source_distance_mm,
        views_per_rotation=len(lines_mm),
    )


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Their ratio, 0 where there is nothing below."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
