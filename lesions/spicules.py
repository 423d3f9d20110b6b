"""Spicules: thin tapered lines that run from a nodule's surface into the lung, each from a tent-like foot; some fork.

Count, length and taper are design defaults to be tuned, not published facts; fine spicules are under 2 mm wide
(Zwirewich et al., Radiology 179 (1991) 469, cited from a secondary source, unverified).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .attributes import MEAN_SPICULES
from .nodule import Nodule

if TYPE_CHECKING:
    from .shape import Body

NO_SPICULES = np.zeros((0, 8))

ROOT_RADIUS_MM = (0.45, 0.95)
"""Uniform [mm]; fine spicules are under 2 mm wide (design default)."""

LENGTH_MEDIAN, LENGTH_SIGMA = 0.75, 0.5
"""Length: lognormal with this median in body radii and this sigma, cut at 1.8 radii and at 12 mm (design default,
unverified)."""

LONGEST_MM = 12.0

FOOT = 1.5
"""Radius of a spicule where it leaves the body, in its root radii (design default)."""

FORKS = 0.28
"""Probability that a spicule forks halfway (design default: that of the public VICTRE breast mass model)."""

N_STRANDS = (4, 9)
"""Number of a scar's strands, from and below (design default)."""

TAPER = 0.86
BEND_SD_DEG = 6.6
FORK_SD_DEG = 25.0
TILT_SD_DEG = 15.0
"""Radius factor per segment; SD of the bend between segments, at forks, and of the tilt at the root (design
defaults)."""

N_CANDIDATES = 8
"""Directions tried per spicule; the one farthest from those before is kept (best-candidate blue noise)."""


def draw_spicules(nodule: Nodule, body: Body) -> tuple[NDArray[np.float64], int]:
    """Segments ``(n, 8)`` (start, end, start radius, end radius; about the centroid, mm) and the number of spicules."""
    rng = nodule.stream("spicules")
    count = nodule.n_spicules
    if count is None:
        count = max(1, int(rng.poisson(np.interp(nodule.attributes.spiculation, (3, 4, 5), MEAN_SPICULES))))
    return _drawn(rng, count, nodule, body, (1.0, 1.0, 1.0)), count


def draw_strands(nodule: Nodule, body: Body, axes: tuple[float, float, float]) -> NDArray[np.float64]:
    """Segments of the strands in which a scar ends: spicules that leave it along its longer ``axes``."""
    rng = nodule.stream("spicules")
    return _drawn(rng, int(rng.integers(*N_STRANDS)), nodule, body, axes)


def _drawn(
    rng: np.random.Generator, count: int, nodule: Nodule, body: Body, axes: tuple[float, float, float]
) -> NDArray[np.float64]:
    radius = 0.5 * nodule.target_diameter_mm
    chosen: list[NDArray[np.float64]] = []
    rows: list[NDArray[np.float64]] = []
    for _ in range(count):
        candidates = np.einsum("nk,jk->nj", axes * rng.standard_normal((N_CANDIDATES, 3)), body.rotation)
        candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
        nearest = (candidates @ np.array(chosen).T).max(axis=1) if chosen else np.zeros(N_CANDIDATES)
        u = candidates[np.argmin(nearest)]
        chosen.append(u)
        length = min(1.8, LENGTH_MEDIAN * np.exp(LENGTH_SIGMA * rng.standard_normal())) * radius
        length = min(LONGEST_MM, length)
        width = min(rng.uniform(*ROOT_RADIUS_MM), 0.25 * radius)
        n_segments = int(rng.integers(3, 6))
        start = body.centre_mm + 0.85 * _radius_along(body, u) * u
        heading = _bent(u, TILT_SD_DEG, rng)
        step = (length + 0.15 * radius) / n_segments
        fork = n_segments // 2 if rng.random() < FORKS else n_segments
        for i in range(n_segments):
            end = start + step * heading
            foot = min(FOOT * width, 0.35 * radius) if i == 0 else width
            rows.append(np.concatenate((start, end, [foot, width * TAPER])))
            if i == fork:
                aside = end + step * _bent(heading, FORK_SD_DEG, rng)
                rows.append(np.concatenate((start, aside, [width, width * TAPER])))
            start, width, heading = end, width * TAPER, _bent(heading, BEND_SD_DEG, rng)
    return np.array(rows) if rows else NO_SPICULES


def _radius_along(body: Body, u: NDArray[np.float64]) -> float:
    x, y, z = u @ body.rotation
    n_theta, n_phi = body.radius_mm.shape[0] - 1, body.radius_mm.shape[1] - 1
    i = round(float(np.arccos(np.clip(z, -1, 1)) / np.pi * n_theta))
    j = round(float((np.arctan2(y, x) % (2 * np.pi)) / (2 * np.pi) * n_phi))
    return float(body.radius_mm[i, j])


def _bent(heading: NDArray[np.float64], sd_deg: float, rng: np.random.Generator) -> NDArray[np.float64]:
    bent = heading + np.tan(np.deg2rad(np.clip(sd_deg * rng.standard_normal(3), -45, 45)))
    return bent / np.linalg.norm(bent)
