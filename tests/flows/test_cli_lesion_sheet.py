"""Contact sheets: one scale for all, every nodule or the reason why it has none, one file that stands alone."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from scipy.ndimage import label

import twins
from flows.cli import main
from flows.report.sheet import CAPTION_PT, FIELDS_MM, GAP_PX, Cell, _caption, field_for, picture
from lesions import Nodule
from lesions.classes import examples, tags_of
from lesions.images import Resolution
from lesions.images.closeup import TECHNIQUES, Technique, closeup, noise
from tests.lesions.synthetic_thorax import block

PLACE = (40.3, -20.2, 24.6)
BALL = {"sh_sd": 0.0, "sh_sd_l2": 0.0, "margin_mm": 0.0, "texture_sd_hu": 0.0}


@pytest.fixture(scope="module")
def lung():
    return block((50, 50, 64), 2.5, vessel=False)


@pytest.fixture(scope="module")
def twin_file(lung, tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "block.h5"
    twins.save(lung, path)
    return path


def clear(spacing=(1.0, 0.7, 0.7)) -> Technique:
    return Technique(Resolution(1.4, 1.0), spacing, 0.0)


def test_a_closeup_reads_the_hu_of_the_object_and_the_width_of_the_psf(lung):
    spec = Nodule(id="a", key=1, equivalent_diameter_mm=16.0, solid_hu=40.0, centre_mm=PLACE, **BALL)
    shown = closeup(lung, spec, clear((1.0, 0.25, 0.25)), field_mm=30.0)
    middle = tuple(n // 2 for n in shown.hu.shape)
    assert shown.hu[middle] == pytest.approx(40, abs=1)
    assert shown.hu[middle[0], middle[1], 0] == pytest.approx(-841, abs=2)  # 0.16 g/cm3 of lung tissue and air
    line = shown.hu[middle[0], middle[1], middle[2] :].astype(float)
    low, high = line[-1], line[0]
    at = np.interp([-(low + 0.9 * (high - low)), -(low + 0.1 * (high - low))], -line, 0.25 * np.arange(len(line)))
    # 10-90 % of a Gaussian edge: 1.088 FWHM; the curved edge in a 1 mm slice adds a little.
    assert at[1] - at[0] == pytest.approx(1.088 * 1.4, rel=0.06)
    # The change of the image sums to volume times contrast.
    empty = closeup(lung, spec.model_copy(update={"solid_hu": -100.0}), clear((1.0, 0.25, 0.25)), field_mm=30.0)
    change = float((shown.hu - empty.hu).sum(dtype=float)) * 1.0 * 0.25**2
    assert change == pytest.approx(140 * spec.target_volume_mm3, rel=0.01)


def test_noise_has_the_sd_and_the_spectrum_of_filtered_backprojection():
    technique = TECHNIQUES["thin"]
    field = noise(np.random.default_rng(3), (24, 64, 64), technique)
    assert field.std() == pytest.approx(technique.noise_sd_hu, rel=0.03)
    power = (np.abs(np.fft.fft2(field)) ** 2).mean(axis=0)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(64, 0.7), np.fft.fftfreq(64, 0.7)))

    def band(low, high):
        return power[(f > low) & (f < high)].mean()

    def theory(f):
        return f * np.exp(-4 * np.pi**2 * (1.4 / 2.3548) ** 2 * f**2)

    for low, high in ((0.06, 0.1), (0.3, 0.34)):
        expected = theory(0.5 * (low + high)) / theory(0.2)
        assert band(low, high) / band(0.18, 0.22) == pytest.approx(expected, rel=0.15)
    with pytest.raises(ValueError, match="give rng"):
        closeup(block((8, 8, 8)), Nodule(id="a", key=1, volume_mm3=100), technique, field_mm=20.0)


def test_pictures_have_one_scale_whatever_the_size(lung):
    for diameter in (6.0, 12.0):
        spec = Nodule(id="a", key=1, equivalent_diameter_mm=diameter, centre_mm=PLACE, **BALL)
        field = field_for(1.5 * diameter)
        grey = picture(closeup(lung, spec, clear((0.5, 0.5, 0.5)), field_mm=field), field, 4.0)
        side = round(4.0 * field)
        assert grey.shape == (2 * side + GAP_PX, 3 * side + 2 * GAP_PX)
        axial = grey[:side, :side].astype(float)
        bright = axial > 0.5 * (axial.max() + np.median(axial))
        pieces, _ = label(bright)
        inside = pieces == pieces[side // 2, side // 2]
        assert np.sqrt(4 / np.pi * inside.sum()) / 4.0 == pytest.approx(diameter, abs=0.25)
    assert FIELDS_MM[0] < field_for(30.0) <= FIELDS_MM[-1]


def test_the_page_stands_alone_and_filters_by_class(twin_file, tmp_path, capsys):
    page = tmp_path / "sheet.html"
    options = ["--cohort", "lidc", "--n", "3", "--largest", "7", "--twin", str(twin_file), "--seed", "3"]
    assert main(["lesions", "sample", *options, "--sheet", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "http" not in text
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    said = capsys.readouterr()
    n_missing = said.err.count("no place n0")
    assert len(pictures) + n_missing == 3
    assert len(pictures) >= 2
    from matplotlib.image import imread

    shapes = {imread(io.BytesIO(base64.b64decode(p)), format="png").shape[:2] for p in pictures}
    assert all(h == 2 * ((h - GAP_PX) // 2) + GAP_PX for h, _ in shapes)
    buttons = re.findall(r'data-tag="([^"]*)"', text)
    assert buttons[0] == ""
    for tags in re.findall(r'data-tags="\|([^"]*)\|"', text):
        assert set(tags.split("|")) <= set(buttons)
    again = tmp_path / "again.html"
    assert main(["lesions", "sample", *options, "--sheet", str(again)]) == 0
    assert again.read_bytes() == page.read_bytes()


def test_a_png_sheet_is_written_and_other_suffixes_are_refused(twin_file, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    options = ["--n", "2", "--largest", "8", "--twin", str(twin_file)]
    assert main(["lesions", "sample", *options, "--sheet", str(sheet)]) == 0
    assert sheet.read_bytes()[:4] == b"\x89PNG"
    assert main(["lesions", "sample", *options, "--sheet", str(tmp_path / "sheet.jpg")]) == 2
    assert ".png or .html" in " ".join(capsys.readouterr().err.split())
    assert main(["lesions", "sample", *options, "--technique", "blurry", "--sheet", str(sheet)]) == 2
    assert "none of thin, sharp, thick" in " ".join(capsys.readouterr().err.split())


def test_no_line_of_a_caption_is_wider_than_its_picture():
    from matplotlib.textpath import TextPath

    reason = "nodule 'W-01': no place in RIGHT_MIDDLE_LOBE is far enough from the vessels thicker than 2.0 mm: " * 2
    tags = ("part-solid", "spiculated", "lobulated", "calcium popcorn", "8-15 mm")
    for width in (225, 400):
        for cell in (
            Cell("WWW-0001", tags, "", reason=reason),
            Cell("n", ("solid",), "12.0 mm, 905 mm3, mean -569 HU, right middle lobe"),
        ):
            lines = _caption(cell, width)
            text = f"{cell.name} {', '.join(cell.tags)} {cell.reason or cell.caption}"
            assert " ".join(lines).split() == text.split()
            for line in lines:
                assert TextPath((0, 0), line, size=CAPTION_PT).get_extents().width * 100 / 72 <= width


def test_every_class_says_what_it_is():
    for name, nodule in examples().items():
        tags = tags_of(nodule)
        assert tags[-1] == "8-15 mm", name
        assert ("mimic" in tags) == nodule.is_mimic
    assert tags_of(examples()["solid spiculated"])[:3] == ("solid", "spiculated", "lobulated")
    assert "calcium popcorn" in tags_of(examples()["hamartoma"])
