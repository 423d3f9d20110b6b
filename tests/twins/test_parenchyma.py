"""Parenchyma: mass, emphysema of every type, septa, bands, caps; fissures where the spec has them."""

from __future__ import annotations

import numpy as np
import pytest

from twins import LOBES, TwinSpec
from twins.canvas import INK, Canvas
from twins.emphysema import Points, emphysema, points_in
from twins.fissures import sheets
from twins.grid import Grid
from twins.lobules import PITCH_MM, centres_mm, lobule_at, lobules
from twins.lungs import STEP_MM, Chest, solve
from twins.parenchyma import _added_density, _relative_density, paint_lungs
from twins.pose import Pose, pose
from twins.thorax import grid_of

from .people import MAN

TYPES = ("centrilobular", "paraseptal", "panlobular", "mixed")


@pytest.fixture(scope="module")
def posed(chest: Chest) -> Pose:
    return pose(MAN, chest)


def changed(**fields: object) -> TwinSpec:
    return TwinSpec.model_validate(MAN.model_dump() | fields)


def painted(spec: TwinSpec, chest: Chest, spacing_mm: float) -> Canvas:
    canvas = Canvas.of_air(grid_of(chest, spacing_mm))
    paint_lungs(canvas, spec, chest)
    return canvas


def mass_g(canvas: Canvas) -> float:
    """Mass of lung tissue."""
    share = np.where(canvas.material_a == INK["lung_tissue"], 1 - canvas.fraction_b / 65535, 0)
    share += np.where(canvas.material_b == INK["lung_tissue"], canvas.fraction_b / 65535, 0)
    return float((share * canvas.density).sum()) * 1e-4 * canvas.spacing_mm**3 * 1e-3


def random_points(chest: Chest, n: int) -> Points:
    """Points that the solution did not use, in cells wholly inside the lungs."""
    rng = np.random.default_rng(11)
    cells = np.argwhere(chest.lung < 0)
    cells = cells[rng.integers(len(cells), size=n)]
    return Points(chest.lattice.index_to_world(cells + rng.random(cells.shape) - 0.5), tuple(cells.T))


@pytest.mark.parametrize("kind", TYPES)
def test_emphysema_fills_the_share_of_the_spec(kind, chest, posed):
    spec = changed(emphysema_percent=9.0, emphysema_type=kind)
    table = lobules(np.random.default_rng(1))
    relative = _relative_density(spec, chest)
    gone = emphysema(spec, chest, posed, points_in(spec, chest), relative, table)
    points = random_points(chest, 8000)
    if kind == "panlobular":
        healthy = relative * gone.left
        density = healthy[points.cell] * (spec.target_tissue_mass_g() / spec.target_volume_l() / 1e3)
        low = density / (healthy * (chest.lung < 0)).sum() * (chest.lung < 0).sum() < 0.05
    else:
        x = points.world_mm
        low = np.zeros(len(x), bool)
        for hole in gone.holes:  # slow and obvious
            low |= ((x - hole[:3]) ** 2).sum(1) < hole[3] ** 2
    # standard error of 8000 points: 0.32 points of percent
    assert 100 * low.mean() == pytest.approx(9.0, abs=1.0)
    assert np.array_equal(gone.covers(points), low) or kind == "panlobular"


@pytest.mark.parametrize("kind", TYPES)
def test_emphysema_prefers_the_zone_of_the_spec(kind, chest, posed):
    table = lobules(np.random.default_rng(1))
    level = chest.cage.level(chest.lattice.axes_mm()[0])
    points = random_points(chest, 20_000)
    ratio = []
    for upper in (0.1, 0.9):
        spec = changed(emphysema_percent=3.0, emphysema_type=kind, emphysema_upper=upper)
        gone = emphysema(spec, chest, posed, points_in(spec, chest), _relative_density(spec, chest), table)
        low = gone.left[points.cell] < 0.6 if kind == "panlobular" else gone.covers(points)
        height = level[points.cell[0]]
        ratio.append(low[height > 0.6].mean() / low[height < 0.35].mean())
    # exp(4 (upper - 0.5) level): levels differ by about 0.5: one is 5 times the other, were there no clumps of 26 mm
    assert ratio[0] < 0.75
    assert ratio[1] > 2.5 * ratio[0]


def test_paraseptal_cells_lie_in_one_layer_under_the_pleura(chest, posed):
    spec = changed(emphysema_percent=2.0, emphysema_type="paraseptal", emphysema_upper=0.9)
    gone = emphysema(
        spec, chest, posed, points_in(spec, chest), _relative_density(spec, chest), lobules(np.random.default_rng(1))
    )
    h = gone.holes.astype(float)
    index = tuple(np.rint(chest.lattice.world_to_index(h[:, :3])).astype(int).T)
    # the near wall is 0.5 mm under the pleura; half a cell of the lattice for the place
    np.testing.assert_allclose(-chest.lung[index] - h[:, 3], 0.5, atol=0.01)
    for a, ball in enumerate(h[:400]):
        gap = np.linalg.norm(h[:a, :3] - ball[:3], axis=1) - h[:a, 3] - ball[3]
        assert np.all(gap > 0.49)


def test_more_emphysema_keeps_the_holes_of_less(chest, posed):
    table = lobules(np.random.default_rng(1))
    few, many = (
        emphysema(
            changed(emphysema_percent=p), chest, posed, points_in(MAN, chest), _relative_density(MAN, chest), table
        ).holes
        for p in (2.0, 2.6)
    )
    np.testing.assert_array_equal(few, many[: len(few)])


def test_the_mass_is_that_of_the_spec_with_every_disease(chest):
    spec = changed(
        emphysema_percent=12.0, emphysema_type="mixed", dependent_atelectasis=0.7, apical_cap_mm=6.0,
        minor_completeness=0.5, variants=("left_minor_fissure", "azygos_fissure", "inferior_accessory_fissure"),
    )  # fmt: skip
    # 1.5 % as in the test over inflation
    assert mass_g(painted(spec, chest, 4.0)) == pytest.approx(spec.target_tissue_mass_g(), rel=0.015)


def test_what_weighs_more_than_the_lungs_is_refused(chest, monkeypatch):
    monkeypatch.setattr("twins.parenchyma.BAND_G_CM3", 1.0)
    with pytest.raises(ValueError, match="tissue_mass_g"):
        painted(changed(tissue_mass_g=200, dependent_atelectasis=1.0, apical_cap_mm=12), chest, 6.0)


def test_a_septum_lies_halfway_between_the_nearest_lobules():
    table = lobules(np.random.default_rng(2))
    rng = np.random.default_rng(3)
    points = rng.uniform(-80, 80, (400, 3))
    centres = centres_mm(table, np.full(3, -120.0), np.full(3, 120.0))
    agree = 0
    for p in points:
        d = np.sort(np.linalg.norm(centres - p, axis=1))[:2]
        a, b = centres[np.argsort(np.linalg.norm(centres - p, axis=1))[:2]]
        plane = (d[1] ** 2 - d[0] ** 2) / (2 * np.linalg.norm(b - a))
        agree += abs(lobule_at(table, *p)[1] - plane) < 1e-3 * PITCH_MM
    # the search among eight cells misses a few second neighbours
    assert agree > 0.93 * len(points)


def test_bands_lie_along_the_back_and_caps_at_the_top(chest):
    nothing = _added_density(MAN, chest)
    assert not nothing.any()
    inside = chest.lung < 0
    y, level = chest.lattice.axes_mm()[1], chest.cage.level(chest.lattice.axes_mm()[0])
    k, j, _ = np.nonzero(inside & (_added_density(changed(dependent_atelectasis=1.0), chest) > 0.05))
    assert len(k) > 1000
    assert np.mean(y[j] > np.median(y[np.nonzero(inside)[1]])) > 0.95
    k, j, i = np.nonzero(inside & (_added_density(changed(apical_cap_mm=8.0), chest) > 0.4))
    assert level[k].min() > 0.85
    assert 4 < -chest.lung[k, j, i].min() < 20


def test_texture_grows_with_its_scale(chest):
    grid = Grid((24, 24, 24), (1.0, 1.0, 1.0), (-95.0, 0.0, -20.0))
    spread = []
    for scale in (0.0, 1.0, 2.0):
        canvas = Canvas.of_air(grid)
        paint_lungs(canvas, changed(texture_scale=scale), chest)
        low, high = np.quantile(canvas.density[np.isin(canvas.structure, LOBES)], [0.16, 0.84])
        spread.append(float(high - low))
    assert spread[0] < 0.5 * spread[1] < 0.4 * spread[2]


@pytest.mark.parametrize("share", [1.0, 0.6, 0.3])
def test_a_fissure_parts_the_share_of_its_area_that_the_spec_says(share, chest):
    spec = changed(right_major_completeness=share, left_major_completeness=share, minor_completeness=share)
    (major, gate), (minor, gate_minor) = sheets(spec, chest)
    near = (np.abs(major) < STEP_MM / 2) & (chest.lung < 0)
    right = near & (chest.side < 0)
    between = (np.abs(minor) < STEP_MM / 2) & (chest.lung < 0) & (chest.side < -3) & (chest.major > 3)
    # thinner layers than those that the spec was solved on
    for cells, field in ((right, gate), (near & ~right, gate), (between, gate_minor)):
        assert np.mean(field[cells] > 0) == pytest.approx(share, abs=0.05)


def test_merged_lobes_are_joined_at_the_hilum(chest):
    (major, gate), _ = sheets(changed(left_major_completeness=0.6), chest)
    cells = np.argwhere((np.abs(major) < STEP_MM / 2) & (chest.lung < 0) & (chest.side > 0))
    x = np.abs(chest.lattice.axes_mm()[2][cells[:, 2]])
    there = gate[tuple(cells.T)] > 0
    assert x[there].mean() > x[~there].mean() + 15


@pytest.mark.parametrize(
    ("variant", "n"),
    [("azygos_fissure", 3), ("inferior_accessory_fissure", 3), ("left_minor_fissure", 3), ("absent_minor_fissure", 2)],
)
def test_variants_of_fissures(variant, n, chest):
    found = sheets(changed(variants=(variant,)), chest)
    assert len(found) == n
    if variant == "absent_minor_fissure":
        assert not np.any(found[1][1] > 0)
        return
    sheet, gate = found[2]
    cells = np.argwhere((np.abs(sheet) < STEP_MM / 2) & (gate > 0) & (chest.lung < 0))
    assert 300 < len(cells) < 8000  # 20 to 500 cm2 of a 2.5 mm lattice's cells
    level = chest.cage.level(chest.lattice.axes_mm()[0][cells[:, 0]])
    right = chest.side[tuple(cells.T)] < 0
    assert np.all(right) if variant != "left_minor_fissure" else not np.any(right)
    if variant == "azygos_fissure":
        assert level.min() > 0.65
    if variant == "inferior_accessory_fissure":
        assert level.max() < 0.4


def test_lobes_have_the_shares_of_the_spec():
    spec = changed(right_middle_share=0.12, right_lower_share=0.45, left_lower_share=0.58)
    lungs = solve(spec)
    inside = np.clip(0.5 - lungs.lung / STEP_MM, 0, 1)
    right = lungs.side < 0
    lower = np.clip(0.5 - lungs.major / STEP_MM, 0, 1) * inside
    assert lower[right].sum() / inside[right].sum() == pytest.approx(0.45, abs=0.004)
    assert lower[~right].sum() / inside[~right].sum() == pytest.approx(0.58, abs=0.004)
    middle = (inside - lower) * np.clip(0.5 - lungs.minor / STEP_MM, 0, 1)
    assert middle[right].sum() / inside[right].sum() == pytest.approx(0.12, abs=0.004)
