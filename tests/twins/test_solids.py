"""Shares of voxels and chords of rays are exact: volumes add up, and one is the integral of the other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twins.grid import Grid
from twins.solids import Box, Cylinder, Ellipsoid, solid_from_dict, solid_to_dict

SHAPES = {
    "round cylinder": Cylinder((0.3, -0.2, 0.1), (7.0, 7.0), 11.0),
    "elliptic cylinder": Cylinder((0.3, -0.2, 0.1), (9.0, 4.0), 11.3),
    "oblique cylinder": Cylinder((0.3, -0.2, 0.1), (6.0, 4.0), 11.3, (0.3, -0.2)),
    "thin wire": Cylinder((0.3, -0.2, 0.1), (0.05, 0.05), 15.0),
    "thin leaning wire": Cylinder((0.3, -0.2, 0.1), (0.05, 0.05), 15.0, (0.05, 0.02)),
    "sphere": Ellipsoid((0.3, -0.2, 0.1), (8.0, 8.0, 8.0)),
    "ball within one voxel": Ellipsoid((0.3, -0.2, 0.1), (0.2, 0.2, 0.2)),
    "ellipsoid": Ellipsoid((0.3, -0.2, 0.1), (9.0, 4.0, 6.0)),
    "box": Box((0.3, -0.2, 0.1), (9.0, 4.5, 6.2)),
}
GRID = Grid((26, 24, 28), (1.0, 1.1, 0.9), (-12.0, -13.0, -12.5))


@pytest.mark.parametrize("name", SHAPES)
def test_the_shares_of_all_voxels_add_up_to_the_volume(name):
    shape = SHAPES[name]
    share = shape.volume_fractions(GRID)
    assert 0 <= share.min() <= share.max() <= 1 + 1e-12
    # closed form where nothing changes along z; eight-point Gauss-Legendre elsewhere (poles of a sphere)
    assert share.sum() * GRID.voxel_volume_mm3 == pytest.approx(shape.volume_mm3, rel=2e-4)


@pytest.mark.parametrize("name", [name for name in SHAPES if "thin" not in name and "within" not in name])
def test_every_share_agrees_with_counting_points(name):
    shape = SHAPES[name]
    n = 24
    coarse = Grid((8, 8, 8), (3.0, 3.1, 2.9), (-11.0, -10.0, -10.5))
    fine = Grid(
        tuple(n * s for s in coarse.shape),
        tuple(h / n for h in coarse.spacing_mm),
        tuple(float(v) for v in coarse.index_to_world([-0.5 + 0.5 / n] * 3)),
    )
    z, y, x = np.meshgrid(
        *(axis - c for axis, c in zip(fine.axes_mm(), shape.centre_mm[::-1], strict=True)), indexing="ij"
    )
    if isinstance(shape, Box):
        inside = (abs(x) < shape.size_mm[0] / 2) & (abs(y) < shape.size_mm[1] / 2) & (abs(z) < shape.size_mm[2] / 2)
    elif isinstance(shape, Ellipsoid):
        inside = sum((v / a) ** 2 for v, a in zip((x, y, z), shape.semi_axes_mm, strict=True)) < 1
    else:
        u, v = x - shape.slope[0] * z, y - shape.slope[1] * z
        inside = (u / shape.semi_axes_mm[0]) ** 2 + (v / shape.semi_axes_mm[1]) ** 2 < 1
        inside &= abs(z) < shape.length_mm / 2
    counted = inside.reshape(8, n, 8, n, 8, n).mean(axis=(1, 3, 5))
    # a plane or curved face cuts about n^2 of n^3 sub-cells; parallel faces err by half a layer: 0.5 / 24 = 0.021
    np.testing.assert_allclose(shape.volume_fractions(coarse), counted, atol=0.04)
    assert abs((shape.volume_fractions(coarse) - counted).mean()) < 0.002


@pytest.mark.parametrize("name", SHAPES)
def test_the_chords_of_parallel_rays_integrate_to_the_volume(name):
    shape = SHAPES[name]
    low, high = (np.asarray(c) for c in shape.bounds_mm)
    for axis in range(3):
        others = [k for k in range(3) if k != axis]
        n = 400
        start = np.zeros((n, n, 3))
        for k, view in zip(others, ((slice(None), None), (None, slice(None))), strict=True):
            start[..., k] = (low[k] + (np.arange(n) + 0.5) / n * (high[k] - low[k]))[view]
        start[..., axis] = low[axis] - 3.0
        end = start.copy()
        end[..., axis] = high[axis] + 2.0
        area = math.prod((high - low)[others]) / n**2
        # midpoint rule over a curve with vertical tangents: error of order n^-1.5 = 1e-4, ends of cylinders 1 / n
        assert shape.chord_mm(start, end).sum() * area == pytest.approx(shape.volume_mm3, rel=3e-3)


def test_the_chord_through_the_middle_is_the_diameter():
    assert SHAPES["sphere"].chord_mm((0.3, -0.2, -50.0), (0.3, -0.2, 50.0)) == pytest.approx(16.0, abs=1e-12)
    assert SHAPES["elliptic cylinder"].chord_mm((-50.0, -0.2, 0.0), (50.0, -0.2, 0.0)) == pytest.approx(18.0, abs=1e-12)
    assert SHAPES["elliptic cylinder"].chord_mm((0.3, -0.2, -50.0), (0.3, -0.2, 50.0)) == pytest.approx(11.3, abs=1e-12)
    assert SHAPES["box"].chord_mm((0.3, -50.0, 0.0), (0.3, 50.0, 0.0)) == pytest.approx(4.5, abs=1e-12)


POINT = st.tuples(*[st.floats(-30, 30).map(lambda v: round(v, 3))] * 3)


@settings(deadline=None, max_examples=100)
@given(name=st.sampled_from(sorted(SHAPES)), a=POINT, b=POINT, t=st.floats(0, 1))
def test_the_two_halves_of_a_ray_have_the_chord_of_the_whole(name, a, b, t):
    shape = SHAPES[name]
    middle = tuple(p + t * (q - p) for p, q in zip(a, b, strict=True))
    whole = shape.chord_mm(a, b)
    # the thin wire magnifies rounding: 1e-15 * 30 mm / 0.05 mm, under a square root
    assert shape.chord_mm(a, middle) + shape.chord_mm(middle, b) == pytest.approx(whole, abs=1e-5)
    assert shape.chord_mm(b, a) == pytest.approx(whole, abs=1e-5)
    assert 0 <= whole <= math.dist(a, b) + 1e-9


def test_rays_that_miss_or_run_alongside_have_no_chord():
    shape = SHAPES["round cylinder"]
    assert shape.chord_mm((8.0, 0.0, -50.0), (8.0, 0.0, 50.0)) == 0
    assert shape.chord_mm((-50.0, 0.0, 9.0), (50.0, 0.0, 9.0)) == 0
    assert shape.chord_mm((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)) == 0
    assert SHAPES["box"].chord_mm((0.0, 9.0, -50.0), (0.0, 9.0, 50.0)) == 0


def test_a_shape_comes_back_from_plain_data():
    for shape in SHAPES.values():
        assert solid_from_dict(solid_to_dict(shape)) == shape
    with pytest.raises(ValueError, match=r"unknown solid 'cone'.*cylinder"):
        solid_from_dict({"solid": "cone"})


def test_lengths_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match=r"length_mm.*0\.0"):
        Cylinder((0, 0, 0), (1.0, 1.0), 0.0)
    with pytest.raises(ValueError, match=r"semi_axes_mm.*-1"):
        Ellipsoid((0, 0, 0), (1.0, -1.0, 1.0))
    with pytest.raises(ValueError, match=r"size_mm.*nan"):
        Box((0, 0, 0), (1.0, float("nan"), 1.0))
