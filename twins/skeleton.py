"""Bones of the chest: vertebrae with discs, ribs on the cage surface, cartilages, sternum, clavicles, scapulae.

A rib leaves the side of its vertebra, meets the inner surface of the cage 28 degrees off the spine and runs on it, 6 mm
outside, to its costochondral junction, falling by ``_DROP_MM`` on its way. Sections, cortex of 0.8 mm (0.7-1.0) and
the falls are design
defaults (unverified); materials are those of ICRU 46 (cortex) and ICRP 110 (spongiosa).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .cage import Cage
from .shapes import Blob, Coat, Tube, curve, direction, frame_along
from .structures import Structure

CORTEX_MM = 0.8
"""Thickness of the cortex of ribs and vertebrae [mm]."""

_DROP_MM = (36, 58, 74, 86, 94, 100, 106, 110, 108, 98, 58, 28)
_END_DEG = (128, 146, 150, 150, 147, 142, 135, 124, 112, 98, 72, 48)

_VERTEBRA = Coat(
    "spongiosa_spine", Structure.VERTEBRA, "cortical_bone", CORTEX_MM, Structure.VERTEBRA, core_density=1.12
)
_PROCESS = Coat("spongiosa_spine", Structure.VERTEBRA, "cortical_bone", 1.1, Structure.VERTEBRA, core_density=1.15)
_RIB = Coat("spongiosa_ribs", Structure.RIB, "cortical_bone", CORTEX_MM, Structure.RIB)
_CARTILAGE = Coat("cartilage", Structure.COSTAL_CARTILAGE)
_FLAT = Coat("spongiosa_spine", Structure.STERNUM, "cortical_bone", CORTEX_MM, Structure.STERNUM)
_CLAVICLE = Coat("spongiosa_ribs", Structure.CLAVICLE, "cortical_bone", 1.8, Structure.CLAVICLE)
_SCAPULA = Coat("spongiosa_ribs", Structure.SCAPULA, "cortical_bone", 1.2, Structure.SCAPULA)


def vertebral_levels(cage: Cage) -> NDArray[np.float64]:
    """World z of the centres of C6, C7, T1 ... T12, L1, L2, L3 [mm]; the carina lies at the disc T4/T5."""
    body = np.array([15, 15.5, 16.5, 17, 17.5, 18, 18.5, 19, 19.5, 20, 20.5, 21.5, 22.5, 23.5, 25, 26.5, 27.5])
    disc = np.array([5, 4.5, 4.2, 4, 4, 4, 4, 4, 4.2, 4.4, 4.8, 5.2, 5.6, 6.2, 7, 8, 8])
    pitch = (body + disc) * cage.stature
    below = -np.concatenate([[0], np.cumsum(pitch)])
    centres = 0.5 * (below[:-1] + below[1:])
    return np.asarray(centres - below[6])  # the lower end of T4 with its disc is z = 0


def spine(cage: Cage) -> list[Blob | Tube]:
    """Vertebrae and discs, in painting order."""
    levels = vertebral_levels(cage)
    scale = (1.0 if cage.is_male else 0.92) * cage.stature**0.5
    bodies: list[Blob | Tube] = []
    for index, z in enumerate(levels):
        t = np.clip((index - 2) / 11, 0, 1.3)
        half_width = (14 + 6.5 * t) * scale
        half_depth = (9 + 6.5 * t) * scale
        gap = 0.5 * abs(levels[min(index + 1, len(levels) - 1)] - levels[max(index - 1, 0)])
        gap /= 2.0 if 0 < index < len(levels) - 1 else 1.0
        height = 0.82 * gap if gap > 0 else 10.0
        along = direction([0, float(cage.spine(z + 5) - cage.spine(z - 5)), 10.0])
        axes = frame_along(along, (1, 0, 0))
        centre = np.array([0.0, float(cage.spine(z)) + half_depth, z])

        def place(
            x: float, back: float, up: float, c: NDArray[np.float64] = centre, a: NDArray[np.float64] = axes
        ) -> NDArray[np.float64]:
            return np.asarray(c + x * a[0] + back * a[1] * np.sign(a[1][1]) + up * a[2])

        down = place(0, 0, -gap)
        bodies.append(
            Blob(
                down,
                (half_width * 0.98, half_depth * 0.98, 0.30 * gap),
                Coat("cartilage", Structure.INTERVERTEBRAL_DISC, core_density=1.08),
                axes,
                6.0,
            )
        )
        # the posterior arch: pedicles, laminae, transverse and spinous processes
        canal = half_depth + 8.5 * scale
        for side in (-1.0, 1.0):
            bodies.append(
                _line([place(side * 10.5, half_depth - 3, 4), place(side * 11.5, canal + 1, 3)], [4.2, 4.4], _PROCESS)
            )
            bodies.append(
                _line(
                    [
                        place(side * 11.5, canal + 1, 3),
                        place(side * 27 * scale, canal + 9, 5),
                        place(side * 33 * scale, canal + 14, 4),
                    ],
                    [4.6, 4.2, 5.0],
                    _PROCESS,
                )
            )
            bodies.append(
                _line(
                    [place(side * 11.5, canal + 1, 3), place(side * 7, canal + 9, -3), place(0, canal + 14, -6)],
                    [3.8, 3.2, 3.2],
                    _PROCESS,
                )
            )
            bodies.append(
                _line([place(side * 12, canal + 4, 11), place(side * 12, canal + 6, -12)], [4.0, 4.0], _PROCESS)
            )
        bodies.append(
            _line(
                [place(0, canal + 13, -5), place(0, canal + 26, -15), place(0, canal + 36, -24)],
                [3.2, 3.0, 4.2],
                _PROCESS,
            )
        )
        bodies.append(Blob(centre, (half_width, half_depth, height), _VERTEBRA, axes, 5.0))
        bodies.append(
            Blob(
                place(0, canal, 0),
                (8.0 * scale, 7.5 * scale, gap * 1.1),
                Coat("muscle", Structure.SPINAL_CANAL, core_density=1.03),
                axes,
                6.0,
            )
        )
    return bodies


def spine_room(cage: Cage) -> list[Tube]:
    """Spine and paravertebral tissue as two smooth columns, as room that the lungs leave free."""
    z = np.linspace(cage.base_mm - 60, cage.apex_mm + 40, 40)
    scale = (1.0 if cage.is_male else 0.92) * cage.stature**0.5
    t = np.clip((cage.apex_mm - 10 - z) / 260, 0, 1.2)
    half_depth, half_width = (9 + 6.5 * t) * scale, (14 + 6.5 * t) * scale
    front = cage.spine(z)
    bodies = np.column_stack([np.zeros_like(z), front + half_depth, z])
    arch = np.column_stack([np.zeros_like(z), front + 2 * half_depth + 16, z])
    coat = Coat("muscle", Structure.VERTEBRA)
    return [
        Tube(bodies, np.column_stack([half_depth, half_width]), coat),
        Tube(arch, np.column_stack([np.full_like(z, 17.0), half_width + 5]), coat),
    ]


def ribs(cage: Cage) -> tuple[list[Tube], list[NDArray[np.float64]]]:
    """Ribs 1-12 of both sides in painting order, and the front end of each ``(3,)``."""
    levels = vertebral_levels(cage)
    scale = cage.height_mm / 300
    size = 1.0 if cage.is_male else 0.88
    bodies, ends = [], []
    for number in range(12):
        upper_edge = 0.5 * (levels[number + 1] + levels[number + 2])
        drop = _DROP_MM[number] * (0.6 + 0.4 * scale)
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
            thick = np.interp(np.linspace(0, 1, 52), [0, 0.06, 0.2, 0.6, 1], [4.6, 3.6, 4.0, 3.4, 4.2]) * size
            wide = np.interp(np.linspace(0, 1, 52), [0, 0.06, 0.2, 0.6, 1], [5.0, 4.6, 6.2, 6.6, 7.0]) * size
            if number == 0:
                thick, wide = wide * 1.1, thick  # the first rib lies flat
            bodies.append(Tube(points, np.column_stack([thick, wide]), _RIB, normals))
            ends.append(points[-1])
    return bodies, ends


def front(cage: Cage, rib_ends: Sequence[NDArray[np.float64]]) -> list[Blob | Tube]:
    """Costal cartilages, sternum, clavicles and scapulae, in painting order."""
    size = (1.0 if cage.is_male else 0.88) * cage.stature
    notch = 46.0 * size
    bodies: list[Blob | Tube] = []
    depth = lambda z: float(cage.front(z)) - 9.0  # noqa: E731
    for number in range(10):
        for side, end in zip((-1.0, 1.0), rib_ends[2 * number : 2 * number + 2], strict=True):
            if number < 7:
                z = notch - 12 - (0, 38, 60, 80, 98, 112, 122)[number] * size
                tip = np.array([side * (21 if number == 0 else 14), depth(z) + 1, z])
            else:
                above = bodies[2 * (number - 1) + (0 if side < 0 else 1)]
                assert isinstance(above, Tube)
                tip = above.points_mm[9] + np.array([0, 0, -8.0])
            middle = 0.5 * (end + tip)
            phi = np.arctan2(abs(middle[0]), middle[1] - float(cage.centre(middle[2])))
            low = min(end[2], tip[2])
            middle = cage.section(phi, low + 0.35 * abs(end[2] - tip[2]), side, np.asarray(6.5))
            bodies.append(Tube(curve([end, middle, tip], 18), np.full(18, 5.2 * size), _CARTILAGE))
    levels = notch - np.array([0.0, 12, 26, 40, 50, 54, 60, 80, 110, 134, 146, 152]) * size
    half_width = np.array([20.0, 26, 24, 19, 15, 14, 15, 17, 19, 16, 9, 3]) * size
    half_depth = np.array([5.0, 6.5, 6.5, 6.0, 5.8, 5.2, 5.4, 5.4, 5.2, 4.8, 4, 2.5])
    line = np.column_stack([np.zeros_like(levels), [depth(v) for v in levels], levels])
    bodies.append(Tube(line, np.column_stack([half_depth, half_width]), _FLAT))
    for side in (-1.0, 1.0):
        top = depth(notch)
        knots = [
            (side * 22, top, notch + 2),
            (side * 50, top - 4, notch + 16),
            (side * 95, top + 22, notch + 42),
            (side * 135, top + 52, notch + 62),
        ]
        # under skin and fat, wherever the outline recedes
        under = [float(cage.body_front(k[2])) + 14 + 0.75 * cage.fat_mm for k in knots]
        knots = [(k[0], max(k[1], y), k[2]) for k, y in zip(knots, under, strict=True)]
        line = curve(knots, 30)
        bodies.append(
            Tube(line, np.interp(np.linspace(0, 1, 30), [0, 0.12, 0.5, 1], [10, 7, 6, 7.5]) * size, _CLAVICLE)
        )
        bodies.extend(scapula(cage, side, size))
    return bodies


def scapula(cage: Cage, side: float, size: float) -> list[Blob | Tube]:
    """A blade on the back of the cage, turned outwards as with raised arms; its border, spine, glenoid; the humerus."""
    z = 16.0 * size
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
    edge = float(cage.body_half_width(head[2])) - 24 * size - cage.fat_mm
    head[0] = side * min(abs(head[0]), edge)
    return [
        blade,
        Tube(border, np.full(16, 4.6 * size), _SCAPULA),
        Tube(ridge, np.linspace(3.0, 6.5, 16) * size, _SCAPULA),
        Tube(np.stack([glenoid - outward * 4, glenoid + outward * 3]), np.array([9.0, 12.0]) * size, _SCAPULA),
        Blob(
            head,
            np.full(3, 21.0 * size),
            Coat("spongiosa_ribs", Structure.HUMERUS, "cortical_bone", 1.2, Structure.HUMERUS, core_density=1.12),
        ),
    ]


def _line(points: Sequence[NDArray[np.float64]], radii: Sequence[float], coat: Coat) -> Tube:
    n = 4 * (len(points) - 1) + 1
    line = curve(np.asarray(points), n)
    return Tube(line, np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(radii)), radii), coat)
