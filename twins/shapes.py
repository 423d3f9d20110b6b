"""Analytic bodies: superellipsoids and tubes along polylines, each as a signed distance [mm], negative inside.

Distances are first-order, ``(q - 1) / |grad q|`` with q the shape's gauge function: exact for spheres and round
tubes, and
exact to first order at every surface, which is where volume fractions need them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from .canvas import INK, Canvas, coverage, deposit
from .materials import material
from .structures import Structure

Array = NDArray[Any]

REACH_MM = 7.0
"""How far around a body, beyond its blend, :func:`unite` changes a field [mm]."""

UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Coat:
    """What a body is made of: a shell of ``shell_mm`` (0: none) around a core; densities None: natural [g/cm3]."""

    core: str
    structure: Structure
    shell: str | None = None
    shell_mm: float = 0.0
    shell_structure: Structure | None = None
    core_density: float | None = None
    shell_density: float | None = None

    def row(self) -> list[float]:
        """``shell_mm, shell ink, shell density, shell structure, core ink, core density, core structure``."""
        shell = self.shell or self.core
        return [
            self.shell_mm,
            INK[shell],
            material(shell).density_g_cm3 if self.shell_density is None else self.shell_density,
            self.structure if self.shell_structure is None else self.shell_structure,
            INK[self.core],
            material(self.core).density_g_cm3 if self.core_density is None else self.core_density,
            self.structure,
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """Superellipsoid ``((p/a)^2 + (q/b)^2)^(e/2) + (r/c)^e = 1``, semi-axes [mm], orthonormal ``axes`` (rows)."""

    centre_mm: ArrayLike
    semi_mm: ArrayLike
    coat: Coat
    axes: ArrayLike = UPRIGHT
    power: float = 2.0

    def row(self) -> list[float]:
        """Sixteen numbers: centre, semi-axes, axes row by row, power."""
        return [
            *np.ravel(self.centre_mm).astype(float),
            *np.ravel(self.semi_mm).astype(float),
            *np.ravel(self.axes).astype(float),
            self.power,
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """Tube of elliptic section along a polyline.

    ``radius_mm`` (n,) or (n, 2): along ``normal`` (n, 3) and across it; without normals the section is round.
    """

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    coat: Coat
    normal: NDArray[np.float64] | None = None

    def rows(self, every: int = 1) -> NDArray[np.float64]:
        """``(n - 1, 14)``: start, end, radii along and across the normal at both ends, normal, largest radius.

        With ``every`` above 1 only every so many points, and the last, are joined.
        """
        p = np.asarray(self.points_mm, float)
        r = np.broadcast_to(np.asarray(self.radius_mm, float).reshape(len(p), -1), (len(p), 2))
        n = np.tile([0.0, 1.0, 0.0], (len(p), 1)) if self.normal is None else np.asarray(self.normal, float)
        if every > 1:
            kept = np.append(np.arange(0, len(p) - 1, every), len(p) - 1)
            p, r, n = p[kept], r[kept], n[kept]
        middle = n[:-1] + n[1:]
        middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-9)
        reach = np.maximum(r[:-1].max(1), r[1:].max(1))
        return np.column_stack([p[:-1], p[1:], r[:-1, 0], r[1:, 0], r[:-1, 1], r[1:, 1], middle, reach])


def direction(vector: ArrayLike) -> NDArray[np.float64]:
    """Unit vector along ``vector``."""
    v = np.asarray(vector, float)
    return v / np.linalg.norm(v)


def frame_along(axis: ArrayLike, across: ArrayLike) -> NDArray[np.float64]:
    """Orthonormal rows: ``across`` made perpendicular to ``axis``, the third direction, and ``axis`` itself."""
    w = direction(axis)
    u = direction(np.asarray(across, float) - np.dot(across, w) * w)
    return np.stack([u, np.cross(w, u), w])


def curve(points: ArrayLike, n: int) -> NDArray[np.float64]:
    """A smooth (natural cubic) curve through the knots ``(k, m)``, at n points equally spaced in chord length."""
    # a thorax has five hundred of them: SciPy's spline takes ten times as long
    knots = np.asarray(points, float)
    step = np.sqrt(((knots[1:, :3] - knots[:-1, :3]) ** 2).sum(1))
    chord = np.concatenate([[0.0], np.cumsum(step)])
    t = chord[-1] * np.arange(n) / (n - 1)
    at = np.minimum(np.searchsorted(chord, t, side="right"), len(knots) - 1) - 1
    h = step[at][:, None]
    b = (t - chord[at])[:, None] / h
    a = 1.0 - b
    line = a * knots[at] + b * knots[at + 1]
    if len(knots) > 2:
        slope = (knots[1:] - knots[:-1]) / step[:, None]
        system = np.diag(2.0 * (step[:-1] + step[1:])) + np.diag(step[1:-1], 1) + np.diag(step[1:-1], -1)
        bend = np.zeros_like(knots)
        bend[1:-1] = np.linalg.solve(system, 6.0 * (slope[1:] - slope[:-1]))
        line += ((a**3 - a) * bend[at] + (b**3 - b) * bend[at + 1]) * h**2 / 6.0
    return np.asarray(line)


def paint(canvas: Canvas, bodies: Sequence[Blob | Tube]) -> None:
    """Paint bodies in order, later ones over earlier ones."""
    if not bodies:
        return
    kinds: list[int] = []
    blobs: list[list[float]] = []
    segments: list[Array] = []
    start = 0
    spans: list[tuple[int, int]] = []
    coats: list[list[float]] = []
    for body in bodies:
        coats.append(body.coat.row())
        if isinstance(body, Blob):
            kinds.append(len(blobs))
            blobs.append(body.row())
        else:
            rows = body.rows()
            kinds.append(-1 - len(spans))
            spans.append((start, start + len(rows)))
            start += len(rows)
            segments.append(rows)
    _paint(
        *canvas.arrays,
        np.asarray(canvas.grid.origin_mm),
        canvas.spacing_mm,
        np.asarray(kinds, np.int64),
        np.asarray(blobs, float).reshape(-1, 16),
        np.concatenate(segments) if segments else np.zeros((0, 14)),
        np.asarray(spans, np.int64).reshape(-1, 2),
        np.asarray(coats, float),
    )


def unite(
    field: NDArray[np.float32],
    origin_mm: ArrayLike,
    step_mm: float,
    bodies: Sequence[Blob | Tube],
    *,
    blend_mm: float,
    grow_mm: float = 0.0,
) -> None:
    """Take the smooth minimum of a distance field on a lattice and bodies grown by ``grow_mm``, in place."""
    for body in bodies:
        if isinstance(body, Blob):
            _unite_blob(field, np.asarray(origin_mm, float), step_mm, np.asarray(body.row()), blend_mm, grow_mm)
        else:
            rows = body.rows(2)  # sagittas of a few tenths of a millimetre on lattices of 2.5 mm
            margin = float(rows[:, 13].max()) + grow_mm + blend_mm + REACH_MM
            low, high = float(rows[:, [2, 5]].min()) - margin, float(rows[:, [2, 5]].max()) + margin
            _unite_tube(field, np.asarray(origin_mm, float), step_mm, rows, low, high, blend_mm, grow_mm)


@njit(cache=True)
def _blob_distance(row: Array, x: Any, y: Any, z: Any) -> Any:
    dx, dy, dz = x - row[0], y - row[1], z - row[2]
    p = (row[6] * dx + row[7] * dy + row[8] * dz) / row[3]
    q = (row[9] * dx + row[10] * dy + row[11] * dz) / row[4]
    r = (row[12] * dx + row[13] * dy + row[14] * dz) / row[5]
    e = row[15]
    flat = p * p + q * q
    if e == 2.0:
        gauge = math.sqrt(flat + r * r)
        slope = math.sqrt((p / row[3]) ** 2 + (q / row[4]) ** 2 + (r / row[5]) ** 2)
        if slope < 1e-9:
            return -min(row[3], row[4], row[5])
        return (gauge - 1.0) * gauge / slope
    s = flat ** (0.5 * e) + abs(r) ** e
    if s < 1e-12:
        return -min(row[3], row[4], row[5])
    gauge = s ** (1.0 / e)
    lead = s ** (1.0 / e - 1.0)
    planar = flat ** (0.5 * e - 1.0) if flat > 0.0 else 0.0
    gp = lead * planar * p / row[3]
    gq = lead * planar * q / row[4]
    gr = lead * abs(r) ** (e - 1.0) / row[5]
    slope = math.sqrt(gp * gp + gq * gq + gr * gr)
    return (gauge - 1.0) / max(slope, 1e-9)


@njit(cache=True)
def _segment_distance(row: Array, x: Any, y: Any, z: Any) -> Any:
    ax, ay, az = row[3] - row[0], row[4] - row[1], row[5] - row[2]
    wx, wy, wz = x - row[0], y - row[1], z - row[2]
    length2 = ax * ax + ay * ay + az * az
    t = (wx * ax + wy * ay + wz * az) / length2 if length2 > 0.0 else 0.0
    t = min(1.0, max(0.0, t))
    wx, wy, wz = wx - t * ax, wy - t * ay, wz - t * az
    along = row[6] + t * (row[7] - row[6])
    across = row[8] + t * (row[9] - row[8])
    d2 = wx * wx + wy * wy + wz * wz
    if along == across:
        return math.sqrt(d2) - along
    u = wx * row[10] + wy * row[11] + wz * row[12]
    v2 = max(0.0, d2 - u * u)
    gauge = math.sqrt((u / along) ** 2 + v2 / (across * across))
    slope = math.sqrt((u / (along * along)) ** 2 + v2 / across**4)
    if slope < 1e-9:
        return -min(along, across)
    return (gauge - 1.0) * gauge / slope


@njit(cache=True)
def _coat(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    z: Any,
    y: Any,
    x: Any,
    distance: Any,
    spacing: Any,
    coat: Array,
) -> None:
    outer = coverage(distance, spacing)
    if outer <= 0.0:
        return
    inner = coverage(distance + coat[0], spacing) if coat[0] > 0.0 else outer
    ink_shell, ink_core = np.uint8(coat[1]), np.uint8(coat[4])
    deposit(
        structure, material_a, material_b, fraction_b, density, z, y, x,
        1.0 - outer, ink_shell, (outer - inner) * coat[2], ink_core, inner * coat[5],
    )  # fmt: skip
    if outer > 0.5:
        structure[z, y, x] = np.uint16(coat[6] if inner > 0.5 else coat[3])


@njit(parallel=True, cache=True, error_model="numpy")
def _paint(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    origin: Array,
    spacing: Any,
    kinds: Array,
    blobs: Array,
    segments: Array,
    spans: Array,
    coats: Array,
) -> None:
    """Slices are independent; within one, bodies come in order."""
    nz, ny, nx = structure.shape
    for k in prange(nz):
        z = origin[2] + k * spacing
        scratch = np.empty((ny, nx), np.float32)
        for b in range(kinds.size):
            coat = coats[b]
            if kinds[b] >= 0:
                row = blobs[kinds[b]]
                reach_z = spacing
                reach_y = spacing
                reach_x = spacing
                hx = hy = hz = 0.0
                for a in range(3):
                    hx += abs(row[6 + 3 * a]) * row[3 + a]
                    hy += abs(row[7 + 3 * a]) * row[3 + a]
                    hz += abs(row[8 + 3 * a]) * row[3 + a]
                if abs(z - row[2]) > hz + reach_z:
                    continue
                y0 = max(0, math.floor((row[1] - hy - reach_y - origin[1]) / spacing))
                y1 = min(ny - 1, math.ceil((row[1] + hy + reach_y - origin[1]) / spacing))
                x0 = max(0, math.floor((row[0] - hx - reach_x - origin[0]) / spacing))
                x1 = min(nx - 1, math.ceil((row[0] + hx + reach_x - origin[0]) / spacing))
                for j in range(y0, y1 + 1):
                    for i in range(x0, x1 + 1):
                        d = _blob_distance(row, origin[0] + i * spacing, origin[1] + j * spacing, z)
                        _coat(structure, material_a, material_b, fraction_b, density, k, j, i, d, spacing, coat)
                continue
            first, last = spans[-1 - kinds[b], 0], spans[-1 - kinds[b], 1]
            by0, by1, bx0, bx1 = ny, -1, nx, -1
            for pass_ in range(2):
                for s in range(first, last):
                    row = segments[s]
                    reach = row[13] + spacing
                    if z < min(row[2], row[5]) - reach or z > max(row[2], row[5]) + reach:
                        continue
                    y0 = max(0, math.floor((min(row[1], row[4]) - reach - origin[1]) / spacing))
                    y1 = min(ny - 1, math.ceil((max(row[1], row[4]) + reach - origin[1]) / spacing))
                    x0 = max(0, math.floor((min(row[0], row[3]) - reach - origin[0]) / spacing))
                    x1 = min(nx - 1, math.ceil((max(row[0], row[3]) + reach - origin[0]) / spacing))
                    if pass_ == 0:
                        by0, by1, bx0, bx1 = min(by0, y0), max(by1, y1), min(bx0, x0), max(bx1, x1)
                        continue
                    for j in range(y0, y1 + 1):
                        for i in range(x0, x1 + 1):
                            d = _segment_distance(row, origin[0] + i * spacing, origin[1] + j * spacing, z)
                            if d < scratch[j, i]:
                                scratch[j, i] = d
                if pass_ == 0:
                    for j in range(by0, by1 + 1):
                        for i in range(bx0, bx1 + 1):
                            scratch[j, i] = 1e6
            for j in range(by0, by1 + 1):
                for i in range(bx0, bx1 + 1):
                    if scratch[j, i] < spacing:
                        _coat(
                            structure,
                            material_a,
                            material_b,
                            fraction_b,
                            density,
                            k,
                            j,
                            i,
                            scratch[j, i],
                            spacing,
                            coat,
                        )


@njit(cache=True, inline="always")
def _smooth_min(a: Any, b: Any, blend: Any) -> Any:
    h = max(blend - abs(a - b), 0.0) / blend
    return min(a, b) - 0.25 * h * h * blend


@njit(parallel=True, cache=True, error_model="numpy")
def _unite_blob(field: Array, origin: Array, step: Any, row: Array, blend: Any, grow: Any) -> None:
    nz, ny, nx = field.shape
    reach = max(row[3], max(row[4], row[5])) * 1.2 + grow + blend + REACH_MM
    y0 = max(0, int((row[1] - reach - origin[1]) / step))
    y1 = min(ny, int((row[1] + reach - origin[1]) / step) + 1)
    x0 = max(0, int((row[0] - reach - origin[0]) / step))
    x1 = min(nx, int((row[0] + reach - origin[0]) / step) + 1)
    for k in prange(nz):
        z = origin[2] + k * step
        if abs(z - row[2]) > reach:
            continue
        for j in range(y0, y1):
            for i in range(x0, x1):
                d = _blob_distance(row, origin[0] + i * step, origin[1] + j * step, z) - grow
                if d < field[k, j, i] + blend:
                    field[k, j, i] = _smooth_min(field[k, j, i], d, blend)


@njit(parallel=True, cache=True, error_model="numpy")
def _unite_tube(
    field: Array, origin: Array, step: Any, rows: Array, low: Any, high: Any, blend: Any, grow: Any
) -> None:
    """The tube lies between z = ``low`` and ``high``."""
    nz, ny, nx = field.shape
    for k in prange(nz):
        z = origin[2] + k * step
        if z < low or z > high:
            continue
        scratch = np.full((ny, nx), np.float32(1e6), np.float32)
        y_low, y_high, x_low, x_high = ny, -1, nx, -1
        for s in range(rows.shape[0]):
            row = rows[s]
            reach = row[13] + grow + blend + REACH_MM
            if z < min(row[2], row[5]) - reach or z > max(row[2], row[5]) + reach:
                continue
            y0 = max(0, math.floor((min(row[1], row[4]) - reach - origin[1]) / step))
            y1 = min(ny - 1, math.ceil((max(row[1], row[4]) + reach - origin[1]) / step))
            x0 = max(0, math.floor((min(row[0], row[3]) - reach - origin[0]) / step))
            x1 = min(nx - 1, math.ceil((max(row[0], row[3]) + reach - origin[0]) / step))
            y_low, y_high, x_low, x_high = min(y_low, y0), max(y_high, y1), min(x_low, x0), max(x_high, x1)
            for j in range(y0, y1 + 1):
                for i in range(x0, x1 + 1):
                    d = _segment_distance(row, origin[0] + i * step, origin[1] + j * step, z) - grow
                    if d < scratch[j, i]:
                        scratch[j, i] = d
        for j in range(y_low, y_high + 1):
            for i in range(x_low, x_high + 1):
                d = scratch[j, i]
                if d < field[k, j, i] + blend:
                    field[k, j, i] = _smooth_min(field[k, j, i], d, blend)
