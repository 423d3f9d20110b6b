"""Where and when the transmissions of a reading are taken: points of the focal spot, instants of the view, its cell.

A reading averages transmissions (not line integrals) over the spot's width, its length, the time of a view and the
detector cell, so that edges inside its beam weigh as they do in a scanner (the non-linear partial volume effect; Joseph
& Spital, Phys Med Biol 26 (1981) 473, doi:10.1088/0031-9155/26/3/010).

N points sample spot and view jointly with equal weights:

1. N points of the Kronecker sequence of the plastic number (Roberts' R3) are replaced by their ranks in each dimension,
   so that each dimension has one point in each of N equal shares (a Latin design: McKay et al., Technometrics 21
   (1979) 239, doi:10.2307/1268522), and put at the middle quantile of the share;
2. a linear map as close to the identity as there is makes means 0, standard deviations those of the spot (Gaussian or
   uniform) and of the view (uniform), and correlations 0. Below 4 points not all correlations can vanish.

Integrands that are quadratic over spot and view are averaged without error from 4 points on. Of infinitely sharp edges
(thorax of ellipsoids with ribs, 0.9 mm spot, 1152 views; root mean square over the fan, against 64 points) 1, 2, 4, 8
and 16 points miss 0.66, 0.61, 0.25, 0.16 and 0.09 % of the transmission; behind a 10 mm rod as dense as metal 1.05,
1.08, 0.45, 0.30 and 0.17 %.

From every point the whole cell is seen: the projector says the mean path over the cell, exactly as before averaging,
and the transmission is averaged over a path that varies evenly about that mean, with the slopes that the neighbouring
readings show (:mod:`ctsim.kernels.transmit`). A cell can also be cut into parts that tile it, each with its own mean
and slopes (``Sampling.row_parts``, ``column_parts``): parts of a row share the walk through the volume and cost little,
parts of a column are walked one by one. What whole readings miss then, cells of 0.6 mm, against 2048 points that sample
spot, view and cell jointly [% of the transmission, root mean square]:

====================================  ======  =====
rays and parts                        thorax  rod
====================================  ======  =====
4, mean path over the cell            0.064   0.169
4, path varies over the cell          0.062   0.126
4, 2 x 2 parts                        0.056   0.125
16, mean path over the cell           0.041   0.157
16, path varies over the cell         0.037   0.104
16, 2 x 2 parts                       0.030   0.078
====================================  ======  =====

A reading of merged cells stands for several readings of the scanner, of which each has its own logarithm: its path
varies over one of the scanner's cells alone, so that CT numbers stay those of unmerged cells. Parts of it average
transmissions as merged photons do, which lowers paths at steep edges (4 x 4 merged, 4 rays, against all photons merged:
thorax 0.21 %, with 2 x 2 parts 0.10 %).

The line integral of a reading stays the projector's: 0.116 % at 256, 0.047 % at 512 voxels, with 2 x 2 parts 0.116 and
0.049 % (parts narrower than a voxel overlap). Mean paths transmit too little by 0.004 % (thorax) and 0.011 % (rod) on
average; slopes leave 0.001 and 0.005 %. A share of the cell of its own for each ray was tried and is worse with few
rays: gaps between the narrower beams cost more than the finer cells gain (``docs/design/002-scan-chain.md``).

The spot lies on the slanted anode: a point at z is :func:`ctsim.tube.radial_shift_mm` closer to the isocentre. During a
view the gantry turns by 2 pi / views and the table moves by its share of the feed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from .geometry import Geometry
from .protocol import Acquisition
from .sampling import Sampling
from .scanner import Scanner
from .tube import radial_shift_mm

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
PLASTIC = 1.2207440846057596
"""Root of x^4 = x + 1."""


@dataclass(frozen=True, slots=True, eq=False)
class RayPoints:
    """Transmissions that a reading averages.

    Parameters
    ----------
    spot_mm
        ``(N, 3)`` float64: point of the spot from its middle: tangential, towards the isocentre, along z [mm].
    instant
        ``(N,)`` float64: time from the middle of the view [views].
    weight
        ``(N,)`` float64, summing to 1.
    """

    spot_mm: NDArray[np.float64]
    instant: NDArray[np.float64]
    weight: NDArray[np.float64]

    def geometries(self, geometry: Geometry) -> list[Geometry]:
        """The scan with the spot at each of the points, at each of the instants."""
        turn = 2 * math.pi / geometry.views_per_rotation
        feed_mm = geometry.feed_per_rotation_mm / geometry.views_per_rotation
        return [
            replace(
                geometry,
                view_angle_rad=geometry.view_angle_rad + when * turn,
                source_z_mm=geometry.source_z_mm + when * feed_mm,
                deflection_mm=geometry.deflection_mm + spot,
            )
            for spot, when in zip(self.spot_mm, self.instant, strict=True)
        ]


def ray_points(scanner: Scanner, acquisition: Acquisition, sampling: Sampling) -> RayPoints:
    """The transmissions that each reading of an acquisition averages; one: middle of spot and view."""
    n = sampling.rays_per_reading
    spot = scanner.focal_spot(acquisition.focal_spot)
    # view, width and length, so that below 4 points view and width are the ones that are uncorrelated
    scale = np.array([1.0, spot.width_mm, spot.length_mm])
    shapes = ("uniform", spot.shape, spot.shape)
    points = _design(n, tuple(_quantiles(n, shape) for shape in shapes)) * scale
    radial = np.array([radial_shift_mm(z, scanner.anode_angle_deg) for z in points[:, 2]])
    spot_mm = np.stack([points[:, 1], radial, points[:, 2]], axis=1)
    return RayPoints(spot_mm, points[:, 0], np.full(n, 1.0 / n))


def cell_parts(geometry: Geometry, sampling: Sampling) -> Geometry:
    """The scan with every cell cut into its parts: ``row_parts`` x ``column_parts`` finer cells that tile it."""
    along_rows = _middles(sampling.row_parts) * geometry.row_pitch_mm
    along_columns = _middles(sampling.column_parts) * geometry.column_pitch_rad
    return replace(
        geometry,
        column_angle_rad=(geometry.column_angle_rad[:, None] + along_columns).ravel(),
        row_offset_mm=(geometry.row_offset_mm[:, None] + along_rows).ravel(),
        row_pitch_mm=geometry.row_pitch_mm / sampling.row_parts,
    )


def slope_share(sampling: Sampling) -> tuple[float, float]:
    """Share of a part's height and width over which its path varies: all, or one of the scanner's cells if smaller."""
    return (
        min(1.0, sampling.row_parts / sampling.row_binning),
        min(1.0, sampling.column_parts / sampling.column_binning),
    )


def _middles(n: int) -> NDArray[np.float64]:
    """Middles of n equal parts of -1/2 to 1/2."""
    return np.asarray((np.arange(n) + 0.5) / n - 0.5)


def _quantiles(n: int, shape: str) -> NDArray[np.float64]:
    """Middle of n equal shares of a distribution of full width 1, widened to its standard deviation."""
    middle = _middles(n)
    if shape == "uniform":
        places, sigma = middle, 1 / math.sqrt(12)
    else:
        places, sigma = np.array([NormalDist().inv_cdf(p + 0.5) for p in middle]), 1 / FWHM_PER_SIGMA
    return places * (sigma / places.std()) if n > 1 else np.zeros(1)


def _design(n: int, levels: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """Levels of each dimension in the order of a low-discrepancy sequence, then made uncorrelated, ``(n, dims)``."""
    steps = np.array([PLASTIC ** -(axis + 1) for axis in range(len(levels))])
    places = (0.5 + np.arange(n)[:, None] * steps) % 1.0
    ranks = places.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    points = np.stack([level[ranks[:, axis]] for axis, level in enumerate(levels)], axis=1)
    sigma = points.std(axis=0)
    if n < len(levels) + 1:
        return np.asarray(points)
    left, _, right = np.linalg.svd(points / sigma, full_matrices=False)
    return np.asarray(left @ right * math.sqrt(n) * sigma)
