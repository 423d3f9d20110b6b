"""Exact data taken with a flying focal spot: values, places, sharpness, and what ignoring the spot would do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import j1

from ctsim.quality import wire_mtf
from ctsim.recon import Kernel, reconstruct
from ctsim.recon.chain import geometric_chain
from ctsim.recon.parallel import fans, merged_states
from tests.ctsim.scans import SDD_MM, SID_MM, Ellipsoid, centred, geometry, integrals
from tests.ctsim.test_reconstruction import scan

SMOOTH = Kernel(name="smooth", mtf50_per_mm=0.17, mtf10_per_mm=0.3)
CELL_MM, ROW_MM = 0.7, 1.0
TO_AXIS = 1 - SID_MM / SDD_MM
ASIDE_MM = CELL_MM / 4 / TO_AXIS  # moves rays by a quarter cell at the axis
UP_MM = ROW_MM / 4 / TO_AXIS
INWARDS_MM = UP_MM / np.tan(np.radians(7))
CYCLES = {
    "in plane": ((ASIDE_MM, 0, 0), (-ASIDE_MM, 0, 0)),
    "z": ((0, -INWARDS_MM, -UP_MM), (0, INWARDS_MM, UP_MM)),
    "both": tuple((a, b * INWARDS_MM, b * UP_MM) for b in (-1, 1) for a in (ASIDE_MM, -ASIDE_MM)),
}
TURNS = {"axial": (), "helical": (("rotations", 4), ("feed_mm", 22.4), ("start_z_mm", -44.8))}
turns_and_cycles = pytest.mark.parametrize("cycle", CYCLES)
both_modes = pytest.mark.parametrize("mode", TURNS)


@cache
def spotted(cycle, mode, cell_mm=2 * CELL_MM, views=288, **changes):
    moved = tuple((a * cell_mm / CELL_MM, b, c) for a, b, c in CYCLES[cycle])
    return geometry(
        views * len(moved), 24, 150, pitch_iso_mm=cell_mm, row_iso_mm=ROW_MM, start_rad=0.4,
        offset=0.25 if cycle == "z" else 0.125, deflection_mm=moved, **(dict(TURNS[mode]) | changes),
    )  # fmt: skip


def ignoring(g):
    """The same scan, its reconstruction told that the spot is at rest where it is at first."""
    return replace(g, deflection_mm=np.zeros_like(g.deflection_mm))


def centroid(g, told, ball):
    grid = centred((21, 31, 31), (1.0, 1.0, 1.0), (37.0, -22.0, 1.0))
    sinogram = scan(g, integrals(g, [ball], 2))
    sinogram.geometry = told
    ct = reconstruct(sinogram, kernel=SMOOTH, grid=grid, slice_thickness_mm=1.5)
    weight = ct.hu.astype(float) + 1000
    weight *= weight > 50
    return np.array([(weight * axis).sum() / weight.sum() for axis in np.meshgrid(*grid.axes_mm(), indexing="ij")])


@turns_and_cycles
@both_modes
def test_a_ball_is_found_where_it_is(cycle, mode):
    ball = Ellipsoid((37.3, -21.6, 1.4), (4.0, 4.0, 4.0))
    g = spotted(cycle, mode)
    np.testing.assert_allclose(centroid(g, g, ball)[::-1], (37.3, -21.6, 1.4), atol=0.1)


@both_modes
def test_a_spot_that_is_up_half_the_time_moves_the_ball_if_it_is_ignored(mode):
    ball = Ellipsoid((37.3, -21.6, 1.4), (4.0, 4.0, 4.0))
    g = replace(spotted("z", mode), deflection_mm=np.array([[0, 0, 0], [0, 2 * INWARDS_MM, 2 * UP_MM]]))
    np.testing.assert_allclose(centroid(g, g, ball)[::-1], (37.3, -21.6, 1.4), atol=0.1)
    # rays through the axis are a quarter row too high on average
    assert centroid(g, ignoring(g), ball)[0] - 1.4 == pytest.approx(-ROW_MM / 4, abs=0.05)


@turns_and_cycles
@both_modes
def test_a_body_keeps_its_values(cycle, mode):
    g = spotted(cycle, mode)
    sinogram = scan(g, integrals(g, [Ellipsoid((0, 0, 0), (80, 60, np.inf)), Ellipsoid((25, 10, 1), (20, 20, 20))]))
    grid = centred((3, 121, 121), (1.0, 1.5, 1.5))
    hu = reconstruct(sinogram, kernel=SMOOTH, grid=grid).hu
    _, y, x = grid.axes_mm()
    to_ball = np.hypot(y[:, None] - 10, x - 25)
    body = (x / 68) ** 2 + (y[:, None] / 49) ** 2 < 1
    assert abs(hu[1][body & (to_ball > 26)].mean()) < 0.5
    assert abs(hu[1][to_ball < 13].mean() - 1000) < 1.0
    assert hu[1][body & (to_ball > 26)].std() < 8


WIRE_MM, WIRE_RADIUS_MM = (3.13, -2.31), 0.25


@cache
def wire_data(cycle, mode):
    g = spotted(cycle, mode, CELL_MM, 400)
    central = replace(g, row_offset_mm=np.zeros(1))
    places = (np.arange(32) + 0.5) / 32 - 0.5
    wire = Ellipsoid((*WIRE_MM, 0.0), (WIRE_RADIUS_MM, WIRE_RADIUS_MM, np.inf), 6.0)
    shifted = (replace(central, column_angle_rad=g.column_angle_rad + s * g.column_pitch_rad) for s in places)
    line = sum(integrals(each, [wire]) for each in shifted) / 32
    line += integrals(central, [Ellipsoid((0, 0, 0), (30, 30, np.inf))])
    state = np.arange(len(line)) % len(g.deflection_mm)
    distance = g.cell_distance_mm()[:, None, :]
    slant = np.hypot(1, g.cell_height_mm()[:, :, None] / distance)
    slant /= np.hypot(1, central.cell_height_mm()[:, :, None] / distance)
    return g, line * slant[state]


def wire(told, line, kernel):
    grid = centred((1, 81, 81), (1.0, 0.25, 0.25), (*WIRE_MM, 0.0))
    hu = reconstruct(scan(told, line), kernel=kernel, grid=grid).hu[0]
    assert hu.max() < 3071
    f = np.linspace(0, 1.6, 321)
    return hu, wire_mtf(hu, (0.25, 0.25), wire_diameter_mm=2 * WIRE_RADIUS_MM, frequency_per_mm=f)


@both_modes
@pytest.mark.parametrize("cycle", ["in plane", "both"])
@pytest.mark.parametrize(("mtf50", "mtf10"), [(0.34, 0.62), (0.53, 0.88), (0.9, 1.2)])
def test_a_wires_mtf_is_the_kernels_and_sharper_kernels_come_within_reach(cycle, mode, mtf50, mtf10):
    kernel = Kernel(name="k", mtf50_per_mm=mtf50, mtf10_per_mm=mtf10)
    g, line = wire_data(cycle, mode)
    hu, found = wire(g, line, kernel)
    assert found.frequency_at(0.5) == pytest.approx(mtf50, rel=0.03)
    assert found.frequency_at(0.1) == pytest.approx(mtf10, rel=0.03)
    # nothing beyond the aperture's first zero is amplified: the peak is that of the MTF
    f = np.linspace(1e-6, 1 / CELL_MM, 3001)
    peak = np.trapezoid(2 * np.pi * f * kernel.mtf(f) * j1(2 * np.pi * f * WIRE_RADIUS_MM) * WIRE_RADIUS_MM / f, f)
    assert hu.max() == pytest.approx(6000 * peak, rel=0.05)
    at_rest = spotted("z", mode, CELL_MM)
    if mtf10 > 1:
        with pytest.raises(ValueError, match="in-plane flying focal spot"):
            reconstruct(scan(at_rest, np.zeros(at_rest.shape)), kernel=kernel, grid=centred((1, 8, 8), (1, 1, 1)))


@both_modes
def test_ignoring_the_spot_blurs_the_wire(mode):
    kernel = Kernel(name="k", mtf50_per_mm=0.53, mtf10_per_mm=0.88)
    g, line = wire_data("in plane", mode)
    told = replace(ignoring(g), column_angle_rad=g.column_angle_rad + g.column_pitch_rad / 8)
    assert wire(told, line, kernel)[1].frequency_at(0.5) < 0.95 * 0.53  # measured 11 %


def test_states_between_each_others_rays_are_merged_and_others_are_not():
    assert merged_states(spotted("both", "axial")) == [[0, 1], [2, 3]]
    assert merged_states(spotted("z", "axial")) == [[0], [1]]
    again = replace(spotted("in plane", "axial"), deflection_mm=np.array([[0.5, 0, 0], [0.5, 0, 0]]))
    assert merged_states(again) == [[0], [1]]
    chain = geometric_chain(spotted("in plane", "axial"))
    assert chain.sample_mm == pytest.approx(CELL_MM)
    assert chain.is_interleaved
    odd = replace(spotted("in plane", "axial"), views_per_rotation=290)
    with pytest.raises(ValueError, match="even multiple of the 2"):
        fans(odd, 0.35)
