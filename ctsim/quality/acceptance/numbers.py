"""CT numbers: water and air at every potential and size, inserts, uniformity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.phantoms import acr_464, catphan_sensitometry, water
from twins.phantoms.parts import described
from twins.solids import Cylinder, solid_from_dict
from twins.twin import Twin

from ...exposure import expose
from ...protocol import Corrections, Protocol
from ...sampling import Sampling
from ...scanning import detect
from .analytic import analytic_exposure
from .bench import Bench, difference, hounsfield, radius, square
from .rows import Map, Part, Row, at_most, within

DIAMETERS_MM = (200.0, 300.0, 400.0)
"""Water cylinders [mm]."""

_RIM_MM = 15.0
"""What is left out at the edge of water [mm]: its blur with merged cells."""

_FINE: dict[str, Any] = {"to": 2, "column_binning": 1, "views_per_rotation": None}
"""Every view: with a third of them, streaks in the ring of air around 400 mm move its mean by up to 1.6 HU. Every
column: averaging transmissions over four merged ones moves water by up to 0.85 HU."""


def water_and_air(bench: Bench) -> Part:
    """Water and room air without noise and scatter, at every potential."""
    protocols = [bench.protocol(kvp=kvp) for kvp in bench.kvp_stations]
    sampling = bench.merged(protocols[0].collimation_rows, **_FINE)
    return Part(_numbers(bench, protocols, sampling, "without scatter"))


def water_with_scatter(bench: Bench) -> Part:
    """Water and room air without noise, scatter simulated and corrected."""
    stations = bench.kvp_stations if bench.is_full else (bench.reference_kvp,)
    corrections = Corrections(scatter=True, starvation=True, bone=False)
    protocols = [bench.protocol(kvp=kvp, corrections=corrections) for kvp in stations]
    sampling = bench.merged(protocols[0].collimation_rows, scatter=True, **_FINE)
    return Part(_numbers(bench, protocols, sampling, "scatter corrected"))


def _numbers(bench: Bench, protocols: list[Protocol], sampling: Sampling, condition: str) -> tuple[Row, ...]:
    grid, backdrop_mm = square(0.95 * bench.radius_mm, 4.0), 0.97 * bench.radius_mm
    r, diameters = radius(grid), _diameters(bench)
    water_hu = dict.fromkeys((protocol.kvp for protocol in protocols), (0.0, ""))
    air_hu = dict(water_hu)
    for diameter_mm in diameters:
        twin, half_mm = water(diameter_mm, spacing_mm=(20.0, 2.0, 2.0)), diameter_mm / 2
        outside = (r > half_mm + _RIM_MM) & (r < 0.93 * bench.radius_mm)
        for protocol in protocols:
            sinogram = detect(expose(twin, bench.scanner, protocol, sampling=sampling), protocol, key=None)
            thickness = _thickness(bench, sampling)
            image = difference(sinogram, None, bench.softest, grid, thickness, backdrop_mm, 1.0)[0] - 1000.0
            kvp, name = protocol.kvp, f"{diameter_mm:g} mm"
            for low, high in ((0.0, 30.0), (half_mm - 45.0, half_mm - _RIM_MM)):
                ring = (r >= low) & (r < high)
                if ring.any():
                    water_hu[kvp] = max(water_hu[kvp], (float(image[ring].mean()), name), key=lambda v: abs(v[0]))
            if outside.any():
                air_hu[kvp] = max(air_hu[kvp], (float(image[outside].mean() + 1000), name), key=lambda v: abs(v[0]))
    sizes = ", ".join(f"{d:g}" for d in diameters)
    rows = []
    for protocol in protocols:
        kvp = protocol.kvp
        (inside, worst), (around, thinnest) = water_hu[kvp], air_hu[kvp]
        how = f"mean of a region, the worst ({worst}) of centre and rim over {sizes} mm"
        rows.append(within("CT number of water", f"{kvp} kV, {condition}", inside, 0.0, 1.0, "HU", how))
        how = f"mean around the cylinders, the worst ({thinnest})"
        rows.append(within("CT number of air", f"{kvp} kV, {condition}", around - 1000, -1000.0, 1.0, "HU", how))
    return tuple(rows)


def _diameters(bench: Bench) -> tuple[float, ...]:
    """Those of which at least 30 mm of air are inside the field of view, or the field allows at all."""
    fitting = tuple(d for d in DIAMETERS_MM if d / 2 + _RIM_MM < 0.93 * bench.radius_mm)
    return fitting or (1.2 * bench.radius_mm,)


def _thickness(bench: Bench, sampling: Sampling) -> float:
    return max(2.0, bench.row_mm(sampling))


def inserts(bench: Bench) -> Part:
    """CT numbers of inserts against the phantom's own drawing, through the same correction and reconstruction."""
    rows: list[Row] = []
    stations = bench.kvp_stations if bench.is_full else (bench.reference_kvp,)
    phantoms = (("ACR-like", acr_464), ("Catphan-like", catphan_sensitometry))
    for name, made in phantoms if bench.is_full else phantoms[:1]:
        twin = made(spacing_mm=(10.0, 0.5, 0.5))
        if _half_mm(twin) > 0.9 * bench.radius_mm:
            continue
        for kvp in stations:
            rows.append(_insert_row(bench, twin, name, kvp))
    return Part(tuple(rows))


def _insert_row(bench: Bench, twin: Twin, name: str, kvp: int) -> Row:
    protocol = bench.protocol(kvp=kvp)
    # merged columns blur 12 mm rods to their middle: PTFE reads 869 in place of 957 HU, and errors grow with it
    fine = {"column_binning": 1, "views_per_rotation": None} if bench.is_full else {}
    sampling = bench.merged(protocol.collimation_rows, to=1, rays_per_reading=1, **fine)
    exposure = expose(twin, bench.scanner, protocol, sampling=sampling)
    simulated = detect(exposure, protocol, key=None)
    drawn = detect(analytic_exposure(exposure, twin, columns=5), protocol, key=None)
    thickness = _thickness(bench, sampling)
    grid = square(_half_mm(twin) + 5.0, 1.0)
    backdrop = 0.95 * bench.radius_mm
    error = difference(simulated, drawn.line_integral, bench.softest, grid, thickness, backdrop, 8.0)[0]
    truth = difference(drawn, None, bench.softest, grid, thickness, backdrop, 1.0)[0] - 1000.0
    worst, where = 0.0, ""
    for material, at_mm, half_mm in _rods(twin):
        region = radius(grid, at_mm) < 0.6 * half_mm
        share = 100 * error[region].mean() / abs(truth[region].mean())
        if abs(share) >= abs(worst):
            worst, where = share, f"{material}, {truth[region].mean():.0f} HU"
    return at_most(
        "CT number of inserts", f"{name}, {kvp} kV", abs(worst), 1.4, "% of contrast",
        f"worst insert ({where}); from the phantom's drawing at every energy with full curves (aim 0.5 %)",
    )  # fmt: skip


def _half_mm(twin: Twin) -> float:
    return max(abs(v) for v in solid_from_dict(described(twin)[0]["at"]).bounds_mm[1][:2])


def _rods(twin: Twin) -> list[tuple[str, tuple[float, float], float]]:
    """Material, place and radius of the inserts."""
    found = []
    for entry in described(twin)[1:]:
        solid = solid_from_dict(entry["at"])
        if isinstance(solid, Cylinder):
            x, y, _ = solid.centre_mm
            found.append((str(entry["material"]), (x, y), solid.semi_axes_mm[0]))
    return found


def uniformity(bench: Bench) -> Part:
    """A 320 mm water cylinder without noise: helical at a pitch near 1, and axial with the widest beam."""
    diameter_mm = 320.0 if 0.95 * bench.radius_mm > 160.0 + _RIM_MM else 1.4 * bench.radius_mm
    wide, thick = bench.wide_rows, (8 if bench.is_full else 4)
    pitch = float(np.clip(1.0, bench.scanner.smallest_pitch, bench.scanner.largest_pitch))
    beam_mm = wide * bench.scanner.detector.row_pitch_iso_mm
    rows, maps = [], []
    for name, change in (
        ("helical", {"mode": "helical", "pitch": pitch, "scan_range_mm": (-6.0, 6.0)}),
        (f"axial, beam of {beam_mm:g} mm", {"mode": "axial", "scan_range_mm": (-beam_mm / 2, beam_mm / 2)}),
    ):
        protocol = bench.protocol(collimation_rows=wide, **change)
        sampling = bench.merged(wide, to=2 * thick)
        cell_mm = bench.scanner.column_pitch_rad * bench.scanner.source_distance_mm
        voxel_mm = float(np.clip(1.4 * cell_mm, 0.5, 2.0))  # coarser ones ripple at the rim
        twin = water(diameter_mm, 120.0 + 2 * beam_mm, spacing_mm=(20.0, voxel_mm, voxel_mm))  # rays meet no end of it
        sinogram = detect(expose(twin, bench.scanner, protocol, sampling=sampling), protocol, key=None)
        thickness = _thickness(bench, sampling)
        reach = 4.0 if change["mode"] == "helical" else beam_mm / 2 - thickness
        grid = square(diameter_mm / 2, 2.0, np.linspace(-reach, reach, 5))
        image = hounsfield(sinogram, bench.softest, grid, thickness)
        rows.append(_uniformity_row(image, grid, diameter_mm / 2, name))
        maps.append(Map(f"water {diameter_mm:g} mm, {name}", image[len(image) // 2], (-10.0, 10.0), "HU"))
    return Part(tuple(rows), maps=tuple(maps))


def _uniformity_row(image: NDArray[np.float64], grid: Grid, half_mm: float, name: str) -> Row:
    r, worst = radius(grid), 0.0
    _, y, x = grid.axes_mm()
    for values in image:
        seen = values > -900
        centre = values[(r < 20) & seen].mean()
        for direction in np.arange(8) * np.pi / 4:
            place = (half_mm - 30) * np.array([np.cos(direction), np.sin(direction)])
            near = np.hypot(x - place[0], y[:, None] - place[1]) < 12
            if seen[near].all():
                worst = max(worst, abs(values[near].mean() - centre))
    return at_most(
        "Uniformity of water", name, worst, 2.0, "HU", "largest of 8 rim regions from the centre, in 5 slices"
    )
