"""The volume of a nodule whose axial mean diameter is given.

The mean diameter of a body depends on its form, so the volume is found by rasterising:
``V <- V (wanted / measured)^3``. Only
the spread of the form (which grows slowly with size) and the width of spicules make more than one step needed.
"""

from __future__ import annotations

import math
from functools import lru_cache

from .measures import axial_diameters_mm
from .nodule import Nodule
from .raster import body_on, fine_spacing_mm

N_STEPS = 4
TYPICAL_RATIO = 1.05
"""Mean to equivalent diameter where the search begins."""


def sized(nodule: Nodule) -> Nodule:
    """The nodule with its volume known: as it is, or with ``volume_mm3`` in place of ``mean_diameter_mm``."""
    if nodule.mean_diameter_mm is None:
        return nodule
    volume = volume_of_mean_diameter(nodule.model_copy(update={"centre_mm": None}))
    return nodule.model_copy(update={"mean_diameter_mm": None, "volume_mm3": volume})


@lru_cache(maxsize=256)
def volume_of_mean_diameter(nodule: Nodule) -> float:
    """Volume [mm3] at which the body's axial mean diameter is ``nodule.mean_diameter_mm``, to within about 0.5 %."""
    wanted = nodule.mean_diameter_mm
    if wanted is None:
        raise ValueError(f"nodule {nodule.id!r} gives no mean_diameter_mm")
    volume = math.pi / 6 * (wanted / TYPICAL_RATIO) ** 3
    for step in range(N_STEPS):
        sized = nodule.model_copy(update={"mean_diameter_mm": None, "volume_mm3": volume})
        fine = fine_spacing_mm(sized.target_diameter_mm)
        grid, body = body_on(sized, fine if step == N_STEPS - 1 else 2 * fine)
        measured = sum(axial_diameters_mm(grid, body, 0.0)) / 2
        volume *= (wanted / measured) ** 3
    return volume
