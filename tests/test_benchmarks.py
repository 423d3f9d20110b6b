"""The bench's scenes are exact, its sides take turns, and its page says what does not count."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import body, figures, plots, report, rows, tables
from benchmarks.sides import Side, measure

ITEM = body.Item(n=48, n_z=24, voxel_mm=4.0, rows=8, views=12)


def test_a_ray_through_the_middle_of_ball_and_cylinder_meets_their_widths():
    source, target = np.array([595.0, 0.0, 0.0]), np.array([[-490.6, 0.0]])
    level = np.zeros(1)
    assert body.chords(body.Ball(20.0, 5.0, 0.0, 0.0), source, target, level)[0, 0] == pytest.approx(40.0)
    assert body.chords(body.Ball(20.0, 5.0, 12.0, 0.0), source, target, level)[0, 0] == pytest.approx(32.0)
    assert body.chords(body.Cylinder(30.0, 10.0), source, target, level)[0, 0] == pytest.approx(60.0)
    assert body.chords(body.Cylinder(30.0, 10.0, y=10.5), source, target, level)[0, 0] == 0.0
    height = 80.0 * 1085.6 / 590.0
    raised = body.chords(body.Ball(20.0, 5.0, 0.0, 80.0), source, target, np.array([height]))[0, 0]
    assert raised == pytest.approx(40.0)
    slanted = body.chords(body.Cylinder(30.0, 10.0), source, target, np.array([100.0]))[0, 0]
    assert slanted == pytest.approx(60.0 * math.hypot(100.0, 1085.6) / 1085.6)


def test_cells_stand_where_the_conventions_say():
    beta = 0.7
    xy, z = body.cells(beta, 8)
    ray = xy - body.source_mm(beta)[:2]
    np.testing.assert_allclose(np.hypot(*ray.T), 1085.6)
    angle = np.arctan2(ray @ [-np.sin(beta), np.cos(beta)], ray @ [-np.cos(beta), -np.sin(beta)])
    assert np.degrees(angle[[0, -1]]) == pytest.approx([-25 + 25 / 900, 25 - 25 / 900])
    assert np.diff(z) * 595.0 / 1085.6 == pytest.approx(0.6)


def test_shares_fill_the_volume_of_their_solid():
    ball = body.Ball(30.0, 10.0, -20.0, 5.0)
    assert body.shares(ball, ITEM).sum() * ITEM.voxel_mm**3 == pytest.approx(4 / 3 * math.pi * 30.0**3, rel=2e-3)
    cylinder = body.Cylinder(60.0, 40.0, 5.0, 0.0)
    assert body.shares(cylinder, ITEM)[3].sum() * ITEM.voxel_mm**2 == pytest.approx(math.pi * 2400.0, rel=2e-3)


def test_the_flat_detector_sees_what_the_curved_one_sees_in_the_middle():
    curved, flat = (body.exact(ITEM, ITEM.angles, flat=flat) for flat in (False, True))
    middle = slice(448, 452)
    np.testing.assert_allclose(flat[..., middle], curved[..., middle], rtol=2e-3)
    assert np.abs(flat[..., 350] - curved[..., 350]).max() > 1.0  # other angles there


def test_beamlets_fill_spot_view_and_cell_evenly():
    rays = list(body.beamlets(512, 1.0, 7.0))
    at = np.array(
        [[*ray.spot_mm, ray.turn_rad * body.VIEWS_OF_A_SCANNER / (2 * math.pi), ray.across, ray.up] for ray in rays]
    )
    even = at[:, [0, 2, 3, 4, 5]]
    np.testing.assert_allclose(even.mean(axis=0), 0.0, atol=0.005)
    np.testing.assert_allclose(even.std(axis=0), 1 / math.sqrt(12), rtol=0.01)
    correlation = np.corrcoef(even.T) - np.eye(5)
    assert np.abs(correlation).max() < 0.05
    np.testing.assert_allclose(at[:, 1], at[:, 2] / math.tan(math.radians(7.0)))


def test_transmissions_are_averaged_not_paths():
    item = replace(ITEM, rows=1, views=1)
    mu = [0.02, 0.05]
    rays = list(body.beamlets(32, 1.0, 7.0))
    exact = body.transmissions(item, mu, 3, rays)
    angles = body.angles_of(item, 3)
    paths = np.mean([np.tensordot(mu, body.lengths(item, angles, ray), 1) for ray in rays], axis=0)
    assert (exact >= np.exp(-paths) - 1e-12).all()  # Jensen
    assert (exact - np.exp(-paths)).max() > 1e-4
    np.testing.assert_allclose(exact, np.exp(-paths), rtol=0.1)


def test_rows_are_picked_by_name():
    assert [row.name for row in rows.pick("fdk_v512, project_v512")] == ["project_v512", "fdk_v512"]
    assert {row.name for row in rows.pick("all")} == {row.name for row in rows.ROWS}
    assert all(row.quick for row in rows.pick(""))
    with pytest.raises(ValueError, match=r"no row fdk_v1; there are: quick, all, project_v256"):
        rows.pick("fdk_v1")


def test_sides_take_turns_and_one_that_fails_stops_no_other(tmp_path):
    path = tmp_path / "turns"

    def side(name, job="turns"):
        given = {"name": name, "path": str(path)} if job == "turns" else {}
        return Side(name, "tests.bench_worker", job, given, warm=name == "A")

    found, left_out = measure(
        (
            side("A"),
            side("B"),
            side("C", "fails"),
            side("D", "stops"),
            Side("E", "tests.bench_worker", "turns", python="peer"),
        ),
        {"own": Path(sys.executable)},
        rounds=3,
        threads=1,
        tiny=True,
        log=tmp_path / "log",
    )
    assert path.read_text(encoding="utf-8") == "AABABAB"  # the first A is not counted
    assert {name: len(one["runs"]) for name, one in found.items()} == {"A": 3, "B": 3}
    assert found["A"]["found"] == {"name": "A", "tiny": True, "threads": 1}
    assert "ValueError: no such detector" in left_out["C"]
    assert "has ended" in left_out["D"]
    assert left_out["E"] == "not installed"
    assert "chatter" in (tmp_path / "log").read_text(encoding="utf-8")


def record(row, ours, peer=None, *, rmse=0.0009):
    def one(name, times):
        return {
            "work": 6e6,
            "versions": {name: "1.0"},
            "runs": [{"wall_s": wall, "cpu_s": 2 * wall, "load": 0.5} for wall in times],
            "peak_mb": 500.0,
            "found": {"relative_rmse": rmse},
        }

    sides = {"lungtwin": one("lungtwin", ours)} | ({"itk-rtk": one("itk-rtk", peer)} if peer else {})
    return {
        "row": row,
        "date": "2026-11-21T12:00:00+00:00",
        "commit": "abc",
        "machine": {"cpu": "a chip", "cores": 2, "memory_gib": 8, "system": "Linux", "python": "3.12.0"},
        "threads": 2,
        "tiny": False,
        "sides": sides,
        "left_out": {} if peer else {"itk-rtk": "no wheel"},
    }


def test_ratios_are_of_medians_and_their_range_is_of_rounds():
    one = record("project_v512", [2.0, 1.0, 3.0], [8.0, 9.0, 6.0])
    assert figures.ratio(one, "wall_s") == pytest.approx(8.0 / 2.0)
    assert figures.ratio_range(one, "wall_s") == pytest.approx((2.0, 9.0))
    assert figures.ratio(record("project_v512", [2.0]), "wall_s") is None


def test_the_rate_without_start_up_is_that_of_the_views_beyond_a_short_scan():
    side = {"work": 100.0, "runs": [{"wall_s": 12.0}], "found": {"start_up_views": 8, "start_up_s": 4.0}}
    assert figures.steady_rate(side, 88) == pytest.approx(100.0 * 80 / 88 / 8.0)
    assert figures.steady_rate({**side, "found": {}}, 88) is None


def test_a_speed_at_too_large_an_error_does_not_count():
    row = rows.pick("project_v512")[0]
    good, bad = (record("project_v512", [2.0], [8.0], rmse=rmse) for rmse in (0.0009, 0.0011))
    assert figures.counts(row, good["sides"]["lungtwin"])
    assert not figures.counts(row, bad["sides"]["lungtwin"])
    assert "does not count" not in tables.beside_peers({"project_v512": good})
    text = tables.beside_peers({"project_v512": bad})
    assert "0.110 % (above 0.10 %: **does not count**)" in text
    assert "**4.0** (4.0-4.0); 3.8: met" in text
    assert "3 M readings/s (1.5); 2.5 (aim 4): met" in text


def test_verdicts_name_bar_and_aim():
    assert figures.verdict(2.0, 2.5, 4.0) == "2.5 (aim 4): missed"
    assert figures.verdict(4.0, 2.5, 4.0) == "2.5 (aim 4): aim met"
    assert figures.verdict(100.0, 130.0, 80.0, at_most=True) == "130 (aim 80): met"
    assert figures.verdict(131.0, 130.0, None, at_most=True, unit=" s") == "130 s: missed"
    assert figures.verdict(1.0, None, None) == ""


def test_the_page_changes_between_its_markers_alone():
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.between_markers(page, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    with pytest.raises(ValueError, match=r"must hold the lines <!-- bench:begin -->"):
        report.between_markers("no markers", "new")


def test_the_page_names_machine_versions_and_who_is_missing(tmp_path):
    text = report.section({"project_v512": record("project_v512", [2.0])})
    assert "Measured 2026-11-21 on a chip, 2 cores, 8 GiB, Linux, Python 3.12.0; threads: 2; lungtwin 1.0" in text
    assert "Not measured: itk-rtk in project_v512 (no wheel); LEAP" in text
    assert "LEAP (no package on PyPI" in text
    assert "| not measured |" in text


def test_only_results_of_the_machine_that_was_used_last_are_reported(tmp_path):
    here, there = record("project_v512", [2.0], [8.0]), record("project_v256", [2.0], [8.0])
    there["machine"] = {**there["machine"], "cpu": "another"}
    there["date"] = "2026-11-20T12:00:00+00:00"
    for one in (here, there):
        (tmp_path / f"{one['row']}.jsonl").write_text(json.dumps(one) + "\n", encoding="utf-8")
    assert list(report.newest(tmp_path)) == ["project_v512"]


def test_a_result_in_which_lungtwin_failed_hides_no_older_one(tmp_path):
    good, failed = record("project_v512", [2.0], [8.0]), record("project_v512", [2.0], [8.0])
    del failed["sides"]["lungtwin"]
    (tmp_path / "project_v512.jsonl").write_text(json.dumps(good) + "\n" + json.dumps(failed) + "\n", encoding="utf-8")
    assert report.newest(tmp_path)["project_v512"] == good


def test_growth_is_drawn_from_medians_in_order():
    def point(what, x, *cpu):
        return {"what": what, "x": x, "work": 1.0, "runs": [{"wall_s": 9 * one, "cpu_s": one} for one in cpu]}

    points = [point("FDK", 2, 4.0, 8.0, 5.0), point("FDK", 1, 2.0), point("projection", 1, 3.0)]
    assert plots.curves(points) == {"FDK": [(1, 2.0), (2, 5.0)], "projection": [(1, 3.0)]}
    assert plots.curves(points, by_wall=True)["FDK"][1] == (2, 45.0)
