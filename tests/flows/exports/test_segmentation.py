"""Decathlon and nnU-Net: read by SimpleITK and nibabel, on the images' geometry, each nodule where it belongs."""

import json
import subprocess

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from flows.exports import SplitSpec

from .readers import reader_python

SPLIT = SplitSpec.parse("train=0.6,test=0.4")


def nodules_of(source, name, *, mimics=False):
    (image,) = [image for image in source.images if image.id == name]
    return image.nodules(mimics=mimics)


def test_the_decathlon_lists_pairs_that_agree_and_hold_every_nodule_at_its_place(source, exported):
    root = exported("msd", split=SPLIT)
    data = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    assert data["labels"] == {"0": "background", "1": "nodule"}
    assert data["modality"] == {"0": "CT"}
    assert data["numTraining"] == len(data["training"]) == 4
    assert data["numTest"] == len(data["test"]) == 2
    for pair in data["training"]:
        image, label = nibabel.load(root / pair["image"]), nibabel.load(root / pair["label"])
        np.testing.assert_array_equal(image.affine, label.affine)
        voxels = np.asarray(label.dataobj)
        assert set(np.unique(voxels)) <= {0, 1}
        name = pair["image"].split("/")[-1].removesuffix(".nii.gz")
        for nodule in nodules_of(source, name):
            x, y, z = nodule.centre_mm
            index = np.linalg.inv(label.affine) @ (-x, -y, z, 1)  # NIfTI is RAS+
            assert voxels[tuple(np.rint(index[:3]).astype(int))] == 1


def test_hard_negatives_are_background_unless_asked_for(source, exported):
    plain = sitk.ReadImage(str(exported("msd") / "labelsTr/ann_low.nii.gz"))
    asked = sitk.ReadImage(str(exported("msd", mimics=True) / "labelsTr/ann_low.nii.gz"))
    (scar,) = [nodule for nodule in nodules_of(source, "ann_low", mimics=True) if nodule.kind == "scar"]
    index = plain.TransformPhysicalPointToIndex(scar.centre_mm)
    assert (plain[index], asked[index]) == (0, 2)
    assert (
        json.loads((exported("msd", mimics=True) / "dataset.json").read_text(encoding="utf-8"))["labels"]["2"]
        == "mimic"
    )


def test_nnunet_finds_consecutive_labels_channels_and_geometry(exported):
    root = exported("nnunet", split=SPLIT) / "Dataset501_Made"
    data = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    assert data["labels"] == {"background": 0, "nodule": 1}
    assert data["channel_names"] == {"0": "CT"}
    names = sorted(p.name for p in (root / "imagesTr").iterdir())
    assert len(names) == data["numTraining"] == 4
    for name in names:
        image = sitk.ReadImage(str(root / "imagesTr" / name))
        label = sitk.ReadImage(str(root / "labelsTr" / name.replace("_0000", "")))
        assert image.GetSize() == label.GetSize()
        assert image.GetSpacing() == label.GetSpacing()
        assert image.GetOrigin() == label.GetOrigin()
        assert image.GetDirection() == label.GetDirection()


@pytest.mark.parametrize("text", [None, "train=0.4,val=0.3,test=0.3", "folds=3"])
def test_nnunets_own_folds_keep_twins_together(exported, text):
    root = exported("nnunet", split=None if text is None else SplitSpec.parse(text)) / "Dataset501_Made"
    folds = json.loads((root / "splits_final.json").read_text(encoding="utf-8"))
    assert len(folds) == (1 if text and "val" in text else 3)
    training = {p.name.removesuffix(".nii.gz") for p in (root / "labelsTr").iterdir()}
    for fold in folds:
        assert {*fold["train"], *fold["val"]} == training
        assert not {i.split("_")[0] for i in fold["train"]} & {i.split("_")[0] for i in fold["val"]}
    if len(folds) > 1:
        assert sorted(image for fold in folds for image in fold["val"]) == sorted(training)


@pytest.mark.slow
def test_nnunets_own_checker_passes(exported):
    root = exported("nnunet", split=SPLIT) / "Dataset501_Made"
    code = (
        "import sys\n"
        "from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity\n"
        "if __name__ == '__main__':\n"
        "    verify_dataset_integrity(sys.argv[1], num_processes=1)\n"
    )
    script = root.parent.parent / "check_nnunet.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [reader_python("nnunetv2"), str(script), str(root)], capture_output=True, encoding="utf-8", timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "verify_dataset_integrity Done" in done.stdout
    assert "Warning" not in done.stdout.replace("UserWarning", "")


@pytest.mark.slow
def test_monais_decathlon_loader_reads_the_lists(exported):
    root = exported("msd", split=SPLIT)
    code = (
        "import sys\n"
        "from monai.data import load_decathlon_datalist\n"
        "print(len(load_decathlon_datalist(sys.argv[1], True, 'training')))\n"
        "print(load_decathlon_datalist(sys.argv[1], True, 'training')[0]['label'])\n"
    )
    done = subprocess.run(
        [reader_python("monai"), "-c", code, str(root / "dataset.json")],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["4", str(root / "labelsTr/ann_high.nii.gz")]
