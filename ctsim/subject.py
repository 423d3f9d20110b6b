"""Who was exposed: digests by which an exposure knows its twin again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Inset, Material, Twin

from .voxels import n_channels_of


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a twin fixes its exposure.

    Parameters
    ----------
    base
        SHA-256 of lattice, materials and mixture of the base, whatever its structures are called [hex].
    insets
        SHA-256 of lattice, materials and difference of every inset, in their order [hex].
    n_channels
        Channels of the area densities, 2, or 3 with iodine.
    """

    base: str
    insets: tuple[str, ...]
    n_channels: int


def subject_of(twin: Twin) -> Subject:
    """The digests of a twin; equal ones have equal exposures."""
    base = _digest(twin.grid, twin.materials, twin.material_a, twin.material_b, twin.fraction_b, twin.density)
    return Subject(base, tuple(inset_digest(inset) for inset in twin.insets), n_channels_of(twin))


def inset_digest(inset: Inset) -> str:
    """SHA-256 of an inset, whatever it is called [hex]."""
    return _digest(inset.grid, inset.materials, inset.delta_g_cm3)


def _digest(grid: Grid, materials: tuple[Material, ...], *arrays: NDArray[Any]) -> str:
    account = {"grid": grid.to_dict(), "materials": [(m.density_g_cm3, m.mass_fractions) for m in materials]}
    hasher = sha256(json.dumps(account, sort_keys=True).encode())
    for array in arrays:
        hasher.update(f"{array.dtype.str}{array.shape}".encode())
        hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()
