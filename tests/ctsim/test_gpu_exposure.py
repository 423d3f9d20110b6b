"""A whole exposure on the "device": the driver through a stand-in for CuPy, the kernels' arithmetic on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from ctsim import Sampling, expose, load_profile, projection
from ctsim.backends import BackendError
from ctsim.backends.gpu import Gpu
from ctsim.backends.gpu.device import Device
from ctsim.signal import MEAN_ENERGY_STEP_KEV
from tests.ctsim import fake_cupy
from twins import Grid, Inset, material, phantoms

PROFILE = load_profile("siemens_definition_flash")
SAMPLING = Sampling(views_per_rotation=24, column_binning=8, row_binning=8, rays_per_reading=3, scatter=False)


@pytest.fixture(params=["others last", "others first"])
def cupy(request, monkeypatch, system_tool):
    monkeypatch.setattr(projection, "DRIFT_VOXELS", 0.0)  # every plane at its own height, as on the device
    return fake_cupy.install(monkeypatch, system_tool, others_first=request.param == "others first")


@pytest.fixture(scope="module")
def twin():
    """Water on a couch."""
    return phantoms.cylinder(150.0, 60.0, spacing_mm=5.0)


def with_iodine_and_lesion(twin):
    """The same with an iodinated rod, and a lesion on a lattice of its own."""
    rod = phantoms.rod(40.0, 60.0, "iodinated_blood", at_mm=(30.0, 0.0))
    body = phantoms.cylinder(150.0, 60.0, spacing_mm=5.0, inserts=[rod])
    grid = Grid((12, 12, 12), (1.0, 1.0, 1.0), (-30.0, -10.0, -6.0))
    delta = np.random.default_rng(2).uniform(-1.0, 1.0, (1, *grid.shape)).astype(np.float32)
    return body.with_insets((Inset("lesion", grid, (material("water"),), delta),))


def both(twin, sampling=SAMPLING, **asked):
    """The exposure by the CPU, and by the device in blocks of few views."""
    plain = {"scan_range_mm": (-10.0, 10.0), "with_couch": True}
    protocol = PROFILE.protocol("screening_low_dose").model_copy(update=plain | asked)
    by_cpu = expose(twin, PROFILE.scanner, protocol, sampling=sampling)
    told = []
    by_gpu = expose(
        twin, PROFILE.scanner, protocol, sampling=sampling, backend="gpu", block_bytes=100_000, progress=told.append
    )
    assert len(told) > 3
    assert told == sorted(told)
    assert told[-1] == 1.0
    return by_cpu, by_gpu


def check(by_cpu, by_gpu):
    assert by_cpu.signal_kev_per_mas.min() < 0.05 * by_cpu.signal_kev_per_mas.max()
    # float32 all along: 4e-6 seen, 2e-7 on average
    np.testing.assert_allclose(by_gpu.signal_kev_per_mas, by_cpu.signal_kev_per_mas, rtol=1.5e-5)
    units = by_gpu.mean_energy.astype(int) - by_cpu.mean_energy
    assert np.abs(units).max() * MEAN_ENERGY_STEP_KEV < 0.005
    np.testing.assert_array_equal(by_gpu.air_kev_per_mas, by_cpu.air_kev_per_mas)


def test_an_exposure_by_the_device_is_that_of_the_cpu(cupy, twin):
    by_cpu, by_gpu = both(twin)
    check(by_cpu, by_gpu)
    assert (by_cpu.backend, by_cpu.device) == ("cpu", "cpu")
    assert (by_gpu.backend, by_gpu.device) == ("gpu", fake_cupy.NAME)


def test_iodine_lesions_and_parts_of_cells_come_out_alike(cupy, twin):
    sampling = SAMPLING.model_copy(update={"row_parts": 2, "column_parts": 2, "rays_per_reading": 2})
    body = with_iodine_and_lesion(twin)
    check(*both(body, sampling, with_couch=False))


def test_blocks_do_not_matter(cupy, twin):
    protocol = PROFILE.protocol("screening_low_dose").model_copy(update={"scan_range_mm": (-10.0, 10.0)})
    one, many = (
        expose(twin, PROFILE.scanner, protocol, sampling=SAMPLING, backend="gpu", block_bytes=n) for n in (1, 10**9)
    )
    np.testing.assert_array_equal(one.signal_kev_per_mas, many.signal_kev_per_mas)
    np.testing.assert_array_equal(one.mean_energy, many.mean_energy)


def test_a_body_beyond_the_memory_of_the_device_is_refused(cupy, twin, monkeypatch):
    monkeypatch.setattr(fake_cupy, "MEMORY", 10_000)
    with pytest.raises(BackendError, match=r"more than the 0\.0 GiB"):
        expose(twin, PROFILE.scanner, PROFILE.protocol("screening_low_dose"), sampling=SAMPLING, backend="gpu")


def test_a_body_that_leaves_no_room_for_views_is_refused(cupy, twin, monkeypatch):
    protocol = PROFILE.protocol("screening_low_dose")
    monkeypatch.setattr("ctsim.backends.gpu.exposing.walk_bytes", lambda _: fake_cupy.MEMORY // 2)
    with pytest.raises(BackendError, match="no room for 2 views"):
        expose(twin, PROFILE.scanner, protocol, sampling=SAMPLING, backend="gpu")


def test_what_a_process_may_hold_is_set_on_the_device(cupy):
    assert Device(12345).memory_bytes == cupy.get_default_memory_pool().limit == 12345
    with pytest.raises(ValueError, match="memory_bytes must be positive, got 0"):
        Device(0)


def test_a_machine_without_a_device_is_told_what_to_do(cupy, monkeypatch):
    monkeypatch.setattr(cupy, "is_available", lambda: False)
    with pytest.raises(BackendError, match="nvidia-smi"):
        Gpu()
