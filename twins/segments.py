"""Bronchopulmonary segments: ten on the right, eight on the left, and which of them a point lies in.

Territories are grown, not drawn: the seeds of a lobe fall to the segment whose usual direction from the hilum they lie
in (k-means on place and direction, started there), one segmental bronchus supplies each, and a point belongs to the
segment of the branch nearest to it. Directions after the names of the segments (Boyden's numbering); design defaults.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .structures import AERATED, LOBES, LUNG, Structure

if TYPE_CHECKING:
    from .trees import Tree
    from .twin import Twin


class Segment(IntEnum):
    """Segment ids, as in the column ``segment`` of a :class:`twins.Tree`. Stable: a number keeps its meaning."""

    RIGHT_APICAL = 1
    RIGHT_POSTERIOR = 2
    RIGHT_ANTERIOR = 3
    RIGHT_LATERAL = 4
    RIGHT_MEDIAL = 5
    RIGHT_SUPERIOR = 6
    RIGHT_MEDIAL_BASAL = 7
    RIGHT_ANTERIOR_BASAL = 8
    RIGHT_LATERAL_BASAL = 9
    RIGHT_POSTERIOR_BASAL = 10
    LEFT_APICOPOSTERIOR = 11
    LEFT_ANTERIOR = 13
    LEFT_SUPERIOR_LINGULAR = 14
    LEFT_INFERIOR_LINGULAR = 15
    LEFT_SUPERIOR = 16
    LEFT_ANTEROMEDIAL_BASAL = 17
    LEFT_LATERAL_BASAL = 19
    LEFT_POSTERIOR_BASAL = 20


FEW = 20
"""Up to so many points no search tree is built."""

S = Segment
# segment, its direction from the middle of the lobe (right, forward, up; medial is negative), its place in the order of
# forks: the first cut parts 0 from 1 in the first number, and so on
PLAN: dict[Structure, tuple[tuple[Segment, tuple[float, float, float], tuple[int, int, int, int]], ...]] = {
    Structure.RIGHT_UPPER_LOBE: (
        (S.RIGHT_APICAL, (-0.2, 0.0, 1.0), (0, 0, 0, 0)),
        (S.RIGHT_POSTERIOR, (0.5, -1.0, -0.2), (0, 1, 0, 0)),
        (S.RIGHT_ANTERIOR, (0.3, 1.0, -0.4), (1, 0, 0, 0)),
    ),
    Structure.RIGHT_MIDDLE_LOBE: (
        (S.RIGHT_LATERAL, (1.0, -0.3, 0.1), (0, 0, 0, 0)),
        (S.RIGHT_MEDIAL, (-1.0, 0.4, -0.1), (1, 0, 0, 0)),
    ),
    Structure.RIGHT_LOWER_LOBE: (
        (S.RIGHT_SUPERIOR, (0.0, -0.5, 1.2), (0, 0, 0, 0)),
        (S.RIGHT_MEDIAL_BASAL, (-1.0, 0.4, -0.5), (1, 0, 0, 0)),
        (S.RIGHT_ANTERIOR_BASAL, (0.4, 1.0, -0.4), (1, 1, 0, 0)),
        (S.RIGHT_LATERAL_BASAL, (1.0, 0.0, -0.6), (1, 1, 1, 0)),
        (S.RIGHT_POSTERIOR_BASAL, (0.0, -1.0, -0.7), (1, 1, 1, 1)),
    ),
    Structure.LEFT_UPPER_LOBE: (
        (S.LEFT_APICOPOSTERIOR, (0.0, -0.6, 1.0), (0, 0, 0, 0)),
        (S.LEFT_ANTERIOR, (0.3, 0.8, 0.3), (0, 1, 0, 0)),
        (S.LEFT_SUPERIOR_LINGULAR, (0.5, 0.5, -0.5), (1, 0, 0, 0)),
        (S.LEFT_INFERIOR_LINGULAR, (0.0, 0.8, -1.1), (1, 1, 0, 0)),
    ),
    Structure.LEFT_LOWER_LOBE: (
        (S.LEFT_SUPERIOR, (0.0, -0.5, 1.2), (0, 0, 0, 0)),
        (S.LEFT_ANTEROMEDIAL_BASAL, (-0.4, 1.0, -0.5), (1, 0, 0, 0)),
        (S.LEFT_LATERAL_BASAL, (1.0, 0.0, -0.6), (1, 1, 0, 0)),
        (S.LEFT_POSTERIOR_BASAL, (0.0, -1.0, -0.7), (1, 1, 1, 0)),
    ),
}


def territories(
    lobe: Structure, seeds_mm: NDArray[np.float64], tip_mm: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Segment id ``(n,)`` and order of forks ``(n, 4)`` of the seeds ``(n, 3)`` of a lobe supplied from ``tip_mm``."""
    plan = PLAN[lobe]
    lateral = -1.0 if lobe in LOBES[:3] else 1.0
    middle = seeds_mm.mean(0)
    size = seeds_mm.std(0)
    ray = seeds_mm - tip_mm
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-6)
    # place and direction: territories are wedges with their points at the hilum
    feature = np.column_stack([(seeds_mm - middle) / size, 1.5 * ray])
    way = np.array([d for _, d, _ in plan]) * [lateral, -1.0, 1.0]
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    label = np.argmax((feature[:, :3] @ way.T), axis=1)
    for _ in range(4):  # few rounds: they even the sizes out and keep the directions
        centre = np.array(
            [feature[label == s].mean(0) if np.any(label == s) else np.r_[way[s], way[s]] for s in range(len(plan))]
        )
        label = np.argmin(((feature[:, None, :] - centre[None]) ** 2).sum(2), axis=1)
    ids = np.array([s for s, _, _ in plan], np.uint8)[label]
    return ids, np.array([c for _, _, c in plan], np.int8)[label]


def segment_at(twin: Twin, points_mm: ArrayLike) -> list[str | None] | None:
    """Names of the bronchopulmonary segments in which points lie.

    Parameters
    ----------
    twin
        A twin; those with no airways of known segments have none to tell.
    points_mm
        ``(n, 3)`` or ``(3,)`` world points [mm].

    Returns
    -------
    list of str or None
        Per point the name of a :class:`Segment`, None where it lies outside the lungs; None alone where the twin's
        trees know no segments. A point belongs to the segment of the branch nearest to it in its own lobe (anywhere in
        the lungs where it lies in a vessel or an airway).

    Raises
    ------
    ValueError
        If ``points_mm`` is not ``(n, 3)``.
    """
    points = np.atleast_2d(np.asarray(points_mm, float))
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points_mm must have shape (n, 3), got {np.shape(points_mm)}")
    trees = [t for t in (twin.airways, twin.arteries) if np.any(t.segment)]
    if not trees:
        return None
    index = np.rint(twin.grid.world_to_index(points)).astype(int)
    within = np.all((index >= 0) & (index < twin.grid.shape), axis=1)
    here = np.zeros(len(points), np.uint16)
    here[within] = twin.structure[tuple(index[within].T)]
    found = np.zeros(len(points), np.uint8)
    for region in np.unique(here[np.isin(here, LUNG)]):
        asked = here == region
        rows = [np.flatnonzero(_serves(t, region)) for t in trees]
        if any(len(r) for r in rows):
            ends = np.concatenate([t.end_mm[r] for t, r in zip(trees, rows, strict=True)])
            segment = np.concatenate([t.segment[r] for t, r in zip(trees, rows, strict=True)])
            found[asked] = segment[_nearest(ends, points[asked])]
    return [Segment(int(s)).name if s else None for s in found]


def _serves(tree: Tree, region: int) -> NDArray[np.bool_]:
    """Branches of known segments that may hold a point of a lobe, of a whole lung, or of a vessel or airway."""
    known = tree.segment > 0
    if region in LOBES:
        return known & (tree.lobe == region)
    if region in AERATED[5:]:  # a whole lung
        return known & ((tree.segment <= Segment.RIGHT_POSTERIOR_BASAL) == (region == Structure.RIGHT_LUNG))
    return known


def _nearest(of: NDArray[np.floating], points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Row of the nearest of many places for each point; for a few points all distances cost less than a tree."""
    if len(points) > FEW:
        from scipy.spatial import cKDTree

        return np.asarray(cKDTree(of).query(points)[1], np.intp)
    return np.array([int(np.argmin(((of - p) ** 2).sum(axis=1))) for p in points], np.intp)


__all__ = ["Segment", "segment_at", "territories"]
