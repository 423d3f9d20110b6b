"""The projector's physics: tables against single energies, two bases against full curves, path lengths."""

from __future__ import annotations

import numpy as np

from twins import Grid, material
from twins.phantoms import cylinder, rod

from ...attenuation import ENERGY_KEV, mass_attenuation
from ...basis import RAYS, TISSUES, coefficients
from ...projection import project
from ...signal import MM_PER_CM, beam_of, signal_table
from ...trajectory import plan_geometry
from ...voxels import pack
from .analytic import lengths_mm
from .bench import Bench
from .rows import Part, at_most

PLASTICS = ("polyethylene", "pmma", "teflon", "delrin", "polystyrene", "ldpe", "pmp")

_ROD_MM, _WATER_MM = 50.0, 200.0


def moments(bench: Bench) -> Part:
    """M1 and M2 of the tables against sums over 1 keV, over 0 to 400 mm of water with 0 to 40 mm of bone."""
    rows = []
    for kvp in bench.kvp_stations:
        protocol = bench.protocol(kvp=kvp)
        beam = beam_of(bench.scanner, protocol, bench.merged(protocol.collimation_rows, to=1))
        bases = [coefficients(material(name)) for name in ("water", "cortical_bone")]
        amount = np.array([[c.basis_0, c.basis_1] for c in bases]).T
        water_mm, bone_mm = np.meshgrid(np.linspace(0, 400, 37), np.linspace(0, 40, 11))
        areal = np.stack([water_mm.ravel() * 0.1, bone_mm.ravel() * 0.192])
        body = np.broadcast_to((amount @ areal)[:, :, None, None], (2, areal.shape[1], *beam.gain.shape))
        first, second = np.zeros((2, *body.shape[1:]), np.float32)
        signal_table(beam, 2).transmit(np.ascontiguousarray(body, dtype=np.float32), first, second)
        columns = slice(None, None, max(1, beam.gain.shape[1] // 16))
        exact = beam.moments_kev(body[..., columns] + beam.path_g_cm2[:, None, :, columns])
        gain = beam.gain[:, columns]
        worst = max(
            float(np.abs(tabled[..., columns] / (gain * sums) - 1).max())
            for tabled, sums in zip((first, second), exact, strict=True)
        )
        rows.append(at_most("Tabulated moments", f"{kvp} kV", 100 * worst, 0.1, "%",
                            "worst of M1 and M2 against sums over 1 keV, water to 400 mm, bone to 40 mm"))  # fmt: skip
    return Part(tuple(rows))


def two_basis(bench: Bench) -> Part:
    """Signal behind tissues and plastics with two bases against their own curves."""
    rows = []
    names = tuple(dict.fromkeys((*TISSUES, *PLASTICS, *RAYS)))
    water = mass_attenuation(material("water")) * (_WATER_MM / MM_PER_CM)
    for kvp in bench.kvp_stations:
        protocol = bench.protocol(kvp=kvp)
        beam = beam_of(bench.scanner, protocol, bench.merged(protocol.collimation_rows, to=1))
        weight = beam.photons_per_mas * ENERGY_KEV
        worst, where = 0.0, ""
        for name in names:
            substance = material(name)
            areal = _ROD_MM / MM_PER_CM * min(substance.density_g_cm3, 2.2)
            c = coefficients(substance)
            w = coefficients(material("water"))
            path = np.array([[c.basis_0 * areal + w.basis_0 * _WATER_MM / MM_PER_CM],
                             [c.basis_1 * areal + w.basis_1 * _WATER_MM / MM_PER_CM]])  # fmt: skip
            exact = weight @ np.exp(-(mass_attenuation(substance) * areal + water))
            error = abs(float(beam.moments_kev(path)[0][0] / exact) - 1)
            worst, where = max((worst, where), (error, name))
        how = f"tissues and plastics (worst {where}): 50 mm behind 200 mm of water, full curves"
        rows.append(at_most("Two-basis signal", f"{kvp} kV", 100 * worst, 0.1, "%", how))
    return Part(tuple(rows))


def line_integrals(bench: Bench) -> Part:
    """Projected path lengths of a voxelised phantom against its chords, averaged over the cell."""
    rows = []
    for size, bar in ((256, 0.20), (512, 0.10)) if bench.is_full else ((256, 0.20),):
        error = _rmse(bench, size)
        how = "relative RMSE of cell-averaged readings, ellipse with rods, 16 x 3 rays a cell"
        rows.append(at_most("Line integrals", f"{size} x {size} voxels of 0.7 mm", 100 * error, bar, "%", how))
    return Part(tuple(rows))


def _rmse(bench: Bench, size: int) -> float:
    pixel_mm = min(0.7, 1.6 * bench.radius_mm / size)
    half_mm = 0.47 * size * pixel_mm
    protocol = bench.protocol()
    sampling = bench.merged(protocol.collimation_rows, to=1, column_binning=1, views_per_rotation=24)
    corner = -(size - 1) / 2 * pixel_mm
    grid = Grid((9, size, size), (5.0, pixel_mm, pixel_mm), (corner, corner, -20.0))
    outline = (2 * half_mm, 1.5 * half_mm)
    rods = [
        rod(0.2 * half_mm, 45.0, "water", at_mm=(0.5 * half_mm, 0.1 * half_mm), density_g_cm3=1.8),
        rod(0.3 * half_mm, 45.0, "water", at_mm=(-0.4 * half_mm, -0.2 * half_mm), density_g_cm3=0.3),
    ]
    twin = cylinder(outline, 45.0, inserts=rods, grid=grid)
    geometry = plan_geometry(twin, bench.scanner, protocol, sampling)
    projected = np.empty((2, *geometry.shape), np.float32)
    project(pack(twin, extend_mm=60.0), (), geometry, 0, projected)
    bare = cylinder(outline, 45.0, spacing_mm=45.0)
    water, air = (coefficients(material(name)).basis_0 * material(name).density_g_cm3 for name in ("water", "air"))
    truth = np.zeros(geometry.shape)
    for a in (np.arange(16) + 0.5) / 16 - 0.5:
        for b in (np.arange(3) + 0.5) / 3 - 0.5:
            off = (a * geometry.column_pitch_rad, b * geometry.row_pitch_mm)
            matter, space = (lengths_mm(body, geometry, endless=True, off=off)["water"] for body in (twin, bare))
            truth += (water * matter - air * space) / (48 * MM_PER_CM)
    return float(np.sqrt(np.mean((projected[0] - truth) ** 2) / np.mean(truth**2)))
