"""The expected AUC of drawn labels: against all pairs counted one by one, against simulation, against reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling import any_malignant_probability, expected_auc, get


def counted(p, s) -> float:
    """The definition, pair by pair."""
    above = below = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if i != j:
                weight = p[i] * (1 - p[j])
                above += weight * (1.0 if s[i] > s[j] else 0.5 if s[i] == s[j] else 0.0)
                below += weight
    return above / below


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(-3, 3)), min_size=2, max_size=25),
)
def test_it_is_the_count_over_all_pairs_ties_included(nodules):
    p, s = [a for a, _ in nodules], [float(b) for _, b in nodules]
    assert expected_auc(p, s) == pytest.approx(counted(p, s), abs=1e-12)
    assert expected_auc(p) == pytest.approx(counted(p, p), abs=1e-12)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(-5, 5)), min_size=2, max_size=25))
def test_no_score_ranks_better_than_the_probability_itself(nodules):
    p, s = [a for a, _ in nodules], [b for _, b in nodules]
    assert expected_auc(p, s) <= expected_auc(p) + 1e-12


def test_a_reversed_score_gives_the_complement_and_a_constant_one_half():
    rng = np.random.default_rng(4)
    p = rng.random(50)
    assert expected_auc(p, -p) == pytest.approx(1 - expected_auc(p), abs=1e-12)
    assert expected_auc(p, np.zeros(50)) == pytest.approx(0.5, abs=1e-12)
    assert expected_auc(p, 3 * np.log(p) + 7) == expected_auc(p)  # ranks alone count


def test_certain_labels_are_told_without_error():
    assert expected_auc([0.0, 1.0, 0.0, 1.0]) == 1.0


def test_drawn_labels_give_it_on_average():
    # 512 solid nodules of 4-30 mm by Brock 2b: AUC of their own p 0.784 over redraws, SD 0.024 (our reference run of
    # another implementation). Here: the mean over 400 draws, known to 0.024 / 20.
    rng = np.random.default_rng(1)
    n = 512
    table = {
        "long_axis_mm": rng.uniform(4, 30, n),
        "age_y": rng.uniform(55, 74, n),
        "sex": rng.choice(["female", "male"], n),
        "family_history": rng.random(n) < 0.22,
        "emphysema": rng.random(n) < 0.3,
        "nodule_type": rng.choice(["solid", "part_solid", "nonsolid"], n, p=[0.8, 0.05, 0.15]),
        "upper_lobe": rng.random(n) < 0.55,
        "nodule_count": rng.integers(1, 6, n),
        "spiculation": rng.random(n) < 0.1,
    }
    p = get("brock-2b").probability(table)
    aucs = []
    for _ in range(400):
        malignant = rng.random(n) < p
        aucs.append(expected_auc(malignant.astype(float), p))  # certain labels: the ordinary AUC
    assert np.std(aucs) == pytest.approx(0.024, abs=0.006)
    # a mean of ratios is not quite the ratio of means: O(1/n)
    assert np.mean(aucs) == pytest.approx(expected_auc(p), abs=4 * np.std(aucs) / 20 + 1 / n)
    assert expected_auc(p) == pytest.approx(0.784, abs=0.03)
    assert expected_auc(p, table["long_axis_mm"]) < expected_auc(p)


def test_it_takes_a_million_nodules():
    rng = np.random.default_rng(2)
    p = rng.random(1_000_000)
    # p uniform, score p: E = int int p (1 - q) [p > q] / (1/2 * 1/2) = (1/3 - 1/8) / (1/4) = 5/6
    assert expected_auc(p) == pytest.approx(5 / 6, abs=2e-3)


def test_a_person_is_spared_only_if_every_nodule_is():
    people, p = any_malignant_probability([0.1, 0.2, 0.0, 1.0, 0.5], ["b", "b", "a", "c", "c"])
    assert people.tolist() == ["b", "a", "c"]
    np.testing.assert_allclose(p, [1 - 0.9 * 0.8, 0.0, 1.0], atol=1e-15)
    small = any_malignant_probability(np.full(1000, 1e-12), np.zeros(1000, int))[1][0]
    assert small == pytest.approx(1e-9, rel=1e-6)  # no digits lost


@pytest.mark.parametrize(
    ("p", "s", "text"),
    [
        ([0.5, 1.2], None, "item 1 is"),
        ([0.5, float("nan")], None, "item 1 is nan"),
        ([0.5, 0.5], [1.0], "shape"),
        ([0.5, 0.5], [1.0, float("nan")], "item 1"),
        ([0.0, 0.0], None, "no pair"),
        ([1.0, 1.0], None, "no pair"),
        ([0.5], None, "no pair"),
        ([], None, "one number per nodule"),
    ],
)
def test_what_has_no_auc_is_refused(p, s, text):
    with pytest.raises(ValueError, match=text):
        expected_auc(p, s)
