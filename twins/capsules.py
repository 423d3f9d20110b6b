"""Thousands of tapered capsules as volume fractions, slice by slice.

A capsule wider than 1.2 voxels is cut by its distance, ``f = clip(1/2 + (r - d)/h)``, joints take the larger of both;
a thinner
one is spread to that width with its cross-section kept, ``pi r^2``, and thin ones add. Slices are independent,
segments come in
row order: the same bytes for any number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .canvas import INK, Canvas, deposit
from .structures import Structure
from .trees import Tree

Array = NDArray[Any]

WALL_DENSITY_G_CM3 = 1.05


def paint_vessels(canvas: Canvas, tree: Tree, within: Structure, outside: Structure) -> None:
    """Paint a tree of blood vessels; ``within`` is its structure inside the lungs, ``outside`` elsewhere."""
    if len(tree):
        zero = np.zeros(len(tree), np.float32)
        _run(canvas, tree, zero, zero, INK["blood"], 1.06, INK["blood"], 1.06, (within, within, outside, outside))


def paint_airways(
    canvas: Canvas,
    tree: Tree,
    start_wall_mm: NDArray[np.float32],
    end_wall_mm: NDArray[np.float32],
    *,
    shown: NDArray[np.bool_] | None = None,
) -> None:
    """Paint a tree of airways: walls around an open lumen; rows that are not ``shown`` are left out."""
    if len(tree):
        labels = (Structure.AIRWAY_WALL, Structure.BRONCHUS, Structure.MEDIASTINUM, Structure.TRACHEA)
        _run(
            canvas,
            tree,
            start_wall_mm,
            end_wall_mm,
            INK["lung_tissue"],
            WALL_DENSITY_G_CM3,
            INK["air"],
            0.001205,
            labels,
            shown,
        )


def _run(
    canvas: Canvas, tree: Tree, start_wall: NDArray[np.float32], end_wall: NDArray[np.float32],
    shell_ink: int, shell_rho: float, core_ink: int, core_rho: float, labels: tuple[int, int, int, int],
    shown: NDArray[np.bool_] | None = None,
) -> None:  # fmt: skip
    h = canvas.spacing_mm
    rows = np.column_stack(
        [tree.start_mm, tree.end_mm, tree.start_radius_mm, tree.end_radius_mm, start_wall, end_wall]
    ).astype(np.float64)
    if shown is not None:
        rows = rows[shown]
    reach = np.maximum(np.maximum(rows[:, 6] + rows[:, 8], rows[:, 7] + rows[:, 9]), 0.6 * h) + h
    z0 = canvas.grid.origin_mm[2]
    nz = canvas.grid.shape[0]
    first = np.clip(np.ceil((np.minimum(rows[:, 2], rows[:, 5]) - reach - z0) / h), 0, nz).astype(np.int64)
    last = np.clip(np.floor((np.maximum(rows[:, 2], rows[:, 5]) + reach - z0) / h), -1, nz - 1).astype(np.int64)
    starts, members = _bucket(first, last, nz)
    _capsules(
        *canvas.arrays, np.asarray(canvas.grid.origin_mm), h, rows, reach, starts, members,
        bool(rows[:, 8:].any()), shell_ink, shell_rho, core_ink, core_rho, np.asarray(labels, np.uint16),
    )  # fmt: skip


@njit(cache=True)
def _bucket(first: Array, last: Array, nz: Any) -> tuple[Array, Array]:
    starts = np.zeros(nz + 1, np.int64)
    for s in range(first.size):
        for k in range(first[s], last[s] + 1):
            starts[k + 1] += 1
    for k in range(nz):
        starts[k + 1] += starts[k]
    members = np.empty(starts[nz], np.int64)
    cursor = starts[:-1].copy()
    for s in range(first.size):
        for k in range(first[s], last[s] + 1):
            members[cursor[k]] = s
            cursor[k] += 1
    return starts, members


@njit(cache=True, inline="always")
def _share(d: Any, r: Any, h: Any, t: Any) -> Any:
    """Fraction of the voxel at distance d from the axis of a capsule; whether it is thin (adds) or not."""
    wide = 0.6 * h
    if r >= wide:
        return min(1.0, max(0.0, 0.5 + (r - d) / h)), False
    if t < 0.0 or t >= 1.0:
        return 0.0, True
    return r * r / (wide * wide + h * h / 12.0) * min(1.0, max(0.0, 0.5 + (wide - d) / h)), True


@njit(parallel=True, cache=True, error_model="numpy")
def _capsules(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    origin: Array,
    h: Any,
    rows: Array,
    reach: Array,
    starts: Array,
    members: Array,
    hollow: Any,
    shell_ink: Any,
    shell_rho: Any,
    core_ink: Any,
    core_rho: Any,
    labels: Array,
) -> None:
    nz, ny, nx = structure.shape
    for k in prange(nz):
        if starts[k] == starts[k + 1]:
            continue
        z = origin[2] + k * h
        thick = np.zeros((ny, nx), np.float32)
        thin = np.zeros((ny, nx), np.float32)
        core_thick = np.zeros((ny if hollow else 1, nx), np.float32)
        core_thin = np.zeros((ny if hollow else 1, nx), np.float32)
        for m in range(starts[k], starts[k + 1]):
            s = members[m]
            q = rows[s]
            ax, ay, az = q[3] - q[0], q[4] - q[1], q[5] - q[2]
            length2 = max(ax * ax + ay * ay + az * az, 1e-9)
            y0 = max(0, math.ceil((min(q[1], q[4]) - reach[s] - origin[1]) / h))
            y1 = min(ny - 1, math.floor((max(q[1], q[4]) + reach[s] - origin[1]) / h))
            x0 = max(0, math.ceil((min(q[0], q[3]) - reach[s] - origin[0]) / h))
            x1 = min(nx - 1, math.floor((max(q[0], q[3]) + reach[s] - origin[0]) / h))
            for j in range(y0, y1 + 1):
                for i in range(x0, x1 + 1):
                    wx, wy, wz = origin[0] + i * h - q[0], origin[1] + j * h - q[1], z - q[2]
                    t = (wx * ax + wy * ay + wz * az) / length2
                    c = min(1.0, max(0.0, t))
                    dx, dy, dz = wx - c * ax, wy - c * ay, wz - c * az
                    d = math.sqrt(dx * dx + dy * dy + dz * dz)
                    if d > reach[s]:
                        continue
                    r = q[6] + c * (q[7] - q[6])
                    f, is_thin = _share(d, r + q[8] + c * (q[9] - q[8]), h, t)
                    if is_thin:
                        thin[j, i] += f
                    else:
                        thick[j, i] = max(thick[j, i], f)
                    if hollow:
                        f, is_thin = _share(d, r, h, t)
                        if is_thin:
                            core_thin[j, i] += f
                        else:
                            core_thick[j, i] = max(core_thick[j, i], f)
        for j in range(ny):
            for i in range(nx):
                f = min(1.0, max(thick[j, i], thin[j, i]))
                if f <= 0.0:
                    continue
                core = min(f, max(core_thick[j, i], core_thin[j, i])) if hollow else f
                deposit(
                    structure, material_a, material_b, fraction_b, density, k, j, i, 1.0 - f,
                    np.uint8(shell_ink), (f - core) * shell_rho, np.uint8(core_ink), core * core_rho,
                )  # fmt: skip
                if f > 0.5:
                    lung = 10 <= structure[k, j, i] <= 16 or 21 <= structure[k, j, i] <= 25
                    inner = core > 0.5
                    structure[k, j, i] = labels[(0 if lung else 2) + (1 if inner else 0)]
