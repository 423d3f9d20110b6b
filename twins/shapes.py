"""Analytic bodies: superellipsoids and tubes along polylines, each as a signed distance [mm], negative inside.

Distances are first-order, ``(q - 1) / |grad q|`` with q the shape's gauge function: exact for spheres and round
tubes, and exact to first order at every surface, which is where volume fractions need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .canvas import INK, Canvas
from .materials import material
from .shape_kernels import REACH_MM, paint_bodies, unite_blob, unite_tube
from .structures import Structure

Array = NDArray[Any]

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
    from scipy.interpolate import CubicSpline

    knots = np.asarray(points, float)
    chord = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots[:, :3], axis=0), axis=1))])
    t = np.linspace(0.0, chord[-1], n)
    if len(knots) == 2:
        return knots[0] + (knots[1] - knots[0]) * (t / chord[-1])[:, None]
    return np.asarray(CubicSpline(chord, knots, bc_type="natural")(t))


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
    paint_bodies(
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
            unite_blob(field, np.asarray(origin_mm, float), step_mm, np.asarray(body.row()), blend_mm, grow_mm)
        else:
            rows = body.rows(2)  # sagittas of a few tenths of a millimetre on lattices of 2.5 mm
            margin = float(rows[:, 13].max()) + grow_mm + blend_mm + REACH_MM
            low, high = float(rows[:, [2, 5]].min()) - margin, float(rows[:, [2, 5]].max()) + margin
            unite_tube(field, np.asarray(origin_mm, float), step_mm, rows, low, high, blend_mm, grow_mm)
