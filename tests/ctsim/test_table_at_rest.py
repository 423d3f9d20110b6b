"""Wide axial beams and step-and-shoot on exact data: uniformity, seams, what is not lit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctsim.recon import Kernel, reconstruct
from tests.ctsim.scans import Ellipsoid, centred, geometry, integrals
from tests.ctsim.test_reconstruction import scan

SMOOTH = Kernel(name="smooth", mtf50_per_mm=0.1, mtf10_per_mm=0.2)
WATER = Ellipsoid((0, 0, 0), (160, 160, np.inf))


def stepped(n_steps, step_mm, views=360, rows=16, **options):
    """Rotations ``step_mm`` apart around z = 0."""
    g = geometry(views, rows, 180, pitch_iso_mm=2.4, rotations=n_steps, start_rad=0.3, **options)
    table = step_mm * (np.arange(n_steps) - (n_steps - 1) / 2)
    return replace(g, source_z_mm=np.repeat(table, views))


def radius(grid):
    _, y, x = grid.axes_mm()
    return np.hypot(y[:, None], x)


def test_a_wide_beam_shows_water_uniform_wherever_it_is_lit():
    g = geometry(360, 128, 180, pitch_iso_mm=2.4, row_iso_mm=1.25, start_rad=0.3)  # 160 mm
    grid = centred((17, 81, 81), (10.0, 5.0, 5.0))  # -80 to 80 mm
    ct = reconstruct(scan(g, integrals(g, [WATER])), kernel=SMOOTH, grid=grid, slice_thickness_mm=5.0)
    hu = ct.hu
    r = radius(grid)
    assert np.abs(hu[:, r < 145]).max() <= 2
    assert abs(hu[:, (r > 175) & (r < 195)].mean() + 1000) <= 2  # streaks of 360 views cancel
    assert ct.meta["n_unseen_voxels"] == 0


def test_a_wide_beam_shows_a_short_body_where_both_ends_are_seen():
    ball = Ellipsoid((-70.0, 40.0, 35.0), (25.0, 25.0, 25.0))
    g = geometry(360, 128, 180, pitch_iso_mm=2.4, row_iso_mm=1.25, start_rad=0.3)
    grid = centred((41, 31, 31), (2.5, 2.5, 2.5), (-70.0, 40.0, 35.0))
    hu = reconstruct(scan(g, integrals(g, [ball])), kernel=SMOOTH, grid=grid, slice_thickness_mm=2.5).hu
    weight = np.where(hu > -950, hu.astype(float) + 1000, 0.0)
    where = [(weight * axis).sum() / weight.sum() for axis in np.meshgrid(*grid.axes_mm(), indexing="ij")]
    # the cone of a circle does not fix a ball's upper and lower rim: 3.4 degrees above the plane
    np.testing.assert_allclose(where[::-1], (-70, 40, 35), atol=0.5)
    z, y, x = grid.axes_mm()
    core = (z[:, None, None] - 35) ** 2 + (y[:, None] - 40) ** 2 + (x + 70) ** 2 < 12**2
    assert abs(hu[core].mean()) < 10


@pytest.mark.parametrize("step_mm", [32.0, 24.0], ids=["edge to edge", "overlapping"])
def test_steps_show_an_endless_body_without_seams(step_mm):
    g = stepped(3, step_mm)
    grid = centred((33, 41, 41), (2.5, 8.0, 8.0))  # -40 to 40 mm
    hu = reconstruct(scan(g, integrals(g, [WATER])), kernel=SMOOTH, grid=grid, slice_thickness_mm=2.5).hu
    r = radius(grid)
    assert np.abs(hu[:, r < 145]).max() <= 2


@pytest.mark.parametrize("step_mm", [32.0, 24.0], ids=["edge to edge", "overlapping"])
@pytest.mark.parametrize("z_mm", [0.0, 0.5], ids=["middle", "seam"])
def test_a_ball_is_found_at_a_seam_as_in_the_middle(step_mm, z_mm):
    ball = Ellipsoid((47.0, -31.0, z_mm * step_mm + 0.7), (6.0, 6.0, 6.0))
    g = stepped(3, step_mm)
    grid = centred((25, 21, 21), (1.0, 1.0, 1.0), (47.0, -31.0, z_mm * step_mm))
    hu = reconstruct(scan(g, integrals(g, [ball], 2)), kernel=SMOOTH, grid=grid, slice_thickness_mm=2.5).hu
    weight = np.where(hu > -930, hu.astype(float) + 1000, 0.0)
    where = [(weight * axis).sum() / weight.sum() for axis in np.meshgrid(*grid.axes_mm(), indexing="ij")]
    np.testing.assert_allclose(where[::-1], ball.centre_mm, atol=0.25)


def test_each_rotation_counts_where_it_sees_and_nowhere_else():
    # the middle rotation reads a body of 2, its neighbours one of 1
    g = stepped(3, 32.0)
    line = integrals(g, [WATER])
    line[360:720] *= 2
    grid = centred((49, 5, 5), (2.5, 8.0, 8.0))  # -60 to 60 mm
    hu = reconstruct(scan(g, line), kernel=SMOOTH, grid=grid, slice_thickness_mm=2.0).hu[:, 2, 2]
    z = np.abs(grid.axes_mm()[0])
    np.testing.assert_allclose(hu[z < 14], 1000, atol=2)
    np.testing.assert_allclose(hu[(z > 18) & (z < 48)], 0, atol=2)
    assert np.all(hu[z > 48.1] == -1024)


def test_rotations_must_be_whole_and_at_rest():
    g = stepped(2, 20.0, views=60)
    grid = centred((1, 8, 8), (1.0, 4.0, 4.0))
    tilted = replace(g, source_z_mm=g.source_z_mm + np.linspace(0, 1, 120))
    short = replace(g, view_angle_rad=g.view_angle_rad[:90], source_z_mm=g.source_z_mm[:90])
    for wrong in (tilted, short):
        with pytest.raises(ValueError, match="full rotations of 60 views"):
            reconstruct(scan(wrong, np.zeros(wrong.shape)), kernel=SMOOTH, grid=grid)
