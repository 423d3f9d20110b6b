"""How much each reading counts in one voxel of an image: the reconstruction's transpose, written out.

A filtered back projection is linear, so a voxel is a weighted sum of the scan's line integrals,

    f(x) = sum_(v, r, c) w[v, r, c] y[v, r, c],

and the weights follow from the steps of :mod:`ctsim.recon.backprojection`, taken from the last to the first:
interpolation between two places and two nodes along the ray, the step pi / D of D directions, weights of the half turns
that see the voxel and the share of the slice's box in each of their rows, filter along the places (symmetric, so its
own transpose), cosine of the cone angle, cubic interpolation of rays and views (:mod:`ctsim.kernels.unrebin`). Rows
that the body leaves at their ends are taken not to be extended. Two neighbouring places are taken to see a slice with
the same shares of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..geometry import Geometry
from ..kernels.gather import FULL_WEIGHT, LEAST_WEIGHT
from ..kernels.unrebin import unrebin
from ..recon.backprojection import Turns
from ..recon.chain import Chain, chain_of
from ..recon.fdk import turns_at_rest
from ..recon.filtering import filter_rows, parallel_filter
from ..recon.kernels import Kernel
from ..recon.parallel import Fan, fans, places_mm
from ..recon.slices import blur_of, box_for
from ..recon.tiles import node_distance_mm
from ..recon.wfbp import turns_of_helix
from ..sinogram import Sinogram


def voxel_weights(
    sinogram: Sinogram, kernel: Kernel, grid: Grid, index: tuple[int, int, int], thickness_mm: float
) -> NDArray[np.float32]:
    """Weights ``(V, R, C)`` of a voxel of :func:`ctsim.reconstruct`, in its attenuation per line integral [1/mm].

    Parameters
    ----------
    sinogram
        Says geometry and sampling; its readings play no part.
    kernel, thickness_mm
        Of the image [mm].
    grid, index
        Lattice of the image, and which of its voxels (z, y, x).

    Raises
    ------
    ValueError
        If columns are merged (the kernel might be softened), or the voxel is not seen from all directions.
    """
    if sinogram.sampling.column_binning > 1:
        raise ValueError(f"weights are known for whole columns only, got {sinogram.sampling.column_binning} merged")
    geometry = sinogram.geometry
    row_mm = geometry.row_pitch_mm * geometry.source_distance_mm / geometry.detector_distance_mm
    p, _ = geometry.parallel_rays()
    radius_mm = max(0.0, min(-float(p[:, 0].max()), float(p[:, -1].min())))
    box_mm = box_for(thickness_mm, row_mm, blur_of(sinogram))
    return weights_of(geometry, kernel, chain_of(sinogram), grid.axes_mm(), index, box_mm, radius_mm)


def weights_of(
    geometry: Geometry,
    kernel: Kernel,
    chain: Chain,
    axes_mm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    index: tuple[int, int, int],
    box_mm: float,
    radius_mm: float,
) -> NDArray[np.float32]:
    """The same for a bare geometry, chain and box; parameters of :func:`ctsim.recon.backprojection.back_project`."""
    turns = turns_of_helix(geometry, chain) if geometry.is_helical else turns_at_rest(geometry, radius_mm)
    beams = fans(geometry, chain.place_mm)
    p = places_mm(geometry, chain.place_mm)
    x_axis, y_axis = axes_mm[2] - geometry.isocentre_mm[0], axes_mm[1] - geometry.isocentre_mm[1]
    z, y, x = float(axes_mm[0][index[0]]), float(y_axis[index[1]]), float(x_axis[index[2]])
    n_directions = len(turns.view)
    theta = float(geometry.view_angle_rad[0]) + np.pi / n_directions * np.arange(n_directions)
    node_mm = node_distance_mm(geometry, radius_mm, box_mm)
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
    node = (x * direction[:, 0] + y * direction[:, 1]) / node_mm
    place = (y * direction[:, 0] - x * direction[:, 1] - p[0]) / chain.place_mm
    if place.min() < 0 or place.max() > len(p) - 1:
        raise ValueError(f"index = {index} lies beyond the fan")
    left, near = np.minimum(place.astype(np.int64), len(p) - 2), np.floor(node).astype(np.int64)
    looks, parts = [], []
    for q, place_share in ((left, 1 - (place - left)), (left + 1, place - left)):
        for n, node_share in ((near, 1 - (node - near)), (near + 1, node - near)):
            looks.append(_look(geometry, turns, beams, p, q, np.asarray(node_mm * n, np.float64), z, box_mm))
            parts.append(place_share * node_share)
    return _to_readings(geometry, turns, beams, parallel_filter(kernel, chain, len(p)), looks, parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """How the half turns of each direction see the voxel at one place; D directions, T half turns, J fans."""

    ray: NDArray[np.int64]  # (D, T) place of the half turn's ray
    share: NDArray[np.float64]  # (D, T, J) of the direction's value
    row: NDArray[np.float64]  # (D, T, J, R)


def _look(
    geometry: Geometry,
    turns: Turns,
    beams: tuple[Fan, ...],
    p: NDArray[np.float64],
    q: NDArray[np.int64],
    t: NDArray[np.float64],
    z_mm: float,
    box_mm: float,
) -> _Look:
    n_rows, pitch = geometry.shape[1], geometry.row_pitch_mm
    v_max = 0.5 * n_rows * pitch
    mirror = round(-2.0 * p[0] / (p[1] - p[0]))
    ray = np.where(turns.half_turn > 0, q[:, None], mirror - q[:, None])
    there = (turns.view >= 0) & (ray >= 0) & (ray < len(p))
    m = np.clip(ray, 0, len(p) - 1)
    share, rows = [], []
    for beam in beams:
        rise = beam.cell_distance_mm[m] / ((beam.to_axis_mm[m] - turns.half_turn * t[:, None]) * pitch)
        reach = v_max / (rise * pitch)
        middle = turns.source_z_mm + beam.height_mm + turns.climb_mm_per_rad * beam.lead_rad[m]
        above = z_mm - middle - (beam.bottom_mm + v_max) / (rise * pitch)
        fall = np.clip((np.abs(above / reach) - FULL_WEIGHT) / (1 - FULL_WEIGHT), 0, 1)
        weight = 1 - fall**2 * (3 - 2 * fall)
        weight = np.maximum(weight, LEAST_WEIGHT if turns.beyond > 1 else 0.0)
        share.append(np.where(there & (np.abs(above) <= turns.beyond * reach), weight, 0.0))
        at = np.clip(above * rise + v_max / pitch, 0, n_rows)[..., None]
        half = 0.5 * box_mm * rise[..., None]
        low, high = np.maximum(at - half, 0), np.minimum(at + half, n_rows)
        row = np.arange(n_rows)
        rows.append(np.clip(np.minimum(high, row + 1) - np.maximum(low, row), 0, None) / (high - low))
    total = np.sum(share, axis=(0, 2))
    if total.min() < 1e-6:
        raise ValueError("the voxel is not seen from all directions")
    return _Look(m, np.stack(share, axis=-1) / total[:, None, None], np.stack(rows, axis=2))


def _to_readings(
    geometry: Geometry,
    turns: Turns,
    beams: tuple[Fan, ...],
    transfer: NDArray[np.float32],
    looks: list[_Look],
    parts: list[NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Filter and hand back to the readings what places count."""
    n_directions, n_turns = turns.view.shape
    out = np.zeros(geometry.shape)
    step = np.pi / n_directions
    for j, beam in enumerate(beams):
        n_places = len(beam.to_axis_mm)
        slant = beam.row_weight[:, n_places // 2].astype(np.float64)
        for k in range(n_turns):
            seen = np.nonzero(np.sum([look.share[:, k, j] for look in looks], axis=0) > 0)[0]
            if not len(seen):
                continue
            read = np.zeros((len(seen), n_places), np.float32)
            row = np.zeros((len(seen), geometry.shape[1]))
            counted = np.zeros(len(seen))
            for look, part in zip(looks, parts, strict=True):
                weight = part[seen] * look.share[seen, k, j]
                read[np.arange(len(seen)), look.ray[seen, k]] += step * weight
                row += weight[:, None] * look.row[seen, k, j]
                counted += weight
            row = row / np.maximum(counted, 1e-30)[:, None] * slant
            filtered = filter_rows(read, transfer).astype(np.float64)
            ray = np.zeros((len(seen), len(beam.column)))
            for tap, weight in zip(beam.tap.T, beam.tap_weight.T, strict=True):
                np.add.at(ray.T, tap, (filtered * weight).T)
            unrebin(
                ray, row, turns.view[seen, k], np.full(len(seen), turns.origin[k]), turns.period,
                len(geometry.deflection_mm), beam.state, beam.column, beam.shift, out,
            )  # fmt: skip
    return out.astype(np.float32)
