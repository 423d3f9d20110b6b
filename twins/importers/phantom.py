"""Twins out of phantoms of numbered parts: every part has a name, a material and a density."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grid import Grid
from ..materials import Material, material
from ..patient import Patient
from ..structures import AERATED, Structure
from ..twin import DENSITY_STEP_G_CM3, FRACTION_STEP, Twin
from .anatomy import sides
from .shape import Shapes

MARGIN_MM = 60.0
"""How much of the phantom is kept below and above the lungs [mm]; everything is kept where there is less."""

SIDE_MARGIN_MM = 10.0
_SLAB = 16


@dataclass(frozen=True, slots=True)
class Part:
    """What one number of a phantom is: its anatomy id, what it is made of, and how dense [g/cm3]."""

    structure: Structure
    material: Material
    density_g_cm3: float


def part_of(name: str) -> Part | None:
    """The part that a name of an organ or material stands for (``anatomy_names.yaml``); ``None`` where none matches.

    Examples
    --------
    >>> part_of("ncat_dry_rib").structure.name, part_of("Heart contents (blood)").material.name
    ('RIB', 'blood')
    """
    plain = re.sub(r"[_.,()/\-\s]+", " ", name.lower()).strip()
    for pattern, part in _names():
        if pattern.search(plain):
            return part
    return None


@cache
def _names() -> tuple[tuple[re.Pattern[str], Part], ...]:
    from ruamel.yaml import YAML

    rows = YAML(typ="safe", pure=True).load(
        files(__package__).joinpath("anatomy_names.yaml").read_text(encoding="utf-8")
    )
    found = []
    for row in rows:
        made_of = material(row["material"])
        density = float(row.get("density_g_cm3", made_of.density_g_cm3))
        found.append((re.compile(row["match"]), Part(Structure[row["structure"]], made_of, density)))
    return tuple(found)


def with_lung_density(parts: Mapping[int, Part], density_g_cm3: float | None) -> dict[int, Part]:
    """The parts, with aerated lung at another density [g/cm3]: re-inflation of a phantom breathed out.

    Raises
    ------
    ValueError
        If the density is not between 0.05 and 0.6 g/cm3.
    """
    if density_g_cm3 is None:
        return dict(parts)
    if not 0.05 <= density_g_cm3 <= 0.6:
        raise ValueError(f"lung_density_g_cm3 must lie between 0.05 and 0.6, got {density_g_cm3}")
    return {
        n: replace(part, density_g_cm3=density_g_cm3) if part.structure in AERATED else part
        for n, part in parts.items()
    }


def phantom_twin(
    numbers: NDArray[np.integer],
    grid: Grid,
    parts: Mapping[int, Part],
    *,
    name: str,
    provenance: Mapping[str, Any],
    spacing_mm: float | None = None,
    patient: Patient | None = None,
) -> Twin:
    """A twin of a phantom of numbered parts.

    Parameters
    ----------
    numbers
        ``(z, y, x)`` numbers of parts.
    grid
        Its axis-aligned lattice.
    parts
        What every number is.
    name
        Of the phantom, for messages.
    provenance
        Becomes the twin's, with what was cropped added.
    spacing_mm
        Voxel size of the twin [mm], 0.3 to 10; ``None`` keeps the phantom's voxels, each of one part. At another size
        parts are interpolated in shape and share the voxels on their borders by volume.
    patient
        Who it is.

    Raises
    ------
    ValueError
        If a number has no part, there is no lung, or ``spacing_mm`` is out of range.
    """
    if spacing_mm is not None and not 0.3 <= spacing_mm <= 10:
        raise ValueError(f"spacing_mm must lie between 0.3 and 10 mm, got {spacing_mm}")
    present = np.unique(numbers)
    missing = [int(n) for n in present if int(n) not in parts]
    if missing:
        raise ValueError(f"{name}: it holds parts that nothing says what they are: {missing[:20]}")
    kinds = sorted({parts[int(n)] for n in present}, key=lambda p: (p.structure, p.material.name, p.density_g_cm3))
    table = np.zeros(len(present), np.uint8)
    for row, n in enumerate(present):
        table[row] = kinds.index(parts[int(n)])
    kind = table[np.searchsorted(present, numbers)]
    kind, grid, cropped = _cropped(kind, grid, kinds, name)
    kind, kinds = _two_lungs(kind, grid, kinds)
    materials = tuple(dict.fromkeys(k.material for k in kinds))
    made_of = np.array([materials.index(k.material) for k in kinds], np.uint8)
    density = np.array([k.density_g_cm3 for k in kinds])
    structure = np.array([k.structure for k in kinds], np.uint16)
    if spacing_mm is None or np.allclose(grid.spacing_mm, spacing_mm):
        fine, same = grid, made_of[kind]
        word = np.rint(density / DENSITY_STEP_G_CM3).astype(np.uint16)
        arrays: tuple[NDArray[Any], ...] = (
            structure[kind],
            same,
            same.copy(),
            np.zeros(grid.shape, np.uint16),
            word[kind],
        )
    else:
        fine = grid.with_spacing((float(spacing_mm),) * 3)
        arrays = _interpolated(kind, grid, fine, structure, made_of, density)
    return Twin(
        fine,
        *(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4]),
        materials=materials,
        patient=Patient() if patient is None else patient,
        provenance={**provenance, "cropped_to": cropped, "spacing_mm": spacing_mm},
    )


def _cropped(
    kind: NDArray[np.uint8], grid: Grid, kinds: list[Part], name: str
) -> tuple[NDArray[np.uint8], Grid, dict[str, Any]]:
    lung = np.isin(kind, [i for i, k in enumerate(kinds) if k.structure in AERATED])
    if not lung.any():
        raise ValueError(f"{name}: no part of it is lung")
    box = []
    solid = np.isin(kind, [i for i, k in enumerate(kinds) if k.structure != Structure.OUTSIDE])
    z = np.flatnonzero(lung.any(axis=(1, 2)))
    margin = int(np.ceil(MARGIN_MM / grid.spacing_mm[0]))
    box.append((max(0, int(z[0]) - margin), min(kind.shape[0], int(z[-1]) + 1 + margin)))
    solid = solid[box[0][0] : box[0][1]]
    for axis in (1, 2):
        hit = np.flatnonzero(solid.any(axis=tuple(a for a in range(3) if a != axis)))
        margin = int(np.ceil(SIDE_MARGIN_MM / grid.spacing_mm[axis]))
        box.append((max(0, int(hit[0]) - margin), min(kind.shape[axis], int(hit[-1]) + 1 + margin)))
    start = [b[0] for b in box]
    kind = np.ascontiguousarray(kind[tuple(slice(*b) for b in box)])
    return kind, grid.crop(start, kind.shape), {"start": start, "shape": list(kind.shape)}


def _two_lungs(kind: NDArray[np.uint8], grid: Grid, kinds: list[Part]) -> tuple[NDArray[np.uint8], list[Part]]:
    """Where all lung is one part, its left half becomes a part of its own."""
    if any(k.structure == Structure.LEFT_LUNG for k in kinds):
        return kind, kinds
    wholes = [i for i, k in enumerate(kinds) if k.structure == Structure.RIGHT_LUNG]
    _, left = sides(np.isin(kind, wholes), grid.spacing_mm)
    for i in wholes:
        kinds = [*kinds, replace(kinds[i], structure=Structure.LEFT_LUNG)]
        kind[left & (kind == i)] = len(kinds) - 1
    return kind, kinds


def _interpolated(
    kind: NDArray[np.uint8],
    grid: Grid,
    fine: Grid,
    structure: NDArray[np.uint16],
    made_of: NDArray[np.uint8],
    density: NDArray[np.float64],
) -> tuple[NDArray[Any], ...]:
    """Structure, materials, fraction and density on a finer (or coarser) lattice, borders as volume fractions."""
    shapes = Shapes(kind, grid.spacing_mm)
    z_at, y_at, x_at = (
        np.clip((f - g[0]) / s, 0, len(g) - 1)
        for f, g, s in zip(fine.axes_mm(), grid.axes_mm(), grid.spacing_mm, strict=True)
    )
    out = tuple(np.zeros(fine.shape, d) for d in (np.uint16, np.uint8, np.uint8, np.uint16, np.uint16))
    for k in range(0, fine.shape[0], _SLAB):
        part = slice(k, min(k + _SLAB, fine.shape[0]))
        first, depth_1, second, depth_2 = shapes.at(z_at[part], y_at, x_at)
        second = np.where(second < 0, first, second)
        share = np.clip(0.5 + 0.5 * (depth_1 - depth_2) / fine.spacing_mm[0], 0.5, 1.0)
        share[second == first] = 1.0
        mass_1, mass_2 = share * density[first], (1 - share) * density[second]
        total = mass_1 + mass_2
        out[0][part] = structure[first]
        out[1][part], out[2][part] = made_of[first], made_of[second]
        out[3][part] = np.rint(mass_2 / np.maximum(total, 1e-9) / FRACTION_STEP)
        out[4][part] = np.rint(total / DENSITY_STEP_G_CM3)
    return out
