"""A twin's anatomy under the label numbers of other tools."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..files import replacing
from ..importers.schemes import Scheme, scheme
from ..structures import AERATED, LOBES, Structure
from ..twin import Twin
from .volumes import dictionary, write_image

WITHIN_LUNG = (
    Structure.FISSURE,
    Structure.BRONCHUS,
    Structure.AIRWAY_WALL,
    Structure.PULMONARY_ARTERY,
    Structure.PULMONARY_VEIN,
    Structure.LUNG_VESSEL,
    Structure.LYMPH_NODE,
)
"""What lobes of other tools include, where it lies in a lung."""

STAND_INS = {
    Structure.HEART_MUSCLE: Structure.HEART,
    Structure.PERICARDIAL_FAT: Structure.HEART,
    Structure.CORONARY_ARTERY: Structure.HEART,
}
"""Structures that go by another's number where their own has none."""

_NEAR_MM = 6.0


def write_labels(
    twin: Twin, folder: str | os.PathLike[str], *, which: str = "totalsegmentator_v2", name: str = "twin"
) -> dict[str, Path]:
    """Write a label map under the numbers of TotalSegmentator or MAISI, with its dictionary.

    Parameters
    ----------
    twin
        Lobes are written where the twin knows them.
    folder
        An existing folder.
    which
        A scheme of :data:`twins.importers.schemes.KNOWN`.
    name
        Beginning of the file names.

    Returns
    -------
    dict of str to pathlib.Path
        ``labels`` (uint8 NIfTI) and ``dictionary`` (JSON): numbers with names and volumes, and under ``not_exported``
        what the twin has and the scheme has no single number for (ribs and vertebrae, which it counts one by one, fat,
        muscle, skin).

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If there is no such scheme.
    """
    target = Path(folder)
    if not target.is_dir():
        raise FileNotFoundError(f"no such folder: {folder}")
    table = scheme(which)
    number_of = _single(table)
    sided = _by_side(table.labels)
    labels = np.zeros(twin.grid.shape, np.uint8)
    whole = _whole_lungs(twin)
    for named, number in number_of.items():
        labels[whole == named] = number
    right_of_middle = _right(twin, whole)
    for named, (right, left) in sided.items():
        here = whole == named
        labels[here & right_of_middle] = right
        labels[here & ~right_of_middle] = left
    present = np.bincount(labels.ravel(), minlength=1)
    exported = {int(s) for s in (*number_of, *sided)}
    about: dict[str, Any] = {
        "scheme": table.name,
        "source": table.source,
        "labels": {
            str(n): {"name": table.labels[int(n)][1], "volume_ml": _ml(present[n], twin)}
            for n in np.flatnonzero(present)
            if n > 0
        },
        "not_exported": {
            n: entry
            for n, entry in dictionary(twin).items()
            if int(n) not in exported and int(n) != 0 and _remains(int(n), whole)
        },
    }
    files = {"labels": target / f"{name}_{which}.nii.gz", "dictionary": target / f"{name}_{which}.json"}
    write_image(files["labels"], labels, twin.grid)
    with replacing(files["dictionary"]) as fresh:
        fresh.write_text(json.dumps(about, indent=1), encoding="utf-8")
    return files


def _ml(count: int, twin: Twin) -> float:
    return round(float(count) * twin.grid.voxel_volume_mm3 / 1000, 3)


def _remains(structure: int, whole: NDArray[np.uint16]) -> bool:
    return bool((whole == structure).any())


def _single(table: Scheme) -> dict[int, int]:
    """The number of every structure that has only one in the scheme, or one of its very name."""
    found: dict[int, int] = {}
    for structure in Structure:
        numbers = [n for n, (s, _) in table.labels.items() if s == structure]
        own = [n for n in numbers if table.labels[n][1].replace("_", " ") == structure.name.lower().replace("_", " ")]
        if len(numbers) == 1 or len(own) == 1:
            found[int(structure)] = (own or numbers)[0]
    for structure, instead in STAND_INS.items():
        if int(instead) in found:
            found.setdefault(int(structure), found[int(instead)])
    return found


def _by_side(labels: Any) -> dict[int, tuple[int, int]]:
    """Structures with exactly one number on the right and one on the left: (right, left)."""
    found: dict[int, dict[str, list[int]]] = {}
    for number, (structure, name) in labels.items():
        words = name.replace("_", " ").split()
        side = "right" if "right" in words else "left" if "left" in words else ""
        found.setdefault(int(structure), {}).setdefault(side, []).append(number)
    return {
        s: (sides["right"][0], sides["left"][0])
        for s, sides in found.items()
        if set(sides) == {"right", "left"} and len(sides["right"]) == len(sides["left"]) == 1
    }


def _whole_lungs(twin: Twin) -> NDArray[np.uint16]:
    """Structures, with vessels, bronchi and fissures inside the lungs under their nearest lobe."""
    structure = twin.structure.copy()
    inner = np.isin(structure, [int(s) for s in WITHIN_LUNG])
    lobes = [int(s) for s in (LOBES if twin.is_any(LOBES).any() else AERATED)]
    aerated = np.isin(structure, lobes)
    if not aerated.any() or not inner.any():
        return structure
    box = ndimage.find_objects(aerated.astype(np.uint8))[0]
    part, spacing = structure[box], twin.grid.spacing_mm
    room = [int(np.ceil(_NEAR_MM / s)) + 2 for s in spacing]
    wide = np.pad(aerated[box], [(n, n) for n in room])
    distance, nearest = ndimage.distance_transform_edt(~wide, sampling=spacing, return_indices=True)
    # enclosed by lung (closing by a ball), so that hilar vessels stay outside
    closed = ndimage.distance_transform_edt(distance <= _NEAR_MM, sampling=spacing) > _NEAR_MM
    inside = tuple(slice(n, -n) for n in room)
    closed = closed[inside]
    nearest = [at[inside] - n for at, n in zip(nearest, room, strict=True)]
    take = inner[box] & closed
    part[take] = part[tuple(nearest)][take]
    return structure


def _right(twin: Twin, whole: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Voxels on the right of the plane halfway between the middles of both lungs."""
    z, y, x = (np.arange(n) for n in twin.grid.shape)
    right = np.isin(whole, [int(s) for s in (*LOBES[:3], Structure.RIGHT_LUNG)])
    left = np.isin(whole, [int(s) for s in (*LOBES[3:], Structure.LEFT_LUNG)])
    middles = [twin.grid.index_to_world(np.argwhere(m).mean(axis=0))[0] for m in (right, left) if m.any()]
    middle = float(np.mean(middles)) if len(middles) == 2 else twin.grid.centre_mm[0]
    steps = np.asarray(twin.grid.direction).reshape(3, 3)[0] * np.asarray(twin.grid.spacing_mm[::-1])
    world_x = (
        twin.grid.origin_mm[0] + steps[0] * x[None, None, :] + steps[1] * y[None, :, None] + steps[2] * z[:, None, None]
    )
    return np.asarray(world_x < middle)
