"""What bounds a nodule that grows against a surface: the lung for one at the pleura, its own lobe for one at a fissure.

The twin knows the surface by its voxels. Their signed Euclidean distance, smoothed by one voxel, is a surface without
steps; sampled linearly it says of any point how far inside the room it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from twins import LUNG, Grid, Structure, Twin

from .surroundings import LOBES_OF_A_LUNG, sample


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """Where a nodule may be.

    Parameters
    ----------
    name
        "pleura" or "fissure": what bounds the room.
    grid
        A part of the twin's lattice.
    inside_mm
        ``(z, y, x)`` float32 signed distance to the bounding surface, positive inside [mm].
    """

    name: str
    grid: Grid
    inside_mm: NDArray[np.float32]

    def on(self, grid: Grid) -> NDArray[np.float32]:
        """Signed distance on another lattice in the world ``(z, y, x)`` [mm]."""
        return sample(self.inside_mm[None], self.grid, grid)[0]

    def at(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distance at world points ``(..., 3)`` [mm]."""
        index = self.grid.world_to_index(np.asarray(points_mm, np.float64))
        found = map_coordinates(self.inside_mm, index.reshape(-1, 3).T, order=1, mode="nearest", output=np.float64)
        return np.asarray(found.reshape(index.shape[:-1]))

    def inward(self, point_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit vector ``(x, y, z)`` that leads away from the surface, at a world point."""
        step = max(1.5, 1.5 * max(self.grid.spacing_mm)) * np.eye(3)
        change = self.at(point_mm + step) - self.at(point_mm - step)
        length = float(np.linalg.norm(change))
        if length == 0:
            raise ValueError(f"no {self.name} near {tuple(float(c) for c in point_mm)} mm")
        return np.asarray(change / length)


def lung_around(twin: Twin, point_mm: NDArray[np.float64], reach_mm: float) -> Room:
    """The lungs, with all that runs inside them, within ``reach_mm`` of a point; the pleura bounds them."""
    structure, grid = _box(twin, point_mm, reach_mm)
    return Room("pleura", grid, _signed(np.isin(structure, [int(s) for s in LUNG]), grid))


def lobe_around(twin: Twin, point_mm: NDArray[np.float64], reach_mm: float) -> Room:
    """What lies on the point's own side of the fissures of its lung, within ``reach_mm``.

    Raises
    ------
    ValueError
        If the point lies in no lobe.
    """
    structure, grid = _box(twin, point_mm, reach_mm)
    index = np.clip(np.rint(grid.world_to_index(point_mm)).astype(int), 0, np.asarray(grid.shape) - 1)
    own = int(structure[tuple(index)])
    lobes = next((lung for lung in LOBES_OF_A_LUNG if own in {int(s) for s in lung}), None)
    if lobes is None:
        name = Structure(own).name
        raise ValueError(f"a fissure bounds lobes, but {tuple(float(c) for c in point_mm)} mm lies in {name}")
    beyond = [int(s) for s in (*lobes, Structure.FISSURE) if int(s) != own]
    return Room("fissure", grid, _signed(~np.isin(structure, beyond), grid))


def _box(twin: Twin, point_mm: NDArray[np.float64], reach_mm: float) -> tuple[NDArray[np.uint16], Grid]:
    index = twin.grid.world_to_index(point_mm)
    reach = np.ceil(reach_mm / np.asarray(twin.grid.spacing_mm)).astype(int) + 2
    limit = np.asarray(twin.grid.shape)
    low = np.clip(np.floor(index).astype(int) - reach, 0, limit - 1)
    high = np.clip(np.ceil(index).astype(int) + reach + 1, low + 1, limit)
    structure = twin.structure[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    x, y, z = (float(c) for c in twin.grid.index_to_world(low))
    n_z, n_y, n_x = structure.shape
    return structure, Grid((n_z, n_y, n_x), twin.grid.spacing_mm, (x, y, z), twin.grid.direction)


def _signed(inside: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """Signed distance to the faces between inside and outside [mm], smoothed by one voxel; the box's ends are open."""
    half = 0.5 * min(grid.spacing_mm)
    far = float(np.linalg.norm(grid.size_mm))
    if inside.all() or not inside.any():
        return np.full(grid.shape, far if inside.all() else -far, np.float32)
    within = distance_transform_edt(inside, sampling=grid.spacing_mm) - half
    without = distance_transform_edt(~inside, sampling=grid.spacing_mm) - half
    sigma = min(grid.spacing_mm) / np.asarray(grid.spacing_mm)
    return np.asarray(gaussian_filter(np.where(inside, within, -without), sigma, mode="nearest"), dtype=np.float32)
