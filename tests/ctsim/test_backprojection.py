"""Kernels of rebinning and back projection against their obvious versions."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from ctsim.kernels.gather import gather_circle, gather_directions
from ctsim.kernels.rebin import cumulate_rows, rebin
from ctsim.kernels.spread import spread_circle, spread_directions
from ctsim.recon.fdk import fdk
from ctsim.recon.filtering import chain_of
from ctsim.recon.kernels import Kernel
from ctsim.recon.wfbp import wfbp
from tests import reference
from tests.ctsim.scans import SDD_MM, SID_MM, Ellipsoid, geometry, integrals

DISTANCE = np.array([SID_MM, SDD_MM])
NODES = np.array([1 / 700.0, (1 / 500.0 - 1 / 700.0) / 9])


def running_sums(filtered):
    """``(n, place, row edge)`` of ``(n, row, place)``."""
    sums = np.empty((len(filtered), filtered.shape[2], filtered.shape[1] + 1), np.float32)
    cumulate_rows(filtered.astype(np.float32), sums)
    return sums


def test_readings_between_columns_and_views_are_those_of_cubic_convolution():
    rng = np.random.default_rng(1)
    readings = rng.random((12, 3, 20)).astype(np.float32)
    place, weight = np.linspace(-0.2, 19.3, 31), rng.random((3, 31)).astype(np.float32)
    for shift in (np.zeros(31), np.linspace(-1.7, 2.2, 31)):
        out = np.empty((4, 3, 31), np.float32)
        rebin(readings, np.arange(3, 7), place, shift, weight, out)
        expected = [
            [
                [weight[r, q] * reference.reading_between(readings, n + shift[q], r, place[q]) for q in range(31)]
                for r in range(3)
            ]
            for n in range(3, 7)
        ]
        np.testing.assert_allclose(out, expected, atol=2e-6)  # 16 terms of float32 below 1.4


def test_running_sums_are_cumulative_sums_from_zero():
    rows = np.random.default_rng(2).random((3, 7, 5)).astype(np.float32)
    sums = running_sums(rows)
    assert np.all(sums[:, :, 0] == 0)
    np.testing.assert_allclose(sums[:, :, 1:], rows.cumsum(axis=1).transpose(0, 2, 1), rtol=1e-6)


def gathered(filtered, g, gamma, slices, disc_mm=90.0):
    row = np.array([g.row_offset_mm[0] - g.row_pitch_mm / 2, g.row_pitch_mm])
    fan = np.array([gamma[0], gamma[1] - gamma[0]])
    view = np.stack([np.cos(g.view_angle_rad), np.sin(g.view_angle_rad)], axis=1)
    sheet = np.full((len(filtered), len(gamma), 10, 9), np.nan, np.float32)
    disc = np.array([0.0, 0.0, disc_mm])
    gather_circle(running_sums(filtered), view, fan, NODES, slices, row, DISTANCE, disc, sheet)
    return sheet, view, fan


@pytest.mark.parametrize("box_mm", [0.3, 3.1, 40.0])
def test_a_node_of_a_circle_reads_the_mean_of_the_rows_that_see_its_slice(box_mm):
    g = geometry(4, 12, 30, pitch_iso_mm=5.0, start_rad=0.3)
    filtered = np.random.default_rng(3).random((4, 12, 30))
    slices = np.array([-13.0, 3.3, box_mm])  # first and last lie beyond the rows
    sheet, _, _ = gathered(filtered, g, g.column_angle_rad, slices)
    for w, q, j, k in np.random.default_rng(4).integers(0, (4, 30, 10, 9), (300, 4)):
        length = 1 / (NODES[0] + j * NODES[1])
        gamma = g.column_angle_rad[q]
        lateral = length * math.sin(gamma)
        if math.hypot(SID_MM - length * math.cos(gamma), lateral) > 90:
            assert np.isnan(sheet[w, q, j, k])  # left alone
            continue
        rise = SDD_MM / length / g.row_pitch_mm
        middle = (slices[0] + k * slices[1]) * rise + 6
        expected = reference.mean_over_rows(filtered[w, :, q], middle, box_mm * rise)
        # differences of sums below 12 in float32, over a box of at least 0.07 rows
        assert sheet[w, q, j, k] == pytest.approx(expected, abs=3e-5)


@pytest.mark.parametrize(("per_row", "atol"), [(0.0, 1e-5), (0.1, 0.1 / 4 / 3.9)])
def test_nodes_lose_nothing_where_readings_are_linear_along_the_rows(per_row, atol):
    # constant rows: float32; rows in steps of 0.1: sums over steps are off their parabola by 1/8 step at either end of
    # a box of 3.9 rows (8 mm at the largest distance), which voxels and nodes meet in different phases
    g = geometry(5, 40, 60, pitch_iso_mm=3.0, start_rad=0.3)
    filtered = np.random.default_rng(5).random((5, 1, 60)) + per_row * (np.arange(40) - 20)[:, None]
    slices = np.array([-16.0, 4.0, 8.0])
    sheet, view, fan = gathered(filtered, g, g.column_angle_rad, slices)
    x, y = np.linspace(-37, 40, 19), np.linspace(-33, 30, 18)
    out = np.ones((18, 19, 9), np.float32)
    spread_circle(sheet, view, x, y, fan, NODES, SID_MM, 45.0, SID_MM**2 / 5, out)
    for j in range(18):
        for i in range(0, 19, 3):
            for k in (0, 3, 8):
                point = (x[i], y[j], slices[0] + k * slices[1])
                expected = reference.fan_back_projection(filtered, g, g.column_angle_rad, point, 8.0) * SID_MM**2 / 5
                expected *= math.hypot(x[i], y[j]) <= 45
                assert out[j, i, k] - 1 == pytest.approx(expected, abs=atol * 1.2)  # L^2 is up to 15 % smaller


def test_a_node_of_a_helix_reads_the_weighted_mean_of_its_half_turns():
    rng = np.random.default_rng(6)
    filtered = rng.random((5, 8, 21))
    turn = np.array([[0, 1, -1], [2, 3, 4]])
    source_z = np.array([[-9.0, 2.0, 11.0], [-8.0, 1.5, 12.5]])
    half_turn, feed, box_mm = np.array([1.0, -1.0, 1.0]), 3.5, 2.2
    places, nodes, slices = np.array([-50.0, 5.0]), np.array([-60.0, 12.0]), np.array([-14.0, 1.5, box_mm])
    row_pitch = 3.6
    sheet, is_unseen = np.zeros((2, 21, 11, 20), np.float32), np.zeros((2, 21), np.bool_)
    gather_directions(
        running_sums(filtered), turn, source_z, half_turn, slices, places, nodes, np.array([-4 * row_pitch, row_pitch]),
        DISTANCE, feed, 200.0, sheet, is_unseen,
    )  # fmt: skip
    for d, q, t, k in rng.integers(0, (2, 21, 11, 20), (400, 4)):
        p, along, z = places[0] + 5 * q, nodes[0] + 12 * t, slices[0] + 1.5 * k
        lines, middles, widths = [], [], []
        for n, sign, z_source in zip(turn[d], half_turn, source_z[d], strict=True):
            if n < 0:
                continue
            rise = SDD_MM / (math.sqrt(SID_MM**2 - p * p) - sign * along) / row_pitch
            lines.append(filtered[n, :, q if sign > 0 else 20 - q])
            middles.append((z - z_source - sign * feed * math.asin(p / SID_MM)) * rise + 4)
            widths.append(box_mm * rise)
        expected = reference.mean_of_half_turns(lines, middles, widths)
        assert is_unseen[d, q] or not math.isnan(expected)
        # sums below 8 in float32 over 0.9 rows; weights near 1e-6 are float32 too
        assert sheet[d, q, t, k] == pytest.approx(expected, abs=2e-5, nan_ok=True)


def test_voxels_of_a_helix_interpolate_between_four_nodes_and_count_the_unseen():
    rng = np.random.default_rng(7)
    sheet = rng.random((3, 25, 9, 5)).astype(np.float32)
    sheet[1, 11, 4, 2] = np.nan
    theta = np.array([0.2, 1.1, 2.9])
    direction = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    x, y = np.linspace(-20, 21, 23), np.linspace(-19, 20, 35)
    out, missed = np.zeros((35, 23, 5), np.float32), np.zeros((35, 23, 5), np.uint16)
    spread_directions(
        sheet, np.array([False, True, False]), direction, x, y, np.array([-36.0, 3.0]), np.array([-40.0, 10.0]), 25.0,
        0.5, out, missed,
    )  # fmt: skip
    for j in range(35):
        for i in range(23):
            total, unseen = np.zeros(5), np.zeros(5, int)
            for d, (cos, sin) in enumerate(direction):
                p, t = (y[j] * cos - x[i] * sin + 36) / 3, (x[i] * cos + y[j] * sin + 40) / 10
                value = np.zeros(5)
                for a in (math.floor(p), math.floor(p) + 1):
                    for b in (math.floor(t), math.floor(t) + 1):
                        value += (1 - abs(p - a)) * (1 - abs(t - b)) * sheet[d, a, b]
                unseen += np.isnan(value)
                total += 0.5 * np.nan_to_num(value)
            inside = math.hypot(x[i], y[j]) <= 25
            np.testing.assert_allclose(out[j, i], total * inside, atol=1e-5)
            np.testing.assert_array_equal(missed[j, i], unseen * inside)
    assert missed.any()


@pytest.mark.parametrize("feed_mm", [0.0, 14.0])
def test_an_image_has_the_same_bytes_for_any_number_of_threads(feed_mm):
    g = geometry(48, 6, 60, pitch_iso_mm=2.0, rotations=3 if feed_mm else 1, feed_mm=feed_mm, start_z_mm=-1.5 * feed_mm)
    line = integrals(g, [Ellipsoid((5, 3, 0), (30, 20, 15))]).astype(np.float32)
    axis = np.arange(35) * 2.0 - 34
    kernel = Kernel(name="smooth", mtf50_per_mm=0.1, mtf10_per_mm=0.2)
    arguments = (line, g, kernel, chain_of(g), (axis[15:20], axis, axis), 2.0, 55.0)
    take = lambda: (wfbp(*arguments)[0] if feed_mm else fdk(*arguments)).tobytes()  # noqa: E731
    before = numba.get_num_threads()
    many = take()
    numba.set_num_threads(1)
    try:
        one = take()
    finally:
        numba.set_num_threads(before)
    assert one == many
