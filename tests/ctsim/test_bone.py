"""Second pass for bone: the model per reading, and rods of cortical bone in water through the whole chain."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ctsim import Sampling, detect, expose, load_profile, reconstruct
from ctsim.basis import coefficients
from ctsim.bone import bone_corrected, bone_model
from ctsim.correction import water_correction
from ctsim.protocol import Acquisition
from ctsim.signal import beam_of
from ctsim.voxels import water_per_mm_g_cm2
from twins import Grid, material, phantoms

AS = load_profile("siemens_definition_as")
COARSE = Sampling(views_per_rotation=360, column_binning=4, row_binning=16, rays_per_reading=1, scatter=False)
PROTOCOL = AS.protocol("axial").model_copy(update={"scan_range_mm": (-10.0, 10.0), "with_couch": False})
PIXEL_MM, N_PIXELS = 4.0, 112
GRID = Grid((1, N_PIXELS, N_PIXELS), (4.0, PIXEL_MM, PIXEL_MM), (-222.0, -222.0, 0.0))
AXIS = np.arange(N_PIXELS) * PIXEL_MM - 222.0


@cache
def model(kvp=120):
    acquisition = Acquisition(kvp=kvp, mode="axial", collimation_rows=64, bowtie="body")
    beam = beam_of(AS.scanner, acquisition, Sampling(column_binning=4, row_binning=8))
    return beam, water_correction(beam), bone_model(beam, water_correction(beam))


@pytest.mark.parametrize("kvp", [80, 120])
def test_a_ray_through_water_and_bone_counts_for_their_lengths(kvp):
    beam, correction, bone = model(kvp)
    c = coefficients(material("cortical_bone"))
    water_mm = np.array([20.0, 105.0, 230.0, 390.0])[:, None, None]
    amount = np.array([0.4, 2.6, 7.7, 15.2])[:, None, None]
    path = beam.path_g_cm2[:, None] + water_per_mm_g_cm2()[:, None, None, None] * water_mm
    path = path + np.array([c.basis_0, c.basis_1])[:, None, None, None] * amount
    values = -np.log(beam.gain * beam.moments_kev(path)[0] / beam.air_kev()).astype(np.float32)
    correction.apply(values)
    wanted_mm = water_mm + bone.bone_mm_per_g_cm2 * amount + 0 * values
    before = values / bone.mu_water_per_mm - wanted_mm
    bone.apply(values, (amount + 0 * values).astype(np.float32))
    after = values / bone.mu_water_per_mm - wanted_mm
    assert np.abs(before[2:]).min() > 4.0  # there is something to correct
    assert np.abs(after).max() < 0.2  # measured 0.16 mm of water, between the columns that are tabulated


def test_rays_without_bone_stay_as_they_are():
    _, _, bone = model()
    values = np.random.default_rng(0).uniform(0, 8, (3, 8, 184)).astype(np.float32)
    before = values.copy()
    bone.apply(values, np.zeros_like(values))
    np.testing.assert_array_equal(values, before)


def test_bone_counts_for_less_where_the_beam_is_harder():
    assert model(80)[2].hounsfield > model(120)[2].hounsfield > 1000


@cache
def rods():
    """Two rods of cortical bone, 120 mm apart, in 300 mm of water."""
    inserts = [phantoms.rod(40.0, 100.0, "cortical_bone", at_mm=(x, 0.0)) for x in (-60.0, 60.0)]
    twin = phantoms.cylinder(300.0, 100.0, inserts=inserts, spacing_mm=(10.0, 2.5, 2.5))
    return detect(expose(twin, AS.scanner, PROTOCOL, sampling=COARSE), PROTOCOL, key=None)


def errors(sinogram):
    """HU of a rod's middle, of its rim, and of the water between the rods, less what they shall be."""
    hu = reconstruct(sinogram, kernel=AS.kernel("B30f"), grid=GRID, slice_thickness_mm=10.0).hu[0].astype(float)
    wanted = model()[2].hounsfield
    from_rod = np.hypot(AXIS[None, :] - 60.0, AXIS[:, None])
    from_middle = np.hypot(AXIS[None, :], AXIS[:, None])
    rim = (from_rod > 10) & (from_rod < 14)
    return np.array([hu[from_rod < 6].mean() - wanted, hu[rim].mean() - wanted, hu[from_middle < 12].mean()])


def test_hardening_by_bone_is_gone_from_rods_and_the_water_between():
    before, after = errors(rods()), errors(bone_corrected(rods()))
    assert before[2] < -15
    assert before[0] < -100
    assert np.abs(after / before).max() < 1 / 10  # measured 1/22; one pass alone 1/5
    cup = before[1] - before[0], after[1] - after[0]
    assert 0 < cup[1] < cup[0] / 3  # measured 19 and 3 HU


def test_water_alone_is_left_alone():
    twin = phantoms.cylinder(200.0, 60.0, spacing_mm=5.0)
    sinogram = detect(expose(twin, AS.scanner, PROTOCOL, sampling=COARSE), PROTOCOL, key=None)
    np.testing.assert_array_equal(bone_corrected(sinogram, passes=1).line_integral, sinogram.line_integral)


def test_a_second_correction_is_refused():
    with pytest.raises(ValueError, match="already"):
        bone_corrected(replace(rods(), meta={"bone_corrected": True}))
    with pytest.raises(ValueError, match="passes"):
        bone_corrected(rods(), passes=0)
