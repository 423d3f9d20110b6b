"""Several readers look at a nodule in an image: who marks it, where they draw, how they rate it, what they agree on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..attributes import TEXTURE_OF_TYPE
from ..descriptors import Descriptors, describe, outer_contour
from ..truth import NoduleTruth
from .opinions import detection_probability, rate
from .outlines import ReaderModel, outline, seen, window

CONSENSUS = 0.5
"""Share of the readers who marked a nodule that must hold a voxel to be inside (LIDC-IDRI practice)."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One reader's view of a nodule.

    Parameters
    ----------
    marked
        Whether the reader marks the nodule at all; if not, nothing is inside.
    inside
        Pixels strictly inside the contours, on the window's grid.
    ratings
        LIDC ratings [1-5].
    """

    marked: bool
    inside: NDArray[np.bool_]
    ratings: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """All readers' views of one nodule.

    Parameters
    ----------
    id
        The nodule's name.
    window
        Where the part of the image begins and ends, as slices along (z, y, x).
    grid
        That part's grid.
    readings
        One per reader, those who did not mark it among them.
    """

    id: str
    window: tuple[slice, slice, slice]
    grid: Grid
    readings: tuple[Reading, ...]

    @property
    def marked(self) -> tuple[Reading, ...]:
        """The readings of those who marked it."""
        return tuple(r for r in self.readings if r.marked)

    def consensus(self, share: float = CONSENSUS) -> NDArray[np.bool_]:
        """Voxels that at least ``share`` of the readers who marked the nodule hold inside; none where nobody did.

        Raises
        ------
        ValueError
            If ``share`` is not within 0-1, 0 excluded.
        """
        if not 0 < share <= 1:
            raise ValueError(f"share must lie within 0-1, 0 excluded, got {share}")
        if not self.marked:
            return np.zeros(self.grid.shape, bool)
        votes = np.mean([r.inside for r in self.marked], axis=0)
        return np.asarray(votes >= share - 1e-9)

    def descriptors(self) -> tuple[Descriptors, ...]:
        """Shape as each reader who marked it outlined it."""
        return tuple(describe(r.inside, self.grid.spacing_mm) for r in self.marked)

    def contours_mm(self, reader: int) -> dict[int, NDArray[np.float64]]:
        """Closed contours ``(n, 3)`` in the world [mm, LPS] by slice of the *image*, first pixels outside."""
        contours = {}
        for z, slice_inside in enumerate(self.readings[reader].inside):
            chain = outer_contour(slice_inside)
            if len(chain):
                index = np.column_stack((np.full(len(chain), z), chain))
                contours[self.window[0].start + z] = self.grid.index_to_world(index)
        return contours


def read(
    truth: NoduleTruth,
    grid: Grid,
    *,
    rng: np.random.Generator,
    n_readers: int = 4,
    model: ReaderModel | None = None,
    all_mark: bool = False,
) -> Readings:
    """What ``n_readers`` would make of a nodule in an image on ``grid``.

    Parameters
    ----------
    truth
        The nodule as it is.
    grid
        The image; axes along those of the truth's lattice or not.
    rng
        Where chance comes from.
    n_readers
        How many readers.
    model
        How well they outline; none: as those of LIDC-IDRI.
    all_mark
        Every reader marks the nodule; otherwise they do with the probability of LIDC-IDRI readers for its size.

    Raises
    ------
    ValueError
        If the nodule lies outside the image, or ``n_readers`` is below 1.
    """
    if n_readers < 1:
        raise ValueError(f"n_readers must be at least 1, got {n_readers}")
    how = model or ReaderModel()
    part, around = window(truth.grid, grid)
    picture = seen(truth.grid, truth.occupancy, grid.spacing_mm, how.psf_fwhm_mm)
    known = truth.nodule.attributes
    conspicuity, ambiguity = rng.standard_normal(2)
    ratings = rate(
        {
            "sphericity": known.sphericity,
            "margin": known.margin,
            "lobulation": known.lobulation,
            "spiculation": known.spiculation,
            "texture": known.texture if truth.nodule.texture is not None else TEXTURE_OF_TYPE[truth.type],
        },
        rng,
        n_readers,
        equivalent_diameter_mm=truth.equivalent_diameter_mm,
    )
    probability = detection_probability(truth.equivalent_diameter_mm, float(conspicuity))
    centre = np.asarray(truth.centre_mm)
    readings = []
    for k in range(n_readers):
        marks = bool(rng.random() < probability) or all_mark
        inside = outline(
            truth.grid,
            picture,
            centre,
            around,
            truth.mean_diameter_mm,
            how,
            rng,
            ambiguity=float(ambiguity),
            spiculation=known.spiculation,
        )
        # what fills no pixel cannot be outlined
        marks = marks and bool(inside.any())
        readings.append(Reading(marks, inside & marks, {name: float(values[k]) for name, values in ratings.items()}))
    return Readings(truth.id, part, around, tuple(readings))
