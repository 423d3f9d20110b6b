"""Organs of layers one in another, painted from distance fields on a lattice of their own: heart, stomach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .canvas import INK, Canvas, coverage, deposit
from .fields import Field, locate
from .grid import Grid
from .materials import material
from .structures import Structure

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer is made of; density None: natural [g/cm3]."""

    ink: str
    structure: Structure
    density: float | None = None

    def row(self) -> tuple[float, float, float]:
        """Ink, density, structure."""
        return (INK[self.ink], self.density or material(self.ink).density_g_cm3, self.structure)


def paint_nested(
    canvas: Canvas, lattice: Grid, fields: tuple[Field, Field, Field], membrane_mm: float, layers: tuple[Layer, ...]
) -> None:
    """Paint four layers: a membrane inside the outer surface, then what lies outside the middle and the inner one.

    Parameters
    ----------
    canvas
        Where to.
    lattice
        Isotropic lattice of the fields, inside which the organ lies.
    fields
        Signed distances of the inner, middle and outer surface ``(z, y, x)`` [mm], negative inside.
    membrane_mm
        Thickness of the membrane [mm]; 0: none.
    layers
        Membrane, outer, middle, core.
    """
    inner, middle, outer = fields
    _paint(
        *canvas.arrays,
        np.asarray(canvas.grid.origin_mm),
        canvas.spacing_mm,
        np.stack([inner, middle, outer], axis=-1),
        np.asarray(lattice.origin_mm),
        lattice.spacing_mm[0],
        membrane_mm,
        np.array([layer.row() for layer in layers]),
    )


@njit(parallel=True, cache=True, error_model="numpy")
def _paint(
    structure: Array, material_a: Array, material_b: Array, fraction_b: Array, density: Array, origin: Array,
    spacing: Any, fields: Array, corner: Array, step: Any, membrane: Any, layers: Array,
) -> None:  # fmt: skip
    """``fields`` (k, j, i, 3): distances of the inner, middle, outer surface; slices are independent."""
    nz, ny, nx = structure.shape
    mz, my, mx = fields.shape[0], fields.shape[1], fields.shape[2]
    y0 = max(0, math.ceil((corner[1] - origin[1]) / spacing))
    y1 = min(ny, math.floor((corner[1] + (my - 1) * step - origin[1]) / spacing) + 1)
    x0 = max(0, math.ceil((corner[0] - origin[0]) / spacing))
    x1 = min(nx, math.floor((corner[0] + (mx - 1) * step - origin[0]) / spacing) + 1)
    for k in prange(nz):
        z = origin[2] + k * spacing
        if z < corner[2] or z > corner[2] + (mz - 1) * step:
            continue
        cz, w = locate((z - corner[2]) / step, mz)
        value = np.zeros(3, np.float32)
        for j in range(y0, y1):
            cy, v = locate((origin[1] + j * spacing - corner[1]) / step, my)
            for i in range(x0, x1):
                cx, u = locate((origin[0] + i * spacing - corner[0]) / step, mx)
                if fields[cz, cy, cx, 2] > 2.5 * step:
                    continue
                value[:] = 0.0
                for a in range(2):
                    for b in range(2):
                        wab = (w if a else 1 - w) * (v if b else 1 - v)
                        for c in range(3):
                            value[c] += wab * (
                                (1 - u) * fields[cz + a, cy + b, cx, c] + u * fields[cz + a, cy + b, cx + 1, c]
                            )
                whole = coverage(value[2], spacing)
                if whole <= 0.0:
                    continue
                inside = min(whole, coverage(value[2] + membrane, spacing))
                middle = min(inside, coverage(value[1], spacing))
                core = min(middle, coverage(value[0], spacing))
                deposit(
                    structure, material_a, material_b, fraction_b, density, k, j, i, 1.0 - whole,
                    np.uint8(layers[1, 0]), (inside - middle) * layers[1, 1],
                    np.uint8(layers[0, 0]), (whole - inside) * layers[0, 1],
                )  # fmt: skip
                if middle > 0.0:
                    deposit(
                        structure, material_a, material_b, fraction_b, density, k, j, i, 1.0,
                        np.uint8(layers[2, 0]), (middle - core) * layers[2, 1],
                        np.uint8(layers[3, 0]), core * layers[3, 1],
                    )  # fmt: skip
                if core > 0.5:
                    structure[k, j, i] = np.uint16(layers[3, 2])
                elif middle > 0.5:
                    structure[k, j, i] = np.uint16(layers[2, 2])
                elif whole > 0.5:
                    structure[k, j, i] = np.uint16(layers[1, 2])
