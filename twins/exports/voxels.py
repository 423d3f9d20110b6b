"""What is in every voxel of a twin, lesions and other insets included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..grid import Grid
from ..materials import Material
from ..twin import FRACTION_STEP, Inset, Twin


def all_materials(twin: Twin) -> tuple[Material, ...]:
    """The materials of a twin and of its insets, each once."""
    return tuple(dict.fromkeys([*twin.materials, *(m for inset in twin.insets for m in inset.materials)]))


def partial_density(twin: Twin, material: Material) -> NDArray[np.float32]:
    """Mass of one material per voxel volume, ``(z, y, x)`` [g/cm3].

    Insets are averaged into the voxels that their fine voxels' centres lie in: mass is kept, their shape is not finer
    than the voxels any more.
    """
    out = np.zeros(twin.grid.shape, np.float32)
    density = twin.density_g_cm3()
    share = twin.fraction_b * np.float32(FRACTION_STEP)
    for number, made_of in enumerate(twin.materials):
        if made_of == material:
            out += np.where(twin.material_a == number, density * (1 - share), np.float32(0))
            out += np.where(twin.material_b == number, density * share, np.float32(0))
    for inset in twin.insets:
        for number, made_of in enumerate(inset.materials):
            if made_of == material:
                _add(out, twin.grid, inset, inset.delta_g_cm3[number])
    return np.maximum(out, 0)


def _add(out: NDArray[np.float32], grid: Grid, inset: Inset, delta: NDArray[np.float32]) -> None:
    places = []
    for axis, n in enumerate(inset.grid.shape):
        steps = np.zeros((n, 3))
        steps[:, axis] = np.arange(n)
        index = grid.world_to_index(inset.grid.index_to_world(steps))[:, axis]
        places.append(np.floor(index + 0.5).astype(int))
    inside = [(p >= 0) & (p < n) for p, n in zip(places, grid.shape, strict=True)]
    z, y, x = (p[i] for p, i in zip(places, inside, strict=True))
    share = np.float32(inset.grid.voxel_volume_mm3 / grid.voxel_volume_mm3)
    np.add.at(out, np.ix_(z, y, x), delta[np.ix_(*inside)] * share)
