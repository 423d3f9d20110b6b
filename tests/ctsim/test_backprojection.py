"""Kernels of rebinning and back projection against their obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctsim.kernels.convolve import filter_and_cumulate
from ctsim.kernels.gather import gather_directions
from ctsim.kernels.rebin import rebin
from ctsim.kernels.spread import spread_directions
from ctsim.recon import reconstruct, tiles
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk
from ctsim.recon.filtering import _padded, filter_rows, row_filter
from ctsim.recon.kernels import Kernel
from ctsim.recon.parallel import _cubic_taps
from ctsim.recon.wfbp import wfbp
from tests import reference
from tests.ctsim.scans import Ellipsoid, centred, geometry, integrals
from tests.ctsim.test_reconstruction import scan
from twins import Grid


def in_groups(rows):
    """``(n, group, place, 16)`` of ``(n, row, place)``, zeros beyond the last row."""
    n, n_rows, n_places = rows.shape
    padded = np.zeros((n, -(-n_rows // 16) * 16, n_places), np.float32)
    padded[:, :n_rows] = rows
    return np.ascontiguousarray(padded.reshape(n, -1, 16, n_places).swapaxes(2, 3))


def test_rays_between_views_are_those_of_cubic_convolution_and_places_cubics_between_rays():
    rng = np.random.default_rng(1)
    readings = rng.random((24, 20, 9)).astype(np.float32)
    state, column = rng.integers(0, 2, 14), rng.integers(0, 9, 14)
    shift = np.linspace(-1.7, 2.2, 14)
    x = np.cumsum(rng.uniform(0.3, 1.0, 14))
    place = np.linspace(x[0] - 0.2, x[-1] + 0.2, 31)
    tap, tap_weight = _cubic_taps(x, place)
    weight = rng.random((20, 31)).astype(np.float32)
    is_turned, groups = np.array([False, True, False, True]), np.array([[0, 2], [0, 2], [1, 2], [0, 1]])
    for origin, period in ((0, 0), (0, 12), (12, 6)):
        out = np.full((4, 2, 31, 16), 99.0, np.float32)
        rebin(
            readings, np.arange(3, 7), np.full(4, origin), period, 2, state, column, shift, tap,
            tap_weight.astype(np.float32), in_groups(weight[None])[0], is_turned, groups, out,
        )  # fmt: skip
        assert np.all(out[2, 0] == 99)  # not asked for
        assert np.all(out[3, 1] == 99)
        assert not out[:2, 1, :, 4:].any()  # beyond the last row
        for n, r in ((0, 0), (0, 19), (1, 2), (1, 17), (2, 16), (3, 15)):
            rays = np.array(
                [
                    reference.ray_between(readings[origin:], k, 2, n + 3 + s, r, c, period)
                    for k, c, s in zip(state, column, shift, strict=True)
                ]
            )
            expected = [weight[r, q] * reference.between(x, rays, at) for q, at in enumerate(place)]
            got = out[n, r // 16, :, r % 16]
            # 16 terms of float32 below 1.4
            np.testing.assert_allclose(got[::-1] if is_turned[n] else got, expected, atol=3e-6)


def test_a_cubic_between_unequal_rays_keeps_parabolas():
    x = np.cumsum(np.random.default_rng(2).uniform(0.2, 1.0, 20))
    place = np.linspace(x[1], x[-2], 50)
    tap, weight = _cubic_taps(x, place)
    y = 3 - x + 0.7 * x**2
    np.testing.assert_allclose((weight * y[tap]).sum(axis=1), 3 - place + 0.7 * place**2, rtol=1e-12)


@pytest.mark.parametrize("n_places", [5, 17, 70, 100, 260])
def test_rows_are_convolved_and_summed_up_from_the_first_that_is_wanted(n_places):
    rng = np.random.default_rng(2)
    rows = rng.random((3, 36, n_places)).astype(np.float32)
    length = _padded(n_places)
    assert length >= 2 * n_places
    response = rng.normal(size=length // 2 + 1)  # even, and as long as it may be
    transfer = np.fft.rfft(np.concatenate([response, response[-2:0:-1]])).real.astype(np.float32)
    plan = row_filter(transfer)
    assert math.prod(plan.radices) == length
    skip, kept = n_places // 5, n_places - 2 * (n_places // 5)
    out = np.full((4, 49, kept + 15), np.nan, np.float32)
    groups, place, index = np.array([[0, 3], [1, 2], [0, 1]]), np.array([0, 8, 5]), np.array([3, 0, 2])
    filter_and_cumulate(
        in_groups(rows), plan.transfer, plan.cos, plan.sin, plan.radices, skip, kept, groups, place, index, out
    )
    near = response[np.abs(np.subtract.outer(np.arange(n_places), np.arange(n_places)))]
    filtered = np.zeros((3, 48, n_places))
    filtered[:, :36] = rows @ near
    np.testing.assert_allclose(filter_rows(rows, transfer), filtered[:, :36], atol=1e-4 * np.abs(filtered).max())
    for n in range(3):
        low, high = 16 * groups[n]
        sums = out[index[n], low : high + 1, place[n] : place[n] + kept]
        assert not sums[0].any()
        expected = filtered[n, low:high, skip : skip + kept].cumsum(axis=0)
        np.testing.assert_allclose(sums[1:], expected, atol=2e-6 * np.abs(filtered).max() * 48**0.5)
        assert np.all(np.isfinite(out[index[n], low : high + 1]))
    assert np.all(np.isnan(out[1]))
    assert np.all(np.isnan(out[0, :16]))


@pytest.mark.parametrize("uneven", [1.0, 0.02], ids=["each place its rows", "rows shared"])
@pytest.mark.parametrize("beyond", [1.0, 1.2])
@pytest.mark.parametrize("box_mm", [0.3, 2.2, 40.0])
def test_a_node_reads_the_weighted_mean_of_the_sets_of_its_direction(beyond, box_mm, uneven):
    rng = np.random.default_rng(6)
    filtered = rng.random((5, 8, 21))
    sums = np.zeros((5, 17, 32), np.float32)
    sums[:, 1:9, :21] = filtered.cumsum(axis=1)
    sums[:, 9:, :21] = sums[:, 8:9, :21]
    turn = np.array([[0, 1, -1], [2, 3, 4]])
    source_z = np.array([[-9.0, 2.0, 11.0], [-8.0, 1.5, 12.5]])
    half_turn, family = np.array([1.0, -1.0, 1.0]), np.array([0, 1, 2])
    to_axis = (575 + uneven * rng.uniform(-25, 25, (3, 32))).astype(np.float32)
    climb = (uneven * rng.uniform(-2, 2, (3, 32))).astype(np.float32)
    row_pitch, bottom = 3.6, np.array([-14.4, -13.1, -13.1])
    cell_rows = ((1075 + uneven * rng.uniform(-25, 25, (3, 32))) / row_pitch).astype(np.float32)
    there = np.ones((3, 32), np.float32)
    there[1, [3, 4, 12]] = 0
    place, first_place = np.array([-50.0, 5.0]), np.array([2, 0])
    slices = np.array([-14.0, 1.5, box_mm])
    theta = np.array([0.3, 1.9])
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    node_mm, first_node, area = 12.0, np.array([-60.0, -55.0]), np.array([-35.0, 45.0, -48.0, 31.0, 50.0])
    sheet, is_unseen = np.full((2, 24, 11, 32), 99.0, np.float32), np.zeros((2, 18), np.bool_)
    gather_directions(
        sums, turn, source_z, half_turn, family, to_axis, climb, cell_rows, there, bottom / row_pitch, 8, beyond,
        slices, 20, place, first_place, node_mm, first_node, direction, area, sheet, is_unseen,
    )  # fmt: skip
    n_nan = 0
    for d, i, t, k in rng.integers(0, (2, 18, 11, 20), (500, 4)):
        q = first_place[d] + i
        p, along, z = -50 + 5 * q, first_node[d] + 12 * t, slices[0] + 1.5 * k
        x, y = along * direction[d] + p * np.array([-direction[d, 1], direction[d, 0]])
        if not (-35 <= x <= 45 and -48 <= y <= 31 and math.hypot(x, y) <= 50):
            continue
        lines, middles, widths = [], [], []
        for n, sign, z_source, j in zip(turn[d], half_turn, source_z[d], family, strict=True):
            if n < 0 or there[j, q] == 0:
                continue
            rise = cell_rows[j, q] / (to_axis[j, q] - sign * along)
            lines.append(np.diff(sums[n, :9, q].astype(float)))
            middles.append((z - z_source - climb[j, q]) * rise - bottom[j] / row_pitch)
            widths.append(box_mm * rise)
        expected = reference.mean_of_sets(lines, middles, widths, beyond)
        n_nan += math.isnan(expected)
        assert is_unseen[d, i] or not math.isnan(expected)
        # differences of sums below 8 in float32 over at least 0.12 rows; weights near 1e-6 are float32 too
        assert sheet[d, i, t, k] == pytest.approx(expected, abs=2e-5 if box_mm > 1 else 1e-4, nan_ok=True)
    assert n_nan > 10


def test_voxels_of_a_helix_interpolate_between_four_nodes_and_count_the_unseen():
    rng = np.random.default_rng(7)
    sheet = np.full((3, 25, 9, 32), np.nan, np.float32)
    sheet[..., :5] = rng.random((3, 25, 9, 5))
    sheet[1, 11, 4, 2] = np.nan
    theta = np.array([0.2, 1.1, 2.9])
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    x, y = np.linspace(-20, 21, 23), np.linspace(-19, 20, 35)
    whole, whole_missed = np.zeros((37, 26, 8), np.float32), np.zeros((37, 26, 8), np.uint16)
    out, missed = whole[1:36, 2:25], whole_missed[1:36, 2:25]
    first_p, first_t = np.array([-36.0, -35.0, -36.5]), np.array([-40.0, -41.0, -38.0])
    spread_directions(
        sheet, 5, 25, np.array([False, True, False]), direction, x, y, first_p, 3.0, first_t, 10.0, 25.0, 0.5,
        np.array([1, 2, 2]), whole, whole_missed,
    )  # fmt: skip
    for j in range(35):
        for i in range(23):
            total, unseen = np.zeros(5), np.zeros(5, int)
            for d, (cos, sin) in enumerate(direction):
                p = (y[j] * cos - x[i] * sin - first_p[d]) / 3
                t = (x[i] * cos + y[j] * sin - first_t[d]) / 10
                value = np.zeros(5)
                for a in (math.floor(p), math.floor(p) + 1):
                    for b in (math.floor(t), math.floor(t) + 1):
                        value += (1 - abs(p - a)) * (1 - abs(t - b)) * sheet[d, a, b, :5]
                unseen += np.isnan(value)
                total += 0.5 * np.nan_to_num(value)
            inside = math.hypot(x[i], y[j]) <= 25
            np.testing.assert_allclose(out[j, i, 2:7], total * inside, atol=1e-5)
            assert not out[j, i, [0, 1, 7]].any()
            np.testing.assert_array_equal(missed[j, i, 2:7], unseen * inside)
    assert missed.any()
    assert whole.astype(bool).sum() == out.astype(bool).sum()
    assert whole_missed.sum() == missed.sum()


def test_voxels_beyond_the_outermost_rays_continue_the_last_two_of_them():
    places, nodes = np.arange(6) * 3.0 - 7.5, np.arange(9) * 10.0 - 40
    sheet = np.full((1, 8, 9, 16), np.nan, np.float32)  # six places count
    sheet[0, :6] = (2 + 0.5 * places[:, None] - 0.1 * nodes)[..., None]
    y = np.linspace(-10, 10, 9)  # the rays reach 7.5
    out, missed = np.zeros((9, 2, 16), np.float32), np.zeros((9, 2, 16), np.uint16)
    spread_directions(
        sheet, 16, 6, np.zeros(1, np.bool_), np.array([[1.0, 0.0]]), np.array([-4.0, 5.0]), y, places[:1], 3.0,
        nodes[:1], 10.0, 25.0, 1.0, np.zeros(3, np.int64), out, missed,
    )  # fmt: skip
    expected = 2 + 0.5 * y[:, None] - 0.1 * np.array([-4.0, 5.0])
    np.testing.assert_allclose(out, np.broadcast_to(expected[..., None], out.shape), atol=1e-5)
    assert not missed.any()


@pytest.mark.parametrize("n_columns", [40, 45])
def test_the_field_of_view_has_values_to_its_edge_where_opposite_rays_end_alike(n_columns):
    """Without a quarter offset no ray of the other side goes on where those of one side end."""
    g = geometry(96, 4, n_columns, pitch_iso_mm=3.0, offset=0.03)
    line = integrals(g, [Ellipsoid((5, 3, 0), (20, 15, 15))]).astype(np.float32)
    p, _ = g.parallel_rays()
    radius = min(-float(p[:, 0].max()), float(p[:, -1].min()))
    axis = np.linspace(-radius, radius, 161)
    kernel = Kernel(name="smooth", mtf50_per_mm=0.05, mtf10_per_mm=0.1)
    mu, _ = fdk(line, g, kernel, geometric_chain(g), (np.zeros(1), axis, axis), 2.0, radius)
    assert np.isfinite(mu).all()
    assert mu.any(axis=2).sum() > 0.98 * np.pi / 4 * 161**2


@pytest.mark.parametrize("feed_mm", [0.0, 14.0])
def test_an_image_has_the_same_bytes_for_any_number_of_threads(feed_mm, on_one_and_all_threads):
    g = geometry(48, 6, 60, pitch_iso_mm=2.0, rotations=3 if feed_mm else 1, feed_mm=feed_mm, start_z_mm=-1.5 * feed_mm)
    line = integrals(g, [Ellipsoid((5, 3, 0), (30, 20, 15))]).astype(np.float32)
    axis = np.arange(35) * 2.0 - 34
    kernel = Kernel(name="smooth", mtf50_per_mm=0.1, mtf10_per_mm=0.2)
    arguments = (line, g, kernel, geometric_chain(g), (axis[15:20], axis, axis), 2.0, 55.0)
    one, many = on_one_and_all_threads(lambda: (wfbp if feed_mm else fdk)(*arguments)[0].tobytes())
    assert one == many


@pytest.mark.parametrize("feed_mm", [0.0, 20.0], ids=["axial", "helical"])
def test_a_region_of_interest_is_what_the_whole_image_shows_there(feed_mm):
    turns = {"rotations": 7, "feed_mm": feed_mm, "start_z_mm": -3.5 * feed_mm} if feed_mm else {"rotations": 1}
    g = geometry(120, 40, 150, pitch_iso_mm=2.0, row_iso_mm=0.6, start_rad=0.3, **turns)
    bodies = [Ellipsoid((0, 0, 0), (120, 90, np.inf)), Ellipsoid((40, -30, 2), (9, 8, 7))]
    line = integrals(g, bodies) + np.random.default_rng(1).normal(0, 2, g.shape)
    kernel = Kernel(name="smooth", mtf50_per_mm=0.15, mtf10_per_mm=0.27)
    whole, part = (
        centred((50 if feed_mm else 20, 160, 160), (0.8, 1.5, 1.5)),
        (slice(6, 18), slice(45, 62), slice(95, 119)),
    )
    images = []
    for shape, origin in (
        (whole.shape, whole.origin_mm),
        (tuple(s.stop - s.start for s in part), whole.index_to_world([s.start for s in part])),
    ):
        grid = Grid(shape, whole.spacing_mm, tuple(float(v) for v in origin))
        images.append(reconstruct(scan(g, line), kernel=kernel, grid=grid, slice_thickness_mm=1.2).hu)
    assert images[1].std() > 20
    # the same nodes along the rays; whole HU
    difference = images[0][part].astype(float) - images[1]
    assert np.sqrt((difference**2).mean()) < 0.1
    assert np.abs(difference).max() <= 1


def test_an_image_does_not_depend_on_how_it_is_cut(monkeypatch):
    g = geometry(48, 6, 60, pitch_iso_mm=2.0, rotations=3, feed_mm=14.0, start_z_mm=-21.0)
    line = integrals(g, [Ellipsoid((5, 3, 0), (30, 20, 15))]).astype(np.float32)
    axis = np.arange(70) * 1.0 - 30
    kernel = Kernel(name="smooth", mtf50_per_mm=0.1, mtf10_per_mm=0.2)

    def image():
        return wfbp(line, g, kernel, geometric_chain(g), (np.arange(33) * 0.3 - 5, axis, axis), 1.0, 55.0)

    whole, seen = image()
    monkeypatch.setattr(tiles, "_NODES", 1)
    monkeypatch.setattr(tiles, "_BLOCKS", 1)
    parts, seen_in_parts = image()
    # the order of sums changes nothing, since directions add up in theirs; rounding of places does
    np.testing.assert_allclose(parts, whole, atol=1e-5 * float(np.abs(whole).max()))
    np.testing.assert_array_equal(seen_in_parts, seen)
    assert len(tiles.slabs(33)) == 3
