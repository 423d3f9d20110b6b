"""MONAI, LUNA16 and COCO: boxes and centres land on the nodules through each reader's own arithmetic."""

import csv
import json
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk

from flows.exports import SplitSpec

from .readers import reader_python

SPLIT = SplitSpec.parse("train=0.4,val=0.3,test=0.3")


def test_monai_boxes_enclose_the_masks_to_a_voxel(source, exported):
    root = exported("monai")
    data = json.loads((root / "datalist.json").read_text(encoding="utf-8"))
    assert [len(entry["box"]) for entry in data["training"]] == [2, 2, 1, 1]
    assert [len(entry["box"]) for entry in data["training_without_nodules"]] == [0, 0]
    images = {image.id: image for image in source.images}
    for entry in data["training"]:
        image = images[entry["image"].split("/")[-1].removesuffix(".nii.gz")]
        file = sitk.ReadImage(str(root / entry["image"]))
        instances = image.instances()
        for nodule, (x, y, z, w, h, d) in zip(image.nodules(mimics=False), entry["box"], strict=True):
            assert max(abs(w - h), abs(w - d)) < 1e-9  # a ball
            assert w == pytest.approx(nodule.number("equivalent_diameter_mm"), abs=0.5)  # two voxels of the truth
            low = file.TransformPhysicalPointToContinuousIndex((x - w / 2, y - h / 2, z - d / 2))[::-1]
            high = file.TransformPhysicalPointToContinuousIndex((x + w / 2, y + h / 2, z + d / 2))[::-1]
            held = np.argwhere(instances == nodule.mask_value)
            # the mask holds voxels that are at least half full: its faces lie within one voxel inside of the box
            assert np.all(held.min(axis=0) - 0.5 >= np.array(low) - 0.5)
            assert np.all(held.min(axis=0) - 0.5 <= np.array(low) + 1)
            assert np.all(held.max(axis=0) + 0.5 <= np.array(high) + 0.5)
            centre = file.TransformPhysicalPointToContinuousIndex(nodule.centre_mm)[::-1]
            assert np.abs((np.array(low) + high) / 2 - centre).max() < 0.5


def test_hard_negatives_are_boxes_of_another_class_only_when_asked_for(exported):
    labels = json.loads((exported("monai", mimics=True) / "datalist.json").read_text(encoding="utf-8"))["training"][0][
        "label"
    ]
    assert labels == [0, 0, 1]
    names = {
        e["nodule_id"][-1]
        for e in json.loads((exported("monai") / "datalist.json").read_text(encoding="utf-8"))["training"]
    }
    assert "scar" not in names


def test_sides_are_monais_keys(exported):
    data = json.loads((exported("monai", split=SPLIT) / "datalist.json").read_text(encoding="utf-8"))
    names = {key: {entry["image"].split("/")[1].split("_")[0] for entry in entries} for key, entries in data.items()}
    sides = {key.removesuffix("_without_nodules"): set() for key in names}
    for key, twins in names.items():
        sides[key.removesuffix("_without_nodules")] |= twins
    assert set(sides) == {"training", "validation", "test"}
    assert sorted(t for twins in sides.values() for t in twins) == ["ann", "bob", "cyd"]


@pytest.mark.slow
def test_monais_own_box_transforms_find_each_nodule_within_half_a_voxel(source, exported, tmp_path):
    code = """
import json, sys, numpy as np
from monai.apps.detection.transforms.dictionary import AffineBoxToImageCoordinated, ConvertBoxToStandardModed
from monai.data import load_decathlon_datalist
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, EnsureTyped
root = sys.argv[1]
chain = Compose([
    LoadImaged(keys=["image"], meta_key_postfix="meta_dict"),
    EnsureChannelFirstd(keys=["image"]),
    EnsureTyped(keys=["image", "box"]),
    EnsureTyped(keys=["label"], dtype=__import__("torch").long),
    ConvertBoxToStandardModed(box_keys=["box"], mode="cccwhd"),
    AffineBoxToImageCoordinated(box_keys=["box"], box_ref_image_keys="image", affine_lps_to_ras=True),
])
out = {}
for item in load_decathlon_datalist(root + "/datalist.json", True, "training", base_dir=root):
    done = chain(item)
    boxes = np.asarray(done["box"], dtype=float)
    out[item["image"].split("/")[-1]] = (0.5 * (boxes[:, :3] + boxes[:, 3:])).tolist()
json.dump(out, open(sys.argv[2], "w"))
"""
    done = subprocess.run(
        [reader_python("monai"), "-c", code, str(exported("monai")), str(tmp_path / "boxes.json")],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "boxes.json").read_text(encoding="utf-8"))
    assert len(found) == 4
    for image in source.images:
        for nodule, centre in zip(image.nodules(mimics=False), found.get(f"{image.id}.nii.gz", []), strict=True):
            # MONAI's arrays are (x, y, z); a ball's box has its centre
            assert np.abs(np.array(centre[::-1]) - image.grid().world_to_index(nodule.centre_mm)).max() < 1e-3


def test_luna16_volumes_are_the_images_and_annotations_hit_their_nodules(source, exported):
    root = exported("luna16")
    series = {row["seriesuid"]: row for row in csv.DictReader((root / "series.csv").open(encoding="utf-8"))}
    images = {image.id: image for image in source.images}
    rows = list(csv.DictReader((root / "annotations.csv").open(encoding="utf-8")))
    assert list(rows[0]) == ["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"]
    assert len(rows) == 6
    for row in rows:
        volume = sitk.ReadImage(str(root / series[row["seriesuid"]]["subset"] / f"{row['seriesuid']}.mhd"))
        image = images[series[row["seriesuid"]]["image_id"]]
        np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), image.hu()[0])
        np.testing.assert_allclose(volume.GetOrigin(), image.grid().origin_mm, atol=1e-6)
        point = [float(row[f"coord{axis}"]) for axis in "XYZ"]
        index = volume.TransformPhysicalPointToContinuousIndex(point)
        nearest = min(
            image.nodules(mimics=False), key=lambda nodule: np.abs(np.subtract(nodule.centre_mm, point)).max()
        )
        assert np.abs(np.array(index[::-1]) - image.grid().world_to_index(nearest.centre_mm)).max() < 0.5
        assert image.instances()[tuple(np.rint(index[::-1]).astype(int))] == nearest.mask_value
        assert float(row["diameter_mm"]) == nearest.number("mean_diameter_mm")


def test_luna16_candidates_have_hard_negatives_as_class_0(exported):
    rows = list(csv.DictReader((exported("luna16") / "candidates.csv").open(encoding="utf-8")))
    assert [row["class"] for row in rows] == ["1", "1", "0", "1", "1", "0", "1", "1"]


def test_luna16_subsets_are_the_sides(exported):
    root = exported("luna16", split=SplitSpec.parse("folds=3"))
    assert sorted(p.name for p in root.iterdir() if p.is_dir()) == ["subset0", "subset1", "subset2"]
    assert all(len(list((root / f"subset{i}").glob("*.mhd"))) == 2 for i in range(3))


# its compiled part asks numpy for an array in the old way
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_is_read_by_its_own_tools_and_masks_are_those_of_the_slices(source, exported, capsys):
    coco_tools = pytest.importorskip("pycocotools.coco")
    root = exported("coco")
    coco = coco_tools.COCO(root / "instances_train.json")
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["nodule"]
    images, seen = {image.id: image for image in source.images}, {}
    for annotation in coco.loadAnns(coco.getAnnIds()):
        (entry,) = coco.loadImgs(annotation["image_id"])
        image = images[entry["scan"]]
        mask = coco.annToMask(annotation).astype(bool)
        name = annotation["instance"].split("/")[1]
        (nodule,) = [n for n in image.nodules(mimics=False) if n.id == name]
        np.testing.assert_array_equal(mask, image.instances()[entry["slice"]] == nodule.mask_value)
        assert annotation["area"] == mask.sum()
        x, y, w, h = annotation["bbox"]
        ys, xs = np.nonzero(mask)
        assert (x, y, w, h) == (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)
        part = seen.setdefault(annotation["instance"], [])
        part += [(entry["slice"], b, a) for b, a in zip(ys, xs, strict=True)]
    assert len(seen) == 6
    for instance, voxels in seen.items():
        image = images[instance.split("/")[0]]
        (nodule,) = [n for n in image.nodules(mimics=False) if n.id == instance.split("/")[1]]
        index = image.grid().world_to_index(nodule.centre_mm)
        assert np.abs(np.mean(voxels, axis=0) - index).max() < 0.5


def test_coco_slices_are_windowed_and_every_nth_slice_without_a_nodule_is_there(source, exported):
    root = exported("coco", slice_step=3)
    data = json.loads((root / "instances_train.json").read_text(encoding="utf-8"))
    annotated = {annotation["image_id"] for annotation in data["annotations"]}
    for image in source.images:
        has = np.isin(image.instances(), [n.mask_value for n in image.nodules(mimics=False)]).any(axis=(1, 2))
        entries = [entry for entry in data["images"] if entry["scan"] == image.id]
        assert {e["slice"] for e in entries if e["id"] in annotated} == set(np.flatnonzero(has).tolist())
        others = [e["slice"] for e in entries if e["id"] not in annotated]
        assert others == np.flatnonzero(~has)[::3].tolist()
    entry = data["images"][0]
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(root / entry["file_name"])))
    hu = next(image for image in source.images if image.id == entry["scan"]).hu()[0][entry["slice"]]
    expected = np.clip((hu + 1000.0) / 1400 * 255, 0, 255)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - expected).max() <= 0.5
