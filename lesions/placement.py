"""Where nodules go: aerated lung, clear of pleura, airways, thick vessels, other nodules and the ends of the twin.

Candidates are the voxels of the twin, thinned to about 2 mm, whose Euclidean distance to what must be kept clear is
at least the nodule's reach (largest radius of its drawn body; spicules may touch) plus the gap asked for, plus half
a diagonal of the thinned voxel for the sub-voxel jitter. One is drawn uniformly. A gap is thus true to the
resolution of the thinned voxels, about 2 mm. Where no voxel has such room, the body's own surface is tried instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import LOBES, LUNG, Structure, Twin

from .along_trees import ATTACHED, ATTACHED_CALIBRE_MM, beside_vessel, in_airway, where_vessels_meet
from .attachment import lobe_around, lung_around
from .clearance import Cells, Clearance
from .nodule import Nodule
from .raster import LIE_FLAT, stands
from .shape import Shape, shape_of
from .sizing import sized
from .surroundings import AERATED
from .taken import N_TRIES, NODULE_GAP_MM, PlacementError, Taken, free

DEPTH = (0.3, 0.8)
"""A nodule bounded by pleura or fissure has its unbounded centre this many half thicknesses inside (design default)."""

MOST_ROUNDS = 12
"""Orders and places tried where nodules leave no room for each other (design default)."""

CROSS_FISSURES = ("scar", "mucus_plug", "vessel_crossing")
"""Kinds that may run through a fissure; all else that grows beside one is bounded by it (design default)."""


def place(
    twin: Twin, nodules: Sequence[Nodule], *, rng: np.random.Generator, clearance: Clearance | None = None
) -> tuple[Nodule, ...]:
    """Give every nodule without ``centre_mm`` a place; given ones are checked and kept.

    A nodule's candidates are tried in an order that depends on one draw from ``rng`` and on its own key alone;
    others matter only where they are in the way. Those with a given place come first, then the rest in the order given.
    A nodule that those drawn before it leave no room goes first, and all are drawn anew.
    ``clearance``, the distance maps of the same twin, saves their working out where many sets are placed in one twin.

    Raises
    ------
    PlacementError
        If a nodule asks for what this twin cannot offer.
    """
    ids = [n.id for n in nodules]
    if len(set(ids)) != len(ids):
        raise PlacementError(f"nodule ids must differ within a twin, got {ids}")
    field_of = Clearance(twin) if clearance is None else clearance
    if field_of.twin is not twin:
        raise ValueError("clearance must be that of the twin")
    first: list[Nodule] = [n for n in nodules if n.centre_mm is not None]
    order = [n for n in nodules if n.centre_mm is None]
    for rounds_left in reversed(range(MOST_ROUNDS)):
        placed: dict[str, Nodule] = {}
        try:
            _place_all(field_of, (*first, *order), placed, int(rng.integers(2**64, dtype=np.uint64)))
        except PlacementError:
            if len(placed) <= len(first) or not rounds_left:
                raise
            crowded_out = order.pop(len(placed) - len(first))
            order.insert(0, crowded_out)
        else:
            break
    return tuple(placed[i] for i in ids)


def _place_all(where: Clearance, nodules: Sequence[Nodule], placed: dict[str, Nodule], word: int) -> None:
    """Fill ``placed`` in this order, until a nodule finds no place."""
    taken: list[tuple[str, NDArray[np.float64], float]] = []
    for asked in nodules:
        nodule = sized(asked)
        shape = shape_of(nodule)
        full = shape.full_reach_mm()
        if nodule.centre_mm is None:
            stream = np.random.Generator(np.random.Philox(key=np.array([word, nodule.key], dtype=np.uint64)))
            centre = _drawn(where, nodule, shape, full, taken, stream)
        else:
            centre = _given(where, nodule, taken)
        taken.append((nodule.id, centre, full))
        placed[nodule.id] = asked.at((float(centre[0]), float(centre[1]), float(centre[2])))


def _drawn(
    where: Clearance, nodule: Nodule, shape: Shape, full_mm: float, taken: Taken, rng: np.random.Generator
) -> NDArray[np.float64]:
    if nodule.attributes.attachment == "airway":
        return in_airway(where, nodule, full_mm, taken, rng)
    if nodule.kind == "vessel_crossing" and nodule.attributes.attachment == "vessel":
        return where_vessels_meet(where, nodule, full_mm, taken, rng)
    # A scar may run beside or through what lies at its ends.
    reach = 0.6 * nodule.target_diameter_mm if nodule.kind == "scar" else shape.reach_mm()
    if nodule.attributes.attachment == "vessel" and (len(where.twin.arteries) or len(where.twin.veins)):
        return beside_vessel(where, nodule, reach, full_mm, _gaps(where, nodule), taken, rng)
    cells = _cells(where, nodule)
    try:
        allowed = _roomy(cells, nodule, reach)
    except PlacementError:
        # No voxel has room for the ball of the largest radius; an oblong body may fit all the same.
        fitting = _fitting(cells, nodule, shape.surface_mm()[::7], full_mm, taken, rng)
        if fitting is None:
            raise
        return fitting
    attributes = nodule.attributes
    if attributes.attachment == "vessel":
        allowed = _attached(cells, nodule, allowed)
    if attributes.attachment in ("pleura", "fissure"):
        return _against(where, nodule, cells.flat[_near_surface(cells, nodule, allowed)], full_mm, taken, rng)
    if attributes.max_distance_to_pleura_mm is not None:
        allowed = _near_pleura(cells, nodule, allowed, attributes.max_distance_to_pleura_mm)
    candidates = cells.flat[allowed]
    jitter = where.grid.index_to_world(rng.uniform(-0.5, 0.5, 3)) - np.asarray(where.grid.origin_mm)
    # Uniform among all places; where the drawn one is taken, uniform among the free ones.
    points = _points(where, candidates[[rng.integers(len(candidates))]]) + jitter
    if free(points, full_mm, taken)[0]:
        return np.asarray(points[0])
    points = _points(where, candidates) + jitter
    left = np.flatnonzero(free(points, full_mm, taken))
    if not len(left):
        raise PlacementError(
            f"nodule {nodule.id!r}: {len(points)} places satisfy its distances, but none is {NODULE_GAP_MM:g} mm from "
            f"the {len(taken)} nodules already placed (radii {[round(r, 1) for _, _, r in taken]} and {full_mm:.1f} mm)"
        )
    return np.asarray(points[left[rng.integers(len(left))]])


def _points(where: Clearance, voxels: NDArray[np.intp]) -> NDArray[np.float64]:
    return where.grid.index_to_world(np.stack(np.unravel_index(voxels, where.grid.shape), axis=1))


def _roomy(cells: Cells, nodule: Nodule, reach_mm: float) -> NDArray[np.bool_]:
    """Cells that are the nodule's reach and gap away from all that it must keep clear of."""
    slack = cells.where.half_diagonal_mm
    allowed = np.ones(len(cells.flat), bool)
    for name, gap, distance in _gaps(cells, nodule):
        before = allowed
        need = reach_mm + gap + slack
        allowed = before & (distance >= need)
        if not allowed.any():
            best = float(distance[before].max())
            raise PlacementError(
                f"nodule {nodule.id!r}: no place in {nodule.lobe or 'the lungs'} is far enough from the {name}: its "
                f"reach of {reach_mm:.1f} mm, the gap of {gap:g} mm and {slack:.1f} mm of grid tolerance need "
                f"{need:.1f} mm, the roomiest voxel has {best:.1f} mm"
            )
    return allowed


def _fitting(
    cells: Cells,
    nodule: Nodule,
    surface_mm: NDArray[np.float64],
    full_mm: float,
    taken: Taken,
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    """A random point around which the surface of the body itself keeps its gaps, or None after ``N_TRIES``."""
    where = cells.where
    inner = float(np.sqrt((surface_mm**2).sum(axis=1).min()))
    allowed = np.ones(len(cells.flat), bool)
    for _, gap, distance in _gaps(cells, nodule):
        allowed = allowed & (distance >= inner + gap)
    candidates = cells.flat[allowed]
    gaps = _gaps(where, nodule)
    half = 0.5 * min(where.grid.spacing_mm)
    for pick in rng.permutation(candidates)[:N_TRIES] if nodule.attributes.attachment == "none" else ():
        centre = _points(where, np.array([pick]))[0]
        index = np.rint(where.grid.world_to_index(centre + surface_mm)).astype(int)
        if np.any((index < 0) | (index >= where.grid.shape)):
            continue
        at = tuple(index.T)
        found = where.structure[at]
        if np.any(np.isin(found, LOBES) & (found != where.structure.flat[pick])):
            continue
        if free(centre[None], full_mm, taken)[0] and all(
            float(distance[at].min()) >= gap + half for _, gap, distance in gaps
        ):
            return np.asarray(centre)
    return None


def _gaps(where: Clearance | Cells, nodule: Nodule) -> list[tuple[str, float, Any]]:
    """What the nodule keeps clear of: name, gap [mm] and distances to it, everywhere or of some cells."""
    thickness = nodule.avoided_vessel_mm
    wide = f"thicker than {thickness:.1f} mm"
    attachment = nodule.attributes.attachment
    gaps: list[tuple[str, float, Any]] = []
    if attachment != "pleura":
        gaps.append(("pleura", nodule.min_distance_to_pleura_mm, where.pleura_mm()))
    gaps += [
        (f"airways {wide}", nodule.min_distance_to_airway_mm, where.airway_mm(thickness)),
    ]
    if attachment != "vessel":
        gaps.append((f"vessels {wide}", nodule.min_distance_to_vessel_mm, where.vessel_mm(thickness)))
    if attachment in ("none", "vessel") and nodule.kind not in CROSS_FISSURES:
        gaps.append(("fissures", 0.0, where.lobe_edge_mm()))
    return gaps


def _attached(cells: Cells, nodule: Nodule, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    radius, step = 0.5 * nodule.target_diameter_mm, min(cells.where.grid.spacing_mm)
    distance = cells.vessel_mm(ATTACHED_CALIBRE_MM)
    # The map runs from centre to centre of thinned voxels: the next one to a vessel must count.
    near, far = ATTACHED[0] * radius, max(ATTACHED[1] * radius, ATTACHED[0] * radius + step)
    attached = allowed & (distance >= near) & (distance <= far)
    if not attached.any():
        raise PlacementError(
            f"nodule {nodule.id!r}: attachment 'vessel' needs a vessel {near:.1f} to {far:.1f} mm from the centre; "
            f"none of {np.count_nonzero(allowed)} places has one"
        )
    return attached


def _near_pleura(cells: Cells, nodule: Nodule, allowed: NDArray[np.bool_], gap_mm: float) -> NDArray[np.bool_]:
    near = allowed & (cells.pleura_mm() <= gap_mm + 0.5 * nodule.target_diameter_mm)
    if not near.any():
        raise PlacementError(
            f"nodule {nodule.id!r}: max_distance_to_pleura_mm {gap_mm:g}: none of {np.count_nonzero(allowed)} places "
            f"is that near to the pleura, the nearest centre has {float(cells.pleura_mm()[allowed].min()):.1f} mm"
        )
    return near


def _near_surface(cells: Cells, nodule: Nodule, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells within about a radius of the pleura or fissure that the nodule is to grow against."""
    attachment = nodule.attributes.attachment
    distance = cells.pleura_mm() if attachment == "pleura" else cells.fissure_mm()
    reach = max(0.5 * nodule.target_diameter_mm, 2 * max(cells.where.grid.spacing_mm))
    near = allowed & (distance <= reach)
    if not near.any():
        best = float(distance[allowed].min())
        raise PlacementError(
            f"nodule {nodule.id!r}: attachment {attachment!r} needs one within {reach:.1f} mm of its centre; "
            f"the nearest of {np.count_nonzero(allowed)} places has {best:.1f} mm"
        )
    return near


def _against(
    where: Clearance,
    nodule: Nodule,
    near: NDArray[np.intp],
    full_mm: float,
    taken: Taken,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """A place at the surface, moved along its normal to the drawn depth of the centre."""
    pleura = nodule.attributes.attachment == "pleura"
    # Half the thickness of one that lies flat, else the radius.
    thin = nodule.attributes.flatness if nodule.kind in LIE_FLAT else None
    half = 0.5 * nodule.target_diameter_mm * (1.0 if thin is None else thin ** (2 / 3))
    if nodule.kind == "scar":
        half = _half_of_scar(nodule)
    depth = half * rng.uniform(*DEPTH)
    for pick in rng.permutation(near)[:N_TRIES]:
        point = _points(where, np.array([pick]))[0]
        around = (lung_around if pleura else lobe_around)(where.twin, point, half + 6.0)
        for _ in range(3):
            point = point + (depth - around.at(point)) * around.inward(point)
        index = tuple(np.rint(where.grid.world_to_index(point)).astype(int))
        if (
            all(0 <= i < n for i, n in zip(index, where.grid.shape, strict=True))
            and abs(around.at(point) - depth) < 0.25
            and free(point[None], full_mm, taken)[0]
        ):
            return np.asarray(point)
    raise PlacementError(
        f"nodule {nodule.id!r}: attachment {nodule.attributes.attachment!r}: none of {N_TRIES} places at it is free "
        f"and {depth:.1f} mm from it"
    )


def _half_of_scar(nodule: Nodule) -> float:
    """Half its length if it stands on the pleura, half its thickness if it lies along it [mm]."""
    second, third = nodule.attributes.elongation or 1.0, nodule.attributes.flatness or 1.0
    longest = 0.5 * nodule.target_diameter_mm / (second * third) ** (1 / 3)
    return longest if stands(nodule) else third * longest


def _cells(where: Clearance, nodule: Nodule) -> Cells:
    """The voxels of the lobe asked for, or of the lungs."""
    cells = where.cells(None if nodule.lobe is None else Structure[nodule.lobe])
    if not len(cells.flat):
        if nodule.lobe is None:
            raise PlacementError(f"nodule {nodule.id!r}: this twin has no aerated lung")
        known = [s.name for s in AERATED if np.any(where.structure == s)]
        raise PlacementError(
            f"nodule {nodule.id!r}: lobe {nodule.lobe} is not in this twin, which has {', '.join(known) or 'no lung'}"
        )
    return cells


def _given(where: Clearance, nodule: Nodule, taken: Taken) -> NDArray[np.float64]:
    centre = np.asarray(nodule.centre_mm, dtype=np.float64)
    twin = where.twin
    index = np.rint(twin.grid.world_to_index(centre)).astype(int)
    if not twin.grid.contains(centre) or int(twin.structure[tuple(index)]) not in [int(s) for s in LUNG]:
        name = "outside the twin"
        if twin.grid.contains(centre):
            name = f"in {Structure(int(twin.structure[tuple(index)])).name}"
        raise PlacementError(f"nodule {nodule.id!r}: centre_mm {nodule.centre_mm} lies {name}, not in the lungs")
    for other, at, _ in taken:
        if np.array_equal(at, centre):
            raise PlacementError(f"nodules {other!r} and {nodule.id!r} have the same centre_mm {nodule.centre_mm}")
    return centre
