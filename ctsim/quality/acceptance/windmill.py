"""Windmills and staircases of helical scans: a ball beside the axis, against an ideal detector's image of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Twin
from twins.phantoms import ball, rod, water
from twins.phantoms.fine import with_fine_part
from twins.solids import Ellipsoid

from ...exposure import expose
from ...geometry import Geometry
from ...recon.kernels import Kernel
from ...scanning import detect
from ...sinogram import Sinogram
from ...trajectory import plan_geometry
from .analytic import rays_mm
from .bench import Bench, difference, square
from .rows import Map, Part, at_most

DIAMETER_MM = 200.0
BALL_MM = 10.0
DENSITY_G_CM3 = 1.3
"""Of the ball: water as dense as this, about 300 HU."""

FINER = 2
"""Rows and views of the ideal detector for one of the scanner's."""

_RIM_MM = 15.0
_GAIN = 4.0


def windmill(bench: Bench) -> Part:
    """Largest artefact in water around a ball, helical, beyond that of an ideal detector.

    The ideal detector has twice the rows and views and reads the ball's exact chords. Both images have slices of two
    rows and a smooth kernel, so that the blur of the ball itself ends within 1 / MTF10 of it. Water without the ball is
    subtracted from the scan before reconstruction.
    """
    row_mm = bench.scanner.detector.row_pitch_iso_mm
    rows = bench.narrow_rows
    pitch = float(np.clip(1.0, bench.scanner.smallest_pitch, bench.scanner.largest_pitch))
    reach_mm = BALL_MM / 2 + 2 * row_mm
    protocol = bench.protocol(mode="helical", pitch=pitch, collimation_rows=rows, scan_range_mm=(-reach_mm, reach_mm))
    sampling = bench.merged(rows, to=rows, column_binning=_columns_merged(bench))
    diameter_mm = min(DIAMETER_MM, 1.4 * bench.radius_mm)
    at_mm = (0.3 * diameter_mm, 0.1 * diameter_mm, 0.0)
    length_mm = 150.0 + 4 * rows * row_mm
    part = ball(BALL_MM, "water", at_mm=at_mm, density_g_cm3=DENSITY_G_CM3)
    body = water(diameter_mm, length_mm, spacing_mm=(20.0, 1.0, 1.0))
    host = rod(diameter_mm, length_mm, "water")
    twin = with_fine_part(body, part, host, spacing_mm=(0.25, 0.25, 0.25), name="ball")
    bare, scanned = (
        detect(expose(t, bench.scanner, protocol, sampling=sampling), protocol, key=None) for t in (body, twin)
    )
    ideal = _ideal(bench, scanned, twin, Ellipsoid(at_mm, (BALL_MM / 2,) * 3))

    cell_mm = bench.scanner.column_pitch_rad * bench.scanner.source_distance_mm * sampling.column_binning
    kernel = Kernel(name="smooth", mtf50_per_mm=0.22 / cell_mm, mtf10_per_mm=0.4 / cell_mm, source="lungtwin qa")
    grid = square(diameter_mm / 2, 1.5, np.linspace(-reach_mm, reach_mm, 9))
    images = [
        difference(s, other, kernel, grid, 2 * row_mm, 0.9 * bench.radius_mm, _GAIN)
        for s, other in ((scanned, bare.line_integral), (ideal, None))
    ]
    around = _around(grid, diameter_mm / 2, at_mm, BALL_MM / 2 + 2 * cell_mm)
    seen, least = (float(np.abs(image[:, around]).max()) for image in images)
    worst = int(np.abs(images[0][:, around]).max(axis=1).argmax())
    how = (
        f"ball of {BALL_MM:g} mm, 300 HU, in {diameter_mm:g} mm of water: largest error around it {seen:.2f} HU; ideal "
        f"detector, {FINER} times the rows and views, exact chords: {least:.2f} HU; slices of {2 * row_mm:.4g} mm"
    )
    condition = f"pitch {pitch:g}, beam of {rows * row_mm:.4g} mm, beyond an ideal detector"
    return Part(
        (at_most("Windmill", condition, seen - least, 2.0, "HU", how),),
        maps=(Map("windmill around a ball", images[0][worst], (-10.0, 10.0), "HU"),),
    )


def _columns_merged(bench: Bench) -> int:
    n_columns = bench.scanner.detector.n_columns
    return 2 if n_columns % 2 == 0 and n_columns >= 640 else 1


def _ideal(bench: Bench, scanned: Sinogram, twin: Twin, solid: Ellipsoid) -> Sinogram:
    """Exact chords of the ball on finer rows and views of the same turns."""
    detector = bench.scanner.detector.model_copy(
        update={
            "n_rows": FINER * bench.scanner.detector.n_rows,
            "row_pitch_iso_mm": bench.scanner.detector.row_pitch_iso_mm / FINER,
        }
    )
    rows = FINER * scanned.protocol.collimation_rows
    scanner = bench.scanner.model_copy(update={"detector": detector, "collimations_rows": (rows,)})
    protocol = scanned.protocol.model_copy(update={"collimation_rows": rows})
    views = FINER * scanned.geometry.views_per_rotation
    sampling = scanned.sampling.model_copy(update={"views_per_rotation": views})
    geometry = plan_geometry(twin, scanner, protocol, sampling)
    line = _chords_mm(geometry, solid)
    line *= np.float32(scanned.mu_water_per_mm * (DENSITY_G_CM3 - 1))
    return replace(
        scanned, geometry=geometry, line_integral=line, scanner=scanner, protocol=protocol, sampling=sampling
    )


def _chords_mm(geometry: Geometry, solid: Ellipsoid) -> NDArray[np.float32]:
    """Chords ``(V, R, C)`` of a solid, mean of three rays over a cell's width, which the kernel undoes [mm]."""
    n_views, n_rows, n_columns = geometry.shape
    step = max(1, 2**17 // (n_rows * n_columns))
    line = np.zeros(geometry.shape, np.float32)
    for first in range(0, n_views, step):
        block = slice(first, min(first + step, n_views))
        for place in (-1 / 3, 0.0, 1 / 3):
            line[block] += solid.chord_mm(*rays_mm(geometry, block, place * geometry.column_pitch_rad)) / 3
    return line


def _around(grid: Grid, half_mm: float, at_mm: tuple[float, float, float], clear_mm: float) -> NDArray[np.bool_]:
    """Water off the rim and farther than ``clear_mm`` from the line along z through the ball, ``(y, x)``."""
    _, y, x = grid.axes_mm()
    inside = np.hypot(x, y[:, None]) < half_mm - _RIM_MM
    return np.asarray(inside & (np.hypot(x - at_mm[0], y[:, None] - at_mm[1]) > clear_mm))
