"""Label ids of other tools, Lung-DDPM's lattice and 2-D classes: geometry, sides and ids as their readers take them."""

import csv
import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from flows.exports import SplitSpec
from flows.exports.label_maps import MAISI, TOTALSEGMENTATOR
from flows.exports.lungs import filled_lungs
from flows.volumes import averaged, resized
from twins import Grid, Structure
from twins.importers.schemes import scheme

from .finished import GRID, TWO, anatomy, write_finished


def at(volume, point_mm):
    return volume[volume.TransformPhysicalPointToIndex(point_mm)]


CX, CY, _ = GRID.centre_mm


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        # left upper, left lower, right upper, right middle, right lower, trachea, left and right clavicle
        ("totalsegmentator", (10, 11, 12, 13, 14, 16, 73, 74)),
        ("maisi", (28, 29, 30, 31, 32, 57, 91, 92)),
    ],
)
def test_lobes_trachea_and_paired_bones_have_the_tools_ids_at_their_places(exported, name, ids):
    labels = sitk.ReadImage(str(exported(name) / "labels/cyd_low.nii.gz"))
    image = sitk.ReadImage(str(exported(name) / "images/cyd_low.nii.gz"))
    assert labels.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_allclose(labels.GetOrigin(), image.GetOrigin())
    # +x is the patient's left, +z the head
    places = [(8, 2, -80), (8, 2, -110), (-8, 2, -70), (-8, 2, -91), (-8, 2, -110), (0, -1, -90), (11, -9, -70)]
    places.append((-11, -9, -70))
    assert tuple(at(labels, (CX + x, CY + y, float(z))) for x, y, z in places) == ids


@pytest.mark.parametrize(("which", "ids"), [("totalsegmentator_v2", TOTALSEGMENTATOR), ("maisi", MAISI)])
def test_numbers_are_those_by_which_the_importer_reads_such_labels(which, ids):
    known = scheme(which).labels
    for structure, number in ids.items():
        if structure in (Structure.HEART_MUSCLE, Structure.PERICARDIAL_FAT, Structure.CORONARY_ARTERY):
            assert known[number][0] == Structure.HEART  # one organ there
        elif number == 20:
            assert which == "maisi"  # VISTA3D's whole lung
        elif isinstance(number, tuple):
            assert [known[n][0] for n in number] == [structure, structure]
            assert ["left" in known[n][1] for n in number] == [True, False]
        else:
            assert known[number][0] == structure


def test_vessels_inside_a_lung_are_lung_and_hilar_ones_are_not(exported):
    for name, inside, outside in (("totalsegmentator", 10, 0), ("maisi", 28, 200)):
        labels = sitk.ReadImage(str(exported(name) / "labels/cyd_low.nii.gz"))
        assert at(labels, (CX + 8, CY, -80.0)) == inside
        assert at(labels, (CX, CY - 9, -90.0)) == outside


def test_nodules_are_maisis_lung_tumour_and_lie_beside_totalsegmentators_labels(source, exported):
    (image,) = [image for image in source.images if image.id == "ann_low"]
    maisi = nibabel.load(exported("maisi") / "labels/ann_low.nii.gz")
    total = nibabel.load(exported("totalsegmentator") / "nodules/ann_low.nii.gz")
    for file, value in ((maisi, 23), (total, 1)):
        voxels = np.asarray(file.dataobj)
        for nodule in image.nodules(mimics=True):
            x, y, z = nodule.centre_mm
            index = np.rint(np.linalg.inv(file.affine) @ (-x, -y, z, 1))[:3].astype(int)
            assert (voxels[tuple(index)] == value) == (not nodule.is_mimic)
    rows = {row["value"]: row for row in csv.DictReader((exported("maisi") / "labels.csv").open(encoding="utf-8"))}
    assert rows["23"] == {"value": "23", "structures": "NODULE", "occurs": "true"}
    assert rows["28"]["structures"] == "LEFT_UPPER_LOBE"
    assert rows["1"]["occurs"] == "false"


def test_the_lungs_are_filled_by_the_lobe_around():
    structure = anatomy()
    lungs = filled_lungs(structure, GRID)
    assert set(np.unique(lungs[structure == Structure.LUNG_VESSEL])) == {13, 14}
    assert not lungs[structure == Structure.PULMONARY_ARTERY].any()
    aerated = np.isin(structure, [10, 11, 12, 13, 14])
    np.testing.assert_array_equal(lungs[aerated], structure[aerated])
    assert not filled_lungs(np.zeros((3, 4, 5), np.uint16), Grid((3, 4, 5), (1.0, 1.0, 1.0))).any()


def test_lung_ddpm_has_its_lattice_and_values_and_the_affine_covers_the_same_box(source, exported):
    root = exported("lung-ddpm")
    for image in source.images:
        ct, seg = (nibabel.load(root / folder / f"{image.id}.nii.gz") for folder in ("CT", "SEG"))
        np.testing.assert_array_equal(ct.affine, seg.affine)
        assert ct.shape == seg.shape == (128, 128, 128)
        values = np.asarray(seg.dataobj)
        assert set(np.unique(values)) == ({0, 1, 2} if image.nodules(mimics=False) else {0, 1})
        first = np.array([-1, -1, 1]) * (ct.affine @ (-0.5, -0.5, -0.5, 1))[:3]
        last = np.array([-1, -1, 1]) * (ct.affine @ (127.5, 127.5, 127.5, 1))[:3]
        np.testing.assert_allclose(first, GRID.index_to_world((-0.5, -0.5, -0.5)), atol=1e-4)
        np.testing.assert_allclose(last, GRID.index_to_world(np.array(GRID.shape) - 0.5), atol=1e-4)
        assert np.asarray(ct.dataobj).mean() == pytest.approx(image.hu()[0].mean(), abs=0.05)  # rounding to whole HU
        inverse = np.linalg.inv(seg.affine)
        for nodule in image.nodules(mimics=False):
            x, y, z = nodule.centre_mm
            held = np.argwhere(values == 2)
            centre = (inverse @ (-x, -y, z, 1))[:3]
            radius = 0.5 * nodule.number("equivalent_diameter_mm") / np.abs(np.diag(seg.affine)[:3])
            mine = held[np.all(np.abs(held - centre) < radius + 2, axis=1)]
            assert np.abs(mine.mean(axis=0) - centre).max() < 0.5
            volume = len(mine) * np.abs(np.linalg.det(seg.affine[:3, :3]))
            assert volume == pytest.approx(nodule.number("volume_mm3"), rel=0.05)


def test_the_new_voxels_share_the_old_box():
    assert resized(Grid((512, 512, 512), (1.0, 0.7, 0.7)), (128, 128, 128)).spacing_mm == (4.0, 2.8, 2.8)


def test_averaging_keeps_means_of_every_part():
    rng = np.random.Generator(np.random.Philox(key=3))
    array = rng.normal(size=(7, 256, 130)).astype(np.float32)
    out = averaged(array, (128, 128, 128))
    assert out.mean() == pytest.approx(array.mean(), abs=1e-6)
    np.testing.assert_allclose(out[:, 0, :].mean(), array[:, :2, :].mean(), atol=1e-5)
    np.testing.assert_allclose(averaged(np.full((3, 5, 9), 7, np.int16), (128, 128, 128)), 7, rtol=1e-6)


def test_2d_classes_have_sides_and_the_slice_through_each_nodule(source, exported):
    root = exported("slices", slice_step=3)
    assert [c["name"] for c in json.loads((root / "classes.json").read_text(encoding="utf-8"))][2:4] == [
        "left lung",
        "right lung",
    ]
    names = sorted(p.name for p in (root / "nodule_images").iterdir())
    assert len(names) == 6
    for name in names:
        labels = sitk.GetArrayFromImage(sitk.ReadImage(str(root / "nodule_labels" / name)))
        colours = sitk.GetArrayFromImage(sitk.ReadImage(str(root / "nodule_labels_rgb" / name)))
        assert labels.shape == GRID.shape[1:]
        assert colours.shape == (*labels.shape, 3)
        assert set(np.unique(labels)) == {0, 1, 2, 3, 4, 5}
        image_id, nodule_id, z = name.removesuffix(".png").rsplit("_", 2)
        (nodule,) = [n for i in source.images if i.id == image_id for n in i.nodules(mimics=False) if n.id == nodule_id]
        k, y, x = GRID.world_to_index(nodule.centre_mm)
        assert abs(k - int(z[1:])) <= 0.5
        held = np.argwhere(labels == 5)
        near = held[np.abs(held - (y, x)).max(axis=1) < 10]
        assert np.abs(near.mean(axis=0) - (y, x)).max() < 0.5
        columns = np.arange(labels.shape[1])
        assert columns[(labels == 2).any(axis=0)].mean() > columns[(labels == 3).any(axis=0)].mean()  # left is at +x
        np.testing.assert_array_equal(colours[labels == 5], [[255, 0, 0]] * (labels == 5).sum())
    for path in (root / "labels").iterdir():
        assert not (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) == 5).any()


def test_sides_of_2d_classes_are_folders(exported):
    root = exported("slices", split=SplitSpec.parse("train=0.6,test=0.4"))
    assert sorted(p.name for p in root.iterdir() if p.is_dir()) == ["test", "train"]


def test_a_dataset_without_anatomy_says_what_it_lacks(tmp_path):
    from flows.exports import export_dataset
    from flows.tables import read_table, write_table

    from .finished import seal

    root = write_finished(tmp_path / "bare", TWO[:1], ("low",))
    rows = [{**row, "anatomy_file": ""} for row in read_table(root / "manifest.csv")]
    write_table(root / "manifest.csv", rows)
    seal(root)
    with pytest.raises(ValueError, match="needs anatomy labels"):
        export_dataset(root, "maisi", tmp_path / "out")
    assert (export_dataset(root, "coco", tmp_path / "coco") / "instances_train.json").is_file()
