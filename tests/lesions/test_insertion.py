"""A nodule changes a twin by exactly its own matter, and leaves the twin's arrays alone."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from lesions import Nodule, hounsfield_equivalent, insert, load, save
from lesions.hounsfield import density_g_cm3
from lesions.sizing import sized
from lesions.surroundings import matter_on
from twins import Grid, Structure, Tree, material
from twins.segments import Segment

from .synthetic_thorax import LUNG_DENSITY, block

PLACE = (40.3, -20.2, 24.6)
LUNG_HU = float(
    hounsfield_equivalent((material("air"), material("lung_tissue")), np.array([0.0010454 * 0.849, LUNG_DENSITY]))
)


def nodule(d=10.0, **fields) -> Nodule:
    return Nodule(**{"id": "a", "key": 1, "equivalent_diameter_mm": d, "centre_mm": PLACE, **fields})


def lung_hu(twin) -> float:
    base = matter_on(twin, Grid((1, 1, 1), (1.0, 1.0, 1.0), PLACE))
    return float(hounsfield_equivalent(base.materials, base.partial_g_cm3).item())


@pytest.mark.parametrize("d", [3.0, 8.0, 20.0])
@pytest.mark.parametrize("margin", [0.0, 0.9])
def test_a_solid_nodule_adds_its_volume_times_the_difference_of_density(lung_only, d, margin):
    spec = nodule(d, margin_mm=margin, lobulation=2.0)
    _, truth = insert(lung_only, [spec])
    tissue = density_g_cm3(material("lung_tissue"), spec.attributes.solid_hu)
    # The texture has no mean over the profile; the lung is uniform to one step of the twin's density, 1e-4 g/cm3.
    assert truth.nodules[0].added_mass_mg == pytest.approx(spec.target_volume_mm3 * (tissue - LUNG_DENSITY), rel=2e-4)


@pytest.mark.parametrize("hu", [-700.0, -600.0, -450.0])
def test_ground_glass_reads_what_it_was_asked_to(lung_only, hu):
    spec = nodule(14.0, type="ground_glass", ground_glass_hu=hu, margin_mm=0.0)
    _, truth = insert(lung_only, [spec])
    host = lung_hu(lung_only)
    expected = host + spec.soft_fraction * (40 - host)
    # The edge of a voxel-wide ramp misses about 0.2 voxel of depth: 3 x 0.2 x 0.35 / 7 mm = 3 %; 1 HU for the texture.
    assert truth.nodules[0].mean_hu == pytest.approx(expected, abs=0.03 * (expected - host) + 1)
    assert abs(host + 850) < 12
    assert truth.nodules[0].mean_hu == pytest.approx(hu, abs=12)


def test_a_solid_nodule_reads_its_hu_inside(lung_only):
    _, truth = insert(lung_only, [nodule(20.0, solid_hu=30.0, margin_mm=0.0, texture_sd_hu=0.0)])
    (inset,) = insert(lung_only, [nodule(20.0, solid_hu=30.0, margin_mm=0.0, texture_sd_hu=0.0)])[0].insets
    base = matter_on(lung_only, inset.grid)
    partial = inset.delta_g_cm3.copy()
    partial[: len(base.materials)] += base.partial_g_cm3
    hu = hounsfield_equivalent(inset.materials, partial)
    deep = binary_erosion(truth.nodules[0].occupancy == 1, iterations=2)
    np.testing.assert_allclose(hu[deep], 30, atol=0.05)  # the margin of 0.29 voxel is gone 2.5 voxels inside; float32
    middle = tuple(n // 2 for n in hu.shape)
    assert hu[middle] == pytest.approx(30, abs=0.01)  # float32


def test_texture_has_its_spread(lung_only):
    spec = nodule(26.0, texture_sd_hu=40.0, texture_correlation_mm=1.5, margin_mm=0.0)
    twin, truth = insert(lung_only, [spec])
    (inset,) = twin.insets
    base = matter_on(lung_only, inset.grid)
    partial = inset.delta_g_cm3.copy()
    partial[: len(base.materials)] += base.partial_g_cm3
    hu = hounsfield_equivalent(inset.materials, partial)[truth.nodules[0].occupancy == 1]
    # About 26^3 pi/6 / (1.5 sqrt(pi))^3 = 490 independent patches: the SD is known to 3.2 %; four of them.
    assert hu.std() == pytest.approx(40, rel=0.13)


def test_a_part_solid_nodule_is_a_core_in_a_haze(lung_only):
    spec = nodule(16.0, type="part_solid", solid_core_ratio=0.5, margin_mm=0.2)
    _, truth = insert(lung_only, [spec])
    (t,) = truth.nodules
    assert t.core_volume_mm3 == pytest.approx(spec.target_volume_mm3 / 8, rel=1e-3)
    assert t.core_mean_hu > -60  # +40 less a rim of partial voxels
    haze = (t.mean_hu - t.core_mean_hu / 8) / (1 - 1 / 8)
    assert haze == pytest.approx(-600, abs=40)
    assert t.core_diameter_mm == pytest.approx(8, rel=0.15)  # mean axial over equivalent diameter of a body of sd 0.13


def test_vessels_stay_visible_in_ground_glass(twin):
    at = (30.0, 0.0, 0.0)  # on the vessel
    spec = nodule(14.0, type="ground_glass", centre_mm=at, texture_sd_hu=0.0)
    (inset,) = insert(twin, [spec])[0].insets
    delta = inset.delta_g_cm3.sum(axis=0)
    middle = tuple(round(float(i)) for i in inset.grid.world_to_index(at))
    assert delta[middle] == 0  # blood is not diluted
    up = tuple(round(float(i)) for i in inset.grid.world_to_index((30.0, -5.5, 0.0)))
    assert delta[up] > 0.1  # lung is


def test_a_twin_and_its_arrays_stay_as_they_were(twin):
    before = [getattr(twin, n).copy() for n in ("structure", "material_a", "material_b", "fraction_b", "density")]
    after, _ = insert(twin, [nodule()])
    for name, array in zip(("structure", "material_a", "material_b", "fraction_b", "density"), before, strict=True):
        assert getattr(after, name) is getattr(twin, name)
        np.testing.assert_array_equal(getattr(twin, name), array)
    assert twin.insets == ()
    assert [i.name for i in after.insets] == ["a"]


def test_truth_is_where_and_what_was_asked_for(lung_only):
    spec = nodule(12.0, spiculation=3.0)
    twin, truth = insert(lung_only, [spec])
    (t,) = truth.nodules
    assert t.centre_mm == PLACE
    assert t.volume_mm3 == pytest.approx(sized(spec).target_volume_mm3, rel=1e-6)
    assert t.equivalent_diameter_mm == pytest.approx(12, rel=1e-6)
    z, y, x = t.grid.axes_mm()
    weight = t.occupancy.sum(dtype=float)
    found = (t.occupancy.sum(axis=(0, 1)) @ x, t.occupancy.sum(axis=(0, 2)) @ y, t.occupancy.sum(axis=(1, 2)) @ z)
    np.testing.assert_allclose(np.array(found) / weight, PLACE, atol=1e-5)
    assert t.short_axis_mm <= t.long_axis_mm <= t.max_diameter_mm
    assert t.lobe == "LEFT_UPPER_LOBE"
    assert t.type == "solid"
    assert twin.insets[0].grid == t.grid


def test_distances_are_those_of_a_sphere_to_flat_walls():
    twin = block((80, 80, 100), 1.5)
    # Right wall of the block at x = 74.25 - 7.5 = 66.75 mm less half a voxel; a 10 mm ball 12 mm from it.
    wall = 74.25 - 5 * 1.5 + 0.75
    _, truth = insert(twin, [nodule(10.0, sh_sd=0.0, sh_sd_l2=0.0, centre_mm=(wall - 17.0, -30.0, 20.0))])
    assert truth.nodules[0].distance_to_pleura_mm == pytest.approx(12, abs=1.6)  # one voxel of the twin
    assert truth.nodules[0].distance_to_vessel_mm is None  # the vessel runs 36 mm away
    _, truth = insert(twin, [nodule(10.0, sh_sd=0.0, sh_sd_l2=0.0, centre_mm=(30.0, 0.75, 20.0))])
    assert truth.nodules[0].distance_to_vessel_mm == pytest.approx(
        20 - 5 - 4, abs=2.3
    )  # vessel radius 4, one voxel each


def test_the_segment_is_that_of_the_nearest_branch_of_its_lobe(lung_only):
    lobes = (Structure.LEFT_UPPER_LOBE, Structure.LEFT_UPPER_LOBE, Structure.LEFT_LOWER_LOBE)
    names = (Segment.LEFT_APICOPOSTERIOR, Segment.LEFT_ANTERIOR, Segment.LEFT_POSTERIOR_BASAL)
    ends = np.array([(40.0, 30.0, 30.0), (40.0, -30.0, 30.0), (40.0, -20.0, -4.0)], np.float32)
    n = len(ends)
    tree = Tree(
        ends + 1, ends, np.full(n, 0.5), np.full(n, 0.5), np.full(n, -1), np.zeros(n), np.array(lobes, np.uint16),
        np.array(names, np.uint8),
    )  # fmt: skip
    specs = [
        nodule(6.0),  # 11 mm from the second branch; the third is nearer to the last two, one of which has another lobe
        nodule(6.0, id="b", centre_mm=(40.0, -20.0, 5.0)),
        nodule(6.0, id="c", centre_mm=(40.0, -20.0, -12.0)),
        nodule(6.0, id="d", centre_mm=(40.0, 25.0, 20.0)),
    ]
    _, truth = insert(replace(lung_only, airways=tree), specs)
    found = [n.segment for n in truth.nodules]
    assert found == ["LEFT_ANTERIOR", "LEFT_ANTERIOR", "LEFT_POSTERIOR_BASAL", "LEFT_APICOPOSTERIOR"]
    assert insert(lung_only, specs[:1])[1].nodules[0].segment is None


@pytest.mark.parametrize(("beside_mm", "gap_mm"), [(14.0, 6.0), (21.0, 13.0), (40.0, None)])
def test_the_airway_is_as_far_as_its_wall(twin, beside_mm, gap_mm):
    # the airway of the block runs along x with a radius of 3 mm
    axis_y, axis_z = (float(c) for c in twin.grid.index_to_world((30, 38, 40))[1:])
    at = (30.0, axis_y, axis_z + beside_mm)
    _, truth = insert(twin, [nodule(10.0, sh_sd=0.0, sh_sd_l2=0.0, centre_mm=at)])
    found = truth.nodules[0].distance_to_airway_mm
    if gap_mm is None:
        assert found is None  # beyond the horizon of 20 mm
    else:
        assert found == pytest.approx(gap_mm, abs=2.3)  # one voxel of 2 mm


@pytest.mark.parametrize(
    ("size_mm", "above_mm", "gap_mm"),
    [(10, 2.0, 0.0), (10, 5.0, 0.0), (10, 9.0, 4.0), (10, 18.0, 13.0), (4, 26.0, None)],
)
def test_the_fissure_is_as_far_as_the_other_lobe(size_mm, above_mm, gap_mm):
    twin = block((80, 60, 90), 1.0, vessel=False)
    assert twin.grid.centre_mm == (0, 0, 0)  # lobes meet between the voxels at z = -0.5 and 0.5 mm
    _, truth = insert(twin, [nodule(size_mm, sh_sd=0.0, sh_sd_l2=0.0, centre_mm=(20.0, 0.0, above_mm))])
    found = truth.nodules[0]
    assert found.lobe == "LEFT_UPPER_LOBE"
    if gap_mm is None:
        assert found.distance_to_fissure_mm is None  # beyond the horizon of 20 mm
    else:
        assert found.distance_to_fissure_mm == pytest.approx(gap_mm, abs=1.1)  # one voxel, two where looked at coarsely
    assert found.on_fissure is (gap_mm == 0.0)


def test_a_twin_without_lobes_knows_no_fissure():
    twin = block((60, 60, 80), 2.0, lobes=False)
    _, truth = insert(twin, [nodule(8.0, centre_mm=(30.0, -20.0, 5.0), lobe="LEFT_UPPER_LOBE")])
    assert truth.nodules[0].lobe == "LEFT_UPPER_LOBE"
    assert truth.nodules[0].on_fissure is truth.nodules[0].distance_to_fissure_mm is None


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.7), (2.5, 0.8, 0.8), (0.3, 0.3, 0.3)])
def test_occupancy_keeps_the_volume_on_any_grid(lung_only, spacing):
    _, truth = insert(lung_only, [nodule(9.0, lobulation=3.0)])
    size = [round(22 / s) for s in spacing]
    grid = Grid(tuple(size), spacing, tuple(c - 11 + 0.13 for c in PLACE))
    share = truth.occupancy(grid, 0)
    assert share.max() <= 1
    assert share.sum(dtype=float) * grid.voxel_volume_mm3 == pytest.approx(truth.nodules[0].volume_mm3, rel=1e-5)
    found = [
        share.sum(axis=a, dtype=float) @ axis for a, axis in zip(((1, 2), (0, 2), (0, 1)), grid.axes_mm(), strict=True)
    ]
    # Within a voxel the place of its share is not kept.
    np.testing.assert_allclose(np.array(found)[::-1] / share.sum(dtype=float), PLACE, atol=0.01 * max(spacing))


def test_occupancy_keeps_the_volume_on_a_turned_grid(lung_only):
    _, truth = insert(lung_only, [nodule(9.0)])
    c, s = math.cos(0.4), math.sin(0.4)
    grid = Grid((40, 40, 40), (0.8, 0.8, 0.8), (0.0, 0.0, 0.0), (c, -s, 0, s, c, 0, 0, 0, 1))
    offset = np.asarray(PLACE) - np.asarray(grid.centre_mm)
    grid = Grid(grid.shape, grid.spacing_mm, tuple(offset), grid.direction)
    share = truth.occupancy(grid, 0)
    assert share.sum(dtype=float) * 0.512 == pytest.approx(truth.nodules[0].volume_mm3, rel=1e-3)
    labels = truth.labels(grid)
    assert labels.sum() * 0.512 == pytest.approx(truth.nodules[0].volume_mm3, rel=0.03)


def test_a_flipped_grid_sees_the_flipped_nodule(lung_only):
    _, truth = insert(lung_only, [nodule(9.0, lobulation=4.0)])
    n = 30
    plain = Grid((n, n, n), (0.8,) * 3, tuple(c - 0.8 * (n - 1) / 2 for c in PLACE))
    flipped = Grid(
        (n, n, n),
        (0.8,) * 3,
        (PLACE[0] + 0.8 * (n - 1) / 2, PLACE[1] + 0.8 * (n - 1) / 2, plain.origin_mm[2]),
        (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    )
    one, two = truth.occupancy(plain, 0), truth.occupancy(flipped, 0)[:, ::-1, ::-1]
    np.testing.assert_allclose(one, two, atol=1e-6)  # float32
    assert np.array_equal(truth.labels(plain), truth.labels(flipped)[:, ::-1, ::-1])


def test_labels_number_the_nodules_and_lose_none(lung_only):
    specs = [
        nodule(12.0),
        nodule(3.0, id="b", centre_mm=(-40.0, 10.0, -20.0)),
        nodule(8.0, id="c", centre_mm=(40.0, 30.0, -30.0)),
    ]
    _, truth = insert(lung_only, specs)
    coarse = truth.labels(Grid((30, 24, 32), (5.0, 5.0, 5.0), (-77.5, -57.5, -72.5)))
    assert set(np.unique(coarse)) == {
        0,
        1,
        2,
        3,
    }  # a 3 mm nodule fills no 5 mm voxel by half, and is there all the same
    fine = truth.labels(Grid((25, 25, 25), (0.7, 0.7, 0.7), tuple(c - 8.4 for c in PLACE)))
    assert set(np.unique(fine)) == {0, 1}
    assert fine.sum() * 0.343 == pytest.approx(truth.nodules[0].volume_mm3, rel=0.02)
    nowhere = truth.labels(Grid((5, 5, 5), (1.0, 1.0, 1.0), (500.0, 0.0, 0.0)))
    assert not nowhere.any()


def test_a_truth_survives_a_file_and_gives_the_same_bytes(lung_only, tmp_path):
    _, truth = insert(lung_only, [nodule(6.0, type="part_solid"), nodule(5.0, id="b", centre_mm=(-40.0, 10.0, -20.0))])
    for name in ("one.h5", "two.h5"):
        save(truth, tmp_path / name)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    again = load(tmp_path / "one.h5")
    for a, b in zip(truth.nodules, again.nodules, strict=True):
        assert a.record() == b.record()
        assert a.nodule == b.nodule
        np.testing.assert_array_equal(a.occupancy, b.occupancy)
    np.testing.assert_array_equal(again.nodules[0].core_occupancy, truth.nodules[0].core_occupancy)
    assert again.nodules[1].core_occupancy is None


def test_a_file_that_is_no_truth_is_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["format"] = "other"
    with pytest.raises(ValueError, match=r"x\.h5.*not a truth"):
        load(tmp_path / "x.h5")


def test_order_of_insertion_changes_no_nodule(lung_only):
    specs = [nodule(8.0), nodule(6.0, id="b", key=9, centre_mm=(-40.0, 10.0, -20.0))]
    forward, backward = insert(lung_only, specs)[0], insert(lung_only, specs[::-1])[0]
    for inset in forward.insets:
        same = next(i for i in backward.insets if i.name == inset.name)
        np.testing.assert_array_equal(inset.delta_g_cm3, same.delta_g_cm3)
        assert inset.grid == same.grid


def test_the_base_is_sampled_linearly_wherever_its_grid_points(lung_only):
    # The same anatomy on a lattice with x and y reversed gives the same inset.
    turned = block(vessel=False, origin=(79.0, 59.0, -59.0), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))
    spec = nodule(10.0, centre_mm=(40.3, -52.0, 24.6), lobe=None)  # reaches into the wall
    a, b = insert(lung_only, [spec])[0].insets[0], insert(turned, [spec])[0].insets[0]
    names = [m.name for m in a.materials]
    for row, m in enumerate(b.materials):
        if m.name in names:
            np.testing.assert_allclose(b.delta_g_cm3[row], a.delta_g_cm3[names.index(m.name)], atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"centre_mm": None}, "place it first"),
        ({"centre_mm": (300.0, 0.0, 0.0)}, "leaves the twin"),
        ({"centre_mm": (0.0, 0.0, -57.0), "equivalent_diameter_mm": 3.0}, "not lie in the lungs"),
        ({"lobe": "RIGHT_UPPER_LOBE"}, "asks for lobe RIGHT_UPPER_LOBE"),
    ],
)
def test_what_cannot_be_inserted_is_refused(twin, fields, words):
    with pytest.raises(ValueError, match=words):
        insert(twin, [nodule(**fields)])


def test_overlapping_nodules_are_refused(lung_only):
    near = (PLACE[0] + 6.0, PLACE[1], PLACE[2])
    with pytest.raises(ValueError, match=r"'a' and 'b' overlap"):
        insert(lung_only, [nodule(), nodule(id="b", centre_mm=near)])
    insert(lung_only, [nodule(), nodule(id="b", centre_mm=(PLACE[0] + 16.0, PLACE[1], PLACE[2]))])


def test_where_only_whole_lungs_are_known_the_spec_names_the_lobe():
    twin = block(lobes=False)
    assert insert(twin, [nodule()])[1].nodules[0].lobe == "LEFT_LUNG"
    assert insert(twin, [nodule(lobe="LEFT_LOWER_LOBE")])[1].nodules[0].lobe == "LEFT_LOWER_LOBE"
    with pytest.raises(ValueError, match="RIGHT_LOWER_LOBE"):
        insert(twin, [nodule(lobe="RIGHT_LOWER_LOBE")])


def test_structure_names_are_what_truth_reports(twin):
    assert Structure[insert(twin, [nodule()])[1].nodules[0].lobe] == Structure.LEFT_UPPER_LOBE


def test_the_same_bytes_come_for_any_number_of_threads(tmp_path):
    code = (
        "import hashlib, sys\n"
        "from tests.lesions.synthetic_thorax import block\n"
        "from lesions import Nodule, insert, save\n"
        "common = dict(key=3, equivalent_diameter_mm=11.0, lobulation=3.0)\n"
        "specs = [Nodule(id='a', centre_mm=(40, -20, 24), spiculation=4.0, **common),\n"
        "         Nodule(id='b', centre_mm=(-40, 20, -24), type='part_solid', **common)]\n"
        "twin, truth = insert(block(), specs)\n"
        "save(truth, sys.argv[1])\n"
        "data = open(sys.argv[1], 'rb').read() + b''.join(i.delta_g_cm3.tobytes() for i in twin.insets)\n"
        "print(hashlib.sha256(data).hexdigest())\n"
    )
    digests = set()
    for n in ("1", "2"):
        threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), n)
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{n}.h5")],
            env={**os.environ, **threads},
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize(
    "fields",
    [{}, {"lobulation": 4.0, "sphericity": 2.0}, {"spiculation": 4.0}, {"type": "part_solid", "margin_mm": 1.0}],
)
@pytest.mark.parametrize("mean_mm", [5.0, 12.0])
def test_a_mean_diameter_asked_for_is_the_one_measured(lung_only, fields, mean_mm):
    spec = Nodule(id="a", key=4, mean_diameter_mm=mean_mm, centre_mm=PLACE, **fields)
    (t,) = insert(lung_only, [spec])[1].nodules
    # Slices of the lattice meet the body at other heights each time: half a voxel, d/80, at a steep flank.
    assert t.mean_diameter_mm == pytest.approx(mean_mm, rel=0.01)
    assert t.volume_mm3 == pytest.approx(sized(spec).target_volume_mm3, rel=1e-6)
