"""Ribs on the surface of the cage, their cartilages with calcified spots, and the sternum.

A rib leaves the side of its vertebra, meets the inner surface of the cage 26 degrees off the spine and runs on it, 6 mm
outside, to its costochondral junction, falling by ``_DROP_MM`` on its way. Sections, cortex of 0.8 mm (0.7-1.0) and
the falls are design defaults (unverified).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cage import Cage
from ..fields import stream
from ..shapes import Coat, Tube, curve
from ..structures import Structure
from .spine import vertebral_levels

if TYPE_CHECKING:
    from ..spec import TwinSpec

NOTCH_MM = 46.0
"""Level of the sternal notch above the carina in a person of reference size [mm]. Design default, unverified."""

CORTEX_MM = 0.8
"""Thickness of the cortex of ribs and sternum [mm]."""

RAISED = 0.76
"""Fall of the ribs at full inspiration with raised arms / at rest [1]. Design default, unverified."""

_DROP_MM = (36, 58, 74, 86, 94, 100, 106, 110, 108, 98, 58, 28)
_END_DEG = (128, 146, 150, 150, 147, 142, 135, 124, 112, 98, 72, 48)

_RIB = Coat("spongiosa_ribs", Structure.RIB, "cortical_bone", CORTEX_MM, Structure.RIB)
_CARTILAGE = Coat("cartilage", Structure.COSTAL_CARTILAGE)
_FLAT = Coat("spongiosa_spine", Structure.STERNUM, "cortical_bone", CORTEX_MM, Structure.STERNUM)


def ribs(cage: Cage) -> tuple[list[Tube], list[NDArray[np.float64]]]:
    """Ribs 1-12 of both sides in painting order, and the front end of each ``(3,)``."""
    levels = vertebral_levels(cage)
    scale = cage.height_mm / 300
    size = 1.0 if cage.is_male else 0.88
    bodies, ends = [], []
    for number in range(12):
        upper_edge = 0.5 * (levels[number + 1] + levels[number + 2])
        drop = RAISED * _DROP_MM[number] * (0.6 + 0.4 * scale)
        for side in (-1.0, 1.0):
            t = np.linspace(0, 1, 46)
            phi = np.radians(26 + (_END_DEG[number] - 26) * t)
            z = upper_edge + 2 - drop * (0.35 * t + 0.65 * t * t * (3 - 2 * t))
            on_cage = cage.section(phi, z, side, np.full(t.size, 6.0))
            normal = cage.normal(phi, z, side)
            y = float(cage.spine(upper_edge))
            root = np.array([[side * 15, y + 19, upper_edge], [side * 23, y + 29, upper_edge + 3]])
            points = curve(np.vstack([root, on_cage[::3]]), 52)
            normals = np.column_stack(
                [np.interp(np.linspace(0, 1, 52), np.linspace(0, 1, 46), normal[:, k]) for k in range(3)]
            )
            thick = np.interp(np.linspace(0, 1, 52), [0, 0.06, 0.2, 0.6, 1], [4.2, 3.3, 3.2, 2.7, 3.3]) * size
            wide = np.interp(np.linspace(0, 1, 52), [0, 0.06, 0.2, 0.6, 1], [5.0, 4.8, 6.4, 7.0, 7.2]) * size
            if number == 0:
                thick, wide = wide * 1.1, thick  # the first rib lies flat
            bodies.append(Tube(points, np.column_stack([thick, wide]), _RIB, normals))
            ends.append(points[-1])
    return bodies, ends


def cartilages(cage: Cage, rib_ends: Sequence[NDArray[np.float64]]) -> list[Tube]:
    """Costal cartilages 1-10 of both sides: to the sternum (1-7), to the cartilage above (8-10)."""
    size = (1.0 if cage.is_male else 0.88) * cage.stature
    notch = NOTCH_MM * size
    bars: list[Tube] = []
    for number in range(10):
        for side, end in zip((-1.0, 1.0), rib_ends[2 * number : 2 * number + 2], strict=True):
            if number < 7:
                z = notch - 12 - (0, 38, 60, 80, 98, 112, 122)[number] * size
                tip = np.array([side * (21 if number == 0 else 14), sternal_y(cage, z) + 1, z])
            else:
                above = bars[2 * (number - 1) + (0 if side < 0 else 1)]
                tip = above.points_mm[9] + np.array([0, 0, -8.0])
            middle = 0.5 * (end + tip)
            phi = np.arctan2(abs(middle[0]), middle[1] - float(cage.centre(middle[2])))
            low = min(end[2], tip[2])
            middle = cage.section(phi, low + 0.35 * abs(end[2] - tip[2]), side, np.asarray(6.5))
            bars.append(Tube(curve([end, middle, tip], 18), np.full(18, 5.2 * size), _CARTILAGE))
    return bars


def calcified_spots(spec: TwinSpec, bars: Sequence[Tube]) -> list[Tube]:
    """Calcium in the cartilages: along the rims in men, in the middle in women; first at the rib's end."""
    rng = stream(spec.key, "cartilage")
    coat = Coat("cortical_bone", Structure.COSTAL_CARTILAGE, core_density=1.45)
    spots = []
    for number, bar in enumerate(bars):
        p = bar.points_mm
        radius = float(np.max(bar.radius_mm))
        for k in range(1, len(p) - 2):
            chance, size, length = rng.random(), rng.uniform(0.5, 1.3), rng.uniform(0.6, 2.2)
            off = rng.normal(size=3)
            weight = (1.3 - k / len(p)) * (1.4 if number < 2 else 1.0)
            if chance > 0.75 * spec.costal_calcification * weight:
                continue
            ahead = p[k + 1] - p[k]
            off -= (off @ ahead) / (ahead @ ahead) * ahead
            off *= (0.86 if spec.sex == "male" else 0.25) * radius / np.linalg.norm(off)
            line = p[k] + off + np.linspace(-0.5, 0.5, 3)[:, None] * length * ahead
            spots.append(Tube(line, size * np.array([0.7, 1.0, 0.7]) * (0.7 + 0.5 * spec.costal_calcification), coat))
    return spots


def sternum(cage: Cage) -> list[Tube]:
    """Manubrium, body and xiphoid as one flat tube that narrows at their joints."""
    size = (1.0 if cage.is_male else 0.88) * cage.stature
    levels = NOTCH_MM * size - np.array([0.0, 12, 26, 40, 50, 54, 60, 80, 110, 134, 146, 152]) * size
    half_width = np.array([20.0, 26, 24, 19, 15, 14, 15, 17, 19, 16, 9, 3]) * size
    half_depth = np.array([5.0, 6.5, 6.5, 6.0, 5.8, 5.2, 5.4, 5.4, 5.2, 4.8, 4, 2.5])
    line = np.column_stack([np.zeros_like(levels), [sternal_y(cage, v) for v in levels], levels])
    joint = 50.0 * size
    gap = np.array([[0.0, sternal_y(cage, NOTCH_MM * size - joint - d), NOTCH_MM * size - joint - d] for d in (0, 1.6)])
    return [
        Tube(line, np.column_stack([half_depth, half_width]), _FLAT),
        Tube(gap, np.array([[5.0, 13.0 * size]] * 2), _CARTILAGE),
    ]


def sternal_y(cage: Cage, z_mm: float) -> float:
    """World y of the middle of the sternum [mm]."""
    return float(cage.front(z_mm)) - 9.0
