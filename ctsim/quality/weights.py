"""How much each reading counts in one voxel of an axial image: the reconstruction's transpose, written out.

A filtered back projection is linear, so a voxel is a weighted sum of the scan's line integrals y,

    f(x) = sum_(v, r, c)  columns[v, c] rows[v, r] y[v, r, c],

and the weights follow from the same steps as :mod:`ctsim.recon.fdk`, taken from the last to the first: interpolation
between two places and scale 2 pi / (V L^2), filter along the places (symmetric, so its own transpose), cosine of the
fan angle, cubic interpolation of the columns; along rows the share of the slice's box in each row and the cosine of its
cone angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from ..kernels.rebin import rebin
from ..recon.fdk import OVERSAMPLING
from ..recon.filtering import filter_rows

if TYPE_CHECKING:
    from ..recon.kernels import Kernel


@dataclass(frozen=True, slots=True, eq=False)
class VoxelWeights:
    """Weights of one voxel, in its attenuation [1/mm] per line integral.

    Parameters
    ----------
    columns
        ``(V, C)`` float64 [1/mm].
    rows
        ``(V, R)`` float64 [1].
    """

    columns: NDArray[np.float64]
    rows: NDArray[np.float64]

    def value(self, line_integral: NDArray[np.floating]) -> float:
        """The voxel's attenuation for readings ``(V, R, C)`` [1/mm]."""
        return float(np.einsum("vc,vr,vrc->", self.columns, self.rows, line_integral, optimize=True))

    def full(self) -> NDArray[np.float32]:
        """Weights of all readings ``(V, R, C)`` float32."""
        return np.asarray(self.rows[:, :, None] * self.columns[:, None, :], dtype=np.float32)


def voxel_weights(
    geometry: Geometry, transfer: NDArray[np.float32], point_mm: tuple[float, float, float], box_mm: float
) -> VoxelWeights:
    """Weights of a voxel in an image of :func:`ctsim.recon.fdk.fdk`.

    Parameters
    ----------
    geometry
        Of one rotation at rest, focal spot undeflected.
    transfer
        The fan-beam filter that the reconstruction used (:func:`ctsim.recon.filtering.fan_filter`).
    point_mm
        World (x, y, z) of the voxel's middle [mm].
    box_mm
        Thickness of the slab over which rows are averaged [mm].

    Raises
    ------
    ValueError
        If the table moves, the spot is deflected, or the point lies beyond the fan.
    """
    if geometry.is_helical or len(geometry.view_angle_rad) != geometry.views_per_rotation:
        raise ValueError("weights are known for one rotation at rest only")
    if np.any(geometry.deflection_mm):
        raise ValueError(f"weights are known for a spot at rest only, deflection_mm is {geometry.deflection_mm}")
    n_views, _, n_columns = geometry.shape
    sid = geometry.source_distance_mm
    x, y = point_mm[0] - geometry.isocentre_mm[0], point_mm[1] - geometry.isocentre_mm[1]
    cos, sin = np.cos(geometry.view_angle_rad), np.sin(geometry.view_angle_rad)
    radial, lateral = sid - (x * cos + y * sin), y * cos - x * sin
    distance = np.hypot(radial, lateral)
    n_places = OVERSAMPLING * (n_columns - 1) + 1
    pitch = geometry.column_pitch_rad / OVERSAMPLING
    place = (np.arctan2(lateral, radial) - geometry.column_angle_rad[0]) / pitch
    if place.min() < 0 or place.max() > n_places - 1:
        raise ValueError(f"point_mm = {point_mm} lies beyond the fan")
    left = np.minimum(place.astype(np.int64), n_places - 2)
    share = place - left
    scale = 2 * np.pi / n_views / distance**2
    read = np.zeros((n_views, n_places), np.float32)
    view = np.arange(n_views)
    read[view, left] = scale * (1 - share)
    read[view, left + 1] = scale * share
    gamma = geometry.column_angle_rad[0] + pitch * np.arange(n_places)
    spread = filter_rows(read, transfer).astype(np.float64) * (sid * np.cos(gamma))
    columns = np.asarray(spread @ _column_interpolation(n_columns))
    return VoxelWeights(columns, _row_shares(geometry, distance, point_mm[2] - geometry.source_z_mm[0], box_mm))


def fdk_transfer(geometry: Geometry, kernel: Kernel, chain: object) -> NDArray[np.float32]:
    """The filter that :func:`ctsim.recon.fdk.fdk` takes for this geometry, kernel and chain [1/rad]."""
    from ..recon.filtering import fan_filter

    n_places = OVERSAMPLING * (geometry.shape[2] - 1) + 1
    return fan_filter(kernel, chain, geometry.column_pitch_rad / OVERSAMPLING, n_places)  # type: ignore[arg-type]


def _row_shares(geometry: Geometry, distance: NDArray[np.float64], z_mm: float, box_mm: float) -> NDArray[np.float64]:
    """``(V, R)``: part of each row in the box about height z over the source, times the cosine of its cone angle."""
    n_rows = geometry.shape[1]
    sdd, pitch = geometry.detector_distance_mm, geometry.row_pitch_mm
    rise = sdd / (distance * pitch)  # rows per millimetre of z
    lower_edge = geometry.row_offset_mm[0] / pitch - 0.5
    middle = np.clip(z_mm * rise - lower_edge, 0, n_rows)
    low, high = np.clip(middle - box_mm / 2 * rise, 0, n_rows), np.clip(middle + box_mm / 2 * rise, 0, n_rows)
    row = np.arange(n_rows)
    overlap = np.minimum(high[:, None], row + 1) - np.maximum(low[:, None], row)
    share = np.clip(overlap, 0, None) / (high - low)[:, None]
    return np.asarray(share * (sdd / np.hypot(sdd, geometry.row_offset_mm)))


def _column_interpolation(n_columns: int) -> NDArray[np.float64]:
    """``(places, columns)``: what each place reads of the columns, from the kernel itself."""
    n_places = OVERSAMPLING * (n_columns - 1) + 1
    place = np.arange(n_places) / OVERSAMPLING
    out = np.empty((1, n_columns, n_places), np.float32)
    weight = np.ones((n_columns, n_places), np.float32)
    first = np.zeros(1, np.int64)
    rebin(np.eye(n_columns, dtype=np.float32)[None], first, place, np.zeros(n_places), weight, out)
    return np.asarray(out[0].T, dtype=np.float64)
