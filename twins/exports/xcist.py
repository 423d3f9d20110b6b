"""A twin as a voxelized XCIST phantom (format: :mod:`twins.importers.xcist`)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from ..grid import Point
from ..importers.xcist import SYMBOLS
from ..materials import Material
from ..twin import Twin
from .voxels import all_materials, partial_density

LEAST_FRACTION = 1e-7


def write_xcist(
    twin: Twin, folder: str | os.PathLike[str], *, name: str = "twin", isocentre_mm: Point | None = None
) -> Path:
    """Write a voxelized phantom: ``<name>.json``, one raw float32 map per material, and the material files.

    Parameters
    ----------
    twin
        What to write; insets are averaged into its voxels.
    folder
        An existing folder.
    name
        Beginning of all file names.
    isocentre_mm
        World point that becomes the scanner's isocentre [mm, LPS]; the middle of the grid if not given.

    Returns
    -------
    pathlib.Path
        The JSON file. XCIST finds the materials when the folder is on its search path.

    Notes
    -----
    A fraction is the mass of a material over its own density. Every map is cropped to where it is not zero. Room air is
    written too.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If the grid is not axis-aligned, or voxels are not square in the plane (XCIST has one size for x and y).
    """
    target = Path(folder)
    if not target.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    grid = twin.grid
    if not grid.is_axis_aligned:
        raise ValueError(f"an XCIST phantom needs an axis-aligned grid, direction is {grid.direction}")
    dz, dy, dx = grid.spacing_mm
    if abs(dy - dx) > 1e-4 * dx:
        raise ValueError(f"XCIST voxels must be square in the plane, spacing_mm is {grid.spacing_mm} (z, y, x)")
    centre = grid.world_to_index(grid.centre_mm if isocentre_mm is None else isocentre_mm)
    lists: dict[str, list[Any]] = {
        key: []
        for key in (
            "mat_name", "volumefractionmap_filename", "volumefractionmap_datatype", "cols", "rows", "slices",
            "x_size", "y_size", "z_size", "x_offset", "y_offset", "z_offset", "density_scale",
        )
    }  # fmt: skip
    for material in all_materials(twin):
        fraction = partial_density(twin, material) / np.float32(material.density_g_cm3)
        used = fraction > LEAST_FRACTION
        if not used.any():
            continue
        box = []
        for axis in range(3):
            hit = np.flatnonzero(used.any(axis=tuple(a for a in range(3) if a != axis)))
            box.append((int(hit[0]), int(hit[-1]) + 1))
        part = np.ascontiguousarray(fraction[tuple(slice(*b) for b in box)], "<f4")
        file = f"{name}.density_{len(lists['mat_name'])}"
        with replacing(target / file) as fresh:
            part.tofile(fresh)
        with replacing(target / f"{name}_{material.name}") as fresh:
            fresh.write_text(_material_text(material, f"{name}_{material.name}"), encoding="ascii")
        row = {
            "mat_name": f"{name}_{material.name}", "volumefractionmap_filename": file,
            "volumefractionmap_datatype": "float", "cols": part.shape[2], "rows": part.shape[1],
            "slices": part.shape[0],
            "x_size": dx, "y_size": dy, "z_size": dz, "density_scale": 1.0,
        }  # fmt: skip
        for axis, place in enumerate(("z_offset", "y_offset", "x_offset")):
            row[place] = float(centre[axis]) - box[axis][0] + 1
        row["y_offset"] = part.shape[1] + 1 - row["y_offset"]  # XCIST counts rows from the back
        for key, value in row.items():
            lists[key].append(value)
    path = target / f"{name}.json"
    with replacing(path) as fresh:
        fresh.write_text(json.dumps({"n_materials": len(lists["mat_name"]), **lists}, indent=1), encoding="ascii")
    return path


def _material_text(material: Material, name: str) -> str:
    rows = [(SYMBOLS.index(symbol) + 1, fraction) for symbol, fraction in material.mass_fractions]
    lines = [
        "# Material name:", f"# {name}", f"# Source: {material.source.encode('ascii', 'replace').decode()}",
        "# Number of elements:", str(len(rows)), "# Density:", f"{material.density_g_cm3:.8g}",
        "# Atomic number(s) and corresponding mass fraction(s):", *(f"{z} {w:.10g}" for z, w in rows),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
