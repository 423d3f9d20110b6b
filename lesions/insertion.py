"""Putting nodules into a twin: each becomes one inset, a signed difference to the base on its own fine lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Inset, Twin
from twins.segments import segment_at

from .attachment import Room, lobe_around, lung_around
from .crossings import blood_of, crossing_of
from .interior import difference
from .lattice import filled_box
from .measured import measured
from .nodule import Nodule
from .parts import parts_of
from .periphery import LONGEST_TAG_MM, TAG_RADIUS_MM, halo_of, strands_of, tags_of
from .plugs import plug_of
from .raster import rasterise
from .sizing import sized
from .surroundings import FADES_AT, Displacement, lobe_at, matter_on
from .truth import NoduleTruth, Truth

BOUNDED_REACH = 1.1
"""What bounds a nodule is looked at up to so many diameters from its centre."""

LONG = 1.8
"""A scar's length in those of other forms."""

TOUCH = 1e-3
"""Two nodules overlap where both fill more than this share of a point."""


def insert(twin: Twin, nodules: Sequence[Nodule]) -> tuple[Twin, Truth]:
    """Insert placed nodules; the twin's arrays stay as they are.

    Parameters
    ----------
    twin
        The host; nodules displace its base (insets that it has already are kept, and not seen by the new ones).
    nodules
        Each with ``centre_mm`` (see :func:`lesions.place`).

    Returns
    -------
    Twin, Truth
        The twin with one more inset per nodule, named by its id, and the exact measures and masks.

    Raises
    ------
    ValueError
        If a nodule has no place, leaves the twin, lies outside the lungs or in another lobe than it asks for, or
        overlaps another one.
    """
    insets: list[Inset] = []
    truths: list[NoduleTruth] = []
    placed: list[tuple[str, Grid, NDArray[np.float32]]] = []
    for nodule in nodules:
        inset, truth, profile = _inserted(twin, nodule)
        for name, grid, other in placed:
            if _overlap(inset.grid, profile, grid, other):
                raise ValueError(
                    f"nodules {name!r} and {nodule.id!r} overlap: "
                    f"centres {_centre(name, truths)} and {truth.centre_mm} mm"
                )
        placed.append((nodule.id, inset.grid, profile))
        insets.append(inset)
        truths.append(truth)
    return twin.with_insets(tuple(insets)), Truth(_with_segments(twin, truths))


def _with_segments(twin: Twin, truths: Sequence[NoduleTruth]) -> tuple[NoduleTruth, ...]:
    """The truths with the segment that holds each centroid, where the twin's trees know segments."""
    names = segment_at(twin, np.array([truth.centre_mm for truth in truths])) if truths else None
    if names is None:
        return tuple(truths)
    return tuple(replace(truth, segment=name) for truth, name in zip(truths, names, strict=True))


def _inserted(twin: Twin, nodule: Nodule) -> tuple[Inset, NoduleTruth, NDArray[np.float32]]:
    if nodule.centre_mm is None:
        raise ValueError(f"nodule {nodule.id!r} has no centre_mm: place it first")
    spec = sized(nodule)
    centre = np.asarray(spec.centre_mm)
    tags = None
    if spec.n_pleural_tags:
        tags = tags_of(spec, lung_around(twin, centre, 0.5 * spec.target_diameter_mm + LONGEST_TAG_MM))
    raster = rasterise(
        spec,
        room=_room(twin, spec, centre),
        tubes=_tubes(twin, spec),
        include_mm=_included(spec, tags),
        beyond_mm=1.1 * spec.halo_mm,
    )
    x, y, z = np.asarray(raster.grid.origin_mm) + centre
    grid = Grid(raster.grid.shape, raster.grid.spacing_mm, (float(x), float(y), float(z)))
    solid = raster.occupancy > 0
    box = filled_box(solid)
    _check_inside(twin, nodule, grid, box)
    moved = spec.displacement != 0
    base = matter_on(twin, grid, every=moved)
    around = None
    if moved:
        flow = Displacement(centre + raster.centroid_mm, 0.5 * spec.target_diameter_mm, spec.displacement)
        around = matter_on(twin, grid, flow, every=True)
    parts = parts_of(spec, raster)
    materials, delta = difference(
        spec,
        raster,
        base,
        parts,
        around=around,
        matter=blood_of(spec, twin),
        halo=halo_of(spec, raster, around or base) if spec.halo_mm else None,
        strands=None if tags is None else strands_of(tags, raster, around or base),
    )
    inside = np.flatnonzero(solid)
    some = np.stack(np.unravel_index(inside[:: max(1, len(inside) // 500)], grid.shape), axis=1)
    found = lobe_at(twin, grid.index_to_world(some))
    inset = Inset(nodule.id, grid, materials, delta)
    return inset, measured(twin, nodule, raster, base, parts, inset, found, box), raster.profile


def _room(twin: Twin, nodule: Nodule, centre: NDArray[np.float64]) -> Room | None:
    """What bounds the nodule, if it grows against a surface."""
    attachment = nodule.attributes.attachment
    if attachment not in ("pleura", "fissure"):
        return None
    around = lung_around if attachment == "pleura" else lobe_around
    reach = BOUNDED_REACH * (LONG if nodule.kind == "scar" else 1.0)
    return around(twin, centre, reach * nodule.target_diameter_mm + 3.0)


def _tubes(twin: Twin, nodule: Nodule) -> NDArray[np.float64] | None:
    """The airway that a mucus plug fills, or the vessels that a crossing is made of."""
    attachment = nodule.attributes.attachment
    if attachment == "airway":
        return plug_of(nodule, twin.airways)
    return crossing_of(nodule, twin) if nodule.kind == "vessel_crossing" and attachment == "vessel" else None


def _included(nodule: Nodule, tags: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Points that the lattice must reach for what the nodule does around it."""
    points = []
    if tags is not None:
        points += [tags[:, 3:6] - TAG_RADIUS_MM[-1], tags[:, 3:6] + TAG_RADIUS_MM[-1]]
    if nodule.displacement != 0:
        radius = 0.5 * FADES_AT * nodule.target_diameter_mm
        points.append(np.array([[-radius] * 3, [radius] * 3]))
    return np.concatenate(points) if points else None


def _check_inside(twin: Twin, nodule: Nodule, grid: Grid, box: tuple[slice, slice, slice]) -> None:
    ends = [(b.start - 0.5, b.stop - 0.5) for b in box]
    corners = np.array([[a, b, c] for a in ends[0] for b in ends[1] for c in ends[2]])
    if not twin.grid.contains(grid.index_to_world(corners)).all():
        raise ValueError(
            f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm} leaves the twin, whose grid is centred on "
            f"{twin.grid.centre_mm} mm and measures {twin.grid.size_mm} mm along (z, y, x)"
        )


def _overlap(grid: Grid, profile: NDArray[np.float32], other_grid: Grid, other: NDArray[np.float32]) -> bool:
    low = np.maximum(grid.index_to_world((0, 0, 0)), other_grid.index_to_world((0, 0, 0)))
    high = np.minimum(
        grid.index_to_world(np.asarray(grid.shape) - 1), other_grid.index_to_world(np.asarray(other_grid.shape) - 1)
    )
    if np.any(low > high):
        return False
    filled = np.stack(np.nonzero(profile > TOUCH), axis=1)
    index = np.rint(other_grid.world_to_index(grid.index_to_world(filled))).astype(int)
    index = index[np.all((index >= 0) & (index < other_grid.shape), axis=1)]
    return bool(np.any(other[tuple(index.T)] > TOUCH))


def _centre(name: str, truths: Sequence[NoduleTruth]) -> tuple[float, float, float]:
    return next(t.centre_mm for t in truths if t.id == name)
