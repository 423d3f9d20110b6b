"""Raw data files, and what is corrected from them."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from ctsim import RawScan, correct, detect, read_out

from .readings import exposure_of, protocol_with, scanner_with

KEY = 2**64 - 1
ARRAYS = ("signal_kev", "mas", "air_kev_per_mas", "offset_kev", "primary_kev", "scatter_kev")


@pytest.fixture(scope="module")
def raw():
    exposure = exposure_of(scanner_with(optical_crosstalk=(0.04, 0.04)), water_mm=180.0, n_views=8)
    return read_out(exposure, protocol_with(), key=KEY, with_truth=True)


def test_a_raw_scan_survives_its_file_and_the_file_is_the_same_each_time(raw, tmp_path):
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    raw.save(a)
    raw.save(b)
    assert a.read_bytes() == b.read_bytes()
    back = RawScan.load(a)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back, name), getattr(raw, name))
    for name in ("scanner", "protocol", "sampling", "key", "meta"):
        assert getattr(back, name) == getattr(raw, name), name
    back.save(b)
    assert a.read_bytes() == b.read_bytes()
    assert correct(back).line_integral.tobytes() == correct(raw).line_integral.tobytes()


def test_every_array_in_the_file_says_its_axes_and_unit(raw, tmp_path):
    raw.save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert [d.label for d in file["signal_kev"].dims] == ["view", "row", "column"]
        assert [d.label for d in file["air_kev_per_mas"].dims] == ["row", "column"]
        arrays = []
        file.visititems(lambda _, item: arrays.append(item) if isinstance(item, h5py.Dataset) else None)
        assert len(arrays) == len(ARRAYS) + 5
        for array in arrays:
            assert array.attrs["unit"], array.name
            assert all(d.label for d in array.dims), array.name


def test_a_file_of_another_origin_is_corrected_with_its_own_calibration(raw, tmp_path):
    other = np.random.default_rng(1).uniform(0.5, 2.0, raw.air_kev_per_mas.shape)
    offset = np.random.default_rng(2).uniform(100, 900, other.shape)
    mas = np.linspace(0.5, 2.0, 8) * raw.mas
    signal = (raw.signal_kev * other * (mas / raw.mas)[:, None, None] + offset).astype(np.float32)
    foreign = replace(
        raw,
        signal_kev=signal,
        mas=mas,
        air_kev_per_mas=raw.air_kev_per_mas * other,
        offset_kev=offset,
        primary_kev=None,
        scatter_kev=None,
    )
    foreign.save(tmp_path / "other.h5")
    line = correct(RawScan.load(tmp_path / "other.h5")).line_integral
    np.testing.assert_allclose(line, correct(raw).line_integral, atol=2e-5)


def test_correcting_leaves_the_raw_scan_alone_unless_told(raw):
    before = raw.signal_kev.copy()
    line = correct(raw).line_integral
    np.testing.assert_array_equal(raw.signal_kev, before)
    used = replace(raw, signal_kev=before)
    assert correct(used, overwrite=True).line_integral is before
    np.testing.assert_array_equal(before, line)


def test_water_of_any_length_is_its_length():
    length = np.linspace(0, 500, 184)
    sinogram = detect(exposure_of(water_mm=length, n_views=2), protocol_with(), key=None)
    found = sinogram.line_integral / sinogram.mu_water_per_mm
    np.testing.assert_allclose(found, np.broadcast_to(length, found.shape), atol=0.02)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"mas": np.ones(3)}, r"mas must be float64 of shape \(8,\)"),
        ({"mas": np.zeros(8)}, "mas must be positive"),
        ({"air_kev_per_mas": np.zeros((4, 184))}, "air_kev_per_mas must be positive"),
        ({"signal_kev": np.zeros((8, 4, 184))}, "signal_kev must be float32"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(raw, change, what):
    with pytest.raises(ValueError, match=what):
        replace(raw, **change)


def test_readings_of_another_detector_are_refused(raw):
    coarse = raw.sampling.model_copy(update={"column_binning": 8})
    with pytest.raises(ValueError, match="the readings have"):
        correct(replace(raw, sampling=coarse))


def test_a_damaged_file_is_refused_by_name(raw, tmp_path):
    path = tmp_path / "scan.h5"
    raw.save(path)
    with h5py.File(path, "r+") as file:
        del file["air_kev_per_mas"]
    with pytest.raises(ValueError, match=r"scan\.h5"):
        RawScan.load(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match=r"scan\.h5"):
        RawScan.load(path)
    with pytest.raises(FileNotFoundError):
        RawScan.load(tmp_path / "none.h5")
