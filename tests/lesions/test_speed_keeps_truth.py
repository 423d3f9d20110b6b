"""What is worked out quickly equals what its slow and obvious way gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.optimize import brentq
from scipy.special import ndtr

from lesions import Nodule, place
from lesions.clearance import Clearance
from lesions.distance import body_distance, join_segments
from lesions.edges import GAUSSIAN, RAMP, TAIL, fill_to, shares_of, voxels_within
from lesions.lattice import RIM, filled_box
from lesions.measures import COARSE_DEG, FINE_DEG, axial_diameters_mm, crossings
from lesions.random_field import MOST_NODES, gaussian_field
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


def soft(t):
    return np.where(t > TAIL, 1.0, np.where(t < -TAIL, 0.0, ndtr(t)))


@pytest.mark.parametrize(("edge", "slow"), [(RAMP, lambda t: np.clip(t + 0.5, 0, 1)), (GAUSSIAN, soft)])
@pytest.mark.parametrize("bounded", [False, True])
def test_shares_are_those_of_the_offset_that_bisection_finds(edge, slow, bounded):
    rng = np.random.default_rng(5)
    distance = rng.uniform(-4, 4, (11, 12, 13)).astype(np.float32)
    top = rng.uniform(0.2, 1, distance.shape).astype(np.float32) if bounded else None
    per_mm = 1.7

    def shares(offset):
        filled = slow(distance.astype(float) * per_mm + offset)
        return filled if top is None else np.minimum(filled, top)

    for share in (0.2, 0.3, 0.45):
        wanted = share * distance.size
        offset = brentq(lambda x, n: shares(x).sum() - n, -9, 9, args=(wanted,), xtol=1e-12)
        found = fill_to(distance, wanted, per_mm, edge, within=top)
        # A table errs by 1e-7, and by 0.0005 in the step where it is cut.
        np.testing.assert_allclose(found, shares(offset), atol=6e-4)
        assert abs(found - shares(offset)).mean() < 2e-6
        assert found.sum(dtype=float) == pytest.approx(wanted, rel=1e-7)


def test_an_offset_beyond_the_slack_is_not_taken():
    distance = np.linspace(-3, 3, 601, dtype=np.float32)
    assert shares_of(distance, 300.0, 1.0, RAMP, None, 0.4) is not None
    for wanted in (300.0 + 60, 300.0 - 60):  # 0.6 mm away
        assert shares_of(distance, wanted, 1.0, RAMP, None, 0.4) is None
        assert shares_of(distance, wanted, 1.0, RAMP, None, 3.0).sum(dtype=float) == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match="too coarse or too small"):
        fill_to(distance, 700.0, 1.0, RAMP)


def test_voxels_within_are_the_sum_of_the_ramp():
    distance = np.random.default_rng(2).uniform(-2, 2, (7, 8, 9)).astype(np.float32)
    slow = np.clip(distance.astype(float) * 3.1 + 0.5, 0, 1).sum()
    assert voxels_within(distance, 3.1) == pytest.approx(slow, rel=1e-6)


def test_tubes_are_joined_as_far_as_the_pad():
    rng = np.random.default_rng(4)
    segments = np.column_stack((rng.uniform(-3, 3, (6, 6)), rng.uniform(0.2, 0.8, (6, 2))))
    segments[0, 3:5] = segments[0, 0:2]  # along z
    segments[1, 4:6] = segments[1, 1:3]  # along x, as the rows are
    origin, step, pad = np.array([-4.1, -4.0, -3.9]), 0.31, 0.7
    out = np.full((26, 26, 26), -1e3, np.float32)
    join_segments(segments, pad, origin, step, out)
    points = origin + step * np.argwhere(np.ones_like(out, bool))[:, ::-1]
    slow = np.full(len(points), -np.inf)
    for a, b, (ra, rb) in zip(segments[:, 0:3], segments[:, 3:6], segments[:, 6:8], strict=True):
        t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)[:, None]
        slow = np.maximum(slow, ra + t[:, 0] * (rb - ra) - np.linalg.norm(points - a - t * (b - a), axis=1))
    found, near = out.ravel(), slow > -pad
    np.testing.assert_allclose(found[near], slow[near], atol=1e-6)
    assert np.all(found[~near] <= slow[~near] + 1e-6)
    assert 0.05 < near.mean() < 0.9
    assert (found == -1e3).mean() > 0.2  # what lies far off is not worked out


@pytest.mark.parametrize("reach", [6.0, 40.0])
def test_a_field_is_the_sum_of_its_kernels_and_repeats_itself_without_a_seam(reach):
    sigma, line = 0.8, Grid((1, 1, 280), (0.25, 0.25, 0.25), (-35.0, 0.0, 0.0))
    n = math.ceil(reach / sigma) + 4
    count = min(2 * n + 1, MOST_NODES)
    found = gaussian_field(np.random.default_rng(3), line, sigma_mm=sigma, reach_mm=reach)[0, 0]
    white = np.random.default_rng(3).standard_normal((count,) * 3, dtype=np.float32)
    near = np.arange(n - 5, n + 6)  # nodes about y = z = 0
    weight = np.exp(-0.5 * (near - n) ** 2.0)
    along = np.einsum("z,y,zyx->x", weight, weight, white[np.ix_(near % count, near % count, np.arange(count))])
    offset = line.axes_mm()[2][:, None] / sigma - np.arange(-n, n + 1)
    slow = np.exp(-0.5 * offset**2) @ along[np.arange(2 * n + 1) % count] / np.pi**0.75
    inside = abs(line.axes_mm()[2]) < reach
    np.testing.assert_allclose(found[inside], slow[inside], atol=2e-3)  # kernels are cut at 5 sigma
    cube = Grid((48, 48, 48), (0.8, 0.8, 0.8), (-19.0, -19.0, -19.0))
    field = gaussian_field(np.random.default_rng(4), cube, sigma_mm=sigma, reach_mm=40.0)
    assert field.std() == pytest.approx(1, abs=0.02)  # some 10,000 independent values
