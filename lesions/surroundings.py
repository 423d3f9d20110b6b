"""What a twin holds around a nodule: matter on the fine lattice, and lobe."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from twins import LOBES, Grid, Material, Structure, Twin

from .separable import apply_along

AERATED = (*LOBES, Structure.RIGHT_LUNG, Structure.LEFT_LUNG)
VESSELS = (Structure.PULMONARY_ARTERY, Structure.PULMONARY_VEIN, Structure.LUNG_VESSEL)
AIRWAYS = (Structure.TRACHEA, Structure.BRONCHUS, Structure.AIRWAY_WALL)

NEAR_MM, HORIZON_MM = 10.0, 20.0
"""Distances to pleura and vessels are measured finely up to the first and coarsely up to the second; beyond, None."""

ON_FISSURE_MM = 1.0
"""Up to this distance from another lobe a body counts as lying on the fissure [mm] (design default); the gap is known
to about one voxel of the twin."""

LOBES_OF_A_LUNG = (
    (Structure.RIGHT_UPPER_LOBE, Structure.RIGHT_MIDDLE_LOBE, Structure.RIGHT_LOWER_LOBE),
    (Structure.LEFT_UPPER_LOBE, Structure.LEFT_LOWER_LOBE),
)
"""The lobes that share fissures."""


FADES_AT = 2.2
"""Radii at which a displacement has faded (design default)."""

FEW = 64
"""Up to so many points are sampled one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Displacement:
    """How a ball moves what surrounds it.

    Matter at distance r from its centre comes from ``(r^3 - kappa R^3)^(1/3)``, the flow of an incompressible medium
    around a ball that has grown by ``kappa`` of its volume; lung yields, so the shift fades to nothing at ``FADES_AT``
    radii. Negative kappa draws the surroundings, vessels above all, towards the ball.

    Parameters
    ----------
    centre_mm
        World point (x, y, z) [mm].
    radius_mm
        Of the ball [mm].
    kappa
        Share of the ball's volume, up to 1 [1].
    """

    centre_mm: NDArray[np.float64]
    radius_mm: float
    kappa: float


@dataclass(frozen=True, slots=True, eq=False)
class Matter:
    """Partial densities of the base on a fine lattice.

    ``partial_g_cm3`` is ``(m, z, y, x)`` float32 for ``materials``; ``aerated`` ``(z, y, x)`` float32 is the share
    of lung parenchyma (neither vessel nor airway nor outside), 0-1.
    """

    materials: tuple[Material, ...]
    partial_g_cm3: NDArray[np.float32]
    aerated: NDArray[np.float32]


def matter_on(twin: Twin, grid: Grid, displaced: Displacement | None = None, *, every: bool = False) -> Matter:
    """The base of a twin, insets not included, on a fine lattice by linear interpolation of partial densities.

    Interpolating densities (not HU, not fractions) is what a projector that walks the base linearly sees. With
    ``displaced`` each lattice point takes the matter that is moved to it. Materials that do not occur are left out,
    unless ``every``.
    """
    corners = np.array([[k, j, i] for k in (0, 1) for j in (0, 1) for i in (0, 1)]) * (np.asarray(grid.shape) - 1)
    index = twin.grid.world_to_index(grid.index_to_world(corners))
    limit = np.asarray(twin.grid.shape)
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, limit - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 2, low + 1, limit)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))

    first, second = twin.material_a[box], twin.material_b[box]
    density = twin.density[box] * np.float32(1e-4)
    share = twin.fraction_b[box] * np.float32(1 / 65535)
    present = [int(m) for m in np.union1d(np.unique(first), np.unique(second))]
    fields = np.empty((len(present) + 1, *first.shape), np.float32)
    for row, m in enumerate(present):
        fields[row] = density * ((first == m) * (1 - share) + (second == m) * share)
    fields[-1] = np.isin(twin.structure[box], [int(s) for s in (*AERATED, Structure.FISSURE)])

    x, y, z = (float(c) for c in twin.grid.index_to_world(low))
    n_z, n_y, n_x = first.shape
    coarse = Grid((n_z, n_y, n_x), twin.grid.spacing_mm, (x, y, z), twin.grid.direction)
    out = sample(fields, coarse, grid, displaced)
    used = [row for row in range(len(present)) if every or out[row].any()]
    return Matter(tuple(twin.materials[present[row]] for row in used), out[used], out[-1])


def sample(
    fields: NDArray[np.float32], of: Grid, at: Grid, displaced: Displacement | None = None
) -> NDArray[np.float32]:
    """Fields ``(m, Z, Y, X)`` on one lattice, linearly interpolated on another; held constant beyond the edge."""
    origin = of.world_to_index(at.index_to_world((0, 0, 0)))
    steps = np.array([of.world_to_index(at.index_to_world(e)) - origin for e in np.eye(3)])
    out = np.empty((len(fields), *at.shape), np.float32)
    if displaced is None and at.n_voxels > FEW and of.direction == at.direction:
        # Lattices that lie alike: axis by axis, from the last, so that most is summed along rows that lie together.
        weights = [_linear(origin[k] + steps[k, k] * np.arange(at.shape[k]), of.shape[k]) for k in range(3)]
        in_plane = apply_along(weights[1], apply_along(weights[2], fields, 3), 2)
        for row, field in enumerate(in_plane):
            out[row] = apply_along(weights[0], field, 0)
        return out
    middle, scale = np.zeros(3), (0.0, 1.0, 0.0)
    if displaced is not None:
        middle = at.world_to_index(displaced.centre_mm)
        step = np.asarray(at.spacing_mm)
        if np.ptp(step) > 1e-9 * step[0]:
            raise ValueError(f"a displacement needs cubic voxels, got {at.spacing_mm} mm")
        scale = (displaced.kappa, displaced.radius_mm / float(step[0]), FADES_AT)
    # All fields of a voxel side by side: one visit to memory serves them all.
    _sample(np.ascontiguousarray(np.moveaxis(fields, 0, -1)), steps, origin, middle, *scale, out)
    return out


def _linear(at: NDArray[np.float64], n: int) -> NDArray[np.float32]:
    """Weights ``(len(at), n)`` of a lattice's points at continuous indices, held constant beyond its ends."""
    held = np.clip(at, 0, n - 1)
    low = np.minimum(held.astype(int), max(0, n - 2))
    weights = np.zeros((len(at), n), np.float32)
    rows = np.arange(len(at))
    weights[rows, low] = 1 - (held - low)
    weights[rows, np.minimum(low + 1, n - 1)] += held - low
    return weights


def lobe_at(twin: Twin, points_mm: NDArray[np.float64]) -> str | None:
    """Name of the lobe (or whole lung, where no lobes are known) that holds most points; None outside."""
    index = np.rint(twin.grid.world_to_index(points_mm)).astype(int)
    index = index[np.all((index >= 0) & (index < twin.grid.shape), axis=1)]
    found = twin.structure[tuple(index.T)]
    counts = {s: int(np.count_nonzero(found == s)) for s in AERATED}
    best = max(counts, key=lambda s: counts[s])
    return best.name if counts[best] else None


@njit(cache=True, parallel=True, error_model="numpy")
def _sample(fields, steps, origin, middle, kappa, radius, fades_at, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Trilinear samples, held constant beyond the edge.

    fields  (Z, Y, X, m) float32  values on the base lattice
    steps   (3, 3)       float64  rows: change of base index (z, y, x) per fine step along z, y, x
    origin  (3,)         float64  base index (z, y, x) of fine voxel (0, 0, 0)
    middle  (3,)         float64  fine index (z, y, x) of the centre of a displacement
    kappa   scalar       share of the ball's volume that it pushes away, 0 for none
    radius  scalar       of the ball, in fine voxels
    fades_at scalar      radii at which the displacement ends
    out     (m, z, y, x) float32
    """
    n_m, n_z, n_y, n_x = out.shape
    end = fades_at * radius
    top = (fields.shape[0] - 1, fields.shape[1] - 1, fields.shape[2] - 1)
    for kk in prange(n_z):
        for jj in range(n_y):
            for ii in range(n_x):
                k, j, i = float(kk), float(jj), float(ii)
                if kappa != 0.0:
                    dz, dy, dx = k - middle[0], j - middle[1], i - middle[2]
                    r = math.sqrt(dz * dz + dy * dy + dx * dx)
                    if 1e-6 < r < end:
                        out_r = max(r, radius)
                        t = (out_r - radius) / (end - radius)
                        shift = out_r - (out_r**3 - kappa * radius**3) ** (1.0 / 3.0)
                        # Inside the ball nothing shows: the shift of its surface, shrunk to nothing at the centre.
                        share = shift * (1 - t * t * (3 - 2 * t)) * min(1.0, r / radius) / r
                        k, j, i = k - share * dz, j - share * dy, i - share * dx
                z = min(max(origin[0] + k * steps[0, 0] + j * steps[1, 0] + i * steps[2, 0], 0.0), float(top[0]))
                y = min(max(origin[1] + k * steps[0, 1] + j * steps[1, 1] + i * steps[2, 1], 0.0), float(top[1]))
                x = min(max(origin[2] + k * steps[0, 2] + j * steps[1, 2] + i * steps[2, 2], 0.0), float(top[2]))
                z0, y0, x0 = int(z), int(y), int(x)
                z1, y1, x1 = min(z0 + 1, top[0]), min(y0 + 1, top[1]), min(x0 + 1, top[2])
                fz, fy, fx = z - z0, y - y0, x - x0
                w00, w01 = (1 - fz) * (1 - fy), (1 - fz) * fy
                w10, w11 = fz * (1 - fy), fz * fy
                for m in range(n_m):
                    near = (
                        fields[z0, y0, x0, m] * w00
                        + fields[z0, y1, x0, m] * w01
                        + fields[z1, y0, x0, m] * w10
                        + fields[z1, y1, x0, m] * w11
                    )
                    far = (
                        fields[z0, y0, x1, m] * w00
                        + fields[z0, y1, x1, m] * w01
                        + fields[z1, y0, x1, m] * w10
                        + fields[z1, y1, x1, m] * w11
                    )
                    out[m, kk, jj, ii] = near * (1 - fx) + far * fx
