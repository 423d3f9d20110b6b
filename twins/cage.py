"""The thoracic cage: its inner surface as a stack of superellipses, and the body outline around it.

Levels are counted along the lung, 0 at the deepest sulcus and 1 at the apex; the carina is the origin of z and lies
at level
0.67. Width and depth by level are the mean of five CT lungs (surface of the pleura); width and depth themselves
follow body
mass index, height, age and sex as in Bellemare et al. 2001 (coefficients: design defaults, unverified).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

    from .population import TwinSpec

CARINA_LEVEL = 0.67
"""Level of the carina. Design default, unverified."""

TAPER = 0.10
"""How much wider the cage is at its back than at its centre. Design default."""

POWER = 2.35
"""Exponent of the superellipse of the cage."""

RIB_LAYER_MM = 12.0
"""Thickness of the layer that holds ribs and intercostal muscles [mm]."""

SKIN_MM = 1.8
"""Thickness of the skin [mm]."""

SUPINE_KYPHOSIS = 0.75
"""Kyphosis of a supine person / standing [1]. Design default, unverified."""

_BEND_LEVEL = 0.37
"""Level of the hindmost vertebra (T8)."""

_LEVELS = [-0.5, -0.2, 0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.4]
_WIDTH = [0.84, 0.88, 0.92, 0.95, 0.98, 1.0, 0.95, 0.87, 0.66, 0.46, 0.40, 0.38]
_DEPTH = [0.94, 0.96, 0.97, 0.98, 0.98, 0.95, 0.86, 0.77, 0.60, 0.47, 0.44, 0.44]


@dataclass(frozen=True, slots=True)
class Cage:
    """Sizes of a chest, all lengths in mm; ``height_mm`` from the deepest sulcus to the apex.

    ``muscle`` scales the thickness of the muscles: nearly as body mass index does, from 0.66 to 1.10 (design default,
    by the share of bone and muscle in the section at the sternal angle).
    """

    width_mm: float
    depth_mm: float
    height_mm: float
    stature: float
    is_male: bool
    fat_mm: float
    bend_mm: float
    muscle: float = 1.0

    @classmethod
    def of(cls, spec: TwinSpec, height_mm: float) -> Cage:
        """The cage of a person, with lungs of that height."""
        male = spec.sex == "male"
        width = 272 + 0.9 * (spec.height_cm - 170) + 1.6 * (spec.bmi - 27) - (0 if male else 14)
        depth = 210 + 1.7 * (spec.bmi - 27) + 0.5 * (spec.age_y - 62) - (0 if male else 20)
        fat = max(6.5, 4.0 + 1.3 * max(spec.bmi - 20, 0.0) + (0.0 if male else 4.0))
        return cls(
            width * spec.chest_width_scale,
            depth * spec.chest_depth_scale,
            height_mm,
            spec.height_cm / 176,
            male,
            fat,
            _bend_mm(SUPINE_KYPHOSIS * spec.target_kyphosis_deg(), height_mm, spec.height_cm / 176),
            min(max((0.95 if male else 1.02) * (spec.bmi / 27) ** 0.9, 0.66), 1.10),
        )

    @property
    def base_mm(self) -> float:
        """World z of level 0 [mm]."""
        return -CARINA_LEVEL * self.height_mm

    @property
    def apex_mm(self) -> float:
        """World z of level 1 [mm]."""
        return (1 - CARINA_LEVEL) * self.height_mm

    def level(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """Level of world z."""
        return np.asarray(z_mm, float) / self.height_mm + CARINA_LEVEL

    def half_width(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """Half the inner width [mm]."""
        return 0.5 * self.width_mm * _profile(self.level(z_mm), _WIDTH)

    def half_depth(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """Half the inner depth [mm]."""
        return 0.5 * self.depth_mm * _profile(self.level(z_mm), _DEPTH)

    def back(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """World y of the hindmost point of the cage, beside the spine: the kyphosis [mm]."""
        t = self.level(z_mm) - _BEND_LEVEL
        return 0.5 * self.depth_mm - 8.0 - self.bend_mm * t**2 / (1 + 0.5 * np.abs(t))

    def centre(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """World y of the centre of the section [mm]."""
        return self.back(z_mm) - self.half_depth(z_mm)

    def front(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """World y of the foremost point of the section [mm]."""
        return self.back(z_mm) - 2 * self.half_depth(z_mm)

    def spine(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """World y of the front of the vertebral bodies [mm]."""
        return self.back(z_mm) - 44.0 * self.stature**0.5

    def section(
        self, phi_rad: ArrayLike, z_mm: ArrayLike, side: float, offset_mm: ArrayLike = 0.0
    ) -> NDArray[np.float64]:
        """Points ``(..., 3)`` on the inner surface at the angle phi from the back (0) to the front (pi).

        ``side`` is +1 on the left, -1 on the right; ``offset_mm`` moves outwards along the in-plane normal.
        """
        phi, z = np.broadcast_arrays(np.asarray(phi_rad, float), np.asarray(z_mm, float))
        normal = self.normal(phi, z, side)
        a, b = self.half_width(z), self.half_depth(z)
        r = ((np.abs(np.sin(phi)) / a) ** POWER + (np.abs(np.cos(phi)) / b) ** POWER) ** (-1 / POWER)
        wider = 1 + TAPER * r * np.cos(phi) / b
        point = np.stack([side * r * np.sin(phi) * wider, self.centre(z) + r * np.cos(phi), z], axis=-1)
        return point + np.asarray(offset_mm, float)[..., None] * normal

    def normal(self, phi_rad: ArrayLike, z_mm: ArrayLike, side: float) -> NDArray[np.float64]:
        """Outward in-plane normals ``(..., 3)`` of the inner surface."""
        phi, z = np.broadcast_arrays(np.asarray(phi_rad, float), np.asarray(z_mm, float))
        a, b = self.half_width(z), self.half_depth(z)
        u, v = np.sin(phi) / a, np.cos(phi) / b
        n = np.stack(
            [side * np.abs(u) ** (POWER - 1) / a, np.sign(v) * np.abs(v) ** (POWER - 1) / b, np.zeros_like(phi)],
            axis=-1,
        )
        return n / np.linalg.norm(n, axis=-1, keepdims=True)

    def body_half_width(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """Half the width of the body: wall at the flanks, shoulder girdle above [mm]."""
        z = np.asarray(z_mm, float)
        level = self.level(z)
        wall = RIB_LAYER_MM + (14 if self.is_male else 10) * self.muscle + self.fat_mm + SKIN_MM
        flank = 0.5 * self.width_mm * np.maximum(_profile(level, _WIDTH), 0.9) + wall
        widest = 0.5 * self.width_mm + wall
        shoulder = widest + (22 if self.is_male else 12) * self.muscle
        rise = _smooth_step((level - 0.42) / 0.40)
        fall = _smooth_step((level - 1.0) / 0.35)
        return flank + (shoulder - flank) * rise - 30 * fall

    def body_front(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """World y of the front of the body, breasts excluded [mm]."""
        return self.front(z_mm) - RIB_LAYER_MM - 4 - 0.75 * self.fat_mm - SKIN_MM

    def body_back(self, z_mm: ArrayLike) -> NDArray[np.float64]:
        """World y of the back of the body [mm]."""
        level = self.level(z_mm)
        muscle = ((29 if self.is_male else 24) + 8 * _smooth_step((level - 0.6) / 0.4)) * self.muscle
        return self.back(z_mm) + RIB_LAYER_MM + muscle + 0.75 * self.fat_mm + SKIN_MM


def _bend_mm(cobb_deg: float, height_mm: float, stature: float) -> float:
    """The bend that gives the spine this angle between T4 and T12 [mm]."""
    slopes = []
    for z in (10.0 * stature, -192.0 * stature):
        t = abs(z / height_mm + CARINA_LEVEL - _BEND_LEVEL)
        slopes.append((2 * t + 0.5 * t * t) / (1 + 0.5 * t) ** 2 / height_mm)
    target, bend = math.radians(cobb_deg), 0.0
    for _ in range(6):
        angle = sum(math.atan(bend * k) for k in slopes)
        bend += (target - angle) / sum(k / (1 + (bend * k) ** 2) for k in slopes)
    return bend


def _profile(level: ArrayLike, values: list[float]) -> NDArray[np.float64]:
    return np.asarray(_interpolator(tuple(values))(np.clip(level, _LEVELS[0], _LEVELS[-1])))


@cache
def _interpolator(values: tuple[float, ...]) -> PchipInterpolator:
    from scipy.interpolate import PchipInterpolator

    return PchipInterpolator(_LEVELS, values)


def _smooth_step(t: ArrayLike) -> NDArray[np.float64]:
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3 - 2 * t)
