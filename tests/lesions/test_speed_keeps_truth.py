"""What is worked out quickly equals what its slow and obvious way gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, map_coordinates

from lesions import Nodule, place
from lesions.clearance import Clearance
from lesions.distance import body_distance
from lesions.lattice import RIM, filled_box
from lesions.measures import COARSE_DEG, FINE_DEG, axial_diameters_mm, crossings
from lesions.raster import body_on, rasterise
from lesions.shape import shape_of
from lesions.surroundings import AIRWAYS, HORIZON_MM, NEAR_MM, VESSELS, sample
from lesions.vicinity import Vicinity
from twins import LUNG, Grid, Structure


def nodule(d=8.0, **fields) -> Nodule:
    return Nodule(**{"id": "a", "key": 3, "equivalent_diameter_mm": d, "lobulation": 4.0, **fields})


def by_hand(body, points_mm):
    """Signed distance of points ``(n, 3)``: the table's radius and slope along their directions, bilinear."""
    x, y, z = ((points_mm - body.centre_mm) @ body.rotation).T
    length = np.sqrt(x * x + y * y + z * z)
    t = np.arccos(z / length) / np.pi * (body.radius_mm.shape[0] - 1)
    p = (np.arctan2(y, x) % (2 * np.pi)) / (2 * np.pi) * (body.radius_mm.shape[1] - 1)
    radius, slope = (map_coordinates(table, [t, p], order=1) for table in (body.radius_mm, body.slope))
    return (radius - length) * slope


@pytest.mark.parametrize("near_mm", [0.3, np.inf])
def test_distances_of_a_row_are_those_of_its_points(near_mm):
    body = shape_of(nodule()).body
    origin, step, n = np.array([-5.83, -6.1, -5.57]), 0.83, 15
    out = np.empty((n, n, n), np.float32)
    body_distance(body.radius_mm, body.slope, body.rotation, body.centre_mm, origin, step, near_mm, out)
    index = np.argwhere(np.ones_like(out, bool))
    slow = by_hand(body, origin + step * index[:, ::-1])
    found = out.ravel()
    near = abs(slow) < near_mm
    assert near.sum() > 100
    np.testing.assert_allclose(found[near], slow[near], atol=2e-6)  # float32 of some millimetres
    far = ~near
    assert np.all(np.sign(found[far]) == np.sign(slow[far]))
    assert np.all(abs(found[far]) > 0.999 * near_mm)


def test_a_lattice_ends_where_its_form_does():
    raster = rasterise(nodule(spiculation=4.0, n_spicules=5))
    box = filled_box(raster.profile > 0)
    for b, n in zip(box, raster.profile.shape, strict=True):
        assert (b.start, n - b.stop) == (RIM, RIM)


def test_the_body_alone_is_that_of_the_raster():
    spec = nodule(spiculation=4.0, n_spicules=12)
    raster, (grid, body) = rasterise(spec, spacing_mm=0.3), body_on(spec, 0.3)
    assert grid.spacing_mm == raster.grid.spacing_mm
    alone, in_raster = (axial_diameters_mm(*field, 0.0) for field in ((grid, body), (raster.grid, raster.body_mm)))
    assert alone == pytest.approx(in_raster, rel=1e-12)


def test_the_longest_diameter_is_that_of_all_slices():
    for key in range(3):
        raster = rasterise(nodule(key=key), spacing_mm=0.3)
        points = np.concatenate([crossings(raster.body_mm, 0.0, axis) for axis in (1, 2)])
        xy = 0.3 * points[:, [2, 1]]
        widths = {}
        for s in np.unique(points[:, 0]):
            for deg in np.arange(0, 180, COARSE_DEG):
                along = xy[points[:, 0] == s] @ (math.cos(math.radians(deg)), math.sin(math.radians(deg)))
                widths[s, deg] = np.ptp(along)
        s, about = max(widths, key=widths.__getitem__)
        fine = [
            np.ptp(xy[points[:, 0] == s] @ (math.cos(math.radians(deg)), math.sin(math.radians(deg))))
            for deg in about + np.arange(-COARSE_DEG, COARSE_DEG + FINE_DEG / 2, FINE_DEG)
        ]
        step = raster.grid.spacing_mm[0] / 0.3
        assert axial_diameters_mm(raster.grid, raster.body_mm, 0.0)[0] == pytest.approx(step * max(fine), rel=1e-9)


@pytest.mark.parametrize("at_mm", [(30.0, -12.0, 8.0), (12.3, 6.0, 9.1), (-60.0, 40.0, -40.0)])
def test_distances_to_anatomy_are_those_of_a_map(twin, at_mm):
    surface = shape_of(nodule(elongation=0.6, flatness=0.4)).surface_mm()[::9] + at_mm
    near_by = Vicinity(twin, surface)
    away_from_surface = np.ones(twin.grid.shape, bool)
    away_from_surface[tuple(np.rint(twin.grid.world_to_index(surface)).astype(int).T)] = False
    away = distance_transform_edt(away_from_surface, sampling=twin.grid.spacing_mm)
    answers = []
    for structures, outside in ((LUNG, True), (VESSELS, False), (AIRWAYS, False), ((Structure.LIVER,), False)):
        target = np.isin(twin.structure, [int(s) for s in structures], invert=outside)
        gap = max(0.0, float(away[target].min(initial=np.inf)) - 0.5 * min(twin.grid.spacing_mm))
        answers.append(near_by.distance_mm(structures, outside=outside))
        # The block's voxels of 2 mm are never thinned, so both horizons see all of them.
        assert answers[-1] == (pytest.approx(gap, abs=1e-9) if gap <= HORIZON_MM else None)
    assert NEAR_MM < HORIZON_MM
    assert any(a is not None for a in answers)


def test_lattices_that_lie_alike_are_sampled_as_points_are():
    fields = np.random.default_rng(1).random((3, 6, 7, 8), dtype=np.float32)
    of, at = Grid((6, 7, 8), (2.0, 1.5, 1.0), (1.0, 2.0, 3.0)), Grid((40, 30, 20), (0.4, 0.35, 0.5), (0.2, 1.1, 2.2))
    index = of.world_to_index(at.index_to_world(np.argwhere(np.ones(at.shape, bool))))
    slow = [map_coordinates(f.astype(float), index.T, order=1, mode="nearest").reshape(at.shape) for f in fields]
    np.testing.assert_allclose(sample(fields, of, at), slow, atol=1e-6)


def test_places_are_the_same_where_the_maps_are_held(twin):
    where = Clearance(twin)
    specs = [nodule(d, id=f"n{d:g}", lobe=lobe) for d, lobe in ((4.0, None), (7.0, "RIGHT_UPPER_LOBE"))]
    first, again = (place(twin, specs, rng=np.random.default_rng(1), clearance=where) for _ in range(2))
    assert first == again == place(twin, specs, rng=np.random.default_rng(1))
    cells = where.cells(Structure.RIGHT_UPPER_LOBE)
    np.testing.assert_array_equal(where.structure.ravel()[cells.flat], Structure.RIGHT_UPPER_LOBE)
    np.testing.assert_array_equal(cells.vessel_mm(2.0), where.vessel_mm(2.0).ravel()[cells.flat])
