"""Planted faults: whatever is wrong in a dataset's images or in an export of it is found and named."""

import csv
import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from flows.cli import main
from flows.dataset import Dataset
from flows.exports import ExportOptions, SplitSpec, export_dataset
from flows.exports.checking import check_export
from flows.image_checks import COPY_CORRELATION, Pictures, mark_of
from flows.tables import read_table, write_table
from flows.verification import masks as masks_of
from flows.volumes import read_volume, write_volume

from .finished import GRID, TWO, Person, seal, write_finished

SPLIT = SplitSpec.parse("train=0.6,test=0.4")


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture
def export(finished, exported, tmp_path):
    """A copy of an export, to be spoilt, and what is then found."""

    def make(name, **options):
        return shutil.copytree(exported(name, **options), tmp_path / name)

    return make


def problems(findings):
    return "\n".join(problem for finding in findings for problem in finding.problems)


def change(path, edit):
    array, grid = read_volume(path)
    write_volume(path, edit(array), grid)


def test_sound_images_pass_and_all_are_judged(finished):
    pictures = Pictures(Dataset.open(finished))
    assert pictures.tissues() == (18, [])  # air, lung and muscle of six images
    assert pictures.contrasts() == (6, [])
    assert pictures.duplicates() == (6, [])


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda hu: (hu + 1024).clip(-1024, 3000), "ann_low: air around the body has a median of 24 HU"),
        (lambda hu: hu // 2, "ann_low: lung has a median of -4"),
        (lambda hu: hu + 250 * (hu > -500), "ann_low: muscle and liver has a median of 2"),
    ],
)
def test_images_off_the_hounsfield_scale_are_found(copy, edit, found):
    change(copy / "images/ann_low.nii.gz", lambda hu: edit(hu).astype(np.int16))
    n, tissues = Pictures(Dataset.open(copy)).tissues()
    assert n == 18
    assert found in "\n".join(tissues)
    assert all(text.startswith("ann_low: ") for text in tissues)


def test_images_that_were_swapped_are_found_by_their_nodules(copy):
    a, b = copy / "images/ann_low.nii.gz", copy / "images/cyd_low.nii.gz"
    a_bytes = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(a_bytes)
    found = Pictures(Dataset.open(copy)).contrasts()[1]
    assert [text.split(":")[0] for text in found] == ["ann_low big", "ann_low small"]


def test_a_mask_that_was_shifted_is_found_by_its_nodules(copy):
    change(copy / "masks/bob_high.nii.gz", lambda mask: np.roll(mask, -9, axis=1))
    found = Pictures(Dataset.open(copy)).contrasts()[1]
    assert len(found) == 1
    assert found[0].startswith("bob_high only: stands out by")


def test_masks_of_hard_negatives_that_lack_one_or_lie_elsewhere_are_found(copy):
    assert masks_of(Dataset.open(copy), iter)[1] == []
    change(copy / "mimics/ann_low.nii.gz", lambda mask: np.roll(mask, -9, axis=1))
    rows = read_table(copy / "manifest.csv")
    rows[0]["mimics_file"] = ""  # that of ann_high
    write_table(copy / "manifest.csv", rows)
    n, found = masks_of(Dataset.open(copy), iter)
    assert n == len(read_table(copy / "nodules.csv"))
    assert found[0] == "ann_high: has hard negatives, but mimics_file is empty"
    assert "mimics/ann_low.nii.gz: differs from what the truth gives on this geometry" in found
    assert "ann_low scar: the mask is not where the nodule is" in found
    assert {text.split()[0].strip(":") for text in found} == {"ann_high", "ann_low", "mimics/ann_low.nii.gz"}


@pytest.mark.parametrize("disguise", ["plain", "noise", "scale"])
def test_a_copy_under_another_name_is_found_however_it_is_disguised(copy, disguise):
    hu, grid = read_volume(copy / "images/ann_low.nii.gz")
    rng = np.random.Generator(np.random.Philox(key=1))
    if disguise == "noise":
        hu = hu + rng.normal(0, 20, hu.shape)
    elif disguise == "scale":
        hu = 0.9 * hu - 30
    write_volume(copy / "images/bob_high.nii.gz", hu.astype(np.int16), grid)
    n, found = Pictures(Dataset.open(copy)).duplicates()
    assert n == 6
    assert sorted(text.split(" (")[0] for text in found) == [
        "bob_high: its pixels are those of ann_high",
        "bob_high: its pixels are those of ann_low",
    ]


def test_halving_and_doubling_the_matrix_hides_no_copy():
    rng = np.random.Generator(np.random.Philox(key=2))
    one, other = (300 * gaussian_filter(rng.normal(size=(48, 192, 192)), 2.0) * 20 - 500 for _ in range(2))
    image = sitk.GetImageFromArray(one)
    half = sitk.Resample(image, [96, 96, 48], sitk.Transform(), sitk.sitkLinear, (0.5, 0.5, 0), (2, 2, 1))
    back = sitk.GetArrayFromImage(sitk.Expand(half, [2, 2, 1], sitk.sitkLinear))
    mark = mark_of(one).astype(float)
    assert mark @ mark_of(back) > COPY_CORRELATION
    assert mark @ mark_of(sitk.GetArrayFromImage(half)) > COPY_CORRELATION
    assert abs(mark @ mark_of(other)) < 0.1


@pytest.mark.parametrize("name", ["monai", "luna16", "coco", "nnunet"])
def test_an_export_as_it_was_made_is_sound(finished, exported, name):
    findings = check_export(finished, exported(name, split=SPLIT))
    assert problems(findings) == ""
    assert all(finding.n_checked > 0 for finding in findings)
    assert len(findings) == 3


def test_a_lineage_on_two_sides_is_found(finished, export):
    root = export("nnunet", split=SPLIT)
    rows = read_table(root / "splits.csv")
    rows[0]["split"] = {"train": "test", "test": "train"}[rows[0]["split"]]
    write_table(root / "splits.csv", rows[:-1])
    found = problems(check_export(finished, root))
    assert "one lineage on two sides: ann_low (test), ann_high (train)" in found or (
        "one lineage on two sides: ann_high (test), ann_low (train)" in found
    )
    assert "splits.csv: cyd_low is missing" in found


def test_a_lesion_in_two_twins_is_one_lineage(tmp_path):
    one = ("same", "nodule", "solid", (-9.0, -4.0, -100.0), 9.0, "benign")
    keys = {"same": 5}
    persons = [Person(name, [one], lesion_keys=keys) for name in ("ann", "bob")] + [TWO[2]]
    root = write_finished(tmp_path / "shared", persons, ("low",))
    out = export_dataset(root, "monai", tmp_path / "out", options=ExportOptions(split=SPLIT))
    sides = {row["image_id"]: row["split"] for row in read_table(out / "splits.csv")}
    assert sides["ann_low"] == sides["bob_low"] != sides["cyd_low"]


def test_a_shifted_box_and_a_swapped_label_are_named(finished, export):
    root = export("monai")
    data = json.loads((root / "datalist.json").read_text(encoding="utf-8"))
    data["training"][0]["box"][0][0] += 7.0
    data["training"][1]["malignancy"][1] = "malignant"
    (root / "datalist.json").write_text(json.dumps(data), encoding="utf-8")
    found = problems(check_export(finished, root))
    assert "datalist.json: training[0].box[0][0] is -2.0, should be -9.0" in found
    assert "datalist.json: training[1].malignancy[1] is malignant, should be benign" in found


def test_a_shifted_annotation_is_named(finished, export):
    root = export("luna16")
    rows = list(csv.DictReader((root / "annotations.csv").open(encoding="utf-8")))
    rows[2]["coordY"] = "0.5"
    write_table(root / "annotations.csv", rows)
    assert "annotations.csv: [2].coordY is 0.5, should be -4" in problems(check_export(finished, root))


def test_damaged_missing_and_foreign_files_are_found(finished, export):
    root = export("nnunet")
    home = root / "Dataset501_Made"
    change(home / "labelsTr/ann_low.nii.gz", lambda labels: labels * 0)
    (home / "imagesTr/bob_low_0000.nii.gz").unlink()
    (home / "imagesTr/new_0000.nii.gz").write_bytes(b"x")
    found = problems(check_export(finished, root))
    assert "labelsTr/ann_low.nii.gz: differs from what the dataset gives" in found
    assert "imagesTr/bob_low_0000.nii.gz: missing" in found
    assert "imagesTr/new_0000.nii.gz: does not belong to the export" in found


def test_an_export_of_another_dataset_and_a_folder_that_is_none_are_refused(copy, exported, tmp_path):
    (copy / "CARD.md").write_text("another\n", encoding="utf-8")
    seal(copy)
    assert "it was made of a dataset with the seal" in problems(check_export(copy, exported("monai")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is no export of lungtwin"):
        check_export(copy, tmp_path / "empty")


def test_the_command_line_exports_lists_and_checks(dataset, tmp_path, capsys):
    """On a dataset of the real chain: its export is sound, and a leak makes the status 1."""
    assert main(["export", str(dataset.root), "-f", "list"]) == 0
    assert "nnU-Net v2" in capsys.readouterr().out
    assert main(["export", str(dataset.root), "-f", "monai"]) == 2
    assert "--out is missing" in capsys.readouterr().err
    out = tmp_path / "monai"
    assert main(["export", str(dataset.root), "-f", "monai", "-o", str(out), "--quiet"]) == 0
    assert main(["verify", str(dataset.root), "--export", str(out), "--quiet"]) == 0
    assert "monai: no lineage is on two sides" in capsys.readouterr().out
    rows = read_table(out / "splits.csv")
    write_table(out / "splits.csv", [{**rows[0], "split": "test"}, *rows[1:]])
    assert main(["verify", str(dataset.root), "--export", str(out), "--quiet"]) == 1
    assert "one lineage on two sides" in capsys.readouterr().out
    boxes = json.loads((out / "datalist.json").read_text(encoding="utf-8"))["training"]
    for entry, row in zip(boxes, dataset.manifest, strict=True):
        mask, grid = read_volume(dataset.root / row["mask_file"])
        for line, (x, y, z, *_) in zip(dataset.nodules_of(row["image_id"]), entry["box"], strict=True):
            centre = [float(line[f"{axis}_lps_mm"]) for axis in "xyz"]
            assert np.abs(grid.world_to_index((x, y, z)) - grid.world_to_index(centre)).max() < 0.5
            held = np.argwhere(mask == int(line["mask_value"])).mean(axis=0)
            assert np.abs(grid.world_to_index((x, y, z)) - held).max() < 0.5


def test_grids_of_the_fixture_are_odd_enough():
    assert len({*GRID.shape, *GRID.spacing_mm}) == 6
