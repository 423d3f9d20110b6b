"""Painting the mediastinum: heart in its sac, nodes, vessels parted by fat, plaque, oesophagus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..canvas import Canvas
from ..fields import stream
from ..shapes import Blob, Coat, Tube, curve, paint
from ..structures import Structure
from .heart import Heart
from .nodes import lymph_nodes

if TYPE_CHECKING:
    from ..lungs import Chest
    from ..spec import TwinSpec

SLEEVE_MM = 1.6
"""Fat between neighbouring great vessels [mm]. Design default, unverified."""

_FAT = Coat("adipose", Structure.MEDIASTINUM)


def paint_mediastinum(canvas: Canvas, spec: TwinSpec, chest: Chest) -> None:
    """Paint everything between the lungs but airways and hilar vessels, which the trees bring."""
    heart = Heart.of(spec, chest.mediastinum)
    heart.paint(canvas)
    tubes = chest.mediastinum.vessels()
    bodies: list[Blob | Tube] = [
        *heart.papillary_muscles(),
        *neck(chest),
        *small_vessels(chest),
        *lymph_nodes(spec, chest),
    ]
    for group in (tubes[:5], tubes[5:8], tubes[8:]):  # veins, pulmonary arteries, aorta with its branches
        bodies += [sleeve for t in group for sleeve in _sleeve(t, heart)]
        bodies += group
    bodies += aortic_plaques(spec, tubes[8:])
    bodies += heart.coronaries(spec)
    bodies += chest.mediastinum.oesophagus(float(stream(spec.key, "oesophagus").random()))
    paint(canvas, bodies)


def aortic_plaques(spec: TwinSpec, vessels: list[Tube]) -> list[Blob | Tube]:
    """Calcified plaques in the wall of aorta and branches; ``aortic_calcium`` is the share of places beset."""
    rng = stream(spec.key, "aorta")
    coat = Coat("cortical_bone", Structure.CALCIFICATION, core_density=1.6)
    stones: list[Blob | Tube] = []
    for vessel in vessels:
        p = vessel.points_mm
        radius = np.asarray(vessel.radius_mm).reshape(len(p), -1).mean(1)
        ahead = np.gradient(p, axis=0)
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        for k in range(2, len(p) - 1):
            chance, size, length = rng.random(), rng.uniform(0.5, 1.1), rng.uniform(1.5, 6.0)
            off = rng.normal(size=3)
            # the arch and what follows it are beset more than the ascending part
            weight = 0.25 if len(p) > 50 and k < 0.3 * len(p) else 1.0
            if chance > 0.45 * spec.aortic_calcium * weight:
                continue
            off -= (off @ ahead[k]) * ahead[k]
            off /= np.linalg.norm(off)
            along = np.cross(ahead[k], off)
            depth = radius[k] - 1.0
            # a patch bent along the wall
            bend = np.linspace(-0.5, 0.5, 5) * length / max(depth, 1.0)
            line = p[k] + depth * (np.cos(bend)[:, None] * off + np.sin(bend)[:, None] * along)
            stones.append(Tube(line, np.full(5, size * (0.6 + 0.4 * spec.aortic_calcium)), coat))
    return stones


def small_vessels(chest: Chest) -> list[Tube]:
    """Internal thoracic, axillary and hemiazygos vessels, and twigs in the fat before the great vessels."""
    cage, centre = chest.cage, chest.mediastinum
    blood = Coat("blood", Structure.MEDIASTINUM)
    z = np.linspace(62.0, -96.0, 14)
    tubes = []
    for side in (-1.0, 1.0):
        for x, radius in ((15.0, 1.1), (18.5, 1.3)):
            y = cage.front(z) - 1.5
            tubes.append(Tube(np.column_stack([np.full_like(z, side * x), y, z]), np.full(len(z), radius), blood))
    tubes.append(centre.tube([(11, -3, -20), (10, -3, -80), (8, -2, -230)], 2.2, Coat("blood", Structure.AZYGOS_VEIN)))
    # axillary vein and artery on their way over the first rib to the raised arm, nodes beside them
    for side in (-1.0, 1.0):
        for lift, radius in ((0.0, 4.2), (10.0, 3.2)):
            way = [
                cage.section(np.radians(150), 88.0 + lift, side, np.asarray(10.0)),
                cage.section(np.radians(122), 66.0 + lift, side, np.asarray(24.0)),
                cage.section(np.radians(96), 52.0 + lift, side, np.asarray(40.0 + 0.5 * cage.fat_mm)),
                cage.section(np.radians(88), 64.0 + lift, side, np.asarray(64.0 + 0.5 * cage.fat_mm)),
            ]
            tubes.append(Tube(curve(way, 24), np.full(24, radius * (1.0 if cage.is_male else 0.88)), blood))
    rng = stream(0, "twigs")
    for _ in range(7):
        start = np.array([rng.uniform(-14, 16), rng.uniform(52, 74), rng.uniform(-10, 34)])
        steps = start + np.cumsum(rng.normal(0, 7, (4, 3)), 0)
        tubes.append(Tube(curve(centre.at(steps), 12), np.linspace(0.9, 0.4, 12), blood))
    return tubes


def neck(chest: Chest) -> list[Tube]:
    """What fills the inlet of the chest: scalene, long, strap and sternomastoid muscles, lower poles of the thyroid."""
    cage, centre = chest.cage, chest.mediastinum
    size = (1.0 if cage.is_male else 0.86) * cage.stature**0.5
    apex, notch = cage.apex_mm, 46.0 * cage.stature
    muscle = Coat("muscle", Structure.MUSCLE)
    gland = Coat("muscle", Structure.SOFT_TISSUE, core_density=1.06)
    tubes = []
    for side in (-1.0, 1.0):
        spine = [float(cage.spine(apex + d)) for d in (-14.0, 10.0, 40.0)]
        scalene = np.array([(side * 46, spine[0] - 8, apex - 10), (side * 33, spine[1] + 4, apex + 12),
                            (side * 25, spine[2] + 12, apex + 42)])  # fmt: skip
        behind = scalene + np.array([side * 9, 20.0, 2.0])
        long = np.array([(side * 9, spine[0] - 2, apex - 30), (side * 10, spine[2] - 3, apex + 42)])
        strap = np.array([(side * 10, float(cage.front(notch)) + 6, notch - 4), (side * 12, 0, 0)])
        strap[1] = centre.at((side * 13, 40, apex + 42))
        mastoid = np.array([(side * 18, float(cage.front(notch)) - 2, notch + 4), (0, 0, 0)])
        mastoid[1] = centre.at((side * 42, 36, apex + 46))
        pole = np.array([centre.at((side * 14, 14, apex - 12)), centre.at((side * 17, 16, apex + 44))])
        tubes += [
            Tube(curve(scalene, 12), np.linspace(9.0, 13.0, 12) * size, muscle),
            Tube(curve(behind, 12), np.linspace(10.0, 15.0, 12) * size, muscle),
            Tube(long, np.array([[3.5, 6.0], [4.5, 7.5]]) * size, muscle),
            Tube(curve(strap, 8), np.column_stack([np.full(8, 2.8), np.full(8, 8.0)]) * size, muscle),
            Tube(curve(mastoid, 8), np.column_stack([np.full(8, 5.5), np.full(8, 9.0)]) * size, muscle),
            Tube(pole, np.array([2.0, 10.5]) * size, gland),
        ]
    return tubes


def _sleeve(tube: Tube, heart: Heart) -> list[Tube]:
    """Fat around a vessel, where it runs outside the sac."""
    p = tube.points_mm
    _, _, sac = heart.fields(*(p[:, k].astype(np.float32) for k in range(3)))
    outside = np.flatnonzero(sac > 3.0)
    if len(outside) < 2:
        return []
    run = slice(outside[0], outside[-1] + 1)
    normal = None if tube.normal is None else tube.normal[run]
    return [Tube(p[run], np.asarray(tube.radius_mm)[run] + SLEEVE_MM, _FAT, normal)]
