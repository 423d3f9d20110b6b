"""Reconstruction on a GPU, proven without one: its kernels against the references of the Numba kernels, its driver on
a stand-in for CuPy against the CPU."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctsim.recon import Kernel, reconstruct
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk, turns_at_rest
from ctsim.recon.parallel import _cubic_taps, fans
from ctsim.recon.truncation import _SLOPE_MM, _VALUE_MM, LEAST_WATER_MM, extended
from ctsim.recon.wfbp import turns_of_helix, wfbp
from tests import reference
from tests.ctsim.cuda_on_cpu import cuda_on_cpu
from tests.ctsim.fake_cupy import NAME, install
from tests.ctsim.fake_cupyx_fft import install_fft
from tests.ctsim.scans import Ellipsoid, centred, geometry, integrals
from tests.ctsim.test_reconstruction import MU, scan

SMOOTH = Kernel(name="smooth", mtf50_per_mm=0.1, mtf10_per_mm=0.2)


@pytest.fixture
def device(monkeypatch, system_tool, request):
    """The stand-in, with the transforms; asked with True, streams do their work as early as can be."""
    install(monkeypatch, system_tool, others_first=getattr(request, "param", False))
    install_fft(monkeypatch)
    from ctsim.backends.gpu.device import Device

    return Device()


@pytest.fixture
def fine_nodes(monkeypatch):
    """The CPU interpolates between nodes, half a row apart for the outermost ones; here a twentieth."""
    from ctsim.recon import tiles

    monkeypatch.setattr(tiles, "DRIFT_ROWS", 0.05)
    monkeypatch.setattr(tiles, "DRIFT_SLICES", 0.025)


def cuda_rebin(system_tool, readings, first, origin, period, n_states, rays, out, first_view=0, n_views=None, before=0):
    """``rays``: state, column, shift, tap, tap_weight, row_weight of the Numba kernel."""
    from ctsim.backends.gpu.resampling import _cubic_weights

    state, column, shift, tap, tap_weight, row_weight = rays
    low = np.floor(shift)
    ray = np.stack([state, column, low], axis=1).astype(np.int32)
    n, n_rows, length = out.shape
    cuda_on_cpu("rebin", system_tool).launch(
        "rebin", n * length,
        readings, first_view, n_views or len(readings), readings.shape[2],
        np.asarray(first, np.int32), np.asarray(origin, np.int32), period, n_states,
        ray, _cubic_weights(shift - low).astype(np.float32), tap.astype(np.int32), tap_weight.astype(np.float32),
        row_weight, out, n, n_rows, row_weight.shape[1], before, length,
    )  # fmt: skip


def test_the_cuda_rebinning_is_cubic_between_views_and_between_rays(system_tool):
    rng = np.random.default_rng(1)
    readings = rng.random((24, 3, 9)).astype(np.float32)
    state, column = rng.integers(0, 2, 14), rng.integers(0, 9, 14)
    shift = np.linspace(-1.7, 2.2, 14)
    x = np.cumsum(rng.uniform(0.3, 1.0, 14))
    place = np.linspace(x[0] - 0.2, x[-1] + 0.2, 31)
    tap, tap_weight = _cubic_taps(x, place)
    weight = rng.random((3, 31)).astype(np.float32)
    rays = (state, column, shift, tap, tap_weight, weight)
    first = np.array([0, 4, 6, 11])  # views go on beyond both ends
    for origin, period in ((0, 0), (0, 12), (12, 6)):
        out = np.full((4, 3, 40), 99.0, np.float32)
        cuda_rebin(system_tool, readings, first, np.full(4, origin), period, 2, rays, out, before=5)
        assert not out[:, :, :5].any()
        assert not out[:, :, 36:].any()
        for n in range(4):
            for r in range(3):
                between = [
                    reference.ray_between(readings[origin:], k, 2, first[n] + s, r, c, period)
                    for k, c, s in zip(state, column, shift, strict=True)
                ]
                expected = [weight[r, q] * reference.between(x, np.array(between), at) for q, at in enumerate(place)]
                np.testing.assert_allclose(out[n, r, 5:36], expected, atol=3e-6)  # 16 terms of float32 below 1.4


@pytest.mark.parametrize("period", [0, 20])
def test_a_projection_needs_no_other_views_than_it_says(system_tool, period):
    from ctsim.backends.gpu.resampling import plan_jobs

    g = geometry(40, 4, 60, rotations=3, feed_mm=0.0 if period else 10.0, deflection_mm=((-0.7, 0, 0), (0.7, 0, 0)))
    readings = np.random.default_rng(2).random(g.shape).astype(np.float32)
    (fan,) = fans(g, geometric_chain(g).place_mm)
    first, origin = (np.arange(7, 12), np.full(5, 40)) if period else (np.arange(3, 52, 11), np.zeros(5, np.int64))
    jobs = plan_jobs(first, origin, period, 2, len(readings), (fan,))
    rays = (fan.state, fan.column, fan.shift, fan.tap, fan.tap_weight, fan.row_weight)
    expected = np.empty((5, *fan.row_weight.shape), np.float32)
    cuda_rebin(system_tool, readings, first, origin, period, 2, rays, expected)
    start, stop = jobs.views
    assert 0 < start < stop <= 120
    got = np.empty_like(expected)
    part = np.ascontiguousarray(readings[start:stop])
    cuda_rebin(system_tool, part, first, origin, period, 2, rays, got, start, len(readings))
    np.testing.assert_array_equal(got, expected)
    for n in range(5):
        few = np.full_like(readings, np.nan)  # all others may be nonsense
        few[jobs.start[n] : jobs.stop[n]] = readings[jobs.start[n] : jobs.stop[n]]
        one = np.empty((1, *expected.shape[1:]), np.float32)
        cuda_rebin(system_tool, few, first[n : n + 1], origin[n : n + 1], period, 2, rays, one)
        np.testing.assert_array_equal(one[0], expected[n])


def test_running_sums_of_the_device_are_cumulative_sums_from_zero(system_tool):
    rows = np.random.default_rng(2).random((3, 7, 11)).astype(np.float32)
    sums = np.full((3, 9, 5), 99.0, np.float32)
    cuda_on_cpu("rebin", system_tool).launch("cumulate_rows", 15, rows, sums, 3, 7, 5, 4, 11)
    assert np.all(sums[:, 0] == 0)
    np.testing.assert_allclose(sums[:, 1:8], rows[:, :, 4:9].cumsum(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(sums[:, 8], sums[:, 7])


@pytest.mark.parametrize("n_beyond", [40, 400])
def test_ends_of_the_device_are_extended_as_those_of_the_cpu(system_tool, n_beyond):
    place, water, n = 0.5, 0.02, 120
    x = place * (np.arange(n) - 40)
    r, c = np.array([20.0, 45.0, 70.0, 300.0])[:, None], np.array([0.0, 5.0, -30.0, 40.0])[:, None]
    rows = (2 * water * np.sqrt(np.maximum(r**2 - (x - c) ** 2, 0))).astype(np.float32)
    rows += np.random.default_rng(3).normal(0, 0.01, rows.shape).astype(np.float32)
    expected = extended(rows, place, n_beyond, water)
    length = n + 2 * n_beyond + 7
    got = np.zeros((4, length), np.float32)
    got[:, n_beyond : n_beyond + n] = rows
    cuda, cylinder = cuda_on_cpu("extend", system_tool), np.full((4, 2, 2), np.nan)
    shape = (4, n, n_beyond, length)
    n_slope, n_value = math.ceil(_SLOPE_MM / place), math.ceil(_VALUE_MM / place)
    cuda.launch("end_cylinders", 8, got, cylinder, *shape, n_slope, n_value, place, water, LEAST_WATER_MM)
    fall = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, n_beyond + 1) / (n_beyond + 1))
    cuda.launch("extend_ends", 8 * n_beyond, got, cylinder, *shape, n_beyond, fall, place, water)
    assert (cylinder[..., 0] < 0).any()  # some rows end in air ...
    assert (expected[:, :n_beyond].max(axis=1) > 0.5).any()  # ... others inside the body
    np.testing.assert_allclose(got[:, : n + 2 * n_beyond], expected, rtol=1e-5, atol=1e-6)
    assert not got[:, n + 2 * n_beyond :].any()


@pytest.mark.parametrize("beyond", [1.0, 1.2])
@pytest.mark.parametrize("box_mm", [0.3, 2.2, 40.0])
def test_a_voxel_of_the_device_reads_the_weighted_mean_of_the_sets_of_each_direction(system_tool, beyond, box_mm):
    rng = np.random.default_rng(6)
    n_rows, n_places, n_z, pitch = 8, 21, 21, 3.6
    filtered = rng.random((5, n_rows, n_places)).astype(np.float32)
    sums = np.zeros((5, n_rows + 2, n_places), np.float32)
    sums[:, 1:-1] = filtered.cumsum(axis=1)
    sums[:, -1] = sums[:, -2]
    turn = np.array([[0, 1, -1], [2, 3, 4]], np.int32)
    source_z = np.array([[-9.0, 2.0, 11.0], [-8.0, 1.5, 12.5]])
    half_turn, fan = np.array([1.0, -1.0, 1.0], np.float32), np.array([0, 1, 1], np.int32)
    to_axis, climb = rng.uniform(550, 600, (2, n_places)), rng.uniform(-2, 2, (2, n_places))
    cell, bottom = rng.uniform(1050, 1100, (2, n_places)), np.array([-14.4, -13.1])
    ray = np.stack([to_axis, climb, cell / pitch], axis=-1).astype(np.float32)
    theta = np.array([0.3, 1.9])
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    x, y = np.linspace(-45, 46, 19), np.linspace(-44, 47, 11)
    lit_first, lit = np.array([0, 3, 6, 8], np.int32), np.array([0, 1, 2, 0, 1, 2, 1, 2], np.int32)
    before = rng.random((11, 19, n_z)).astype(np.float32)
    out, seen = before.copy(), np.full(before.shape, 2, np.uint16)
    cuda_on_cpu("backproject", system_tool).launch(
        "back_project", 2 * 2 * 3 * 128,
        sums, turn, source_z, direction, half_turn, fan, ray, (bottom / pitch).astype(np.float32), lit_first, lit,
        x, y, -50.0, 1 / 5.0, 20.0, -26.0, 1.5, box_mm, 0.6, 1e-3 if beyond > 1 else 0.0, beyond, 46.0,
        2, 3, n_rows, n_places, 11, 19, n_z, 8, out, seen,
    )  # fmt: skip
    n_unseen = 0
    for j, i, k in rng.integers(0, (11, 19, n_z), (400, 3)):
        if math.hypot(x[i], y[j]) > 46:
            assert out[j, i, k] == before[j, i, k]
            continue
        total, unseen, z = 0.0, 0, -26 + 1.5 * (8 + k)
        for d in range(2):
            p = y[j] * direction[d, 0] - x[i] * direction[d, 1]
            t = x[i] * direction[d, 0] + y[j] * direction[d, 1]
            lines, middles, widths = [], [], []
            for s in range(3):
                n, f = turn[d, s], fan[s]
                if n < 0 or (k >= 16 and s == 0):  # the last slices are not said to be lit by set 0
                    continue
                at = ((p if half_turn[s] > 0 else -p) + 50) / 5
                m = min(max(math.floor(at), 0), n_places - 2)

                def read(table, m=m, w=at - m):
                    return (1 - w) * table[..., m] + w * table[..., m + 1]

                rise = read(cell[f]) / (read(to_axis[f]) - half_turn[s] * t) / pitch
                lines.append(read(filtered[n].astype(float)))
                middles.append((z - source_z[d, s] - read(climb[f])) * rise - bottom[f] / pitch)
                widths.append(box_mm * rise)
            mean = reference.mean_of_sets(lines, middles, widths, beyond)
            unseen += math.isnan(mean)
            total += 0.0 if math.isnan(mean) else mean
        n_unseen += unseen
        assert seen[j, i, k] == 2 - unseen
        # differences of sums below 8 in float32 over at least 0.12 rows; weights near 1e-6 are float32 too
        assert out[j, i, k] - before[j, i, k] == pytest.approx(total, abs=4e-5 if box_mm > 1 else 2e-4)
    assert n_unseen > 10


SCANS = {
    "axial": {},
    "steps": {"rotations": 2},
    "helix": {"rotations": 3, "feed_mm": 14.0, "start_z_mm": -21.0},
    "in-plane flying spot": {
        "rotations": 3, "feed_mm": 14.0, "start_z_mm": -21.0, "deflection_mm": ((-0.6, 0, 0), (0.6, 0, 0))
    },
    "flying spot along z": {
        "rotations": 3, "feed_mm": 14.0, "start_z_mm": -21.0, "deflection_mm": ((0, -2.0, -0.6), (0, 2.0, 0.6))
    },
}  # fmt: skip


def small_scan(name, half_width_mm=130.0):
    """Geometry, water attenuation times path; at 130 mm the body is wider than the fan."""
    g = geometry(96, 8, 110, pitch_iso_mm=2.0, start_rad=0.3, isocentre_mm=(3.0, -2.0), **SCANS[name])
    if name == "steps":
        g.source_z_mm[:] = np.repeat([-6.0, 6.0], 96)
    body = [Ellipsoid((5, 3, 0), (half_width_mm, 60, np.inf)), Ellipsoid((20, -10, 2), (9, 9, 7), 0.5)]
    return g, (MU * integrals(g, body)).astype(np.float32)


@pytest.mark.parametrize("name", SCANS)
def test_an_image_of_the_device_is_that_of_the_cpu(device, fine_nodes, name):
    from ctsim.backends.gpu.reconstruction import back_project

    g, line = small_scan(name)
    axis, z = np.arange(45) * 3.0 - 66, np.arange(11) * 1.0 - 5
    arguments = (line, g, SMOOTH, geometric_chain(g), (z, axis + 2, axis), 2.0, 95.0, MU)
    method = wfbp if g.is_helical else fdk
    told = []
    mu, seen = method(*arguments)
    got, got_seen = method(*arguments, told.append, lambda *a: back_project(device, *a))
    np.testing.assert_array_equal(got_seen, seen)
    hu = 1000 * (got - mu) / MU
    # measured 0.005 to 0.011 and 0.09 to 0.24
    assert np.sqrt(np.mean(hu**2)) < 0.03
    assert np.abs(hu).max() < 0.5
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(("name", "device"), [("steps", False), ("helix", True)], indirect=["device"])
def test_an_image_of_the_device_has_the_same_bytes_within_any_memory(device, monkeypatch, name):
    from ctsim.backends.gpu import reconstruction, resampling

    g, line = small_scan(name)
    axis, z = np.arange(33) * 4.0 - 64, np.arange(19) * 1.0 - 9
    turns = turns_of_helix(g, geometric_chain(g)) if g.is_helical else turns_at_rest(g, 95.0)
    arguments = (device, line, g, SMOOTH, geometric_chain(g), turns, (z, axis, axis), 2.0, 95.0, MU)
    mu, seen = reconstruction.back_project(*arguments)
    found, parts = [], reconstruction.Plan.parts
    monkeypatch.setattr(reconstruction.Plan, "parts", lambda self, limit: found.append(parts(self, limit)) or found[-1])
    monkeypatch.setattr(resampling, "UPLOAD_BYTES", 7 * 4 * math.prod(g.shape[1:]))
    monkeypatch.setattr(reconstruction, "BAND_BYTES", 1)
    for memory_bytes in (5_000_000, 1_500_000):
        got, got_seen = reconstruction.back_project(*arguments, memory_bytes=memory_bytes)
        assert got.tobytes() == mu.tobytes()
        assert got_seen.tobytes() == seen.tobytes()
    assert found[-1][0] < len(z)
    assert found[-1][1] < len(turns.view)
    with pytest.raises(ValueError, match="slices take at least"):
        reconstruction.back_project(*arguments, memory_bytes=500_000)


@pytest.mark.parametrize("name", ["axial", "helix"])
def test_a_scan_is_reconstructed_on_the_gpu_if_asked_and_says_so(device, fine_nodes, name):
    g, line = small_scan(name, 80.0)
    sinogram = scan(g, line / MU)
    grid = centred((7, 31, 31), (1.5, 4.0, 4.0), (3.0, -2.0, 0.0))
    cpu = reconstruct(sinogram, kernel=SMOOTH, grid=grid, slice_thickness_mm=2.5)
    gpu = reconstruct(sinogram, kernel=SMOOTH, grid=grid, slice_thickness_mm=2.5, backend="gpu")
    assert (cpu.meta["backend"], cpu.meta["device"]) == ("cpu", "cpu")
    assert (gpu.meta["backend"], gpu.meta["device"]) == ("gpu", NAME)
    assert np.abs(gpu.hu.astype(int) - cpu.hu).max() <= 1


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_worked_out():
    from ctsim.backends import BackendError

    g, line = small_scan("axial", 80.0)
    with pytest.raises(BackendError, match="backend 'gpu' needs CuPy"):
        reconstruct(scan(g, line), kernel=SMOOTH, backend="gpu")


def test_slices_that_nothing_lights_are_unseen(device):
    from ctsim.backends.gpu.reconstruction import back_project

    g, line = small_scan("helix")
    axis, z = np.arange(15) * 8.0 - 56, np.arange(12) * 1.0 + 900
    turns = turns_of_helix(g, geometric_chain(g))
    mu, seen = back_project(device, line, g, SMOOTH, geometric_chain(g), turns, (z, axis, axis), 2.0, 95.0)
    inside = (axis - 3) ** 2 + (axis[:, None] + 2) ** 2 <= 95**2
    assert not mu.any()
    assert not seen[inside].any()
    assert np.all(seen[~inside] == len(turns.view))  # outside of the field of view nothing is counted, as on the CPU


@pytest.mark.parametrize("name", ["steps", "helix"])
def test_a_region_of_interest_is_that_part_of_the_whole(device, name):
    from ctsim.backends.gpu.reconstruction import back_project

    g, line = small_scan(name)
    axis, z = np.arange(21) * 5.0 - 50, np.arange(19) * 1.0 - 9
    turns = turns_of_helix(g, geometric_chain(g)) if g.is_helical else turns_at_rest(g, 95.0)
    around = slice(3, 14), slice(5, 11), slice(12, 17)
    whole, part = (
        back_project(device, line, g, SMOOTH, geometric_chain(g), turns, axes, 2.0, 95.0, MU)
        for axes in ((z, axis, axis), (z[around[0]], axis[around[1]], axis[around[2]]))
    )
    np.testing.assert_array_equal(part[1], whole[1][around[1], around[2], around[0]])
    # heights of slices are counted from another first one: rounding of 1e-5 rows
    np.testing.assert_allclose(part[0], whole[0][around[1], around[2], around[0]], rtol=0, atol=1e-5 * MU)
