"""Scattered radiation behind bodies of chest size."""

from __future__ import annotations

import math

import numpy as np

from twins.phantoms import ctdi, cylinder, rod

from ...exposure import expose
from .bench import Bench
from .rows import Map, Part, Row

BROADEST_MM = 40.0
"""Widest beam that the bar is for [mm]."""


def scatter_to_primary(bench: Bench) -> Part:
    """Scatter-to-primary ratio behind a 320 mm PMMA cylinder and a thorax-like body."""
    row_mm = bench.scanner.detector.row_pitch_iso_mm
    usable = [n for n in bench.scanner.collimations_rows if n * row_mm <= BROADEST_MM]
    if not usable or bench.radius_mm < 180.0:
        return Part()
    protocol = bench.protocol(collimation_rows=max(usable))
    sampling = bench.merged(protocol.collimation_rows, to=16, scatter=True, views_per_rotation=72)
    lungs = [rod(120.0, 300.0, "lung_tissue", at_mm=(x, -10.0), density_g_cm3=0.26) for x in (-80.0, 80.0)]
    bodies = {
        "32 cm PMMA": ctdi(320, length_mm=300.0, spacing_mm=(30.0, 4.0, 4.0)),
        "thorax-like 350 x 250 mm": cylinder((350.0, 250.0), 300.0, inserts=lungs, spacing_mm=(30.0, 4.0, 4.0)),
    }
    rows, maps = [], []
    for name, twin in bodies.items():
        exposure = expose(twin, bench.scanner, protocol, sampling=sampling)
        if exposure.scatter is None:
            return Part()
        n_views, _, n_columns = exposure.geometry.shape
        scatter, _ = exposure.scatter.block(0, n_views)
        middle = np.abs(exposure.geometry.column_angle_rad) * bench.scanner.source_distance_mm < 20.0
        middle |= np.arange(n_columns) == n_columns // 2
        ratio = scatter[..., middle].mean() / exposure.signal_kev_per_mas[..., middle].mean()
        beam_mm = protocol.collimation_rows * row_mm
        # the published range is of the dosimetry phantom: between lungs there is less
        low, high = (10.0, 19.0) if name.endswith("PMMA") else (-math.inf, math.inf)
        condition = f"{name}, {protocol.kvp} kV, beam of {beam_mm:g} mm"
        how = "middle 40 mm of the fan, mean over rows and views"
        rows.append(Row("Scatter-to-primary ratio", condition, float(100 * ratio), low, high, "%", how))
        share = 100 * scatter.mean(axis=0) / exposure.signal_kev_per_mas.mean(axis=0)
        maps.append(Map(f"scatter-to-primary {name}", share.astype(np.float64), (0.0, 40.0), "%"))
    return Part(tuple(rows), maps=tuple(maps))
