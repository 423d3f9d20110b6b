"""From forks to the rows of a :class:`twins.Tree`: central lines, then branches, bent and tapered.

A branch leaves along its mother, if it is the larger daughter, or halfway between her course and its own, and arrives
along the mean of its own course and that of its larger daughter: trunks run smoothly through their forks. In between it
sags by 6 % (SD) of its length: a tortuosity (length / distance - 1) of 0.026 +- 0.024 has been measured (Dong 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .shapes import curve, direction
from .trees import BranchKind, Tree

Array = NDArray[Any]

Lines = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

SAG = 0.06
"""SD of the largest offset of a branch from its chord, along each axis, per length [1]."""

PIECES_OF_LINE = 12
"""Rows of each central line."""


class Rows:
    """Rows of a tree in the making: central lines first, lobes after them."""

    def __init__(self, lines: Lines, parents: dict[str, str]) -> None:
        self.columns: list[tuple[NDArray, ...]] = []
        self.count = 0
        self.last: dict[str, int] = {}
        self.depth: dict[str, int] = {}
        self.end: dict[str, tuple[NDArray, NDArray, float]] = {}
        for name, (points, radii) in lines.items():
            n = PIECES_OF_LINE + 1
            line = curve(points, n)
            radius = np.minimum.accumulate(np.interp(np.linspace(0, 1, n), np.linspace(0, 1, len(radii)), radii))
            mother = parents.get(name)
            if mother is not None:  # never wider than what it leaves
                radius = np.minimum(radius, self.end[mother][2])
            first = -1 if mother is None else self.last[mother]
            depth = 0 if mother is None else self.depth[mother] + 1
            parent = np.concatenate([[first], self.count + np.arange(n - 2)])
            none = np.zeros(n - 1)
            self._add(
                *(line[:-1], line[1:], radius[:-1], radius[1:], parent, none + depth, none, none),
                none + BranchKind.CENTRAL,
            )
            self.last[name], self.depth[name] = self.count - 1, depth
            self.end[name] = (line[-1], direction(line[-1] - line[-2]), float(radius[-1]))

    def _add(self, *columns: NDArray) -> None:
        self.columns.append(columns)
        self.count += len(columns[0])

    def join(self, line: str, laid: tuple[NDArray, ...]) -> None:
        """Add what :meth:`laid` made of the branches of a line."""
        parents = np.where(laid[4] < 0, self.last[line], self.count + laid[4])
        self._add(*laid[:4], parents, *laid[5:])

    def laid(
        self,
        line: str,
        lobe: int,
        end: NDArray[np.float64],
        parent: NDArray[np.int64],
        radius: NDArray[np.float64],
        segment: NDArray[np.uint8],
        kind: NDArray[np.uint8],
        rng: np.random.Generator,
        fine: NDArray[np.bool_] | None = None,
        around: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> tuple[NDArray, ...]:
        """Rows of branches, mothers first: ends (n, 3), mothers (n,), radii [mm], segments, kinds.

        Returned are the columns of a tree, mothers counted from the first of these rows, -1 the end of ``line``. Those
        that are not ``fine`` (None: all are) are laid in pieces of 4 mm in place of 2.5 mm. ``around`` moves points out
        of the way of what lies outside the lobe: branches bend through where it takes their middles.
        """
        tip, heading, root = self.end[line]
        radius = np.minimum(radius, root)
        first = parent < 0
        start = np.where(first[:, None], tip, end[parent])
        chord = end - start
        length = np.maximum(np.linalg.norm(chord, axis=1), 1e-6)
        unit = chord / length[:, None]
        heir = _heirs(parent, radius)
        arrive = unit + np.where(heir[:, None] < 0, 0.0, unit[heir])
        arrive /= np.maximum(np.linalg.norm(arrive, axis=1, keepdims=True), 1e-6)
        course = np.where(first[:, None], heading, arrive[parent])
        is_heir = np.where(first, False, heir[parent] == np.arange(len(parent)))
        leave = np.where(is_heir[:, None], course, 0.5 * course + 0.5 * unit)
        leave /= np.maximum(np.linalg.norm(leave, axis=1, keepdims=True), 1e-6)
        bend = SAG * rng.standard_normal(unit.shape)
        bend = (bend - (bend * unit).sum(1, keepdims=True) * unit) * length[:, None]
        if around is not None:
            middle = 0.5 * (start + end)
            detour = around(middle) - middle
            bend = np.where(np.any(detour != 0, axis=1, keepdims=True), detour, bend)
        pieces = np.clip(np.ceil(length / (2.5 if fine is None else np.where(fine, 2.5, 4.0))), 1, 6).astype(int)
        row = np.concatenate([[0], np.cumsum(pieces)[:-1]])
        generation = np.empty(len(parent), int)
        _generations(parent, generation, self.depth[line] + 1)
        b = np.repeat(np.arange(len(pieces)), pieces)
        k = np.arange(len(b)) - np.repeat(row, pieces)

        def at(t: NDArray) -> NDArray:
            t = t[:, None]
            scale = length[b, None] * 0.7
            return np.asarray(
                (2 * t * t * t - 3 * t * t + 1) * start[b] + (t * t * t - 2 * t * t + t) * scale * leave[b]
                + (3 * t * t - 2 * t * t * t) * end[b] + (t * t * t - t * t) * scale * arrive[b]
                + 16 * t * t * (1 - t) * (1 - t) * bend[b]
            )  # fmt: skip

        t0, t1 = k / pieces[b], (k + 1) / pieces[b]
        before = np.where(first, -1, (row + pieces - 1)[parent])
        parents = np.where(k == 0, before[b], np.arange(len(b)) - 1)
        return (
            *(at(t0), at(t1), radius[b] * (1 - 0.05 * t0), radius[b] * (1 - 0.05 * t1), parents, generation[b]),
            *(np.full(len(b), lobe), segment[b], kind[b]),
        )

    def tree(self) -> Tree:
        """The rows as a :class:`twins.Tree`."""
        return Tree(*(np.concatenate(c) for c in zip(*self.columns, strict=True)))


@njit(cache=True)
def _heirs(parent: Array, radius: Array) -> Array:
    """The widest daughter of each branch, -1 where it has none."""
    out = np.full(parent.size, -1)
    for b in range(parent.size):
        p = parent[b]
        if p >= 0 and (out[p] < 0 or radius[b] > radius[out[p]]):
            out[p] = b
    return out


@njit(cache=True)
def _generations(parent: Array, out: Array, first: Any) -> None:
    for b in range(parent.size):
        out[b] = first if parent[b] < 0 else out[parent[b]] + 1


__all__ = ["Lines", "Rows"]
