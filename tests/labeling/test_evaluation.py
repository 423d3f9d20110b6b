"""Figures of evaluation are those worked out by hand, printed by others, or found by slow and obvious means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from labeling import evaluation
from labeling.evaluation import calibration, delong, evaluate
from labeling.evaluation.logistic import SeparationError, fit_logistic

# By hand, section by section, in the tests below.
Y = np.array([0, 1, 0, 1])
P = np.array([0.1, 0.4, 0.4, 0.8])


def cohort(n=20_000, seed=1, shift=0.0, stretch=1.0):
    """Probabilities, and outcomes whose true log odds are ``shift + stretch * logit p``."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-2.5, 1.2, n)
    return (rng.random(n) < expit(shift + stretch * x)).astype(int), expit(x)


def brute_delong(y, rows):
    events, others = rows[:, y == 1], rows[:, y == 0]
    wins = np.array([[[(a > b) + 0.5 * (a == b) for b in o] for a in e] for e, o in zip(events, others, strict=True)])
    v10, v01 = wins.mean(axis=2), wins.mean(axis=1)
    return wins.mean(axis=(1, 2)), np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


def test_four_records_worked_out_by_hand():
    found = evaluate(Y, P)
    # pairs: (.4, .1) won, (.4, .4) tied, (.8, .1) and (.8, .4) won
    assert found.auc.value == 3.5 / 4
    # from the top: .8 precision 1 at recall 1/2; .4 (both records) precision 2/3 at recall 1; step sum
    assert found.average_precision == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3, abs=1e-15)
    assert found.brier == pytest.approx((0.1**2 + 0.6**2 + 0.4**2 + 0.2**2) / 4, abs=1e-15)
    assert found.brier_skill == pytest.approx(1 - found.brier / 0.25, abs=1e-15)
    assert found.log_loss == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.6) + math.log(0.8)) / 4)
    assert found.observed_to_expected.value == pytest.approx(2 / 1.7, abs=1e-15)
    # residuals y - O/E p: -.117647, .529412, -.470588, .058824; SE(log) = sqrt(sum of squares 4/3) / 2
    error = math.sqrt((0.1176471**2 + 0.5294118**2 + 0.4705882**2 + 0.0588235**2) * 4 / 3) / 2
    assert found.observed_to_expected.high == pytest.approx(2 / 1.7 * math.exp(1.959964 * error), rel=1e-6)
    by_threshold = {b.threshold: b for b in found.decision}
    # at 10 % all four are acted on: 2/4 - 2/4 / 9
    assert by_threshold[0.10].model == pytest.approx(0.5 - 0.5 / 9, abs=1e-15)
    assert by_threshold[0.10].all == by_threshold[0.10].model
    assert by_threshold[0.10].specificity == 0
    assert (found.n, found.events, found.prevalence, found.n_clipped) == (4, 2, 0.5, 0)


def test_the_offset_makes_expected_events_the_observed_ones():
    y, p = cohort(n=400)
    a = calibration.offset(y.astype(bool), p).value
    assert expit(np.log(p / (1 - p)) + a).sum() == pytest.approx(y.sum(), abs=1e-8)
    assert calibration.offset(np.array([True, False]), np.array([0.2, 0.2])).value == pytest.approx(math.log(4))


def test_net_benefit_of_a_table_of_counts():
    # 1000 records, 100 events; 80 true and 180 false positives: sensitivity 80 %, specificity 80 %
    y = np.repeat([1, 1, 0, 0], [80, 20, 180, 720])
    p = np.repeat([0.3, 0.01, 0.3, 0.01], [80, 20, 180, 720])
    (found,) = evaluate(y, p, thresholds=(0.2,)).decision
    assert found.model == pytest.approx(0.080 - 0.180 * 0.25, abs=1e-15)
    assert found.all == pytest.approx(0.1 - 0.9 * 0.25, abs=1e-15)
    assert (found.sensitivity, found.specificity) == pytest.approx((0.8, 0.8))


def test_delong_of_the_109_images_of_hanley_and_mcneil():
    # J. A. Hanley, B. J. McNeil, Radiology 1982;143:29, table I: ratings 1-5 of 58 normal and 51 abnormal CT images.
    rating = np.arange(1, 6)
    scores = np.concatenate([np.repeat(rating, [33, 6, 6, 11, 2]), np.repeat(rating, [3, 2, 2, 11, 33])])
    y = np.repeat([0, 1], [58, 51])
    areas, covariance = delong(y, scores[None])
    assert areas[0] == pytest.approx(0.893, abs=5e-4)  # printed there
    # Stata prints for these data 0.8932, SE 0.0307, 95 % 0.83295 to 0.95339 (manual of roctab).
    assert math.sqrt(covariance[0, 0]) == pytest.approx(0.0307, abs=5e-5)
    found = evaluate(y, scores / 10).auc
    assert (found.low, found.high) == pytest.approx((0.83295, 0.95339), abs=5e-6)


# Albumin, total protein, K-G score (low is good), surgery of use: 43 women of DeLong, DeLong, Clarke-Pearson 1988.
OVARY = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def test_delong_of_the_data_of_delong():
    albumin, protein, kg, y = np.array(OVARY.split(), dtype=float).reshape(-1, 4).T
    areas, covariance = delong(y, np.stack([albumin, 10 - kg, protein]))
    # As printed by SAS for these data (SAS/STAT User's Guide, PROC LOGISTIC, comparing ROC curves).
    np.testing.assert_allclose(areas, [0.7366, 0.7258, 0.6478], atol=5e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), [0.0927, 0.1028, 0.1000], atol=5e-5)
    contrast = np.array([[1, -1, 0], [0, -1, 1]])
    gap = contrast @ areas
    np.testing.assert_allclose(gap, [0.0108, -0.0780], atol=5e-5)
    assert gap @ np.linalg.solve(contrast @ covariance @ contrast.T, gap) == pytest.approx(2.5340, abs=5e-5)


@pytest.mark.parametrize("seed", range(3))
def test_delong_is_the_sum_over_all_pairs(seed):
    rng = np.random.default_rng(seed)
    y = (rng.random(60) < 0.3).astype(int)
    rows = np.round(rng.normal(size=(3, 60)) + 0.8 * y, 1)  # rounding makes ties
    areas, covariance = delong(y, rows)
    slow_areas, slow_covariance = brute_delong(y, rows)
    np.testing.assert_allclose(areas, slow_areas, rtol=1e-13)
    np.testing.assert_allclose(covariance, slow_covariance, rtol=1e-11, atol=1e-16)


def test_delongs_variance_is_that_of_the_area_over_repetitions():
    areas, variances = [], []
    for seed in range(300):
        y, p = cohort(n=400, seed=seed)
        area, covariance = delong(y, p[None])
        areas.append(area[0])
        variances.append(covariance[0, 0])
    # SD of a variance from 300 draws is 8 %; three of them
    assert np.mean(variances) == pytest.approx(np.var(areas, ddof=1), rel=0.25)


def test_the_difference_of_two_areas_is_that_of_delong():
    rng = np.random.default_rng(4)
    y, p = cohort(n=500, seed=5)
    q = expit(np.log(p / (1 - p)) + rng.normal(0, 1.5, p.size))
    gap, p_value = evaluation.auc_difference(y, p, q)
    areas, covariance = brute_delong(y, np.stack([p, q]))
    error = math.sqrt(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    assert gap.value == pytest.approx(areas[0] - areas[1], abs=1e-12)
    assert gap.high - gap.value == pytest.approx(1.959964 * error, rel=1e-6)
    assert 0 < p_value < 0.05
    assert evaluation.auc_difference(y, p, p)[1] == 1.0


def test_records_of_one_participant_count_once():
    # Every record four times in its participant: the area stays, the records say no more than a quarter of them.
    y, p = cohort(n=600, seed=7)
    single = evaluate(y, p, np.arange(600), rng=np.random.default_rng(1), n_bootstrap=2000)
    y4, p4, person = np.repeat(y, 4), np.repeat(p, 4), np.repeat(np.arange(600), 4)
    found = evaluate(y4, p4, person, rng=np.random.default_rng(1), n_bootstrap=2000)
    assert found.n_groups == 600
    assert found.auc_grouped.value == pytest.approx(single.auc.value, abs=1e-12)
    naive, honest, one = (e.high - e.low for e in (found.auc, found.auc_grouped, single.auc))
    assert naive == pytest.approx(one / 2, rel=0.02)
    # SD of a bootstrap's quantile range from 2000 draws: about 4 %
    assert honest == pytest.approx(one, rel=0.12)
    for name in ("offset", "observed_to_expected"):
        wide, narrow = getattr(found, name), getattr(single, name)
        assert wide.value == pytest.approx(narrow.value, abs=1e-9)
        assert wide.high - wide.low == pytest.approx(narrow.high - narrow.low, rel=1e-6)


def test_ties_count_one_half_in_the_bootstrap_too():
    person = np.array([1, 1, 2, 2])
    found = evaluate(Y, P, person, rng=np.random.default_rng(1), n_bootstrap=500).auc_grouped
    # person 1 alone: 1 pair won; person 2 alone: (.8, .4) won; both: 3.5 of 4
    assert (found.low, found.value, found.high) == (3.5 / 4, 3.5 / 4, 1.0)


def test_the_sandwich_is_the_sum_over_participants():
    y, p = cohort(n=90, seed=3)
    codes = np.arange(90) // 3
    x = np.column_stack([np.ones(90), np.log(p / (1 - p))])
    beta, covariance = fit_logistic(x, y.astype(bool), codes=codes)
    q = expit(x @ beta)
    bread = np.linalg.inv(sum(w * np.outer(row, row) for w, row in zip(q * (1 - q), x, strict=True)))
    meat = sum(np.outer(s, s) for s in (((y - q)[codes == g, None] * x[codes == g]).sum(axis=0) for g in range(30)))
    np.testing.assert_allclose(covariance, bread @ meat @ bread * 30 / 29, rtol=1e-7)


def test_the_bootstrap_follows_its_generator_and_no_order_of_names():
    y, p = cohort(n=300, seed=8)
    person = np.array([f"p{i // 3:03d}" for i in range(300)])
    first, again = (evaluate(y, p, person, rng=np.random.default_rng(3), n_bootstrap=200) for _ in range(2))
    assert first.auc_grouped == again.auc_grouped
    order = np.random.default_rng(9).permutation(300)
    moved = evaluate(y[order], p[order], person[order], rng=np.random.default_rng(3), n_bootstrap=200)
    assert moved.auc_grouped.low == pytest.approx(first.auc_grouped.low, abs=1e-12)


@pytest.mark.parametrize(("shift", "stretch"), [(0.0, 1.0), (0.7, 1.0), (0.0, 0.6), (-0.4, 1.3)])
def test_what_is_miscalibrated_by_a_known_amount_is_found_so(shift, stretch):
    y, p = cohort(shift=shift, stretch=stretch)
    found = evaluate(y, p)
    slope = found.slope
    sd = (slope.high - slope.low) / 3.92
    assert abs(slope.value - stretch) < 4 * sd
    truth = expit(shift + stretch * np.log(p / (1 - p)))
    # The smooth curve of 20,000 records lies within 0.01 of the truth on average; so does ICI.
    assert found.smooth.ici == pytest.approx(np.mean(np.abs(truth - p)), abs=0.01)
    assert found.smooth.e50 <= found.smooth.e90 <= found.smooth.emax
    if stretch == 1.0:
        sd = (found.offset.high - found.offset.low) / 3.92
        assert abs(found.offset.value - shift) < 4 * sd


def test_intervals_of_offset_slope_and_ratio_cover_in_95_of_100():
    inside = np.zeros(3)
    for seed in range(400):
        y, p = cohort(n=500, seed=1000 + seed)
        truth = y.astype(bool)
        for i, (estimate, value) in enumerate(
            [
                (calibration.offset(truth, p), 0.0),
                (calibration.slope(truth, p), 1.0),
                (calibration.observed_to_expected(truth, p), 1.0),
            ]
        ):
            inside[i] += estimate.low <= value <= estimate.high
    # binomial SD of 400 draws at 95 %: 1.1 %
    assert np.all(np.abs(inside / 400 - 0.95) < 0.035)


def test_the_spline_is_linear_beyond_its_outer_knots_and_smooth_at_them():
    knots = np.array([-1.0, -0.2, 0.3, 1.0])
    for side in (-1, 1):
        x = side * np.linspace(1.0, 3.0, 9)
        np.testing.assert_allclose(np.diff(calibration._spline(x, knots), n=2, axis=0), 0, atol=1e-9)
    h = 1e-4
    for knot in knots:
        left = calibration._spline(knot - h * np.arange(2, -1, -1), knots)
        right = calibration._spline(knot + h * np.arange(3), knots)
        jump = (np.diff(left, n=2, axis=0) - np.diff(right, n=2, axis=0)) / h**2
        np.testing.assert_allclose(jump, 0, atol=0.02)


def test_few_events_withhold_slope_and_smooth_curve_and_say_why():
    y, p = cohort(n=1000, seed=2)
    assert 0 < y.sum() < evaluation.MINIMUM_EVENTS + 50
    keep = np.concatenate([np.flatnonzero(y)[:99], np.flatnonzero(y == 0)])
    found = evaluate(y[keep], p[keep])
    assert found.slope is None
    assert found.smooth is None
    assert found.withheld == dict.fromkeys(("slope", "smooth"), "needs 100 records of either outcome, got 99")
    assert found.offset is not None
    keep = np.concatenate([np.flatnonzero(y)[:100], np.flatnonzero(y == 0)])
    assert evaluate(y[keep], p[keep]).withheld == {}


def test_separated_outcomes_have_no_slope():
    y, p = np.repeat([0, 1], 150), np.linspace(0.01, 0.99, 300)
    found = evaluate(y, p)
    assert found.auc.value == 1
    assert found.slope is None
    assert "separate" in found.withheld["slope"]
    with pytest.raises(SeparationError):
        fit_logistic(np.column_stack([np.ones(4), np.arange(4.0)]), np.array([False, False, True, True]))


def test_certain_probabilities_are_clipped_and_counted():
    y, p = np.array([0, 1, 1, 0]), np.array([0.0, 1.0, 0.0, 0.5])
    found = evaluate(y, p)
    assert found.n_clipped == 3
    assert found.log_loss == pytest.approx((-2 * math.log1p(-1e-12) - math.log(1e-12) + math.log(2)) / 4, rel=1e-9)


def test_too_few_different_probabilities_have_no_smooth_curve():
    rng = np.random.default_rng(3)
    found = evaluate((rng.random(1000) < 0.3).astype(int), np.repeat([0.2, 0.4], 500))
    assert found.smooth is None
    assert "too few different values" in found.withheld["smooth"]
    assert [b.n for b in found.bins] == [500, 500]


def test_bins_hold_all_records_once_and_equal_probabilities_together():
    y, p = cohort(n=1003)
    found = calibration.bins(y.astype(bool), np.round(p, 2))
    assert sum(b.n for b in found) == 1003
    assert sum(b.events for b in found) == y.sum()
    means = [b.mean_probability for b in found]
    assert means == sorted(means)
    assert all(b.low <= b.observed <= b.high for b in found)
    # Wilson's interval of 0 of 10 reaches to 0.2775 (Newcombe, Stat Med 1998;17:857, formula 3)
    assert calibration._wilson(0, 10)[1] == pytest.approx(0.2775, abs=5e-5)


@pytest.mark.parametrize(
    ("y", "p", "groups", "said"),
    [
        ([0, 1, 2], [0.1, 0.2, 0.3], None, "y must be 0 or 1, got .*2.* at position 2"),
        ([0, 1], [0.1, 1.2], None, "p must be 0 to 1, got 1.2 at position 1"),
        ([0, 1], [0.1, float("nan")], None, "p must be 0 to 1, got nan at position 1"),
        ([0, 1], [0.1], None, "one length"),
        ([0, 0], [0.1, 0.2], None, "both outcomes, got 0 events among 2"),
        (["a", "b"], [0.1, 0.2], None, "booleans"),
        ([0, 1], [0.1, 0.2], [1], "one value per outcome"),
        ([0, 1], [0.1, 0.2], [1.0, float("nan")], "missing at position 1"),
        ([0, 1], [0.1, 0.2], ["a", "a"], "at least two"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(y, p, groups, said):
    with pytest.raises(ValueError, match=said):
        evaluate(y, p, groups, rng=np.random.default_rng(1))


def test_groups_without_a_generator_are_refused():
    with pytest.raises(ValueError, match="rng"):
        evaluate(Y, P, [1, 1, 2, 2])


def test_too_few_draws_with_both_outcomes_give_no_interval_but_a_reason():
    found = evaluate(Y, P, [1, 1, 2, 2], rng=np.random.default_rng(1))
    assert found.auc_grouped is not None  # each participant has both outcomes
    found = evaluate(Y, P, [1, 2, 1, 2], rng=np.random.default_rng(1))
    assert found.auc_grouped is None
    assert "lack one of the outcomes" in found.withheld["auc_grouped"]


@pytest.mark.parametrize("plot", [evaluation.plot_roc, evaluation.plot_calibration, evaluation.plot_decision])
def test_pictures_are_written_where_asked_and_nowhere_else(plot, tmp_path):
    from matplotlib.image import imread

    y, p = cohort(n=2000)
    assert plot(y, p, tmp_path / "a.png") == tmp_path / "a.png"
    image = imread(tmp_path / "a.png")
    assert image.shape[0] > 400
    assert image[..., :3].min() < 0.2  # ink
    assert [f.name for f in tmp_path.iterdir()] == ["a.png"]
    first = (tmp_path / "a.png").read_bytes()
    plot(y, p, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == first
