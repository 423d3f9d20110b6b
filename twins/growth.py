"""Branching trees that fill a lobe: who supplies what by bisection, where the forks lie by least cost.

Seeds fill a lobe, one per territory. Going down from the root, each branch's seeds are cut in two by a plane across the
longest way of their cloud as seen along the branch (volume-filling bisection after Tawhai et al. 2000, own
formulation), until one is left, which is where the tree ends. Where territories of known segments meet, the cut falls
between these. The cut lies off the middle by chance, as forks of lungs are uneven.

The forks then move to where they cost least: ``sum(w length)`` over the three branches of each fork is lowered step by
step (Weiszfeld's iteration), with w = supply^(2/3), the cross-section of a vessel after Murray's law. A thin branch
therefore leaves a wide one at a steep angle and hardly bends it, and even forks open by 37 degrees to either side
(Murray 1926).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

ONWARD = 1.3
"""How much longer ahead than across a cloud must be to be cut into near and far: squared ratio. Design default."""

UNEVENNESS = 0.75
"""SD of the place of the cut, in standard deviations of the cloud. Design default."""

SWEEPS = 24
"""Rounds of the forks towards least cost."""

COST_POWER = 2.0 / 3.0
"""Cost of a branch per length by its supply: Murray's law, radius^2 with radius^3 ~ supply."""


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """Branches, mothers first: end, mother (-1: the given root), seeds supplied, a seed of its own (any one)."""

    end_mm: NDArray[np.float64]
    parent: NDArray[np.int64]
    supply: NDArray[np.float64]
    seed: NDArray[np.int64]
    pure: NDArray[np.bool_]
    """Whether all its seeds have one label."""


def fill(
    seeds_mm: NDArray[np.float64],
    code: NDArray[np.int8],
    tip_mm: NDArray[np.float64],
    heading: NDArray[np.float64],
    inside: NDArray[np.bool_],
    corner_mm: NDArray[np.float64],
    step_mm: float,
    rng: np.random.Generator,
) -> Branches:
    """Grow a tree from ``tip_mm`` to every seed.

    Parameters
    ----------
    seeds_mm
        ``(n, 3)`` world points [mm].
    code
        ``(n, m)`` of 0 and 1: the first cuts part seeds by their first column where they differ in it, then by the
        second, and so on; m may be 0.
    tip_mm, heading
        End and direction of the root.
    inside
        ``(z, y, x)``: where forks may lie, on a lattice of pitch ``step_mm`` with its first cell at ``corner_mm``.
    rng
        Source of chance.
    """
    n = len(seeds_mm)
    uneven = np.clip(UNEVENNESS * rng.standard_normal(2 * n + 2), -1.2, 1.2)
    end, parent, supply, seed, pure = _divide(
        np.ascontiguousarray(seeds_mm), np.ascontiguousarray(code), tip_mm, heading, uneven
    )
    return settle(Branches(end, parent, supply, seed, pure), tip_mm, inside, corner_mm, step_mm)


def settle(
    branches: Branches,
    tip_mm: NDArray[np.float64],
    inside: NDArray[np.bool_],
    corner_mm: NDArray[np.float64],
    step_mm: float,
) -> Branches:
    """The same branches with forks where they cost least; the ends of the tree stay where they are."""
    end = branches.end_mm.copy()
    _settle(end, branches.parent, branches.supply, tip_mm, inside, corner_mm, step_mm, SWEEPS)
    return replace(branches, end_mm=end)


# loops over three numbers: array expressions take Numba four times as long to compile
@njit(cache=True, nogil=True)
def _divide(
    seeds: Array, code: Array, tip: Array, heading: Array, uneven: Array
) -> tuple[Array, Array, Array, Array, Array]:
    n = seeds.shape[0]
    limit = 2 * n
    order = np.arange(n)
    end, parent, supply = np.empty((limit, 3)), np.empty(limit, np.int64), np.empty(limit)
    seed, pure = np.empty(limit, np.int64), np.zeros(limit, np.bool_)
    branch, low_of = np.empty(limit, np.int64), np.empty(limit, np.int64)
    high_of, depth_of = np.empty(limit, np.int64), np.empty(limit, np.int64)
    centre, w, v, cov = np.empty(3), np.empty(3), np.empty(3), np.empty((3, 3))
    count, top = 0, 1
    branch[0], low_of[0], high_of[0], depth_of[0] = -1, 0, n, 0
    while top > 0:
        top -= 1
        b, low, high, depth = branch[top], low_of[top], high_of[top], depth_of[top]
        for c in range(3):
            total = 0.0
            for s in range(low, high):
                total += seeds[order[s], c]
            centre[c] = total / (high - low)
        length = 0.0
        for c in range(3):
            w[c] = centre[c] - (tip[c] if b < 0 else end[b, c])
            if b < 0:
                w[c] += 20.0 * heading[c]
            length += w[c] * w[c]
        length = max(math.sqrt(length), 1e-9)
        for c in range(3):
            w[c] /= length
        mixed = False
        while depth < code.shape[1]:
            ones = 0
            for s in range(low, high):
                ones += code[order[s], depth]
            if 0 < ones < high - low:
                mixed = True
                break
            depth += 1
        shift = 0.0
        if not mixed:
            for r in range(3):
                for c in range(3):
                    cov[r, c] = 0.0
            for s in range(low, high):
                along = 0.0
                for c in range(3):
                    v[c] = seeds[order[s], c] - centre[c]
                    along += v[c] * w[c]
                for c in range(3):
                    v[c] -= (1.0 - ONWARD) * along * w[c]
                for r in range(3):
                    for c in range(3):
                        cov[r, c] += v[r] * v[c]
            v[0], v[1], v[2] = 0.83 * w[1] + 0.31, 0.27 - 0.83 * w[0], 0.11 + w[2]
            variance = 0.0
            for _ in range(12):
                x = cov[0, 0] * v[0] + cov[0, 1] * v[1] + cov[0, 2] * v[2]
                y = cov[1, 0] * v[0] + cov[1, 1] * v[1] + cov[1, 2] * v[2]
                z = cov[2, 0] * v[0] + cov[2, 1] * v[1] + cov[2, 2] * v[2]
                variance = math.sqrt(x * x + y * y + z * z)
                if variance < 1e-9:
                    break
                v[0], v[1], v[2] = x / variance, y / variance, z / variance
            if high - low > 3:
                shift = uneven[count] * math.sqrt(variance / (high - low))
        cut = low
        for _ in range(2):  # a second time through the middle where all lay on one side
            i, j = low, high - 1
            while i <= j:
                if mixed:
                    first = code[order[i], depth] == 0
                else:
                    d = -shift
                    for c in range(3):
                        d += (seeds[order[i], c] - centre[c]) * v[c]
                    first = d < 0.0
                if first:
                    i += 1
                else:
                    order[i], order[j] = order[j], order[i]
                    j -= 1
            cut = i
            if low < cut < high:
                break
            shift = 0.0
        if cut in (low, high):
            cut = (low + high) // 2
        for half in range(2):
            a, e = (low, cut) if half == 0 else (cut, high)
            for c in range(3):
                total = 0.0
                for s in range(a, e):
                    total += seeds[order[s], c]
                here = tip[c] if b < 0 else end[b, c]
                end[count, c] = total if e - a == 1 else here + 0.4 * (total / (e - a) - here)
            parent[count], supply[count], seed[count] = b, e - a, order[a]
            same = True
            for m in range(depth, code.shape[1]):
                for s in range(a + 1, e):
                    if code[order[s], m] != code[order[a], m]:
                        same = False
            pure[count] = same
            if e - a > 1:
                branch[top], low_of[top], high_of[top], depth_of[top] = count, a, e, depth
                top += 1
            count += 1
    return end[:count].copy(), parent[:count].copy(), supply[:count].copy(), seed[:count].copy(), pure[:count].copy()


@njit(cache=True, nogil=True)
def _settle(
    end: Array, parent: Array, supply: Array, tip: Array, inside: Array, corner: Array, step: Any, sweeps: Any
) -> None:
    """Move forks towards least cost; ends of the tree stay. Steps that leave ``inside`` are not made."""
    n = parent.size
    child = np.full((n, 2), -1)
    for b in range(n):
        if parent[b] >= 0:
            child[parent[b], 0 if child[parent[b], 0] < 0 else 1] = b
    weight = supply**COST_POWER
    new = np.empty(3)
    for _ in range(sweeps):
        for b in range(n):
            if child[b, 1] < 0:
                continue
            total = 0.0
            for c in range(3):
                new[c] = 0.0
            for side in range(3):
                other = parent[b] if side == 0 else child[b, side - 1]
                d2 = 1.0  # softened by 1 mm: no two forks fall together
                for c in range(3):
                    there = tip[c] if other < 0 else end[other, c]
                    d2 += (there - end[b, c]) ** 2
                pull = weight[b if side == 0 else other] / math.sqrt(d2)
                for c in range(3):
                    new[c] += pull * (tip[c] if other < 0 else end[other, c])
                total += pull
            for c in range(3):
                new[c] /= total
            if _holds(inside, corner, step, new) or not _holds(inside, corner, step, end[b]):
                for c in range(3):
                    end[b, c] = new[c]


@njit(cache=True)
def _holds(inside: Array, corner: Array, step: Any, p: Array) -> Any:
    k = math.floor((p[2] - corner[2]) / step + 0.5)
    j = math.floor((p[1] - corner[1]) / step + 0.5)
    i = math.floor((p[0] - corner[0]) / step + 0.5)
    if k < 0 or j < 0 or i < 0 or k >= inside.shape[0] or j >= inside.shape[1] or i >= inside.shape[2]:
        return False
    return inside[k, j, i]
