"""The shoulder girdle with raised arms: clavicles, scapulae with spine and glenoid, heads of the humeri.

Sizes and places are design defaults (unverified) after general anatomy.
"""

from __future__ import annotations

import numpy as np

from ..cage import Cage
from ..shapes import Blob, Coat, Tube, curve, direction, frame_along
from ..structures import Structure
from .ribs import NOTCH_MM, sternal_y

_CLAVICLE = Coat("spongiosa_ribs", Structure.CLAVICLE, "cortical_bone", 1.8, Structure.CLAVICLE)
_SCAPULA = Coat("spongiosa_ribs", Structure.SCAPULA, "cortical_bone", 1.2, Structure.SCAPULA)


def clavicles(cage: Cage) -> list[Tube]:
    """Clavicles from the manubrium to the shoulder, under skin and fat wherever the outline recedes."""
    size = (1.0 if cage.is_male else 0.88) * cage.stature
    notch = NOTCH_MM * size
    top = sternal_y(cage, notch)
    bones = []
    for side in (-1.0, 1.0):
        knots = [
            (side * 22, top, notch + 2),
            (side * 46, top - 2, notch + 18),
            (side * 82, top + 24, notch + 44),
            (side * 116, top + 56, notch + 66),
        ]
        under = [float(cage.body_front(k[2])) + 16 + 0.75 * cage.fat_mm for k in knots]
        knots = [(k[0], max(k[1], y), k[2]) for k, y in zip(knots, under, strict=True)]
        radius = np.interp(np.linspace(0, 1, 30), [0, 0.12, 0.5, 1], [10, 7, 6, 7.5]) * size
        bones.append(Tube(curve(knots, 30), radius, _CLAVICLE))
    return bones


def scapula(cage: Cage, side: float, size: float) -> list[Blob | Tube]:
    """A blade on the back of the cage, turned outwards as with raised arms; its border, spine, glenoid; the humerus."""
    z = 27.0 * size
    phi = np.radians(62)
    centre = cage.section(phi, z, side, np.asarray(25.0))
    normal = cage.normal(phi, z, side)
    up = direction([side * 0.34, -0.12, 1.0])
    axes = frame_along(normal, up)
    blade = Blob(
        centre,
        (62 * size, 36 * size, 2.3),
        Coat("spongiosa_ribs", Structure.SCAPULA, "cortical_bone", 1.0, Structure.SCAPULA),
        axes,
        2.0,
    )
    outward = np.cross(normal, up) * (1 if np.dot(np.cross(normal, up), [side, -0.3, 0]) > 0 else -1)
    glenoid = centre + up * 52 * size + outward * 34 * size + normal * 4
    border = curve([centre - up * 58 * size + outward * 4, centre + outward * 30 * size, glenoid], 16)
    ridge = curve(
        [
            centre + up * 24 * size - outward * 34 * size + normal * 3,
            centre + up * 36 * size + normal * 16,
            glenoid + normal * 20 + up * 10,
        ],
        16,
    )
    head = glenoid + outward * 20 * size + up * 14
    edge = float(cage.body_half_width(head[2])) - 36 * size - cage.fat_mm
    head[0] = side * min(abs(head[0]), edge)
    return [
        blade,
        Tube(border, np.full(16, 4.6 * size), _SCAPULA),
        Tube(ridge, np.linspace(3.0, 6.5, 16) * size, _SCAPULA),
        Blob(
            centre + up * 34 * size + normal * 9,
            (30 * size, 11 * size, 1.8),
            Coat("spongiosa_ribs", Structure.SCAPULA, "cortical_bone", 0.9, Structure.SCAPULA),
            frame_along(direction(up - 0.7 * outward), outward + 0.5 * up),
        ),
        Tube(np.stack([glenoid - outward * 4, glenoid + outward * 3]), np.array([9.0, 12.0]) * size, _SCAPULA),
        Blob(
            head,
            np.full(3, 21.0 * size),
            Coat("spongiosa_ribs", Structure.HUMERUS, "cortical_bone", 1.2, Structure.HUMERUS, core_density=1.12),
        ),
    ]
