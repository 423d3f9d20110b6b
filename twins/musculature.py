"""Muscles of the chest wall: sheets and strands between the ribs and the fascia, with fat between them.

A sheet is a band of depth, counted outwards from the pleura (``w``) or inwards from the fascia (``s``), whose thickness
rises and falls with the angle from the spine and with the level along the lung, so that it ends as a thin edge.
Thicknesses: pectoralis major 10-20 mm (men) and 6-12 (women), latissimus 8-15, trapezius 6-10, erector spinae in two
columns 15-55 mm off the midline; places and edges are design defaults (unverified) after general anatomy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .fields import Field
from .shapes import Blob, Coat, Tube, curve, frame_along, unite
from .skeleton import scapula
from .structures import Structure

if TYPE_CHECKING:
    from .lungs import Chest

Array = NDArray[Any]

# depth (0: outwards from the pleura, 1: inwards from the fascia), start of the band [mm], thickness of men and of women
# [mm], angles from the spine between which it lies and their softness [degrees], the same for levels along the lung [1]
_SHEETS = np.array(
    [
        (0, 12.4, 7.5, 5.5, 44, 132, 18, 0.16, 0.96, 0.12),  # serratus anterior
        (0, 13.0, 8.5, 6.0, 110, 150, 13, 0.62, 0.98, 0.10),  # pectoralis minor
        (0, 12.6, 17.0, 12.0, 8, 56, 14, 0.52, 1.06, 0.10),  # rhomboids, serratus posterior
        (1, 0.8, 16.0, 11.5, 26, 104, 18, -1.0, 0.90, 0.14),  # latissimus dorsi, teres major
        (1, 0.8, 12.0, 9.0, -20, 58, 15, 0.30, 2.0, 0.14),  # trapezius
        (1, 0.8, 20.0, 11.5, 98, 174, 20, 0.44, 1.10, 0.14),  # pectoralis major
        (1, 0.8, 9.5, 6.5, 70, 160, 22, -1.0, 0.34, 0.14),  # external oblique
        (1, 0.8, 9.0, 7.0, 150, 178, 14, -1.0, 0.20, 0.12),  # rectus abdominis
        (0, 12.0, 5.5, 4.5, 60, 150, 22, -1.0, 0.12, 0.12),  # internal oblique
        (1, 14.5, 15.0, 11.0, 16, 66, 20, 0.84, 2.0, 0.12),  # levator scapulae, rhomboids above the apex
        (1, 12.0, 20.0, 15.0, 52, 104, 22, 0.90, 2.0, 0.12),  # supraspinatus
        (1, 1.0, 15.0, 10.5, 92, 146, 18, 0.90, 2.0, 0.10),  # deltoid and clavicular head of the pectoralis
    ]
)


def muscles(chest: Chest, fascia: Field, bumps: Field) -> Field:
    """Signed distance [mm] of all muscle of the wall on the lattice, negative inside; valid outside the pleura."""
    lattice, cage = chest.lattice, chest.cage
    z, y, x = lattice.axes_mm()
    field = np.empty(lattice.shape, np.float32)
    sheets = _SHEETS[:, [0, 1, 2 if cage.is_male else 3, 4, 5, 6, 7, 8, 9]].copy()
    sheets[:, 3:6] = np.radians(sheets[:, 3:6])
    sheets[:, 2] *= cage.muscle
    _sheets(chest.wall, fascia, bumps, y, x, cage.centre(z), cage.level(z), sheets, cage.stature, field)
    size = (1.0 if cage.is_male else 0.88) * cage.stature
    coat = Coat("muscle", Structure.MUSCLE)
    bodies: list[Blob | Tube] = []
    for side in (-1.0, 1.0):
        blade, *_, head = scapula(cage, side, size)
        assert isinstance(blade, Blob)
        assert isinstance(head, Blob)
        axes = np.asarray(blade.axes, float)
        normal = axes[2]
        at = np.asarray(blade.centre_mm, float)
        out = axes[1] * (1 if np.dot(axes[1], [side, -0.3, 0]) > 0 else -1)
        up = axes[0]
        bodies += [
            Blob(at - 11.5 * normal + 2 * out, (60 * size, 40 * size, 11.0 * size), coat, axes),  # subscapularis
            Blob(at + 12.5 * normal + 3 * out, (62 * size, 41 * size, 12.0 * size), coat, axes),  # infraspinatus
            Blob(at + 36 * out - 16 * up + 2 * normal, (52 * size, 17 * size, 15 * size), coat, axes),  # teres
        ]
        arm = np.asarray(head.centre_mm, float)
        bodies += [
            Blob(arm + np.array([0, 2, -4]) * size, (33 * size, 38 * size, 46 * size), coat),  # deltoid
            Blob(arm + np.array([-side * 26, 18, -38]) * size, (22 * size, 19 * size, 60 * size), coat,
                 frame_along((-side * 0.35, 0.1, 1.0), (1, 0, 0))),  # long head of triceps, latissimus tendon
            Tube(curve([arm + np.array([0, -24, 10]), arm + np.array([-side * 40, -42, -14]) * size,
                        arm + np.array([-side * 84, -62, -30]) * size], 12),
                 np.linspace(14, 12, 12) * size, coat),  # pectorals towards the arm
            Tube(curve([arm + np.array([-side * 8, -4, 34]) * size, arm + np.array([-side * 70, 14, 44]) * size,
                        arm + np.array([-side * 118, 22, 56]) * size], 12),
                 np.linspace(20, 26, 12) * size, coat),  # supraspinatus, upper trapezius, levator
        ]  # fmt: skip
    unite(field, lattice.origin_mm, lattice.spacing_mm[0], bodies, blend_mm=1.5)
    # the septa of the sheets run on through what the girdle holds above the apex
    high = np.flatnonzero(cage.level(z) > 0.85)
    part = slice(high[0] if len(high) else len(z), None)
    np.maximum(field[part], 0.7 - 11.0 * np.abs(bumps[part] - 0.25), out=field[part], where=chest.wall[part] > 13.0)
    return field


@njit(cache=True, inline="always")
def _plateau(v: Any, low: Any, high: Any, soft: Any) -> Any:
    """1 between ``low`` and ``high``, falling smoothly to 0 within ``soft`` inside them."""
    a = min(1.0, max(0.0, (v - low) / soft))
    b = min(1.0, max(0.0, (high - v) / soft))
    return a * a * (3.0 - 2.0 * a) * b * b * (3.0 - 2.0 * b)


@njit(parallel=True, cache=True, error_model="numpy")
def _sheets(
    wall: Array, fascia: Array, bumps: Array, y: Array, x: Array, centre: Array, level: Array, sheets: Array,
    stature: Any, out: Array,
) -> None:  # fmt: skip
    """Overwrite ``out`` (k, j, i) with the distance of sheets, intercostal layer and erector spinae [mm]."""
    nz, ny, nx = out.shape
    for k in prange(nz):
        t = level[k]
        deep = -4.0 + 14.0 * min(1.0, max(0.0, (t - 0.30) / 0.12))  # under the trapezius
        for j in range(ny):
            for i in range(nx):
                out[k, j, i] = 30.0
                w = wall[k, j, i]
                s = -fascia[k, j, i]
                if w < -8.0 or s < -8.0:
                    continue
                across = abs(x[i])
                phi = math.atan2(across, y[j] - centre[k])
                wave = bumps[k, j, i]
                best = w - 11.2 * min(1.0, max(0.0, (0.97 - t) / 0.1))  # ribs and what is between them
                for m in range(sheets.shape[0]):
                    b = _plateau(t, sheets[m, 6], sheets[m, 7], sheets[m, 8])
                    b *= _plateau(phi + 0.09 * wave, sheets[m, 3], sheets[m, 4], sheets[m, 5])
                    if b <= 0.0:
                        continue
                    half = 0.5 * sheets[m, 2] * (1.0 + 0.12 * wave) * b - 2.5 * (1.0 - b)
                    depth = (w if sheets[m, 0] == 0.0 else s) - sheets[m, 1] - 0.5 * sheets[m, 2]
                    best = min(best, abs(depth) - half)
                if phi < 1.2:  # erector spinae: two columns with a plane of fat between them
                    # a block with corners of 20 mm, wider towards the loins
                    a = max(0.0, across - (36.0 + 12.0 * min(1.0, max(0.0, (0.5 - t) / 0.4)) + 3.0 * wave) * stature)
                    b = max(0.0, 20.0 + deep - s)
                    column = max(math.sqrt(a * a + b * b) - 20.0, 2.2 - across)
                    plane = 0.8 - abs(across - (21.0 + 2.0 * wave) * stature)
                    best = min(best, max(column, plane))
                if w > 13.0:  # septa of fat wander between the muscles
                    best = max(best, 0.7 - 11.0 * abs(wave - 0.25))
                out[k, j, i] = best
