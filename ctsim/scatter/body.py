"""What the Monte Carlo shoots at: elliptical cylinders in one another, or voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Material


@dataclass(frozen=True, slots=True)
class Cylinder:
    """An elliptical cylinder along z. A later one of a list lies inside an earlier one, or apart from all.

    Parameters
    ----------
    material
        What it is made of.
    half_axes_mm
        Along x and y [mm].
    centre_mm
        x, y from the rotation axis [mm].
    z_mm
        From, to, counted from the source's plane [mm].
    density_g_cm3
        None: the material's natural density [g/cm3].
    """

    material: Material
    half_axes_mm: tuple[float, float]
    centre_mm: tuple[float, float] = (0.0, 0.0)
    z_mm: tuple[float, float] = (-300.0, 300.0)
    density_g_cm3: float | None = None

    def __post_init__(self) -> None:
        if min(self.half_axes_mm) <= 0:
            raise ValueError(f"half_axes_mm must be positive, got {self.half_axes_mm}")
        if not self.z_mm[0] < self.z_mm[1]:
            raise ValueError(f"z_mm must grow, got {self.z_mm}")
        if self.density_g_cm3 is not None and self.density_g_cm3 <= 0:
            raise ValueError(f"density_g_cm3 must be positive, got {self.density_g_cm3}")

    @property
    def density(self) -> float:
        """Density [g/cm3]."""
        return self.material.density_g_cm3 if self.density_g_cm3 is None else self.density_g_cm3

    def holds(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points of the plane are inside, the edge with them."""
        p = (x_mm - self.centre_mm[0]) / self.half_axes_mm[0]
        q = (y_mm - self.centre_mm[1]) / self.half_axes_mm[1]
        return np.asarray(p**2 + q**2 <= 1 + 1e-9)


@dataclass(frozen=True, slots=True, eq=False)
class VoxelBody:
    """Voxels of one material each.

    Parameters
    ----------
    materials
        The materials.
    material_index
        ``(z, y, x)`` uint8: row of ``materials``.
    density_g_cm3
        ``(z, y, x)`` float32 [g/cm3].
    first_mm
        z, y, x of the middle of voxel (0, 0, 0), from the rotation axis and the source's plane [mm].
    spacing_mm
        z, y, x [mm].

    Raises
    ------
    ValueError
        If shapes differ or an index has no material.
    """

    materials: tuple[Material, ...]
    material_index: NDArray[np.uint8]
    density_g_cm3: NDArray[np.float32]
    first_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.material_index.ndim != 3 or self.material_index.shape != self.density_g_cm3.shape:
            raise ValueError(
                f"material_index and density_g_cm3 must both be (z, y, x), got shapes {self.material_index.shape} and "
                f"{self.density_g_cm3.shape}"
            )
        if self.material_index.size == 0 or int(self.material_index.max()) >= len(self.materials):
            raise ValueError(f"material_index must lie in 0 to {len(self.materials) - 1} and not be empty")
        if min(self.spacing_mm) <= 0:
            raise ValueError(f"spacing_mm must be positive, got {self.spacing_mm}")


@dataclass(frozen=True, slots=True, eq=False)
class PackedBody:
    """A body as the kernel takes it (see :func:`ctsim.kernels.montecarlo.transport`)."""

    materials: tuple[Material, ...]
    largest_density_g_cm3: NDArray[np.float64]
    solids: NDArray[np.float64]
    voxels: NDArray[np.uint8]
    density: NDArray[np.float32]
    lattice: NDArray[np.float64]
    box_mm: NDArray[np.float64]

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """Solids, voxels, density, lattice, box."""
        return self.solids, self.voxels, self.density, self.lattice, self.box_mm


def pack_body(body: Sequence[Cylinder] | VoxelBody) -> PackedBody:
    """Arrays of a body.

    Raises
    ------
    ValueError
        If there is none, or cylinders cut each other.
    """
    if isinstance(body, VoxelBody):
        low = np.array(body.first_mm) - np.array(body.spacing_mm) / 2
        high = low + np.array(body.spacing_mm) * body.material_index.shape
        held = [body.density_g_cm3[body.material_index == m] for m in range(len(body.materials))]
        return PackedBody(
            body.materials,
            np.array([float(density.max(initial=0)) for density in held]),
            np.zeros((0, 9)),
            np.ascontiguousarray(body.material_index, np.uint8),
            np.ascontiguousarray(body.density_g_cm3, np.float32),
            np.array([*body.first_mm, *body.spacing_mm], np.float64),
            np.array([low[2], high[2], low[1], high[1], low[0], high[0]]),
        )
    if not body:
        raise ValueError("a body needs at least one cylinder")
    materials = tuple(dict.fromkeys(c.material for c in body))
    solids = np.array(
        [
            (*c.centre_mm, *c.half_axes_mm, *c.z_mm, c.density, materials.index(c.material), _parent(body, n))
            for n, c in enumerate(body)
        ],
        dtype=np.float64,
    )
    return PackedBody(
        materials,
        np.array([max(c.density for c in body if c.material == m) for m in materials]),
        solids,
        np.zeros((0, 0, 0), np.uint8),
        np.zeros((0, 0, 0), np.float32),
        np.zeros(6),
        np.array(
            [
                (solids[:, 0] - solids[:, 2]).min(),
                (solids[:, 0] + solids[:, 2]).max(),
                (solids[:, 1] - solids[:, 3]).min(),
                (solids[:, 1] + solids[:, 3]).max(),
                solids[:, 4].min(),
                solids[:, 5].max(),
            ]
        ),
    )


def _parent(body: Sequence[Cylinder], n: int) -> int:
    """The last cylinder before the n-th that holds it; -1: none."""
    angle = np.linspace(0, 2 * math.pi, 181)
    inner = body[n]
    x = inner.centre_mm[0] + inner.half_axes_mm[0] * np.cos(angle)
    y = inner.centre_mm[1] + inner.half_axes_mm[1] * np.sin(angle)
    parent = -1
    for k, outer in enumerate(body[:n]):
        apart = inner.z_mm[1] <= outer.z_mm[0] or inner.z_mm[0] >= outer.z_mm[1]
        within = outer.holds(x, y)
        if apart or (not within.any() and not inner.holds(*np.array(outer.centre_mm)[:, None]).any()):
            continue
        if not within.all() or inner.z_mm[0] < outer.z_mm[0] or inner.z_mm[1] > outer.z_mm[1]:
            raise ValueError(f"cylinder {n} must lie inside cylinder {k} or apart from it")
        parent = k
    return parent
