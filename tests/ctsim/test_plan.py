"""Plans of scans: counts are those of the scan itself, work that of simple bodies, memory that of a process."""

import math
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from ctsim import Sampling, expose, load_profile, reconstruct
from ctsim.plan import Rates, plan_scan, walk_work
from ctsim.scanning import detect
from twins import Grid, phantoms

from .scans import geometry

PROFILE = load_profile("siemens_definition_as")
SCANNER = PROFILE.scanner
COARSE = Sampling(views_per_rotation=24, column_binning=16, row_binning=8, rays_per_reading=2, row_parts=2)

NOTHING = Rates(*(0.0 for _ in fields(Rates)))
UPDATES_ALONE = Rates(**{f.name: float(f.name.startswith("update")) for f in fields(Rates)})


def asked(name, **update):
    return PROFILE.protocol(name).model_copy(update=update)


@pytest.mark.parametrize(
    ("name", "update"),
    [
        ("screening_low_dose", {"scan_range_mm": (-20.0, 30.0)}),
        ("screening_low_dose", {}),
        ("axial", {}),
        ("step_and_shoot", {"scan_range_mm": (-40.0, 40.0)}),
    ],
)
def test_readings_and_voxels_are_those_of_the_scan(name, update):
    twin = phantoms.cylinder(80.0, 120.0, spacing_mm=8.0)
    protocol = asked(name, **update)
    small = protocol.reconstruction.model_copy(update={"matrix": 32})
    protocol = protocol.model_copy(update={"reconstruction": small})
    plan = plan_scan(twin, SCANNER, protocol, sampling=COARSE)
    sinogram = detect(expose(twin, SCANNER, protocol, sampling=COARSE), protocol, key=None)
    assert plan.readings == sinogram.line_integral.size
    assert plan.rays == 4 * plan.readings
    image = reconstruct(sinogram)
    views = sinogram.geometry.views_per_rotation / (protocol.pitch if sinogram.geometry.is_helical else 1)
    bare, updates = (plan_scan(twin, SCANNER, protocol, sampling=COARSE, rates=r) for r in (NOTHING, UPDATES_ALONE))
    voxels = (updates.reconstruction_s - bare.reconstruction_s) / views
    assert voxels == pytest.approx(image.hu.size, rel=1e-6)


def test_a_lattice_stands_for_a_twin_that_is_not_made_yet():
    twin = phantoms.cylinder(80.0, 120.0, spacing_mm=8.0)
    protocol = asked("screening_low_dose", scan_range_mm=(-20.0, 30.0), isocentre_mm=(0.0, 0.0))
    of_twin = plan_scan(twin, SCANNER, protocol, sampling=COARSE)
    of_grid = plan_scan(twin.grid, SCANNER, protocol, sampling=COARSE)
    assert of_grid.readings == of_twin.readings
    assert of_grid.peak_bytes == of_twin.peak_bytes
    assert of_grid.total_s == pytest.approx(of_twin.total_s, rel=0.3)


def test_a_walk_crosses_the_planes_of_a_mean_chord():
    fan = geometry(views=60, rows=8, columns=400, pitch_iso_mm=0.5)
    grid = Grid((10, 200, 200), (2.0, 1.0, 1.0), (-99.5, -99.5, -9.0))
    work = walk_work(fan, grid, (60.0, 60.0))
    # mean chord of a circle: pi r / 2; planes per millimetre along the nearer axis: mean of the cosine up to 45 degrees
    shadow = 2 * math.asin(60.0 / fan.source_distance_mm) / (400 * 0.5 / fan.source_distance_mm)
    along = math.sin(math.pi / 4) / (math.pi / 4)
    assert work.planes == pytest.approx(math.pi * 60 / 2 * along * shadow, rel=0.02)
    assert work.covered == pytest.approx(8 * 2.0 / 2.0 + 1)  # eight rows of 2 mm, voxels of 2 mm


def test_more_threads_take_less_time_and_more_of_the_scan_more():
    protocol = asked("screening_low_dose", scan_range_mm=(-20.0, 30.0))
    twin = phantoms.cylinder(80.0, 120.0, spacing_mm=8.0)
    one = plan_scan(twin, SCANNER, protocol, sampling=COARSE)
    two = plan_scan(twin, SCANNER, protocol, sampling=COARSE, threads=2)
    assert one.total_s / 2 < two.total_s < one.total_s
    longer = plan_scan(twin, SCANNER, asked("screening_low_dose", scan_range_mm=(-50.0, 60.0)), sampling=COARSE)
    kept = plan_scan(twin, SCANNER, protocol, sampling=COARSE, keeps_exposure=True)
    assert longer.exposure_s > one.exposure_s
    assert longer.peak_bytes > one.peak_bytes
    assert kept.detection_bytes - one.detection_bytes == 4 * one.readings


@pytest.mark.parametrize("name", ["threads", "block_bytes"])
def test_what_cannot_be_is_refused(name):
    protocol = asked("screening_low_dose", scan_range_mm=(-20.0, 30.0))
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        plan_scan(phantoms.cylinder(80.0, 120.0, spacing_mm=8.0), SCANNER, protocol, sampling=COARSE, **{name: 0})


MEASURE = """
import resource, sys
from ctsim import Sampling, load_profile, reconstruct, scan
from ctsim.plan import plan_scan
from twins import phantoms
profile = load_profile("siemens_definition_as")
twin = phantoms.cylinder(120.0, 100.0, spacing_mm=2.0)
protocol = profile.protocol("axial").model_copy(update={"scan_range_mm": (-18.0, 18.0), "collimation_rows": 64})
small = protocol.reconstruction.model_copy(update={"matrix": 64})
protocol = protocol.model_copy(update={"reconstruction": small})
sampling = Sampling(views_per_rotation=int(sys.argv[1]), rays_per_reading=1)
plan = plan_scan(twin, profile.scanner, protocol, sampling=sampling)
reconstruct(scan(twin, profile.scanner, protocol, key=1, sampling=sampling))
print(plan.peak_bytes, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_the_memory_of_a_process_is_what_was_planned():
    planned, taken = [], []
    for views in (96, 384):  # 4.5 and 18 million readings
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(views)],
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        plan, rss = map(int, done.stdout.split())
        planned.append(plan)
        taken.append(rss)
    np.testing.assert_allclose(planned, taken, rtol=0.3)
    assert (planned[1] - planned[0]) / (taken[1] - taken[0]) == pytest.approx(1, abs=0.3)
