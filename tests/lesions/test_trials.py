"""Designs hold what they promise: every combination, equal numbers, every nodule in every twin."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from lesions import Nodule
from lesions.trials import equalised, factorial, twin_cross

LOBES = ("RIGHT_UPPER_LOBE", "RIGHT_MIDDLE_LOBE", "RIGHT_LOWER_LOBE", "LEFT_UPPER_LOBE", "LEFT_LOWER_LOBE")


def test_a_factorial_design_has_every_combination_and_pairs_share_their_form():
    factors = {"equivalent_diameter_mm": (4.0, 6.0, 8.0), "type": ("solid", "ground_glass"), "lobe": LOBES}
    cells = factorial(np.random.default_rng(1), factors, fixed={"margin": 5.0}, replicates=2)
    assert len(cells) == 30
    assert len({tuple(c.levels.values()) for c in cells}) == 30
    nodules = [n for c in cells for n in c.nodules]
    assert len({n.id for n in nodules}) == 60
    for cell in cells:
        assert [n.key for n in cell.nodules] == [n.key for n in cells[0].nodules]
        for nodule in cell.nodules:
            assert all(getattr(nodule, field) == level for field, level in cell.levels.items())
            assert nodule.margin == 5
    assert len({n.key for n in cells[0].nodules}) == 2
    free = factorial(np.random.default_rng(1), factors, same_keys=False)
    assert len({c.nodules[0].key for c in free}) == 30


def test_an_equalised_cohort_has_as_many_of_each_class():
    sizes = ((4.0, 6.0), (8.0, 12.0))
    table = equalised(np.random.default_rng(2), {"lobe": LOBES, "equivalent_diameter_mm": sizes}, 20)
    assert len(table) == 200
    small = table["equivalent_diameter_mm"] <= 6
    assert Counter(zip(table["lobe"].tolist(), small.tolist(), strict=True)) == {
        (lobe, s): 20 for lobe in LOBES for s in (True, False)
    }
    # within a class it is the cohort: larger ones are more often spiculated
    many = equalised(np.random.default_rng(3), {"equivalent_diameter_mm": sizes}, 1500)
    spiculated = many["spiculation"] >= 3
    assert spiculated[1500:].mean() > 2 * spiculated[:1500].mean()


@pytest.mark.parametrize("per_twin", [None, 1, 2, 3])
def test_twin_cross_puts_every_nodule_into_every_twin_once(per_twin):
    nodules = [Nodule(id=f"n{i}", key=i, equivalent_diameter_mm=6) for i in range(6)]
    cases = twin_cross(nodules, ["a", "b", "c"], per_twin=per_twin)
    count = Counter((twin, nodule.id) for twin, members in cases for nodule in members)
    assert count == {(twin, n.id): 1 for twin in "abc" for n in nodules}
    assert {len(members) for _, members in cases} == {per_twin or 6}


def test_no_two_nodules_always_share_a_scan():
    nodules = [Nodule(id=f"n{i}", key=i, equivalent_diameter_mm=6) for i in range(6)]
    cases = twin_cross(nodules, ["a", "b", "c"], per_twin=2)
    together = Counter(pair for _, members in cases for pair in combinations(sorted(n.id for n in members), 2))
    assert max(together.values()) == 1


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (lambda rng: factorial(rng, {"margin": ()}), "'margin' needs one or more different levels"),
        (lambda rng: factorial(rng, {"margin": (1, 1)}), "different levels"),
        (lambda rng: factorial(rng, {"margin": (1,)}, fixed={"margin": 2}), "fixed as well"),
        (lambda rng: factorial(rng, {"key": (1,)}), "cannot be a factor"),
        (lambda rng: factorial(rng, {"margin": (1,)}, replicates=0), "replicates"),
        (
            lambda rng: factorial(rng, {"type": ("solid",), "solid_core_ratio": (0.5,)}, fixed={"volume_mm3": 100.0}),
            "cell {'type': 'solid', 'solid_core_ratio': 0.5}",
        ),
        (lambda rng: equalised(rng, {"lobe": LOBES}, 0), "n_each"),
        (lambda _: twin_cross([], ["a"]), "nodule ids"),
        (lambda _: twin_cross([Nodule(id="n", key=1, volume_mm3=100.0)], ["a", "a"]), "twins must be"),
        (lambda _: twin_cross([Nodule(id="n", key=1, volume_mm3=100.0)], ["a"], per_twin=2), "per_twin"),
    ],
)
def test_a_design_that_cannot_be_is_refused(design, words):
    with pytest.raises(ValueError, match=words):
        design(np.random.default_rng(1))
