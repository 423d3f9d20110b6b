"""Nodules are put where they were asked for, or the reason is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lesions import Nodule, PlacementError, insert, place
from lesions.cohorts import draw_table
from lesions.shape import shape_of
from lesions.sizing import sized
from lesions.taken import NODULE_GAP_MM
from twins import Structure, Tree

from .synthetic_thorax import block


def nodule(name="a", d=8.0, **fields) -> Nodule:
    return Nodule(**{"id": name, "key": sum(map(ord, name)), "equivalent_diameter_mm": d, **fields})


def rng(seed=0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def structure_at(twin, point) -> Structure:
    return Structure(int(twin.structure[tuple(np.rint(twin.grid.world_to_index(point)).astype(int))]))


def test_many_draws_keep_every_distance(twin):
    walls = np.array(
        [71.0, 51.0, 51.0]
    )  # inner faces of the block along x, y, z [mm], half a voxel of 2 mm inside the wall
    for seed in range(15):
        specs = [nodule("a", 12.0), nodule("b", 6.0), nodule("c", 4.0)]
        placed = place(twin, specs, rng=rng(seed))
        for spec in placed:
            centre = np.array(spec.centre_mm)
            reach = shape_of(spec).reach_mm()
            gap = float((walls - np.abs(centre - [0.0, 0.0, 0.0])).min())
            assert gap >= reach + 2.0 - 1.0  # thinned voxels are 2 mm: their faces are known to half of one
            axis = np.hypot(centre[1] - 1.0, centre[2] - 1.0)  # vessel axis
            assert axis >= 4.0 + reach + 1.0 - 2.0 or spec.avoided_vessel_mm > 8
        for i, one in enumerate(placed):
            for other in placed[:i]:
                apart = np.linalg.norm(np.subtract(one.centre_mm, other.centre_mm))
                assert apart >= shape_of(one).reach_mm() + shape_of(other).reach_mm() + NODULE_GAP_MM


def test_a_lobe_asked_for_is_met(twin):
    for lobe in ("RIGHT_UPPER_LOBE", "LEFT_LOWER_LOBE"):
        for seed in range(4):
            (placed,) = place(twin, [nodule(lobe=lobe)], rng=rng(seed))
            assert structure_at(twin, placed.centre_mm).name == lobe


def test_all_of_the_lung_is_used():
    twin = block(vessel=False)
    specs = [nodule(f"n{i}", 4.0) for i in range(8)]
    centres = np.array([p.centre_mm for s in range(25) for p in place(twin, specs, rng=rng(s))])
    for axis, half in enumerate((71.0, 51.0, 51.0)):
        reachable = half - 2.0 - 2.7 - 1.8
        # Uniform over +- reachable: the SD is reachable / sqrt(3), known to 4.5 % from 200 draws (kurtosis of a
        # uniform).
        assert centres[:, axis].std() == pytest.approx(reachable / np.sqrt(3), rel=4 * 0.032 + 0.03)
        assert abs(centres[:, axis].mean()) < 4 * reachable / np.sqrt(3 * 200)
    on_grid = np.abs(twin.grid.world_to_index(centres) - np.rint(twin.grid.world_to_index(centres)))
    assert on_grid.mean() == pytest.approx(
        0.25, abs=0.03
    )  # sub-voxel jitter: distance to the nearest centre is U(0, 0.5)


def test_the_same_generator_gives_the_same_places(twin):
    specs = [nodule("a"), nodule("b", 5.0)]
    assert place(twin, specs, rng=rng(4)) == place(twin, specs, rng=rng(4))
    assert place(twin, specs, rng=rng(4)) != place(twin, specs, rng=rng(5))


def test_a_nodule_keeps_its_place_when_others_come_or_go(twin):
    alone = place(twin, [nodule("a")], rng=rng(4))[0]
    beside = place(twin, [nodule("a"), nodule("b", 4.0), nodule("c", 4.0)], rng=rng(4))[0]
    assert beside.centre_mm == alone.centre_mm


def test_no_two_nodules_of_equal_key_share_a_place(twin):
    placed = place(twin, [nodule(f"n{i}", 4.0, key=7) for i in range(5)], rng=rng(1))
    assert len({p.centre_mm for p in placed}) == 5


def test_a_given_place_is_kept_and_respected(twin):
    fixed = nodule("fixed", 10.0, centre_mm=(30.125, -25.0, 30.0))
    placed = place(twin, [nodule("free"), fixed], rng=rng(2))
    assert placed[1] == fixed
    assert np.linalg.norm(np.subtract(placed[0].centre_mm, fixed.centre_mm)) > 9 + NODULE_GAP_MM


def test_what_is_placed_can_be_inserted(twin):
    specs = [nodule("a", 14.0, spiculation=4.0), nodule("b", 6.0, type="ground_glass"), nodule("c", 5.0)]
    _, truth = insert(twin, place(twin, specs, rng=rng(3)))
    assert len(truth.nodules) == 3
    assert all(t.distance_to_pleura_mm is None or t.distance_to_pleura_mm >= 1.0 for t in truth.nodules)


def test_whole_lungs_are_enough_to_place_in():
    twin = block(lobes=False)
    (placed,) = place(twin, [nodule()], rng=rng(1))
    assert structure_at(twin, placed.centre_mm) in (Structure.RIGHT_LUNG, Structure.LEFT_LUNG)
    with pytest.raises(PlacementError, match="RIGHT_LUNG, LEFT_LUNG"):
        place(twin, [nodule(lobe="RIGHT_UPPER_LOBE")], rng=rng(1))


def test_a_vessel_attached_nodule_touches_a_vessel(twin):
    for seed in range(5):
        placed = place(twin, [nodule(d=8.0, attachment="vessel", min_distance_to_airway_mm=0.0)], rng=rng(seed))
        assert insert(twin, placed)[1].nodules[0].distance_to_vessel_mm <= 1.0


@pytest.mark.parametrize("d", [3.0, 5.0, 7.0])
def test_a_vessel_attached_nodule_stands_at_the_side_of_a_branch(d):
    start, end = np.array([[-50.0, 5.0, 5.0]], np.float32), np.array([[50.0, 5.0, 5.0]], np.float32)
    radius = np.array([1.2], np.float32)
    arteries = Tree(start, end, radius, radius, np.array([-1]), np.zeros(1), np.zeros(1))
    with_tree = replace(block(vessel=False), arteries=arteries)
    along = []
    for seed in range(12):
        spec = nodule(d=d, attachment="vessel", min_distance_to_airway_mm=0.0)
        (placed,) = place(with_tree, [spec], rng=rng(seed))
        x, y, z = placed.centre_mm
        assert 0.25 * d <= np.hypot(y - 5.0, z - 5.0) - 1.2 <= 0.45 * d
        along.append(x)
    assert np.ptp(along) > 30
    with pytest.raises(PlacementError, match="at least 2 mm thick; the lungs have none"):
        thin = replace(arteries, start_radius_mm=0.5 * radius, end_radius_mm=0.5 * radius)
        place(replace(with_tree, arteries=thin), [spec], rng=rng(1))
    with pytest.raises(PlacementError, match="none of 400 places beside a vessel.*too near to the pleura"):
        place(with_tree, [spec.model_copy(update={"min_distance_to_pleura_mm": 90.0})], rng=rng(1))


def test_places_keep_away_from_the_ends_of_the_twin():
    full = block(vessel=False)
    # Lung up to the last slice: the end of the twin must count as a wall.
    open_ended = full.__class__(
        full.grid,
        np.where(full.structure == Structure.MUSCLE, Structure.RIGHT_UPPER_LOBE, full.structure).astype(np.uint16),
        full.material_a,
        full.material_b,
        full.fraction_b,
        full.density,
        full.materials,
    )
    for seed in range(6):
        (placed,) = place(open_ended, [nodule(d=20.0)], rng=rng(seed))
        reach = shape_of(placed).reach_mm()
        assert np.all(np.abs(placed.centre_mm) + reach <= np.array([80.0, 60.0, 60.0]))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"d": 40.0, "min_distance_to_pleura_mm": 40.0}, r"pleura.*gap of 40 mm.*need.*roomiest voxel has"),
        ({"min_distance_to_vessel_mm": 90.0}, r"vessels thicker than 2.0 mm"),
        ({"min_distance_to_airway_mm": 90.0}, r"airways"),
        ({"lobe": "RIGHT_MIDDLE_LOBE"}, r"RIGHT_MIDDLE_LOBE is not in this twin, which has RIGHT_UPPER_LOBE"),
        ({"centre_mm": (0.0, 0.0, 58.0)}, r"lies in MUSCLE"),
        ({"centre_mm": (0.0, 0.0, 580.0)}, r"outside the twin"),
    ],
)
def test_an_impossible_request_names_the_constraint(twin, fields, words):
    with pytest.raises(PlacementError, match=words):
        place(twin, [nodule(**fields)], rng=rng())


def test_a_full_lung_says_so():
    twin = block((24, 24, 24), 2.0, vessel=False)
    with pytest.raises(PlacementError, match="already placed"):
        place(twin, [nodule(f"n{i}", 5.0) for i in range(40)], rng=rng())


def test_a_large_nodule_finds_room_that_small_ones_before_it_would_take():
    twin = block((30, 30, 30), 2.0, vessel=False, lobes=False)
    round_ = {"elongation": 1.0, "flatness": 1.0, "sh_sd": 0.0}
    large = nodule("large", 28.0, **round_)
    crowded = 0
    for seed in range(8):
        specs = [nodule("a", 5.0, **round_), nodule("b", 5.0, **round_), large]
        placed = place(twin, specs, rng=rng(seed))
        assert [spec.id for spec in placed] == ["a", "b", "large"]
        for i, one in enumerate(placed):
            for other in placed[:i]:
                apart = np.linalg.norm(np.subtract(one.centre_mm, other.centre_mm))
                assert apart >= shape_of(one).reach_mm() + shape_of(other).reach_mm() + NODULE_GAP_MM
        # where the small ones would have gone by themselves, the large one may have no place
        alone = place(twin, specs[:2], rng=rng(seed))
        try:
            place(twin, [*alone, large], rng=rng(seed))
        except PlacementError:
            crowded += 1
    assert crowded > 0


def test_ids_and_places_must_differ(twin):
    with pytest.raises(PlacementError, match="differ"):
        place(twin, [nodule(), nodule()], rng=rng())
    at = (30.0, -25.0, 30.0)
    with pytest.raises(PlacementError, match="same centre_mm"):
        place(twin, [nodule("a", centre_mm=at), nodule("b", centre_mm=at)], rng=rng())


def test_only_branches_that_are_thick_enough_are_kept_clear():
    twin = block(vessel=False)
    lattice = range(-40, 41, 10)
    along = np.array([(y, z, 0.4) for y in lattice for z in lattice] + [(5.0, 5.0, 3.0)], np.float32)
    n, radius = len(along), along[:, 2]
    start, end = (np.column_stack((np.full(n, x, np.float32), along[:, :2])) for x in (-60, 60))
    arteries = Tree(start, end, radius, radius, np.full(n, -1), np.zeros(n), np.zeros(n))
    with_tree = replace(twin, arteries=arteries)
    near = []
    for seed in range(12):
        (placed,) = place(with_tree, [nodule(d=10.0)], rng=rng(seed))
        _, y, z = placed.centre_mm
        assert np.hypot(y - 5.0, z - 5.0) >= 3.0 + shape_of(placed).reach_mm() + 1.0 - 1.0  # half a thinned voxel
        near.append(min(np.hypot(y - a, z - b) for a in lattice for b in lattice))
    assert max(near) < 7.2  # the thin ones, 10 mm apart, hold nobody off: nothing is farther than 7.07 mm from one
    with pytest.raises(PlacementError, match="vessels thicker than 2.0 mm"):
        place(with_tree, [nodule(d=7.0, min_distance_to_vessel_mm=95.0)], rng=rng(1))


def test_an_oblong_body_finds_the_room_that_its_ball_would_not():
    # A slab of lung 24 mm thick: a body 31 mm long and 15 mm wide fits lying down, not standing up.
    twin = block((20, 60, 80), 2.0, vessel=False, lobes=False)
    shapes = {"elongation": 0.5, "flatness": 0.5, "sh_sd": 0.0, "min_distance_to_pleura_mm": 1.0}
    outcomes = []
    for key in range(12):
        spec = nodule(d=20.0, key=key, **shapes)
        body = shape_of(spec).body.surface_mm()
        try:
            (placed,) = place(twin, [spec], rng=rng(key))
        except PlacementError:
            outcomes.append(False)
            assert np.ptp(body[:, 2]) > 24 - 2 * (1 + 1 + 1)  # gap, face of a thinned voxel, rounding to one
            continue
        outcomes.append(True)
        z = body[:, 2] + placed.centre_mm[2]
        assert shape_of(spec).reach_mm() > 12
        assert np.abs(z).max() <= 11.0 + 1.0  # gap of 1 mm, and half a thinned voxel
    assert 0 < sum(outcomes) < 12


def surface_and_reach(spec):
    """Points of a drawn form about its place, and how far it reaches, spicules included."""
    shape = shape_of(sized(spec))
    reach = shape.reach_mm()
    if len(shape.spicules):
        reach = max(reach, float(np.linalg.norm(shape.spicules[:, 3:6], axis=1).max()))
    return shape.surface_mm()[::23], reach


def check_draws(twin, n_forms, n_draws):
    """Eight nodules of a cohort at a time, in four lobes: none leaves its own, none meets another, no place twice."""
    table = draw_table(np.random.default_rng(7), n_forms, cohort="uniform_log", diameter_mm=(3.0, 12.0))
    lobes = ["RIGHT_UPPER_LOBE", "RIGHT_LOWER_LOBE", "LEFT_UPPER_LOBE", "LEFT_LOWER_LOBE"]
    specs = [table.nodule(i, name=f"n{i}", fields={"lobe": lobes[i % 4]}) for i in range(n_forms)]
    forms = {spec.id: surface_and_reach(spec) for spec in specs}
    places = set()
    for k in range(n_draws // 8):
        placed = place(twin, [specs[(8 * k + i) % n_forms] for i in range(8)], rng=rng(k))
        for i, spec in enumerate(placed):
            surface, reach = forms[spec.id]
            index = np.rint(twin.grid.world_to_index(surface + np.asarray(spec.centre_mm))).astype(int)
            assert np.all(twin.structure[tuple(index.T)] == Structure[spec.lobe]), (k, spec.id)
            for other in placed[:i]:
                apart = np.linalg.norm(np.subtract(spec.centre_mm, other.centre_mm))
                assert apart > reach + forms[other.id][1]
        places |= {spec.centre_mm for spec in placed}
    assert len(places) == n_draws


def two_lungs():
    """The block with a wall between its lungs."""
    twin = block((70, 70, 90), 2.0, vessel=False)
    structure = twin.structure.copy()
    structure[:, :, 43:47] = Structure.MUSCLE
    return replace(twin, structure=structure)


def test_no_draw_leaves_its_lobe_or_meets_another():
    check_draws(two_lungs(), 16, 48)


@pytest.mark.slow
def test_none_of_10000_draws_leaves_its_lobe_or_meets_another():
    check_draws(two_lungs(), 400, 10_000)
