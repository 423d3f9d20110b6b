"""A nodule's form on its own fine lattice: how much of each voxel it fills, with exact volume.

Two fractions per voxel: the *occupancy* of the truth contour (a ramp one voxel wide over the signed distance) and
the *soft profile* with the margin that the tissue itself has, ``Phi(phi / sigma)`` with ``sigma = margin / 2.563``
(10-90 % width of a Gaussian edge).
A plain ramp is biased by ``+h^2 / (4 R^2)``; both get the offset of phi that makes ``sum(fraction) h^3`` the volume
asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from twins import Grid

from .attachment import Room
from .distance import body_distance, join_segments
from .nodule import Nodule
from .shape import Body, Shape, shape_of

WIDTH_10_90 = 2.563103
"""10-90 % width of a Gaussian edge in units of its sigma."""

TAIL = 3.3
"""The soft profile is cut where it falls below Phi(-3.3) = 0.0005."""

SLACKS = (0.4, 3.0, 400.0)
"""Offsets, in units of the edge, within which the one is sought; nearly always a fraction is enough."""

N_SECANTS = 12
"""Secant steps before the search falls back on bisection."""

N_GROWTHS, LARGEST_GROWTH = 20, 3.0
"""Steps in which a bounded form finds its scale, and the largest one (a design default)."""

LIE_FLAT = frozenset({"pleural_plaque", "perifissural"})
"""Kinds whose shortest axis stands on the surface that bounds them."""

STANDING, TILT_SD_DEG = 0.6, 12.0
"""Share of scars that run inwards from the pleura, and SD of their tilt from its normal (design defaults)."""

FAR_MM = 1e3
""""Far outside" where no tube is near."""


Edge = Callable[[NDArray[np.floating]], NDArray[np.floating]]
"""Share of a voxel by its signed distance to the surface in units of the edge's width."""


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Fractions of one nodule on a fine lattice.

    Parameters
    ----------
    grid
        Lattice in millimetres relative to the nodule's centroid; axis-aligned, cubic voxels. For a bounded one relative
        to the centroid that it would have unbounded, for one laid along given tubes to the point that they are given
        about: its spec's ``centre_mm``.
    occupancy, core_occupancy
        ``(z, y, x)`` float32, share of each voxel inside the truth contour of the whole, of the solid core (None
        without one).
    profile, core_profile
        The same with the tissue's own margin.
    body_mm
        Signed distance to the body without spicules, positive inside [mm]; far from the surface only a bound of it,
        unless :func:`has_depth`.
    n_spicules
        Number of spicules.
    centroid_mm
        Centroid ``(x, y, z)`` on the lattice [mm]; zero unless bounded or laid along tubes.
    """

    grid: Grid
    occupancy: NDArray[np.float32]
    profile: NDArray[np.float32]
    core_occupancy: NDArray[np.float32] | None
    core_profile: NDArray[np.float32] | None
    body_mm: NDArray[np.float32]
    n_spicules: int
    centroid_mm: NDArray[np.float64]


def fine_spacing_mm(diameter_mm: float) -> float:
    """Lattice spacing for a nodule of that equivalent diameter [mm]: a fortieth of it, within 0.1-0.5 mm."""
    return min(0.5, max(0.1, diameter_mm / 40))


def rasterise(
    nodule: Nodule,
    *,
    spacing_mm: float | None = None,
    room: Room | None = None,
    tubes: NDArray[np.float64] | None = None,
    include_mm: NDArray[np.float64] | None = None,
    beyond_mm: float = 0.0,
) -> Raster:
    """Put the nodule on a lattice centred on its centroid.

    Spicules come on top of the body, so the lattice and all distances on it are scaled until the union has the exact
    volume: the spacing of a spiculated nodule is up to 15 % below that asked for.

    Parameters
    ----------
    nodule
        A nodule whose volume is known (:func:`lesions.sizing.sized`).
    spacing_mm
        Spacing of the lattice; by default that of :func:`fine_spacing_mm`.
    room
        What bounds the nodule, around its ``centre_mm``: the form grows until the part inside the room has the volume.
    tubes
        Segments ``(n, 8)`` about its ``centre_mm`` that are its form, in place of drawn ones
        (:func:`lesions.plugs.plug_of`).
    include_mm
        Points ``(n, 3)`` about the centroid that the lattice must hold as well [mm].
    beyond_mm
        Margin that the lattice leaves around the form, besides that of the edge [mm].

    Raises
    ------
    ValueError
        If the lattice is too coarse to hold the volume, or the room too small.
    """
    if spacing_mm is not None and not 0 < spacing_mm <= nodule.target_diameter_mm / 4:
        raise ValueError(
            f"spacing_mm {spacing_mm} is too coarse for nodule {nodule.id!r}: must be above 0, at most a quarter of "
            f"the equivalent diameter, {nodule.target_diameter_mm / 4:.2f} mm"
        )
    step = fine_spacing_mm(nodule.target_diameter_mm) if spacing_mm is None else spacing_mm
    if tubes is not None:
        shape = Shape(None, tubes, 0, None)
    else:
        shape = shape_of(nodule) if room is None else _grown(nodule, room, 2 * step)
    sigma = nodule.attributes.margin_mm / WIDTH_10_90
    pad = TAIL * sigma + 2.5 * step + beyond_mm
    low, high = shape.extent_mm()
    low, high = low - 1.2 * pad, high + 1.2 * pad
    if include_mm is not None:
        # A lattice that is scaled down to the volume of body and spicules must still reach them.
        include_mm = (1.25 if len(shape.spicules) else 1.0) * include_mm
        low, high = np.minimum(low, include_mm.min(axis=0)), np.maximum(high, include_mm.max(axis=0))
    origin, count = _box(low, high, step)

    blur = math.hypot(sigma, step / math.sqrt(12))  # a voxel averages over its width
    near = (TAIL + SLACKS[0] + 0.1) * max(step, blur) + beyond_mm
    body, whole = _distances(shape, origin, count, step, 1.2 * pad, np.inf if has_depth(nodule) else near)
    if room is None and len(shape.spicules):
        union_mm3 = float(ramp(whole / step).sum(dtype=np.float64)) * step**3
        scale = (nodule.target_volume_mm3 / union_mm3) ** (1 / 3)
        step, origin, shape = step * scale, origin * scale, shape.scaled(scale)
        body, whole = body * np.float32(scale), whole * np.float32(scale)
    shape_zyx = (int(count[2]), int(count[1]), int(count[0]))
    grid = Grid(shape_zyx, (step, step, step), (float(origin[0]), float(origin[1]), float(origin[2])))
    if room is not None:
        inside = room.on(_in_world(grid, nodule))
        body, whole = np.minimum(body, inside), np.minimum(whole, inside)

    volume = nodule.target_volume_mm3
    occupancy = fill_to(whole, volume / step**3, 1.0 / step, ramp)
    profile = fill_to(whole, volume / step**3, 1.0 / blur, _gaussian_edge)
    core_occupancy = core_profile = None
    if shape.core is not None:
        core = _distance(shape.core, origin, count, step, np.inf)
        core_volume = nodule.core_ratio**3 * volume
        core_occupancy = fill_to(core, core_volume / step**3, 1.0 / step, ramp, within=occupancy)
        core_profile = fill_to(core, core_volume / step**3, 1.0 / blur, _gaussian_edge, within=profile)

    centroid = centroid_mm(grid, occupancy)
    if room is None and tubes is None:
        x, y, z = np.asarray(grid.origin_mm) - centroid
        grid, centroid = Grid(shape_zyx, grid.spacing_mm, (float(x), float(y), float(z))), np.zeros(3)
    return Raster(grid, occupancy, profile, core_occupancy, core_profile, body, shape.n_spicules, centroid)


def _grown(nodule: Nodule, room: Room, step: float) -> Shape:
    """The form at the scale at which the part of it inside the room has the volume, to within about 1 %."""
    centre = np.asarray(nodule.centre_mm)
    axis, normal = _laid_along(nodule, room, centre)
    shape = shape_of(nodule if axis is None else nodule.model_copy(update={"axis": axis}), normal=normal)
    scale = 1.0
    for _ in range(N_GROWTHS):
        grown = shape.scaled(scale)
        low, high = grown.extent_mm()
        origin, count = _box(low - 3 * step, high + 3 * step, step)
        grid = Grid((int(count[2]), int(count[1]), int(count[0])), (step,) * 3, tuple(float(c) for c in origin))  # type: ignore[arg-type]
        whole = np.minimum(
            _distances(grown, origin, count, step, 3 * step, 3 * step)[1], room.on(_in_world(grid, nodule))
        )
        share = float(ramp(whole / step).sum(dtype=np.float64)) * step**3 / nodule.target_volume_mm3
        if abs(share - 1) < 0.01:
            return grown
        scale *= min(1.6, (1 / max(share, 1e-3)) ** 0.4)  # growth away from the wall: volume as scale^2.5 or more
        if scale > LARGEST_GROWTH:
            break
    raise ValueError(
        f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm}: too little of it lies inside the {room.name}; its "
        "centre must lie in the lung, less than its radius from the surface"
    )


def stands(nodule: Nodule) -> bool:
    """Whether a scar runs from the pleura into the lung, as septa do; else it lies along the pleura."""
    return nodule.kind == "scar" and nodule.axis is None and bool(nodule.stream("scar").random() < STANDING)


def _laid_along(
    nodule: Nodule, room: Room, centre: NDArray[np.float64]
) -> tuple[tuple[float, float, float] | None, NDArray[np.float64] | None]:
    """How a form that grows against a surface is turned: world direction of its longest axis, and of its shortest."""
    if stands(nodule):
        tilt = np.tan(np.deg2rad(TILT_SD_DEG)) * nodule.stream("scar tilt").standard_normal(3)
        heading = room.inward(centre) + tilt
        x, y, z = heading / np.linalg.norm(heading)
        return (float(x), float(y), float(z)), None
    flat = nodule.kind in LIE_FLAT or (nodule.kind == "scar" and nodule.axis is None)
    return None, room.inward(centre) if flat else None


def _in_world(grid: Grid, nodule: Nodule) -> Grid:
    x, y, z = (float(a) + float(b) for a, b in zip(grid.origin_mm, nodule.centre_mm or (0, 0, 0), strict=True))
    return Grid(grid.shape, grid.spacing_mm, (x, y, z))


def centroid_mm(grid: Grid, weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """Centroid ``(x, y, z)`` of a weight on an axis-aligned lattice [mm]."""
    total = weight.sum(dtype=np.float64)
    z, y, x = grid.axes_mm()
    return np.array(
        [
            (weight.sum(axis=(0, 1), dtype=np.float64) * x).sum() / total,
            (weight.sum(axis=(0, 2), dtype=np.float64) * y).sum() / total,
            (weight.sum(axis=(1, 2), dtype=np.float64) * z).sum() / total,
        ]
    )


def _box(
    low: NDArray[np.float64], high: NDArray[np.float64], step_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    count = np.ceil((high - low) / step_mm).astype(np.int64) + 1
    origin = 0.5 * (low + high) - 0.5 * (count - 1) * step_mm
    return origin, count


def _distances(
    shape: Shape, origin: NDArray[np.float64], count: NDArray[np.int64], step: float, pad: float, near: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Signed distance to the body, and to body and spicules; the same for a form of tubes."""
    if shape.body is None:
        tubes = np.full((count[2], count[1], count[0]), -FAR_MM, np.float32)
        join_segments(shape.spicules, pad, origin, step, tubes)
        return tubes, tubes
    body = _distance(shape.body, origin, count, step, near)
    if not len(shape.spicules):
        return body, body
    whole = body.copy()
    join_segments(shape.spicules, pad, origin, step, whole)
    return body, whole


def has_depth(nodule: Nodule) -> bool:
    """Whether something inside follows the surface, so that the distance to it must be known all the way in."""
    said = nodule.attributes
    return said.calcium_fraction > 0 or said.necrosis_ratio > 0 or said.cavity_wall_mm is not None


def _distance(
    body: Body, origin: NDArray[np.float64], count: NDArray[np.int64], step: float, near: float
) -> NDArray[np.float32]:
    out = np.empty((count[2], count[1], count[0]), np.float32)
    body_distance(body.radius_mm, body.slope, body.rotation, body.centre_mm, origin, step, near, out)
    return out


def fill_to(
    distance_mm: NDArray[np.float32],
    n_voxels: float,
    per_mm: float,
    edge: Edge,
    within: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """``edge((phi + offset) * per_mm)`` with the offset at which it sums to ``n_voxels`` (the volume in voxels).

    With ``within`` no voxel is filled beyond it: what a part cannot have there it gets elsewhere.

    Raises
    ------
    ValueError
        If no offset gives that volume.
    """
    scaled = distance_mm.ravel() * np.float32(per_mm)
    for slack in SLACKS:
        band = np.flatnonzero(scaled >= -TAIL - slack) if within is not None else _near(scaled, slack)
        values = scaled[band].astype(np.float64)
        top = None if within is None else within.ravel()[band].astype(np.float64)
        wanted = n_voxels - (0 if within is not None else np.count_nonzero(scaled > TAIL + slack))

        def share(offset: float, values: NDArray[np.float64] = values, top: Any = top) -> Any:
            filled = edge(values + offset)
            return filled if top is None else np.minimum(filled, top)

        def excess(offset: float, share: Callable[[float], Any] = share, wanted: float = wanted) -> float:
            return float(share(offset).sum()) - wanted

        # So many voxels lie within half a step of the surface: that is how fast the sum grows with the offset.
        found = _root(excess, slack, float(np.count_nonzero(abs(values) < 0.5)))
        if found is not None:
            break
    else:
        raise ValueError(f"the lattice is too coarse or too small to hold a volume of {n_voxels:.1f} voxels")
    filled = np.zeros(len(scaled), np.float32) if within is not None else (scaled > TAIL + slack).astype(np.float32)
    filled[band] = share(found)
    return filled.reshape(distance_mm.shape)


def _root(excess: Callable[[float], float], slack: float, slope: float) -> float | None:
    """Where a growing function is 0 within ``+-slack``, or None; by secants from 0, by Brent's method if they fail.

    ``slope`` is about that at 0.
    """
    before, at = 0.0, 0.0
    f_before = f = excess(0.0)
    if f == 0:
        return 0.0
    step = min(0.5 * slack, max(-0.5 * slack, -f / max(slope, 1.0)))
    for _ in range(N_SECANTS):
        if abs(step) < 1e-9:
            return at
        before, f_before, at = at, f, at + step
        if abs(at) > slack:
            break
        f = excess(at)
        if f == f_before:
            break
        step = -f * (at - before) / (f - f_before)
    return brentq(excess, -slack, slack, xtol=1e-9, rtol=1e-9) if excess(-slack) <= 0 <= excess(slack) else None


def _near(scaled: NDArray[np.float32], slack: float) -> NDArray[np.intp]:
    return np.flatnonzero((scaled >= -TAIL - slack) & (scaled <= TAIL + slack))


def ramp(t: NDArray[np.floating]) -> NDArray[np.floating]:
    """Share of a voxel inside a plane at signed distance ``t`` voxels from its centre."""
    return np.clip(t + 0.5, 0, 1)


def _gaussian_edge(t: NDArray[np.floating]) -> NDArray[np.floating]:
    edge = ndtr(t)
    edge[t < -TAIL] = 0
    edge[t > TAIL] = 1
    return edge
