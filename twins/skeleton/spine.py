"""Vertebrae with processes, pedicles and canal, discs, osteophytes.

Sizes of the bodies from T1 28/17/16 mm (across, deep, high) to T12 40/31/23 mm in men, 8 % less in women; processes,
discs and places are design defaults (unverified). Materials: ICRU 46 (cortex), ICRP 110 (spongiosa).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cage import Cage
from ..fields import stream
from ..shapes import Blob, Coat, Tube, curve, direction, frame_along
from ..structures import Structure

if TYPE_CHECKING:
    from ..spec import TwinSpec

CORTEX_MM = 0.8
"""Thickness of the cortex of vertebrae [mm]."""

_VERTEBRA = Coat("spongiosa_spine", Structure.VERTEBRA, "cortical_bone", CORTEX_MM, Structure.VERTEBRA)
_PROCESS = Coat("spongiosa_spine", Structure.VERTEBRA, "cortical_bone", 1.1, Structure.VERTEBRA)


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
                _line(
                    [place(side * 11, canal + 3, -6), place(side * 6.5, canal + 10, -11), place(0, canal + 14, -14)],
                    [3.4, 3.0, 3.2],
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


def osteophytes(spec: TwinSpec, cage: Cage) -> list[Tube]:
    """Bony rims at the discs, right in front where the aorta does not beat; more and larger with age."""
    rng = stream(spec.key, "osteophytes")
    levels = vertebral_levels(cage)
    scale = (1.0 if cage.is_male else 0.92) * cage.stature**0.5
    chance = np.clip((spec.age_y - 35) / 60, 0, 0.75)
    spurs = []
    for index in range(5, 15):
        t = np.clip((index - 2) / 11, 0, 1.3)
        half_width, half_depth = (14 + 6.5 * t) * scale, (9 + 6.5 * t) * scale
        u, size, reach, turn = rng.random(), rng.uniform(0.8, 2.4), rng.uniform(0.5, 1.3), rng.uniform(-0.9, 0.5)
        if u > chance:
            continue
        z = 0.5 * (levels[index] + levels[index + 1])
        arc = turn - 0.6 + np.linspace(-0.5, 0.5, 9) * reach
        out = 1.0 + 0.5 * size / half_depth
        line = np.column_stack([
            half_width * out * np.sin(arc), float(cage.spine(z)) + half_depth * (1 - out * np.cos(arc)),
            np.full(9, z + rng.choice([-3.0, 3.0]))])  # fmt: skip
        spurs.append(Tube(line, size * np.sin(np.linspace(0.3, np.pi - 0.3, 9)) + 0.4, _PROCESS))
    return spurs


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


def _line(points: Sequence[NDArray[np.float64]], radii: Sequence[float], coat: Coat) -> Tube:
    n = 4 * (len(points) - 1) + 1
    line = curve(np.asarray(points), n)
    return Tube(line, np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(radii)), radii), coat)
