"""Drawn nodules are those of their cohort's tables: size, ratings, type, calcium, lobe, count, and how these go
together."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import ks_2samp, kstest, spearmanr

from lesions import draw
from lesions.cohorts import COHORTS, draw_counts, draw_table, load_cohort, read_table, resample
from lesions.cohorts.copula import RATINGS, load_copula

N = 10_000


@pytest.fixture(scope="module")
def tables():
    return {name: draw_table(np.random.default_rng(1), N, cohort=name) for name in COHORTS}


@pytest.fixture(scope="module")
def consensus_rows():
    """The LIDC-IDRI nodules marked by three or more readers, as numbers."""
    text = files("lesions.cohorts").joinpath("lidc_nodules.csv").read_text(encoding="utf-8")
    rows = [r for r in csv.DictReader(x for x in text.splitlines() if not x.startswith("#")) if int(r["n_readers"]) > 2]
    assert len(rows) == 1391
    return {name: np.array([float(r[name]) for r in rows]) for name in rows[0]}


def ks_of_counts(drawn, values, counts):
    """KS distance of drawn values to a table of counts."""
    wanted = np.cumsum(counts) / np.sum(counts)
    got = np.array([np.mean(np.asarray(drawn) <= v) for v in values])
    return np.abs(got - wanted).max()


# Readings 1-5 of 6859 annotations (LIDC-IDRI, summary of the annotation database).
READINGS = {
    "subtlety": (349, 625, 1446, 1897, 2542),
    "sphericity": (19, 583, 2096, 2316, 1845),
    "margin": (364, 620, 896, 2149, 2830),
    "lobulation": (4117, 1451, 714, 386, 191),
    "spiculation": (4620, 1200, 517, 269, 253),
    "texture": (480, 155, 381, 823, 5020),
    "malignancy": (1020, 1580, 2606, 962, 691),
}


@pytest.mark.parametrize("rating", RATINGS)
def test_lidc_ratings_are_those_of_the_readings(tables, rating):
    assert ks_of_counts(tables["lidc"][rating], (1, 2, 3, 4, 5), READINGS[rating]) <= 0.03


def test_lidc_sizes_are_those_of_the_quantiles(tables):
    copula = load_copula("readings")
    assert copula.diameter_mm[8] == 6.896  # median mean diameter of the readings

    def cdf(d):  # of the table cut to 3-30 mm equivalent, as nodules can be
        share = np.interp(np.log(1.094 * d), np.log(copula.diameter_mm), copula.quantiles_percent) / 100
        low, high = (np.interp(np.log(1.094 * e), np.log(copula.diameter_mm), copula.quantiles_percent) / 100
                     for e in (3.0, 30.0))  # fmt: skip
        return (share - low) / (high - low)

    assert kstest(tables["lidc"]["equivalent_diameter_mm"], cdf).statistic <= 0.03


def test_consensus_nodules_are_the_real_ones_in_size_and_ratings(tables, consensus_rows):
    drawn = tables["lidc_consensus"]
    assert ks_2samp(drawn["equivalent_diameter_mm"], consensus_rows["deq_mm"]).statistic <= 0.03
    for rating in RATINGS:
        values, counts = np.unique(consensus_rows[rating], return_counts=True)
        assert ks_of_counts(drawn[rating], values, counts) <= 0.03, rating


def test_consensus_nodules_have_the_rank_correlations_of_the_real_ones(tables, consensus_rows):
    names = (*RATINGS, "equivalent_diameter_mm")
    drawn = spearmanr(np.stack([tables["lidc_consensus"][n] for n in names], axis=1)).statistic
    real = spearmanr(np.stack([consensus_rows[n.replace("equivalent_diameter_mm", "deq_mm")] for n in names], axis=1))
    assert np.abs(drawn - real.statistic).max() <= 0.05
    # the published matrix itself: lobulation-spiculation, margin-texture, malignancy-spiculation
    for a, b, value in (("lobulation", "spiculation", 0.664), ("margin", "texture", 0.592),
                        ("malignancy", "spiculation", 0.545)):  # fmt: skip
        assert drawn[names.index(a), names.index(b)] == pytest.approx(value, abs=0.05)


@pytest.mark.parametrize("name", ["lidc", "lidc_consensus"])
def test_calcified_nodules_are_as_many_as_in_lidc_and_look_harmless(tables, name):
    drawn = tables[name]
    calcified = drawn["calcification"] < 6
    assert calcified.mean() == pytest.approx(0.123, abs=0.015)  # 842 of 6859 readings, 171 of 1391 nodules
    assert set(drawn["type"][calcified]) == {"solid"}
    assert np.mean(drawn["malignancy"][calcified] < 2) > 0.85
    assert np.mean(drawn["calcification"][calcified] == 3) == pytest.approx(0.85 if name == "lidc" else 0.906, abs=0.03)


def by_hand(name: str, n: int = 200_000):
    """The LIDC copula given the cohort's sizes, weighted to the shares it prescribes: another way to the same law.

    Returns diameters, ratings and weights.
    """
    cohort, copula = load_cohort(name), load_copula("readings")
    rng = np.random.default_rng(99)
    law = cohort.size
    grid = np.linspace(law.low_mm, law.high_mm, 20_001)
    cdf = np.concatenate(([0.0], np.cumsum(0.5 * (grid[1:] ** -law.exponent + grid[:-1] ** -law.exponent))))
    own = np.interp(rng.random(n), cdf / cdf[-1], grid)
    mean_mm = own * (1.094 if law.diameter == "equivalent" else 1.0)
    R = np.array(copula.correlation)
    last = len(R) - 1
    z = rng.multivariate_normal(np.zeros(len(R)), R, size=n)
    percent = np.interp(np.log(mean_mm), np.log(copula.diameter_mm), copula.quantiles_percent)
    table = np.linspace(-2.6, 2.6, 5001)
    z_size = np.interp(percent / 100, ndtr(table), table)
    z += (z_size - z[:, last])[:, None] * R[last]  # conditions on the size (Matheron)
    weight = np.ones(n)
    spiculation, texture = (copula.variables.index(v) for v in ("spiculation", "texture"))
    if cohort.spiculated is not None:
        rho, cut = R[spiculation, last], copula.thresholds["spiculation"][1]
        natural = 1 - ndtr((cut - rho * z_size) / np.sqrt(1 - rho**2))
        malignant, benign, bad = (s.at(mean_mm) for s in (cohort.spiculated.malignant, cohort.spiculated.benign,
                                                         cohort.malignant))  # fmt: skip
        wanted = bad * malignant + (1 - bad) * benign
        weight *= np.where(z[:, spiculation] > cut, wanted / natural, (1 - wanted) / (1 - natural))
    if cohort.types is not None:
        known = [last, spiculation]
        beta = np.linalg.solve(R[np.ix_(known, known)], R[known, texture])
        mean = z[:, known] @ beta
        sd = np.sqrt(1 - R[texture, known] @ beta)
        a, b = copula.thresholds["texture"][0], copula.thresholds["texture"][2]
        below_a, below_b = ndtr((a - mean) / sd), ndtr((b - mean) / sd)
        share = {k: v / sum(cohort.types.values()) for k, v in cohort.types.items()}
        weight *= np.select(
            [z[:, texture] < a, z[:, texture] < b],
            [share["ground_glass"] / below_a, share["part_solid"] / (below_b - below_a)],
            share["solid"] / (1 - below_b),
        )
    ratings = {
        r: 1 + np.searchsorted(copula.thresholds[r], z[:, copula.variables.index(r)]).astype(float) for r in RATINGS
    }
    return own / (1.094 if law.diameter == "mean" else 1.0), ratings, weight


@pytest.mark.parametrize("name", ["screening", "incidental_uk", "uniform_log"])
def test_ratings_given_size_are_those_of_lidc(tables, name):
    diameter, ratings, weight = by_hand(name)
    # weights stay bounded enough to know a share to 1 %
    assert weight.sum() ** 2 / (weight**2).sum() > 20_000
    pick = np.random.default_rng(5).choice(len(weight), 60_000, p=weight / weight.sum())
    drawn = tables[name]
    for rating in RATINGS:
        # distance of two step functions on 1-5
        steps = [np.array([np.mean(x <= v) for v in range(1, 6)]) for x in (drawn[rating], ratings[rating][pick])]
        assert np.abs(steps[0] - steps[1]).max() <= 0.03, rating
    assert ks_2samp(drawn["equivalent_diameter_mm"], diameter[pick]).statistic <= 0.03
    columns = [np.stack([drawn[r] for r in RATINGS] + [drawn["equivalent_diameter_mm"]], axis=1),
               np.stack([ratings[r][pick] for r in RATINGS] + [diameter[pick]], axis=1)]  # fmt: skip
    got, wanted = (spearmanr(c).statistic for c in columns)
    assert np.abs(got - wanted).max() <= 0.05


def test_lidc_readings_go_together_as_their_copula_says(tables):
    copula = load_copula("readings")
    z = np.random.default_rng(98).multivariate_normal(np.zeros(len(copula.variables)), copula.correlation, 60_000)
    cuts = {r: np.asarray(copula.thresholds[r]) for r in RATINGS}
    columns = [1.0 + np.searchsorted(cuts[r], z[:, copula.variables.index(r)]) for r in RATINGS]
    percent = 100 * ndtr(z[:, -1])
    diameter = np.exp(np.interp(percent, copula.quantiles_percent, np.log(copula.diameter_mm))) / 1.094
    kept = (diameter >= 3) & (diameter <= 30)
    wanted = spearmanr(np.stack([*columns, diameter], axis=1)[kept]).statistic
    drawn = tables["lidc"]
    got = spearmanr(np.stack([drawn[r] for r in (*RATINGS, "equivalent_diameter_mm")], axis=1)).statistic
    assert np.abs(got - wanted).max() <= 0.05
    assert wanted[RATINGS.index("lobulation"), RATINGS.index("spiculation")] > 0.4


def test_screening_sizes_are_nelsons(tables):
    volume = np.pi / 6 * tables["screening"]["equivalent_diameter_mm"] ** 3
    # of 8309 nodules 58.5 % were below 50 mm3 and 24.7 % within 50-500 mm3; those below 15 mm3 are hardly seen
    assert np.mean(volume > 50) / np.mean(volume > 15) == pytest.approx(24.7 / (58.5 + 24.7), abs=0.02)
    assert np.mean(tables["screening"]["type"] == "solid") == pytest.approx(88 / 96, abs=0.015)
    # 4 % of 89 NLST nodules were spiculated; not put in, it follows from the sizes
    assert np.mean(tables["screening"]["spiculation"] >= 3) == pytest.approx(0.04, abs=0.025)


def test_uk_nodules_are_counted_as_published(tables):
    drawn = tables["incidental_uk"]
    malignant, spiculated = drawn["malignant"] == 1, drawn["spiculation"] >= 3
    assert malignant.mean() == pytest.approx(224 / 999, abs=0.015)
    assert spiculated.mean() == pytest.approx(249 / 999, abs=0.015)
    assert spiculated[malignant].mean() == pytest.approx(0.62, abs=0.04)
    lobes = ("RIGHT_UPPER_LOBE", "RIGHT_MIDDLE_LOBE", "RIGHT_LOWER_LOBE", "LEFT_UPPER_LOBE", "LEFT_LOWER_LOBE")
    counted = {True: (80, 10, 29, 59, 46), False: (147, 121, 213, 128, 166)}
    for bad, counts in counted.items():
        shares = [np.mean(drawn["lobe"][malignant == bad] == lobe) for lobe in lobes]
        np.testing.assert_allclose(np.cumsum(shares), np.cumsum(counts) / np.sum(counts), atol=0.03)
    with_spicules = [np.mean(drawn["lobe"][spiculated] == lobe) for lobe in lobes]
    np.testing.assert_allclose(np.cumsum(with_spicules), np.cumsum((92, 17, 32, 75, 33)) / 249, atol=0.03)
    # mean diameters of 5-15 mm
    assert 5 / 1.094 <= drawn["equivalent_diameter_mm"].min() < drawn["equivalent_diameter_mm"].max() <= 15 / 1.094


def test_uniform_log_is_uniform(tables):
    drawn = tables["uniform_log"]
    assert kstest(np.log(drawn["equivalent_diameter_mm"] / 3) / np.log(10), "uniform").statistic <= 0.03
    for column, n in (("type", 3), ("lobe", 5)):
        np.testing.assert_allclose(np.unique(drawn[column], return_counts=True)[1] / N, 1 / n, atol=0.03)


@pytest.mark.parametrize(("name", "share_right"), [("lidc", 0.559), ("lidc_consensus", 0.542)])
def test_lidc_lobes_keep_the_side_and_go_up_with_spiculation(tables, name, share_right):
    drawn = tables[name]
    right = np.char.startswith(drawn["lobe"], "RIGHT")
    upper = np.char.find(drawn["lobe"], "UPPER") >= 0
    assert right.mean() == pytest.approx(share_right, abs=0.015)
    spiculated = drawn["spiculation"] >= 3
    assert upper[spiculated].mean() == pytest.approx(0.67, abs=0.04)  # 167 of 249 in the UK
    assert upper[~spiculated].mean() == pytest.approx(0.334, abs=0.04)


COUNTED = {
    "lidc": (135, 302, 209, 128, 75, 46, 38, 25, 23, 9, 9, 5, 4, 3, 1, 3, 1, 0, 0, 0, 0, 1, 0, 1),
    "lidc_consensus": (316, 362, 181, 76, 31, 27, 12, 5, 2, 5, 0, 0, 1),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_those_of_the_scans(name):
    drawn = draw_counts(np.random.default_rng(2), N, cohort=name)
    assert ks_of_counts(drawn, range(len(COUNTED[name])), COUNTED[name]) <= 0.03


def test_screening_counts_have_nelsons_mean_and_half_have_none():
    drawn = draw_counts(np.random.default_rng(2), 40_000, cohort="screening")
    assert drawn.mean() == pytest.approx(9681 / 7155, rel=0.03)
    assert np.mean(drawn == 0) == pytest.approx(0.48, abs=0.01)


def test_nodules_touch_what_their_class_does(tables):
    drawn = tables["screening"]
    touch, solid, spiculated = drawn["attachment"], drawn["type"] == "solid", drawn["spiculation"] >= 3
    small = drawn["equivalent_diameter_mm"] <= 12
    # Perifissural: about 20 % of NELSON's solid nodules; solid cancers keep a gap to the pleura in 90 % or more.
    plain = solid & ~spiculated & small
    for name, share in (("fissure", 0.20), ("pleura", 0.15), ("vessel", 0.15)):
        assert np.mean(touch[plain] == name) == pytest.approx(share, abs=0.015)
    assert np.mean(touch[spiculated] == "pleura") < 0.1
    assert not np.any(touch[~plain] == "fissure")
    assert set(touch[drawn["equivalent_diameter_mm"] > 20]) <= {"none"}
    assert set(tables["uniform_log"]["attachment"]) == {"none"}


def test_solid_tissue_has_its_hu_where_nothing_else_is_inside(tables):
    drawn = tables["lidc"]
    plain = (drawn["type"] == "solid") & (drawn["calcification"] == 6) & (drawn["internal_structure"] == 1)
    assert kstest(drawn["solid_hu"], "uniform", (-80, 130)).pvalue > 1e-4
    for i in range(200):
        nodule = drawn.nodule(i, name="a")
        assert nodule.solid_hu == (drawn["solid_hu"][i] if plain[i] else None)
    inside = drawn.nodule(int(np.flatnonzero(plain)[0]), name="a", fields={"necrosis_ratio": 0.5})
    assert inside.solid_hu is None


def test_conditions_draw_the_rest_given_them(tables):
    wanted = {"spiculation": (3, 5), "type": ["part_solid", "solid"], "lobe": "LEFT_LOWER_LOBE", "malignancy": 5}
    few = draw_table(np.random.default_rng(1), 300, conditions=wanted, diameter_mm=(8, 20))
    assert few["spiculation"].min() >= 3
    assert set(few["type"]) == {"part_solid", "solid"}
    assert set(few["lobe"]) == {"LEFT_LOWER_LOBE"}
    assert set(few["malignancy"]) == {5}
    assert 8 <= few["equivalent_diameter_mm"].min() < few["equivalent_diameter_mm"].max() <= 20
    # lobulation goes with spiculation, so it is not what it is without the condition
    assert few["lobulation"].mean() > tables["lidc"]["lobulation"].mean() + 0.5


def test_a_nodule_is_the_same_however_many_are_drawn():
    many = draw(np.random.default_rng(8), 50)
    assert draw(np.random.default_rng(8), 5) == many[:5]
    assert len({n.key for n in many}) == 50


def test_specs_say_what_was_drawn(tables):
    table = tables["lidc"].rows(np.arange(500))
    for i, nodule in enumerate(table.nodules()):
        for name in ("sphericity", "margin", "lobulation", "spiculation", "texture", "lobe", "type", "key"):
            assert getattr(nodule, name) == table[name][i]
        assert (nodule.calcification is None) == (table["calcification"][i] == 6)
    inner = draw_table(np.random.default_rng(5), 40, conditions={"internal_structure": [2, 3, 4], "type": "solid"})
    names = {2: "fluid", 3: "fat", 4: "air"}
    for i, nodule in enumerate(inner.nodules()):
        wanted = names[inner["internal_structure"][i]] if inner["calcification"][i] == 6 else None
        assert nodule.internal_structure == wanted


def test_specs_of_every_cohort_are_valid(tables):
    for name in COHORTS:
        specs = list(tables[name].rows(np.arange(300)).nodules())
        assert [s.target_diameter_mm for s in specs] == pytest.approx(tables[name]["equivalent_diameter_mm"][:300])


def test_drawing_real_rows_gives_real_nodules(consensus_rows):
    table = read_table()
    assert len(table) == 2653
    drawn = resample(table, np.random.default_rng(1), N)
    rows = table["equivalent_diameter_mm"]
    assert ks_2samp(drawn["equivalent_diameter_mm"], rows[(rows >= 3) & (rows <= 30)]).statistic <= 0.03
