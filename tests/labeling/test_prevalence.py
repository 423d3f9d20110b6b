"""Three tools for prevalence: each reaches its target, and keeps what it says it keeps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling import resample, shift_to, size_mix


def expit(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


@given(st.lists(st.floats(-12, 8), min_size=1, max_size=40), st.floats(0.001, 0.999))
def test_a_shift_reaches_its_target(logits, target):
    found = shift_to(logits, target)
    assert found.after == pytest.approx(target, abs=1e-10)
    assert expit(np.array(logits) + found.delta).mean() == pytest.approx(target, abs=1e-10)
    assert found.before == pytest.approx(expit(logits).mean(), abs=1e-12)


def test_a_shift_of_one_nodule_is_a_difference_of_log_odds():
    assert shift_to([-3.0], 0.5).delta == pytest.approx(3.0, abs=1e-10)
    assert shift_to([-3.0, -np.inf], 0.25).delta == pytest.approx(3.0, abs=1e-10)  # the excluded one stays at 0
    assert shift_to([-3.0, 9.0], 0.5, weight=[1, 0]).delta == pytest.approx(3.0, abs=1e-10)


@pytest.mark.parametrize(
    ("logit", "target", "text"),
    [
        ([0.0, -np.inf], 0.5, "between 0 and 0.5"),
        ([0.0], 0.0, "between 0 and 1"),
        ([0.0], 1.0, "between 0 and 1"),
        ([np.nan], 0.5, "logit"),
        ([np.inf], 0.5, "logit"),
        ([], 0.5, "logit"),
        ([-1e6, 1e6], 0.3, "spans"),
    ],
)
def test_a_target_that_cannot_be_reached_is_refused(logit, target, text):
    with pytest.raises(ValueError, match=text):
        shift_to(logit, target)


def test_a_resample_meets_its_target_with_as_many_units_as_there_can_be():
    malignant = np.zeros(1000, bool)
    malignant[::25] = True  # 40 of 1000
    found = resample(malignant, 0.2, rng=np.random.default_rng(3))
    assert (found.n_malignant, found.n_benign) == (40, 160)
    assert malignant[found.index].mean() == found.after == 0.2
    assert found.before == 0.04
    assert len(set(found.index.tolist())) == 200
    assert np.average(malignant[found.index], weights=found.weight) == pytest.approx(found.before, abs=1e-12)
    few = resample(malignant, 0.01, rng=np.random.default_rng(3))
    assert (few.n_malignant, few.n_benign) == (10, 960)
    small = resample(malignant, 0.5, rng=np.random.default_rng(3), n=60)
    assert (small.n_malignant, small.n_benign) == (30, 30)


def test_a_resample_keeps_the_slope_and_moves_the_intercept_by_its_offset():
    # Prentice & Pyke 1979: choosing by outcome changes a logistic model in its constant alone.
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(8)
    x = rng.normal(size=200_000)
    malignant = rng.random(len(x)) < expit(-4 + 1.3 * x)
    found = resample(malignant, 0.5, rng=rng)
    fit = LogisticRegression(C=np.inf).fit(x[found.index, None], malignant[found.index])
    # about 8000 of each: standard errors 0.02 (slope) and 0.03 (constant); four of them
    assert fit.coef_[0, 0] == pytest.approx(1.3, abs=0.09)
    assert fit.intercept_[0] == pytest.approx(-4 + found.offset, abs=0.13)


def test_a_resample_says_what_is_missing():
    malignant = np.array([True, False, False, False])
    with pytest.raises(ValueError, match="2 malignant units are wanted, there are 1"):
        resample(malignant, 0.5, rng=np.random.default_rng(0), n=4)
    with pytest.raises(ValueError, match="both outcomes"):
        resample(np.zeros(5, bool), 0.5, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="target"):
        resample(malignant, 1.0, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="true or false"):
        resample([0.2, 0.4], 0.5, rng=np.random.default_rng(0))


def test_a_size_mix_has_the_shares_asked_for_and_keeps_what_is_inside_a_class():
    rng = np.random.default_rng(5)
    size = 3 + 27 * rng.random(20_000) ** 3  # most are small
    edges, shares = (3, 6, 8, 15, 30), (0.25, 0.25, 0.25, 0.25)
    found = size_mix(size, edges, shares, n=2001, rng=rng)
    counts = np.histogram(size[found.index], edges)[0]
    assert sorted(counts.tolist()) == [500, 500, 500, 501]
    assert len(set(found.index.tolist())) == 2001
    np.testing.assert_allclose(np.histogram(size, edges, weights=found.weight)[0] / len(size), shares, atol=1e-12)
    for low, high in pairwise(edges):
        source, chosen = (s[(s >= low) & (s < high)] for s in (size, size[found.index]))
        assert chosen.mean() == pytest.approx(source.mean(), abs=4 * source.std() / np.sqrt(500))


def test_a_size_mix_says_what_is_missing():
    with pytest.raises(ValueError, match="2 nodules of 10 to 30 mm are wanted, there are 1"):
        size_mix([4.0, 5.0, 12.0], (3, 10, 30), (0.0, 1.0), n=2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="no class"):
        size_mix([4.0, 40.0], (3, 10, 30), (0.5, 0.5), n=1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="sum to 1"):
        size_mix([4.0], (3, 10), (0.5,), n=1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="ascend"):
        size_mix([4.0], (10, 3), (1.0,), n=1, rng=np.random.default_rng(0))
