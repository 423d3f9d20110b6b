"""Parts of an image that are back projected one after the other, so that what they are read from stays in the cache.

A part reads nodes along rays (:mod:`ctsim.kernels.gather`): places of its direction's projection, and along the ray of
a place points that are whole multiples of one distance from the ray's nearest point to the axis. Parts of one image so
share their nodes, and an image does not depend on how it is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels.spread import BLOCK, TILE
from .resampling import Rays

_Array = NDArray[np.float64]

_NODES = 16384
"""Nodes in a slice of a part of an image, if it is more than one tile (measured)."""
_BLOCKS = 3
"""Largest depth of a slab, in blocks (measured)."""
DRIFT_ROWS = 0.5
"""Rows that the outermost rays move from node to node at most (design default) ..."""
DRIFT_SLICES = 0.25
"""... or this share of a slice's thickness, if that is more."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """Part of an image in the plane.

    Parameters
    ----------
    y, x
        Voxels.
    area
        Lowest and highest x, lowest and highest y, largest distance from the axis [mm].
    middle, reach_mm
        The area's middle ``(2,)``, from the axis, and what lies between it and a corner [mm].
    n_places, n_nodes
        Of a sheet: places, and nodes along their rays.
    first_place, first_node
        ``(D,)``: first place, and number of the first node, in each direction.
    """

    y: slice
    x: slice
    area: _Array
    middle: _Array
    reach_mm: float
    n_places: int
    n_nodes: int
    first_place: NDArray[np.int64]
    first_node: NDArray[np.int64]


def tiles(
    x_mm: _Array, y_mm: _Array, radius_mm: float, rays: Rays, n_rays: int, place_mm: float, node_mm: float,
    direction: _Array,
) -> list[Tile]:  # fmt: skip
    """The parts of the image that the field of view reaches, all of one size but for the last ones.

    ``n_rays`` is the number of places that rays have.
    """
    pixel_mm = abs(x_mm[-1] - x_mm[0]) / max(len(x_mm) - 1, 1)

    def size(side: int) -> int:
        reach = math.sqrt(0.5) * (side - 1) * pixel_mm
        return _n_places(reach, place_mm, n_rays) * _n_nodes(reach, node_mm)

    side = TILE
    while side < max(len(x_mm), len(y_mm)) and size(side + TILE) <= _NODES:
        side += TILE
    found = []
    for y in _parts(len(y_mm), side):
        for x in _parts(len(x_mm), side):
            area = _area(x_mm[x], y_mm[y], radius_mm)
            if area is None:
                continue
            middle = 0.5 * np.array([area[0] + area[1], area[2] + area[3]])
            reach = 0.5 * math.hypot(area[1] - area[0], area[3] - area[2])
            n_places, n_nodes = _n_places(reach, place_mm, n_rays), _n_nodes(reach, node_mm)
            p, t = direction @ [middle[1], -middle[0]], direction @ middle
            first = np.floor(p / place_mm + rays.middle - 0.5 * (n_places - 1)).astype(np.int64)
            first = np.clip(first, rays.first[0], rays.first[0] + n_rays - n_places)
            node = np.rint(t / node_mm).astype(np.int64) - n_nodes // 2
            found.append(Tile(y, x, area, middle, reach, n_places, n_nodes, first, node))
    return found


def _area(x_mm: _Array, y_mm: _Array, radius_mm: float) -> _Array | None:
    """What of some voxels the field of view reaches; see :class:`Tile`."""
    is_in = x_mm**2 + y_mm[:, None] ** 2 <= radius_mm**2
    if not is_in.any():
        return None
    x, y = x_mm[is_in.any(axis=0)], y_mm[is_in.any(axis=1)]
    return np.array([x.min(), x.max(), y.min(), y.max(), radius_mm])


def _parts(n: int, size: int) -> list[slice]:
    return [slice(low, min(low + size, n)) for low in range(0, n, size)]


def _n_places(reach_mm: float, place_mm: float, n_rays: int) -> int:
    """Places around a middle that lies anywhere between two, and their neighbours."""
    return min(math.ceil(2 * reach_mm / place_mm) + 5, n_rays)


def _n_nodes(reach_mm: float, node_mm: float) -> int:
    return 2 * math.ceil(reach_mm / node_mm + 1.5) + 1


def node_distance_mm(geometry: Geometry, radius_mm: float, box_mm: float) -> float:
    """Distance of nodes along a ray [mm]."""
    row_mm = geometry.row_pitch_mm * geometry.source_distance_mm / geometry.detector_distance_mm
    drift = max(DRIFT_ROWS, DRIFT_SLICES * box_mm / row_mm)
    return max(1.0, 2 * drift * (geometry.source_distance_mm - radius_mm) / max(geometry.shape[1], 4))


def slabs(n_slices: int) -> list[slice]:
    """Slices that are worked at a time: as many as are fast, and the rest."""
    return _parts(n_slices, BLOCK * _BLOCKS)


def depth(slices: slice) -> int:
    """How many slices a sheet holds for some of them: a whole number of blocks."""
    return -(-(slices.stop - slices.start) // BLOCK) * BLOCK
