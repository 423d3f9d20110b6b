"""Gaussian random fields on any lattice: sums of Gaussian kernels on nodes fixed to a nodule, not to the voxels.

``g(x) = sum_n w_n exp(-|x - x_n|^2 / (2 sigma^2))`` with normal ``w_n`` and node step sigma has variance 1 everywhere
and correlation ``exp(-r^2 / (4 sigma^2))``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .separable import apply_along

REACH = 5.0
"""Kernels are cut at this many sigma, where they are 4e-6 of their height."""

MOST_NODES = 48
"""Along an axis; beyond so many sigma, ten times as far as it is correlated, the field repeats itself (design
default)."""


def gaussian_field(rng: np.random.Generator, grid: Grid, *, sigma_mm: float, reach_mm: float) -> NDArray[np.floating]:
    """Field ``(z, y, x)`` of unit variance on an axis-aligned lattice about the origin.

    Parameters
    ----------
    rng
        Where the weights come from.
    grid
        Where it is wanted.
    sigma_mm
        Of the kernels [mm].
    reach_mm
        Half the side of the cube around the origin in which it is needed [mm]; a fixed cube of nodes, whatever the
        lattice, so that the k-th node of an axis lies at (k - n) sigma.
    """
    n = math.ceil(reach_mm / sigma_mm) + 4
    n_nodes = min(2 * n + 1, MOST_NODES)
    white = rng.standard_normal((n_nodes,) * 3, dtype=np.float32)
    nodes = sigma_mm * np.arange(-n, n + 1)
    # Variance of the sum at any point: (sum_n exp(-(x - x_n)^2 / sigma^2))^3 = (sqrt(pi) sigma / step)^3, ripple 2
    # exp(-pi^2).
    norm = math.pi**0.25
    field: NDArray[np.floating] = white
    # The last axis first: so most is summed along rows that lie together, and the result as well.
    for axis, positions in reversed(list(enumerate(grid.axes_mm()))):
        offset = (positions[:, None] - nodes) / sigma_mm
        kernel = np.where(np.abs(offset) < REACH, np.exp(-0.5 * offset**2), 0) / norm
        rounds = np.pad(kernel, ((0, 0), (0, -len(nodes) % n_nodes))).reshape(len(kernel), -1, n_nodes)
        kernel = rounds.sum(axis=1)
        field = apply_along(kernel, field, axis)
    return field
