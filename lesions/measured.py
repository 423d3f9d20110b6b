"""What is measured on a nodule's fine lattice: volumes, masses, HU, diameters, and the distances to what is around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import LUNG, Grid, Inset, Twin

from .hounsfield import hounsfield_equivalent
from .measures import axial_diameters_mm, crossings, max_diameter_mm
from .nodule import Lobe, Nodule
from .parts import Parts
from .raster import Raster
from .surroundings import AIRWAYS, ON_FISSURE_MM, VESSELS, Matter
from .truth import NoduleTruth
from .vicinity import Vicinity


def measured(
    twin: Twin,
    nodule: Nodule,
    raster: Raster,
    base: Matter,
    parts: Parts,
    inset: Inset,
    found: str | None,
    filled: tuple[slice, slice, slice],
) -> NoduleTruth:
    """The truth of one nodule.

    Parameters
    ----------
    twin, nodule
        The host and the placed spec.
    raster, base, parts, inset
        Its form, the twin on its lattice, what is not soft tissue inside, and what it changes.
    found
        Lobe that holds most of it, if any.
    filled
        Box ``(z, y, x)`` of the lattice that it fills.

    Raises
    ------
    ValueError
        If it does not lie in the lungs, or in another lobe than it asks for.
    """
    grid = inset.grid
    lobe = _lobe(nodule, found)
    knows_no_lobes = lobe != found or lobe.endswith("_LUNG")
    voxel = grid.voxel_volume_mm3
    total = raster.occupancy.sum(dtype=np.float64)
    # All measures but the sums over parts come from the box that holds the nodule.
    box, around = _widened(grid, filled)
    occupancy, body = raster.occupancy[box], raster.body_mm[box]
    core = None if raster.core_occupancy is None else raster.core_occupancy[box]
    mass_g_cm3 = _densities(base, inset, box, occupancy)
    long_mm, short_mm = axial_diameters_mm(around, body, 0.0)
    if nodule.type == "solid":
        core_volume, core_diameter, core_hu = (
            total * voxel,
            0.5 * (long_mm + short_mm),
            _mean_hu(inset, mass_g_cm3, total),
        )
    elif core is not None:
        core_voxels = core.sum(dtype=np.float64)
        core_volume = core_voxels * voxel
        core_diameter = sum(axial_diameters_mm(around, core, 0.5)) / 2
        core_hu = _mean_hu(inset, _densities(base, inset, box, core), core_voxels)
    else:
        core_volume, core_diameter, core_hu = 0.0, 0.0, None
    surface = crossings(body, 0.0, 0)
    nearby = Vicinity(twin, around.index_to_world(surface))
    fissure = None if knows_no_lobes else nearby.fissure_mm(lobe)
    cx, cy, cz = (float(c) for c in np.asarray(nodule.centre_mm) + raster.centroid_mm)
    extent_z, extent_y, extent_x = _extent_mm(grid, occupancy)
    return NoduleTruth(
        nodule=nodule,
        centre_mm=(cx, cy, cz),
        volume_mm3=float(total * voxel),
        equivalent_diameter_mm=float((6 / np.pi * total * voxel) ** (1 / 3)),
        long_axis_mm=long_mm,
        short_axis_mm=short_mm,
        mean_diameter_mm=0.5 * (long_mm + short_mm),
        max_diameter_mm=max_diameter_mm(around, occupancy, 0.5),
        core_volume_mm3=float(core_volume),
        core_diameter_mm=float(core_diameter),
        mass_mg=float(mass_g_cm3.sum() * voxel),
        added_mass_mg=float(inset.delta_g_cm3.sum(dtype=np.float64) * voxel),
        mean_hu=_mean_hu(inset, mass_g_cm3, total),
        core_mean_hu=core_hu,
        lobe=lobe,
        distance_to_pleura_mm=nearby.distance_mm(LUNG, outside=True),
        distance_to_vessel_mm=nearby.distance_mm(VESSELS),
        n_spicules=raster.n_spicules,
        grid=grid,
        occupancy=raster.occupancy,
        core_occupancy=raster.core_occupancy,
        distance_to_airway_mm=nearby.distance_mm(AIRWAYS),
        distance_to_fissure_mm=fissure,
        on_fissure=None if knows_no_lobes else fissure is not None and fissure <= ON_FISSURE_MM,
        extent_z_mm=extent_z,
        extent_y_mm=extent_y,
        extent_x_mm=extent_x,
        calcium_volume_mm3=_volume(parts.calcium, voxel),
        fat_volume_mm3=_volume(parts.fat, voxel),
        fluid_volume_mm3=_volume(parts.fluid, voxel),
        air_volume_mm3=_volume(parts.air, voxel),
    )


def _densities(
    base: Matter, inset: Inset, box: tuple[slice, slice, slice], weight: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Partial density of each of the inset's materials, summed over a box with weights ``(z, y, x)`` [g/cm3]."""
    sums = []
    for row, delta in enumerate(inset.delta_g_cm3):
        # Base materials stand first in the inset; a material that only the nodule brings has no base.
        partial = delta[box] + base.partial_g_cm3[row][box] if row < len(base.materials) else delta[box]
        sums.append((partial * weight).sum(dtype=np.float64))
    return np.array(sums)


def _mean_hu(inset: Inset, density_g_cm3: NDArray[np.float64], n_voxels: float) -> float:
    """Mean HU equivalent of summed partial densities over so many voxels: HU are linear in them."""
    return float(hounsfield_equivalent(inset.materials, density_g_cm3[:, None] / n_voxels).item())


def _widened(grid: Grid, filled: tuple[slice, slice, slice]) -> tuple[tuple[slice, slice, slice], Grid]:
    """A box of a lattice with two voxels around it where there are so many, and that part as a grid."""
    z, y, x = (slice(max(0, b.start - 2), min(n, b.stop + 2)) for b, n in zip(filled, grid.shape, strict=True))
    x_mm, y_mm, z_mm = (float(c) for c in grid.index_to_world((z.start, y.start, x.start)))
    shape = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
    return (z, y, x), Grid(shape, grid.spacing_mm, (x_mm, y_mm, z_mm), grid.direction)


def _volume(share: NDArray[np.float32] | None, voxel_mm3: float) -> float:
    return 0.0 if share is None else float(share.sum(dtype=np.float64)) * voxel_mm3


def _extent_mm(grid: Grid, occupancy: NDArray[np.float32]) -> list[float]:
    """Extent along z, y, x between the points where the nodule fills half a voxel [mm]."""
    extent = []
    for axis in range(3):
        most = occupancy.max(axis=tuple(k for k in range(3) if k != axis)).astype(np.float64)
        inside = np.flatnonzero(most >= 0.5)
        # The end voxels are filled to their share; a tip thinner than half a voxel is not seen.
        extent.append(float(inside[-1] - inside[0] + 1) * grid.spacing_mm[axis] if len(inside) else 0.0)
    return extent


def _lobe(nodule: Nodule, found: str | None) -> str:
    if found is None:
        raise ValueError(f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm} does not lie in the lungs")
    asked: Lobe | None = nodule.lobe
    if asked is None or asked == found:
        return found
    # Where the twin knows only whole lungs, the spec's word decides, as long as the side agrees.
    if found.endswith("_LUNG") and found.split("_")[0] == asked.split("_")[0]:
        return asked
    raise ValueError(f"nodule {nodule.id!r} asks for lobe {asked}, but centre_mm {nodule.centre_mm} lies in {found}")
