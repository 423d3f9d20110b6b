"""What the projector sees of a twin: two basis densities in one 32-bit word per voxel, iodine beside them.

A voxel of density rho with mass fraction f of material b has the basis densities ``rho ((1 - f) c_a + f c_b)``
(coefficients of :mod:`ctsim.basis`), which is linear in the partial densities, so that any mixture works.

Densities are those above room air, which is everywhere where the twin is not: a scanner's air calibration and its water
phantom stand in air too, so that air is -1000 HU and water 0 HU. Less dense air (vacuum) counts as room air.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Material, Twin, material
from twins.twin import DENSITY_STEP_G_CM3, FRACTION_STEP

from .basis import coefficients
from .kernels.words import pack_words

MM_PER_CM = 10.0

BASIS_STEP_G_CM3 = 3.3 / 65535
"""One unit of a basis density [g/cm3]: 0 to 3.3 g/cm3, rounding error at most 0.03 HU in water."""

IODINE_STEP_G_CM3 = 0.1 / 65535
"""One unit of iodine density [g/cm3]: 0 to 100 mg/cm3."""


@dataclass(frozen=True, slots=True, eq=False)
class BasisVolume:
    """Basis densities on a lattice.

    Parameters
    ----------
    grid
        Axis-aligned lattice.
    words
        ``(y, x, z)`` uint32: basis 0 in the low 16 bits, basis 1 in the high 16 bits, in units of ``step_g_cm3``.
    step_g_cm3
        Value of one unit [g/cm3].
    iodine
        ``(y, x, z)`` uint16 in units of ``iodine_step_g_cm3``, or None where there is no iodine.
    iodine_step_g_cm3
        Value of one unit of iodine [g/cm3].
    """

    grid: Grid
    words: NDArray[np.uint32]
    step_g_cm3: float = BASIS_STEP_G_CM3
    iodine: NDArray[np.uint16] | None = None
    iodine_step_g_cm3: float = IODINE_STEP_G_CM3

    def __post_init__(self) -> None:
        nz, ny, nx = self.grid.shape
        if self.words.shape != (ny, nx, nz) or self.words.dtype != np.uint32:
            raise ValueError(
                f"words must be uint32 (y, x, z) {(ny, nx, nz)}, got {self.words.dtype} {self.words.shape}"
            )
        if self.iodine is not None and (self.iodine.shape != (ny, nx, nz) or self.iodine.dtype != np.uint16):
            raise ValueError(
                f"iodine must be uint16 (y, x, z) {(ny, nx, nz)}, got {self.iodine.dtype} {self.iodine.shape}"
            )
        if not self.grid.is_axis_aligned:
            raise ValueError(f"grid must be axis-aligned, direction is {self.grid.direction}")

    @property
    def n_channels(self) -> int:
        """2, or 3 with iodine."""
        return 2 if self.iodine is None else 3


@dataclass(frozen=True, slots=True, eq=False)
class BasisInset:
    """A finer lattice's signed difference to the base.

    Parameters
    ----------
    grid
        Axis-aligned lattice.
    delta
        ``(channel, z, y, x)`` float32: change of basis 0, basis 1 and, where the base has it, iodine [g/cm3].
    """

    grid: Grid
    delta: NDArray[np.float32]


def room_air_g_cm3() -> NDArray[np.float64]:
    """Basis densities of room air, ``(3,)`` [g/cm3]."""
    air = material("air")
    c = coefficients(air)
    return np.array([c.basis_0, c.basis_1, c.iodine]) * air.density_g_cm3


def water_per_mm_g_cm2() -> NDArray[np.float64]:
    """Area densities of the two bases of a millimetre of water above room air, ``(2,)`` [g/cm2]."""
    water = material("water")
    c = coefficients(water)
    return (np.array([c.basis_0, c.basis_1]) * water.density_g_cm3 - room_air_g_cm3()[:2]) / MM_PER_CM


def pack(twin: Twin, *, extend_mm: float = 0.0, z_range_mm: tuple[float, float] | None = None) -> BasisVolume:
    """Basis densities of a twin's base above room air (its insets are not included, see :func:`basis_insets`).

    Lattices whose index axes run along other world axes, or backwards, are reordered; oblique ones are refused.
    A body does not end where its twin does: the first and last slices go on unchanged for ``extend_mm`` beyond the
    lattice (air, where they hold air), so that the oblique rays of the outer slices meet no cut surface. With
    ``z_range_mm`` the volume is no more than the slices that reach into this world range, gone on as far as it asks.

    Raises
    ------
    ValueError
        If the lattice is oblique, a voxel holds a material that the basis cannot stand for (metals), or a density is
        beyond the range (3.3 g/cm3 per basis, 100 mg/cm3 iodine).
    """
    grid, arrays = along_world(twin.grid, (twin.material_a, twin.material_b, twin.fraction_b, twin.density))
    table = _coefficient_table(twin.materials)
    _refuse_unrepresentable(twin, table)
    below = above = math.ceil(extend_mm / grid.spacing_mm[0])
    if z_range_mm is not None:
        grid, arrays, below, above = _slices(grid, arrays, z_range_mm)
    nz, ny, nx = grid.shape
    shape = (ny, nx, below + nz + above)
    words = np.empty(shape, np.uint32)
    with_iodine = n_channels_of(twin) == 3
    iodine = np.empty(shape if with_iodine else (1, 1, 1), np.uint16)
    beyond = np.zeros((ny, 3), np.int64)
    step = np.array([BASIS_STEP_G_CM3, BASIS_STEP_G_CM3, IODINE_STEP_G_CM3])
    scale, room_air = DENSITY_STEP_G_CM3 / step, room_air_g_cm3() / step
    run: Any = pack_words
    run(*arrays, np.nan_to_num(table), FRACTION_STEP, scale, room_air, with_iodine, below, words, iodine, beyond)
    for name, count in zip(("basis 0", "basis 1", "iodine"), beyond.sum(axis=0), strict=True):
        if count:
            limit = 65535 * (IODINE_STEP_G_CM3 if name == "iodine" else BASIS_STEP_G_CM3)
            raise ValueError(f"{name} density of {count} voxels is beyond the projector's range of {limit:g} g/cm3")
    x, y, z = grid.origin_mm
    longer = Grid((nz + below + above, ny, nx), grid.spacing_mm, (x, y, z - below * grid.spacing_mm[0]))
    return BasisVolume(longer, words, iodine=iodine if with_iodine else None)


def _slices(
    grid: Grid, arrays: tuple[NDArray[np.generic], ...], z_range_mm: tuple[float, float]
) -> tuple[Grid, tuple[NDArray[np.generic], ...], int, int]:
    """The slices within a world range, and how many of it are missing below and above the lattice."""
    n, step_mm, (x, y, z) = grid.shape[0], grid.spacing_mm[0], grid.origin_mm
    first, end = math.floor((z_range_mm[0] - z) / step_mm + 0.5), math.floor((z_range_mm[1] - z) / step_mm + 0.5) + 1
    start, stop = min(max(first, 0), n - 1), max(min(end, n), 1)
    some = replace(grid, shape=(stop - start, *grid.shape[1:]), origin_mm=(x, y, z + start * step_mm))
    return some, tuple(array[start:stop] for array in arrays), max(start - first, 0), max(end - stop, 0)


def basis_insets(twin: Twin) -> tuple[BasisInset, ...]:
    """A twin's insets in the channels of its :func:`pack`.

    Raises
    ------
    ValueError
        If an inset changes a material that the basis cannot stand for.
    """
    n_channels = n_channels_of(twin)
    insets = []
    for inset in twin.insets:
        table = _coefficient_table(inset.materials)
        for row, substance in enumerate(inset.materials):
            if np.isnan(table[row, 0]) and np.any(inset.delta_g_cm3[row]):
                raise ValueError(_cannot(substance, f"inset {inset.name!r}"))
        coefficient = np.nan_to_num(table)[:, :n_channels].astype(np.float32)
        delta = np.zeros((n_channels, *inset.grid.shape), np.float32)
        for row in range(len(inset.materials)):
            for channel in range(n_channels):
                delta[channel] += coefficient[row, channel] * inset.delta_g_cm3[row]
        insets.append(BasisInset(inset.grid, delta))
    return tuple(insets)


def n_channels_of(twin: Twin) -> int:
    """Channels of a twin's area densities, insets included: 2, or 3 where anything holds iodine."""
    iodinated = [i for i, substance in enumerate(twin.materials) if coefficients(substance).iodine > 0]
    if iodinated and any(np.isin(array, iodinated).any() for array in (twin.material_a, twin.material_b)):
        return 3
    carried = (substance for inset in twin.insets for substance in inset.materials)
    return 3 if any(coefficients(substance).iodine > 0 for substance in carried) else 2


def _coefficient_table(materials: tuple[Material, ...]) -> NDArray[np.float64]:
    """``(material, 3)`` grams of each channel per gram; NaN where the basis cannot stand for a material."""
    found = [coefficients(substance) for substance in materials]
    return np.array([(c.basis_0, c.basis_1, c.iodine) if c.is_representable else (np.nan,) * 3 for c in found]).reshape(
        -1, 3
    )


def _refuse_unrepresentable(twin: Twin, table: NDArray[np.float64]) -> None:
    for row in np.nonzero(np.isnan(table[:, 0]))[0]:
        if np.any(twin.material_a == row) or np.any((twin.material_b == row) & (twin.fraction_b > 0)):
            raise ValueError(_cannot(twin.materials[row], "twin"))


def _cannot(substance: Material, where: str) -> str:
    c = coefficients(substance)
    return (
        f"{where}: material {substance.name!r} cannot be projected: the two bases stand for tissues, plastics, "
        f"aluminium and iodine, not for heavier elements "
        f"(coefficients {c.basis_0:.3g}, {c.basis_1:.3g}, error {c.error:.2g})"
    )


def along_world(grid: Grid, arrays: tuple[NDArray[np.generic], ...]) -> tuple[Grid, tuple[NDArray[np.generic], ...]]:
    """The same voxels with array axes (z, y, x) along growing world z, y, x."""
    matrix = np.asarray(grid.direction).reshape(3, 3)
    turned = np.rint(matrix)
    if not np.allclose(matrix, turned, atol=1e-3):
        raise ValueError(f"grid must run along the world axes, direction is {grid.direction}; resample the twin first")
    index_axis = np.abs(turned).argmax(axis=1)[::-1]  # of world z, y, x
    order = tuple(int(2 - axis) for axis in index_axis)
    flips = tuple(
        array_axis
        for array_axis, (world_axis, axis) in enumerate(zip((2, 1, 0), index_axis, strict=True))
        if turned[world_axis, axis] < 0
    )
    shape = tuple(grid.shape[axis] for axis in order)
    spacing = tuple(grid.spacing_mm[axis] for axis in order)
    corners = grid.index_to_world(np.array([(0, 0, 0), grid.shape]) - [[0], [1]])
    x, y, z = corners.min(axis=0)
    moved = tuple(np.flip(array.transpose(order), flips) for array in arrays)
    return Grid(shape, spacing, (float(x), float(y), float(z))), moved  # type: ignore[arg-type]
