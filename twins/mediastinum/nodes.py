"""Mediastinal and hilar lymph nodes: flat ovals of 4 to 9 mm short axis with a hilum of fat, in their stations.

Stations as in the IASLC map (2, 4, 5, 6, 7, 10); sizes and places are design defaults (unverified).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fields import sample, stream
from ..shapes import Blob, Coat, frame_along
from ..structures import Structure

if TYPE_CHECKING:
    from ..lungs import Chest
    from ..spec import TwinSpec

# station: centre in the frame of the mediastinum and spread [mm], share of nodes
_STATIONS = (
    ((-17, 22, 20), (4, 6, 10), 0.26),  # 4R, right lower paratracheal
    ((13, 20, 6), (4, 5, 6), 0.12),  # 4L
    ((2, 17, -24), (9, 5, 7), 0.24),  # 7, subcarinal
    ((25, 32, 8), (4, 6, 5), 0.10),  # 5, aortopulmonary window
    ((14, 54, 18), (10, 5, 10), 0.08),  # 6, prevascular
    ((-15, 20, 46), (4, 5, 8), 0.06),  # 2R
    ((-33, 20, -30), (4, 6, 8), 0.08),  # 10R, hilar
    ((42, 12, -34), (4, 6, 6), 0.06),  # 10L
)


def lymph_nodes(spec: TwinSpec, chest: Chest) -> list[Blob]:
    """The nodes of a person, in painting order; those drawn first stay when their number grows."""
    rng = stream(spec.key, "lymph nodes")
    shares = np.array([s[2] for s in _STATIONS])
    centre, lattice = chest.mediastinum, chest.lattice
    origin, step = np.asarray(lattice.origin_mm), lattice.spacing_mm[0]
    bodies: list[Blob] = []
    for _ in range(spec.n_lymph_nodes):
        station = _STATIONS[rng.choice(len(_STATIONS), p=shares / shares.sum())]
        short = float(np.clip(rng.lognormal(np.log(5.2), 0.25), 3.5, 9.5))
        ratio = rng.uniform(1.25, 2.2)
        axes = frame_along(rng.normal(size=3) + np.array([0.0, 0.0, 1.2]), rng.normal(size=3))
        offsets = rng.normal(size=(12, 3)) * station[1]
        hilum = rng.uniform(0.25, 0.55)
        places = centre.at(np.asarray(station[0]) + offsets)
        # the first place outside the lungs, else the deepest one
        depth = np.array([sample(chest.lung, origin, step, *p) for p in places])
        free = np.flatnonzero(depth > 0.5 * short + 0.5)
        at = places[free[0] if len(free) else int(depth.argmax())]
        semi = 0.5 * short * np.array([1.0, rng.uniform(1.0, 1.3), ratio])
        bodies.append(Blob(at, semi, Coat("gut_wall", Structure.LYMPH_NODE, core_density=1.035), axes))
        fat = Coat("adipose", Structure.LYMPH_NODE)
        bodies.append(Blob(at + 0.45 * semi[0] * axes[0], semi * hilum * [1.0, 1.0, 1.2], fat, axes))
    return bodies
