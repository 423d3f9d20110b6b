"""Twins as NIfTI: density, CT numbers, anatomy."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from ..grid import Grid
from ..materials import Material
from ..structures import Structure
from ..twin import Twin
from .voxels import all_materials, partial_density


def write_image(path: str | os.PathLike[str], array: NDArray[np.generic], grid: Grid) -> None:
    """Write ``(z, y, x)`` as an image file (by its suffix) with the grid's geometry, through SimpleITK."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    with replacing(path) as part:
        sitk.WriteImage(image, str(part), useCompression=True)


def write_volumes(
    twin: Twin,
    folder: str | os.PathLike[str],
    *,
    name: str = "twin",
    mass_attenuation: Callable[[Material], float] | None = None,
    hu_note: str = "",
) -> dict[str, Path]:
    """Write density, structure ids with their dictionary, and (if asked) CT numbers.

    Parameters
    ----------
    twin
        What to write; insets are averaged into its voxels.
    folder
        An existing folder.
    name
        Beginning of all file names.
    mass_attenuation
        Of a material and of water [cm2/g], at one energy: with it CT numbers are written: what a perfect scanner would
        see at that energy, without blur, noise or artefacts.
    hu_note
        Said in the dictionary about these CT numbers.

    Returns
    -------
    dict of str to pathlib.Path
        ``density`` (float32 [g/cm3]), ``structure`` (uint16), ``dictionary`` (JSON) and maybe ``hu`` (int16 [HU]).

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    target = Path(folder)
    if not target.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    files = {kind: target / f"{name}_{kind}.nii.gz" for kind in ("density", "structure")}
    files["dictionary"] = target / f"{name}_structure.json"
    parts = {material: partial_density(twin, material) for material in all_materials(twin)}
    total = np.zeros(twin.grid.shape, np.float32)
    for part in parts.values():
        total += part
    write_image(files["density"], total, twin.grid)
    write_image(files["structure"], twin.structure, twin.grid)
    about: dict[str, Any] = {"scheme": "twins.Structure", "labels": dictionary(twin)}
    if mass_attenuation is not None:
        from ..materials import material

        files["hu"] = target / f"{name}_hu.nii.gz"
        mu = np.zeros(twin.grid.shape, np.float32)
        for made_of, part in parts.items():
            mu += part * np.float32(mass_attenuation(made_of))
        water = material("water")
        hu = 1000 * (mu / np.float32(mass_attenuation(water) * water.density_g_cm3) - 1)
        write_image(files["hu"], np.rint(np.clip(hu, -1024, 32767)).astype(np.int16), twin.grid)
        about["hu"] = hu_note
    with replacing(files["dictionary"]) as fresh:
        fresh.write_text(json.dumps(about, indent=1), encoding="utf-8")
    return files


def dictionary(twin: Twin) -> dict[str, dict[str, Any]]:
    """Every structure id of a twin: its name and volume [mL]."""
    counts = np.bincount(twin.structure.ravel())
    known = {int(s): s.name.lower() for s in Structure}
    return {
        str(n): {
            "name": known.get(int(n), f"structure {n}"),
            "volume_ml": round(float(counts[n]) * twin.grid.voxel_volume_mm3 / 1000, 3),
        }
        for n in np.flatnonzero(counts)
    }
