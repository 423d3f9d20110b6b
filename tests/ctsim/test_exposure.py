"""Exposures: what is in the beam besides the twin, and averages over spot and view."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from ctsim import Sampling, expose, load_profile
from ctsim.couch import couch_path_g_cm2, couch_top_mm
from ctsim.illumination import add_moments, illuminate
from ctsim.rays import ray_points
from ctsim.signal import Beam, beam_of, mean_energy_units, signal_table
from ctsim.voxels import pack
from twins import phantoms

PROFILE = load_profile("siemens_definition_flash")
FLASH = PROFILE.scanner
SAMPLING = Sampling(views_per_rotation=24, column_binning=16, row_binning=16, rays_per_reading=1, scatter=False)


@pytest.fixture(scope="module")
def twin():
    return twin_of(200.0)


def twin_of(length_mm):
    return phantoms.cylinder(150.0, length_mm, spacing_mm=5.0)


def asked(**update):
    plain = {"scan_range_mm": (-5.0, 5.0), "with_couch": False, "flying_focal_spot": None}
    return PROFILE.protocol("screening_low_dose").model_copy(update=plain | update)


def test_the_couch_dims_the_rays_through_it_by_its_path(twin):
    bare = expose(twin, FLASH, asked(), sampling=SAMPLING)
    carried = expose(twin, FLASH, asked(with_couch=True), sampling=SAMPLING)
    np.testing.assert_array_equal(carried.air_kev_per_mas, bare.air_kev_per_mas)
    loss = np.log(bare.signal_kev_per_mas / carried.signal_kev_per_mas)
    top = couch_top_mm(twin, FLASH.couch, bare.geometry.isocentre_mm[0])
    path = couch_path_g_cm2(FLASH.couch, bare.geometry, slice(None), top)
    grams = path.sum(axis=0)[:, None, :] * np.ones(loss.shape)
    clear = np.ones(grams.shape, bool)  # of the couch and of readings beside it, whose paths begin to slope in the cell
    for shift in (-1, 0, 1):
        clear &= np.roll(grams == 0, shift, axis=2)
    assert clear.sum() > 100
    assert loss[clear].max() < 1e-6
    assert loss[clear].min() > -1e-6
    met = grams > 0.1
    assert met.sum() > 100
    per_gram = loss[met] / grams[met]
    assert 0.15 < per_gram.min() < per_gram.max() < 0.3  # cm2/g of carbon, foam and air at 40 to 80 keV


def test_outer_rows_meet_more_of_the_couch_by_their_slant():
    twin = phantoms.cylinder(150.0, 200.0, spacing_mm=5.0)
    wide = load_profile("canon_aquilion_one")
    protocol = next(p for p in wide.protocols if p.mode == "axial")
    common = {"with_couch": True, "scan_range_mm": None, "flying_focal_spot": None}
    protocol = protocol.model_copy(update=common | {"collimation_rows": max(wide.scanner.collimations_rows)})
    sampling = SAMPLING.model_copy(update={"row_binning": 32})
    carried = expose(twin, wide.scanner, protocol, sampling=sampling)
    bare = expose(twin, wide.scanner, protocol.model_copy(update={"with_couch": False}), sampling=sampling)
    loss = np.log(bare.signal_kev_per_mas / carried.signal_kev_per_mas).astype(float)
    tallest = carried.geometry.row_offset_mm[-1] / carried.geometry.detector_distance_mm
    slant = math.sqrt(1 + tallest**2)
    assert slant > 1.006
    top = couch_top_mm(twin, wide.scanner.couch, bare.geometry.isocentre_mm[0])
    path = couch_path_g_cm2(wide.scanner.couch, bare.geometry, slice(None), top)
    beside = (path.sum(axis=0) > 0.1) & (bare.signal_kev_per_mas[:, 2] > 0.9999 * bare.air_kev_per_mas[2])
    assert beside.sum() > 10
    middle = len(carried.geometry.row_offset_mm) // 2
    ratio = (loss[:, 0][beside] + loss[:, -1][beside]) / (loss[:, middle - 1][beside] + loss[:, middle][beside])
    # harder towards the anode, softer towards the cathode: their mean is the middle's to first order
    assert ratio.mean() == pytest.approx(slant, abs=0.004)


def test_the_instants_of_a_view_average_transmissions_not_paths(twin):
    point = FLASH.focal_spots[0].model_copy(update={"width_mm": 0.0, "length_mm": 0.0})
    scanner = FLASH.model_copy(update={"focal_spots": (point,)})
    protocol = asked(mode="axial", isocentre_mm=(65.0, 10.0), start_angle_deg=100.0, focal_spot=None)
    many = SAMPLING.model_copy(update={"rays_per_reading": 4})
    averaged = expose(twin, scanner, protocol, sampling=many).signal_kev_per_mas
    turned = [
        expose(twin, scanner, protocol.model_copy(update={"start_angle_deg": 100 + 15 * when}), sampling=SAMPLING)
        for when in ray_points(scanner, protocol, many).instant
    ]
    np.testing.assert_allclose(averaged, np.mean([one.signal_kev_per_mas for one in turned], axis=0), rtol=1e-5)
    at_rest = expose(twin, scanner, protocol, sampling=SAMPLING).signal_kev_per_mas
    assert np.abs(averaged / at_rest - 1).max() > 0.1  # views of 15 degrees, the body 66 mm off the axis
    of_paths = np.exp(np.mean([np.log(one.signal_kev_per_mas) for one in turned], axis=0))
    assert np.abs(averaged / of_paths - 1).max() > 0.1


def test_the_average_of_two_transmissions_is_that_of_signal_and_of_its_energy():
    beam = beam_of(FLASH, asked(), Sampling(column_binning=16, row_binning=64))
    table = signal_table(beam, 2)
    thin, thick = (np.full((2, 1, *beam.gain.shape), grams, np.float32) for grams in (0.5, 12.0))
    first, second = np.zeros((2, *thin.shape[1:]), np.float32)
    table.transmit(thin, first, second, weight=0.25)
    table.transmit(thick, first, second, weight=0.75)
    a, b = (beam.moments_kev(path[:, 0] + beam.path_g_cm2) for path in (thin, thick))
    np.testing.assert_allclose(first[0], beam.gain * (0.25 * a[0] + 0.75 * b[0]), rtol=3e-4)
    units = np.empty(first.shape, np.uint16)
    mean_energy_units(first, second, units)
    exact = (0.25 * a[1] + 0.75 * b[1]) / (0.25 * a[0] + 0.75 * b[0])
    np.testing.assert_allclose(units[0] / 256, exact, atol=0.02)


def transmitted(path, neighbours, shape):
    """Signal relative to air of paths ``(rows, columns)`` [g/cm2 of water-like basis], in readings of ``shape``."""
    beam = beam_of(FLASH, asked(), Sampling(column_binning=16, row_binning=16))
    plain = Beam(beam.photons_per_mas, np.zeros((2, *shape)), np.ones(shape))
    table = signal_table(plain, 2)
    both = np.zeros((2, 1, *path.shape), np.float32)
    both[0, 0] = path
    first, second = np.zeros((2, 1, *shape), np.float32)
    table.transmit(both, first, second, slope_share=(1.0, 1.0) if neighbours else (0.0, 0.0))
    return first[0] / table.air_kev()


def test_over_a_path_that_varies_evenly_the_transmission_is_averaged():
    parts, middle = 40, (slice(1, -1), slice(1, -1))
    y, x = (np.arange(n * parts) / parts for n in (5, 6))
    fine = 3.0 + 0.6 * y[:, None] + 1.3 * x
    cells = fine.reshape(5, parts, 6, parts).mean(axis=(1, 3))
    exact = transmitted(fine, False, (5, 6))[middle]
    evenly = transmitted(cells, True, (5, 6))[middle]
    np.testing.assert_allclose(evenly, exact, rtol=2e-4)  # p of many energies bends a little within the cell
    assert (exact / transmitted(cells, False, (5, 6))[middle] - 1).min() > 2e-3


def test_the_slope_of_a_part_is_that_of_the_parts_beside_it():
    y, x = np.arange(6.0)[:, None], np.arange(8.0)
    parts = 3.0 + 0.5 * y + 0.4 * x
    merged = transmitted(parts, True, (3, 4))
    each = transmitted(parts, True, (6, 8)).reshape(3, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(merged, each, rtol=1e-6)


def test_no_cell_is_brighter_than_what_is_beside_it():
    path = np.zeros((5, 8))
    path[:, 4:] = 40.0  # an edge between two columns
    path[2, 2] = 5.0  # something smaller than a cell
    np.testing.assert_array_equal(transmitted(path, True, (5, 8)), transmitted(path, False, (5, 8)))
    path[:, 4] = 15.0  # the edge passes through a column
    sloped = transmitted(path, True, (5, 8))
    assert (sloped[:, 4] > 1.05 * transmitted(path, False, (5, 8))[:, 4]).all()
    assert sloped.max() <= 1.0


def test_parts_that_do_not_fit_the_readings_are_refused():
    with pytest.raises(ValueError, match="whole number of rows and columns per reading"):
        transmitted(np.zeros((5, 8)), True, (2, 8))


def test_parts_of_cells_change_neither_air_nor_what_is_even():
    plain = expose(twin_of(400.0), FLASH, asked(), sampling=SAMPLING)
    parted = expose(twin_of(400.0), FLASH, asked(), sampling=SAMPLING.model_copy(update={"row_parts": 4}))
    assert parted.geometry.shape == plain.geometry.shape
    np.testing.assert_array_equal(parted.air_kev_per_mas, plain.air_kev_per_mas)
    # an endless cylinder: rows differ by their slant alone
    np.testing.assert_allclose(parted.signal_kev_per_mas, plain.signal_kev_per_mas, rtol=2e-4)


def test_merged_cells_in_parts_come_close_to_the_cells_that_they_stand_for(twin):
    def relative(**update):
        one = expose(twin, FLASH, asked(mode="axial"), sampling=SAMPLING.model_copy(update=update))
        return one.signal_kev_per_mas / one.air_kev_per_mas

    real = relative(column_binning=1)
    exact = real.reshape(*real.shape[:2], -1, 16).mean(axis=3)
    coarse, fine = (float(np.sqrt(np.mean((relative(column_parts=n) / exact - 1) ** 2))) for n in (1, 4))
    assert coarse > 0.01
    assert fine < 0.4 * coarse


def test_a_flying_spot_takes_its_cycle_in_the_time_of_one_view(twin):
    name = FLASH.flying_focal_spots[0].name
    n_places = len(FLASH.flying_focal_spots[0].axial_mm)
    flying = expose(twin, FLASH, asked(flying_focal_spot=name), sampling=SAMPLING)
    still = expose(twin, FLASH, asked(), sampling=SAMPLING)
    assert flying.geometry.views_per_rotation == n_places * still.geometry.views_per_rotation
    np.testing.assert_allclose(n_places * flying.air_kev_per_mas, still.air_kev_per_mas, rtol=1e-6)
    middle = np.abs(still.geometry.column_angle_rad).argmin()
    seen = n_places * np.median(flying.signal_kev_per_mas[:, 0, middle])
    assert seen == pytest.approx(np.median(still.signal_kev_per_mas[:, 0, middle]), rel=0.01)


def test_scatter_and_topogram_come_with_the_exposure(twin):
    with_scatter = expose(twin, FLASH, asked(), sampling=SAMPLING.model_copy(update={"scatter": True}))
    without = expose(twin, FLASH, asked(), sampling=SAMPLING)
    assert without.scatter is None
    assert with_scatter.scatter is not None
    np.testing.assert_array_equal(with_scatter.signal_kev_per_mas, without.signal_kev_per_mas)  # primary alone
    scattered, _ = with_scatter.scatter.block(0, 4)
    assert scattered.shape == (4, *without.geometry.shape[1:])
    assert scattered.min() >= 0
    assert scattered.max() > 0
    assert without.topogram is not None
    assert without.topogram.water_equivalent_diameter_mm(np.array([0.0]))[0] == pytest.approx(150.0, rel=0.03)


def test_iodine_takes_the_third_channel_through_the_same_averages():
    plain = phantoms.cylinder(150.0, 200.0, spacing_mm=5.0)
    sampling = SAMPLING.model_copy(update={"rays_per_reading": 4})
    exposure = expose(plain, FLASH, asked(), sampling=sampling)
    table_3 = signal_table(beam_of(FLASH, asked(), sampling), 3)
    # no iodine: the tables of three channels give the same air as those of two
    np.testing.assert_allclose(table_3.air_kev(), exposure.air_kev_per_mas, rtol=1e-6)


ON_THREADS = """
import hashlib
from ctsim import Sampling, expose, load_profile, detect
from ctsim.voxels import pack
from twins import phantoms
profile = load_profile("siemens_definition_flash")
protocol = profile.protocol("screening_low_dose").model_copy(update={"scan_range_mm": (-5.0, 5.0), "with_couch": True})
sampling = Sampling(views_per_rotation=24, column_binning=16, row_binning=16, rays_per_reading=3)
exposure = expose(phantoms.cylinder(150.0, 200.0, spacing_mm=5.0), profile.scanner, protocol, sampling=sampling)
digest = hashlib.sha256(exposure.signal_kev_per_mas.tobytes() + exposure.mean_energy.tobytes())
digest.update(exposure.scatter.block(0, 8)[0].tobytes())
digest.update(detect(exposure, protocol, key=5).line_integral.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_bytes():
    digests = []
    for threads in ("1", "2", "4"):
        environment = {**os.environ, "NUMBA_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", ON_THREADS], env=environment, capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        digests.append(done.stdout)
    assert digests[0] == digests[1] == digests[2]


@pytest.mark.parametrize("parts", [1, 2])
def test_the_size_of_blocks_changes_no_byte(twin, parts):
    sampling = SAMPLING.model_copy(update={"rays_per_reading": 2, "row_parts": parts, "column_parts": parts})
    whole = expose(twin, FLASH, asked(with_couch=True), sampling=sampling)
    by_view = expose(twin, FLASH, asked(with_couch=True), sampling=sampling, block_bytes=1)
    assert by_view.signal_kev_per_mas.tobytes() == whole.signal_kev_per_mas.tobytes()
    assert by_view.mean_energy.tobytes() == whole.mean_energy.tobytes()
    with pytest.raises(ValueError, match="block_bytes must be at least 1, got 0"):
        expose(twin, FLASH, asked(), sampling=sampling, block_bytes=0)


def test_a_part_of_the_readings_worked_again_is_that_of_the_whole(twin):
    protocol = asked(with_couch=True)
    sampling = SAMPLING.model_copy(update={"rays_per_reading": 2, "row_parts": 2, "row_binning": 8})
    exposure = expose(twin, FLASH, protocol, sampling=sampling)
    volume = pack(twin)
    light = illuminate(twin, FLASH, protocol, sampling, exposure.geometry, volume.n_channels)
    rows, columns, views = slice(1, 5), slice(10, 30), slice(5, 9)  # one reading more than wanted all around
    part = light.part(rows, columns)
    first, second = np.zeros((2, 4, *part.geometry.shape[1:]), np.float32)
    add_moments(part, volume, (), views, first, second)
    units = np.empty(first.shape, np.uint16)
    mean_energy_units(first, second, units)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    there = exposure.signal_kev_per_mas[views, rows, columns]
    np.testing.assert_allclose(first[inside], there[inside], rtol=2e-6)
    assert np.abs(units[inside].astype(int) - exposure.mean_energy[views, rows, columns][inside]).max() <= 1
    assert there[inside].std() > 0.1 * there[inside].mean()
