"""The value that the whole chain hands on: a thorax on a grid, and insets on finer grids of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .grid import Grid, Point
from .materials import Material
from .patient import Patient
from .trees import Tree

DENSITY_STEP_G_CM3 = 1e-4
"""One unit of ``Twin.density`` [g/cm3]; uint16 reaches 6.5535 g/cm3."""

FRACTION_STEP = 1 / 65535
"""One unit of ``Twin.fraction_b`` (mass fraction)."""


@dataclass(frozen=True, slots=True, eq=False)
class Inset:
    """A thing finer than the twin's grid, as the difference that it makes.

    Parameters
    ----------
    name
        Unique within a twin.
    grid
        Fine, axis-aligned lattice.
    materials
        The m materials whose amount changes.
    delta_g_cm3
        ``(m, z, y, x)`` float32: change of each material's partial density [g/cm3], negative where base is displaced.
    """

    name: str
    grid: Grid
    materials: tuple[Material, ...]
    delta_g_cm3: NDArray[np.float32]

    def __post_init__(self) -> None:
        expected = (len(self.materials), *self.grid.shape)
        if self.delta_g_cm3.shape != expected:
            raise ValueError(
                f"inset {self.name!r}: delta_g_cm3 must have shape {expected}, got {self.delta_g_cm3.shape}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """A thorax: what each voxel is called, and what it is made of.

    Parameters
    ----------
    grid
        Lattice of the arrays below, all ``(z, y, x)``.
    structure
        uint16 anatomy ids (:class:`twins.Structure`).
    material_a, material_b
        uint8 positions in ``materials``.
    fraction_b
        uint16, mass fraction of material b in steps of ``FRACTION_STEP``.
    density
        uint16, mass density in steps of ``DENSITY_STEP_G_CM3``.
    materials
        The materials that occur.
    patient
        Who this is.
    airways, arteries, veins
        Segment tables; empty where unknown.
    landmarks_mm
        Named world points [mm, LPS].
    insets
        Finer things, in order of insertion.
    provenance
        JSON-able account of the maker: ``kind`` ("population" or "patient"), its spec or source, generator version.
    """

    grid: Grid
    structure: NDArray[np.uint16]
    material_a: NDArray[np.uint8]
    material_b: NDArray[np.uint8]
    fraction_b: NDArray[np.uint16]
    density: NDArray[np.uint16]
    materials: tuple[Material, ...]
    patient: Patient = field(default_factory=Patient)
    airways: Tree = field(default_factory=Tree.empty)
    arteries: Tree = field(default_factory=Tree.empty)
    veins: Tree = field(default_factory=Tree.empty)
    landmarks_mm: Mapping[str, Point] = field(default_factory=dict)
    insets: tuple[Inset, ...] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, dtype in (
            ("structure", np.uint16),
            ("material_a", np.uint8),
            ("material_b", np.uint8),
            ("fraction_b", np.uint16),
            ("density", np.uint16),
        ):
            array = getattr(self, name)
            if array.shape != self.grid.shape or array.dtype != dtype:
                raise ValueError(
                    f"{name} must be {np.dtype(dtype)} of shape {self.grid.shape}, got {array.dtype} {array.shape}"
                )
        names = [inset.name for inset in self.insets]
        if len(set(names)) != len(names):
            raise ValueError(f"inset names must differ, got {names}")
        object.__setattr__(self, "landmarks_mm", MappingProxyType(dict(self.landmarks_mm)))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    def density_g_cm3(self) -> NDArray[np.float32]:
        """Mass density of every voxel [g/cm3], float32, insets not included."""
        return self.density * np.float32(DENSITY_STEP_G_CM3)

    def is_any(self, structures: ArrayLike) -> NDArray[np.bool_]:
        """Mask ``(z, y, x)`` of the voxels whose structure is one of ``structures``."""
        table = np.zeros(int(np.iinfo(np.uint16).max) + 1, bool)
        table[np.asarray(structures, dtype=np.int64)] = True
        return table[self.structure]

    def with_insets(self, insets: tuple[Inset, ...]) -> Twin:
        """The same twin with these insets after those it has."""
        return replace(self, insets=(*self.insets, *insets))
