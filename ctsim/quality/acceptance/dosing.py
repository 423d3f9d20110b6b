"""CTDIw of PMMA phantoms by Monte Carlo against the profile's table.

The tube's output is fitted at one entry of the table, the body phantom at 120 kV; all other entries are predicted from
it: CTDI100 = air kerma in a chamber of 100 mm, times 100 mm / beam width; CTDIw = centre / 3 + 2 periphery / 3
(IEC 60601-2-44).
"""

from __future__ import annotations

import math

from twins import material

from ...scanner import DoseIndex
from ...scatter import Cylinder, simulate_kerma
from .bench import Bench
from .rows import Part, Row

PMMA_G_CM3 = 1.19
PHANTOM_MM = 150.0
CHAMBER_MM = 100.0
HOLE_RADIUS_MM = 6.55
DEPTH_MM = 10.0

_KEY = 30_000


def dose_indices(bench: Bench) -> Part:
    """Every entry of the profile's CTDIw table but the fitted one; a bar only where the table has a source."""
    entries = [entry for entry in bench.profile.scanner.dose_indices if entry.kvp in bench.scanner.kvp_stations]
    fitted = next((e for e in entries if e.phantom_mm == 320 and e.kvp == bench.reference_kvp), None)
    if fitted is None or len(entries) == 1:
        return Part()
    scale = fitted.ctdi_w_mgy_per_100mas / _ctdi_w(bench, fitted)
    is_sourced = any(
        entry.status != "estimated" and any(field.startswith("dose_indices") for field in entry.fields)
        for entry in bench.profile.sources
    )
    rows = []
    for entry in entries:
        if entry == fitted:
            continue
        predicted, table = scale * _ctdi_w(bench, entry), entry.ctdi_w_mgy_per_100mas
        low, high = (0.9 * table, 1.1 * table) if is_sourced else (-math.inf, math.inf)
        how = f"Monte Carlo, output fitted at {fitted.kvp} kV body (factor {scale:.3f}); table says {table:g}"
        how += "" if is_sourced else ", estimated: no bar"
        condition = f"{entry.kvp} kV, {entry.phantom_mm} mm, bowtie {entry.bowtie}"
        rows.append(Row("CTDIw", condition, predicted, low, high, "mGy/100 mAs", how))
    return Part(tuple(rows))


def _ctdi_w(bench: Bench, entry: DoseIndex) -> float:
    """CTDIw of the phantom with the full collimation [mGy per 100 mAs]."""
    half_mm = entry.phantom_mm / 2
    phantom = Cylinder(
        material("pmma"), (half_mm, half_mm), z_mm=(-PHANTOM_MM / 2, PHANTOM_MM / 2), density_g_cm3=PMMA_G_CM3
    )
    middle = half_mm - DEPTH_MM
    rings = [
        (0.0, HOLE_RADIUS_MM, CHAMBER_MM / 2),
        (middle - HOLE_RADIUS_MM, middle + HOLE_RADIUS_MM, CHAMBER_MM / 2),
    ]
    acquisition = bench.protocol(
        kvp=entry.kvp, bowtie=entry.bowtie, collimation_rows=bench.wide_rows, scan_range_mm=None
    )
    n_photons = 4_000_000 if bench.is_full else 1_000_000
    tally = simulate_kerma([phantom], bench.scanner, acquisition, rings, n_photons=n_photons, key=_KEY)
    beam_mm = bench.wide_rows * bench.scanner.detector.row_pitch_iso_mm
    centre, periphery = (100.0 * float(k) * CHAMBER_MM / beam_mm for k in tally.kerma_mgy_per_mas)
    return centre / 3 + 2 * periphery / 3
