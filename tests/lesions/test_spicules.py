"""Spicules stand on a nodule's surface at one density, taper, bend and fork."""

from __future__ import annotations

import numpy as np
import pytest

from lesions import Nodule
from lesions.attributes import mean_spicules
from lesions.shape import shape_of
from lesions.spicules import COARSEST_MM, FINEST_MM, LONGEST_MM

SLICE_MM = 1.0


def shape(d: float, key: int, **fields):
    return shape_of(Nodule(id="a", key=key, equivalent_diameter_mm=d, **{"spiculation": 5.0, **fields}))


def seen_in_a_slice(found) -> int:
    """Strands that an axial slice through the middle shows at least 1 mm of, outside the body's mean radius."""
    share = (np.arange(40) + 0.5) / 40
    a, b = found.spicules[:, None, 0:3], found.spicules[:, None, 3:6]
    points = a + share[:, None] * (b - a)
    step = np.linalg.norm(b - a, axis=2) / len(share)
    outside = np.linalg.norm(points, axis=2) > found.body.radius_mm.mean() + 0.5
    shown = ((np.abs(points[..., 2]) < 0.5 * SLICE_MM) & outside).sum(axis=1) * step[:, 0]
    # a new strand begins where a segment does not begin at the end of the one before
    strand = np.cumsum(np.r_[True, np.abs(found.spicules[1:, 0:3] - found.spicules[:-1, 3:6]).max(axis=1) > 1e-9])
    return int(np.count_nonzero(np.bincount(strand, shown) >= 1.0))


def test_an_axial_slice_shows_a_corona_at_rating_5_and_single_spicules_at_3():
    seen = {
        (d, rating): np.mean([seen_in_a_slice(shape(d, key, spiculation=rating, sh_sd_l2=0.0)) for key in range(8)])
        for d, rating in ((10.0, 3.0), (10.0, 4.0), (10.0, 5.0), (15.0, 5.0))
    }
    assert 0.2 < seen[10.0, 3.0] < 2.5
    assert 1 < seen[10.0, 4.0] < seen[10.0, 5.0]
    assert 6 < seen[10.0, 5.0] < 20
    # At least as many per millimetre of contour in a larger one, whose spicules are longer.
    assert 0.9 < seen[15.0, 5.0] / seen[10.0, 5.0] / 1.5 < 1.8


def test_the_number_of_spicules_grows_with_the_surface():
    for d in (8.0, 14.0):
        counts = [shape(d, key).n_spicules for key in range(15)]
        assert np.mean(counts) == pytest.approx(mean_spicules(5.0, d), rel=4 / np.sqrt(15 * mean_spicules(5.0, d)))
        assert mean_spicules(5.0, d) == pytest.approx(60 * (d / 10) ** 2)


def test_spicules_taper_fork_and_stay_within_their_lengths():
    n_strands = n_spicules = 0
    for key in range(6):
        found = shape(14.0, key)
        rows = found.spicules
        assert (rows[:, 7] < rows[:, 6]).all()
        new = np.r_[True, np.abs(rows[1:, 0:3] - rows[:-1, 3:6]).max(axis=1) > 1e-9]
        n_strands, n_spicules = n_strands + new.sum(), n_spicules + found.n_spicules
        assert rows[~new, 6].max() <= COARSEST_MM
        assert rows[:, 7].min() >= 0.4 * FINEST_MM
        lengths = np.bincount(np.cumsum(new) - 1, np.linalg.norm(rows[:, 3:6] - rows[:, 0:3], axis=1))
        assert lengths.max() <= LONGEST_MM + 0.15 * 7.0 + 1e-9
        assert np.median(lengths) > 3.0
    assert n_strands / n_spicules == pytest.approx(1.35, abs=0.1)  # about four of ten fork, a few at the very root


def test_spicules_are_spread_by_area_over_an_oblong_body():
    roots, expected = [], []
    for key in range(6):
        found = shape(12.0, key, elongation=0.5, flatness=0.5, sh_sd=0.0)
        along = found.body.rotation[:, 0]
        rows = found.spicules
        new = np.r_[True, np.abs(rows[1:, 0:3] - rows[:-1, 3:6]).max(axis=1) > 1e-9]
        # roots lie 15 % under the surface; forks begin outside
        start = rows[new, 0:3]
        start = start[np.linalg.norm(start, axis=1) < 0.9 * np.linalg.norm(found.body.surface_mm(), axis=1).max()]
        roots.append(np.abs(start @ along).mean() / 0.85)
        theta = np.linspace(0, np.pi, found.body.radius_mm.shape[0])
        area = (found.body.radius_mm**2 / found.body.slope * np.sin(theta)[:, None])[:, :-1].ravel()
        expected.append(np.average(np.abs(found.body.surface_mm() @ along), weights=area))
    assert np.mean(roots) == pytest.approx(np.mean(expected), rel=0.12)
