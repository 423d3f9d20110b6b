"""Branches of a tree: rows between two forks joined, with length, diameter, angle, order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..trees import Tree

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """One row per branch; a mother stands before her daughters.

    ``length_mm`` along the branch, ``chord_mm`` from end to end, ``diameter_mm`` mean along it, ``start_mm`` and
    ``end_mm`` (n, 3), ``mother`` -1 for a root, ``generation``, ``lobe``; ``row`` the branch of each row of the
    tree.
    """

    start_mm: Floats
    end_mm: Floats
    length_mm: Floats
    chord_mm: Floats
    diameter_mm: Floats
    mother: NDArray[np.int64]
    generation: NDArray[np.int64]
    lobe: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mother)

    def angles_deg(self) -> Floats:
        """Angle of each branch to its mother, chord to chord; not a number for roots and for branches of no length."""
        chord = self.end_mm - self.start_mm
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = chord / np.linalg.norm(chord, axis=1, keepdims=True)
        cosine = np.einsum("ij,ij->i", unit, unit[self.mother])
        return np.where(self.mother < 0, np.nan, np.degrees(np.arccos(np.clip(cosine, -1, 1))))

    def orders(self) -> NDArray[np.int64]:
        """Strahler order: 1 at the tips, one more than the daughters' where two of them have the highest."""
        order = np.ones(len(self), np.int64)
        highest, number = np.zeros(len(self), np.int64), np.zeros(len(self), np.int64)
        for b in range(len(self) - 1, -1, -1):
            if highest[b]:
                order[b] = highest[b] + (number[b] > 1)
            m = self.mother[b]
            if m >= 0:
                if order[b] > highest[m]:
                    highest[m], number[m] = order[b], 1
                elif order[b] == highest[m]:
                    number[m] += 1
        return order

    def horton(self) -> tuple[float, float]:
        """Branching ratio and diameter ratio by Strahler order: slopes of logarithms over all but the highest order.

        A chain of branches of one order counts once. Not a number below four orders.
        """
        order = self.orders()
        top = (self.mother < 0) | (order[self.mother] != order)
        levels = np.arange(1, order.max())
        if len(levels) < 3:
            return float("nan"), float("nan")
        number = [np.count_nonzero(top & (order == level)) for level in levels]
        wide = [np.average(self.diameter_mm[order == level]) for level in levels]
        rb, rd = (np.polyfit(levels, np.log(values), 1)[0] for values in (number, wide))
        return float(np.exp(-rb)), float(np.exp(rd))


def branches_of(tree: Tree) -> Branches:
    """Join the rows of a tree to branches: a branch ends where another row starts or where there is none."""
    n = len(tree)
    parent = tree.parent.astype(np.int64)
    daughters = np.bincount(parent[parent >= 0], minlength=n)
    starts = (parent < 0) | (daughters[parent] != 1)
    row = np.cumsum(starts) - 1
    mothers = parent.tolist()
    numbers = row.tolist()
    for r in np.flatnonzero(~starts).tolist():  # rows of one branch need not be neighbours
        numbers[r] = numbers[mothers[r]]
    row = np.asarray(numbers, np.int64)
    first = np.flatnonzero(starts)
    last = np.zeros(len(first), np.int64)
    last[row] = np.arange(n)
    length = np.linalg.norm(tree.end_mm - tree.start_mm, axis=1).astype(float)
    total = np.bincount(row, length, minlength=len(first))
    width = np.asarray(tree.start_radius_mm, float) + np.asarray(tree.end_radius_mm, float)
    mean = np.bincount(row, width * np.maximum(length, 1e-9), minlength=len(first)) / np.maximum(total, 1e-9)
    start, end = tree.start_mm[first].astype(float), tree.end_mm[last].astype(float)
    return Branches(
        start,
        end,
        np.asarray(total, float),
        np.linalg.norm(end - start, axis=1),
        mean,
        np.where(parent[first] < 0, -1, row[parent[first]]),
        tree.generation[first].astype(np.int64),
        tree.lobe[first].astype(np.int64),
        row,
    )


def volume_mm3(tree: Tree) -> Floats:
    """Volume of each row, a cone cut off [mm3]."""
    a, b = tree.start_radius_mm.astype(float), tree.end_radius_mm.astype(float)
    length = np.linalg.norm(tree.end_mm - tree.start_mm, axis=1)
    return np.asarray(np.pi / 3 * (a * a + a * b + b * b) * length, float)


def box_dimension(tree: Tree, shown: NDArray[np.bool_]) -> float:
    """Box-counting dimension of the axes of the rows shown, boxes of 4, 8, 16 and 32 mm."""
    start, end = tree.start_mm[shown].astype(float), tree.end_mm[shown].astype(float)
    steps = np.maximum(1, np.ceil(np.linalg.norm(end - start, axis=1)).astype(int))
    row = np.repeat(np.arange(len(start)), steps)
    t = (np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps) + 0.5) / steps[row]
    points = start[row] + t[:, None] * (end - start)[row]
    points -= points.min(0)
    sizes = np.array([4.0, 8.0, 16.0, 32.0])
    number = []
    for size in sizes:
        index = (points // size).astype(np.int64)
        number.append(len(np.unique((index[:, 0] * 4096 + index[:, 1]) * 4096 + index[:, 2])))
    return float(-np.polyfit(np.log(sizes), np.log(number), 1)[0])
