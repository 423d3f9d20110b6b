"""Emulated readers err like those of LIDC-IDRI: who marks, how they rate, how far their outlines differ."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from lesions import Nodule, insert
from lesions.cohorts import draw_table, read_table
from lesions.cohorts.copula import RATINGS
from lesions.descriptors import describe
from lesions.readers import ReaderModel, detection_probability, rate, read
from twins import Grid

from .synthetic_thorax import block
from .test_cohort import READINGS, ks_of_counts

# share of pairs of readers that agree exactly, and within one step (7308 pairs)
AGREED = {
    "subtlety": (0.401, 0.796),
    "sphericity": (0.355, 0.814),
    "margin": (0.408, 0.815),
    "lobulation": (0.476, 0.809),
    "spiculation": (0.555, 0.849),
    "texture": (0.694, 0.901),
    "malignancy": (0.385, 0.784),
}


@pytest.fixture(scope="module")
def rated():
    """Two readers' ratings of 4000 nodules, whose own ratings are those of the cohort."""
    table = draw_table(np.random.default_rng(1), 4000, cohort="lidc")
    rng = np.random.default_rng(2)
    both = [
        rate(
            {r: float(table[r][i]) for r in RATINGS}, rng, 2, equivalent_diameter_mm=table["equivalent_diameter_mm"][i]
        )
        for i, d in enumerate(table["equivalent_diameter_mm"])
    ]
    return {r: np.array([b[r] for b in both]) for r in RATINGS}


@pytest.mark.parametrize("rating", RATINGS)
def test_readers_agree_as_often_as_real_ones_and_use_the_scale_as_they_do(rated, rating):
    first, second = rated[rating].T
    exact, near = AGREED[rating]
    assert np.mean(first == second) == pytest.approx(exact, abs=0.03)
    # not put in; it follows from the latent scale
    assert np.mean(np.abs(first - second) <= 1) == pytest.approx(near, abs=0.05)
    assert ks_of_counts(first, range(1, 6), READINGS[rating]) <= 0.03


def test_opinions_follow_what_is_known_of_the_nodule():
    rng = np.random.default_rng(3)

    def malignancy(size, **known):
        return np.mean([rate(known, rng, 1, equivalent_diameter_mm=size)["malignancy"][0] for _ in range(300)])

    assert malignancy(20.0) > malignancy(5.0) + 0.5
    assert malignancy(8.0, spiculation=5.0) > malignancy(8.0, spiculation=1.0) + 0.3


def test_as_many_readers_mark_a_nodule_as_did():
    rng = np.random.default_rng(4)
    n_marked = []
    for d in read_table()["equivalent_diameter_mm"]:
        for _ in range(200):  # looked at until somebody marks it: others are not in the table
            p = detection_probability(d, rng.standard_normal())
            n = int((rng.random(4) < p).sum())
            if n:
                n_marked.append(n)
                break
    # nodules marked by 1, 2, 3 and 4 readers (14 clusters of more count as 4)
    assert ks_of_counts(n_marked, (1, 2, 3, 4), (773, 489, 481, 910)) <= 0.03


@cache
def truth_of(diameter_mm, **fields):
    nodule = Nodule(id="a", key=3, equivalent_diameter_mm=diameter_mm, centre_mm=(-30.0, 3.0, 20.0), **fields)
    return insert(block(vessel=False), [nodule])[1].nodules[0]


def image(spacing=(1.25, 0.7, 0.7)):
    shape = (60, 100, 100)
    origin = [-30.0, 3.0, 20.0] - 0.5 * np.array(shape[::-1]) * np.array(spacing[::-1])
    return Grid(shape, spacing, tuple(float(o) for o in origin))


@pytest.mark.parametrize(("diameter", "sd_ln_volume", "sd_diameter_mm"), [(6.4, 0.308, 0.818), (11.4, 0.246, 1.224)])
def test_outlines_differ_as_much_as_those_of_real_readers(diameter, sd_ln_volume, sd_diameter_mm):
    views = read(truth_of(diameter), image(), rng=np.random.default_rng(5), n_readers=80, all_mark=True)
    shapes = views.descriptors()
    assert len(shapes) == 80
    assert np.std([np.log(s.volume_mm3) for s in shapes], ddof=1) == pytest.approx(sd_ln_volume, rel=0.2)
    assert np.std([s.mean_diameter_mm for s in shapes], ddof=1) == pytest.approx(sd_diameter_mm, rel=0.3)
    # errors of single readers average out: their consensus is nearer to the truth
    truth = truth_of(diameter).volume_mm3
    together = describe(views.consensus(), views.grid.spacing_mm).volume_mm3
    assert together == pytest.approx(truth, rel=0.12)
    assert np.mean([abs(s.volume_mm3 - truth) for s in shapes]) > 2 * abs(together - truth)


def test_a_perfect_reader_draws_the_nodule_and_its_contour_lies_just_outside():
    truth, grid = truth_of(14.0), image((0.7, 0.7, 0.7))
    sure = ReaderModel(psf_fwhm_mm=0.0, size_sd_scale=0.0, form_sd_scale=0.0)
    views = read(truth, grid, rng=np.random.default_rng(6), n_readers=1, model=sure, all_mark=True)
    (shape,) = views.descriptors()
    assert shape.volume_mm3 == pytest.approx(truth.volume_mm3, rel=0.03)
    assert shape.mean_diameter_mm == pytest.approx(truth.mean_diameter_mm, abs=0.7)
    inside = np.zeros(grid.shape, bool)
    inside[views.window] = views.readings[0].inside
    contours = views.contours_mm(0)
    assert sorted(contours) == list(np.flatnonzero(inside.any(axis=(1, 2))))
    for z, contour in contours.items():
        index = np.rint(grid.world_to_index(contour)).astype(int)
        np.testing.assert_allclose(grid.index_to_world(index), contour, atol=1e-6)
        assert set(index[:, 0]) == {z}
        assert not inside[tuple(index.T)].any()
        # a neighbour of every point of the contour is inside
        assert binary_dilation(inside[z])[tuple(index[:, 1:].T)].all()


def test_large_nodules_are_marked_by_all_and_small_ones_by_few():
    assert detection_probability(3.5) < 0.1
    assert detection_probability(25.0) > 0.95
    rng = np.random.default_rng(7)
    few = [len(read(truth_of(3.5), image(), rng=rng).marked) for _ in range(15)]
    many = [len(read(truth_of(20.0), image(), rng=rng).marked) for _ in range(5)]
    assert np.mean(few) < 2 < 3 < np.mean(many)


def test_the_same_generator_gives_the_same_readings_and_nobody_is_no_consensus():
    one, two = (read(truth_of(6.4), image(), rng=np.random.default_rng(8)) for _ in range(2))
    for a, b in zip(one.readings, two.readings, strict=True):
        np.testing.assert_array_equal(a.inside, b.inside)
        assert a.ratings == b.ratings
    all_four = read(truth_of(6.4), image(), rng=np.random.default_rng(8), all_mark=True)
    votes = np.sum([r.inside for r in all_four.marked], axis=0)
    np.testing.assert_array_equal(all_four.consensus(), votes >= 2)
    np.testing.assert_array_equal(all_four.consensus(1.0), votes == 4)
    nobody = next(v for k in range(99) if not (v := read(truth_of(3.5), image(), rng=np.random.default_rng(k))).marked)
    assert not nobody.consensus().any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_readers": 0}, "n_readers"),
        ({"grid": Grid((10, 10, 10), (1.0, 1.0, 1.0), (500.0, 0.0, 0.0))}, "outside the image"),
    ],
)
def test_what_cannot_be_read_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        read(truth_of(6.4), **{"grid": image(), "rng": np.random.default_rng(1), **options})


def test_impossible_models_and_ratings_are_refused():
    with pytest.raises(ValueError, match="psf_fwhm_mm"):
        ReaderModel(psf_fwhm_mm=-1)
    with pytest.raises(ValueError, match="'colour'"):
        rate({"colour": 3}, np.random.default_rng(1), 1, equivalent_diameter_mm=8)
    with pytest.raises(ValueError, match="within 1-5; got 7"):
        rate({"margin": 7}, np.random.default_rng(1), 1, equivalent_diameter_mm=8)
    with pytest.raises(ValueError, match="share"):
        read(truth_of(6.4), image(), rng=np.random.default_rng(1)).consensus(0)
