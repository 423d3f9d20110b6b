"""Designs of virtual trials: which nodules to compare, and which twin gets which.

- :func:`factorial`: every combination of levels of any fields, each with its own replicates;
- :func:`equalised`: nodules of a cohort, as many in every class (lobe, type...), all else as the cohort has it;
- :func:`twin_cross`: every nodule in every twin, so that anatomy and nodule can be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .cohorts import Cohort, NoduleTable, draw_table
from .cohorts.table import COLUMNS
from .nodule import Nodule


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One cell of a factorial design: its levels, and its nodules."""

    levels: Mapping[str, Any]
    nodules: tuple[Nodule, ...]


def factorial(
    rng: np.random.Generator,
    factors: Mapping[str, Sequence[Any]],
    *,
    fixed: Mapping[str, Any] | None = None,
    replicates: int = 1,
    same_keys: bool = True,
    name: str = "nodule-{:d}",
) -> tuple[Cell, ...]:
    """All combinations of levels, the last factor varying fastest.

    Parameters
    ----------
    rng
        Where the keys come from.
    factors
        Levels by field of :class:`lesions.Nodule`, e.g. ``{"equivalent_diameter_mm": (4, 6, 8), "margin": (1, 5)}``.
    fixed
        Fields that all nodules share.
    replicates
        Nodules per cell.
    same_keys
        Replicate k has the same key in every cell, so that cells differ in the factors alone (paired); otherwise
        every nodule has its own.
    name
        Format of the ids, with the number from 1.

    Raises
    ------
    ValueError
        If a factor has no or repeated levels, is fixed as well, or a combination contradicts itself (it is named).
    """
    shared = dict(fixed or {})
    for field, values in factors.items():
        if field in shared:
            raise ValueError(f"{field!r} is a factor and fixed as well")
        if field in ("id", "key"):
            raise ValueError(f"{field!r} cannot be a factor: the design gives it")
        if not values or len({repr(level) for level in values}) != len(values):
            raise ValueError(f"factor {field!r} needs one or more different levels, got {list(values)}")
    if replicates < 1:
        raise ValueError(f"replicates must be at least 1, got {replicates}")
    cells: list[Cell] = []
    keys = [_key(rng) for _ in range(replicates)]
    for combination in product(*factors.values()):
        levels = dict(zip(factors, combination, strict=True))
        nodules = []
        for k in range(replicates):
            number = len(cells) * replicates + k + 1
            key = keys[k] if same_keys else _key(rng)
            try:
                nodules.append(Nodule.model_validate({"id": name.format(number), "key": key, **shared, **levels}))
            except ValueError as error:
                raise ValueError(f"cell {levels} of the design: {error}") from None
        cells.append(Cell(levels, tuple(nodules)))
    return tuple(cells)


def equalised(
    rng: np.random.Generator,
    classes: Mapping[str, Sequence[Any]],
    n_each: int,
    *,
    cohort: str | Cohort = "lidc",
    diameter_mm: tuple[float, float] = (3.0, 30.0),
) -> NoduleTable:
    """``n_each`` nodules of a cohort in every combination of classes, the last class varying fastest.

    Parameters
    ----------
    rng
        Where chance comes from.
    classes
        Classes by column of the table (:data:`lesions.cohorts.COLUMNS`): values, or ranges ``(lowest, highest)`` of
        numbers, e.g. ``{"lobe": (...), "equivalent_diameter_mm": ((4, 6), (6, 8))}``.
    n_each
        Nodules per combination; within one they are as the cohort has them.
    cohort, diameter_mm
        As for :func:`lesions.cohorts.draw_table`.

    Raises
    ------
    ValueError
        If the cohort has next to no nodules of a combination.
    """
    if n_each < 1:
        raise ValueError(f"n_each must be at least 1, got {n_each}")
    parts = [
        draw_table(
            rng, n_each, cohort=cohort, diameter_mm=diameter_mm, conditions=dict(zip(classes, values, strict=True))
        )
        for values in product(*classes.values())
    ]
    return NoduleTable({column: np.concatenate([part[column] for part in parts]) for column in COLUMNS})


def twin_cross(
    nodules: Sequence[Nodule], twins: Sequence[str], *, per_twin: int | None = None
) -> tuple[tuple[str, tuple[Nodule, ...]], ...]:
    """Every nodule in every twin, as (twin, nodules) pairs.

    Parameters
    ----------
    nodules
        With different ids; each keeps its id and key in every twin.
    twins
        Names of the twins, all different.
    per_twin
        Nodules that share one scan; none: all. With fewer, each twin is scanned several times and the groups rotate
        from twin to twin (a cyclic design), so that no two nodules always go together.

    Raises
    ------
    ValueError
        If names repeat, or ``per_twin`` does not divide the number of nodules.
    """
    for what, names in (("nodule ids", [n.id for n in nodules]), ("twins", list(twins))):
        if not names or len(set(names)) != len(names):
            raise ValueError(f"{what} must be one or more and differ, got {names}")
    size = len(nodules) if per_twin is None else per_twin
    if size < 1 or len(nodules) % size:
        raise ValueError(f"per_twin must divide the number of nodules, {len(nodules)}; got {per_twin}")
    groups = len(nodules) // size
    cases = []
    for t, twin in enumerate(twins):
        # block g takes the g-th nodule of each run of `groups`, shifted along with the twin
        for g in range(groups):
            members = tuple(nodules[run * groups + (g + t * run) % groups] for run in range(size))
            cases.append((twin, members))
    return tuple(cases)


def _key(rng: np.random.Generator) -> int:
    return int(rng.integers(2**64, dtype=np.uint64))
