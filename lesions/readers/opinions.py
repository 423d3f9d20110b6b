"""What readers think: whether they mark a nodule, and how they rate it on the scales of LIDC-IDRI.

Figures derived from the LIDC-IDRI annotations (The Cancer Imaging Archive, CC BY 3.0): Armato et al., Med. Phys. 38
(2011) 915, doi 10.1118/1.3528204.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from ..cohorts.copula import RATINGS, load_copula

DETECTION = {"constant": 0.305, "ln_diameter": 4.228, "sd": 2.685}
"""Logit of marking a nodule: constant + slope ln(d / 8 mm) + a nodule's own conspicuity N(0, sd), one for all readers.

Maximum likelihood on how many of four readers (1-4, never 0) marked each of 2653 LIDC-IDRI nodules: 753, 514, 507, 879
expected, 773, 489, 481, 910 counted."""

AGREEMENT = {
    "subtlety": 0.532,
    "sphericity": 0.308,
    "margin": 0.470,
    "lobulation": 0.281,
    "spiculation": 0.345,
    "texture": 0.701,
    "malignancy": 0.585,
}
"""Latent correlation of two readers' ratings of one nodule, from how often they agreed exactly (7308 pairs)."""


def detection_probability(equivalent_diameter_mm: float, conspicuity: float = 0.0) -> float:
    """Probability that one reader marks a nodule; ``conspicuity`` is in standard deviations of its size's nodules."""
    logit = DETECTION["constant"] + DETECTION["ln_diameter"] * np.log(equivalent_diameter_mm / 8)
    return float(expit(logit + DETECTION["sd"] * conspicuity))


def rate(
    truth: Mapping[str, float], rng: np.random.Generator, n_readers: int, *, equivalent_diameter_mm: float
) -> dict[str, NDArray[np.float64]]:
    """Ratings of one nodule by several readers, ``(n_readers,)`` each [1-5].

    A rating that is known of the nodule stands for a latent value within its class; the others are drawn given these
    and the size. Each reader sees the latent values with an error that is as correlated across ratings as ratings are
    across nodules, so that a reader's ratings of many nodules are distributed like the readings of LIDC-IDRI.

    Parameters
    ----------
    truth
        Ratings of the nodule, of those in :data:`AGREEMENT`; halves are allowed.
    rng
        Where chance comes from.
    n_readers
        How many.
    equivalent_diameter_mm
        Size of the nodule [mm].

    Raises
    ------
    ValueError
        If a rating is not known or outside 1-5.
    """
    copula = load_copula("readings")
    for name, value in truth.items():
        if name not in RATINGS or not 1 <= value <= 5:
            raise ValueError(f"rating {name!r} must be one of {', '.join(RATINGS)}, within 1-5; got {value}")
    names = copula.variables
    R = np.array(copula.correlation)
    z = np.full(len(names), np.nan)
    z[names.index("ln_diameter")] = copula.latent_size(np.array([equivalent_diameter_mm]))[0]
    uniform, normal = rng.random(len(names)), rng.standard_normal(len(names))
    for name, value in truth.items():
        edges = np.array([-np.inf, *copula.thresholds[name], np.inf])
        # the class of 3.5 is what lies between the middles of 3 and 4
        position = np.interp([value - 0.5, value + 0.5], np.arange(6) + 0.5, ndtr(edges))
        z[names.index(name)] = ndtri(position[0] + (position[1] - position[0]) * uniform[names.index(name)])
    for k in np.flatnonzero(np.isnan(z)):
        known = np.flatnonzero(~np.isnan(z))
        beta = np.linalg.solve(R[np.ix_(known, known)], R[known, k])
        z[k] = z[known] @ beta + np.sqrt(1 - R[k, known] @ beta) * normal[k]
    index = [names.index(name) for name in RATINGS]
    seen = np.sqrt([AGREEMENT[name] for name in RATINGS])
    errors = rng.standard_normal((n_readers, len(RATINGS))) @ np.linalg.cholesky(R[np.ix_(index, index)]).T
    latent = seen * z[index] + np.sqrt(1 - seen**2) * errors
    return {name: copula.rating(name, latent[:, k]) for k, name in enumerate(RATINGS)}
