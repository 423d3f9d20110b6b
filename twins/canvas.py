"""The arrays of a twin while it is painted: every thing displaces its volume fraction of what lay below.

For a thing of density ``rho_t`` that fills the fraction f of a voxel of density ``rho``: ``rho' = f rho_t + (1 - f)
rho``, and
the masses of the materials add up. A voxel holds two materials; where more meet, the two heaviest are kept and share
the mass
of the rest in proportion, so that density is always exact to its step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .grid import Grid
from .materials import Material, material
from .twin import DENSITY_STEP_G_CM3, FRACTION_STEP

Array = NDArray[Any]

PALETTE = (
    "air",
    "lung_tissue",
    "adipose",
    "muscle",
    "blood",
    "skin",
    "heart_muscle",
    "liver",
    "cartilage",
    "cortical_bone",
    "spongiosa_ribs",
    "spongiosa_spine",
    "breast_gland",
    "gut_wall",
    "hydroxyapatite",
)
"""Names of the materials of a population twin; their positions are the material ids in its arrays."""

INK = {name: position for position, name in enumerate(PALETTE)}
"""Position of each material in :data:`PALETTE`."""


def palette() -> tuple[Material, ...]:
    """The materials of :data:`PALETTE`."""
    return tuple(material(name) for name in PALETTE)


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Arrays ``(z, y, x)`` of a twin in the making, on an isotropic axis-aligned grid; see :class:`twins.Twin`."""

    grid: Grid
    structure: NDArray[np.uint16]
    material_a: NDArray[np.uint8]
    material_b: NDArray[np.uint8]
    fraction_b: NDArray[np.uint16]
    density: NDArray[np.uint16]

    @classmethod
    def of_air(cls, grid: Grid) -> Canvas:
        """A canvas full of room air."""
        rho = round(material("air").density_g_cm3 / DENSITY_STEP_G_CM3)
        return cls(
            grid,
            np.zeros(grid.shape, np.uint16),
            np.zeros(grid.shape, np.uint8),
            np.zeros(grid.shape, np.uint8),
            np.zeros(grid.shape, np.uint16),
            np.full(grid.shape, rho, np.uint16),
        )

    @property
    def arrays(
        self,
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16], NDArray[np.uint16]]:
        """``structure, material_a, material_b, fraction_b, density``, as kernels take them."""
        return self.structure, self.material_a, self.material_b, self.fraction_b, self.density

    @property
    def spacing_mm(self) -> float:
        """Voxel size [mm]."""
        return self.grid.spacing_mm[0]


@njit(cache=True, inline="always")
def coverage(distance_mm: Any, spacing_mm: Any) -> Any:
    """Volume fraction of a voxel behind a plane surface at signed ``distance_mm`` (negative: centre is inside)."""
    f = 0.5 - distance_mm / spacing_mm
    return min(1.0, max(0.0, f))


@njit(cache=True)
def deposit(
    structure: Array,  # noqa: ARG001 - the arrays of a canvas, in their order
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    z: Any,
    y: Any,
    x: Any,
    kept: Any,
    ink_1: Any,
    mass_1: Any,
    ink_2: Any,
    mass_2: Any,
) -> None:
    """Keep the share ``kept`` of voxel (z, y, x) and add ``mass_1`` of material ``ink_1`` and ``mass_2`` of ``ink_2``.

    Masses are per voxel volume [g/cm3]. ``structure`` is left alone.
    """
    a = material_a[z, y, x]
    b = material_b[z, y, x]
    below = kept * density[z, y, x] * DENSITY_STEP_G_CM3
    mass_b = below * fraction_b[z, y, x] * FRACTION_STEP
    mass_a = below - mass_b
    if b == a:
        mass_a, mass_b = below, 0.0
    if ink_1 == ink_2:
        mass_1, mass_2 = mass_1 + mass_2, 0.0
    if ink_1 == a:
        mass_a, mass_1 = mass_a + mass_1, 0.0
    elif ink_1 == b:
        mass_b, mass_1 = mass_b + mass_1, 0.0
    if ink_2 == a:
        mass_a, mass_2 = mass_a + mass_2, 0.0
    elif ink_2 == b:
        mass_b, mass_2 = mass_b + mass_2, 0.0
    total = mass_a + mass_b + mass_1 + mass_2
    # the two heaviest; ties go to what came first
    first, first_mass, second, second_mass = a, mass_a, a, 0.0
    for ink, mass in ((b, mass_b), (ink_1, mass_1), (ink_2, mass_2)):
        if mass > first_mass:
            second, second_mass = first, first_mass
            first, first_mass = ink, mass
        elif mass > second_mass:
            second, second_mass = ink, mass
    material_a[z, y, x] = first
    material_b[z, y, x] = second
    pair = first_mass + second_mass
    share = second_mass / pair if pair > 0.0 else 0.0
    fraction_b[z, y, x] = np.uint16(math.floor(share / FRACTION_STEP + 0.5))
    density[z, y, x] = np.uint16(math.floor(total / DENSITY_STEP_G_CM3 + 0.5))
