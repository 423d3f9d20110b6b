"""One anatomy in every breath: how each lobe at full effort maps onto the lobe of this breath.

Trees, lobules, texture and emphysema are made in the lungs at full effort and moved: each lobe by the affine map that
takes its centre and its second moments there to those here. The same person breathing otherwise has the same branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .lungs import Chest, lobe_map, solve
from .structures import LOBES

if TYPE_CHECKING:
    from .population import TwinSpec


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """The chest at full effort, and per lobe (order of ``LOBES``) ``there = matrix @ here_at_full_effort + offset``."""

    full: Chest
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    @property
    def moved(self) -> bool:
        """Whether this breath differs from full effort."""
        return bool(np.any(self.offset != 0))

    def forward(self, points_mm: NDArray[np.float64], lobe: int) -> NDArray[np.float64]:
        """Places ``(n, 3)`` in this breath of points at full effort in the lobe at that position in ``LOBES``."""
        return points_mm @ self.matrix[lobe].T + self.offset[lobe] if self.moved else points_mm

    def backward_rows(self) -> NDArray[np.float64]:
        """Per lobe the twelve numbers of the inverse map, row by row: three of the matrix, one of the offset."""
        inverse = np.linalg.inv(self.matrix)
        return np.concatenate([inverse, -np.einsum("nij,nj->ni", inverse, self.offset)[..., None]], axis=2)


def pose(spec: TwinSpec, chest: Chest) -> Pose:
    """How the lobes of ``chest`` came from those of the same person at full effort."""
    matrix, offset = np.tile(np.eye(3), (len(LOBES), 1, 1)), np.zeros((len(LOBES), 3))
    if spec.inflation == 1.0 and spec.diaphragm_shift_mm == 0.0:
        return Pose(chest, matrix, offset)
    full = solve(spec.model_copy(update={"inflation": 1.0, "diaphragm_shift_mm": 0.0}))
    before, after = lobe_map(full), lobe_map(chest)
    for n, lobe in enumerate(LOBES):
        p = full.lattice.index_to_world(np.argwhere(before == lobe))
        q = chest.lattice.index_to_world(np.argwhere(after == lobe))
        matrix[n] = np.linalg.cholesky(np.cov(q.T)) @ np.linalg.inv(np.linalg.cholesky(np.cov(p.T)))
        offset[n] = q.mean(0) - matrix[n] @ p.mean(0)
    return Pose(full, matrix, offset)


def carried(
    points_mm: NDArray[np.float64], lobes: NDArray[np.int64], before: TwinSpec, after: TwinSpec
) -> NDArray[np.float64]:
    """Where points of the lungs lie in another breath of the same person: both are moved as trees and texture are.

    Parameters
    ----------
    points_mm
        World points ``(n, 3)`` in the twin of ``before`` [mm, LPS].
    lobes
        Position of each point's lobe in ``LOBES``, ``(n,)``.
    before, after
        The person at both times (:mod:`twins.states`).
    """
    here, there = (pose(spec, solve(spec)) for spec in (before, after))
    moved = np.asarray(points_mm, np.float64).copy()
    for lobe in np.unique(lobes):
        own = lobes == lobe
        full = moved[own]
        if here.moved:
            full = (full - here.offset[lobe]) @ np.linalg.inv(here.matrix[lobe]).T
        moved[own] = there.forward(full, int(lobe))
    return moved
