"""A CT with a label map: names from the labels, matter from the CT; labels that do not fit are refused."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from tests.twins.test_import_ct import SPACING_MM, at, mean_around, synthetic_chest, twin_hu, write
from twins.importers.ct import from_ct
from twins.importers.labels import read_labels, structures_on
from twins.importers.schemes import KNOWN, scheme
from twins.importers.shape import Shapes
from twins.importers.volume import read_volume
from twins.structures import LOBES, Structure


def labelled(chest):
    """TotalSegmentator v2 labels of the synthetic chest: upper and lower lobes by height, aorta, vertebra, liver."""
    nz, ny, nx = chest.shape
    dz, dy, dx = SPACING_MM
    z, y, x = np.meshgrid(
        (np.arange(nz) - nz / 2) * dz, (np.arange(ny) - 70) * dy, (np.arange(nx) - nx / 2) * dx, indexing="ij"
    )

    def ellipse(cx, cy, a, b):
        return ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1

    labels = np.zeros(chest.shape, np.uint8)
    right, left = ellipse(-68, -5, 55, 72), ellipse(68, -5, 55, 72)
    fissure = 0.5 * y
    labels[right & (z > fissure)], labels[right & (z <= fissure)] = 12, 14
    labels[left & (z > fissure)], labels[left & (z <= fissure)] = 10, 11
    labels[ellipse(0, 70, 18, 16)] = 37
    labels[ellipse(0, -30, 22, 26)] = 51
    labels[ellipse(0, 45, 12, 8)] = 5
    labels[ellipse(0, 20, 9, 9) & (z > -20)] = 16
    return labels


@pytest.fixture(scope="module")
def chest():
    return synthetic_chest()


@pytest.fixture(scope="module")
def files(chest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    return write(chest, folder / "chest.nii.gz"), write(labelled(chest), folder / "labels.nii.gz")


@pytest.fixture(scope="module")
def twin(files):
    return from_ct(files[0], labels=files[1], scheme="totalsegmentator_v2")


@pytest.mark.parametrize(
    ("x", "y", "z", "true_hu", "structure"),
    [
        (-80, -30, 30, -850, Structure.RIGHT_UPPER_LOBE),
        (-80, 30, -20, -850, Structure.RIGHT_LOWER_LOBE),
        (80, -30, 30, -850, Structure.LEFT_UPPER_LOBE),
        (80, 30, -20, -850, Structure.LEFT_LOWER_LOBE),
        (0, -30, 0, 200, Structure.HEART),
        (0, 70, 0, 150, Structure.VERTEBRA),
        (0, 45, 0, 50, Structure.LIVER),
        (0, 20, 0, -1000, Structure.TRACHEA),
        (0, -84, 0, 400, Structure.BONE),
        (-60, 10, 40, 50, Structure.LUNG_VESSEL),
        (-152, 0, 0, -100, Structure.FAT),
    ],
)
def test_labels_name_and_the_ct_fills(twin, x, y, z, true_hu, structure):
    k, j, i = at(twin, x, y, z)
    assert twin.structure[k, j, i] == structure
    if z == 0:
        assert mean_around(twin, twin_hu(twin), x, y, 1) == pytest.approx(true_hu, abs=8)


def test_lobes_have_the_volume_of_their_labels(twin, chest, files):
    numbers = sitk.GetArrayFromImage(sitk.ReadImage(str(files[1])))
    voxel = float(np.prod(SPACING_MM))
    vessels = 2 * np.pi * 4.5**2 * 40 * 3.0  # named vessels, not lobes
    ours = twin.is_any(LOBES).sum() * twin.grid.voxel_volume_mm3
    assert ours == pytest.approx(np.isin(numbers, [10, 11, 12, 14]).sum() * voxel - vessels, rel=0.01)
    for number, lobe in ((12, Structure.RIGHT_UPPER_LOBE), (11, Structure.LEFT_LOWER_LOBE)):
        ours = (twin.structure == lobe).sum() * twin.grid.voxel_volume_mm3
        assert ours == pytest.approx((numbers == number).sum() * voxel, rel=0.03)


def test_where_labels_come_from_is_kept(twin):
    account = twin.provenance["labels"]
    assert account["scheme"] == "totalsegmentator_v2"
    assert account["source"] == "labels.nii.gz"
    assert account["unknown_labels"] == []


def test_a_label_map_on_another_lattice_gives_the_same_names(files, chest, tmp_path):
    ct = read_volume(files[0])
    own = structures_on(read_labels(files[1], "totalsegmentator_v2"), ct.grid)
    _, ny, nx = chest.shape
    corner = (-200.0 + (nx - 1) * 2.0, -140.0 + (ny - 1) * 2.0, 30.0)
    turned = labelled(chest)[:, ::-1, ::-1]
    flipped = write(turned, tmp_path / "a.mha", direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1), origin=corner)
    np.testing.assert_array_equal(structures_on(read_labels(flipped, "totalsegmentator_v2"), ct.grid), own)
    cropped = write(labelled(chest)[5:, 10:], tmp_path / "b.nrrd", origin=(-200.0, -120.0, 45.0))
    part = structures_on(read_labels(cropped, "totalsegmentator_v2"), ct.grid)
    np.testing.assert_array_equal(part[5:, 10:], own[5:, 10:])
    assert not part[:5].any()


def test_any_lung_mask_tells_right_from_left(files, chest, tmp_path):
    ct = read_volume(files[0])
    both = np.isin(labelled(chest), [10, 11, 12, 14]).astype(np.uint8)
    found = structures_on(read_labels(write(both, tmp_path / "mask.nii.gz"), "lungs"), ct.grid)
    middle = both.shape[2] // 2
    assert (found[:, :, :middle][both[:, :, :middle] > 0] == Structure.RIGHT_LUNG).all()
    assert (found[:, :, middle:][both[:, :, middle:] > 0] == Structure.LEFT_LUNG).all()
    assert ((found > 0) == (both > 0)).all()


def test_an_own_table_in_yaml(files, chest, tmp_path):
    table = tmp_path / "own.yaml"
    table.write_text(
        "source: reading room\nlabels:\n  12: RIGHT_LUNG\n  10: {name: l, structure: LEFT_LUNG}\n", encoding="utf-8"
    )
    labels = read_labels(files[1], table)
    assert labels.unknown == (5, 11, 14, 16, 37, 51)
    assert set(np.unique(structures_on(labels, read_volume(files[0]).grid))) == {0, 15, 16}
    table.write_text("labels:\n  12: RIGTH_LUNG\n", encoding="utf-8")
    with pytest.raises(
        ValueError,
        match=r"own\.yaml:2: labels\.12: unknown structure 'RIGTH_LUNG'; did you mean 'RIGHT_LUNG'",
    ):
        read_labels(files[1], table)


def test_names_in_the_header_decide_and_nothing_else_does(chest, tmp_path):
    plain = write(labelled(chest), tmp_path / "plain.nii")
    with pytest.raises(ValueError, match="header does not say.*totalsegmentator_v2"):
        read_labels(plain)
    raw = bytearray(plain.read_bytes())
    xml = b'<LabelTable><Label Key="10" Red="1">lung_upper_lobe_left</Label><Label Key="5">liver</Label></LabelTable>'
    size = -(-(len(xml) + 8) // 16) * 16
    extension = struct.pack("<ii", size, 0) + xml.ljust(size - 8, b"\0")
    raw[108:112] = struct.pack("<f", 352.0 + size)
    raw[348:352] = b"\1\0\0\0"
    named = tmp_path / "named.nii.gz"
    named.write_bytes(gzip.compress(bytes(raw[:352]) + extension + bytes(raw[352:])))
    assert read_labels(named).scheme.name == "totalsegmentator_v2"
    wrong = named.with_name("wrong.nii.gz")
    wrong.write_bytes(gzip.compress(bytes(raw[:352]) + extension.replace(b"liver", b"colon") + bytes(raw[352:])))
    with pytest.raises(ValueError, match="header does not say"):
        read_labels(wrong)


def test_labels_that_do_not_lie_on_the_ct_are_refused(files, chest, tmp_path):
    with pytest.raises(ValueError, match=r"chest\.nii\.gz: the labelled lungs have a median of \d+ HU.*scheme"):
        from_ct(files[0], labels=files[1], scheme=_body_as_lung(tmp_path))
    mirrored = write(labelled(chest)[:, :, ::-1], tmp_path / "mirrored.nii.gz")
    with pytest.raises(ValueError, match=r"the right lung lies \d+ mm to the other side of the body's middle"):
        from_ct(files[0], labels=mirrored, scheme="totalsegmentator_v2")
    soft = np.where(labelled(chest) == 5, 74, labelled(chest)).astype(np.uint8)  # liver called clavicle
    with pytest.raises(ValueError, match=r"the labelled CLAVICLE is no bone: nine tenths of it lie below \d+ HU"):
        from_ct(files[0], labels=write(soft, tmp_path / "soft.nii.gz"), scheme="totalsegmentator_v2")
    away = write(labelled(chest), tmp_path / "away.nii.gz", origin=(2000.0, 0.0, 0.0))
    with pytest.raises(ValueError, match=r"away\.nii\.gz: its labels do not lie on the CT"):
        from_ct(files[0], labels=away, scheme="totalsegmentator_v2")
    with pytest.raises(ValueError, match="the labels hold 0 mL of lung"):
        from_ct(files[0], labels=write((labelled(chest) == 37) * np.uint8(37), tmp_path / "v.nii.gz"), scheme=KNOWN[0])
    with pytest.raises(ValueError, match="unknown label scheme 'totalsegmentor'"):
        from_ct(files[0], labels=files[1], scheme="totalsegmentor")
    with pytest.raises(ValueError, match=r"holds no label of lungmask_lobes; its labels are \[0, 37\]"):
        read_labels(tmp_path / "v.nii.gz", "lungmask_lobes")


def _body_as_lung(folder):
    path = folder / "wrong.yaml"
    path.write_text("labels:\n  37: RIGHT_LUNG\n  51: LEFT_LUNG\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", KNOWN)
def test_every_scheme_knows_the_five_lobes_and_repeats_no_name(name):
    labels = scheme(name).labels
    lobes = {s for s, _ in labels.values()} & set(LOBES)
    assert lobes == set(LOBES)
    assert len({label for _, label in labels.values()}) == len(labels)


def test_published_numbers_of_the_schemes():
    v2, v1, maisi = (scheme(n).labels for n in ("totalsegmentator_v2", "totalsegmentator_v1", "maisi"))
    assert v2[52][1] == "aorta"
    assert v2[116][1] == "sternum"
    assert v2[92][1] == "rib_left_1"
    assert v1[13][1] == "lung_upper_lobe_left"
    assert v1[58][1] == "rib_left_1"
    assert maisi[28][1] == "left lung upper lobe"
    assert maisi[115][1] == "heart"
    assert maisi[132][1] == "airway"
    assert (len(v2), len(v1)) == (117, 104)


def test_thick_slices_of_a_ball_become_a_ball_again():
    """A ball of 20 mm cut into slices of 5 mm: volume and cross-sections between the slices come back."""
    dz, d = 5.0, 1.0
    z, y, x = np.meshgrid(np.arange(-30, 31, dz), np.arange(-26, 27, d), np.arange(-26, 27, d), indexing="ij")
    numbers = (z**2 + y**2 + x**2 < 20.0**2).astype(np.uint8)
    shapes = Shapes(numbers, (dz, d, d))
    fine = np.arange(0, 60.1, 1.0) / dz
    first, depth, second, _ = shapes.at(fine, np.arange(53.0), np.arange(53.0))
    area = (first == 1).sum(axis=(1, 2))
    true = np.pi * np.clip(20.0**2 - (fine * dz - 30) ** 2, 0, None)
    middle = np.abs(fine * dz - 30) <= 14
    np.testing.assert_allclose(area[middle], true[middle], rtol=0.06)
    stairs = numbers[np.rint(fine).astype(int)].sum(axis=(1, 2))
    errors = [np.abs(a[middle].astype(float) - true[middle]).sum() for a in (area, stairs)]
    assert errors[0] < 0.5 * errors[1]
    assert (depth >= 0).all()
    assert {0, 1} <= set(np.unique(second)) <= {-1, 0, 1}


@pytest.mark.data
def test_a_real_abdomen_with_totalsegmentator_labels(real_data):
    """Lung bases, ribs and liver of a real CT; the labels' volumes come back, the HU too."""
    ct, labels = (real_data / f"upper_abdomen_{n}.nii.gz" for n in ("ct", "labels_totalsegmentator_v2"))
    if not (ct.is_file() and labels.is_file()):
        pytest.skip("no upper abdomen in the data folder")
    twin = from_ct(ct, labels=labels, scheme="totalsegmentator_v2")
    numbers, voxel = sitk.GetArrayFromImage(sitk.ReadImage(str(labels))), 27.0
    for number, structure in ((5, Structure.LIVER), (1, Structure.SPLEEN), (52, Structure.AORTA)):
        ours = (twin.structure == structure).sum() * twin.grid.voxel_volume_mm3
        assert ours == pytest.approx((numbers == number).sum() * voxel, rel=0.05)
    lobes = twin.is_any([*LOBES, Structure.LUNG_VESSEL]).sum() * twin.grid.voxel_volume_mm3
    assert lobes == pytest.approx(np.isin(numbers, [10, 11, 12, 13, 14]).sum() * voxel, rel=0.1)
    density = twin.density_g_cm3()
    assert density[twin.structure == Structure.LIVER].mean() == pytest.approx(1.06, abs=0.03)
    assert density[twin.is_any(LOBES)].mean() < 0.5


def test_pixels_need_not_be_square(chest, tmp_path):
    """Every second row left out: lobes, aorta and vertebra lie where they lay."""
    wide = (SPACING_MM[0], 2 * SPACING_MM[1], SPACING_MM[2])
    ct = write(chest[:, ::2], tmp_path / "ct.nii.gz", wide)
    labels = write(labelled(chest)[:, ::2], tmp_path / "labels.nii.gz", wide)
    twin = from_ct(ct, labels=labels, scheme="totalsegmentator_v2", spacing_mm=3.0)
    for x, y, z, structure in (
        (-80, -30, 30, Structure.RIGHT_UPPER_LOBE),
        (80, 30, -20, Structure.LEFT_LOWER_LOBE),
        (0, 70, 0, Structure.VERTEBRA),
        (0, -30, 0, Structure.HEART),
    ):
        assert twin.structure[at(twin, x, y, z)] == structure
    own = labelled(chest)[:, ::2]
    for number, structure in ((12, Structure.RIGHT_UPPER_LOBE), (51, Structure.HEART)):
        true = (own == number).sum() * float(np.prod(wide))
        assert (twin.structure == structure).sum() * 27.0 == pytest.approx(true, rel=0.04)
