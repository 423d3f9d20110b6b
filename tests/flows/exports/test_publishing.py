"""Croissant, Hugging Face and OME-Zarr: their own libraries read the records, the pictures and the places."""

import json
import subprocess

import nibabel
import numpy as np
import pytest

from flows.exports import SplitSpec

from .finished import GRID
from .readers import reader_python

SPLIT = SplitSpec.parse("train=0.4,val=0.3,test=0.3")


def run(package, code, *words):
    done = subprocess.run(
        [reader_python(package), "-c", code, *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        env={"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HF_HOME": str(words[-1]), "HOME": str(words[-1])},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_mlcroissant_finds_no_error_and_reads_the_nodules(finished, exported, tmp_path):
    root = exported("croissant")
    code = """
import json, sys, mlcroissant
data = mlcroissant.Dataset(sys.argv[1])
assert not data.metadata.issues.errors, data.metadata.issues.errors
rows = [{k: (v.decode() if isinstance(v, bytes) else v) for k, v in row.items()} for row in data.records("nodules")]
print(json.dumps([[r["nodules/image_id"], r["nodules/nodule_id"], r["nodules/x_lps_mm"]] for r in rows]))
print(len(list(data.records("manifest"))))
"""
    rows, n = run("mlcroissant", code, root / "croissant.json", tmp_path).splitlines()
    assert json.loads(rows) == [
        [image, nodule, x]
        for twin, nodules in (("ann", (("big", -9.0), ("small", 11.0), ("scar", 10.0))), ("bob", (("only", 10.4),)))
        for image in (f"{twin}_high", f"{twin}_low")
        for nodule, x in nodules
    ]
    assert n == "6"


def test_the_croissant_lists_every_file_that_is_there(finished, exported):
    root = exported("croissant")
    data = json.loads((root / "croissant.json").read_text(encoding="utf-8"))
    files = {entry["@id"] for entry in data["distribution"] if entry["@type"] == "cr:FileObject"}
    assert files == {"manifest.csv", "nodules.csv", "CARD.md", "study.yaml"}
    sets = [entry["includes"] for entry in data["distribution"] if entry["@type"] == "cr:FileSet"]
    assert sets == ["images/*.nii.gz", "masks/*.nii.gz", "mimics/*.nii.gz", "anatomy/*.nii.gz"]
    # one person has a hard negative, in two scans
    assert [len(list(root.glob(pattern))) for pattern in sets] == [6, 6, 2, 6]
    kinds = {field["name"]: field["dataType"] for field in data["recordSet"][1]["field"]}
    assert (kinds["x_lps_mm"], kinds["nodule_id"], kinds["probability"]) == ("sc:Float", "sc:Text", "sc:Text")


@pytest.mark.slow
def test_datasets_loads_the_folders_and_finds_each_nodule_in_the_picture(source, exported, tmp_path):
    root = exported("huggingface", split=SPLIT)
    code = """
import json, sys, numpy as np
from datasets import load_dataset
data = load_dataset("niftifolder", data_dir=sys.argv[1], cache_dir=sys.argv[2])
out = {}
for side, rows in data.items():
    for row in rows:
        image = row["nifti"]
        voxels = np.asarray(image.dataobj)
        for nodule in json.loads(row["nodules"]):
            x, y, z = (nodule[f"{a}_lps_mm"] for a in "xyz")
            index = np.rint(np.linalg.inv(image.affine) @ (-x, -y, z, 1))[:3].astype(int)
            out[f"{row['image_id']}/{nodule['nodule_id']}"] = [side, int(voxels[tuple(index)]), nodule["label"]]
print(json.dumps(out))
print(sorted(data))
"""
    found, sides = run("datasets", code, root, tmp_path).splitlines()
    assert sides == "['test', 'train', 'validation']"
    found = json.loads(found)
    assert len(found) == 6
    assert {key: value[2] for key, value in found.items()}["ann_low/big"] == "malignant"
    for key, (_, hu, _) in found.items():
        image = next(image for image in source.images if image.id == key.split("/")[0])
        nodule = next(nodule for nodule in image.nodules(mimics=False) if nodule.id == key.split("/")[1])
        assert hu == image.hu()[0][tuple(np.rint(GRID.world_to_index(nodule.centre_mm)).astype(int))]


def test_the_hub_folder_has_a_card_and_a_line_per_image(exported):
    root = exported("huggingface", split=SPLIT)
    assert (root / "README.md").read_text(encoding="utf-8").startswith("---\npretty_name: made\n")
    lines = [
        json.loads(line)
        for path in root.glob("*/metadata.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(lines) == 6
    for line in lines:
        (image,) = root.glob(f"*/{line['file_name']}")
        mask = nibabel.load(image.parent.parent / line["mask_file_name"])
        np.testing.assert_array_equal(nibabel.load(image).affine, mask.affine)
        assert {n["mask_value"] for n in json.loads(line["nodules"])} <= set(
            np.unique(np.asarray(mask.dataobj)).tolist()
        )


@pytest.mark.slow
def test_ome_zarr_reads_levels_places_and_labels(source, exported, tmp_path):
    root = exported("ome-zarr")
    code = """
import json, sys, numpy as np
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
nodes = list(Reader(parse_url(sys.argv[1]))())
image, labels = nodes[0], [n for n in nodes if "labels" in str(n.zarr.path) and len(n.data)][-1]
hu, half, mask = (np.asarray(a) for a in (image.data[0], image.data[1], labels.data[0]))
np.savez(sys.argv[2] + "/read.npz", hu=hu, half=half, mask=mask)
print(json.dumps(image.metadata["coordinateTransformations"]))
print([a["name"] if isinstance(a, dict) else a for a in image.metadata["axes"]])
"""
    (image,) = [image for image in source.images if image.id == "ann_low"]
    moves, axes = run("ome_zarr", code, root / "ann_low.zarr", tmp_path).splitlines()
    read = np.load(tmp_path / "read.npz")
    hu, grid = image.hu()
    np.testing.assert_array_equal(read["hu"], hu)
    np.testing.assert_array_equal(read["mask"], image.instances())
    assert axes == "['z', 'y', 'x']"
    scale, shift = (move[key] for move, key in zip(json.loads(moves)[0], ("scale", "translation"), strict=True))
    assert tuple(scale) == grid.spacing_mm
    assert tuple(shift) == grid.origin_mm[::-1]
    for nodule in image.nodules(mimics=False):
        index = (np.array(nodule.centre_mm[::-1]) - shift) / scale
        held = np.argwhere(read["mask"] == nodule.mask_value)
        assert np.abs(held.mean(axis=0) - index).max() < 0.5
    assert read["half"].shape == (24, 20, 24)
    assert read["half"].mean() == pytest.approx(hu.mean(), abs=0.2)  # rounding to whole HU


def test_the_bytes_of_a_zarr_level_are_the_voxels(source, exported):
    """Without a library: chunks are zlib streams of little-endian int16, padded at the far ends."""
    import zlib

    home = exported("ome-zarr") / "bob_low.zarr/0"
    about = json.loads((home / ".zarray").read_text(encoding="utf-8"))
    (image,) = [image for image in source.images if image.id == "bob_low"]
    assert about["shape"] == list(GRID.shape)
    chunk = np.frombuffer(zlib.decompress((home / "0/0/0").read_bytes()), about["dtype"]).reshape(about["chunks"])
    np.testing.assert_array_equal(chunk[: GRID.shape[0]], image.hu()[0])
