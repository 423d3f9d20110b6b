"""How far every place in a twin is from what nodules keep clear of: pleura, airways, vessels.

Euclidean distance maps on the twin's voxels, thinned to about 2 mm and cut to the box around the lungs. They hang on
the twin alone: held by who places many nodules in it, they are worked out once. Of each map the voxels of a lobe are
picked once (:class:`Cells`), so that a nodule's constraints are weighed on its own lobe and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from twins import LUNG, Grid, Structure, Tree, Twin

from .surroundings import AERATED, AIRWAYS, LOBES_OF_A_LUNG, VESSELS

STEP_MM = 2.0
"""Placement works on about this grid [mm]."""


@dataclass
class Clearance:
    """Anatomy of a twin on the thinned grid, with its distance maps, worked out when first asked for.

    ``Clearance(twin)`` handed to :func:`lesions.place` serves all nodules that are ever placed in that twin; places are
    the same with and without it.

    Parameters
    ----------
    twin
        The twin.
    """

    twin: Twin
    grid: Grid = field(init=False)
    structure: NDArray[np.uint16] = field(init=False)
    maps: dict[str, NDArray[np.float32]] = field(init=False, default_factory=dict)
    _cells: dict[Structure | None, Cells] = field(init=False, default_factory=dict, repr=False)
    _lines: dict[Structure | None, VesselLines] = field(init=False, default_factory=dict, repr=False)

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
        """Farthest that a point lies from the centre of its thinned voxel [mm]."""
        return 0.5 * float(np.linalg.norm(self.grid.spacing_mm))

    def is_any(self, structures: Iterable[Structure]) -> NDArray[np.bool_]:
        """Mask of the thinned voxels whose structure is one of these."""
        return np.isin(self.structure, [int(s) for s in structures])

    def cells(self, lobe: Structure | None) -> Cells:
        """The voxels of one lobe, or of all aerated lung; there may be none."""
        if lobe not in self._cells:
            own = self.is_any(AERATED) if lobe is None else self.structure == lobe
            self._cells[lobe] = Cells(self, np.flatnonzero(own))
        return self._cells[lobe]

    def pleura_mm(self) -> NDArray[np.float32]:
        """Distance to where the lungs end; the ends of the twin count as such."""
        if "pleura" not in self.maps:
            lung = np.pad(self.is_any(LUNG), 1)
            self.maps["pleura"] = self._edt(lung)[1:-1, 1:-1, 1:-1]
        return self.maps["pleura"]

    def fissure_mm(self) -> NDArray[np.float32]:
        """Distance to a fissure or another lobe of the same lung, within lobes; infinite elsewhere."""
        if "fissure" not in self.maps:
            out = np.full(self.structure.shape, np.inf, np.float32)
            for lung in LOBES_OF_A_LUNG:
                for lobe in lung:
                    own = self.structure == lobe
                    if own.any():
                        away = self._away_from(self.is_any((*(s for s in lung if s != lobe), Structure.FISSURE)))
                        out[own] = away[own]
            self.maps["fissure"] = out
        return self.maps["fissure"]

    def lobe_edge_mm(self) -> NDArray[np.float32]:
        """Distance to the voxels where two lobes of a lung, or a lobe and a fissure, meet; infinite where none do."""
        if "lobe edge" not in self.maps:
            edge = self.structure == Structure.FISSURE
            for lung in LOBES_OF_A_LUNG:
                lobe = np.where(np.isin(self.structure, lung), self.structure, 0)
                for axis in range(3):
                    before, after = (np.delete(lobe, end, axis) for end in (-1, 0))
                    meet = (before != after) & (before > 0) & (after > 0)
                    for end in (0, -1):
                        pad = [(0, 0)] * 3
                        pad[axis] = (1, 0) if end == 0 else (0, 1)
                        edge |= np.pad(meet, pad)
            self.maps["lobe edge"] = self._away_from(edge)
        return self.maps["lobe edge"]

    def airway_mm(self, thickness_mm: float) -> NDArray[np.float32]:
        """Distance to airways at least that wide: of the twin's tree, or where it has none of all its airway voxels."""
        name = f"airway {thickness_mm:.3f}" if len(self.twin.airways) else "airway"
        if name not in self.maps:
            tree = self.twin.airways
            mask = self._lumen([tree], thickness_mm) if len(tree) else self.is_any(AIRWAYS)
            self.maps[name] = self._away_from(mask)
        return self.maps[name]

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

    def vessel_lines(self, lobe: Structure | None) -> VesselLines:
        """The branches of the twin's arteries and veins that run in a lobe, or in any aerated lung."""
        if lobe not in self._lines:
            self._lines[lobe] = self._lines_in(AERATED if lobe is None else (lobe,))
        return self._lines[lobe]

    def _lines_in(self, lobes: Sequence[Structure]) -> VesselLines:
        wanted, lung = ([int(s) for s in some] for some in ((*lobes, Structure.OUTSIDE), LUNG))
        rows = []
        for tree in (self.twin.arteries, self.twin.veins):
            middle = 0.5 * (tree.start_mm + tree.end_mm).astype(np.float64)
            index = np.rint(self.twin.grid.world_to_index(middle)).astype(int)
            inside = np.all((index >= 0) & (index < self.twin.grid.shape), axis=1) & np.isin(tree.lobe, wanted)
            inside[inside] = np.isin(self.twin.structure[tuple(index[inside].T)], lung)
            mean = 0.5 * (tree.start_radius_mm + tree.end_radius_mm)
            rows.append(np.column_stack((tree.start_mm, tree.end_mm, mean))[inside].astype(np.float64))
        found = np.concatenate(rows)
        return VesselLines(found[:, 0:3], found[:, 3:6], found[:, 6])

    def _lumen(self, trees: Sequence[Tree], thickness_mm: float) -> NDArray[np.bool_]:
        """Voxels within the branches at least that thick, and those that their centre lines cross."""
        step = min(self.grid.spacing_mm)
        mask = np.zeros(self.grid.shape, bool)
        for tree in trees:
            # Most branches are thin from end to end.
            thick = 2 * np.maximum(tree.start_radius_mm, tree.end_radius_mm) >= thickness_mm
            start, end = tree.start_mm[thick], tree.end_mm[thick]
            first_mm, last_mm = tree.start_radius_mm[thick], tree.end_radius_mm[thick]
            n_points = np.ceil(np.linalg.norm(end - start, axis=1) / (0.5 * step)).astype(int) + 1
            row = np.repeat(np.arange(len(start)), n_points)
            first = np.repeat(np.cumsum(n_points) - n_points, n_points)
            t = ((np.arange(len(row)) - first) / np.maximum(1, n_points - 1)[row])[:, None]
            points = (1 - t) * start[row] + t * end[row]
            radius = (1 - t[:, 0]) * first_mm[row] + t[:, 0] * last_mm[row]
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
        spacing = self.grid.spacing_mm
        nearest = distance_transform_edt(mask, sampling=spacing, return_distances=False, return_indices=True)
        # Axis by axis: a fraction of the memory that SciPy takes to turn the nearest voxels into distances.
        squared = np.zeros(mask.shape)
        for axis, step in enumerate(spacing):
            own = np.arange(mask.shape[axis]).reshape([-1 if k == axis else 1 for k in range(3)])
            squared += np.square((nearest[axis] - own) * step)
        return np.sqrt(squared).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class VesselLines:
    """Branches of vessels: ``start_mm``, ``end_mm`` (n, 3) world points, ``radius_mm`` (n,) the mean one."""

    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]


@dataclass(eq=False)
class Cells:
    """Thinned voxels of a twin that nodules may lie in, with their distances; arrays are ``(n,)``, in one order.

    Parameters
    ----------
    where
        The twin's maps.
    flat
        Flat indices into the thinned grid.
    """

    where: Clearance
    flat: NDArray[np.intp]
    _picked: dict[str, NDArray[np.float32]] = field(init=False, default_factory=dict, repr=False)

    def pleura_mm(self) -> NDArray[np.float32]:
        """See :meth:`Clearance.pleura_mm`."""
        return self._of("pleura", self.where.pleura_mm)

    def fissure_mm(self) -> NDArray[np.float32]:
        """See :meth:`Clearance.fissure_mm`."""
        return self._of("fissure", self.where.fissure_mm)

    def lobe_edge_mm(self) -> NDArray[np.float32]:
        """See :meth:`Clearance.lobe_edge_mm`."""
        return self._of("lobe edge", self.where.lobe_edge_mm)

    def airway_mm(self, thickness_mm: float) -> NDArray[np.float32]:
        """See :meth:`Clearance.airway_mm`."""
        return self._of(f"airway {thickness_mm:.3f}", lambda: self.where.airway_mm(thickness_mm))

    def vessel_mm(self, thickness_mm: float) -> NDArray[np.float32]:
        """See :meth:`Clearance.vessel_mm`."""
        return self._of(f"vessel {thickness_mm:.3f}", lambda: self.where.vessel_mm(thickness_mm))

    def _of(self, name: str, distance: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        if name not in self._picked:
            self._picked[name] = distance().ravel()[self.flat]
        return self._picked[name]
