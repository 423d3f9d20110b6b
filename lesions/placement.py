"""Where nodules go: aerated lung, clear of pleura, airways, thick vessels, other nodules and the ends of the twin.

Candidates are the voxels of the twin, thinned to about 2 mm, whose Euclidean distance to what must be kept clear is
at least the nodule's reach (largest radius of its drawn body; spicules may touch) plus the gap asked for, plus half
a diagonal of the thinned voxel for the sub-voxel jitter. One is drawn uniformly. A gap is thus true to the
resolution of the thinned voxels, about 2 mm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from twins import LUNG, Grid, Structure, Tree, Twin

from .nodule import Nodule
from .shape import shape_of
from .surroundings import AERATED, AIRWAYS, VESSELS

STEP_MM = 2.0
"""Placement works on about this grid [mm]."""

NODULE_GAP_MM = 5.0
"""Gap between the surfaces of two nodules, spicules included [mm] (design default)."""

ATTACHED = (0.5, 0.9)
"""A vessel-attached nodule's centre lies this many radii from the vessel (design default)."""


class PlacementError(ValueError):
    """No place satisfies what a nodule asks for; the message names the constraint and the numbers."""


def place(twin: Twin, nodules: Sequence[Nodule], *, rng: np.random.Generator) -> tuple[Nodule, ...]:
    """Give every nodule without ``centre_mm`` a place; given ones are checked and kept.

    A nodule's candidates are tried in an order that depends on one draw from ``rng`` and on its own key alone;
    others matter only where they are in the way. Those with a given place come first, then the rest in the order given.

    Raises
    ------
    PlacementError
        If a nodule asks for what this twin cannot offer.
    """
    ids = [n.id for n in nodules]
    if len(set(ids)) != len(ids):
        raise PlacementError(f"nodule ids must differ within a twin, got {ids}")
    word = int(rng.integers(2**64, dtype=np.uint64))
    field_of = _Field(twin)
    taken: list[tuple[str, NDArray[np.float64], float]] = []
    placed: dict[str, Nodule] = {}
    for nodule in (*(n for n in nodules if n.centre_mm is not None), *(n for n in nodules if n.centre_mm is None)):
        shape = shape_of(nodule)
        low, high = shape.extent_mm()
        full = max(float(np.abs(low).max()), float(np.abs(high).max()))
        if nodule.centre_mm is None:
            stream = np.random.Generator(np.random.Philox(key=np.array([word, nodule.key], dtype=np.uint64)))
            centre = _drawn(field_of, nodule, shape.reach_mm(), full, taken, stream)
        else:
            centre = _given(field_of, nodule, taken)
        taken.append((nodule.id, centre, full))
        placed[nodule.id] = nodule.at((float(centre[0]), float(centre[1]), float(centre[2])))
    return tuple(placed[i] for i in ids)


@dataclass
class _Field:
    """Anatomy of a twin on the thinned grid, with its distance maps, worked out when first asked for."""

    twin: Twin
    grid: Grid = field(init=False)
    structure: NDArray[np.uint16] = field(init=False)
    maps: dict[str, NDArray[np.float32]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        spacing = np.asarray(self.twin.grid.spacing_mm)
        stride = np.maximum(1, np.rint(STEP_MM / spacing)).astype(int)
        start = np.minimum(stride // 2, np.asarray(self.twin.grid.shape) - 1)
        window = tuple(slice(int(a), None, int(s)) for a, s in zip(start, stride, strict=True))
        thinned = self.twin.structure[window]
        # Only the box around the lungs is kept; beyond it there is nothing to keep a distance from but the pleura.
        lung = np.isin(thinned, [int(s) for s in AERATED])
        box = []
        for axis in range(3):
            filled = np.flatnonzero(lung.any(axis=tuple(k for k in range(3) if k != axis)))
            box.append(slice(max(0, filled[0] - 2), filled[-1] + 3) if len(filled) else slice(0, 1))
        self.structure = np.ascontiguousarray(thinned[tuple(box)])
        dz, dy, dx = (float(d) for d in spacing * stride)
        x, y, z = (float(c) for c in self.twin.grid.index_to_world(start + stride * np.array([b.start for b in box])))
        n_z, n_y, n_x = self.structure.shape
        self.grid = Grid((n_z, n_y, n_x), (dz, dy, dx), (x, y, z), self.twin.grid.direction)

    @property
    def half_diagonal_mm(self) -> float:
        return 0.5 * float(np.linalg.norm(self.grid.spacing_mm))

    def is_any(self, structures: Iterable[Structure]) -> NDArray[np.bool_]:
        return np.isin(self.structure, [int(s) for s in structures])

    def pleura_mm(self) -> NDArray[np.float32]:
        """Distance to where the lungs end; the ends of the twin count as such."""
        if "pleura" not in self.maps:
            lung = np.pad(self.is_any(LUNG), 1)
            self.maps["pleura"] = self._edt(lung)[1:-1, 1:-1, 1:-1]
        return self.maps["pleura"]

    def airway_mm(self) -> NDArray[np.float32]:
        if "airway" not in self.maps:
            self.maps["airway"] = self._away_from(self.is_any(AIRWAYS))
        return self.maps["airway"]

    def vessel_mm(self, thickness_mm: float) -> NDArray[np.float32]:
        """Distance to vessels at least that thick: of the twin's trees, or where it has none of its vessel voxels."""
        name = f"vessel {thickness_mm:.3f}"
        if name not in self.maps:
            trees = [tree for tree in (self.twin.arteries, self.twin.veins) if len(tree)]
            if trees:
                self.maps[name] = self._away_from(self._lumen(trees, thickness_mm))
            else:
                self.maps[name] = self._away_from_thick_voxels(thickness_mm)
        return self.maps[name]

    def _lumen(self, trees: Sequence[Tree], thickness_mm: float) -> NDArray[np.bool_]:
        """Voxels within the branches at least that thick, and those that their centre lines cross."""
        step = min(self.grid.spacing_mm)
        mask = np.zeros(self.grid.shape, bool)
        for tree in trees:
            n_points = np.ceil(np.linalg.norm(tree.end_mm - tree.start_mm, axis=1) / (0.5 * step)).astype(int) + 1
            row = np.repeat(np.arange(len(tree)), n_points)
            first = np.repeat(np.cumsum(n_points) - n_points, n_points)
            t = ((np.arange(len(row)) - first) / np.maximum(1, n_points - 1)[row])[:, None]
            points = (1 - t) * tree.start_mm[row] + t * tree.end_mm[row]
            radius = (1 - t[:, 0]) * tree.start_radius_mm[row] + t[:, 0] * tree.end_radius_mm[row]
            kept = 2 * radius >= thickness_mm
            index = np.rint(self.grid.world_to_index(points[kept])).astype(int)
            reach = np.floor(radius[kept] / step + 0.5).astype(int)
            for r in np.unique(reach):
                ball = np.stack(np.meshgrid(*[np.arange(-r, r + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
                ball = ball[(ball**2).sum(axis=1) <= r * r]
                at = (index[reach == r][:, None] + ball).reshape(-1, 3)
                at = at[np.all((at >= 0) & (at < self.grid.shape), axis=1)]
                mask[tuple(at.T)] = True
        return mask

    def _away_from_thick_voxels(self, thickness_mm: float) -> NDArray[np.float32]:
        """Distance to the vessel voxels that lie half the thickness inside, less that half; to all for thin ones."""
        vessel = self.is_any(VESSELS)
        step = min(self.grid.spacing_mm)
        if thickness_mm <= 1.5 * step or not vessel.any():
            return self._away_from(vessel)
        if "inside vessels" not in self.maps:
            self.maps["inside vessels"] = self._edt(vessel)
        thick = self.maps["inside vessels"] >= 0.5 * thickness_mm
        return np.maximum(self._away_from(thick) - np.float32(0.5 * thickness_mm), 0)

    def _away_from(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        if not mask.any():
            return np.full(mask.shape, np.inf, np.float32)
        return self._edt(~mask)

    def _edt(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        distance: NDArray[np.float32] = distance_transform_edt(mask, sampling=self.grid.spacing_mm).astype(np.float32)
        return distance


Taken = list[tuple[str, NDArray[np.float64], float]]


def _drawn(
    where: _Field, nodule: Nodule, reach_mm: float, full_mm: float, taken: Taken, rng: np.random.Generator
) -> NDArray[np.float64]:
    asked = _lobe_mask(where, nodule)
    slack = where.half_diagonal_mm
    allowed = asked.copy()
    for name, gap, distance in _gaps(where, nodule):
        before = allowed
        need = reach_mm + gap + slack
        allowed = allowed & (distance >= need)
        if not allowed.any():
            best = float(distance[before].max())
            raise PlacementError(
                f"nodule {nodule.id!r}: no place in {nodule.lobe or 'the lungs'} is far enough from the {name}: its "
                f"reach of {reach_mm:.1f} mm, the gap of {gap:g} mm and {slack:.1f} mm of grid tolerance need "
                f"{need:.1f} mm, the roomiest voxel has {best:.1f} mm"
            )
    if nodule.attachment == "vessel":
        allowed = _attached(where, nodule, allowed)
    candidates = np.flatnonzero(allowed)
    world = where.grid.index_to_world(np.stack(np.unravel_index(candidates, allowed.shape), axis=1))
    jitter = where.grid.index_to_world(rng.uniform(-0.5, 0.5, 3)) - np.asarray(where.grid.origin_mm)
    start = int(rng.integers(len(candidates)))
    points = world + jitter
    free = np.ones(len(points), bool)
    for _, centre, radius in taken:
        free &= np.sqrt(((points - centre) ** 2).sum(axis=1)) >= radius + full_mm + NODULE_GAP_MM
    if not free.any():
        raise PlacementError(
            f"nodule {nodule.id!r}: {len(points)} places satisfy its distances, but none is {NODULE_GAP_MM:g} mm from "
            f"the {len(taken)} nodules already placed (radii {[round(r, 1) for _, _, r in taken]} and {full_mm:.1f} mm)"
        )
    # Uniform among all places; where the drawn one is taken, uniform among the free ones.
    chosen = start if free[start] else int(np.flatnonzero(free)[rng.integers(np.count_nonzero(free))])
    return np.asarray(points[chosen])


def _gaps(where: _Field, nodule: Nodule) -> list[tuple[str, float, Any]]:
    gaps: list[tuple[str, float, Any]] = [
        ("pleura", nodule.min_distance_to_pleura_mm, where.pleura_mm()),
        ("airways", nodule.min_distance_to_airway_mm, where.airway_mm()),
    ]
    if nodule.attachment != "vessel":
        thickness = nodule.avoided_vessel_mm
        gaps.append(
            (f"vessels thicker than {thickness:.1f} mm", nodule.min_distance_to_vessel_mm, where.vessel_mm(thickness))
        )
    return gaps


def _attached(where: _Field, nodule: Nodule, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    radius = 0.5 * nodule.target_diameter_mm
    distance = where.vessel_mm(0.0)
    near, far = ATTACHED[0] * radius, max(ATTACHED[1] * radius, ATTACHED[0] * radius + 0.5 * min(where.grid.spacing_mm))
    attached = allowed & (distance >= near) & (distance <= far)
    if not attached.any():
        raise PlacementError(
            f"nodule {nodule.id!r}: attachment 'vessel' needs a vessel {near:.1f} to {far:.1f} mm from the centre; "
            f"none of {np.count_nonzero(allowed)} places has one"
        )
    return attached


def _lobe_mask(where: _Field, nodule: Nodule) -> NDArray[np.bool_]:
    if nodule.lobe is None:
        mask = where.is_any(AERATED)
        if not mask.any():
            raise PlacementError(f"nodule {nodule.id!r}: this twin has no aerated lung")
        return mask
    mask = where.structure == Structure[nodule.lobe]
    if not mask.any():
        known = [s.name for s in AERATED if np.any(where.structure == s)]
        raise PlacementError(
            f"nodule {nodule.id!r}: lobe {nodule.lobe} is not in this twin, which has {', '.join(known) or 'no lung'}"
        )
    return mask


def _given(where: _Field, nodule: Nodule, taken: Taken) -> NDArray[np.float64]:
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
