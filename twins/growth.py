"""Volume-filling growth of branching trees, after Tawhai et al. 2000/2004 (own formulation).

Seeds fill a lobe. Each branch splits its seeds by a plane near their centre of mass, between its own direction and the
longest way of the cloud, leaning forward: the far part, the larger, goes on as the trunk, so that wide branches reach
the periphery and leave side branches on their way (monopodial, as in lungs). Each daughter goes 0.4 of the way to the
centre of mass of her part, bent from her mother by 60 degrees at most, halved where it would leave the lobe. A branch
ends when its seeds are fewer than two or it is shorter than 1.2 mm. The seeds are partitioned in place: O(N log N).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

FRACTION = 0.4
ANGLE_LIMIT_DEG = 60.0
SHORTEST_MM = 1.2
KEEP_COURSE = 0.55
"""How much of the mother's heading the larger daughter keeps. Design default."""

ONWARD = 0.75
"""How much the cut leans forward: the far side keeps the trunk, the near side is a side branch. Design default."""

FAR_SHIFT = 0.42
"""Standard deviations of the cloud by which the cut lies nearer than its centre (the trunk has 2/3). Design default."""


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """Branches in order of birth: ends, mother (-1: the given root), seeds supplied, generation below the root."""

    end_mm: NDArray[np.float64]
    parent: NDArray[np.int64]
    supply: NDArray[np.float64]
    generation: NDArray[np.int64]


def fill(
    seeds_mm: NDArray[np.float64],
    tip_mm: NDArray[np.float64],
    heading: NDArray[np.float64],
    inside: NDArray[np.bool_],
    corner_mm: NDArray[np.float64],
    step_mm: float,
    rng: np.random.Generator,
) -> Branches:
    """Grow a tree from ``tip_mm`` through the seeds ``(n, 3)``; ``inside`` (z, y, x) is where it may go."""
    n = len(seeds_mm)
    spread = np.exp(0.15 * rng.standard_normal(4 * n + 8))
    lean = rng.uniform(0.3, 1.7, 4 * n + 8)
    end, parent, supply, generation = _fill(
        np.ascontiguousarray(seeds_mm), tip_mm, heading, inside, corner_mm, step_mm, spread, lean, 4 * n + 8
    )
    return Branches(end, parent, supply, generation)


@njit(cache=True)
def _allowed(inside: Array, corner: Array, step: Any, p: Array) -> Any:
    k = math.floor((p[2] - corner[2]) / step + 0.5)
    j = math.floor((p[1] - corner[1]) / step + 0.5)
    i = math.floor((p[0] - corner[0]) / step + 0.5)
    if k < 0 or j < 0 or i < 0 or k >= inside.shape[0] or j >= inside.shape[1] or i >= inside.shape[2]:
        return False
    return inside[k, j, i]


@njit(cache=True)
def _mean(seeds: Array, order: Array, low: Any, high: Any, out: Array) -> None:
    for c in range(3):
        total = 0.0
        for s in range(low, high):
            total += seeds[order[s], c]
        out[c] = total / max(high - low, 1)


# loops over three numbers: array expressions take Numba four times as long to compile
@njit(cache=True)
def _length(v: Array) -> Any:
    return math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


@njit(cache=True)
def _dot(a: Array, b: Array) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def _normalise(v: Array) -> None:
    length = _length(v)
    for c in range(3):
        v[c] /= length


@njit(cache=True)
def _fill(
    seeds: Array,
    tip: Array,
    heading: Array,
    inside: Array,
    corner: Array,
    step: Any,
    spread: Array,
    lean: Array,
    limit: Any,
) -> tuple[Array, Array, Array, Array]:
    n = seeds.shape[0]
    order = np.arange(n)
    end = np.empty((limit, 3))
    aim = np.empty((limit, 3))
    parent = np.empty(limit, np.int64)
    supply = np.empty(limit)
    generation = np.empty(limit, np.int64)
    count = 0
    stack_branch = np.empty(limit, np.int64)
    stack_low = np.empty(limit, np.int64)
    stack_high = np.empty(limit, np.int64)
    stack_branch[0], stack_low[0], stack_high[0] = -1, 0, n
    top = 1
    centre, normal, v, part, here, way = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    w, u, side, target = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    cosine, sine = math.cos(math.radians(ANGLE_LIMIT_DEG)), math.sin(math.radians(ANGLE_LIMIT_DEG))
    cov = np.empty((3, 3))
    while top > 0:
        top -= 1
        b, low, high = stack_branch[top], stack_low[top], stack_high[top]
        for c in range(3):
            here[c] = tip[c] if b < 0 else end[b, c]
            way[c] = heading[c] if b < 0 else aim[b, c]
        _mean(seeds, order, low, high, centre)
        for c in range(3):
            w[c] = centre[c] - here[c]
        normal[0] = way[1] * w[2] - way[2] * w[1]
        normal[1] = way[2] * w[0] - way[0] * w[2]
        normal[2] = way[0] * w[1] - way[1] * w[0]
        if _length(normal) < 1e-6:
            normal[0], normal[1], normal[2] = way[1], -way[0], 1e-3
        _normalise(normal)
        for r in range(3):
            v[r] = normal[r]
            for c in range(3):
                cov[r, c] = 0.0
        for s in range(low, high):
            for r in range(3):
                for c in range(3):
                    cov[r, c] += (seeds[order[s], r] - centre[r]) * (seeds[order[s], c] - centre[c])
        for _ in range(6):
            x = cov[0, 0] * v[0] + cov[0, 1] * v[1] + cov[0, 2] * v[2]
            y = cov[1, 0] * v[0] + cov[1, 1] * v[1] + cov[1, 2] * v[2]
            z = cov[2, 0] * v[0] + cov[2, 1] * v[1] + cov[2, 2] * v[2]
            length = math.sqrt(x * x + y * y + z * z)
            if length < 1e-9:
                break
            v[0], v[1], v[2] = x / length, y / length, z / length
        sign = -1.0 if _dot(v, normal) < 0.0 else 1.0
        for c in range(3):
            normal[c] += sign * v[c]
        _normalise(normal)
        # monopodial: lean the cut so that what lies farther ahead stays together, with the larger part
        ahead = _length(w)
        shift = 0.0
        if ahead > 1e-6 and high - low > 6:
            for c in range(3):
                normal[c] += ONWARD * w[c] / ahead
            _normalise(normal)
            variance = 0.0
            for r in range(3):
                for c in range(3):
                    variance += normal[r] * cov[r, c] * normal[c]
            shift = -FAR_SHIFT * lean[count] * math.sqrt(max(variance, 0.0) / (high - low))
        # partition in place
        i, j = low, high - 1
        while i <= j:
            d = 0.0
            for c in range(3):
                d += (seeds[order[i], c] - centre[c]) * normal[c]
            if d < shift:
                i += 1
            else:
                order[i], order[j] = order[j], order[i]
                j -= 1
        if i in (low, high):
            continue
        for half in range(2):
            a, e = (low, i) if half == 0 else (i, high)
            _mean(seeds, order, a, e, part)
            for c in range(3):
                u[c] = part[c] - here[c]
            reach = _length(u)
            if reach < 1e-6 or count >= limit:
                continue
            _normalise(u)
            if 2 * (e - a) >= high - low:  # the larger daughter keeps more of the mother's course
                for c in range(3):
                    u[c] += KEEP_COURSE * way[c]
                _normalise(u)
            cos_angle = _dot(u, way)
            if cos_angle < cosine:
                for c in range(3):
                    side[c] = u[c] - cos_angle * way[c]
                length = _length(side)
                if length > 1e-6:
                    for c in range(3):
                        u[c] = cosine * way[c] + sine * side[c] / length
            length = FRACTION * reach * spread[count]
            if e - a == 1:
                length = min(0.8 * reach, 6.0)
            ok = False
            free = not _allowed(inside, corner, step, here)  # on its way from the hilum into the lobe
            for _ in range(4):
                for c in range(3):
                    target[c] = here[c] + u[c] * length
                if free or _allowed(inside, corner, step, target):
                    ok = True
                    break
                length *= 0.5
            if not ok and b >= 0:
                continue
            for c in range(3):
                end[count, c] = target[c]
                aim[count, c] = u[c]
            parent[count] = b
            supply[count] = e - a
            generation[count] = 1 if b < 0 else generation[b] + 1
            if e - a >= 2 and length > SHORTEST_MM and count < limit - 4:
                stack_branch[top], stack_low[top], stack_high[top] = count, a, e
                top += 1
            count += 1
    return end[:count].copy(), parent[:count].copy(), supply[:count].copy(), generation[:count].copy()
