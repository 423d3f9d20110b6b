"""Spicules: thin tapered lines that run from a nodule's surface into the lung, each from a tent-like foot; some fork.

They stand on the surface at a density that the rating sets, so that an axial slice meets as many per millimetre of
contour in a small nodule as in a large one. Widths are spread from fine strands to coarse spikes, and forks run on: a
corona, not a crown of pins. Fine spicules are under 2 mm wide, coarse ones wider (Zwirewich et al., Radiology 179
(1991) 469, cited from a secondary source, unverified). Count, length and taper are design defaults, not published
facts; they are set such that outlined spiculated nodules are as solid and round as LIDC-IDRI's (slow test
``test_lidc_shapes``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .attributes import MOST_SPICULES, mean_spicules
from .nodule import Nodule

if TYPE_CHECKING:
    from .shape import Body

NO_SPICULES = np.zeros((0, 8))

ROOT_RADIUS_MM, ROOT_SIGMA = 0.55, 0.4
"""Lognormal median [mm] and sigma, cut at the two below (design default)."""

FINEST_MM, COARSEST_MM = 0.25, 1.2

LENGTH_MEDIAN, LENGTH_SIGMA = 0.9, 0.5
"""Length: lognormal with this median in body radii and this sigma, cut as the next line says (design default,
unverified)."""

LONGEST, LONGEST_MM = 2.2, 14.0
"""In body radii, and in millimetres."""

FOOT = 2.0
"""Radius of a spicule where it leaves the body, in its root radii (design default)."""

FORKS = 0.4
"""Probability that a spicule forks, at a third or two thirds of its length (design default)."""

N_STRANDS = (4, 9)
"""Number of a scar's strands, from and below (design default)."""

TIP = 0.45
"""Radius of the end in that of the root (design default)."""

BEND_SD_DEG = 8.0
FORK_SD_DEG = 25.0
TILT_SD_DEG = 18.0
"""SD of the bend between segments, at forks, and of the tilt at the root (design defaults)."""

N_CANDIDATES = 6
"""Places tried per spicule; the one farthest from those before is kept (best-candidate blue noise)."""

OVERSAMPLED = 4
"""Directions drawn per place, of which those are kept that the surface's area favours."""


def draw_spicules(nodule: Nodule, body: Body) -> tuple[NDArray[np.float64], int]:
    """Segments ``(n, 8)`` (start, end, start radius, end radius; about the centroid, mm) and the number of spicules."""
    rng = nodule.stream("spicules")
    count = nodule.n_spicules
    if count is None:
        # those that it had when its form was drawn: growth adds none
        drawn_mm = nodule.target_diameter_mm * 2 ** (-nodule.doublings / 3)
        mean = mean_spicules(nodule.attributes.spiculation, drawn_mm)
        count = min(MOST_SPICULES, max(1, int(rng.poisson(mean))))
    return _drawn(rng, count, nodule, body, (1.0, 1.0, 1.0)), count


def draw_strands(nodule: Nodule, body: Body, axes: tuple[float, float, float]) -> NDArray[np.float64]:
    """Segments of the strands in which a scar ends: spicules that leave it along its longer ``axes``."""
    rng = nodule.stream("spicules")
    return _drawn(rng, int(rng.integers(*N_STRANDS)), nodule, body, axes)


def _drawn(
    rng: np.random.Generator, count: int, nodule: Nodule, body: Body, axes: tuple[float, float, float]
) -> NDArray[np.float64]:
    radius = 0.5 * nodule.target_diameter_mm
    places, directions = _candidates(rng, count * N_CANDIDATES, body, axes)
    rows: list[NDArray[np.float64]] = []
    nearest = np.full(len(places), np.inf)
    for few in np.arange(count * N_CANDIDATES).reshape(count, N_CANDIDATES):
        pick = few[np.argmax(nearest[few])]
        later = places[few[-1] + 1 :] - places[pick]
        np.minimum(nearest[few[-1] + 1 :], np.einsum("nk,nk->n", later, later), out=nearest[few[-1] + 1 :])
        u = directions[pick]
        length = min(LONGEST, LENGTH_MEDIAN * math.exp(LENGTH_SIGMA * rng.standard_normal())) * radius
        length = min(LONGEST_MM, length) + 0.15 * radius
        root = ROOT_RADIUS_MM * math.exp(ROOT_SIGMA * rng.standard_normal())
        root = min(max(root, FINEST_MM), COARSEST_MM, 0.25 * radius)
        n = int(rng.integers(3, 6))
        start = body.centre_mm + 0.85 * places[pick]
        fork = (n // 3, 2 * n // 3)[int(rng.integers(2))] if rng.random() < FORKS else n
        stem = _strand(start, _bent(u, TILT_SD_DEG, rng), n, length / n, root, TIP * root, rng)
        stem[0, 6] = max(root, min(FOOT * root, 0.35 * radius))
        rows.append(stem)
        if 0 < fork < n:
            aside = stem[fork, 3:6] - stem[fork, 0:3]
            aside = _bent(aside / math.sqrt(aside @ aside), FORK_SD_DEG, rng)
            rows.append(_strand(stem[fork, 0:3], aside, n - fork, length / n, stem[fork, 6], TIP * root, rng))
    return np.concatenate(rows) if rows else NO_SPICULES


def _strand(
    start: NDArray[np.float64],
    heading: NDArray[np.float64],
    n: int,
    step_mm: float,
    first_mm: float,
    last_mm: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """``n`` segments in a row that bend a little at every joint and narrow from one radius to the other."""
    radii = first_mm * (last_mm / first_mm) ** (np.arange(n + 1) / n)
    kicks = _kicks(BEND_SD_DEG, n, rng)
    points = np.empty((n + 1, 3))
    points[0] = start
    for i in range(n):
        points[i + 1] = points[i] + step_mm * heading
        heading = heading + kicks[i]
        heading = heading / math.sqrt(heading @ heading)
    return np.column_stack((points[:-1], points[1:], radii[:-1], radii[1:]))


def _candidates(
    rng: np.random.Generator, n: int, body: Body, axes: tuple[float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points ``(n, 3)`` of the surface about the star centre [mm], uniform by area, and the directions to them.

    ``axes`` below 1 draw them away from those of the body.
    """
    own = axes * rng.standard_normal((OVERSAMPLED * n, 3))
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    n_theta, n_phi = body.radius_mm.shape[0] - 1, body.radius_mm.shape[1] - 1
    i = np.rint(np.arccos(np.clip(own[:, 2], -1, 1)) / np.pi * n_theta).astype(int)
    j = np.rint((np.arctan2(own[:, 1], own[:, 0]) % (2 * np.pi)) / (2 * np.pi) * n_phi).astype(int)
    radius = body.radius_mm[i, j]
    # Surface per solid angle of a star-shaped body.
    area = np.cumsum(radius**2 / body.slope[i, j])
    chosen = np.searchsorted(area, area[-1] * rng.random(n))
    directions = np.einsum("nk,jk->nj", own[chosen], body.rotation)
    return radius[chosen, None] * directions, directions


def _bent(heading: NDArray[np.float64], sd_deg: float, rng: np.random.Generator) -> NDArray[np.float64]:
    bent = heading + _kicks(sd_deg, 1, rng)[0]
    return np.asarray(bent / math.sqrt(bent @ bent))


def _kicks(sd_deg: float, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """What is added to unit vectors to bend them, ``(n, 3)``."""
    return np.asarray(np.tan(np.deg2rad(np.clip(sd_deg * rng.standard_normal((n, 3)), -45, 45))))
