"""Every preset builds at preview scale, and shows what it is made to show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import minimum_filter, uniform_filter

import ctsim
from ctsim import Sampling
from flows import Dataset, build_dataset
from flows.study import load_study, preset_names
from flows.study.previews import preview_of
from flows.study.spec import Outputs, Preview
from flows.verification import verify
from flows.volumes import read_volume

COARSE = Preview(
    twin_spacing_mm=6.0,
    sampling=Sampling(views_per_rotation=64, column_binning=8, row_binning=16, rays_per_reading=1, scatter=False),
    matrix=64,
    slice_mm=5.0,
)


def coarse(name: str, folder) -> Dataset:
    study = load_study(name).model_copy(update={"preview": COARSE, "outputs": Outputs(anatomy=False, report=False)})
    return build_dataset(preview_of(study), folder)


def image_of(dataset: Dataset, row: dict[str, str]):
    hu, grid = read_volume(dataset.root / row["image_file"])
    return hu.astype(np.float64), grid


def test_a_counterfactual_pair_differs_where_the_nodule_is_and_nowhere_else(tmp_path):
    dataset = coarse("counterfactual", tmp_path / "out")
    without, whole = dataset.manifest
    assert (whole["left_out"], without["left_out"]) == ("", "n1 n2")
    assert whole["scan_key"] == without["scan_key"]
    (first, grid), (second, _) = image_of(dataset, whole), image_of(dataset, without)
    difference = np.abs(first - second)
    z, y, x = np.meshgrid(*grid.axes_mm(), indexing="ij")
    near = np.zeros(first.shape, bool)
    slices = np.zeros(first.shape, bool)
    for line in dataset.nodules:
        at = [float(line[f"{axis}_lps_mm"]) for axis in "xyz"]
        away = np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2)
        near |= away < 15
        slices |= np.abs(z - at[2]) < 60  # rows of 10 mm, and the cone's reach
    assert difference[near].max() > 50  # 5 and 6 mm in voxels of 6 mm
    assert slices.any()
    assert not slices.all()
    # the same noise: what is left is rounding to whole HU; fresh noise would differ by tens of HU everywhere
    assert difference[~slices].max() <= 1
    assert np.mean(difference[~slices] > 0) < 0.01
    assert {line["image_id"] for line in dataset.nodules} == {whole["image_id"]}
    assert dataset.targets[0]["cohort"] == "lidc"


def test_kernels_of_one_acquisition_show_one_noise(tmp_path, monkeypatch):
    detect, drawn = ctsim.detect, []
    monkeypatch.setattr(ctsim, "detect", lambda *a, **k: drawn.append(k["key"]) or detect(*a, **k), raising=False)
    dataset = coarse("kernel-ladder", tmp_path / "out")
    assert len(drawn) == 1
    assert {row["scan_key"] for row in dataset.manifest} == {str(drawn[0])}
    rows = {row["scan_id"]: row for row in dataset.manifest}
    images = [image_of(dataset, rows[name])[0] for name in ("b30f", "b50f")]
    fine = [image - uniform_filter(image, (1, 3, 3)) for image in images]
    inside = minimum_filter(images[0] > 0, 3)
    assert inside.sum() > 500
    assert np.corrcoef(*(n[inside] for n in fine))[0, 1] > 0.9
    assert [finding.problems for finding in verify(dataset.root) if "digests" in finding.check] == [(), ()]


@pytest.mark.slow
@pytest.mark.parametrize("name", preset_names())
def test_a_preset_builds_at_preview_scale_and_is_sound(name, tmp_path):
    dataset = build_dataset(load_study(name, preview=True), tmp_path / "out")
    problems = [problem for finding in verify(dataset.root) for problem in finding.problems]
    # voxels of 5 mm may leave little of a faint nodule
    assert [problem for problem in problems if "stands out by" not in problem] == []
    assert [bool(row["mimics_file"]) for row in dataset.manifest] == [
        int(row["n_mimics"]) > 0 for row in dataset.manifest
    ]
    assert dataset.report.is_file()
    assert dataset.study.question == load_study(name).question
