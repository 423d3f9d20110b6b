"""Lobes and lungs with what runs inside them, from anatomy labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.structures import AERATED, LUNG, Structure

BOX_MM = 15.0
"""Side of the box in which aerated neighbours vote (design default)."""

LEFT = (Structure.LEFT_UPPER_LOBE, Structure.LEFT_LOWER_LOBE, Structure.LEFT_LUNG)
"""Aerated lung on the left."""


def filled_lungs(anatomy: NDArray[np.uint16], grid: Grid) -> NDArray[np.uint16]:
    """The lungs as other tools segment them: vessels, airways and fissures inside a lung belong to its lobes.

    A voxel of such a structure takes the lobe that most voxels of the box around it have, where at least half of that
    box is aerated lung; hilar vessels and bronchi, which run outside, stay out.

    Parameters
    ----------
    anatomy
        Labels ``(z, y, x)``, values of :class:`twins.Structure`.
    grid
        Their lattice.

    Returns
    -------
    numpy.ndarray
        A value of :data:`twins.structures.AERATED`, or 0; ``(z, y, x)``.
    """
    from scipy.ndimage import uniform_filter

    out: NDArray[np.uint16] = np.where(np.isin(anatomy, AERATED), anatomy, 0).astype(np.uint16)
    held = [np.flatnonzero(out.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    if any(len(indices) == 0 for indices in held):
        return out
    half = [round(0.5 * BOX_MM / spacing) for spacing in grid.spacing_mm]
    window = tuple(slice(max(0, int(i[0]) - h), int(i[-1]) + 1 + h) for i, h in zip(held, half, strict=True))
    part, lobes = anatomy[window], out[window]
    inner = np.isin(part, [s for s in LUNG if s not in AERATED])
    total = np.zeros(int(inner.sum()), np.float32)
    size = [2 * h + 1 for h in half]
    best, winner = np.zeros_like(total), np.zeros(total.shape, np.uint16)
    for value in np.unique(lobes[lobes > 0]):
        share = uniform_filter((lobes == value).astype(np.float32), size, mode="nearest")[inner]
        total += share
        winner[share > best] = value
        best = np.maximum(best, share)
    lobes[inner] = np.where(total >= 0.5, winner, 0)
    return out
