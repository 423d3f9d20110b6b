"""A nodule over time: the same one, with the volume that its law says, exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions import Nodule, insert, place
from lesions.growth import (
    DOUBLING_DAYS,
    Growth,
    at_place,
    doubling_time_days,
    draw_growth,
    follow,
    largest,
)
from lesions.shape import shape_of


def nodule(**fields) -> Nodule:
    return Nodule(**{"id": "a", "key": 5, "equivalent_diameter_mm": 8.0, **fields})


@given(vdt=st.floats(20, 2000), first=st.floats(0, 300), later=st.floats(10, 400))
def test_exponential_growth_has_the_doubling_time_it_says_between_any_days(vdt, first, later):
    growth = Growth(model="exponential", vdt_days=vdt)
    a, b = growth.volume_mm3(100.0, first), growth.volume_mm3(100.0, first + later)
    assert doubling_time_days(a, b, later) == pytest.approx(vdt, rel=1e-9)


def test_gompertz_growth_begins_with_its_doubling_time_and_never_passes_its_limit():
    growth = Growth(model="gompertz", vdt_days=100, limit_mm3=5000)
    assert doubling_time_days(500.0, growth.volume_mm3(500.0, 0.01), 0.01) == pytest.approx(100, rel=1e-3)
    volumes = [growth.volume_mm3(500.0, day) for day in range(-200, 4000, 50)]
    assert np.all(np.diff(volumes) > 0)
    assert volumes[-1] == pytest.approx(5000, rel=1e-3)
    # d ln V / dt = (ln 2 / VDT) ln(K / V) / ln(K / V0): half way in ln V growth is half as fast
    day = 100 * math.log(10)  # 1 - exp(-a t) = 1/2
    middle = growth.volume_mm3(500.0, day)
    assert middle == pytest.approx(500 * math.sqrt(10), rel=1e-9)
    rate = math.log(growth.volume_mm3(500.0, day + 0.01) / middle) / 0.01
    assert rate == pytest.approx(0.5 * math.log(2) / 100, rel=1e-3)


def test_stable_resolving_and_new_nodules():
    assert Growth(model="stable").volume_mm3(300.0, 1e4) == 300
    resolving = Growth(model="resolving", half_life_days=30, begins_day=20)
    assert resolving.volume_mm3(300.0, 10) == 300
    assert resolving.volume_mm3(300.0, 80) == pytest.approx(75)
    gone = follow(nodule(), resolving, [0, 50, 150])
    assert [v.nodule is not None for v in gone] == [True, True, False]
    assert gone[2].volume_mm3 == pytest.approx(math.pi / 6 * 512 * 2 ** (-130 / 30))
    new = follow(nodule(), Growth(model="exponential", vdt_days=200, appears_day=-30), [-100, 0, 100])
    assert [v.nodule is not None for v in new] == [False, True, True]
    assert new[0].volume_mm3 == 0


def test_truth_of_each_visit_has_the_doubling_time_of_the_spec(lung_only):
    growth = Growth(model="exponential", vdt_days=150)
    visits = follow(nodule(spiculation=4.0, lobulation=3.0), growth, [0, 90, 200])
    (placed,) = place(lung_only, [largest(visits)], rng=np.random.default_rng(2))
    visits = at_place(visits, placed.centre_mm)
    truths = [insert(lung_only, [v.nodule])[1].nodules[0] for v in visits]
    for visit, truth in zip(visits, truths, strict=True):
        assert truth.volume_mm3 == pytest.approx(visit.volume_mm3, rel=1e-3)
    for i, j in ((0, 1), (1, 2), (0, 2)):
        days = visits[j].day - visits[i].day
        measured = doubling_time_days(truths[i].volume_mm3, truths[j].volume_mm3, days)
        assert measured == pytest.approx(150, rel=2e-3)
    assert {(t.id, t.nodule.key, t.centre_mm) for t in truths} == {("a", 5, truths[0].centre_mm)}
    # the same pattern, larger: as many spicules
    assert len({t.n_spicules for t in truths}) == 1


def ln_radius(nodule):
    """ln of the radius about its mean, of the body in its own frame, weighted by solid angle."""
    radius = np.log(shape_of(nodule).body.radius_mm[:, :-1])
    weight = np.sin(np.linspace(0, np.pi, len(radius)))[:, None]
    away = radius - (radius * weight).sum() / (weight.sum() * radius.shape[1])
    return away * np.sqrt(weight)


def test_the_form_drifts_as_a_first_order_process_of_the_doublings():
    growth = Growth(model="exponential", vdt_days=100, form_correlation=0.8)
    found = {1: [], 3: [], -1: []}
    for key in range(60):
        first = nodule(key=key, equivalent_diameter_mm=10.0, sh_sd=0.08, sh_sd_l2=0.1)
        visits = follow(first, growth, [0, 100, 300, -100])
        assert visits[0].nodule == first
        base = ln_radius(first)
        for n, visit in zip(found, visits[1:], strict=True):
            assert visit.nodule.target_volume_mm3 == pytest.approx(visit.volume_mm3)
            now = ln_radius(visit.nodule)
            found[n].append((base * now).sum() / np.sqrt((base**2).sum() * (now**2).sum()))
    # about 15 numbers carry most of the power: one correlation is known to 0.25 sqrt(1 - rho^2), the mean of 60 to 0.03
    for n, correlations in found.items():
        assert np.mean(correlations) == pytest.approx(0.8 ** abs(n), abs=0.06), n


def test_the_form_at_a_day_does_not_depend_on_the_other_days_and_stays_where_nothing_drifts():
    drifting = Growth(model="exponential", vdt_days=100, form_correlation=0.7)
    alone = follow(nodule(), drifting, [170])[0].nodule
    among = follow(nodule(), drifting, [-50, 30, 170, 250])[2].nodule
    assert alone == among
    scaled = follow(nodule(), Growth(model="exponential", vdt_days=100), [170])[0].nodule
    assert np.corrcoef(ln_radius(scaled).ravel(), ln_radius(nodule()).ravel())[0, 1] > 0.999
    assert np.corrcoef(ln_radius(alone).ravel(), ln_radius(nodule()).ravel())[0, 1] < 0.98


def test_a_nodule_is_displaced_and_turned_between_visits_and_stays_itself(lung_only):
    spec = nodule(lobulation=3.0, spiculation=4.0, type="part_solid", sh_sd=0.12)
    visits = follow(spec, Growth(model="stable"), [0, 90, 180])
    at = (40.0, -20.0, 24.0)
    moved = at_place(visits, at, rng=np.random.default_rng(3), shift_mm=1.5, turn_deg=8.0)
    assert moved[0].nodule == spec.at(at)
    assert len({v.nodule.centre_mm for v in moved}) == 3
    truths = [insert(lung_only, [v.nodule])[1].nodules[0] for v in moved]
    for truth in truths[1:]:
        for name in ("volume_mm3", "core_volume_mm3"):
            assert getattr(truth, name) == pytest.approx(getattr(truths[0], name), rel=1e-5)
        # a length along 200 directions, on voxels of 0.2 mm
        assert truth.max_diameter_mm == pytest.approx(truths[0].max_diameter_mm, rel=0.02)
        assert truth.long_axis_mm != truths[0].long_axis_mm
    quarter = shape_of(spec.model_copy(update={"turn_deg": (0.0, 0.0, 90.0)}))
    plain = shape_of(spec)
    x, y, z = plain.surface_mm().T
    np.testing.assert_allclose(quarter.surface_mm(), np.stack((-y, x, z), axis=1), atol=1e-9)
    np.testing.assert_allclose(quarter.spicules[:, 3], -plain.spicules[:, 4], atol=1e-9)
    assert at_place(visits, at) == at_place(visits, at, rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match="rng: give a generator"):
        at_place(visits, at, shift_mm=1.0)
    with pytest.raises(ValueError, match="shift_mm must lie between 0 and 10, got 40"):
        at_place(visits, at, shift_mm=40.0)


def test_a_core_grows_faster_than_its_nodule_and_stops_within_it():
    part = nodule(type="part_solid", solid_core_ratio=0.4)
    growth = Growth(model="exponential", vdt_days=400, core_vdt_days=100)
    first, later, late = (v.nodule for v in follow(part, growth, [0, 200, 900]))
    assert first == part
    whole, core = 2 ** (200 / 400), 2 ** (200 / 100)
    assert later.core_ratio == pytest.approx(0.4 * (core / whole) ** (1 / 3))
    assert late.core_ratio == 0.9


def test_ground_glass_thickens_where_mass_grows_faster_than_volume():
    glass = nodule(type="ground_glass", ground_glass_fraction=0.2)
    growth = Growth(model="exponential", vdt_days=800, mass_doubling_days=400)
    later, late = (v.nodule for v in follow(glass, growth, [400, 2000]))
    assert later.soft_fraction == pytest.approx(0.2 * 2 / 2**0.5)
    assert late.soft_fraction == 0.8


def test_growth_keeps_what_the_spec_says_besides_size():
    said = nodule(
        lobe="LEFT_UPPER_LOBE", margin=2.0, lobulation=2.0, calcification="popcorn", centre_mm=(1.0, 2.0, 3.0)
    )
    (later,) = (v.nodule for v in follow(said, Growth(model="exponential", vdt_days=100), [100]))
    differing = {k for k, v in later.model_dump().items() if v != said.model_dump()[k]}
    assert differing <= {"equivalent_diameter_mm", "volume_mm3"}
    assert later.target_volume_mm3 == pytest.approx(2 * said.target_volume_mm3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "exponential"}, "vdt_days is needed"),
        ({"model": "stable", "vdt_days": 100}, "vdt_days contradicts model 'stable'"),
        ({"model": "gompertz", "vdt_days": 100}, "limit_mm3 is needed"),
        ({"model": "resolving"}, "half_life_days is needed"),
        ({"model": "stable", "core_vdt_days": 100}, "only growing"),
        ({"model": "exponential", "vdt_days": 100, "begins_day": 5}, "only resolving"),
    ],
)
def test_a_contradictory_growth_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Growth(**fields)


def test_what_cannot_be_described_is_refused():
    fast = Growth(model="exponential", vdt_days=100)
    with pytest.raises(ValueError, match=r"'a' has an equivalent diameter of 80\.6 mm at day 1000"):
        follow(nodule(), fast, [1000])
    with pytest.raises(ValueError, match="core_vdt_days contradicts type 'solid'"):
        follow(nodule(), Growth(model="exponential", vdt_days=100, core_vdt_days=50), [0])
    with pytest.raises(ValueError, match=r"limit_mm3 100\.0 must exceed"):
        follow(nodule(), Growth(model="gompertz", vdt_days=100, limit_mm3=100), [10])
    with pytest.raises(ValueError, match="none of the days"):
        largest(follow(nodule(), Growth(model="stable", appears_day=10), [0, 5]))
    with pytest.raises(ValueError, match="second_mm3 must be positive"):
        doubling_time_days(1.0, 0.0, 10.0)


def test_drawn_growth_has_the_published_medians_and_shares():
    rng = np.random.default_rng(6)
    for kind, (median, sigma) in DOUBLING_DAYS.items():
        drawn = [draw_growth(rng, nodule(type=kind), malignant=True) for _ in range(4000)]
        days = np.array([g.vdt_days for g in drawn if g.model == "exponential"])
        assert len(days) / 4000 == pytest.approx(0.68, abs=0.025)
        assert np.median(days) == pytest.approx(median, rel=0.06)
        assert np.std(np.log(days)) == pytest.approx(sigma, rel=0.06)
    benign = [draw_growth(rng, nodule(), malignant=False) for _ in range(4000)]
    assert np.mean([g.model == "resolving" for g in benign]) == pytest.approx(0.101, abs=0.015)
    # of NELSON's nodules of 50-500 mm3 that vanish 77 % are gone by three months
    gone = [
        follow(nodule(equivalent_diameter_mm=None, volume_mm3=50 * 10 ** rng.random()), g, [90])[0].nodule is None
        for g in benign
        if g.model == "resolving"
    ]
    assert np.mean(gone) == pytest.approx(0.77, abs=0.06)
