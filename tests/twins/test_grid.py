"""The lattice: world and index agree, both ways and with SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from twins import Grid

LENGTH = st.floats(0.1, 10, allow_nan=False)
PLACE = st.floats(-500, 500, allow_nan=False)


@st.composite
def grids(draw):
    rotation = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 999))).normal(size=(3, 3)))[0]
    return Grid(
        draw(st.tuples(*[st.integers(1, 40)] * 3)),
        draw(st.tuples(LENGTH, LENGTH, LENGTH)),
        draw(st.tuples(PLACE, PLACE, PLACE)),
        tuple(rotation.ravel()),
    )


@given(grids(), st.tuples(PLACE, PLACE, PLACE))
def test_world_to_index_undoes_index_to_world(grid, index):
    np.testing.assert_allclose(grid.world_to_index(grid.index_to_world(index)), index, atol=1e-6)


@given(grids(), st.tuples(*[st.integers(0, 39)] * 3))
def test_world_points_are_those_of_simpleitk(grid, index):
    image = sitk.Image([int(n) for n in grid.shape[::-1]], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    expected = image.TransformContinuousIndexToPhysicalPoint([float(i) for i in index[::-1]])
    np.testing.assert_allclose(grid.index_to_world(index), expected, atol=1e-6)


@given(grids())
def test_a_grid_survives_plain_data(grid):
    assert Grid.from_dict(grid.to_dict()) == grid
    assert eval(repr(grid)) == grid


def test_a_crop_keeps_the_world_points():
    grid = Grid((10, 20, 30), (2.0, 0.5, 0.7), (-5.0, 3.0, 8.0))
    part = grid.crop((2, 3, 4), (5, 6, 7))
    np.testing.assert_allclose(part.index_to_world((1, 1, 1)), grid.index_to_world((3, 4, 5)))
    with pytest.raises(ValueError, match="leaves the grid"):
        grid.crop((8, 0, 0), (5, 1, 1))


def test_another_spacing_keeps_the_corner_and_covers_the_box():
    grid = Grid((10, 20, 30), (2.0, 0.5, 0.7), (-5.0, 3.0, 8.0))
    finer = grid.with_spacing((1.0, 0.25, 0.35))
    assert finer.shape == (20, 40, 60)
    np.testing.assert_allclose(finer.index_to_world((-0.5, -0.5, -0.5)), grid.index_to_world((-0.5, -0.5, -0.5)))
    assert np.all(np.asarray(grid.with_spacing((3.0, 0.6, 0.9)).size_mm) >= np.asarray(grid.size_mm) - 1e-9)


def test_contains_reaches_to_the_outer_faces():
    grid = Grid((2, 2, 2), (1.0, 1.0, 1.0))
    assert grid.contains((-0.49, 1.49, 0.0))
    assert not grid.contains((-0.51, 0.0, 0.0))
    assert grid.same_as(Grid((2, 2, 2), (1.0, 1.0, 1.0), (5e-4, 0, 0)))
    assert not grid.same_as(Grid((2, 2, 2), (1.0, 1.0, 1.01)))


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("shape", {"shape": (0, 2, 2), "spacing_mm": (1, 1, 1)}),
        ("spacing_mm", {"shape": (2, 2, 2), "spacing_mm": (1, -1, 1)}),
        ("spacing_mm", {"shape": (2, 2, 2), "spacing_mm": (1, float("nan"), 1)}),
        ("origin_mm", {"shape": (2, 2, 2), "spacing_mm": (1, 1, 1), "origin_mm": (float("inf"), 0, 0)}),
        ("direction", {"shape": (2, 2, 2), "spacing_mm": (1, 1, 1), "direction": (1, 1, 0, 0, 1, 0, 0, 0, 1)}),
    ],
)
def test_an_impossible_grid_is_refused_by_name(field, arguments):
    with pytest.raises(ValueError, match=field):
        Grid(**arguments)
