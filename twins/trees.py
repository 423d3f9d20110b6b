"""Branching trees (airways, arteries, veins) as tables of tapered segments."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "start_mm": ("f4", (3,)),
    "end_mm": ("f4", (3,)),
    "start_radius_mm": ("f4", ()),
    "end_radius_mm": ("f4", ()),
    "parent": ("i4", ()),
    "generation": ("i2", ()),
    "lobe": ("u2", ()),
    "segment": ("u1", ()),
    "kind": ("u1", ()),
}
"""Name, dtype and trailing shape of each column of a :class:`Tree`."""

OPTIONAL = ("segment", "kind")
"""Columns that a table may lack: all rows are 0 then."""


class BranchKind(IntEnum):
    """What a row of a :class:`Tree` is."""

    UNKNOWN = 0
    CENTRAL = 1
    """A named line of the mediastinum or hilum: trachea to lobar bronchi, trunk to lobar arteries, atrium to lobes."""
    BRANCH = 2
    """Grown: airways and the arteries beside them, veins."""
    SUPERNUMERARY = 3
    """A side branch of an artery without an airway beside it."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Segments of one tree, one row each; a parent stands before its children.

    Columns: ``start_mm``, ``end_mm`` (n, 3) world points [mm, LPS]; ``start_radius_mm``, ``end_radius_mm`` (n,)
    lumen radius for airways, outer radius for vessels [mm]; ``parent`` (n,) row of the parent, -1 for a root;
    ``generation`` (n,) 0 at the root; ``lobe`` (n,) :class:`twins.Structure` id, 0 outside the lungs; ``segment`` (n,)
    :class:`twins.segments.Segment` that the row supplies, 0 where it supplies several or none is known; ``kind`` (n,)
    :class:`BranchKind`.

    Raises
    ------
    ValueError
        If a column has the wrong length, or a parent does not stand before its child.
    """

    start_mm: NDArray[np.float32]
    end_mm: NDArray[np.float32]
    start_radius_mm: NDArray[np.float32]
    end_radius_mm: NDArray[np.float32]
    parent: NDArray[np.int32]
    generation: NDArray[np.int16]
    lobe: NDArray[np.uint16]
    segment: NDArray[np.uint8] = None  # type: ignore[assignment]
    kind: NDArray[np.uint8] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.parent)
        for field in fields(self):
            dtype, tail = COLUMNS[field.name]
            value = getattr(self, field.name)
            column = np.zeros(n, dtype) if value is None else np.ascontiguousarray(value, dtype=dtype)
            if column.shape != (n, *tail):
                raise ValueError(f"tree column {field.name} must have shape {(n, *tail)}, got {column.shape}")
            object.__setattr__(self, field.name, column)
        if np.any(self.parent >= np.arange(n)) or np.any(self.parent < -1):
            raise ValueError("tree column parent must name an earlier row, or be -1 for a root")

    def __len__(self) -> int:
        return len(self.parent)

    @classmethod
    def empty(cls) -> Tree:
        """A tree without segments."""
        return cls(*(np.zeros((0, *tail), dtype) for dtype, tail in COLUMNS.values()))
