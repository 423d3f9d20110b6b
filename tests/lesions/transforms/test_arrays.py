"""Lesions into arrays: exact volumes and contrasts, places that keep clear, labels and boxes where they are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from lesions import PlacementError
from lesions.transforms import Insertion, Labels, inserted
from lesions.transforms.patch import insert_lesions
from lesions.transforms.spec import COUNTS, RADIUS_MM, draw_lesions
from twins import Grid

from .phantoms import ZYX, affine, organ_patch
from .test_frame import signed_orders

LIVER = {"sizes": "tiny", "n_lesions": (1, 1), "contrast_hu": (-60.0, -60.0)}
PLAIN = {**LIVER, "texture_share": 0.0}


def put(what, *, key=3, label=True, labels=None, lattice=None, **patch):
    image, organ = organ_patch(**{"level": 60.0, "outside": -100.0, **patch})
    there = np.zeros(image.shape, np.uint8) if label is True else label
    lattice = affine(direction=ZYX) if lattice is None else lattice
    said = None if labels is None else Labels(**labels)
    return image, organ, inserted(image, organ, there, lattice, Insertion(**what), key=key, labels=said)


def test_the_sum_of_the_change_is_volume_times_contrast():
    image, _, done = put({**PLAIN, "clearance_mm": 4.0}, noise=0.0)
    (lesion,) = json.loads(done.record)["lesions"]
    change = (done.image - image).sum(dtype=float) * 0.8**3
    assert change == pytest.approx(-60 * lesion["volume_mm3"], rel=3e-3)
    assert (done.image - image).min() == pytest.approx(-60, abs=2)


def test_noise_and_texture_of_the_organ_stay():
    image, _, done = put(PLAIN, noise=15.0)
    clean, _, expected = put(PLAIN, noise=0.0)
    change, predicted = done.image - image, expected.image - clean
    assert (
        json.loads(done.record)["lesions"][0]["centre_index"]
        == json.loads(expected.record)["lesions"][0]["centre_index"]
    )
    assert predicted.min() < -55
    # What noise there is is not smoothed away: the change is the clean one to a few HU of 60.
    assert np.sqrt(((change - predicted)[predicted < -5] ** 2).mean()) < 3


@pytest.mark.parametrize("contrast", [(-75.0, -30.0), (30.0, 80.0)])
def test_lesions_are_darker_or_brighter_as_asked(contrast):
    for key in range(4):
        image, _, done = put({**LIVER, "contrast_hu": contrast}, key=key, noise=5.0)
        (lesion,) = json.loads(done.record)["lesions"]
        assert contrast[0] <= lesion["contrast_hu"] <= contrast[1]
        mean = (done.image - image)[done.label == 1].mean()
        assert 0.5 * lesion["contrast_hu"] == pytest.approx(mean, abs=0.5 * abs(lesion["contrast_hu"]))
        assert np.sign(mean) == np.sign(contrast[0])


def test_a_nodule_in_lung_reads_soft_tissue():
    what = {"sizes": "small", "n_lesions": (1, 1), "fields": {"type": "solid", "texture_sd_hu": 0.0, "margin_mm": 0.3}}
    _, _, done = put(what, level=-850.0, outside=40.0, noise=10.0)
    inside = distance_transform_edt(done.label == 1) > 4
    assert inside.sum() > 200
    assert done.image[inside].mean() == pytest.approx(40, abs=5)
    assert json.loads(done.record)["lesions"][0]["level_hu"] == pytest.approx(-850, abs=3)


def test_the_same_key_gives_the_same_and_another_another():
    image, organ, one = put(LIVER)
    before = image.copy()
    again = inserted(image, organ, np.zeros(image.shape, np.uint8), affine(direction=ZYX), Insertion(**LIVER), key=3)
    other = inserted(image, organ, np.zeros(image.shape, np.uint8), affine(direction=ZYX), Insertion(**LIVER), key=4)
    np.testing.assert_array_equal(one.image, again.image)
    assert one.record == again.record
    assert not np.array_equal(one.label, other.label)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("direction", list(signed_orders())[::7])
def test_the_order_and_direction_of_axes_change_nothing(direction):
    what = Insertion(**{**LIVER, "sizes": "small", "n_lesions": (2, 2)}, allow_missing=True)
    image, organ = organ_patch(56, level=60.0, outside=-100.0)
    image, organ = image[:50], organ[:50]
    lattice = affine((1.2, 0.8, 0.9), direction=ZYX)
    one = inserted(image, organ, np.zeros(image.shape, np.uint8), lattice, what, key=5)
    # The same patch as an array with other axes: axis a of it is axis order[a] of the first, reversed where signs say.
    order = [int(np.argmax(abs(ZYX.T @ direction[:, a]))) for a in range(3)]
    signs = [float(direction[:, a] @ ZYX[:, order[a]]) for a in range(3)]
    flips = tuple(slice(None, None, int(s)) for s in signs)
    turned = np.eye(4)
    turned[:3, :3] = np.stack([lattice[:3, order[a]] * signs[a] for a in range(3)], axis=1)
    first = np.zeros(3)
    for a in range(3):
        first[order[a]] = image.shape[order[a]] - 1 if signs[a] < 0 else 0
    turned[:3, 3] = lattice[:3, :3] @ first

    def other(array):
        return np.ascontiguousarray(array.transpose(order)[flips])

    two = inserted(other(image), other(organ), other(np.zeros(image.shape, np.uint8)), turned, what, key=5)
    np.testing.assert_array_equal(two.image, other(one.image))
    np.testing.assert_array_equal(two.label, other(one.label))
    for a, b in zip(json.loads(one.record)["lesions"], json.loads(two.record)["lesions"], strict=True):
        np.testing.assert_allclose(a["centre_lps_mm"], b["centre_lps_mm"], atol=1e-9)
        assert b["box"] == boxed(two.label == b["value"]) or len(two.boxes) > 1


def boxed(mask):
    filled = np.argwhere(mask)
    return [*map(float, filled.min(axis=0)), *map(float, filled.max(axis=0) + 1)]


def test_millimetres_are_millimetres_on_any_voxels():
    what = Insertion(**{**PLAIN, "fields": {"margin_mm": 0.3}})
    volumes = []
    for spacing, shape in (((0.8, 0.8, 0.8), (64, 64, 64)), ((2.5, 0.7, 0.7), (22, 72, 72))):
        grid = Grid(shape, spacing)
        image = np.full(shape, 60.0, np.float32)
        rng = np.random.Generator(np.random.Philox(key=1))
        (lesion,) = insert_lesions(image, grid, np.ones(shape, bool), what, rng=rng).lesions
        volumes.append(lesion.volume_mm3)
        share = lesion.occupancy.sum(dtype=float) * grid.voxel_volume_mm3
        assert share == pytest.approx(lesion.volume_mm3, rel=1e-3)
        assert lesion.mask.sum() * grid.voxel_volume_mm3 == pytest.approx(lesion.volume_mm3, rel=0.1)
    assert volumes[0] == volumes[1]


def test_an_oblique_patch_gets_lesions_of_the_same_size():
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    _, _, done = put(PLAIN, lattice=affine((0.8, 0.8, 0.8), (5, 6, 7), turn @ ZYX))
    (lesion,) = json.loads(done.record)["lesions"]
    assert (done.label == 1).sum() * 0.8**3 == pytest.approx(lesion["volume_mm3"], rel=0.1)
    at = affine((0.8, 0.8, 0.8), (5, 6, 7), turn @ ZYX) @ [*lesion["centre_index"], 1]
    np.testing.assert_allclose(lesion["centre_lps_mm"], at[:3], atol=1e-6)
    np.testing.assert_allclose(np.argwhere(done.label == 1).mean(axis=0), lesion["centre_index"], atol=0.5)


def test_lesions_keep_clear_of_the_organs_end_and_of_each_other():
    what = {**LIVER, "n_lesions": (4, 4), "clearance_mm": 3.0, "gap_mm": 4.0, "allow_missing": True}
    for key in range(3):
        _, organ, done = put(what, key=key, labels={"instances": True, "new": 2})
        assert len(done.values) >= 2
        depth = distance_transform_edt(organ, sampling=0.8)
        assert depth[done.label > 0].min() > 3.0 - 0.8
        for value in done.values:
            away = distance_transform_edt(done.label != value, sampling=0.8)
            others = (done.label > 0) & (done.label != value)
            assert away[others].min() >= 4.0 - 0.8


def test_labels_are_values_of_ones_own_and_boxes_bound_them():
    what = {**LIVER, "n_lesions": (3, 3)}
    _, _, semantic = put(what, labels={"new": 7})
    assert set(np.unique(semantic.label)) == {0, 7}
    _, _, done = put(what, labels={"new": 5, "instances": True})
    assert done.values.tolist() == [5, 6, 7]
    for value, box in zip(done.values, done.boxes, strict=True):
        assert box.tolist() == boxed(done.label == value)
    np.testing.assert_array_equal(semantic.label > 0, done.label > 0)


def test_what_was_there_before_stays():
    image, organ = organ_patch(level=60.0, outside=-100.0)
    label = np.zeros(image.shape, np.uint8)
    label[organ] = 1
    label[20:44, 20:44, 20:36] = 2
    what = Insertion(**LIVER)
    for key in range(4):
        done = inserted(
            image, label, label, affine(direction=ZYX), what, key=key, labels=Labels(organ=(1, 2), new=3, there=(2,))
        )
        np.testing.assert_array_equal(done.label == 2, label == 2)
        assert (done.label == 3).any()
    more = inserted(image, organ, label, affine(direction=ZYX), what, key=0, labels=Labels(new=2, instances=True))
    assert more.values.tolist() == [3]
    np.testing.assert_array_equal(more.label == 2, label == 2)


def test_integers_stay_integers():
    image, _, done = put(LIVER, dtype=np.int16)
    assert done.image.dtype == np.int16
    assert (done.image != image).any()


def test_a_lesion_without_room_is_named_or_left_out():
    what = {**LIVER, "sizes": "large"}
    with pytest.raises(PlacementError, match=r"lesion-1 of \d+\.\d mm.*end of the (organ|patch)"):
        put(what)
    image, _, done = put({**what, "allow_missing": True})
    np.testing.assert_array_equal(done.image, image)
    record = json.loads(done.record)
    assert record["lesions"] == []
    assert "no room in the organ" in record["missing"][0]
    assert done.boxes.shape == (0, 6)
    with pytest.raises(PlacementError, match="mask is empty"):
        inserted(image, np.zeros(image.shape, bool), None, affine(), Insertion(**LIVER), key=1)


def test_the_only_place_with_room_is_found():
    # A thin sheet, where most of the organ lies, and one ball that the lesion just fits into.
    shape = (64, 96, 96)
    organ = np.zeros(shape, bool)
    organ[30:34] = True
    z, y, x = np.ogrid[:64, :96, :96]
    organ |= (z - 32) ** 2 + (y - 20) ** 2 + (x - 70) ** 2 < 12**2
    image = np.full(shape, 60.0, np.float32)
    what = Insertion(**{**PLAIN, "fields": {"sh_sd": 0.0, "elongation": 1.0, "flatness": 1.0}})
    rng = np.random.Generator(np.random.Philox(key=2))
    (lesion,) = insert_lesions(image, Grid(shape, (0.5, 0.5, 0.5)), organ, what, rng=rng).lesions
    assert np.linalg.norm(lesion.index - [32, 20, 70]) < 4


def test_nodules_keep_off_vessels():
    image, organ = organ_patch(72, level=-850.0, outside=40.0, noise=20.0)
    image[:, 40:, ::4] = -100.0  # a quarter of that side
    on = []
    for key in range(8):
        what = Insertion(sizes="tiny", n_lesions=(1, 1), max_vessel_share=0.02)
        done = inserted(image, organ, np.zeros(image.shape, np.uint8), affine(direction=ZYX), what, key=key)
        on.append((image[done.label == 1] > -500).mean())
    assert max(on) < 0.06
    # The side with vessels would be as good a place otherwise.
    drawn = [
        inserted(
            image, organ, None, affine(direction=ZYX), what.model_copy(update={"max_vessel_share": 1.0}), key=key
        ).boxes[0, 1]
        for key in range(8)
    ]
    assert max(drawn) > 42


@pytest.mark.parametrize("name", list(RADIUS_MM))
def test_presets_are_the_published_radii_in_millimetres(name):
    rng = np.random.default_rng(1)
    counts, diameters = [], []
    for _ in range(25):
        drawn = draw_lesions(Insertion(sizes=name), rng)
        counts.append(len(drawn))
        diameters += [one.nodule.equivalent_diameter_mm for one in drawn]
    low, high = COUNTS[name]
    assert min(counts) >= low
    assert max(counts) <= high
    assert 1.5 * RADIUS_MM[name] <= min(diameters)
    assert max(diameters) <= 2.5 * RADIUS_MM[name]
    assert np.mean(diameters) == pytest.approx(2 * RADIUS_MM[name], rel=0.08)


def test_a_mix_has_all_sizes_and_comes_largest_first():
    drawn = draw_lesions(Insertion(sizes="mix", contrast_hu=(-60, -20)), np.random.default_rng(2))
    diameters = [one.nodule.equivalent_diameter_mm for one in drawn]
    assert diameters == sorted(diameters, reverse=True)
    assert 11 <= len(diameters) <= 28
    assert diameters[0] > 45
    assert diameters[-1] < 11
    assert {one.nodule.type for one in drawn} == {"solid"}


def test_cohorts_have_their_sizes_and_types():
    drawn = draw_lesions(Insertion(sizes="screening", n_lesions=(60, 60), diameter_mm=(4, 9)), np.random.default_rng(1))
    assert len(drawn) == 60
    assert all(4 <= one.nodule.equivalent_diameter_mm <= 9 for one in drawn)
    assert len({one.nodule.type for one in drawn}) > 1


def test_fixed_fields_win():
    what = Insertion(sizes="tiny", fields={"type": "ground_glass", "ground_glass_fraction": 0.4})
    for one in draw_lesions(what, np.random.default_rng(1)):
        assert one.nodule.type == "ground_glass"
        assert one.nodule.ground_glass_fraction == 0.4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sizes": "huge"}, "sizes"),
        ({"n_lesions": (3, 2)}, "n_lesions must be a range"),
        ({"diameter_mm": (2, 9)}, "diameter_mm must be a range"),
        ({"contrast_hu": (-20, 20)}, "below or above 0"),
        ({"contrast_hu": (-600, -20)}, "within -500 to 1000"),
        ({"fields": {"centre_mm": (0, 0, 0)}}, "must not hold centre_mm"),
        ({"fields": {"kind": "pleural_plaque"}}, "lies on a vessel, pleura or fissure"),
        ({"fields": {"colour": "red"}}, "colour"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Insertion(**fields)


def test_arrays_that_do_not_suit_are_refused():
    image, organ = organ_patch(32, level=60.0)
    label = np.zeros(image.shape, np.uint8)
    what = Insertion(**LIVER)
    with pytest.raises(ValueError, match="organ must have the image's shape"):
        inserted(image, organ[1:], label, affine(), what, key=1)
    with pytest.raises(ValueError, match="cannot hold the value 300"):
        inserted(image, organ, label, affine(), what, key=1, labels=Labels(new=300))
    with pytest.raises(ValueError, match="new must not be 0"):
        Labels(new=0)
    with pytest.raises(ValueError, match="lung reads -990 to -300 HU"):
        inserted(image, organ, label, affine(), Insertion(sizes="tiny", n_lesions=(1, 1)), key=1)
    with pytest.raises(ValueError, match="which are no HU"):
        inserted((image + 200) / 1000, organ, label, affine(), what, key=1)
