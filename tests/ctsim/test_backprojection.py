"""Kernels of rebinning and back projection against their obvious versions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctsim.kernels.gather import gather_at_rest, gather_directions
from ctsim.kernels.rebin import cumulate_rows, rebin
from ctsim.kernels.spread import spread_directions
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk
from ctsim.recon.kernels import Kernel
from ctsim.recon.parallel import _cubic_taps
from ctsim.recon.wfbp import wfbp
from tests import reference
from tests.ctsim.scans import Ellipsoid, geometry, integrals


def running_sums(filtered):
    """``(n, place, row edge)`` of ``(n, row, place)``."""
    sums = np.empty((len(filtered), filtered.shape[2], filtered.shape[1] + 1), np.float32)
    cumulate_rows(filtered.astype(np.float32), sums)
    return sums


def test_rays_between_views_are_those_of_cubic_convolution_and_places_cubics_between_rays():
    rng = np.random.default_rng(1)
    readings = rng.random((24, 3, 9)).astype(np.float32)
    state, column = rng.integers(0, 2, 14), rng.integers(0, 9, 14)
    shift = np.linspace(-1.7, 2.2, 14)
    x = np.cumsum(rng.uniform(0.3, 1.0, 14))
    place = np.linspace(x[0] - 0.2, x[-1] + 0.2, 31)
    tap, tap_weight = _cubic_taps(x, place)
    weight = rng.random((3, 31)).astype(np.float32)
    for origin, period in ((0, 0), (0, 12), (12, 6)):
        out = np.empty((4, 3, 31), np.float32)
        rebin(
            readings, np.arange(3, 7), np.full(4, origin), period, 2, state, column, shift, tap,
            tap_weight.astype(np.float32), weight, out,
        )  # fmt: skip
        for n in range(4):
            for r in range(3):
                rays = np.array(
                    [
                        reference.ray_between(readings[origin:], k, 2, n + 3 + s, r, c, period)
                        for k, c, s in zip(state, column, shift, strict=True)
                    ]
                )
                expected = [weight[r, q] * reference.between(x, rays, at) for q, at in enumerate(place)]
                np.testing.assert_allclose(out[n, r], expected, atol=3e-6)  # 16 terms of float32 below 1.4


def test_a_cubic_between_unequal_rays_keeps_parabolas():
    x = np.cumsum(np.random.default_rng(2).uniform(0.2, 1.0, 20))
    place = np.linspace(x[1], x[-2], 50)
    tap, weight = _cubic_taps(x, place)
    y = 3 - x + 0.7 * x**2
    np.testing.assert_allclose((weight * y[tap]).sum(axis=1), 3 - place + 0.7 * place**2, rtol=1e-12)


def test_running_sums_are_cumulative_sums_from_zero():
    rows = np.random.default_rng(2).random((3, 7, 5)).astype(np.float32)
    sums = running_sums(rows)
    assert np.all(sums[:, :, 0] == 0)
    np.testing.assert_allclose(sums[:, :, 1:], rows.cumsum(axis=1).transpose(0, 2, 1), rtol=1e-6)


@pytest.mark.parametrize("beyond", [1.0, 1.2])
@pytest.mark.parametrize("box_mm", [0.3, 2.2, 40.0])
def test_a_node_reads_the_weighted_mean_of_the_sets_of_its_direction(beyond, box_mm):
    rng = np.random.default_rng(6)
    filtered = rng.random((5, 8, 21))
    turn = np.array([[0, 1, -1], [2, 3, 4]])
    source_z = np.array([[-9.0, 2.0, 11.0], [-8.0, 1.5, 12.5]])
    half_turn, fan = np.array([1.0, -1.0, 1.0]), np.array([0, 1, 1])
    to_axis, climb = rng.uniform(550, 600, (2, 21)), rng.uniform(-2, 2, (2, 21))
    cell_distance, bottom, row_pitch = rng.uniform(1050, 1100, (2, 21)), np.array([-14.4, -13.1]), 3.6
    place, first_place = np.array([-50.0, 5.0]), np.array([2, 0])
    slices = np.array([-14.0, 1.5, box_mm])
    theta = np.array([0.3, 1.9])
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    node_mm, first_node, disc = 12.0, np.array([-60.0, -55.0]), np.array([5.0, -8.0, 45.0])
    sheet, is_unseen = np.full((2, 18, 11, 20), 99.0, np.float32), np.zeros((2, 18), np.bool_)
    gather_directions(
        running_sums(filtered), turn, source_z, half_turn, fan, to_axis, climb, cell_distance, bottom, row_pitch,
        beyond, slices, place, first_place, node_mm, first_node, direction, disc, sheet, is_unseen,
    )  # fmt: skip
    n_nan = 0
    for d, i, t, k in rng.integers(0, (2, 18, 11, 20), (500, 4)):
        q = first_place[d] + i
        p, along, z = -50 + 5 * q, first_node[d] + 12 * t, slices[0] + 1.5 * k
        x, y = along * direction[d] + p * np.array([-direction[d, 1], direction[d, 0]])
        if math.hypot(x - 5, y + 8) > 45:
            assert sheet[d, i, t, k] == 99.0  # left alone
            continue
        lines, middles, widths = [], [], []
        for n, sign, z_source, j in zip(turn[d], half_turn, source_z[d], fan, strict=True):
            m = q if sign > 0 else 20 - q
            if n < 0 or not 0 <= m < 21:
                continue
            rise = cell_distance[j, m] / (to_axis[j, m] - sign * along) / row_pitch
            lines.append(filtered[n, :, m])
            middles.append((z - z_source - climb[j, m]) * rise - bottom[j] / row_pitch)
            widths.append(box_mm * rise)
        expected = reference.mean_of_sets(lines, middles, widths, beyond)
        n_nan += math.isnan(expected)
        assert is_unseen[d, i] or not math.isnan(expected)
        # differences of sums below 8 in float32 over at least 0.12 rows; weights near 1e-6 are float32 too
        assert sheet[d, i, t, k] == pytest.approx(expected, abs=2e-5 if box_mm > 1 else 1e-4, nan_ok=True)
    assert n_nan > 10


@pytest.mark.parametrize("beyond", [1.0, 1.2])
def test_nodes_at_rest_read_what_they_do_by_the_way_for_any_scan(beyond):
    rng = np.random.default_rng(8)
    sums = running_sums(rng.random((9, 8, 21)))
    turn = np.array([[0, 1, -1, 2], [3, 4, -1, 5], [6, 7, -1, 8]])
    source_z = np.array([-9.0, 2.0, 11.0, 12.0])
    half_turn, fan = np.array([1.0, -1.0, 1.0, -1.0]), np.array([0, 1, 1, 0])
    to_axis, cell_distance = rng.uniform(550, 600, (2, 21)), rng.uniform(1050, 1100, (2, 21))
    bottom, row_pitch = np.array([-14.4, -13.1]), 3.6
    theta = np.array([0.3, 1.2, 1.9])
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    where = (
        row_pitch, beyond, np.array([-30.0, 3.0, 2.2]), np.array([-50.0, 5.0]), np.array([2, 3, 0]), 12.0,
        np.array([-66.0, -54.0, -78.0]), direction, np.array([5.0, -8.0, 45.0]),
    )  # fmt: skip
    sheet, is_unseen = np.full((2, 3, 18, 12, 20), 99.0, np.float32), np.ones((2, 3, 18), np.bool_)
    gather_directions(
        sums, turn, np.broadcast_to(source_z, turn.shape).copy(), half_turn, fan, to_axis, np.zeros((2, 21)),
        cell_distance, bottom, *where, sheet[0], is_unseen[0],
    )  # fmt: skip
    gather_at_rest(sums, turn, source_z, half_turn, fan, to_axis, cell_distance, bottom, *where, sheet[1], is_unseen[1])
    assert np.isnan(sheet[0]).any()
    assert (sheet[0] == 99).any()
    # differences of sums below 8 in float32 over a fifth of a row or more
    np.testing.assert_allclose(sheet[1], sheet[0], atol=2e-5)
    np.testing.assert_array_equal(is_unseen[1], is_unseen[0])


def test_voxels_of_a_helix_interpolate_between_four_nodes_and_count_the_unseen():
    rng = np.random.default_rng(7)
    sheet = rng.random((3, 25, 9, 5)).astype(np.float32)
    sheet[1, 11, 4, 2] = np.nan
    theta = np.array([0.2, 1.1, 2.9])
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    x, y = np.linspace(-20, 21, 23), np.linspace(-19, 20, 35)
    out, missed = np.zeros((35, 23, 8), np.float32), np.zeros((35, 23, 8), np.uint16)
    first_p, first_t = np.array([-36.0, -35.0, -36.5]), np.array([-40.0, -41.0, -38.0])
    spread_directions(
        sheet, np.array([False, True, False]), direction, x, y, first_p, 3.0, first_t, 10.0, 25.0, 0.5, 2, out, missed
    )
    for j in range(35):
        for i in range(23):
            total, unseen = np.zeros(5), np.zeros(5, int)
            for d, (cos, sin) in enumerate(direction):
                p = (y[j] * cos - x[i] * sin - first_p[d]) / 3
                t = (x[i] * cos + y[j] * sin - first_t[d]) / 10
                value = np.zeros(5)
                for a in (math.floor(p), math.floor(p) + 1):
                    for b in (math.floor(t), math.floor(t) + 1):
                        value += (1 - abs(p - a)) * (1 - abs(t - b)) * sheet[d, a, b]
                unseen += np.isnan(value)
                total += 0.5 * np.nan_to_num(value)
            inside = math.hypot(x[i], y[j]) <= 25
            np.testing.assert_allclose(out[j, i, 2:7], total * inside, atol=1e-5)
            assert not out[j, i, [0, 1, 7]].any()
            np.testing.assert_array_equal(missed[j, i, 2:7], unseen * inside)
    assert missed.any()


@pytest.mark.parametrize("feed_mm", [0.0, 14.0])
def test_an_image_has_the_same_bytes_for_any_number_of_threads(feed_mm, on_one_and_all_threads):
    g = geometry(48, 6, 60, pitch_iso_mm=2.0, rotations=3 if feed_mm else 1, feed_mm=feed_mm, start_z_mm=-1.5 * feed_mm)
    line = integrals(g, [Ellipsoid((5, 3, 0), (30, 20, 15))]).astype(np.float32)
    axis = np.arange(35) * 2.0 - 34
    kernel = Kernel(name="smooth", mtf50_per_mm=0.1, mtf10_per_mm=0.2)
    arguments = (line, g, kernel, geometric_chain(g), (axis[15:20], axis, axis), 2.0, 55.0)
    one, many = on_one_and_all_threads(lambda: (wfbp if feed_mm else fdk)(*arguments)[0].tobytes())
    assert one == many
