"""Rings of the trachea: horseshoes of cartilage open behind, in later life with calcium in patches.

A ring every 4.5 mm, 3.4 mm high, in the outer half of the wall; calcium is commoner in women and with age (shares:
design default, unverified).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fields import stream
from ..shapes import Coat, Tube
from ..structures import Structure

if TYPE_CHECKING:
    from ..lungs import Chest
    from ..spec import TwinSpec

PITCH_MM, HEIGHT_MM = 4.5, 3.4
"""Distance of neighbouring rings, and their height [mm]."""

OPEN_DEG = 118.0
"""Rings end so far from the front to either side [deg]."""

_RING = Coat("cartilage", Structure.MEDIASTINUM)
_CALCIUM = Coat("cortical_bone", Structure.CALCIFICATION, core_density=1.35)


def tracheal_rings(spec: TwinSpec, chest: Chest) -> list[Tube]:
    """Rings from the carina to the neck, with their calcified patches after them."""
    wall, _ = chest.mediastinum.trachea()
    rng = stream(spec.key, "tracheal rings")
    share = float(np.clip((spec.age_y - 45) / 70, 0, 0.5)) * (1.3 if spec.sex == "female" else 0.8)
    middle, outer = wall.points_mm, np.asarray(wall.radius_mm)
    order = np.argsort(middle[:, 2])
    rings, calcium = [], []
    for z in np.arange(8.0, middle[:, 2].max() - 4.0, PITCH_MM):
        x, y, deep, wide = (
            float(np.interp(z, middle[order, 2], v[order])) for v in (middle[:, 0], middle[:, 1], *outer.T)
        )
        turn = np.radians(np.linspace(-OPEN_DEG, OPEN_DEG, 17))
        normal = np.column_stack([np.sin(turn), -np.cos(turn), 0 * turn])
        reach = np.column_stack([(wide - 0.6) * np.sin(turn), -(deep - 0.6) * np.cos(turn)])
        tilt, start, length = rng.normal(0, 0.5), int(rng.integers(0, 14)), int(rng.integers(3, 12))
        line = np.column_stack([x + reach[:, 0], y + reach[:, 1], z + tilt * np.sin(turn)])
        rings.append(Tube(line, np.tile([0.55, 0.5 * HEIGHT_MM], (17, 1)), _RING, normal))
        if rng.random() < share:
            patch = line[start : start + length]
            size = np.tile([0.4, 0.35 * HEIGHT_MM * rng.uniform(0.5, 1.0)], (len(patch), 1))
            calcium.append(Tube(patch, size, _CALCIUM, normal[start : start + length]))
    return rings + calcium
