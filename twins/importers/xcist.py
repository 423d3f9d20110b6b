"""Voxelized phantoms of XCIST (CatSim): volume fractions of materials, one raw file each.

The JSON file lists for every material: its name, raw file, data type, columns, rows, slices, voxel size [mm], and
where the isocentre lies in that map (1-based index, so that every map may be cropped on its own); ``density_scale``
multiplies the fractions. Raw data run along x first, then y (down, to the back), then z; ``y_offset`` alone counts
against the data, from the last row (so gecatsim 1.6.6 scans it, and a test does). A fraction times the density
of its material is a partial density. Materials are text files with elements and density; those that lie beside the JSON
file or in a named folder are read, others are known by name (``anatomy_names.yaml``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grid import Grid
from ..materials import Material, material
from ..patient import Patient
from ..structures import Structure
from ..twin import DENSITY_STEP_G_CM3, FRACTION_STEP, Twin
from .anatomy import sides
from .phantom import Part, part_of

VERSION = "phantom-xcist-1"

TYPES = {
    "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4",
    "float": "<f4", "float32": "<f4", "single": "<f4", "double": "<f8", "float64": "<f8",
}  # fmt: skip
"""Data types of volume fraction maps."""

SYMBOLS = tuple(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "  # noqa: SIM905
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U".split()
)
"""Element symbols in the order of atomic number."""

LUNG_G_CM3 = (0.02, 0.6)
"""Lung of a density in this range is aerated; denser it is a vessel of the lung."""

_LISTS = (
    "mat_name", "volumefractionmap_filename", "volumefractionmap_datatype", "cols", "rows", "slices",
    "x_size", "y_size", "z_size", "x_offset", "y_offset", "z_offset",
)  # fmt: skip
_OFF_LATTICE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    part: Part
    start: tuple[int, int, int]
    fraction: NDArray[np.float32]


def from_xcist(
    file: str | os.PathLike[str],
    *,
    materials: str | os.PathLike[str] | None = None,
    flip: str = "",
    patient: Patient | None = None,
) -> Twin:
    """A twin of a voxelized XCIST phantom, on its own voxels.

    Parameters
    ----------
    file
        The JSON file.
    materials
        Folder with XCIST material files; they and those beside the JSON file go before what is known by name.
    flip
        Axes to turn round, out of x, y and z: the format does not say where the head is; columns are taken to run to
        the patient's left, rows to the back, slices to the head.
    patient
        Who it is.

    Returns
    -------
    Twin
        A voxel holds at most two materials: the two heaviest, which share the mass of the rest;
        ``largest_shared_g_cm3`` in the provenance says how much that was. Voxels without any mass are air.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the JSON does not fit the format, the maps do not share one lattice, a material is unknown, or nothing is
        lung.
    """
    source = Path(file)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {file}")
    if not set(flip) <= set("xyz"):
        raise ValueError(f"flip must name axes out of x, y and z, got {flip!r}")
    about = _about(source)
    places = [source.parent] if materials is None else [Path(materials), source.parent]
    maps, grid = _maps(source, about, places)
    if flip:
        maps, grid = _flipped(maps, grid, flip)
    twin_materials, arrays, shared = _mixed(maps, grid)
    structure = _named(maps, grid, arrays[3] * DENSITY_STEP_G_CM3, source.name)
    turned = f", {flip} flipped" if flip else ""
    digest = hashlib.sha256(source.read_bytes())
    for name in about["volumefractionmap_filename"]:
        digest.update((source.parent / Path(name).name).read_bytes())
    return Twin(
        grid,
        structure,
        *(arrays[0], arrays[1], arrays[2], arrays[3]),
        materials=twin_materials,
        patient=Patient() if patient is None else patient,
        provenance={
            "kind": "patient",
            "generator": VERSION,
            "source": source.name,
            "sha256": digest.hexdigest(),
            "host_grid": grid.to_dict(),
            "format": "XCIST voxelized",
            "orientation": f"x to the left, y to the back, z to the head: assumed{turned}",
            "largest_shared_g_cm3": round(shared, 5),
        },
    )  # fmt: skip


def _about(source: Path) -> dict[str, Any]:
    try:
        about = json.loads(source.read_text(encoding="utf-8"))
        n = int(about["n_materials"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{source.name}: not a voxelized XCIST phantom: {error}") from None
    for name in _LISTS:
        if not isinstance(about.get(name), list) or len(about[name]) != n:
            raise ValueError(f"{source.name}: {name} must be a list of {n} entries, got {about.get(name)!r}")
    about.setdefault("density_scale", [1.0] * n)
    wrong = [t for t in about["volumefractionmap_datatype"] if t not in TYPES]
    if wrong:
        raise ValueError(f"{source.name}: volumefractionmap_datatype {wrong[0]!r} is none of {', '.join(TYPES)}")
    return dict(about)


def _maps(source: Path, about: Mapping[str, Any], places: list[Path]) -> tuple[list[_Map], Grid]:
    n = int(about["n_materials"])
    sizes = {tuple(float(about[f"{a}_size"][i]) for a in "zyx") for i in range(n)}
    if len(sizes) != 1:
        raise ValueError(f"{source.name}: its maps have voxels of different sizes (z, y, x): {sorted(sizes)} mm")
    size = np.array(sizes.pop())
    counts = np.array([[int(about[k][i]) for k in ("slices", "rows", "cols")] for i in range(n)])
    # index of each map's first voxel, counted from the isocentre
    first = np.array([[1 - float(about[f"{a}_offset"][i]) for a in "zyx"] for i in range(n)])
    first[:, 1] = [float(about["y_offset"][i]) - counts[i][1] for i in range(n)]
    low = first.min(axis=0)
    starts = first - low
    if np.abs(starts - np.rint(starts)).max() > _OFF_LATTICE:
        raise ValueError(f"{source.name}: its maps do not share one lattice: offsets differ by parts of a voxel")
    starts = np.rint(starts).astype(int)
    stop = (starts + counts).max(axis=0)
    maps = []
    for i in range(n):
        path = source.parent / Path(about["volumefractionmap_filename"][i]).name
        if not path.is_file():
            raise FileNotFoundError(f"{source.name}: no volume fraction map {path}")
        raw = np.fromfile(path, TYPES[about["volumefractionmap_datatype"][i]])
        if raw.size != np.prod(counts[i]):
            raise ValueError(
                f"{path.name}: holds {raw.size} values, {counts[i].tolist()} (z, y, x) are {np.prod(counts[i])}"
            )
        fraction = raw.reshape(counts[i]).astype(np.float32) * np.float32(about["density_scale"][i])
        if not np.isfinite(fraction).all() or fraction.min() < 0:
            raise ValueError(f"{path.name}: volume fractions must be finite and not negative")
        start = (int(starts[i][0]), int(starts[i][1]), int(starts[i][2]))
        maps.append(_Map(_part(str(about["mat_name"][i]), places, source.name), start, fraction))
    corner = low * size
    shape = (int(stop[0]), int(stop[1]), int(stop[2]))
    spacing = (float(size[0]), float(size[1]), float(size[2]))
    return maps, Grid(shape, spacing, (float(corner[2]), float(corner[1]), float(corner[0])))


def _flipped(maps: list[_Map], grid: Grid, flip: str) -> tuple[list[_Map], Grid]:
    axes = tuple({"x": 2, "y": 1, "z": 0}[a] for a in flip)
    turned = []
    for item in maps:
        n = item.fraction.shape
        start = [grid.shape[a] - item.start[a] - n[a] if a in axes else item.start[a] for a in range(3)]
        fraction = np.ascontiguousarray(np.flip(item.fraction, axes))
        turned.append(_Map(item.part, (start[0], start[1], start[2]), fraction))
    low, high = grid.index_to_world([0, 0, 0]), grid.index_to_world(np.subtract(grid.shape, 1))
    point = [float(-high[i] if "xyz"[i] in flip else low[i]) for i in range(3)]
    return turned, Grid(grid.shape, grid.spacing_mm, (point[0], point[1], point[2]))


def _part(name: str, places: list[Path], phantom: str) -> Part:
    by_name = part_of(name)
    for place in places:
        if (place / name).is_file():
            made_of = read_material(place / name)
            structure = Structure.SOFT_TISSUE if by_name is None else by_name.structure
            return Part(structure, made_of, made_of.density_g_cm3)
    if by_name is None:
        looked = ", ".join(str(p) for p in places)
        raise ValueError(f"{phantom}: nothing is known of material {name!r}, and there is no such file in {looked}")
    return by_name


def read_material(path: str | os.PathLike[str]) -> Material:
    """Read an XCIST material file: number of elements, density [g/cm3], then atomic number and mass fraction of each.

    Raises
    ------
    ValueError
        If it does not hold that.
    """
    source = Path(path)
    text = source.read_text(encoding="latin-1")
    words = [w for line in text.splitlines() for w in line.split("#")[0].split()]
    try:
        n, density = int(words[0]), float(words[1])
        rows = [(int(words[2 + 2 * i]), float(words[3 + 2 * i])) for i in range(n)]
        total = sum(w for _, w in rows)
        fractions = tuple((SYMBOLS[z - 1], w / total) for z, w in rows if z > 0)
        return Material(source.name, density, fractions, f"material file {source.name}")
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise ValueError(f"{source.name}: not an XCIST material file: {error}") from None


def _mixed(maps: list[_Map], grid: Grid) -> tuple[tuple[Material, ...], list[NDArray[Any]], float]:
    """The two heaviest materials of every voxel, the second's share, density; and the most mass that others had."""
    air = material("air")
    materials = tuple(dict.fromkeys([air, *(m.part.material for m in maps)]))
    heaviest, second = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    a, b = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    total = np.zeros(grid.shape, np.float32)
    for number, made_of in enumerate(materials):
        mass = np.zeros(grid.shape, np.float32)
        for item in maps:
            if item.part.material == made_of:
                box = tuple(slice(s, s + n) for s, n in zip(item.start, item.fraction.shape, strict=True))
                mass[box] += item.fraction * np.float32(item.part.density_g_cm3)
        total += mass
        wins = mass > heaviest
        b[wins], second[wins] = a[wins], heaviest[wins]
        a[wins], heaviest[wins] = number, mass[wins]
        next_best = ~wins & (mass > second)
        b[next_best], second[next_best] = number, mass[next_best]
    shared = float((total - heaviest - second).max())
    empty = total <= 0
    a[empty] = b[empty] = 0
    total[empty] = air.density_g_cm3
    b[second <= 0] = a[second <= 0]
    share = np.divide(second, heaviest + second, out=np.zeros_like(second), where=heaviest > 0)
    if total.max() > 65535 * DENSITY_STEP_G_CM3:
        raise ValueError(f"densities reach {total.max():.2f} g/cm3, at most {65535 * DENSITY_STEP_G_CM3:.2f} fit")
    fraction = np.rint(share / FRACTION_STEP).astype(np.uint16)
    return materials, [a, b, fraction, np.rint(total / DENSITY_STEP_G_CM3).astype(np.uint16)], shared


def _named(maps: list[_Map], grid: Grid, density: NDArray[np.float64], name: str) -> NDArray[np.uint16]:
    """Structures by the material of the largest volume; lung by side, dense voxels that it encloses as its vessels."""
    structure = np.zeros(grid.shape, np.uint16)
    most = np.zeros(grid.shape, np.float32)
    for item in maps:
        box = tuple(slice(s, s + n) for s, n in zip(item.start, item.fraction.shape, strict=True))
        volume = item.fraction
        if item.part.structure in (Structure.RIGHT_LUNG, Structure.LEFT_LUNG):
            volume = np.where(
                volume > 0, np.maximum(volume, np.float32(0.51)), volume
            )  # scaled lung still fills its voxel
        wins = volume > most[box]
        structure[box][wins] = item.part.structure
        most[box][wins] = volume[wins]
    lung = (structure == Structure.RIGHT_LUNG) | (structure == Structure.LEFT_LUNG)
    if not lung.any():
        raise ValueError(f"{name}: none of its materials is lung")
    right, left = sides(lung & (density < LUNG_G_CM3[1]), grid.spacing_mm)
    structure[lung] = Structure.LUNG_VESSEL
    structure[right], structure[left] = Structure.RIGHT_LUNG, Structure.LEFT_LUNG
    return structure
