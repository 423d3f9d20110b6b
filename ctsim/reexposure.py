"""Another set of insets in an exposure that was taken already: only the readings in their shadows are worked again.

Line integrals add, and an inset is small: of a nodule of 10 mm in a chest a few readings in a thousand know. These are
projected again, base and all insets together, since transmissions and not paths are averaged over spot, view and cell;
all others keep their bytes. Twins that differ in insets alone so share one exposure of their base, and differ in
nothing but the shadows and the scatter.

Readings are those of :func:`ctsim.expose` for the whole twin to the rounding of float32: the same planes of the lattice
are read out together (``drift`` of the projector, scaled by the heights at hand), the couch is the same, and the slopes
between cells are those of one more cell all around. Scatter is estimated anew from the new primary, as
:func:`ctsim.expose` does: it costs little, and a nodule lowers it in its neighbourhood. The topogram is that of the
base in either case, so that the tube current does not know of the insets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Twin

from .couch import couch_path_g_cm2
from .exposure import Exposure
from .geometry import Geometry
from .illumination import Illumination, illuminate
from .kernels.project import project as walk
from .kernels.transmit import add_in_plane
from .projection import DRIFT_VOXELS
from .scatter.estimate import estimate_scatter
from .shadow import Run, Shadow, extent_of, runs_of, shadow_of
from .signal import mean_energy_units
from .subject import Subject, subject_of
from .voxels import BasisInset, BasisVolume, basis_insets, pack

_G_CM2_PER_MM = 0.1
"""One g/cm3 over one millimetre [g/cm2]."""


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """Voxels as the projector takes them, added to the channels from ``channel`` on."""

    grid: Grid
    voxels: NDArray[Any]
    step_g_cm3: float
    channel: int


def add_insets(exposure: Exposure, twin: Twin, *, overwrite: bool = False) -> Exposure:
    """The exposure of a twin that has insets beyond those of the twin exposed.

    Parameters
    ----------
    exposure
        Of the twin without these insets, by :func:`ctsim.expose`.
    twin
        The same base, the insets that were exposed, and any others. All of it is worked on the CPU.
    overwrite
        Work in the exposure's own arrays, which then hold the new readings; else in copies.

    Returns
    -------
    Exposure
        That of :func:`ctsim.expose` for this twin, up to rounding in the insets' shadows; elsewhere the primary has
        the bytes of ``exposure``.

    Raises
    ------
    ValueError
        If the exposure does not say whom it was taken of, or the twin is another: its base is not that exposed, an
        inset that was exposed is missing, or a new one brings iodine into a base without; or an inset cannot be
        projected.
    """
    subject = subject_of(twin)
    added = _added(exposure.subject, subject, twin)
    signal, mean_energy = exposure.signal_kev_per_mas, exposure.mean_energy
    if not overwrite:
        signal, mean_energy = signal.copy(), mean_energy.copy()
    if added:
        geometry, n_channels = exposure.geometry, subject.n_channels
        light = illuminate(twin, exposure.scanner, exposure.acquisition, exposure.sampling, geometry, n_channels)
        insets = basis_insets(twin)
        shadows = [_shadow(inset, light) for inset in insets]
        lattices = [_of_inset(inset) for inset in insets]
        for number in added:
            runs = runs_of(shadows[number], geometry.shape, len(geometry.deflection_mm))
            if not runs:
                continue
            slab = _of_base(pack(twin, z_range_mm=_z_range_mm(twin, light, runs)))
            for run in runs:
                near = [lattices[k] for k, shadow in enumerate(shadows) if _meets(run, shadow)]
                first, second = _moments(light, run, list(chain(slab, *near)), n_channels)
                units = np.empty(first.shape, np.uint16)
                mean_energy_units(first, second, units)
                _put(first, run, shadows[number], signal)
                _put(units, run, shadows[number], mean_energy)
    scatter = exposure.scatter
    if scatter is not None and added:
        air = exposure.air_kev_per_mas
        scatter = estimate_scatter(signal, air, exposure.geometry, exposure.scanner, exposure.acquisition)
    return replace(exposure, signal_kev_per_mas=signal, mean_energy=mean_energy, scatter=scatter, subject=subject)


def _added(exposed: Subject | None, subject: Subject, twin: Twin) -> list[int]:
    """Numbers of the insets that were not exposed."""
    if exposed is None:
        raise ValueError("exposure does not say whom it was taken of: take one with ctsim.expose")
    if exposed.base != subject.base:
        raise ValueError(
            "twin has another base than the one that was exposed (lattice, materials or mixture of its voxels): "
            "only insets may be added, expose it anew"
        )
    if exposed.n_channels != subject.n_channels:
        raise ValueError(
            f"twin needs {subject.n_channels} channels, {exposed.n_channels} were exposed: an inset brings iodine to a "
            "base without; expose it anew"
        )
    there = Counter(exposed.insets)
    added = []
    for number, digest in enumerate(subject.insets):
        if there[digest]:
            there[digest] -= 1
        else:
            added.append(number)
    if missing := there.total():
        names = ", ".join(inset.name for inset in twin.insets) or "none"
        raise ValueError(
            f"twin lacks {missing} of the {len(exposed.insets)} insets that were exposed, it has: {names}; insets can "
            "be added, not taken away"
        )
    return added


def _shadow(inset: BasisInset, light: Illumination) -> Shadow:
    shape = light.geometry.shape
    if not inset.grid.is_axis_aligned:
        raise ValueError(f"grid must be axis-aligned to be projected, direction is {inset.grid.direction}")
    extent = extent_of(inset.grid, inset.delta)
    if extent is None:
        return Shadow(*np.zeros((2, shape[0], 2), np.int64))
    return shadow_of(extent, light.rays, light.parts, shape)


def _of_base(volume: BasisVolume) -> list[_Lattice]:
    both = _Lattice(volume.grid, np.ascontiguousarray(volume.words).view(np.int32), volume.step_g_cm3, 0)
    if volume.iodine is None:
        return [both]
    return [both, _Lattice(volume.grid, np.ascontiguousarray(volume.iodine), volume.iodine_step_g_cm3, 2)]


def _of_inset(inset: BasisInset) -> list[_Lattice]:
    turned = inset.delta.transpose(0, 2, 3, 1)
    return [
        _Lattice(inset.grid, np.ascontiguousarray(delta, dtype=np.float32), 1.0, channel)
        for channel, delta in enumerate(turned)
        if delta.any()
    ]


def _meets(run: Run, shadow: Shadow) -> bool:
    """Whether a reading of the run is in the shadow."""
    row, column = shadow.row[run.views], shadow.column[run.views]
    beside = (column[:, 1] <= run.first_column) | (column[:, 0] >= run.first_column + run.n_columns)
    return bool(np.any(~beside & (row[:, 0] < run.rows.stop) & (row[:, 1] > run.rows.start)))


def _put(worked: NDArray[Any], run: Run, shadow: Shadow, whole: NDArray[Any]) -> None:
    """Copy the readings of the shadow from a run's ``(view, row, column)`` into the scan's."""
    for k, view in enumerate(range(*run.views.indices(len(whole)))):
        (a, b), (c, d) = shadow.row[view], shadow.column[view]
        first = run.first_column[k]
        whole[view, a:b, c:d] = worked[k, a - run.rows.start : b - run.rows.start, c - first : d - first]


def _z_range_mm(twin: Twin, light: Illumination, runs: list[Run]) -> tuple[float, float]:
    """World z that the cells of the runs see between the near and the far side of the twin's lattice [mm]."""
    (nz, ny, nx), isocentre_mm = twin.grid.shape, light.geometry.isocentre_mm
    corner = twin.grid.index_to_world([(k, j, i) for k in (0, nz) for j in (0, ny) for i in (0, nx)])[:, :2]
    radius_mm = float(np.hypot(*(corner - isocentre_mm).T).max()) + max(twin.grid.spacing_mm)
    low, high = np.inf, -np.inf
    for moved in light.rays:
        for run in runs:
            place = run.views.start % len(moved.deflection_mm)
            source_mm = moved.source_mm(run.views)
            spot_mm = np.hypot(*(source_mm[:, :2] - isocentre_mm).T)
            height_mm = moved.cell_height_mm()[place, _parts(run.rows, light.parts[0])]
            edge_mm = (height_mm[0] - moved.row_pitch_mm / 2, height_mm[-1] + moved.row_pitch_mm / 2)
            along_mm = np.stack([np.maximum(spot_mm - radius_mm, 0.0), spot_mm + radius_mm])
            z_mm = np.stack([edge * along_mm / moved.cell_distance_mm()[place].min() for edge in edge_mm])
            z_mm += source_mm[:, 2]
            low, high = min(low, float(z_mm.min())), max(high, float(z_mm.max()))
    return low, high


def _moments(
    light: Illumination, run: Run, lattices: Sequence[_Lattice], n_channels: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """M1 [keV per mAs] and M2 [keV2 per mAs] of a run, ``(view, row, column)`` float32."""
    # A table is made for rows and columns that all views share. Here columns follow the shadow, so that views are
    # laid out as further rows, with a reading that repeats the outermost parts between them: paths then have no slope
    # from one view to the next, as they have none beyond the detector.
    n_rows = run.rows.stop - run.rows.start
    row = np.clip(np.arange(-1, n_rows + 1), 0, n_rows - 1)
    columns = run.first_column[:, None] + np.arange(run.n_columns)
    beam = light.table.beam
    rows = (run.rows.start + row)[None, :, None]
    shape = (1, run.n_views * len(row), run.n_columns)
    cut = replace(
        beam,
        path_g_cm2=beam.path_g_cm2[:, rows, columns[:, None, :]].reshape(2, *shape[1:]),
        gain=beam.gain[rows, columns[:, None, :]].reshape(shape[1:]),
    )
    table = replace(light.table, beam=cut)
    first, second = np.zeros((2, *shape), np.float32)
    part_row = np.clip(np.arange(-light.parts[0], (n_rows + 1) * light.parts[0]), 0, n_rows * light.parts[0] - 1)
    for moved, weight in zip(light.rays, light.weight, strict=True):
        path = _paths(light, moved, run, lattices, n_channels)
        laid_out = path[:, :, part_row].reshape(len(path), 1, -1, path.shape[3])
        table.transmit(laid_out, first, second, weight=float(weight), slope_share=light.slope_share)
    inside = (slice(None), slice(1, -1))
    whole = (run.n_views, len(row), run.n_columns)
    return first.reshape(whole)[inside], second.reshape(whole)[inside]


def _paths(
    light: Illumination, moved: Geometry, run: Run, lattices: Sequence[_Lattice], n_channels: int
) -> NDArray[np.float32]:
    """Area densities of a run's parts for one of the transmissions, ``(channel, view, row, column)`` [g/cm2]."""
    rows, columns = _parts(run.rows, light.parts[0]), _parts(run.columns, light.parts[1])
    follow = (run.first_column * light.parts[1])[:, None] + np.arange(run.n_columns * light.parts[1])
    place = run.views.start % len(moved.deflection_mm)
    all_heights = moved.cell_height_mm()[place]
    heights = np.tile(all_heights[rows], (run.n_views, 1))
    # planes are read out together as far as the steepest row allows: as in the whole scan
    steepest, here = (float(np.abs(h[[0, -1]].astype(np.float32)).max()) for h in (all_heights, heights[0]))
    drift = DRIFT_VOXELS * here / steepest if steepest > 0 else DRIFT_VOXELS
    angle, distance = moved.fan_angle_rad()[place][follow], moved.cell_distance_mm()[place][follow]
    cell = np.array([moved.column_pitch_rad * moved.detector_distance_mm, moved.row_pitch_mm])
    source = np.empty((run.n_views, 6))
    beta = moved.view_angle_rad[run.views]
    source[:, 3], source[:, 4], source[:, 5] = np.cos(beta), np.sin(beta), np.arange(run.n_views)
    path = np.zeros((n_channels, *heights.shape, follow.shape[1]), np.float32)
    for lattice in lattices:
        source[:, :3] = lattice.grid.world_to_index(moved.source_mm(run.views))
        n = 2 if lattice.channel == 0 and lattice.voxels.dtype == np.int32 else 1
        walk(
            lattice.voxels,
            np.asarray(lattice.grid.spacing_mm),
            source,
            angle,
            heights.astype(np.float32),
            cell,
            distance,
            drift,
            _G_CM2_PER_MM * lattice.step_g_cm3,
            path[lattice.channel : lattice.channel + n],
        )
    if light.couch is not None and light.top_mm is not None:
        near = replace(moved, column_angle_rad=moved.column_angle_rad[columns])
        in_plane = couch_path_g_cm2(light.couch, near, run.views, light.top_mm)
        in_plane = np.take_along_axis(in_plane, (follow - columns.start)[None], axis=2)
        run_couch: Any = add_in_plane
        run_couch(in_plane, heights, distance, 0, path)
    return path


def _parts(readings: slice, n_parts: int) -> slice:
    return slice(readings.start * n_parts, readings.stop * n_parts)
