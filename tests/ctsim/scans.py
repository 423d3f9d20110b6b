"""Small scans and analytic bodies for the tests of projector and reconstruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctsim.geometry import Geometry
from ctsim.voxels import BASIS_STEP_G_CM3, BasisVolume
from twins import Grid

SID_MM, SDD_MM = 595.0, 1085.6


def geometry(
    views: int = 60,
    rows: int = 8,
    columns: int = 120,
    *,
    pitch_iso_mm: float = 1.5,
    row_iso_mm: float = 2.0,
    rotations: float = 1.0,
    feed_mm: float = 0.0,
    start_z_mm: float = 0.0,
    offset: float = 0.25,
    isocentre_mm: tuple[float, float] = (0.0, 0.0),
    start_rad: float = 0.0,
    deflection_mm: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),),
) -> Geometry:
    """Curved detector with a quarter offset; ``views`` per rotation."""
    n = round(views * rotations)
    turn = np.arange(n) / views
    magnification = SDD_MM / SID_MM
    return Geometry(
        source_distance_mm=SID_MM,
        detector_distance_mm=SDD_MM,
        isocentre_mm=isocentre_mm,
        view_angle_rad=start_rad + 2 * np.pi * turn,
        source_z_mm=start_z_mm + feed_mm * turn,
        column_angle_rad=(np.arange(columns) - (columns - 1) / 2 + offset) * pitch_iso_mm / SID_MM,
        row_offset_mm=(np.arange(rows) - (rows - 1) / 2) * row_iso_mm * magnification,
        row_pitch_mm=row_iso_mm * magnification,
        views_per_rotation=views,
        feed_per_rotation_mm=feed_mm,
        deflection_mm=np.array(deflection_mm),
    )


Points = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x, y, z of points, each of a shape that broadcasts to ``(V, R, C)``."""


def rays(g: Geometry, sub_column: float = 0.0, sub_row: float = 0.0) -> tuple[Points, Points]:
    """Source and point on the cell of every reading; sub: place in the cell, -1/2 to 1/2."""
    beta = g.view_angle_rad[:, None, None]
    gamma = (g.column_angle_rad + sub_column * g.column_pitch_rad)[None, None, :]
    v = (g.row_offset_mm + sub_row * g.row_pitch_mm)[None, :, None]
    x = g.isocentre_mm[0] + g.source_distance_mm * np.cos(beta)
    y = g.isocentre_mm[1] + g.source_distance_mm * np.sin(beta)
    z = g.source_z_mm[:, None, None]
    along_x, along_y = -np.cos(beta - gamma), -np.sin(beta - gamma)
    cell = (x + g.detector_distance_mm * along_x, y + g.detector_distance_mm * along_y, z + v)
    moved = g.deflection_mm[np.arange(len(beta)) % len(g.deflection_mm)]
    across, inwards, axial = (moved[:, axis, None, None] for axis in range(3))
    spot_x = x - inwards * np.cos(beta) - across * np.sin(beta)
    spot_y = y - inwards * np.sin(beta) + across * np.cos(beta)
    return (spot_x, spot_y, z + axial), cell


@dataclass(frozen=True)
class Ellipsoid:
    """Adds ``value`` inside; a half axis of infinity makes a cylinder."""

    centre_mm: tuple[float, float, float]
    half_mm: tuple[float, float, float]
    value: float = 1.0

    def integral(self, source: Points, target: Points) -> np.ndarray:
        """Exact line integrals [value x mm]."""
        square, a, b, c = 0.0, 0.0, 0.0, -1.0  # a t^2 + 2 b t + c = 0 where the ray meets the surface
        for start, end, centre, half in zip(source, target, self.centre_mm, self.half_mm, strict=True):
            d, s = end - start, (start - centre) / half
            square = square + d * d
            d /= half
            a = a + d * d
            b = b + d * s
            c = c + s * s
        return self.value * 2 * np.sqrt(np.maximum(b * b - a * c, 0)) / a * np.sqrt(square)

    def volume(self, grid: Grid, sub: int = 8) -> np.ndarray:
        """Values ``(z, y, x)`` with the share of each voxel that is inside, from sub^3 points."""
        offsets = (np.arange(sub) + 0.5) / sub - 0.5
        inside = []
        for n, step, origin, centre, half in zip(
            grid.shape, grid.spacing_mm, grid.origin_mm[::-1], self.centre_mm[::-1], self.half_mm[::-1], strict=True
        ):
            points = origin + step * (np.arange(n)[:, None] + offsets)
            inside.append(((points - centre) / half) ** 2)
        z, y, x = inside
        out = np.zeros(grid.shape, np.float32)
        for a in range(sub):
            for b in range(sub):
                for c in range(sub):
                    out += (z[:, a, None, None] + y[None, :, b, None] + x[None, None, :, c]) <= 1
        return out * np.float32(self.value / sub**3)


def integrals(g: Geometry, bodies: list[Ellipsoid], sub: int = 1) -> np.ndarray:
    """Exact line integrals ``(V, R, C)``, averaged over sub x sub rays of each cell [value x mm]."""
    places = (np.arange(sub) + 0.5) / sub - 0.5
    total = np.zeros(g.shape)
    for a in places:
        for b in places:
            source, cell = rays(g, a, b)
            for body in bodies:
                total += body.integral(source, cell) / sub**2
    return total


def centred(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], centre=(0.0, 0.0, 0.0)) -> Grid:
    """A lattice around a world point (x, y, z)."""
    origin = [c - (n - 1) / 2 * s for c, n, s in zip(centre, shape[::-1], spacing_mm[::-1], strict=True)]
    return Grid(shape, spacing_mm, tuple(origin))


def packed(grid: Grid, first: np.ndarray, second: np.ndarray | None = None, **kwargs) -> BasisVolume:
    """Densities ``(z, y, x)`` [g/cm3] in the projector's words."""
    low = np.rint(first / BASIS_STEP_G_CM3).astype(np.uint32)
    high = np.zeros_like(low) if second is None else np.rint(second / BASIS_STEP_G_CM3).astype(np.uint32)
    words = (low | (high << 16)).transpose(1, 2, 0)
    return BasisVolume(grid, np.ascontiguousarray(words), **kwargs)
