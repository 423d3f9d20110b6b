"""Splits: lineages stay whole whatever links them, shares and strata are met, chance is the seed's alone."""

from collections import Counter

import numpy as np
import pytest

from flows.exports.splits import SplitSpec, lineages, split, strata


def cohort(n_twins: int, *, scans: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    manifest, nodules = [], []
    for i in range(n_twins):
        malignant = rng.random() < 0.15
        for scan in range(scans):
            image = f"t{i:03d}_{scan}"
            label = "malignant" if malignant else "benign"
            row = {"image_id": image, "twin_id": f"t{i:03d}", "lineage_id": f"t{i:03d}", "twin_sha256": f"{i:x}"}
            manifest.append(row | {"participant_label": label, "sex": "male" if i % 3 else "female", "n_nodules": "1"})
            nodule = {"image_id": image, "mean_diameter_mm": f"{5 + 12 * (i % 7) / 6}", "label": label}
            nodules.append(nodule | {"type": ("solid", "part_solid")[i % 5 == 0], "kind": "nodule", "spec_key": str(i)})
    return manifest, nodules


@pytest.mark.parametrize("column", ["twin_id", "lineage_id", "twin_sha256", "twin_key", "original_sha256"])
def test_images_that_share_a_twin_or_a_host_are_one_lineage(column):
    rows = [{"image_id": name, "twin_id": name, column: value} for name, value in zip("abcd", "1121", strict=True)]
    assert lineages(rows, []) == {"a": "a", "b": "a", "c": "c", "d": "a"}


def test_a_lesion_ties_twins_together_and_ties_go_on():
    manifest = [{"image_id": name, "twin_id": twin} for name, twin in (("a", "1"), ("b", "2"), ("c", "2"), ("d", "3"))]
    nodules = [
        {"image_id": "a", "spec_key": "7"},
        {"image_id": "b", "spec_key": "7"},
        {"image_id": "d", "spec_key": ""},
    ]
    assert lineages(manifest, nodules) == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_no_lineage_is_parted_and_every_stratum_is_shared_out():
    manifest, nodules = cohort(200)
    spec = SplitSpec.parse("train=0.7,val=0.1,test=0.2")
    sides = split(manifest, nodules, spec)
    assert all(sides[f"t{i:03d}_0"] == sides[f"t{i:03d}_1"] for i in range(200))
    counts = strata(manifest, nodules)
    total, held = Counter(), {side: Counter() for side in spec.fractions}
    for image, side in sides.items():
        total.update(counts[image])
        held[side].update(counts[image])
    for name, n in total.items():
        for side, share in spec.fractions.items():
            # a lineage is two images: nothing can be nearer than that; four of them is much less than chance would give
            assert abs(held[side][name] - share * n) <= 8, (name, side)


def test_the_seed_and_not_the_order_of_rows_decides():
    manifest, nodules = cohort(40)
    spec = SplitSpec.parse("folds=5", seed=3)
    sides = split(manifest, nodules, spec)
    assert split(manifest[::-1], nodules[::-1], spec) == sides
    assert split(manifest, nodules, SplitSpec.parse("folds=5", seed=4)) != sides
    assert Counter(sides.values()) == {f"fold_{i}": 16 for i in range(5)}


def test_no_side_stays_empty_as_long_as_there_are_lineages():
    manifest, nodules = cohort(3)
    assert set(split(manifest, nodules, SplitSpec.parse("train=0.98,val=0.01,test=0.01")).values()) == {
        "train",
        "val",
        "test",
    }
    with pytest.raises(ValueError, match=r"2 lineages cannot be dealt to 3 sides"):
        split(*cohort(2), SplitSpec.parse("folds=3"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=0.8", "at least 2"),
        ("train=0.8,test=0.3", "sum to 1, got 1.1"),
        ("train=1.2,test=-0.2", "between 0 and 1"),
        ("half", "must read like"),
        ("folds=1", "whole number from 2 to 100"),
    ],
)
def test_a_split_that_cannot_be_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        SplitSpec.parse(text)
