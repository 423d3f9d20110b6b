"""What all exports share: they read sound datasets only, touch nothing, appear whole, and give the same bytes again."""

import json
import shutil

import pytest

from flows.exports import FORMATS, ExportOptions, SplitSpec, export_dataset
from flows.exports import export as door

from .finished import seal


def bytes_of(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


FROM_FILES = [name for name in FORMATS if name not in ("xcist", "sinograms")]
"""Formats that need no real twin."""


@pytest.mark.parametrize("name", FROM_FILES)
def test_an_export_is_the_same_bytes_again_and_leaves_the_dataset_alone(finished, exported, tmp_path, name):
    before = bytes_of(finished)
    again = export_dataset(finished, name, tmp_path / "again")
    assert bytes_of(again) == bytes_of(exported(name))
    assert bytes_of(finished) == before
    assert [p.name for p in tmp_path.iterdir()] == ["again"]  # nothing is left beside it


def test_the_record_says_what_was_exported_and_how(finished, exported):
    root = exported("msd", mimics=True, split=SplitSpec.parse("train=0.6,test=0.4"))
    record = json.loads((root / "lungtwin_export.json").read_text(encoding="utf-8"))
    assert (record["format"], record["dataset"]) == ("msd", "made")
    assert record["options"]["mimics"] is True
    assert record["options"]["split"]["fractions"] == {"train": 0.6, "test": 0.4}
    lines = (root / "splits.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image_id,lineage,split"
    assert len(lines) == 7


@pytest.mark.parametrize("name", ["images/ann_low.nii.gz", "masks/bob_high.nii.gz", "nodules.csv", "manifest.csv"])
def test_a_damaged_dataset_is_refused_by_the_name_of_the_file_and_nothing_appears(copy, tmp_path, name):
    (copy / name).write_bytes((copy / name).read_bytes()[:-7])
    with pytest.raises(ValueError, match=rf"{name.split('/')[-1]}: changed since the build"):
        export_dataset(copy, "msd", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]


def test_a_missing_file_and_an_unfinished_dataset_are_refused(copy, tmp_path):
    (copy / "truth/bob.h5").unlink()
    with pytest.raises(ValueError, match="bob.h5: missing"):
        export_dataset(copy, "monai", tmp_path / "out")
    (copy / "digests.sha256").unlink()
    (copy / ".store").mkdir()
    with pytest.raises(ValueError, match="has not finished"):
        export_dataset(copy, "monai", tmp_path / "out")


def test_a_dataset_that_is_built_again_meanwhile_is_noticed(copy, tmp_path, monkeypatch):
    def rebuilt(job):
        (copy / "CARD.md").write_text("another\n", encoding="utf-8")
        seal(copy)

    monkeypatch.setattr("flows.exports.msd.write", rebuilt)
    with pytest.raises(ValueError, match="built again while it was exported"):
        export_dataset(copy, "msd", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_needs_a_place_of_its_own(finished, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="exists already"):
        export_dataset(finished, "msd", tmp_path / "mine")
    with pytest.raises(ValueError, match="lies in the dataset"):
        export_dataset(finished, "msd", finished / "msd")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        export_dataset(finished, "msd", tmp_path / "no" / "where")


def test_an_unknown_format_and_a_missing_package_are_named(finished, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="did you mean 'nnunet'"):
        export_dataset(finished, "nnunnet", tmp_path / "out")
    monkeypatch.setitem(door.FORMATS, "x", door.Format("msd", "", ("no_such_package_here",), "dicom"))
    with pytest.raises(ValueError, match=r"needs the package no_such_package_here: pip install 'lungtwin\[dicom\]'"):
        export_dataset(finished, "x", tmp_path / "out")


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="dataset_id"):
        ExportOptions(dataset_id=1000)
