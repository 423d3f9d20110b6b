"""Descriptors of outlined nodules have their analytic values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lesions.descriptors import describe, outer_contour
from lesions.isosurface import isosurface


def ellipsoid(axes_mm, spacing_mm, shift=(0.13, -0.21, 0.3)):
    half = [math.ceil(a / s) + 3 for a, s in zip(axes_mm, spacing_mm, strict=True)]
    index = np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij")
    return sum(((i - d) * s / a) ** 2 for i, d, s, a in zip(index, shift, spacing_mm, axes_mm, strict=True)) <= 1


def test_the_contour_runs_through_the_first_pixels_outside():
    inside = np.zeros((9, 9), bool)
    inside[3:6, 2:5] = True
    inside[7, 7] = True  # a smaller part is left out
    chain = {tuple(p) for p in outer_contour(inside)}
    wanted = {(r, c) for r in (2, 6) for c in (2, 3, 4)} | {(r, c) for r in (3, 4, 5) for c in (1, 5)}
    assert chain == wanted
    # strictly inside the chain lies what was inside: Pick's theorem, I = A - B / 2 + 1
    points = outer_contour(inside).astype(float)
    a, b = points, np.roll(points, -1, axis=0)
    area = 0.5 * abs((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    assert area - len(points) / 2 + 1 == 9
    steps = np.abs(np.diff(np.vstack((points, points[:1])), axis=0)).max(axis=1)
    assert np.all(steps == 1)


def test_one_pixel_and_a_line_of_pixels_have_a_contour():
    for n in (1, 4):
        inside = np.zeros((5, 8), bool)
        inside[2, 2 : 2 + n] = True
        chain = outer_contour(inside)
        assert len({tuple(p) for p in chain}) == len(chain) == 2 * n + 2
    assert len(outer_contour(np.zeros((4, 4), bool))) == 0


def test_a_contour_at_the_border_of_the_slice_goes_on_outside():
    inside = np.zeros((3, 3), bool)
    inside[0, 0] = True
    assert {tuple(p) for p in outer_contour(inside)} == {(-1, 0), (0, -1), (0, 1), (1, 0)}


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (1.25, 0.65, 0.65)])
def test_an_ellipsoid_has_its_axes(spacing):
    got = describe(ellipsoid((6.0, 7.5, 10.0), spacing), spacing)
    assert got.volume_mm3 == pytest.approx(4 / 3 * math.pi * 450, rel=0.02)
    assert got.long_mm == pytest.approx(20, abs=1.1)  # calipers less one pixel: +- a pixel
    assert got.axial_ratio == pytest.approx(0.75, abs=0.04)
    assert got.elongation == pytest.approx(0.75, rel=0.02)
    assert got.flatness == pytest.approx(0.6, rel=0.02)
    # Knud Thomsen's area of the ellipsoid, good to 1 %
    p = 1.6075
    area = 4 * math.pi * ((6**p * 7.5**p + 6**p * 10**p + 7.5**p * 10**p) / 3) ** (1 / p)
    assert got.sphericity == pytest.approx(math.pi ** (1 / 3) * (6 * 600 * math.pi) ** (2 / 3) / area, abs=0.03)


def test_a_voxelised_sphere_is_as_round_as_the_roundest_real_nodules():
    got = describe(ellipsoid((5.0, 5.0, 5.0), (1.25, 0.65, 0.65)), (1.25, 0.65, 0.65))
    # chains of pixels are longer than circles: a digital one has about 0.9, as has the roundest 1 % of LIDC-IDRI
    assert got.circularity == pytest.approx(0.90, abs=0.02)
    assert got.solidity == pytest.approx(0.98, abs=0.015)
    assert got.sphericity == pytest.approx(0.98, abs=0.015)


def test_a_flower_has_the_solidity_and_circularity_of_its_outline():
    y, x = np.meshgrid(np.arange(-120, 121), np.arange(-120, 121), indexing="ij")
    edge = 80 * (1 + 0.25 * np.cos(5 * np.arctan2(y, x)))
    inside = np.repeat((np.hypot(y, x) < edge)[None], 3, axis=0)
    got = describe(inside, (1.0, 1.0, 1.0))
    phi = np.linspace(0, 2 * np.pi, 20001)
    r = 80 * (1 + 0.25 * np.cos(5 * phi))
    from scipy.spatial import ConvexHull

    hull = ConvexHull(np.stack((r * np.cos(phi), r * np.sin(phi)), axis=1)).volume
    area = 0.5 * np.trapezoid(r**2, phi)
    assert got.solidity == pytest.approx(area / hull, abs=0.01)
    length = np.hypot(np.diff(r * np.cos(phi)), np.diff(r * np.sin(phi))).sum()
    # an eight-connected chain is 5-6 % longer than the curve that it follows
    assert got.circularity == pytest.approx(4 * math.pi * area / (1.055 * length) ** 2, rel=0.03)


@pytest.mark.parametrize("step", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_an_isosurface_has_the_area_and_volume_of_its_body(step):
    index = np.meshgrid(*(np.arange(-round(16 / s), round(16 / s) + 1) * s + 0.17 for s in step), indexing="ij")
    area, volume = isosurface(12 - np.sqrt(sum(i * i for i in index)), step)
    assert area == pytest.approx(4 * math.pi * 144, rel=0.01)
    assert volume == pytest.approx(4 / 3 * math.pi * 1728, rel=0.01)
    slab, half = isosurface(3.3 - np.abs(index[2]), step)
    size = [(n - 1) * s for n, s in zip(index[0].shape, step, strict=True)]
    assert slab == pytest.approx(2 * size[0] * size[1], rel=1e-9)
    assert half == pytest.approx(6.6 * size[0] * size[1], rel=0.02)


def test_a_plane_cuts_a_corner_of_exact_area_and_volume():
    z, y, x = np.meshgrid(np.arange(14.0), np.arange(10.0), np.arange(7.0), indexing="ij")
    # x / 4.4 + y / 7.1 + z / 11.3 <= 1, a tetrahedron of edges a, b, c at the origin; a linear field is met exactly
    a, b, c = 4.4, 7.1, 11.3
    area, volume = isosurface(1 - x / a - y / b - z / c, (1.0, 1.0, 1.0))
    assert volume == pytest.approx(a * b * c / 6, rel=1e-9)
    assert area == pytest.approx(0.5 * math.sqrt((a * b) ** 2 + (b * c) ** 2 + (a * c) ** 2), rel=1e-9)


def test_nothing_is_not_described():
    with pytest.raises(ValueError, match="no pixel"):
        describe(np.zeros((3, 4, 4), bool), (1.0, 1.0, 1.0))
