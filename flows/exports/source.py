"""What exports read: a finished dataset, of which no file is used before its digest has been checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lesions
from lesions import Truth
from twins import Grid

from ..dataset import SEAL, Dataset
from ..store import sha256_of
from ..volumes import read_volume

Box = tuple[tuple[float, float, float], tuple[float, float, float]]

CLASSES: Mapping[str, int] = {"nodule": 1, "mimic": 2}
"""Values of label images and ids of detection classes: hard negatives never count as nodules."""


class Source:
    """A finished dataset, read only.

    Parameters
    ----------
    root
        Folder of the dataset.

    Raises
    ------
    ValueError
        If the folder holds no finished dataset, or a table differs from its sealed digest.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.dataset = Dataset.open(root)
        self.seal_sha256 = sha256_of(self.dataset.root / SEAL)
        self._sealed = self.dataset.digests()
        self._checked: set[str] = set()
        self._truth: tuple[str, Truth] | None = None
        for name in ("manifest.csv", "nodules.csv", "study.yaml"):
            self.path(name)

    @property
    def root(self) -> Path:
        """Folder of the dataset."""
        return self.dataset.root

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.dataset.manifest[0]["study"]

    def path(self, name: str) -> Path:
        """Where a file of the dataset lies, after its SHA-256 was found to be the sealed one.

        Raises
        ------
        ValueError
            If the file is missing, damaged, or not part of the dataset.
        """
        file = self.root / name
        if name not in self._checked:
            if name not in self._sealed:
                raise ValueError(f"{file}: is not part of the finished dataset ({SEAL} does not list it)")
            if not file.is_file():
                raise ValueError(f"{file}: missing; the dataset is damaged, build it again")
            if sha256_of(file) != self._sealed[name]:
                raise ValueError(f"{file}: changed since the build; the dataset is damaged, build it again")
            self._checked.add(name)
        return file

    def check_unchanged(self) -> None:
        """Raise ValueError if another build has begun or ended in the folder meanwhile."""
        seal = self.root / SEAL
        if not seal.is_file() or sha256_of(seal) != self.seal_sha256:
            raise ValueError(f"{self.root}: the dataset was built again while it was exported; export it again")

    @cached_property
    def images(self) -> tuple[SourceImage, ...]:
        """All images, in the order of the manifest."""
        rows: dict[str, list[dict[str, str]]] = {row["image_id"]: [] for row in self.dataset.manifest}
        for line in self.dataset.nodules:
            rows[line["image_id"]].append(line)
        return tuple(
            SourceImage(self, row, tuple(SourceNodule(line) for line in rows[row["image_id"]]))
            for row in self.dataset.manifest
        )

    def truth(self, row: Mapping[str, str]) -> Truth:
        """The truth of a manifest row; that of the last twin is kept."""
        name = row["truth_file"]
        if self._truth is None or self._truth[0] != name:
            self._truth = (name, lesions.load(self.path(name)))
        return self._truth[1]


@dataclass(frozen=True, slots=True, eq=False)
class SourceNodule:
    """One nodule, or mimic, in one image: a row of ``nodules.csv``."""

    row: Mapping[str, str]

    @property
    def id(self) -> str:
        """Name, unique within the twin."""
        return self.row["nodule_id"]

    @property
    def mask_value(self) -> int:
        """Its value in the instance mask."""
        return int(self.row["mask_value"])

    @property
    def n_voxels(self) -> int:
        """Voxels of the instance mask, of mimics those of their own; 0 where it lies outside the image."""
        return int(self.row["n_voxels"])

    @property
    def is_mimic(self) -> bool:
        """Whether this is a hard negative and no nodule."""
        return self.row["is_mimic"] == "true"

    @property
    def kind(self) -> str:
        """Class of lesion, as in :class:`lesions.Nodule`."""
        return self.row["kind"]

    @property
    def name_of_class(self) -> str:
        """A key of :data:`CLASSES`."""
        return "mimic" if self.is_mimic else "nodule"

    @property
    def centre_mm(self) -> tuple[float, float, float]:
        """Exact centroid ``(x, y, z)`` [mm, LPS]."""
        return (self.number("x_lps_mm"), self.number("y_lps_mm"), self.number("z_lps_mm"))

    def number(self, column: str) -> float:
        """A column as a number."""
        return float(self.row[column])


@dataclass(frozen=True, slots=True, eq=False)
class SourceImage:
    """One image with its nodules: a row of ``manifest.csv``."""

    source: Source
    row: Mapping[str, str]
    listed: tuple[SourceNodule, ...]

    @property
    def id(self) -> str:
        """Name, unique within the dataset."""
        return self.row["image_id"]

    def nodules(self, *, mimics: bool) -> tuple[SourceNodule, ...]:
        """Nodules with at least one voxel in the image, in the order of mask values; ``mimics``: hard negatives too."""
        return tuple(nodule for nodule in self.listed if nodule.n_voxels > 0 and (mimics or not nodule.is_mimic))

    @property
    def image_path(self) -> Path:
        """The checked image file."""
        return self.source.path(self.row["image_file"])

    def hu(self) -> tuple[NDArray[np.int16], Grid]:
        """The image ``(z, y, x)`` [HU] and its lattice."""
        array, grid = read_volume(self.image_path)
        return array.astype(np.int16, copy=False), grid

    def grid(self) -> Grid:
        """Lattice of the image, from the header of its file."""
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        reader.SetFileName(str(self.image_path))
        reader.ReadImageInformation()
        shape, spacing = reader.GetSize()[::-1], reader.GetSpacing()[::-1]
        return Grid(shape, spacing, reader.GetOrigin(), reader.GetDirection())

    def instances(self, *, mimics: bool = False) -> NDArray[np.uint8]:
        """Instance mask ``(z, y, x)``: 0, or a nodule's ``mask_value``; mimics are added only where asked for."""
        names = ("mask_file", "mimics_file") if mimics and self.row["mimics_file"] else ("mask_file",)
        first, *others = (read_volume(self.source.path(self.row[name]))[0] for name in names)
        out: NDArray[np.uint8] = first.astype(np.uint8, copy=False)
        for other in others:
            out = np.where(out > 0, out, other.astype(np.uint8, copy=False))
        return out

    def labels(self, *, mimics: bool) -> NDArray[np.uint8]:
        """Class mask ``(z, y, x)`` with the values of :data:`CLASSES`; mimics are background unless asked for."""
        values = np.zeros(256, np.uint8)
        for nodule in self.nodules(mimics=mimics):
            values[nodule.mask_value] = CLASSES[nodule.name_of_class]
        labels: NDArray[np.uint8] = values[self.instances(mimics=mimics)]
        return labels

    def anatomy(self) -> NDArray[np.uint16]:
        """Anatomy labels ``(z, y, x)``, values of :class:`twins.Structure`.

        Raises
        ------
        ValueError
            If the dataset was built without them.
        """
        if not self.row.get("anatomy_file"):
            raise ValueError(
                f"{self.source.root}: this format needs anatomy labels; build with outputs: {{anatomy: true}}"
            )
        return read_volume(self.source.path(self.row["anatomy_file"]))[0].astype(np.uint16, copy=False)

    def box_mm(self, nodule: SourceNodule) -> Box:
        """Lower and upper corner ``(x, y, z)`` [mm, LPS] of a nodule's exact extent, spicules included.

        The extent is that of all voxels of the truth's fine lattice that are at least half filled.
        """
        truth = next(known for known in self.source.truth(self.row).nodules if known.id == nodule.id)
        filled = truth.occupancy >= 0.5
        if not filled.any():
            filled = truth.occupancy == truth.occupancy.max()
        low, high = [], []
        for axis in range(3):
            held = np.flatnonzero(filled.any(axis=tuple(a for a in range(3) if a != axis)))
            low.append(float(held[0]) - 0.5)
            high.append(float(held[-1]) + 0.5)
        a, b = truth.grid.index_to_world([low, high])
        x0, y0, z0 = np.minimum(a, b)
        x1, y1, z1 = np.maximum(a, b)
        return (float(x0), float(y0), float(z0)), (float(x1), float(y1), float(z1))
