"""Places that a twin's own trees give: forks of airways, meetings of vessels, the side of a vessel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twins import LUNG, Structure, Twin

from .clearance import Clearance
from .crossings import crossing_of, meetings_of, vessels_of
from .nodule import Nodule
from .plugs import WIDENED, fits, forks_of, plug_radius_mm
from .surroundings import AERATED
from .taken import N_TRIES, NODULE_GAP_MM, PlacementError, Taken, free

ATTACHED = (0.5, 0.9)
"""A vessel-attached nodule's centre lies this many radii from the vessel's wall (design default)."""

ATTACHED_CALIBRE_MM = 2.0
"""Vessels at least this thick count as attached to (design default)."""

Gap = tuple[str, float, NDArray[np.float32]]
"""What a nodule keeps clear of: name, gap [mm], distances on the thinned grid."""


def beside_vessel(
    where: Clearance,
    nodule: Nodule,
    reach_mm: float,
    full_mm: float,
    gaps: Sequence[Gap],
    taken: Taken,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """A point at the side of one of the twin's vessels, uniform along them, with its gaps to all else.

    Raises
    ------
    PlacementError
        If there is none.
    """
    radius = 0.5 * nodule.target_diameter_mm
    vessels = where.vessel_lines(None if nodule.lobe is None else Structure[nodule.lobe])
    thick = 2 * vessels.radius_mm >= ATTACHED_CALIBRE_MM
    if not thick.any():
        raise PlacementError(
            f"nodule {nodule.id!r}: attachment 'vessel' needs vessels at least {ATTACHED_CALIBRE_MM:g} mm thick; "
            f"{nodule.lobe or 'the lungs'} have none"
        )
    start, along = vessels.start_mm[thick], (vessels.end_mm - vessels.start_mm)[thick]
    length = np.sqrt((along**2).sum(axis=1))
    reached = np.cumsum(length)
    pick = np.minimum(np.searchsorted(reached, reached[-1] * rng.random(N_TRIES)), len(reached) - 1)
    side = np.cross(along[pick], rng.standard_normal((N_TRIES, 3)))
    side /= np.maximum(np.sqrt((side**2).sum(axis=1, keepdims=True)), 1e-12)
    away = vessels.radius_mm[thick][pick] + radius * rng.uniform(*ATTACHED, N_TRIES)
    points = start[pick] + rng.random((N_TRIES, 1)) * along[pick] + away[:, None] * side
    index = np.rint(where.grid.world_to_index(points)).astype(int)
    inside = np.all((index >= 0) & (index < where.grid.shape), axis=1)
    at = tuple(np.where(inside[:, None], index, 0).T)
    asked = [int(s) for s in AERATED] if nodule.lobe is None else [int(Structure[nodule.lobe])]
    refused = {f"not in {nodule.lobe or 'aerated lung'}": inside & np.isin(where.structure[at], asked)}
    for name, gap, distance in gaps:
        refused[f"too near to the {name}"] = distance[at] >= reach_mm + gap + where.half_diagonal_mm
    refused["too near to nodules already placed"] = free(points, full_mm, taken)
    left = np.flatnonzero(np.logical_and.reduce(list(refused.values())))
    if not len(left):
        why = ", ".join(f"{name} {np.count_nonzero(~good)}" for name, good in refused.items())
        raise PlacementError(
            f"nodule {nodule.id!r}: attachment 'vessel': none of {N_TRIES} places beside a vessel at least "
            f"{ATTACHED_CALIBRE_MM:g} mm thick will do: {why}"
        )
    return np.asarray(points[left[0]])


def in_airway(
    where: Clearance, nodule: Nodule, full_mm: float, taken: Taken, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A fork of an airway of the calibre that the plug fills."""
    twin, radius = where.twin, plug_radius_mm(nodule.target_volume_mm3)
    if not len(twin.airways):
        raise PlacementError(
            f"nodule {nodule.id!r}: attachment 'airway' needs a twin with an airway tree; attachment: none lays it "
            "anywhere"
        )
    forks = forks_of(twin.airways)
    inside = _in_lobe(twin, nodule, forks.at_mm, forks.lobe)
    right = inside & fits(forks, nodule.target_volume_mm3)
    if not right.any():
        raise PlacementError(
            f"nodule {nodule.id!r}: a plug of its volume has a radius of {radius:.1f} mm and fills airways of "
            f"{radius / WIDENED[1]:.1f} to {radius / WIDENED[0]:.1f} mm radius before a fork; none of "
            f"{np.count_nonzero(inside)} forks in {nodule.lobe or 'the lungs'} is of that calibre"
        )
    left = np.flatnonzero(right)
    left = left[free(forks.at_mm[left], full_mm, taken)]
    if not len(left):
        raise PlacementError(
            f"nodule {nodule.id!r}: {np.count_nonzero(right)} forks have the right calibre, but none is "
            f"{NODULE_GAP_MM:g} mm from the {len(taken)} nodules already placed"
        )
    return np.asarray(forks.at_mm[left[rng.integers(len(left))]])


def where_vessels_meet(
    where: Clearance, nodule: Nodule, full_mm: float, taken: Taken, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A crossing or fork of the twin's vessels whose arms lie in the lungs as far as the nodule reaches."""
    twin, volume = where.twin, nodule.target_volume_mm3
    vessels = vessels_of(twin)
    if not len(vessels):
        raise PlacementError(
            f"nodule {nodule.id!r}: attachment 'vessel' of a crossing needs a twin with trees of vessels; attachment: "
            "none lays it anywhere"
        )
    found = meetings_of(vessels, volume)
    found = found.those(_in_lobe(twin, nodule, found.at_mm, found.lobe))
    for pick in rng.permutation(np.flatnonzero(free(found.at_mm, full_mm, taken)))[:N_TRIES]:
        at = found.at_mm[pick]
        try:
            ends = crossing_of(nodule.at((float(at[0]), float(at[1]), float(at[2]))), twin)[:, 3:6] + at
        except ValueError:  # its vessels end too soon
            continue
        index = np.rint(twin.grid.world_to_index(ends)).astype(int)
        if (
            np.all((index >= 0) & (index < twin.grid.shape))
            and np.isin(twin.structure[tuple(index.T)], [int(s) for s in LUNG]).all()
        ):
            return np.asarray(at)
    raise PlacementError(
        f"nodule {nodule.id!r}: {len(found)} places in {nodule.lobe or 'the lungs'} have vessels that meet and are of "
        f"the calibre for {volume:.0f} mm3; none is free, with all its arms in the lungs and {NODULE_GAP_MM:g} mm from "
        f"the {len(taken)} nodules already placed"
    )


def _in_lobe(twin: Twin, nodule: Nodule, at_mm: NDArray[np.float64], lobe: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Which points of a tree, whose table names their lobe, lie in the lungs and in the lobe asked for."""
    asked = [int(Structure[nodule.lobe])] if nodule.lobe is not None else [int(s) for s in AERATED]
    index = np.rint(twin.grid.world_to_index(at_mm)).astype(int)
    inside = np.all((index >= 0) & (index < twin.grid.shape), axis=1) & np.isin(lobe, asked)
    inside[inside] = np.isin(twin.structure[tuple(index[inside].T)], [int(s) for s in LUNG])
    return inside
