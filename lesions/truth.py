"""What is known exactly about inserted nodules: measures of the object itself, and masks on any grid."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.files import replacing_hdf5

from .attributes import Kind
from .nodule import Nodule, NoduleType
from .separable import apply_along

FORMAT = "lungtwin.truth/1"
_ARRAYS = ("occupancy", "core_occupancy")


@dataclass(frozen=True, slots=True, eq=False)
class NoduleTruth:
    """One nodule as it is, before any imaging.

    Volume, mass and HU are those of the whole body inside the truth contour, spicules included. The axial diameters
    are those of the body *without* spicules, which is how readers measure (design default, unverified); definitions in
    ``docs/conventions.md``.

    Parameters
    ----------
    nodule
        The spec, with its place.
    centre_mm
        Centroid ``(x, y, z)`` [mm, LPS].
    volume_mm3, equivalent_diameter_mm
        Exact volume and the diameter of the sphere that has it.
    long_axis_mm, short_axis_mm, mean_diameter_mm
        Axial diameters of the body.
    max_diameter_mm
        Largest 3-D distance of two surface points, spicules included.
    core_volume_mm3, core_diameter_mm
        Solid part: volume, and mean of its axial long and short axis. A solid nodule is all core; ground glass has 0.
    mass_mg, added_mass_mg
        Matter inside the contour (margin tails not counted), and the change of matter that the nodule makes to the
        twin.
    mean_hu, core_mean_hu
        Mean HU equivalent at 70 keV inside the contour and inside the core (None without one).
    lobe
        Name in :class:`twins.Structure`; RIGHT_LUNG or LEFT_LUNG where lobes are not known; None outside the lungs.
    segment
        Bronchopulmonary segment that holds the centroid, name in :class:`twins.segments.Segment`; None where the twin's
        trees know no segments.
    distance_to_pleura_mm, distance_to_vessel_mm
        From the body's surface, to about one voxel of the twin; None beyond 20 mm.
    distance_to_airway_mm
        The same to an airway that the twin's voxels show, its wall included.
    n_spicules
        Number of spicules.
    distance_to_fissure_mm
        From the body's surface to another lobe of the same lung, to about one voxel of the twin; None beyond 20 mm, and
        where the twin knows no lobes.
    on_fissure
        Whether the body comes as near to a fissure as the twin can tell
        (:data:`lesions.surroundings.ON_FISSURE_MM`); None where the twin knows no lobes.
    extent_z_mm, extent_y_mm, extent_x_mm
        Extent along the axes of the world, to about a voxel of the fine lattice; None where not measured.
    calcium_volume_mm3, fat_volume_mm3, fluid_volume_mm3, air_volume_mm3
        Volumes of calcified, fatty, necrotic or fluid, and air-filled parts.
    grid, occupancy, core_occupancy
        Fine lattice in the world and the share of each of its voxels inside the contour, float32; the core's for
        part-solid only.
    """

    nodule: Nodule
    centre_mm: tuple[float, float, float]
    volume_mm3: float
    equivalent_diameter_mm: float
    long_axis_mm: float
    short_axis_mm: float
    mean_diameter_mm: float
    max_diameter_mm: float
    core_volume_mm3: float
    core_diameter_mm: float
    mass_mg: float
    added_mass_mg: float
    mean_hu: float
    core_mean_hu: float | None
    lobe: str | None
    distance_to_pleura_mm: float | None
    distance_to_vessel_mm: float | None
    n_spicules: int
    grid: Grid
    occupancy: NDArray[np.float32]
    core_occupancy: NDArray[np.float32] | None = None
    segment: str | None = None
    distance_to_airway_mm: float | None = None
    distance_to_fissure_mm: float | None = None
    on_fissure: bool | None = None
    extent_z_mm: float | None = None
    extent_y_mm: float | None = None
    extent_x_mm: float | None = None
    calcium_volume_mm3: float = 0.0
    fat_volume_mm3: float = 0.0
    fluid_volume_mm3: float = 0.0
    air_volume_mm3: float = 0.0

    @property
    def id(self) -> str:
        """The nodule's name."""
        return self.nodule.id

    @property
    def type(self) -> NoduleType:
        """Attenuation type."""
        return self.nodule.type

    @property
    def kind(self) -> Kind:
        """Class of lesion; :attr:`is_mimic` tells those that are no nodules."""
        return self.nodule.kind

    @property
    def is_mimic(self) -> bool:
        """Whether this is a hard negative (:attr:`lesions.Nodule.is_mimic`): no nodule in counts, labels and masks."""
        return self.nodule.is_mimic

    @property
    def lung_rads_mean_diameter_mm(self) -> float:
        """Mean of long and short axis as Lung-RADS v2022 reports it: to one decimal [mm]."""
        return math.floor(10 * self.mean_diameter_mm + 0.5) / 10

    @property
    def fleischner_diameter_mm(self) -> int:
        """Mean of long and short axis as Fleischner 2017 reports it: to the nearest whole millimetre [mm]."""
        return math.floor(self.mean_diameter_mm + 0.5)

    @property
    def recist_diameter_mm(self) -> float:
        """Longest axial diameter, what RECIST 1.1 sums over target lesions (Eur. J. Cancer 45 (2009) 228) [mm]."""
        return self.long_axis_mm

    def measures(self) -> dict[str, Any]:
        """All single figures and words about the object: the columns of a dataset's table, in its order.

        The place, the spec and the arrays are left out; the diameters as rules report them are added.
        """
        figures = {k: v for k, v in self.record().items() if k not in ("nodule", "grid", "centre_mm")}
        return figures | {
            "lung_rads_mean_diameter_mm": self.lung_rads_mean_diameter_mm,
            "fleischner_diameter_mm": self.fleischner_diameter_mm,
            "recist_diameter_mm": self.recist_diameter_mm,
        }

    def record(self) -> dict[str, Any]:
        """All but the arrays as plain data: the spec under ``nodule``, the lattice under ``grid``."""
        data = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in (*_ARRAYS, "nodule", "grid")}
        return {
            **data,
            "centre_mm": list(self.centre_mm),
            "nodule": self.nodule.model_dump(mode="json"),
            "grid": self.grid.to_dict(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known about all nodules of one twin, in the order of insertion."""

    nodules: tuple[NoduleTruth, ...]

    def __post_init__(self) -> None:
        ids = [n.id for n in self.nodules]
        if len(set(ids)) != len(ids):
            raise ValueError(f"nodule ids must differ within a twin, got {ids}")
        if len(ids) > 255:
            raise ValueError(f"a truth holds at most 255 nodules (uint8 labels), got {len(ids)}")

    @property
    def n_nodules(self) -> int:
        """How many of them are nodules: mimics do not count."""
        return sum(not n.is_mimic for n in self.nodules)

    def labels(self, grid: Grid, *, mimics: bool = False) -> NDArray[np.uint8]:
        """Label image ``(z, y, x)``: 0 for none, i + 1 where nodule i fills at least half of the voxel.

        A nodule too small to fill half of any voxel gets the one it fills most, so that none inside the grid is lost.
        Mimics are hard negatives and left out, unless ``mimics``; they keep their number all the same.
        """
        labels = np.zeros(grid.shape, np.uint8)
        for i, nodule in enumerate(self.nodules):
            if nodule.is_mimic and not mimics:
                continue
            start, patch = _resampled(nodule, grid)
            if not patch.size or patch.max() <= 0:
                continue
            inside = patch >= 0.5
            if not inside.any():
                inside = patch == patch.max()
            window = labels[tuple(slice(a, a + n) for a, n in zip(start, patch.shape, strict=True))]
            window[inside] = i + 1
        return labels

    def legend(self, *, mimics: bool = False) -> dict[int, str]:
        """What the values of :meth:`labels` stand for: ids, in their order; mimics only where asked for.

        Which are mimics, and of what kind, their specs say (:attr:`nodules`).
        """
        return {i + 1: nodule.id for i, nodule in enumerate(self.nodules) if mimics or not nodule.is_mimic}

    def occupancy(self, grid: Grid, i: int) -> NDArray[np.float32]:
        """Share of each voxel that nodule ``i`` fills, ``(z, y, x)`` float32; they sum to its exact volume."""
        out = np.zeros(grid.shape, np.float32)
        start, patch = _resampled(self.nodules[i], grid)
        out[tuple(slice(a, a + n) for a, n in zip(start, patch.shape, strict=True))] = patch
        return out


def save(truth: Truth, path: str | os.PathLike[str]) -> None:
    """Write a truth as HDF5; the same truth gives the same bytes.

    Each nodule's spec, in ``record``, holds what was set; ``derived`` holds the attributes that followed from it.
    """
    with replacing_hdf5(path, libver=("v110", "v110")) as file:
        file.attrs["format"] = FORMAT
        file.attrs["n_nodules"] = len(truth.nodules)
        for i, nodule in enumerate(truth.nodules):
            group = file.create_group(f"{i:03d}")
            group.attrs["record"] = json.dumps(nodule.record(), sort_keys=True)
            group.attrs["derived"] = json.dumps(nodule.nodule.derived(), sort_keys=True)
            for name in _ARRAYS:
                array = getattr(nodule, name)
                if array is not None:
                    group.create_dataset(
                        name, data=array, compression="gzip", compression_opts=4, shuffle=True, track_times=False
                    )


def load(path: str | os.PathLike[str]) -> Truth:
    """Read what :func:`save` wrote.

    Raises
    ------
    ValueError
        If the file is not a truth of a known format.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if file.attrs.get("format") != FORMAT:
            raise ValueError(f"{path}: not a truth file: format is {file.attrs.get('format')!r}, expected {FORMAT!r}")
        return Truth(tuple(_read(file[f"{i:03d}"]) for i in range(int(file.attrs["n_nodules"]))))


def _read(group: Any) -> NoduleTruth:
    record: dict[str, Any] = json.loads(group.attrs["record"])
    record["nodule"] = Nodule.model_validate(record["nodule"])
    record["grid"] = Grid.from_dict(record["grid"])
    record["centre_mm"] = tuple(record["centre_mm"])
    arrays: dict[str, Any] = {name: group[name][()] if name in group else None for name in _ARRAYS}
    return NoduleTruth(**record, **arrays)


def _resampled(nodule: NoduleTruth, grid: Grid) -> tuple[tuple[int, int, int], NDArray[np.float32]]:
    """Occupancy of a nodule on ``grid``: start index and patch."""
    matrix = np.asarray(grid.direction).reshape(3, 3)
    signs = np.diag(matrix)[::-1]
    if not np.allclose(np.abs(matrix), np.eye(3), atol=1e-6):
        return _resampled_oblique(nodule, grid)
    # Axes that run backwards: the same lattice read from its other end.
    last = np.where(signs < 0, np.asarray(grid.shape) - 1, 0)
    x, y, z = (float(c) for c in grid.index_to_world(last))
    start, patch = _resampled_aligned(nodule, Grid(grid.shape, grid.spacing_mm, (x, y, z)))
    turned = [n - a - p if s < 0 else a for n, a, p, s in zip(grid.shape, start, patch.shape, signs, strict=True)]
    flipped = patch[tuple(slice(None, None, -1 if s < 0 else 1) for s in signs)]
    return (turned[0], turned[1], turned[2]), flipped


def _resampled_aligned(nodule: NoduleTruth, grid: Grid) -> tuple[tuple[int, int, int], NDArray[np.float32]]:
    """Exact overlap of boxes, one axis after the other."""
    patch: NDArray[Any] = nodule.occupancy.astype(np.float64)
    starts = []
    for axis in range(3):
        fine_mm, coarse_mm = nodule.grid.spacing_mm[axis], grid.spacing_mm[axis]
        offset = (nodule.grid.origin_mm[2 - axis] - grid.origin_mm[2 - axis]) / coarse_mm
        edges = offset + fine_mm / coarse_mm * (np.arange(patch.shape[axis] + 1) - 0.5)
        first = min(grid.shape[axis], max(0, int(np.floor(edges[0] + 0.5))))
        last = min(grid.shape[axis], int(np.ceil(edges[-1] + 0.5)))
        voxels = np.arange(first, max(first, last))
        overlap = np.minimum(edges[1:], voxels[:, None] + 0.5) - np.maximum(edges[:-1], voxels[:, None] - 0.5)
        patch = apply_along(np.clip(overlap, 0, None), patch, axis)
        starts.append(first)
    return (starts[0], starts[1], starts[2]), np.minimum(patch, 1.0).astype(np.float32)


def _resampled_oblique(nodule: NoduleTruth, grid: Grid) -> tuple[tuple[int, int, int], NDArray[np.float32]]:
    """Mean of sample points in each voxel; the partly filled ones then take up what is missing to the exact volume."""
    from scipy.ndimage import map_coordinates

    corners = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]) * (
        np.asarray(nodule.grid.shape) - 1
    )
    reached = grid.world_to_index(nodule.grid.index_to_world(corners))
    whole_low, whole_high = np.floor(reached.min(axis=0)).astype(int), np.ceil(reached.max(axis=0)).astype(int) + 1
    low = np.clip(whole_low, 0, grid.shape)
    high = np.clip(whole_high, low, grid.shape)
    index = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    n = int(np.clip(np.ceil(max(grid.spacing_mm) / min(nodule.grid.spacing_mm)), 2, 8))
    part = (np.arange(n) + 0.5) / n - 0.5
    total = np.zeros(index.shape[:3])
    for shift in np.stack(np.meshgrid(part, part, part, indexing="ij"), axis=-1).reshape(-1, 3):
        at = nodule.grid.world_to_index(grid.index_to_world(index + shift))
        total += map_coordinates(nodule.occupancy, np.moveaxis(at, -1, 0), order=1, mode="constant", output=np.float64)
    patch = total / n**3
    if np.array_equal(low, whole_low) and np.array_equal(high, whole_high):
        room = patch * (1 - patch)
        if room.sum() > 0:
            patch += room * np.clip((nodule.volume_mm3 / grid.voxel_volume_mm3 - patch.sum()) / room.sum(), -1, 1)
    return (int(low[0]), int(low[1]), int(low[2])), patch.astype(np.float32)
