"""The adult reference computational phantoms of ICRP Publication 110 (and others in its format, as Publication 143).

Voxels are text: numbers of organs, column by column from right to left, row by row from front to back, slice by slice
from the toes up. ``*_organs.dat`` says name, medium and density of each number, ``*_media.dat`` what the media are made
of. The files are ICRP's and are not part of this package.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..grid import Grid, Triple
from ..materials import Material, material
from ..patient import Patient
from ..structures import Structure
from ..twin import Twin
from .phantom import Part, part_of, phantom_twin, with_lung_density

VERSION = "phantom-icrp-1"

ELEMENTS = ("H", "C", "N", "O", "Na", "Mg", "P", "S", "Cl", "K", "Ca", "Fe", "I")
"""Columns of a media file."""

ADULTS: dict[int, tuple[tuple[int, int, int], Triple]] = {
    222 * 127 * 254: ((222, 127, 254), (8.0, 2.137, 2.137)),
    348 * 137 * 299: ((348, 137, 299), (4.84, 1.775, 1.775)),
}
"""Shape and spacing (z, y, x) [mm] of the adult male and female, by their number of voxels (ICRP 110, Table 4.1)."""


def from_icrp(
    voxels: str | os.PathLike[str],
    *,
    organs: str | os.PathLike[str] | None = None,
    media: str | os.PathLike[str] | None = None,
    shape: tuple[int, int, int] | None = None,
    voxel_mm: Triple | None = None,
    spacing_mm: float | None = None,
    lung_density_g_cm3: float | None = None,
    patient: Patient | None = None,
) -> Twin:
    """A twin of an ICRP 110 phantom: its thorax.

    Parameters
    ----------
    voxels
        The ``.dat`` file of organ numbers.
    organs, media
        Its tables; if not given ``<name>_organs.dat`` and ``<name>_media.dat`` (or ``organs.dat``, ``media.dat``)
        beside it.
    shape, voxel_mm
        Voxels and their size along (z, y, x) [mm]; known for the two adults by their number of voxels.
    spacing_mm
        Voxel size of the twin [mm]; ``None`` keeps the phantom's. At another size organs are interpolated in shape
        between the thick slices.
    lung_density_g_cm3
        Density that the lungs get [g/cm3], 0.05 to 0.6: the phantoms' 0.38 is that of a lung breathed out, 0.15 to 0.2
        one of full inspiration. The lungs keep their size. ``None`` keeps the phantom's.
    patient
        Who it is.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file does not fit, or an argument is out of range.
    """
    source = Path(voxels)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {voxels}")
    organ_file, media_file = (_beside(source, given, kind) for given, kind in ((organs, "organs"), (media, "media")))
    numbers = _numbers(source, shape)
    if voxel_mm is None:
        if numbers.size not in ADULTS or numbers.shape != ADULTS[numbers.size][0]:
            raise ValueError(f"{source.name}: voxel_mm (z, y, x) is needed: {numbers.shape} voxels are neither adult")
        voxel_mm = ADULTS[numbers.size][1]
    z, y, x = (-(n - 1) / 2 * s for n, s in zip(numbers.shape, voxel_mm, strict=True))
    n_z, n_y, n_x = numbers.shape
    grid = Grid((n_z, n_y, n_x), voxel_mm, (x, y, z))
    parts = with_lung_density(_parts(organ_file, media_file), lung_density_g_cm3)
    provenance = {
        "kind": "patient",
        "generator": VERSION,
        "source": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "host_grid": grid.to_dict(),
        "format": "ICRP 110",
        "lung_density_g_cm3": lung_density_g_cm3,
    }
    return phantom_twin(
        numbers, grid, parts, name=source.name, provenance=provenance, spacing_mm=spacing_mm, patient=patient
    )


def _beside(source: Path, given: str | os.PathLike[str] | None, kind: str) -> Path:
    tried = (
        [Path(given)]
        if given is not None
        else [source.with_name(f"{source.stem}_{kind}.dat"), source.with_name(f"{kind}.dat")]
    )
    for path in tried:
        if path.is_file():
            return path
    raise FileNotFoundError(f"{source.name}: no table of its {kind}: looked for {', '.join(str(p) for p in tried)}")


def _numbers(source: Path, shape: tuple[int, int, int] | None) -> NDArray[np.uint8]:
    try:
        flat = np.array(source.read_text(encoding="ascii").split(), dtype=np.int64)
    except (UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{source.name}: expected whole numbers as text: {error}") from None
    if flat.size == 0 or flat.min() < 0 or flat.max() > 255:
        raise ValueError(f"{source.name}: organ numbers must lie between 0 and 255")
    if shape is None:
        if flat.size not in ADULTS:
            known = ", ".join(f"{n} {s}" for n, (s, _) in ADULTS.items())
            raise ValueError(f"{source.name}: {flat.size} voxels fit no adult ({known}); shape (z, y, x) is needed")
        shape = ADULTS[flat.size][0]
    if flat.size != np.prod(shape):
        raise ValueError(f"{source.name}: holds {flat.size} voxels, {shape} (z, y, x) are {int(np.prod(shape))}")
    return flat.astype(np.uint8).reshape(shape)


def _parts(organs: Path, media: Path) -> dict[int, Part]:
    rows = []
    for line in organs.read_text(encoding="latin-1").splitlines():
        row = re.match(r"^\s*(\d+)\s+(\S.*?)\s+(\d+)\s+(\d*\.\d+)\s*$", line)
        if row is not None and int(row[1]) > 0:
            rows.append((int(row[1]), row[2], int(row[3]), float(row[4])))
    if not rows:
        raise ValueError(f"{organs.name}: no rows of number, name, medium and density")
    densest: dict[int, float] = {}
    for _, _, medium, density in rows:
        densest[medium] = max(density, densest.get(medium, 0.0))
    made_of = _media(media, densest)
    parts = {0: Part(Structure.OUTSIDE, material("air"), material("air").density_g_cm3)}
    for number, name, medium, density in rows:
        if medium not in made_of:
            raise ValueError(f"{organs.name}: organ {number} is of medium {medium}, which {media.name} does not list")
        parts[number] = Part(_structure(name), made_of[medium], density)
    return parts


def _structure(name: str) -> Structure:
    lower = name.lower()
    if "lung" in lower and "blood" in lower:
        return Structure.LUNG_VESSEL
    if re.search(r"\bair\b", lower) and "outside" in lower:
        return Structure.OUTSIDE
    part = part_of(name)
    return Structure.SOFT_TISSUE if part is None else part.structure


def _media(path: Path, density_g_cm3: Mapping[int, float]) -> dict[int, Material]:
    """Media by number, at the density of the densest organ that is made of each."""
    found: dict[int, Material] = {}
    number = r"\d+(?:\.\d*)?"
    pattern = re.compile(rf"^\s*(\d+)\s+(\S.*?)\s+({number}(?:\s+{number}){{{len(ELEMENTS) - 1}}})\s*$")
    for line in path.read_text(encoding="latin-1").splitlines():
        row = pattern.match(line)
        if row is None:
            continue
        percent = np.array([float(v) for v in row[3].split()])
        if not 98 <= percent.sum() <= 102:
            raise ValueError(
                f"{path.name}: the elements of medium {row[1]} sum to {percent.sum():.1f} %, expected 100 %"
            )
        fractions = tuple((e, float(p) / percent.sum()) for e, p in zip(ELEMENTS, percent, strict=True) if p > 0)
        label = re.sub(r"\W+", "_", row[2].lower()).strip("_")
        density = density_g_cm3.get(int(row[1]), 1.0)
        found[int(row[1])] = Material(f"icrp_{row[1]}_{label}", density, fractions, f"{path.name}, medium {row[1]}")
    if not found:
        raise ValueError(f"{path.name}: no rows of number, name and {len(ELEMENTS)} mass percentages")
    return found
