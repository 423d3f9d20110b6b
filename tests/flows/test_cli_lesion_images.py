"""``lungtwin lesions seeds|hosts|insert``: from a labelled CT to another CT with tumours, through files alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from flows.cli import main
from flows.image_files import write_image
from flows.volumes import nearest, read_volume, write_volume
from twins import Grid
from twins.importers.volume import read_volume as read_ct

FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
SHAPE, SPACING = (36, 72, 72), (1.5, 0.9, 0.9)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A box of lung in tissue in air with one round tumour and its masks, on a lattice that runs backwards."""
    folder = tmp_path_factory.mktemp("ct")
    grid = Grid(SHAPE, SPACING, (31.95, 31.95, -26.25), FLIPPED)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    world = grid.index_to_world(index)
    hu = np.full(SHAPE, -1000.0)
    hu[:, 3:-3, 3:-3] = 300.0
    hu[:, 5:-5, 5:-5] = 40.0
    hu[:, 8:-8, 8:-8] = -850.0
    lungs = np.zeros(SHAPE, np.uint8)
    lungs[:, 9:-9, 9:-9] = 1
    r = np.linalg.norm(world - np.array([8.0, 0.0, 0.0]), axis=-1)
    hu += np.where(lungs > 0, 890 * np.clip((4 - r) / 1.5 + 0.5, 0, 1), 0)
    hu += np.random.default_rng(1).normal(0, 15, SHAPE)
    for name, array in (("ct", np.rint(hu).astype(np.int16)), ("lungs", lungs), ("labels", (r < 4).astype(np.uint8))):
        write_volume(folder / f"{name}.nii.gz", array, grid)
    return folder


def test_from_a_labelled_ct_to_a_ct_with_new_tumours(files, tmp_path, capsys):
    ct = str(files / "ct.nii.gz")
    given = ["--fwhm", "1.2", "--thickness", "1.5"]
    words = [
        "lesions",
        "seeds",
        ct,
        str(files / "labels.nii.gz"),
        "--licence",
        "CC BY 4.0",
        "--out",
        str(tmp_path / "s"),
    ]
    assert main([*words, *given]) == 0
    assert "ct-1.h5" in capsys.readouterr().out
    host = str(tmp_path / "host.h5")
    assert main(["lesions", "hosts", ct, "--lungs", str(files / "lungs.nii.gz"), "--out", host, *given]) == 0
    assert "1.20 mm FWHM, given" in capsys.readouterr().out
    insert = ["lesions", "insert", ct, "--host", host, "--seed-file", str(tmp_path / "s" / "ct-1.h5"), "--seed", "3"]
    for name in ("a", "b"):
        assert main([*insert, "--n", "2", "--out", str(tmp_path / f"{name}.nii.gz")]) == 0
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    before, grid = read_volume(ct)
    after, on = read_volume(tmp_path / "a.nii.gz")
    mask, _ = read_volume(tmp_path / "a_mask.nii.gz")
    assert on == grid  # the CT's own lattice, backwards as it is
    assert after.dtype == np.int16
    truth = json.loads((tmp_path / "a_truth.json").read_text(encoding="utf-8"))
    assert len(truth["lesions"]) == 2
    for k, lesion in enumerate(truth["lesions"]):
        assert lesion["licence"] == "CC BY 4.0"
        place = tuple(np.rint(grid.world_to_index(lesion["centre_lps_mm"])).astype(int))
        assert mask[place] == k + 1
        assert after[place] - before[place].astype(float) > 300
        marked = np.count_nonzero(mask == k + 1) * grid.voxel_volume_mm3
        assert marked == pytest.approx(lesion["volume_mm3"], rel=0.25)  # of half-filled voxels


def test_nodules_of_a_sample_go_into_a_ct_whose_lobes_nobody_knows(files, tmp_path, capsys):
    assert main(["lesions", "sample", "--n", "3", "--largest", "5", "--out", str(tmp_path)]) == 0
    ct, specs = str(files / "ct.nii.gz"), str(tmp_path / "specs.jsonl")
    host = str(tmp_path / "host.h5")
    words = [
        "lesions",
        "insert",
        ct,
        "--host",
        host,
        "--nodules",
        specs,
        "--n",
        "3",
        "--out",
        str(tmp_path / "n.nii.gz"),
    ]
    assert main(["lesions", "hosts", ct, "--lungs", str(files / "lungs.nii.gz"), "--out", host, "--fwhm", "1.2"]) == 0
    capsys.readouterr()
    assert main(words) == 2
    assert "--any-lobe" in capsys.readouterr().err
    assert not (tmp_path / "n.nii.gz").exists()
    assert main([*words, "--any-lobe"]) == 0
    mask, _ = read_volume(tmp_path / "n_mask.nii.gz")
    assert set(np.unique(mask)) == {0, 1, 2, 3}


def test_a_nodule_of_ones_own_goes_into_a_ct(files, tmp_path):
    (tmp_path / "specs.jsonl").write_text('{"id": "x", "key": 1, "equivalent_diameter_mm": 5}\n', encoding="utf-8")
    host = str(tmp_path / "host.h5")
    ct, lungs = str(tmp_path / "ct.mha"), str(files / "lungs.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(files / "ct.nii.gz")), ct)
    assert main(["lesions", "hosts", ct, "--lungs", lungs, "--out", host, "--kernel", "B40f"]) == 0
    words = ["lesions", "insert", ct, "--host", host, "--nodules", str(tmp_path / "specs.jsonl")]
    assert main([*words, "--out", str(tmp_path / "n.nrrd")]) == 0
    after, grid = read_volume(tmp_path / "n.nrrd")
    mask, on = read_volume(tmp_path / "n_mask.nrrd")
    before, at = read_volume(ct)
    assert grid == on
    assert grid.same_as(at)
    assert (after[mask == 1] - before[mask == 1].astype(float)).mean() > 500
    truth = json.loads((tmp_path / "n_truth.json").read_text(encoding="utf-8"))
    assert truth["resolution"]["in_plane_source"].startswith("estimated")
    assert truth["lesions"][0]["nodule"]["id"] == "x"
    assert truth["lesions"][0]["volume_mm3"] == pytest.approx(np.pi / 6 * 125, rel=1e-4)


def write_series(path, folder, kernel="B40f", thickness_mm="2.0"):
    """A CT as a DICOM series, slices under names that are not in their order."""
    image = sitk.ReadImage(str(path))
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = image.GetDirection()
    for k in range(image.GetSize()[2]):
        piece = image[:, :, k]
        place = image.TransformIndexToPhysicalPoint((0, 0, k))
        for tag, value in (
            ("0008|0060", "CT"), ("0008|0016", "1.2.840.10008.5.1.4.1.1.2"), ("0008|0018", f"1.2.3.4.{k + 1}"),
            ("0020|000d", "1.2.3"), ("0020|000e", "1.2.3.4"), ("0020|0013", str(k + 1)),
            ("0020|0032", "\\".join(map(str, place))),
            ("0020|0037", "\\".join(str(direction[i]) for i in (0, 3, 6, 1, 4, 7))),
            ("0018|1210", kernel), ("0018|0050", thickness_mm),
        ):  # fmt: skip
            piece.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{(7 * k) % 101:03d}.dcm"))
        writer.Execute(piece)
    return folder


def header(path):
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return {tag: reader.GetMetaData(tag).strip() for tag in reader.GetMetaDataKeys()}


def test_an_image_becomes_a_dicom_series_voxel_for_voxel(tmp_path):
    grid = Grid((9, 12, 10), (2.5, 0.8, 0.7), (-3.25, 4.5, 100.0), FLIPPED)
    hu = np.random.default_rng(1).integers(-1024, 3000, grid.shape).astype(np.int16)
    hu[0, 0, 0] = -1024
    for name in ("a", "b"):
        write_image(tmp_path / name, hu, grid, source=tmp_path / "donor.nii.gz", what="1 lesion inserted")
    found = read_ct(tmp_path / "a")
    np.testing.assert_array_equal(found.hu, hu[:, ::-1, ::-1])
    assert found.host_grid.same_as(grid)
    assert header(tmp_path / "a" / "0001.dcm")["0010|0020"] == "donor"
    assert [p.read_bytes() for p in sorted((tmp_path / "a").iterdir())] == [
        p.read_bytes() for p in sorted((tmp_path / "b").iterdir())
    ]
    with pytest.raises(ValueError, match="exists already"):
        write_image(tmp_path / "a", hu, grid, source=tmp_path / "donor.nii.gz", what="")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_dicom_series_is_a_host_like_the_same_ct_in_one_file(files, tmp_path, capsys):
    series = write_series(files / "ct.nii.gz", tmp_path / "series")
    lungs = ["--lungs", str(files / "lungs.nii.gz"), "--fwhm", "1.1"]
    assert main(["lesions", "hosts", str(series), *lungs, "--out", str(tmp_path / "d.h5")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "along z 2.00 mm FWHM, said by the DICOM header" in said
    assert main(["lesions", "hosts", str(files / "ct.nii.gz"), *lungs, "--out", str(tmp_path / "n.h5")]) == 0
    one_file = " ".join(capsys.readouterr().out.split())
    for what in ("in plane", "noise"):
        assert said.split(what)[1][:20] == one_file.split(what)[1][:20]
    assert "DICOM" not in one_file
    (tmp_path / "specs.jsonl").write_text('{"id": "x", "key": 1, "equivalent_diameter_mm": 5}\n', encoding="utf-8")
    words = [
        "lesions",
        "insert",
        str(series),
        "--host",
        str(tmp_path / "d.h5"),
        "--nodules",
        str(tmp_path / "specs.jsonl"),
    ]
    assert main([*words, "--out", str(tmp_path / "new")]) == 0
    written = read_ct(tmp_path / "new")  # a series again
    after, grid = written.hu, written.grid
    mask = nearest(*read_volume(tmp_path / "new_mask.nii.gz"), grid)
    truth = json.loads((tmp_path / "new_truth.json").read_text(encoding="utf-8"))
    assert truth["labels"] == {"1": "x"}
    (lesion,) = truth["lesions"]
    old, new = (sorted(folder.iterdir()) for folder in (series, tmp_path / "new"))
    assert len(new) == len(old)
    theirs, ours = ([header(p) for p in paths] for paths in (old, new))
    assert {h["0020|000d"] for h in ours} == {h["0020|000d"] for h in theirs} == {"1.2.3"}  # one study
    assert {h["0018|1210"] for h in ours} == {"B40f"}
    assert len({h["0020|000e"] for h in ours}) == 1
    assert not {h["0008|0018"] for h in ours} & {h["0008|0018"] for h in theirs}
    assert len({h["0008|0018"] for h in ours}) == len(ours)
    assert {h["0008|0008"] for h in ours} == {"DERIVED\\SECONDARY\\AXIAL"}
    index = np.argwhere(mask == 1).mean(axis=0)
    np.testing.assert_allclose(grid.index_to_world(index), lesion["centre_mm"], atol=0.5)
    before, on = read_volume(files / "ct.nii.gz")
    at = tuple(np.rint(on.world_to_index(lesion["centre_mm"])).astype(int))
    here = tuple(np.rint(index).astype(int))
    assert after[here] - before[at].astype(float) > 600


def test_a_dicom_header_names_the_kernel_where_the_image_tells_nothing(files, tmp_path, capsys):
    image = sitk.ReadImage(str(files / "ct.nii.gz"))
    inner = image[9:-9, 9:-9, :]  # no skin, no trachea
    inner[0, 0, 0] = 300
    sitk.WriteImage(inner, str(tmp_path / "inner.nii.gz"))
    lungs = sitk.ReadImage(str(files / "lungs.nii.gz"))[9:-9, 9:-9, :]
    sitk.WriteImage(lungs, str(tmp_path / "lungs.nii.gz"))
    words = ["--lungs", str(tmp_path / "lungs.nii.gz"), "--out", str(tmp_path / "h.h5")]
    series = write_series(tmp_path / "inner.nii.gz", tmp_path / "series", kernel="B60f")
    assert main(["lesions", "hosts", str(series), *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "in plane 0.90 mm FWHM, estimated from the name of kernel B60f" in said
    assert main(["lesions", "hosts", str(tmp_path / "inner.nii.gz"), *words]) == 2
    assert "inner.nii.gz: " in " ".join(capsys.readouterr().err.split())  # one file has no header to go by


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds", "CT", "OTHER", "--out", "s", "--fwhm", "1"], "must be on the voxels of ct.nii.gz"),
        (["seeds", "CT", "LABELS", "--label", "7", "--out", "s", "--fwhm", "1"], "no voxel has label 7"),
        (["hosts", "CT", "--out", "h.txt"], "ends in .h5"),
        (["hosts", "CT", "--lungs", "LUNGS", "--out", "h.h5", "--kernel", "XX"], "kernel 'XX' is not known"),
        (["insert", "CT", "--out", "a.nii.gz"], "either seeds or nodules"),
        (["insert", "CT", "--nodules", "gone.jsonl", "--out", "a.png"], "ends in .nii.gz, .nii, .mha, .nrrd"),
        (["insert", "CT", "--host", "CT", "--nodules", "gone.jsonl", "--out", "a.nii.gz"], "not a host file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(words, message, files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = {"CT": "ct", "LABELS": "labels", "LUNGS": "lungs"}
    other = tmp_path / "in" / "other.nii.gz"
    other.parent.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((8, 8, 8), np.uint8)), str(other))
    line = [str(files / f"{named[w]}.nii.gz") if w in named else str(other) if w == "OTHER" else w for w in words]
    assert main(["lesions", *line]) == 2
    said = capsys.readouterr().err
    assert message in " ".join(said.split())
    assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
