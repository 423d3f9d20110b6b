"""Exposures, detection and sinogram files."""

import h5py
import numpy as np
import pytest

from ctsim import Sampling, Sinogram, detect, expose, load_profile
from ctsim.backends import choose
from twins import Grid, Inset, material, phantoms

AS = load_profile("siemens_definition_as")
SAMPLING = Sampling(views_per_rotation=24, column_binning=16, row_binning=32, scatter=False)
WATER = material("water")


@pytest.fixture(scope="module")
def twin():
    return phantoms.cylinder(150.0, 60.0, spacing_mm=5.0)


@pytest.fixture(scope="module")
def protocol():
    return AS.protocol("screening_low_dose").model_copy(update={"scan_range_mm": (-5.0, 5.0), "with_couch": False})


@pytest.fixture(scope="module")
def exposure(twin, protocol):
    return expose(twin, AS.scanner, protocol, sampling=SAMPLING)


def test_blocks_of_views_change_no_byte(twin, protocol, exposure):
    done = []
    again = expose(twin, AS.scanner, protocol, sampling=SAMPLING, block_bytes=5 * 2 * 2 * 46 * 4, progress=done.append)
    assert again.signal_kev_per_mas.tobytes() == exposure.signal_kev_per_mas.tobytes()
    assert len(done) > 5
    assert done[-1] == 1.0
    assert done == sorted(done)


def test_rays_beside_the_body_carry_the_air_signal(exposure):
    np.testing.assert_array_equal(
        exposure.signal_kev_per_mas[:, :, 0],
        np.broadcast_to(np.float32(exposure.air_kev_per_mas[:, 0]), exposure.signal_kev_per_mas[:, :, 0].shape),
    )
    assert exposure.signal_kev_per_mas.max() <= exposure.air_kev_per_mas.max() * (1 + 1e-6)


def test_an_exposure_serves_every_dose_of_its_acquisition(exposure, protocol):
    more = protocol.model_copy(update={"mas_per_rotation": 200.0, "name": "more"})
    low, high = detect(exposure, protocol, key=None), detect(exposure, more, key=None)
    np.testing.assert_allclose(low.line_integral, high.line_integral, atol=1e-6)
    assert high.ctdi_vol_mgy == pytest.approx(8 * low.ctdi_vol_mgy)


def test_a_scan_says_its_dose_overscan_included(exposure, protocol):
    sinogram = detect(exposure, protocol, key=None)
    dose = sinogram.meta["dose"]
    geometry = sinogram.geometry
    travel_mm = geometry.feed_per_rotation_mm * geometry.shape[0] / geometry.views_per_rotation
    assert travel_mm > 10.0
    assert dose["ctdi_vol_mgy"] == sinogram.ctdi_vol_mgy
    assert dose["ctdi_vol_mgy"] == pytest.approx(dose["ctdi_w_mgy"] / protocol.pitch)
    assert dose["dlp_mgy_cm"] == pytest.approx(dose["ctdi_vol_mgy"] * travel_mm / 10)
    assert sinogram.meta["mean_mas_per_rotation"] == protocol.mas_per_rotation
    assert sinogram.meta["water_diameter_mm"] == pytest.approx(150.0, rel=0.02)


def test_another_acquisition_is_refused_by_what_differs(exposure, protocol):
    with pytest.raises(ValueError, match="kvp differ"):
        detect(exposure, protocol.model_copy(update={"kvp": 100}), key=1)


def test_a_key_of_more_than_64_bits_is_refused(exposure, protocol):
    with pytest.raises(ValueError, match="key must be"):
        detect(exposure, protocol, key=2**64)


def test_without_noise_the_middle_ray_measures_the_body_in_water(exposure, protocol):
    sinogram = detect(exposure, protocol, key=None)
    middle = sinogram.line_integral[len(sinogram.line_integral) // 2, 0]
    length_mm = middle.max() / sinogram.mu_water_per_mm
    assert length_mm == pytest.approx(150.0, abs=1.5)  # cells of 11 mm at the axis see down to 149.6 on average


def test_an_inset_changes_only_the_readings_in_its_shadow(twin, protocol, exposure):
    grid = Grid((6, 6, 6), (1.0, 1.0, 1.0), (20.0, 10.0, -2.5))
    lesion = Inset("lesion", grid, (WATER,), np.full((1, 6, 6, 6), 0.5, np.float32))
    changed = expose(twin.with_insets((lesion,)), AS.scanner, protocol, sampling=SAMPLING)
    ratio = changed.signal_kev_per_mas / exposure.signal_kev_per_mas
    assert ratio.max() <= 1.0 + 1e-6  # beside the shadow a path begins to slope within its cell
    assert 0 < np.count_nonzero(ratio != 1) < ratio.size / 4


def test_a_sinogram_survives_its_file_and_the_file_is_the_same_each_time(exposure, protocol, tmp_path):
    sinogram = detect(exposure, protocol, key=2**64 - 1)
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    sinogram.save(a)
    sinogram.save(b)
    assert a.read_bytes() == b.read_bytes()
    back = Sinogram.load(a)
    np.testing.assert_array_equal(back.line_integral, sinogram.line_integral)
    for name in ("mu_water_per_mm", "scanner", "protocol", "sampling", "key", "ctdi_vol_mgy", "meta"):
        assert getattr(back, name) == getattr(sinogram, name), name
    for name in ("view_angle_rad", "source_z_mm", "column_angle_rad", "row_offset_mm"):
        np.testing.assert_array_equal(getattr(back.geometry, name), getattr(sinogram.geometry, name))
    assert back.geometry.isocentre_mm == sinogram.geometry.isocentre_mm
    assert back.geometry.feed_per_rotation_mm == sinogram.geometry.feed_per_rotation_mm


def test_a_damaged_file_is_refused_by_name(exposure, protocol, tmp_path):
    path = tmp_path / "scan.h5"
    detect(exposure, protocol, key=None).save(path)
    with h5py.File(path, "r+") as file:
        del file["geometry/view_angle_rad"]
    with pytest.raises(ValueError, match=r"scan\.h5"):
        Sinogram.load(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match=r"scan\.h5"):
        Sinogram.load(path)
    with pytest.raises(FileNotFoundError):
        Sinogram.load(tmp_path / "none.h5")


def test_auto_is_the_cpu_and_the_gpu_says_what_to_do(monkeypatch):
    monkeypatch.setattr("ctsim.backends.find_spec", lambda _: None)
    assert choose("auto") == choose("cpu") == "cpu"
    with pytest.raises(RuntimeError, match="use backend 'cpu'"):
        choose("gpu")
    with pytest.raises(ValueError, match="auto, cpu, gpu"):
        choose("tpu")
