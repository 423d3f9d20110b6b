"""Bodies turned into voxels that carry the exact share of each part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from ..grid import Grid, Triple
from ..structures import Structure
from ..twin import DENSITY_STEP_G_CM3, FRACTION_STEP, Twin
from .parts import AIR, Part, part_to_dict

_TRACE_G_CM3 = 0.00125
"""Partial density up to which a third material in a voxel (air, as a rule) is counted as the first; 1 HU at most."""

_EXCESS = 2e-4
"""Share of a voxel by which inserts may overlap or stick out: rounding, not geometry."""


def build_body(
    parts: Sequence[Part],
    *,
    spacing_mm: float | Triple = 1.0,
    margin_mm: float = 10.0,
    grid: Grid | None = None,
) -> Twin:
    """Voxels of a body in room air: ``parts[0]``, out of which each further part takes its own volume.

    Raises
    ------
    ValueError
        If there is no part, parts overlap or stick out of the first one, a voxel would hold more than two materials
        (a thin layer: use smaller voxels or keep parts apart), or a density exceeds what a voxel can hold.
    """
    if not parts:
        raise ValueError("parts must hold at least one part")
    if grid is None:
        spacing = (float(spacing_mm),) * 3 if isinstance(spacing_mm, int | float) else spacing_mm
        low, high = (np.asarray(corner) for corner in parts[0].solid.bounds_mm)
        grid = lattice(low, high, spacing, margin_mm)
    surround = Part(parts[0].solid, AIR)
    everything = [surround, *parts]
    names = list(dict.fromkeys(part.substance for part in everything))
    which = np.array([names.index(part.substance) for part in everything], np.int64)
    density = np.array([part.density for part in everything])
    label = np.array([int(Structure.OUTSIDE), *(int(part.structure) for part in parts)], np.uint16)
    arrays: dict[str, Any] = {
        "structure": np.zeros(grid.shape, np.uint16),
        "material_a": np.zeros(grid.shape, np.uint8),
        "material_b": np.zeros(grid.shape, np.uint8),
        "fraction_b": np.zeros(grid.shape, np.uint16),
        "density": np.zeros(grid.shape, np.uint16),
    }
    nz, ny, nx = grid.shape
    for start in range(0, nz, 16):
        stop = min(start + 16, nz)
        share = _shares(everything, grid.crop((start, 0, 0), (stop - start, ny, nx)))
        worst = np.zeros((stop - start, 3))
        outputs = [array[start:stop] for array in arrays.values()]
        _mix(
            share, which, density, label, len(names), outputs[0], outputs[1], outputs[2], outputs[3], outputs[4], worst
        )
        _check_mixture(worst.max(axis=0))
    return Twin(
        grid=grid,
        materials=tuple(names),
        provenance={"kind": "phantom", "body": [part_to_dict(part) for part in parts]},
        **arrays,
    )


def lattice(low: NDArray[np.float64], high: NDArray[np.float64], spacing_mm: Triple, margin_mm: float) -> Grid:
    """Voxels of that size around the box, centred on it."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    shape = np.ceil((high - low + 2 * margin_mm)[::-1] / spacing - 1e-6).astype(int)
    origin = (low + high) / 2 - ((shape - 1) / 2 * spacing)[::-1]
    nz, ny, nx = (int(n) for n in np.maximum(shape, 1))
    return Grid((nz, ny, nx), spacing_mm, (float(origin[0]), float(origin[1]), float(origin[2])))


def _shares(everything: Sequence[Part], grid: Grid) -> NDArray[np.float64]:
    """Volume share of every part in every voxel, ``(parts, z, y, x)``; row 0 is the room air around."""
    share = np.zeros((len(everything), *grid.shape))
    share[1] = everything[1].solid.volume_fractions(grid)
    share[0] = 1 - share[1]
    z = grid.axes_mm()[0]
    half = grid.spacing_mm[0] / 2
    for i, part in enumerate(everything[2:], start=2):
        low, high = part.solid.bounds_mm
        near = np.flatnonzero((z + half > low[2]) & (z - half < high[2]))
        if near.size:
            block = grid.crop((int(near[0]), 0, 0), (near.size, *grid.shape[1:]))
            share[i, near[0] : near[-1] + 1] = part.solid.volume_fractions(block)
    share[1] -= share[2:].sum(axis=0)
    return share


def _check_mixture(worst: NDArray[np.float64]) -> None:
    outside, third, density = (float(v) for v in worst)
    if outside > _EXCESS:
        raise ValueError(
            "inserts must lie inside the first part and must not overlap: "
            f"in a voxel they claim {outside:.3g} of its volume more than there is"
        )
    if third > _TRACE_G_CM3:
        raise ValueError(
            f"a voxel would hold more than two materials (the third with {third:.3g} g/cm3); "
            "keep parts at least one voxel diagonal apart, or use smaller voxels"
        )
    if density / DENSITY_STEP_G_CM3 > 65535:
        raise ValueError(f"a voxel holds at most {65535 * DENSITY_STEP_G_CM3} g/cm3, got {density:.4g}; see with_wire")


@njit(parallel=True, cache=True, error_model="numpy")
def _mix(share, which, density, label, n_materials, structure, material_a, material_b, fraction_b, packed, worst):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Turn volume shares into two-material voxels (one iteration = one slice).

    share (P, z, y, x) volume shares, summing to 1; which (P,) material of each part; density (P,) [g/cm3]; label (P,)
    structure ids; outputs (z, y, x) as in Twin; worst (z, 3) largest negative share, partial density of a third
    material, density.
    """
    n_parts = which.size
    for k in prange(share.shape[1]):
        mass = np.empty(n_materials)
        for j in range(share.shape[2]):
            for i in range(share.shape[3]):
                mass[:] = 0.0
                top = 0
                for p in range(n_parts):
                    s = share[p, k, j, i]
                    worst[k, 0] = max(worst[k, 0], -s)
                    mass[which[p]] += max(s, 0.0) * density[p]
                    if s > share[top, k, j, i]:
                        top = p
                a = 0
                for m in range(1, n_materials):
                    if mass[m] > mass[a]:
                        a = m
                b = a
                for m in range(n_materials):
                    if m != a and mass[m] > 0.0 and (b == a or mass[m] > mass[b]):
                        b = m
                for m in range(n_materials):
                    if m not in (a, b):
                        worst[k, 1] = max(worst[k, 1], mass[m])
                        mass[a] += mass[m]
                if b < a:
                    a, b = b, a
                total = mass[a] + (mass[b] if b != a else 0.0)
                worst[k, 2] = max(worst[k, 2], total)
                structure[k, j, i] = label[top]
                material_a[k, j, i] = a
                material_b[k, j, i] = b
                packed[k, j, i] = int(min(total / DENSITY_STEP_G_CM3 + 0.5, 65535.0))
                if b != a and total > 0.0:
                    fraction_b[k, j, i] = int(mass[b] / total / FRACTION_STEP + 0.5)
