"""The report's facts and pictures: what it shows is what the dataset holds."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binom

from flows import Dataset
from flows.report import charts, previews, quality, targets, write_report
from flows.report.facts import distinct
from flows.report.tissues import compare
from flows.volumes import read_volume
from twins import Grid

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page(dataset) -> str:
    return dataset.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pictures(page) -> list[dict]:
    found = re.findall(r'<script type="application/json" id="p\d+">(.*?)</script>', page)
    return [json.loads(text) for text in found]


def pixels(data: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))


def area_and_centroid(path: str) -> tuple[float, float, float]:
    """Area inside the loops of an SVG path of straight lines and its centroid (shoelace formulas)."""
    total = np.zeros(3)
    for loop in path.removesuffix("Z").split("Z"):
        xy = np.array([pair.split() for pair in loop.removeprefix("M").split("L")], float)
        (x, y), (u, v) = xy.T, np.roll(xy, -1, axis=0).T
        cross = x * v - u * y
        total += cross.sum() / 2, ((x + u) * cross).sum() / 6, ((y + v) * cross).sum() / 6
    area, x_moment, y_moment = total
    return abs(area), x_moment / area, y_moment / area


def test_the_report_says_which_values_of_the_scanner_are_estimated(page):
    (note,) = [line for line in page.splitlines() if "siemens_definition_as:" in line and "estimated" in line]
    listed = note.split("Estimated: ")[1]
    assert "bowties" in listed
    assert "protocols.screening_low_dose" in listed
    assert "source_distance_mm" not in listed  # published


def test_every_image_and_every_nodule_of_it_has_its_picture(dataset, pictures):
    assert len(pictures) == len(dataset.manifest)
    for row, found in zip(dataset.manifest, pictures, strict=True):
        lines = dataset.nodules_of(row["image_id"])
        assert [nodule is not None for nodule in found["nodules"]] == [line["in_image"] == "true" for line in lines]
        for nodule in filter(None, found["nodules"]):
            assert pixels(nodule["src"]).shape == (nodule["px"], 3 * nodule["px"])
            assert nodule["path"].count("M") >= 3  # a loop in each plane at least


def test_the_page_names_nothing_outside_the_dataset(page, dataset):
    assert "http://" not in page
    assert "https://" not in page
    for address in re.findall(r'(?:href|src)="([^"#]+)"', page):
        assert (dataset.report.parent / address).resolve().is_relative_to(dataset.root.resolve())
        assert (dataset.report.parent / address).is_file()


def test_the_clock_is_in_run_and_never_in_the_page(dataset, page):
    (record,) = (dataset.root / "run").glob("build-*.json")
    facts = json.loads(record.read_text(encoding="utf-8"))
    times = (dataset.root / "run" / "times.js").read_text(encoding="utf-8")
    assert facts["began"].replace("T", " ").removesuffix("Z") in times
    assert facts["began"][:10] not in page
    assert facts["platform"] not in page


def test_a_report_made_again_has_the_same_bytes(dataset, page):
    assert write_report(dataset).read_text(encoding="utf-8") == page


def test_contours_are_the_exact_boundary(dataset, pictures):
    row = dataset.manifest[0]
    truth = dataset.truth(row)
    for i, found in enumerate(pictures[0]["nodules"]):
        step = found["mm"] / found["px"]
        corner = [c - found["mm"] / 2 + step / 2 for c in truth.nodules[i].centre_mm]
        slab = Grid((1, found["px"], found["px"]), (step,) * 3, (*corner[:2], truth.nodules[i].centre_mm[2]))
        inside = truth.occupancy(slab, i)[0].astype(float)
        y, x = np.mgrid[0 : found["px"], 0 : found["px"]] + 0.5
        centroid = ((x * inside).sum() / inside.sum(), (y * inside).sum() / inside.sum())
        axial = "".join(
            loop + "Z" for loop in found["path"].split("Z") if loop and float(loop[1:].split()[0]) < found["px"]
        )
        area, *place = area_and_centroid(axial)
        assert area == pytest.approx(inside.sum(), rel=0.03)
        assert place == pytest.approx(centroid, abs=0.2)


def test_the_nodule_is_bright_inside_its_contour(dataset, pictures):
    big = pictures[1 if dataset.manifest[0]["scan_id"] == "low" else 0]["nodules"][0]
    square = pixels(big["src"])[:, : big["px"]].astype(float)
    middle = big["px"] // 2
    near = square[middle - 8 : middle + 9, middle - 8 : middle + 9].mean()
    assert near > np.median(square) + 20


def test_a_place_is_where_the_mask_is(dataset, pictures):
    for row, found in zip(dataset.manifest, pictures, strict=True):
        mask, _ = read_volume(dataset.root / row["mask_file"])
        for line, place in zip(dataset.nodules_of(row["image_id"]), found["places"], strict=True):
            index = tuple(int(place[axis] * n) for axis, n in zip("zyx", mask.shape, strict=True))
            assert mask[index] == int(line["mask_value"])


def test_previews_hold_ct_numbers_to_a_few_steps():
    z, y, x = np.mgrid[0:6, 0:64, 0:64]
    hu = (-900 + 25 * y + 5 * x + 10 * z).astype(np.int16)
    found = previews.preview(hu, Grid(hu.shape, (5.0, 1.0, 1.0), (0.0, 0.0, 0.0)), previews.Detail(64, 6, 32, 80))
    sheet = pixels(found["src"]).astype(float)
    tile = sheet[:64, :64]  # the first slice, at the feet
    shown = np.interp(tile, previews.KNOTS, previews.KNOTS_HU)
    soft = (hu[0] > -150) & (hu[0] < 250)
    assert np.abs(shown - hu[0])[soft].mean() < 12  # 4 HU a step
    assert np.abs(shown - hu[0]).mean() < 25


def test_a_volume_stored_from_head_to_foot_gives_the_same_preview():
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 500, (5, 24, 24)).astype(np.int16)
    detail = previews.Detail(24, 5, 32, 80)
    straight = previews.preview(hu, Grid(hu.shape, (2.0, 1.0, 1.0), (0.0, 0.0, 0.0)), detail)
    turned = Grid(hu.shape, (2.0, 1.0, 1.0), (23.0, 23.0, 8.0), (-1, 0, 0, 0, -1, 0, 0, 0, -1))
    assert previews.preview(hu[::-1, ::-1, ::-1], turned, detail) == straight


@pytest.mark.parametrize("window", list(previews.WINDOWS))
def test_a_window_shows_the_grey_that_its_level_and_width_ask_for(window):
    level, width = previews.WINDOWS[window]
    hu = np.arange(-1024, 1400, 7)
    shown = np.array(previews.window_table(window))[previews.as_bytes(hu)]
    step_hu = np.where(hu < -200, 10, np.where(hu < 300, 4, 30))
    assert np.all(np.abs(shown - np.clip((hu - level) / width + 0.5, 0, 1)) <= 0.51 * step_hu / width + 1e-4)


def test_a_histogram_counts_every_value_once():
    drawing = charts.histogram({"a": [1.0, 2.0, 3.0], "b": [3.0, 9.9, 10.0]}, "size [mm]", "nodules")
    assert sum(int(n) for n in re.findall(r"<title>[^<]*: (\d+) [ab]</title>", drawing)) == 6
    assert "size [mm]" in drawing


def test_bars_are_as_long_as_their_numbers():
    drawing = charts.bars([("one", [10.0], None), ("two", [30.0], 20.0)], "nodules")
    widths = [float(w) for w in re.findall(r'<rect class="c0"[^>]* width="([\d.]+)"', drawing)]
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.2)


def test_the_range_of_outcomes_is_the_binomial_one_where_all_are_equally_likely():
    assert targets.count_range(np.full(40, 0.2)) == (binom.ppf(0.025, 40, 0.2), binom.ppf(0.975, 40, 0.2))


def test_a_share_far_from_its_target_is_called_outside(dataset):
    rows = [
        {
            "cohort": "c",
            "figure": f"sex={sex}",
            "unit": "share",
            "n": "200",
            "achieved": got,
            "target": "0.5",
            "p_value": "0.5",
        }
        for sex, got in (("female", "0.61"), ("male", "0.55"))
    ]
    rows.append(
        {
            "cohort": "c",
            "figure": "age_y",
            "unit": "years",
            "n": "200",
            "achieved": "70",
            "target": "61",
            "p_value": "1e-9",
        }
    )
    cohort, outcomes = targets.targets(dataset.study, rows, dataset.nodules)
    assert [line.is_inside for line in cohort.lines] == [False, True, False]  # 0.5 +- 0.069
    assert outcomes.lines[0].n == len(distinct(dataset.nodules)) == 2
    assert targets.tally([cohort])["outside"] == 2


def test_the_recorded_acceptance_is_that_of_the_accuracy_page():
    spec = importlib.util.spec_from_file_location("record", ROOT / "scripts" / "record_acceptance.py")
    record = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(record)
    fresh = record.recorded((ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8"))
    kept = json.loads(quality.RECORDED.read_text(encoding="utf-8"))
    assert fresh == kept, "python scripts/record_acceptance.py"
    assert len(kept["profiles"]) == 11


def acceptance(profile: str, **changes) -> dict:
    row = {
        "examination": "water",
        "quantity": "Water",
        "condition": "120 kV",
        "measured": 3.0,
        "low": -1.0,
        "high": 1.0,
    }
    row |= {"bar": "0 +- 1", "unit": "HU", "passed": False, "how": ""}
    return {
        "format": "lungtwin qa",
        "version": 2,
        "profile": profile,
        "level": "full",
        "passed": False,
        "rows": [row],
    } | changes


def test_an_acceptance_that_is_handed_in_counts_before_the_recorded_one(dataset, tmp_path):
    file = tmp_path / "qa.json"
    (before,) = quality.profiles(dataset.study)
    assert before.lines
    assert "recorded 20" in before.origin
    file.write_text(json.dumps(acceptance("siemens_definition_as")), encoding="utf-8")
    (after,) = quality.profiles(dataset.study, [file])
    assert (after.n_missed, after.lines[0].measured) == (1, "3 HU")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(acceptance("philips_ict")), "does not use: siemens_definition_as"),
        (json.dumps(acceptance("siemens_definition_as", version=1)), "is no qa.json"),
        ("not json", "is no qa.json"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_acceptance_of_the_study_is_refused(dataset, tmp_path, content, said):
    file = tmp_path / "qa.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said) as error:
        quality.profiles(dataset.study, [file])
    assert str(file) in str(error.value)


def test_tissues_are_compared_over_the_same_voxels():
    from twins import Structure

    anatomy = np.full((6, 40, 40), int(Structure.MUSCLE), np.uint16)
    original = np.full(anatomy.shape, 50, np.int16)
    mask = np.zeros(anatomy.shape, np.uint8)
    mask[:, 18:22, 18:22] = 1
    simulated = np.where(mask, 900, 58).astype(np.int16)
    (line,) = compare(original, simulated, anatomy, mask)
    assert (line.tissue, line.difference_hu) == ("muscle", 8.0)


def test_a_dataset_of_an_older_version_is_refused_by_what_it_lacks(dataset, tmp_path):
    root = tmp_path / "old"
    root.mkdir()
    for name in ("digests.sha256", "manifest.csv", "study.yaml"):
        (root / name).write_bytes((dataset.root / name).read_bytes())
    table = (dataset.root / "nodules.csv").read_text(encoding="utf-8")
    (root / "nodules.csv").write_text(table.replace(",is_mimic,", ",was_mimic,", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no card\.json, is_mimic in nodules\.csv; build it again"):
        write_report(Dataset.open(root))
    assert not (root / "report").exists()
