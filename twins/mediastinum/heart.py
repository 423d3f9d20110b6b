"""The heart: four chambers with their walls, septum, grooves of fat, coronary arteries, in a pericardial sac.

Every chamber is a smooth solid, cut at the plane of the atrioventricular valves, and joined to its neighbour through
the
valve; the right ventricle is a body from which the left one and the septum are taken, so that it wraps it as a
crescent. Muscle
lies around the blood with the thickness of its chamber (left ventricle 9 mm, right 3 mm, septum 9 mm, atria 2 mm); the
sac spans muscle and grooves, and what it holds besides is fat. All surfaces carry waves of low order, so that no
section
is an ellipse. Extents are those of ICRP 110 (men 135 x 122 x 120 mm, walls and blood 795 mL); places and angles of the
chambers are design defaults (unverified) after general anatomy.

The frame of the heart: ``a`` from the septum to the right ventricle, ``b`` up to the outflow tract, ``c`` from the
valves
to the apex (0.57, -0.60, -0.56), in mm around the centre of the mitral valve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..canvas import Canvas
from ..fields import Field, smooth_max, smooth_min, stream
from ..grid import Grid
from ..nested import Layer, paint_nested
from ..shapes import Blob, Coat, Tube, curve, frame_along
from ..structures import Structure

if TYPE_CHECKING:
    from ..spec import TwinSpec
    from .frame import Mediastinum

Array = NDArray[Any]

STEP_MM = 2.0
"""Pitch of the lattice of the heart [mm]."""

LEFT_WALL_MM, RIGHT_WALL_MM, SEPTUM_MM, ATRIAL_WALL_MM = 9.5, 3.0, 9.0, 2.0
"""Thickness of the muscle of the ventricles, between them, and of the atria [mm]."""

PERICARDIUM_MM = 0.9
"""Thickness of the pericardium [mm]."""

_LAYERS = (
    Layer("muscle", Structure.PERICARDIAL_FAT),
    Layer("adipose", Structure.PERICARDIAL_FAT),
    Layer("heart_muscle", Structure.HEART_MUSCLE),
    Layer("blood", Structure.HEART),
)

_AXIS = (0.57, -0.60, -0.56)
_TO_RIGHT_VENTRICLE = (-0.60, -0.70, 0.10)
_REACH_MM = 112.0


@dataclass(frozen=True, eq=False)
class Heart:
    """Place and size of one heart; ``base_mm`` is the world point of the centre of the mitral valve."""

    base_mm: NDArray[np.float64]
    size: float
    stretch: float
    fat_mm: float
    phases: NDArray[np.float64]

    @classmethod
    def of(cls, spec: TwinSpec, centre: Mediastinum) -> Heart:
        """The heart of a person; epicardial fat grows with body mass index (design default, unverified)."""
        return cls(
            centre.at((26, 52, -74)),
            centre.heart * 0.99,
            min(max(centre.descent, 0.92), 1.06),
            1.5 + 0.18 * max(spec.bmi - 20.0, 0.0),
            stream(spec.key, "heart").uniform(0, 2 * math.pi, 18),
        )

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """Rows: the world directions of a, b and c."""
        frame = frame_along(_AXIS, _TO_RIGHT_VENTRICLE)
        return np.stack([frame[0], -frame[1], frame[2]])

    def world(self, local: ArrayLike) -> NDArray[np.float64]:
        """World points of points ``(..., 3)`` in the frame of the heart."""
        p = np.asarray(local, float) @ self.axes * self.size
        return np.asarray(self.base_mm + p * [1, 1, self.stretch])

    def fields(self, x: Array, y: Array, z: Array) -> tuple[Field, Field, Field]:
        """Signed distances at world coordinates that broadcast: blood, muscle with blood, sac [mm]."""
        f = np.float32
        world = [(v - f(o)) / f(s) for v, o, s in zip(
            (x, y, z), self.base_mm, (self.size, self.size, self.size * self.stretch), strict=True)]  # fmt: skip
        a, b, c = (f(e[0]) * world[0] + f(e[1]) * world[1] + f(e[2]) * world[2] for e in self.axes)
        wave = _waves(x, y, z, self.phases)
        s = f(self.size)
        # apex: the ventricle narrows faster than an ellipsoid there
        narrow = 1 + 0.0028 * np.maximum(c - 20, 0)
        left = s * _ellipsoid(a * narrow, b * narrow, c - 14, (25, 25, 62))
        left = smooth_max(left + 0.8 * wave, s * (-c - 3), 9.0)
        left_wall = left - f(LEFT_WALL_MM) + f(0.05) * np.clip(c - 40, 0, 40)
        right = s * _ellipsoid(a - 33 + 0.22 * c, b - 5 + 0.10 * c, c - 20, (36, 46, 60))
        outflow = s * _ellipsoid(a - 24, b - 33, c + 2, (16, 25, 19))
        right = smooth_min(smooth_max(right, s * (-c - 6 + 0.25 * (a - 30)), 10.0), outflow, 12.0)
        right = smooth_max(right + 1.2 * wave, f(SEPTUM_MM) - left, 6.0)
        atrium = s * _ellipsoid(a - 36, b + 16, c + 27, (29, 34, 26))
        appendage = s * _ellipsoid(a - 52, b - 22, c + 14, (15, 18, 14))
        right_atrium = smooth_min(atrium, appendage, 10.0) - 1.0 * wave
        lx, ly, lz = (v.astype(f) for v in world)
        left_atrium = s * _ellipsoid(lx + 14, ly - 15, lz - 12, (37, 22, 26))
        ear = s * _ellipsoid(lx - 26, ly + 6, lz - 22, (13, 20, 12))
        left_atrium = smooth_min(left_atrium + 1.0 * wave, ear, 8.0)
        right_atrium = smooth_max(right_atrium, 3.0 - left_atrium, 4.0)
        right_atrium = smooth_max(right_atrium, f(SEPTUM_MM - 2) - left, 4.0)
        left_atrium = smooth_max(left_atrium, 5.0 - right, 4.0)
        # blood of each side meets through its valve
        blood = np.minimum(smooth_min(left, left_atrium, 5.0), smooth_min(right, right_atrium, 4.0))
        muscle = np.minimum(
            np.minimum(left_wall, right - f(RIGHT_WALL_MM)),
            np.minimum(left_atrium - f(ATRIAL_WALL_MM), right_atrium - f(ATRIAL_WALL_MM)),
        )
        atria = smooth_min(left_atrium, right_atrium, 20.0)
        ventricles = smooth_min(left_wall, right - f(RIGHT_WALL_MM), 24.0)
        # fat: thick over the grooves and the right ventricle, thin over the left one
        cover = f(self.fat_mm) * (0.25 + 0.45 * np.tanh(wave) + 1.2 * np.clip((a - 12) / 36, 0, 1))
        sac = smooth_min(atria, ventricles, 22.0) - cover - f(PERICARDIUM_MM)
        sac = np.minimum(sac, muscle - f(PERICARDIUM_MM))
        return blood.astype(f), muscle.astype(f), sac.astype(f)

    def lattice(self) -> Grid:
        """The lattice that holds the fields while the heart is painted."""
        n = int(2 * _REACH_MM * self.size / STEP_MM)
        corner = self.world((15, 5, 22)) - 0.5 * STEP_MM * (n - 1)
        return Grid((n, n, n), (STEP_MM,) * 3, tuple(float(v) for v in corner))  # type: ignore[arg-type]

    def unite_sac(self, field: Field, lattice: Grid, *, blend_mm: float, grow_mm: float) -> None:
        """Take the smooth minimum of a field on a lattice and the sac grown by ``grow_mm``, in place."""
        centre, reach = self.world((15, 5, 22)), _REACH_MM * self.size
        axes = lattice.axes_mm()
        cut = [slice(*np.searchsorted(v, (c - reach, c + reach))) for v, c in zip(axes, centre[::-1], strict=True)]
        z, y, x = (v[s].astype(np.float32) for v, s in zip(axes, cut, strict=True))
        _, _, sac = self.fields(x[None, None, :], y[None, :, None], z[:, None, None])
        part = field[tuple(cut)]
        near = sac - np.float32(grow_mm) < part + blend_mm
        part[near] = smooth_min(part, sac - np.float32(grow_mm), blend_mm)[near]

    def paint(self, canvas: Canvas) -> None:
        """Paint sac, fat, muscle and blood."""
        lattice = self.lattice()
        z, y, x = (v.astype(np.float32) for v in lattice.axes_mm())
        fields = self.fields(x[None, None, :], y[None, :, None], z[:, None, None])
        paint_nested(canvas, lattice, fields, PERICARDIUM_MM, _LAYERS)

    def on_surface(self, local: ArrayLike, lift_mm: float) -> NDArray[np.float64]:
        """World points over the muscle at ``lift_mm``, near points in the frame of the heart."""
        return self._lifted(self.world(local), lift_mm)

    def _lifted(self, p: NDArray[np.float64], lift_mm: float) -> NDArray[np.float64]:
        for _ in range(10):
            steps = p[:, None, :] + np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
            _, d, _ = self.fields(*(steps[..., k].astype(np.float32) for k in range(3)))
            slope = 0.5 * (d[:, 1:4] - d[:, 4:7])
            slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 0.3)
            p = p - 0.8 * np.clip(d[:, :1] - lift_mm, -6, 6) * slope
        return np.asarray(p, float)

    def coronary_lines(self) -> dict[str, NDArray[np.float64]]:
        """Centre-lines of the coronary arteries in the fat of the grooves."""
        lines = {
            "left anterior descending": [
                (0, 34, -10), (2, 44, 2), (4, 48, 14), (6, 48, 28), (6, 42, 44), (5, 34, 60), (3, 22, 78)],
            "diagonal": [(4, 48, 14), (-8, 44, 26), (-18, 38, 38), (-24, 28, 52)],
            "circumflex": [(0, 34, -10), (-16, 36, -8), (-30, 18, -8), (-36, 0, -8), (-30, -20, -8), (-14, -34, -7)],
            "marginal": [(-30, 18, -8), (-34, 14, 10), (-32, 8, 28), (-26, 4, 46)],
            "right": [
                (22, 26, -8), (44, 30, -10), (64, 18, -12), (70, -2, -12), (66, -24, -10), (46, -46, -8), (16, -50, -6),
            ],
            "posterior descending": [(12, -50, -2), (11, -50, 16), (9, -44, 36), (6, -36, 56)],
        }  # fmt: skip
        paths = [curve(points, 5 * len(points)) for points in lines.values()]
        parts = np.cumsum([len(path) for path in paths])[:-1]
        line = self.on_surface(np.concatenate(paths), 2.2)
        for _ in range(3):  # smooth along each path, then back onto the muscle
            for path in np.split(line, parts):
                path[1:-1] = 0.25 * path[:-2] + 0.5 * path[1:-1] + 0.25 * path[2:]
            line = self._lifted(line, 2.2)
        return dict(zip(lines, np.split(line, parts), strict=True))

    def coronaries(self, spec: TwinSpec) -> list[Tube]:
        """Coronary arteries, and calcified plaque in their walls: ``coronary_calcium`` is the share of length beset."""
        rng = stream(spec.key, "coronaries")
        blood = Coat("blood", Structure.CORONARY_ARTERY)
        plaque = Coat("cortical_bone", Structure.CALCIFICATION, core_density=1.55)
        tubes, stones = [], []
        for name, line in self.coronary_lines().items():
            first, last = {"right": (1.9, 1.3), "left anterior descending": (1.9, 0.8)}.get(name, (1.4, 0.8))
            radius = np.linspace(first, last, len(line)) * self.size
            tubes.append(Tube(line, radius, blood))
            # plaque prefers the first half of the large branches; drawn once, shown as the share grows
            chance = rng.random(len(line))
            beset = rng.uniform(0.6, 1.4, len(line))
            side = rng.normal(size=(len(line), 3))
            for k in range(1, len(line) - 1):
                weight = (1.0 - 0.6 * k / len(line)) * (1.0 if first > 1.5 else 0.5)
                if chance[k] < 0.55 * spec.coronary_calcium * weight:
                    at = line[k] + 0.6 * radius[k] * side[k] / np.linalg.norm(side[k])
                    ahead = 0.5 * (line[k + 1] - line[k - 1]) * beset[k] * (0.3 + spec.coronary_calcium)
                    ahead *= min(1.0, 3.5 / max(float(np.linalg.norm(ahead)), 1e-6))
                    stones.append(Tube(np.stack([at - 0.5 * ahead, at + 0.5 * ahead]),
                                       np.full(2, 0.45 * radius[k] * beset[k] + 0.25), plaque))  # fmt: skip
        return tubes + stones

    def papillary_muscles(self) -> list[Blob]:
        """The two papillary muscles of the left ventricle."""
        coat = Coat("heart_muscle", Structure.HEART_MUSCLE)
        out = []
        for a, b in ((-14, 12), (-12, -14)):
            axis = self.world((a * 0.8, b * 0.8, 50)) - self.world((a, b, 26))
            out.append(
                Blob(self.world((a, b, 36)), np.array([4.5, 5.5, 15]) * self.size, coat, frame_along(axis, (1, 0.2, 0)))
            )
        return out


def _ellipsoid(p: Any, q: Any, r: Any, semi: tuple[float, float, float]) -> Field:
    """First-order distance of an ellipsoid, for coordinates that broadcast."""
    f = np.float32
    u, v, w = p / f(semi[0]), q / f(semi[1]), r / f(semi[2])
    gauge = np.sqrt(u * u + v * v + w * w)
    slope = np.sqrt((u / f(semi[0])) ** 2 + (v / f(semi[1])) ** 2 + (w / f(semi[2])) ** 2)
    return np.asarray((gauge - 1) * gauge / np.maximum(slope, f(1e-4)), f)


def _waves(x: Array, y: Array, z: Array, phases: Array) -> Field:
    """Sum of six plane waves of 34 to 64 mm, about unit variance; ``phases`` (18,) turn and shift them."""
    total: Any = np.float32(0.0)
    for k in range(6):
        u, v = phases[3 * k], math.cos(phases[3 * k + 1])
        w = math.sqrt(max(0.0, 1 - v * v))
        n = np.array([w * math.cos(u), w * math.sin(u), v]) * (2 * math.pi / (34 + 6 * k))
        total = total + np.sin(np.float32(n[0]) * x + np.float32(n[1]) * y + np.float32(n[2]) * z
                               + np.float32(phases[3 * k + 2]))  # fmt: skip
    return np.asarray(total * np.float32(0.577), np.float32)
