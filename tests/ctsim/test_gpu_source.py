"""The CUDA sources without a GPU: they compile for the devices they are meant for, the projector sums what it should.

The driver runs through a stand-in for CuPy, the kernels' arithmetic on the CPU from the same source.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctsim import projection
from ctsim.backends.gpu.device import Device
from ctsim.backends.gpu.projection import lanes, project, send_body
from ctsim.voxels import BasisInset
from tests import reference
from tests.ctsim import fake_cupy
from tests.ctsim.cuda_on_cpu import KERNELS
from tests.ctsim.nvrtc import build
from tests.ctsim.scans import centred, geometry, packed

SOURCES = sorted(KERNELS.glob("*.cu"))
SPOT = ((0.6, 2.0, -0.4), (-0.6, -2.0, 0.4))
G_CM2_PER_MM = 0.1


@pytest.fixture
def device(monkeypatch, system_tool):
    fake_cupy.install(monkeypatch, system_tool)
    return Device()


def projected(device, volume, g, insets=(), views=None):
    """Area densities on the "device", from memory that holds nonsense."""
    views = views or slice(0, g.shape[0])
    n = views.stop - views.start
    out = device.empty((volume.n_channels, n, *g.shape[1:]))
    project(device, send_body(device, volume, insets), g, views, out)
    return out.get()


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_a_cuda_source_compiles_and_keeps_all_in_registers(source, architecture):
    ptx, machine_code, kernels = build(source, architecture)
    assert f".target {architecture}".encode() in ptx
    assert machine_code.startswith(b"\x7fELF")
    assert len(kernels) == source.read_text(encoding="utf-8").count('extern "C" __global__')
    for name, taken in kernels.items():
        assert taken.spilled_bytes == 0, name
        assert taken.registers <= 128, f"{name}: fewer than a quarter of the threads that a multiprocessor can hold"


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 1.0, 1.0), (1.0, 1.2, 0.9)])
@pytest.mark.parametrize(("pitch_mm", "row_mm"), [(0.5, 0.6), (2.0, 2.5), (0.5, 2.5), (2.0, 0.6)])
def test_readings_equal_the_obvious_sum(device, spacing, pitch_mm, row_mm):
    grid = centred((11, 23, 19), spacing, (3.0, -2.0, 1.0))
    first, second = np.random.default_rng(4).integers(0, 65536, (2, *grid.shape)) * (3.3 / 65535)
    rotations = 7 / 6  # views of 60 degrees, one of them along an axis
    g = geometry(6, 5, 48, pitch_iso_mm=pitch_mm, row_iso_mm=row_mm, feed_mm=9.0, start_z_mm=-4.0, rotations=rotations,
                 deflection_mm=SPOT)  # fmt: skip
    got = projected(device, packed(grid, first, second), g) / G_CM2_PER_MM
    places = [(w, r, c) for w in range(7) for r in range(5) for c in range(0, 48, 3)]
    for channel, volume in enumerate((first, second)):
        exact = np.array([reference.project(volume, grid, g, *where) for where in places])
        seen = np.array([got[channel][where] for where in places])
        assert exact.max() > 20
        # places to 1e-5 voxels in white noise of 3.3 per voxel, float32
        np.testing.assert_allclose(seen, exact, atol=5e-4)


def test_what_the_cpu_projects_the_device_projects(device, monkeypatch):
    monkeypatch.setattr(projection, "DRIFT_VOXELS", 0.0)  # every plane at its own height, as on the device
    rng = np.random.default_rng(1)
    grid = centred((13, 21, 17), (1.5, 1.0, 1.0))
    body = rng.random((2, *grid.shape))
    body[:, :, :4] = body[:, :, :, 12:] = 0.0  # empty columns of voxels
    volume = packed(grid, *body)
    iodine = np.where(rng.random(volume.words.shape) < 0.1, rng.integers(0, 2**16, volume.words.shape), 0)
    volume = replace(volume, iodine=iodine.astype(np.uint16))
    fine = centred((17, 15, 14), (0.3, 0.25, 0.25), (-3.0, 2.0, 1.0))
    delta = rng.standard_normal((3, *fine.shape)).astype(np.float32)
    delta[1] = 0.0
    g = geometry(12, 9, 60, pitch_iso_mm=0.6, row_iso_mm=0.8, feed_mm=30.0, start_z_mm=-14.0, rotations=1.5,
                 deflection_mm=SPOT)  # fmt: skip
    expected = np.empty((3, *g.shape), np.float32)
    projection.project(volume, [BasisInset(fine, delta)], g, 0, expected)
    got = projected(device, volume, g, [BasisInset(fine, delta)])
    assert (expected == 0).sum() > 1000  # rays beside, above and below
    assert np.abs(expected).max(axis=(1, 2, 3)).min() > 0.05
    for channel in range(3):
        # float32 sums in another order, places to 1e-5 voxels
        np.testing.assert_allclose(got[channel], expected[channel], atol=2e-5 * np.abs(expected[channel]).max())
    part = projected(device, volume, g, [BasisInset(fine, delta)], slice(5, 11))
    np.testing.assert_array_equal(part, got[:, 5:11])


def test_a_slab_that_fills_the_lattice_has_its_thickness_over_the_cosine_at_any_width_of_cells(device):
    grid = centred((9, 40, 60), (4.0, 0.7, 0.7))
    volume = packed(grid, np.ones(grid.shape))
    for pitch_mm in (0.3, 1.0):
        g = geometry(2, 8, 11, pitch_iso_mm=pitch_mm, row_iso_mm=1.0, offset=0.0, start_rad=np.pi / 2)
        got = projected(device, volume, g)[0] / G_CM2_PER_MM
        gamma, climb = g.column_angle_rad, g.row_offset_mm[:, None] / g.detector_distance_mm
        exact = 40 * 0.7 * np.sqrt(1 + climb**2) / np.cos(gamma)
        np.testing.assert_allclose(got, np.broadcast_to(exact, got.shape), rtol=3e-5)


def test_threads_that_share_a_walk_leave_few_idle():
    assert [lanes(n) for n in (1, 2, 16, 20, 32, 40, 64, 96, 320)] == [1, 2, 16, 8, 32, 16, 32, 32, 32]
    for n in range(1, 400):
        assert -(-n // lanes(n)) * lanes(n) <= 1.25 * n
