"""Bodies wider than the fan."""

from __future__ import annotations

import numpy as np
import pytest

from ctsim.recon import Kernel, reconstruct
from ctsim.recon.truncation import beyond_mm, extended
from tests.ctsim.scans import Ellipsoid, centred, geometry, integrals
from tests.ctsim.test_reconstruction import MU, scan

SMOOTH = Kernel(name="smooth", mtf50_per_mm=0.1, mtf10_per_mm=0.2)


def test_the_extension_of_a_water_cylinder_is_the_cylinder():
    p = 0.5 * np.arange(-500, 501)
    line = lambda x: 2 * MU * np.sqrt(np.maximum(290.0**2 - (x - 10) ** 2, 0))  # noqa: E731
    wide = extended(line(p)[None].astype(np.float32), 0.5, 200, MU)
    truth = line(0.5 * np.arange(-700, 701))
    np.testing.assert_allclose(wide[0], truth, atol=0.01)  # of 11.6
    np.testing.assert_array_equal(wide[0, 200:-200], line(p).astype(np.float32))


def test_rows_that_end_in_air_are_left_alone():
    line = integrals(geometry(8, 2, 100, pitch_iso_mm=4.0), [Ellipsoid((0, 0, 0), (100, 100, np.inf))]) * MU
    line += np.random.default_rng(1).normal(0, 0.01, line.shape)
    assert beyond_mm(line.astype(np.float32), MU) == 0.0
    rows = np.zeros((1, 100), np.float32)
    assert not extended(rows, 1.0, 50, MU).any()


@pytest.mark.parametrize("feed", [0.0, 16.0], ids=["axial", "helical"])
@pytest.mark.parametrize("half_mm", [(300.0, 300.0), (300.0, 200.0)], ids=["round", "oval"])
def test_a_body_wider_than_the_field_has_no_bright_rim(half_mm, feed):
    turns = {"rotations": 3, "feed_mm": feed, "start_z_mm": -1.5 * feed} if feed else {}
    g = geometry(240, 8, 210, pitch_iso_mm=2.4, start_rad=0.2, **turns)
    bodies = [Ellipsoid((10, -5, 0), (*half_mm, np.inf)), Ellipsoid((120, 60, 0), (40, 40, np.inf), -0.7)]
    grid = centred((1, 121, 121), (2.0, 4.0, 4.0))
    ct = reconstruct(scan(g, integrals(g, bodies)), kernel=SMOOTH, grid=grid, slice_thickness_mm=4.0)
    _, y, x = grid.axes_mm()
    radius = ct.meta["field_of_view_radius_mm"]
    assert 235 < radius < 250
    hu = ct.hu[0].astype(float)
    r = np.hypot(y[:, None], x)
    body = ((x - 10) / half_mm[0]) ** 2 + ((y[:, None] + 5) / half_mm[1]) ** 2 < 0.93**2
    hole = np.hypot(y[:, None] - 60, x - 120)
    water, lung = body & (hole > 55) & (r < radius - 15), hole < 28
    assert abs(hu[lung].mean() + 700) < 10
    for inner in range(0, int(radius) - 15, 20):  # no bright rim: rings of 20 mm
        ring = water & (r >= inner) & (r < inner + 20)
        assert abs(hu[ring].mean()) < 10  # measured 9 at the rim of the oval, below 4 elsewhere
        assert hu[ring].std() < 15
