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

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .attachment import Room
from .edges import GAUSSIAN, RAMP, SLACKS, TAIL, shares_of, too_coarse, voxels_within
from .lattice import Field, box_of, filled_part, lattice
from .nodule import Nodule
from .shape import Shape, shape_of
from .spicules import NO_SPICULES

WIDTH_10_90 = 2.563103
"""10-90 % width of a Gaussian edge in units of its sigma."""

N_GROWTHS, LARGEST_GROWTH = 20, 3.0
"""Steps in which a bounded form finds its scale, and the largest one (a design default)."""

LIE_FLAT = frozenset({"pleural_plaque", "perifissural"})
"""Kinds whose shortest axis stands on the surface that bounds them."""

STANDING, TILT_SD_DEG = 0.6, 12.0
"""Share of scars that run inwards from the pleura, and SD of their tilt from its normal (design defaults)."""


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
    field = _field_of(nodule, shape, step, beyond_mm, include_mm)
    blur = math.hypot(sigma, step / math.sqrt(12))  # a voxel averages over its width
    if room is None:
        _scale(field, nodule.target_volume_mm3, _near_mm((step, blur), SLACKS[0]) + beyond_mm)
    step, origin, count = step * field.scale, field.origin * field.scale, field.count
    grid = lattice(origin, count, step)
    bound = None if room is None else room.on(_in_world(grid, nodule))

    def distances(near_mm: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        body, whole = field.distances(near_mm)
        return (body, whole) if bound is None else (np.minimum(body, bound), np.minimum(whole, bound))

    volume = nodule.target_volume_mm3
    widths = step, blur
    least = np.inf if has_depth(nodule) else beyond_mm
    body, occupancy, profile = _filled(distances, least, volume / step**3, widths)
    if include_mm is None and beyond_mm == 0:
        box, origin, count = filled_part(profile, origin, step)
        grid = lattice(origin, count, step)
        body, occupancy, profile = (np.ascontiguousarray(whole[box]) for whole in (body, occupancy, profile))
    core_occupancy = core_profile = None
    if shape.core is not None:
        core = Field(Shape(shape.core.scaled(field.scale), NO_SPICULES, 0, None), origin, count, step, 0.0)
        core_voxels = nodule.core_ratio**3 * volume / step**3
        _, core_occupancy, core_profile = _filled(core.distances, beyond_mm, core_voxels, widths, (occupancy, profile))

    centroid = centroid_mm(grid, occupancy)
    if room is None and tubes is None:
        x, y, z = np.asarray(grid.origin_mm) - centroid
        grid, centroid = Grid(grid.shape, grid.spacing_mm, (float(x), float(y), float(z))), np.zeros(3)
    return Raster(grid, occupancy, profile, core_occupancy, core_profile, body, shape.n_spicules, centroid)


def body_on(nodule: Nodule, spacing_mm: float) -> tuple[Grid, NDArray[np.float32]]:
    """Signed distance to a nodule's body alone, without what :func:`rasterise` makes of it besides.

    Parameters
    ----------
    nodule
        A nodule whose volume is known.
    spacing_mm
        Spacing of the lattice before it is scaled to the volume of body and spicules.

    Returns
    -------
    Grid, array
        Lattice about the form's own centre, and the distance [mm] ``(z, y, x)``, positive inside; farther than two
        voxels from the surface only a bound of it.
    """
    field = _field_of(nodule, shape_of(nodule), spacing_mm)
    _scale(field, nodule.target_volume_mm3, 2 * spacing_mm)
    step = spacing_mm * field.scale
    return lattice(field.origin * field.scale, field.count, step), field.distances(2 * step)[0]


def _field_of(
    nodule: Nodule,
    shape: Shape,
    step: float,
    beyond_mm: float = 0.0,
    include_mm: NDArray[np.float64] | None = None,
) -> Field:
    """The distances of a form on a lattice that holds it, its margin and what else is asked for."""
    pad = TAIL * nodule.attributes.margin_mm / WIDTH_10_90 + 2.5 * step + beyond_mm
    low, high = shape.extent_mm()
    low, high = low - 1.2 * pad, high + 1.2 * pad
    if include_mm is not None:
        # A lattice that is scaled down to the volume of body and spicules must still reach them.
        include_mm = (1.25 if len(shape.spicules) else 1.0) * include_mm
        low, high = np.minimum(low, include_mm.min(axis=0)), np.maximum(high, include_mm.max(axis=0))
    origin, count = box_of(low, high, step)
    return Field(shape, origin, count, step, 1.2 * pad)


def _scale(field: Field, volume_mm3: float, near_mm: float) -> None:
    """Scale a form to its volume, where spicules come on top of a body that has it."""
    if len(field.shape.spicules):
        _, whole = field.distances(near_mm)
        union_mm3 = voxels_within(whole, 1.0 / field.step) * field.step**3
        field.scale = (volume_mm3 / union_mm3) ** (1 / 3)


def _grown(nodule: Nodule, room: Room, step: float) -> Shape:
    """The form at the scale at which the part of it inside the room has the volume, to within about 1 %."""
    centre = np.asarray(nodule.centre_mm)
    axis, normal = _laid_along(nodule, room, centre)
    shape = shape_of(nodule if axis is None else nodule.model_copy(update={"axis": axis}), normal=normal)
    scale = 1.0
    for _ in range(N_GROWTHS):
        grown = shape.scaled(scale)
        low, high = grown.extent_mm()
        origin, count = box_of(low - 3 * step, high + 3 * step, step)
        grid = lattice(origin, count, step)
        whole = np.minimum(
            Field(grown, origin, count, step, 3 * step).distances(3 * step)[1], room.on(_in_world(grid, nodule))
        )
        share = voxels_within(whole, 1.0 / step) * step**3 / nodule.target_volume_mm3
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


def has_depth(nodule: Nodule) -> bool:
    """Whether something inside follows the surface, so that the distance to it must be known all the way in."""
    said = nodule.attributes
    return said.calcium_fraction > 0 or said.necrosis_ratio > 0 or said.cavity_wall_mm is not None


def _near_mm(widths: tuple[float, float], slack: float) -> float:
    """As far from the surface as the search for a volume looks within that slack, and a little more [mm]."""
    return max((edge.tail + slack + 0.1) * width for edge, width in zip((RAMP, GAUSSIAN), widths, strict=True))


def _filled(
    distances: Callable[[float], tuple[NDArray[np.float32], NDArray[np.float32]]],
    beyond_mm: float,
    n_voxels: float,
    widths: tuple[float, float],
    within: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None] = (None, None),
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Distance to the body, occupancy and soft profile of that many voxels.

    Distances are worked out as far as the offset looks, and ``beyond_mm`` more: most are found near by.
    """
    for slack in SLACKS:
        body, whole = distances(np.inf if slack == SLACKS[-1] else _near_mm(widths, slack) + beyond_mm)
        occupancy = shares_of(whole, n_voxels, 1.0 / widths[0], RAMP, within[0], slack)
        profile = shares_of(whole, n_voxels, 1.0 / widths[1], GAUSSIAN, within[1], slack)
        if occupancy is not None and profile is not None:
            return body, occupancy, profile
    raise too_coarse(n_voxels)
