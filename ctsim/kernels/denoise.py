"""One step of edge-preserving smoothing (see :mod:`ctsim.recon.iterative`).

Half-quadratic (iteratively reweighted) Jacobi step for the 10 neighbours j of voxel i, 8 in the plane and 2 along z:

    x_i <- (y_i + b sum_j a_ij x_j) / (1 + b sum_j a_ij),
    a_ij = w_j (sigma_i / sigma_j) / sqrt(1 + ((x_i - x_j) / c_ij)^2),    c_ij = 2 k / (1 / sigma_i + 1 / sigma_j)

Beyond the borders a voxel is its own neighbour. A voxel with 1 / sigma = 0 is left alone and counts for none.

Float policy: float32, ``contract`` only; each thread owns its voxels, sums in one order.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable


@register_jitable
def _pull(here, there, inverse_here, inverse_there, weight, edge, above, below):
    """Add a line of neighbours to the sums ``above`` and ``below`` the fraction line."""
    one, half = np.float32(1.0), np.float32(0.5)
    for z in range(len(here)):
        mean = half * (inverse_here[z] + inverse_there[z])
        step = (here[z] - there[z]) * mean * edge
        share = weight * inverse_there[z] / np.sqrt(one + step * step)
        above[z] += share * there[z]
        below[z] += share


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def smooth(noisy, current, inverse_sigma, weights, strength, edge, out):
    """Overwrite ``out`` with the next image.

    noisy          (Y, X, Z) float32  y
    current        (Y, X, Z) float32  x
    inverse_sigma  (Y, X, Z) float32  1 / sigma
    weights        (4,)      float32  w along x, along y, along the plane's diagonals, along z
    strength                 float32  b
    edge                     float32  1 / k
    out            (Y, X, Z) float32
    """
    n_y, n_x, n_z = noisy.shape
    for y in prange(n_y):
        above = np.empty(n_z, np.float32)
        below = np.empty(n_z, np.float32)
        for x in range(n_x):
            above[:] = np.float32(0.0)
            below[:] = np.float32(0.0)
            here, inverse = current[y, x], inverse_sigma[y, x]
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    if dy == 0 and dx == 0:
                        continue
                    j, i = min(max(y + dy, 0), n_y - 1), min(max(x + dx, 0), n_x - 1)
                    weight = weights[2] if dy != 0 and dx != 0 else weights[1] if dy != 0 else weights[0]
                    _pull(here, current[j, i], inverse, inverse_sigma[j, i], weight, edge, above, below)
            if n_z > 1:
                _pull(here[1:], here[:-1], inverse[1:], inverse[:-1], weights[3], edge, above[1:], below[1:])
                _pull(here[:-1], here[1:], inverse[:-1], inverse[1:], weights[3], edge, above[:-1], below[:-1])
            for z in range(n_z):
                if inverse[z] > np.float32(0.0):
                    pull = strength / inverse[z]
                    out[y, x, z] = (noisy[y, x, z] + pull * above[z]) / (np.float32(1.0) + pull * below[z])
                else:
                    out[y, x, z] = here[z]
