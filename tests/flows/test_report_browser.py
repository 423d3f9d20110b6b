"""The report in a browser: headless Chromium, steered by Playwright; skipped where either is missing."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows import Dataset
from flows.report import write_report
from flows.volumes import read_volume, write_volume

N_MANY = 1000


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e .[browser]")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_api.sync_playwright() as playwright:
        if program is None and not Path(playwright.chromium.executable_path).is_file():
            say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            say("no Chromium: apt install chromium, or playwright install chromium")
        # the sandbox refuses to run for root
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=program, args=options)
        yield running
        running.close()


@pytest.fixture
def visit(browser):
    """Opens a dataset's page; afterwards there must have been no error, and no request but for its own files."""
    seen: list[str] = []
    pages = []

    def visit(dataset: Dataset, width: int = 1200, height: int = 800):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: seen.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.append(str(error)))
        own = (dataset.report.as_uri(), (dataset.root / "run" / "times.js").as_uri())
        page.on("request", lambda r: None if r.url.startswith(("data:", *own)) else seen.append(r.url))
        page.goto(dataset.report.as_uri())
        pages.append(page)
        return page

    yield visit
    for page in pages:
        page.close()
    assert seen == []


def names(page) -> list[str]:
    return page.locator(".card > b, .card .head > b").all_text_contents()  # also of those off the screen


def choose(page, name: str, value: str) -> None:
    page.locator(f'input[name="{name}"][value="{value}"]').check(force=True)


def grey(element) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("L"), float)


def test_the_gallery_filters_searches_and_sorts(visit, dataset):
    page = visit(dataset)
    ids = [row["image_id"] for row in dataset.manifest]
    assert names(page) == sorted(ids)
    page.click("#turn")
    assert names(page) == sorted(ids, reverse=True)
    page.select_option('select[data-key="scan"]', "high")
    assert names(page) == ["woman_high"]
    assert page.inner_text("#count") == f"1 of {len(ids)} images"
    page.click("#clear")
    assert len(names(page)) == len(ids)
    choose(page, "what", "nodules")
    assert len(names(page)) == len(dataset.nodules)
    page.select_option("#sort", "volume")
    lines = page.locator(".card .line:nth-of-type(2)").all_text_contents()
    shown = [float(line.split(" · ")[2].split()[0]) for line in lines]
    assert shown == sorted(shown, reverse=True)  # the order is still turned
    page.fill('input[data-key="diameter>"]', "15")
    assert set(names(page)) == {"big"}
    page.fill("#search", "high")
    assert len(names(page)) == 1
    page.fill("#search", "nowhere")
    assert "Nothing fits" in page.inner_text("#items")


def test_the_table_holds_every_row_and_sorts_by_a_click_on_its_head(visit, dataset):
    page = visit(dataset)
    choose(page, "what", "nodules")
    choose(page, "as", "table")
    assert page.locator("#items tbody tr").count() == len(dataset.nodules)
    page.click('#items th button[data-key="volume"]')
    assert page.locator('#items th[aria-sort="ascending"]').inner_text().startswith("volume")
    first = page.locator("#items tbody tr").first.inner_text().split()[0]
    assert first == min(dataset.nodules, key=lambda row: float(row["volume_mm3"]))["nodule_id"]


def test_the_viewer_steps_through_slices_planes_windows_and_images(visit, dataset):
    page = visit(dataset)
    page.locator(".card").first.click()
    page.wait_for_selector("#viewer canvas[data-slice]")
    canvas = page.locator("#viewer canvas")
    at = int(canvas.get_attribute("data-slice"))
    before = grey(canvas)
    page.keyboard.press("ArrowUp")
    assert int(canvas.get_attribute("data-slice")) == at + 1
    assert np.abs(grey(canvas) - before).mean() > 0.2
    page.keyboard.press("ArrowDown")
    np.testing.assert_array_equal(grey(canvas), before)
    lung = before
    page.keyboard.press("2")
    mediastinum = grey(canvas)
    page.keyboard.press("3")
    bone = grey(canvas)
    # narrow windows are black in lung; bone shows soft tissue darker than the mediastinal window does
    assert np.median(lung) > np.median(mediastinum)
    assert (mediastinum > 200).mean() > (bone > 200).mean()
    page.keyboard.press("1")
    page.keyboard.press("a")
    assert page.locator('input[name="viewer-plane"]:checked').get_attribute("value") == "coronal"
    assert grey(canvas).shape != lung.shape
    title = page.inner_text("#viewer-title")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f'document.getElementById("viewer-title").textContent !== "{title}"')
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()


def test_show_in_slices_goes_to_the_nodule(visit, dataset):
    page = visit(dataset)
    page.locator(".card").first.click()
    page.wait_for_selector("#viewer canvas[data-slice]")
    page.click("#viewer .nodule button")
    row = sorted(dataset.manifest, key=lambda row: row["image_id"])[0]
    line = dataset.nodules_of(row["image_id"])[0]
    n_kept = int(page.get_attribute("#slice", "max")) + 1
    asked = (float(line["index_z"]) + 0.5) / int(row["n_z"]) * n_kept
    assert abs(int(page.locator("#viewer canvas").get_attribute("data-slice")) + 0.5 - asked) <= 1
    assert page.locator("#viewer .slice .mark").count() >= 1
    page.keyboard.press("c")
    assert not page.locator("#viewer .slice .mark").first.is_visible()


def test_everything_can_be_reached_by_keys(visit, dataset):
    page = visit(dataset)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("woman_low")
    assert len(names(page)) == 1
    page.keyboard.press("Escape")
    assert len(names(page)) == 2
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.className") == "card"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer canvas[data-slice]")
    opened = page.inner_text("#viewer-title")
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.className === 'card'")
    assert opened in page.evaluate("document.activeElement.innerText")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()


@pytest.mark.parametrize("width", [320, 360, 800])
def test_nothing_is_wider_than_a_narrow_screen(visit, dataset, width):
    page = visit(dataset, width, 700)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".card").first.click()
    page.wait_for_selector("#viewer canvas[data-slice]")
    assert page.evaluate("document.getElementById('viewer').scrollWidth") <= width


def test_the_times_of_the_build_are_read_when_they_are_looked_at(visit, dataset):
    page = visit(dataset)
    page.locator("#times").scroll_into_view_if_needed()
    page.wait_for_selector("#times table")
    assert "of computing" in page.inner_text("#times")


def many(dataset: Dataset, root: Path) -> Dataset:
    """A dataset of as many rows as wanted from a small one: the same files under many names."""
    shutil.copytree(dataset.root, root)
    for name, key in (("manifest.csv", "image_id"), ("nodules.csv", "image_id")):
        with (root / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        copies = [
            {**row, key: f"{row[key]}-{k:04d}", "lineage_id": f"person-{k:04d}"}
            for k in range(N_MANY // len(dataset.manifest))
            for row in rows
        ]
        with (root / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(copies)
    return Dataset.open(root)


@pytest.mark.slow
def test_a_thousand_images_open_filter_and_show(visit, dataset, tmp_path):
    large = many(dataset, tmp_path / "many")
    write_report(large)
    page = visit(large)
    assert page.inner_text("#count") == f"{N_MANY} images"
    assert page.locator(".card").count() < 200  # the rest comes as one scrolls
    page.fill("#search", "0499")
    assert len(names(page)) == len(dataset.manifest)
    page.locator(".card").first.click()
    page.wait_for_selector("#viewer canvas[data-slice]")
    assert large.report.stat().st_size < 100e6


def test_a_host_is_shown_beside_its_simulated_scan(visit, dataset, tmp_path):
    root = tmp_path / "host"
    shutil.copytree(dataset.root, root)
    with (root / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    hu, grid = read_volume(root / rows[0]["image_file"])
    (root / "originals").mkdir()
    write_volume(root / "originals" / "own.nii.gz", np.clip(hu - 40, -1024, None).astype(np.int16), grid)
    rows[0]["original_file"] = "originals/own.nii.gz"
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    host = Dataset.open(root)
    write_report(host)
    page = visit(host)
    assert "40.0" in page.inner_text("#hosts table")
    page.locator(".card", has_text=rows[0]["image_id"]).click()
    page.wait_for_selector("#viewer canvas[data-slice]")
    assert page.locator("#viewer .stage figcaption").all_inner_texts() == ["original CT", "simulated"]
    page.keyboard.press("2")
    original, simulated = (grey(canvas).mean() for canvas in page.locator("#viewer canvas").all())
    assert original < simulated
