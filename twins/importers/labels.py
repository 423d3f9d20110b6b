"""Label maps: any format that SimpleITK reads, their numbers turned into structures on a CT's lattice."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Grid, Triple
from ..structures import LOBES, Structure
from .anatomy import sides
from .schemes import KNOWN, LUNGS, Scheme, by_label_names, scheme

Mask = NDArray[np.bool_]
RIGHT_IDS = (*LOBES[:3], Structure.RIGHT_LUNG)
LEFT_IDS = (*LOBES[3:], Structure.LEFT_LUNG)

SMALLEST_LUNG_ML = 20.0
AIRY_HU = -400.0
"""The median of labelled lung must lie below this, or the labels do not lie on the CT [HU]."""

SMALLEST_BONE_ML, DENSE_HU = 5.0, 130.0
"""A tenth of each labelled bone of this volume must reach this [HU] (design default)."""

SOLID_HU, FARTHEST_OVER_MM = -300.0, 15.0
"""What is denser tells the middle of the body; no lung may lie farther on the other side (design default)."""

BONES = (
    Structure.RIB,
    Structure.VERTEBRA,
    Structure.STERNUM,
    Structure.CLAVICLE,
    Structure.SCAPULA,
    Structure.HUMERUS,
    Structure.BONE,
)
"""Structures that are bone."""

_WHY_NOT = "another scheme, another CT, or a flipped label map?"


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """A label map as its file has it.

    ``numbers`` ``(z, y, x)`` int32; ``scheme`` what they mean; ``unknown`` numbers that the scheme does not list.
    """

    numbers: NDArray[np.int32]
    grid: Grid
    scheme: Scheme
    unknown: tuple[int, ...]
    name: str
    sha256: str

    def account(self) -> dict[str, Any]:
        """Plain data for a twin's provenance."""
        return {
            "source": self.name,
            "sha256": self.sha256,
            "scheme": self.scheme.name,
            "scheme_source": self.scheme.source,
            "unknown_labels": list(self.unknown),
        }


def read_labels(path: str | os.PathLike[str], which: str | os.PathLike[str] = "auto") -> LabelMap:
    """Read a label map.

    Parameters
    ----------
    path
        NIfTI, NRRD, MHA... with whole numbers.
    which
        Name of a known table, a YAML file (:func:`.schemes.scheme`), or ``"auto"``: the names that TotalSegmentator
        writes into the header decide; without them the table must be named, since numbers alone do not tell.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, holds other than whole numbers, is empty, or its scheme cannot be told.
    """
    import SimpleITK as sitk

    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        image = sitk.ReadImage(str(source))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].replace("sitk::ERROR: ", "")
        raise ValueError(f"{source.name}: cannot be read as a label map: {reason}") from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(f"{source.name}: expected one three-dimensional label map, got size {image.GetSize()}")
    array = sitk.GetArrayFromImage(image)
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise ValueError(f"{source.name}: labels must be whole numbers")
    if array.min() < 0 or array.max() > 65535:
        raise ValueError(
            f"{source.name}: labels must lie between 0 and 65535, they span {array.min()} to {array.max()}"
        )
    numbers = array.astype(np.int32)
    table = _told(source, which)
    present = np.flatnonzero(np.bincount(numbers.ravel()))
    known = present if table.name == LUNGS else [n for n in present if n in table.labels]
    if not any(n > 0 for n in known):
        raise ValueError(
            f"{source.name}: holds no label of {table.name}; its labels are {[int(n) for n in present[:20]]}"
        )
    unknown = () if table.name == LUNGS else tuple(int(n) for n in present if n > 0 and n not in table.labels)
    z, y, x = image.GetSpacing()[::-1]
    n_z, n_y, n_x = numbers.shape
    grid = Grid((n_z, n_y, n_x), (z, y, x), image.GetOrigin(), image.GetDirection())
    return LabelMap(numbers, grid, table, unknown, source.name, hashlib.sha256(source.read_bytes()).hexdigest())


def _told(source: Path, which: str | os.PathLike[str]) -> Scheme:
    if os.fspath(which) != "auto":
        return scheme(which)
    found = by_label_names(_names_in_header(source))
    if found is None:
        raise ValueError(
            f"{source.name}: its header does not say what its labels mean; name the scheme: "
            f"{', '.join((*KNOWN, LUNGS))}, or a YAML file of your own"
        )
    return found


def _names_in_header(source: Path) -> dict[int, str]:
    """Names of labels in the extension of a NIfTI header, as TotalSegmentator writes them (Caret XML)."""
    if not source.name.endswith((".nii", ".nii.gz")):
        return {}
    with (gzip.open if source.name.endswith(".gz") else open)(source, "rb") as handle:
        start = handle.read(1 << 16).decode("latin-1")
    return {
        int(n): name.strip() for n, name in re.findall(r'<Label [^>]*Key="(\d+)"[^>]*>([^<]+)</Label>', start) if int(n)
    }


def structures_on(labels: LabelMap, grid: Grid) -> NDArray[np.uint16]:
    """Anatomy ids ``(z, y, x)`` on ``grid``: that of the nearest voxel of the map, 0 outside of it.

    Raises
    ------
    ValueError
        If the map does not overlap the grid.
    """
    table = np.zeros(int(labels.numbers.max()) + 1, np.uint16)
    for number, (structure, _) in labels.scheme.labels.items():
        if number < len(table):
            table[number] = structure
    source = (labels.numbers > 0).astype(np.uint16) if labels.scheme.name == LUNGS else table[labels.numbers]
    corner = labels.grid.world_to_index(grid.index_to_world((0, 0, 0)))
    steps = [labels.grid.world_to_index(grid.index_to_world(unit)) - corner for unit in np.eye(3)]
    out = np.zeros(grid.shape, np.uint16)
    ndimage.affine_transform(source, np.stack(steps, axis=1), corner, grid.shape, out, order=0, mode="constant", cval=0)
    if not out.any():
        raise ValueError(f"{labels.name}: its labels do not lie on the CT: no labelled voxel is inside of it")
    if labels.scheme.name == LUNGS:
        right, left = sides(out > 0, grid.spacing_mm)
        out = np.where(right, np.uint16(Structure.RIGHT_LUNG), np.uint16(0))
        out[left] = Structure.LEFT_LUNG
    return out


def check_labels(structure: NDArray[np.uint16], hu: NDArray[np.float32], spacing_mm: Triple) -> None:
    """Refuse labels that contradict the CT: another scheme, another patient, a flipped map.

    Raises
    ------
    ValueError
        Unless there are labelled lungs, they are full of air, each lies on its own side, and labelled bones are dense.
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    right, left = (np.isin(structure, [int(s) for s in ids]) for ids in (RIGHT_IDS, LEFT_IDS))
    ml = float(np.count_nonzero(right | left)) * voxel_ml
    if ml < SMALLEST_LUNG_ML:
        raise ValueError(f"the labels hold {ml:.0f} mL of lung, expected at least {SMALLEST_LUNG_ML:.0f} mL")
    median = float(np.median(hu[right | left]))
    if median > AIRY_HU:
        raise ValueError(
            f"the labelled lungs have a median of {median:.0f} HU, expected less than {AIRY_HU:.0f}: {_WHY_NOT}"
        )
    middle = _middle(hu > SOLID_HU)
    for side, mask, way in (("right", right, 1), ("left", left, -1)):
        if np.count_nonzero(mask) * voxel_ml < SMALLEST_LUNG_ML:
            continue
        off = (middle - _middle(mask)) * spacing_mm[2] * way
        if off < -FARTHEST_OVER_MM:
            raise ValueError(f"the {side} lung lies {-off:.0f} mm to the other side of the body's middle: {_WHY_NOT}")
    for bone in BONES:
        values = hu[structure == bone]
        if values.size * voxel_ml > SMALLEST_BONE_ML and (densest := float(np.percentile(values, 90))) < DENSE_HU:
            raise ValueError(
                f"the labelled {bone.name} is no bone: nine tenths of it lie below {densest:.0f} HU, expected at least "
                f"{DENSE_HU:.0f}: {_WHY_NOT}"
            )


def _middle(mask: NDArray[np.bool_]) -> float:
    """Mean index along x."""
    counts = mask.sum(axis=(0, 1))
    return float(np.average(np.arange(len(counts)), weights=counts)) if counts.any() else (len(counts) - 1) / 2
