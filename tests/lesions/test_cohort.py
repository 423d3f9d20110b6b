"""Drawn nodules look like LIDC-IDRI's in what was tabulated."""

from __future__ import annotations

import numpy as np
import pytest

from lesions import draw
from lesions.cohort import CORRELATION


@pytest.fixture(scope="module")
def many():
    return draw(np.random.default_rng(1), 4000)


def test_sizes_follow_the_table(many):
    d = [n.target_diameter_mm for n in many]
    # Median mean diameter 6.896 mm / 1.094 = 6.30 mm equivalent; 3.4 % fall below 3 mm and are drawn again, moving
    # it to 6.5.
    assert np.median(d) == pytest.approx(6.45, abs=0.3)
    assert np.percentile(d, 90) == pytest.approx(17.0 / 1.094, rel=0.08)
    assert min(d) >= 3
    assert max(d) <= 30


def test_ratings_and_types_follow_the_table(many):
    spiculated = np.mean([n.spiculation >= 3 for n in many])
    # P(z > 1.0301) = 15.2 % over all readings; 4000 draws know it to 0.6 %, the cut below 3 mm adds up to 0.6 %.
    assert spiculated == pytest.approx(0.152, abs=0.03)
    kinds = [n.type for n in many]
    assert kinds.count("ground_glass") / 4000 == pytest.approx(0.070, abs=0.016)  # P(z < -1.4759)
    assert kinds.count("part_solid") / 4000 == pytest.approx(0.148 - 0.070, abs=0.017)  # P(z < -1.0445) less that


def test_large_nodules_are_spiculated_more_often(many):
    small = np.mean([n.spiculation >= 3 for n in many if n.target_diameter_mm < 6])
    large = np.mean([n.spiculation >= 3 for n in many if n.target_diameter_mm > 12])
    assert large > 3 * small


def test_the_correlation_is_positive_definite():
    assert np.linalg.eigvalsh(CORRELATION).min() > 0.1
    np.testing.assert_array_equal(CORRELATION, CORRELATION.T)


def test_a_range_and_fixed_fields_are_honoured():
    fixed = {"lobe": "RIGHT_UPPER_LOBE", "type": "part_solid"}
    drawn = draw(np.random.default_rng(1), 50, diameter_mm=(8.0, 12.0), fields=fixed, name="x{:02d}")
    assert {n.lobe for n in drawn} == {"RIGHT_UPPER_LOBE"}
    assert {n.type for n in drawn} == {"part_solid"}
    assert all(8 <= n.target_diameter_mm <= 12 for n in drawn)
    assert [n.id for n in drawn[:2]] == ["x01", "x02"]
    assert draw(np.random.default_rng(1), 1, fields={"volume_mm3": 500.0})[0].volume_mm3 == 500


def test_the_same_generator_draws_the_same_nodules():
    assert draw(np.random.default_rng(8), 5) == draw(np.random.default_rng(8), 5)
    assert len({n.key for n in draw(np.random.default_rng(8), 50)}) == 50


@pytest.mark.parametrize("span", [(2.0, 8.0), (8.0, 8.0), (35.0, 40.0)])
def test_a_range_without_lidc_nodules_is_refused(span):
    with pytest.raises(ValueError, match="diameter_mm"):
        draw(np.random.default_rng(1), 1, diameter_mm=span)
