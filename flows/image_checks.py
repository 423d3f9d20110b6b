"""Checks of a dataset's images against what is known of them: tissues, nodules, and copies under another name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Structure
from twins.structures import AERATED

from .dataset import Dataset
from .exports.splits import lineages
from .volumes import averaged, read_volume

TISSUES_HU: Mapping[str, tuple[tuple[int, ...], float, float]] = {
    "air around the body": ((Structure.OUTSIDE,), -1024.0, -900.0),
    "lung": (AERATED, -980.0, -500.0),
    "muscle and liver": ((Structure.MUSCLE, Structure.LIVER), -50.0, 200.0),
}
"""Anatomy ids of a tissue and where its median may lie [HU] (design default: what any usable chest CT keeps)."""

MIN_VOXELS = 100
"""A tissue with fewer voxels is not judged."""

MIN_CONTRAST = 0.25
"""Share of its contrast to lung that a nodule must at least show, after blur, noise and partial volume (design
default); judged from :data:`MIN_NODULE_VOXELS` and :data:`MIN_EXPECTED_HU` on."""

MIN_NODULE_VOXELS = 20

MIN_EXPECTED_HU = 100.0

SHAPE = (32, 48, 48)
"""Voxels of the reduced images that are compared."""

COPY_CORRELATION = 0.9
"""High-pass correlation of two reduced images from which on they are called copies. Two scans of one twin reach more,
two twins stay far below (``docs/exports.md`` has the figures)."""


Each = Callable[[Sequence[Any]], Iterator[Any]]
"""Goes through items, telling somebody how far it is."""


@dataclass
class Pictures:
    """All images of a dataset, read once for all checks.

    Parameters
    ----------
    dataset
        The dataset.
    each
        Goes through rows of the manifest and tells how far it is.
    """

    dataset: Dataset
    each: Each = iter
    _marks: list[NDArray[np.float16]] = field(default_factory=list)

    def tissues(self) -> tuple[int, list[str]]:
        """How many tissues were judged, and which are out of range."""
        return self._read[0]

    def contrasts(self) -> tuple[int, list[str]]:
        """How many nodules were judged, and which are not seen where they should be."""
        return self._read[1]

    def duplicates(self) -> tuple[int, list[str]]:
        """How many images were compared, and which are copies though of different lineages."""
        self._read  # noqa: B018 (fills the marks)
        names = [row["image_id"] for row in self.dataset.manifest]
        group = lineages(self.dataset.manifest, self.dataset.nodules)
        marks = np.stack(self._marks)
        problems = []
        for start in range(0, len(marks), 256):
            block = marks[start : start + 256].astype(np.float32) @ marks.astype(np.float32).T
            for i, j in np.argwhere(block >= COPY_CORRELATION):
                a, b = names[start + i], names[j]
                if a < b and group[a] != group[b]:
                    problems.append(f"{b}: its pixels are those of {a} (correlation {block[i, j]:.3f})")
        return len(names), problems

    @cached_property
    def _read(self) -> tuple[tuple[int, list[str]], tuple[int, list[str]]]:
        n_tissues, tissues, n_contrasts, contrasts = 0, [], 0, []
        for row in self.each(self.dataset.manifest):
            hu = read_volume(self.dataset.root / row["image_file"])[0]
            self._marks.append(mark_of(hu))
            if not row["anatomy_file"]:
                continue
            anatomy = read_volume(self.dataset.root / row["anatomy_file"])[0]
            mask = read_volume(self.dataset.root / row["mask_file"])[0]
            if not hu.shape == anatomy.shape == mask.shape:
                tissues.append(f"{row['image_id']}: image, mask and anatomy have different shapes")
                continue
            for name, (ids, low, high) in TISSUES_HU.items():
                voxels = hu[np.isin(anatomy, ids) & (mask == 0)]
                if voxels.size >= MIN_VOXELS:
                    n_tissues += 1
                    if not low <= (median := float(np.median(voxels))) <= high:
                        tissues.append(
                            f"{row['image_id']}: {name} has a median of {median:.0f} HU, not {low:g}..{high:g}"
                        )
            for problem in self._contrasts(row, hu, mask, anatomy):
                n_contrasts += 1
                contrasts += [problem] if problem else []
        return (n_tissues, tissues), (n_contrasts, contrasts)

    def _contrasts(
        self,
        row: Mapping[str, str],
        hu: NDArray[np.generic],
        mask: NDArray[np.generic],
        anatomy: NDArray[np.generic],
    ) -> Iterator[str]:
        """A problem, or nothing, for every nodule that can be judged."""
        from scipy.ndimage import binary_dilation, find_objects

        boxes = find_objects(mask.astype(np.int32))
        for line in self.dataset.nodules_of(row["image_id"]):
            value = int(line["mask_value"])
            box = boxes[value - 1] if value <= len(boxes) else None
            if line["is_mimic"] == "true" or box is None:
                continue
            window = tuple(slice(max(0, part.start - 3), part.stop + 3) for part in box)
            inside = mask[window] == value
            ring = binary_dilation(inside, iterations=2) & (mask[window] == 0) & np.isin(anatomy[window], AERATED)
            if inside.sum() < MIN_NODULE_VOXELS or ring.sum() < MIN_NODULE_VOXELS:
                continue
            around = float(np.median(hu[window][ring]))
            expected = float(line["mean_hu"]) - around
            if expected < MIN_EXPECTED_HU:
                continue
            found = float(hu[window][inside].mean()) - around
            seen = found >= MIN_CONTRAST * expected
            name = f"{row['image_id']} {line['nodule_id']}"
            yield (
                "" if seen else f"{name}: stands out by {found:.0f} HU from the lung around it, expected {expected:.0f}"
            )


def mark_of(hu: NDArray[np.generic]) -> NDArray[np.float16]:
    """The fine structure of a reduced image as a unit vector: the dot product of two is their correlation.

    Whatever keeps the picture keeps it: resizing, noise, an offset or another scale of values.
    """
    from scipy.ndimage import uniform_filter

    small = averaged(np.clip(hu, -1000, 200), SHAPE)
    fine = (small - uniform_filter(small, 5, mode="nearest")).ravel()
    fine -= fine.mean()
    length = float(np.linalg.norm(fine))
    unit: NDArray[np.float16] = (fine / length if length > 0 else fine).astype(np.float16)
    return unit
