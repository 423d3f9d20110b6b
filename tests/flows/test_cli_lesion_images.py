"""``lungtwin lesions seeds|hosts|insert``: from a labelled CT to another CT with tumours, through files alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from flows.cli import main
from flows.volumes import read_volume, write_volume
from twins import Grid

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
    truth = json.loads((tmp_path / "a_truth.json").read_text())
    assert len(truth["lesions"]) == 2
    for k, lesion in enumerate(truth["lesions"]):
        assert lesion["licence"] == "CC BY 4.0"
        place = tuple(np.rint(grid.world_to_index(lesion["centre_lps_mm"])).astype(int))
        assert mask[place] == k + 1
        assert after[place] - before[place].astype(float) > 300
        marked = np.count_nonzero(mask == k + 1) * grid.voxel_volume_mm3
        assert marked == pytest.approx(lesion["volume_mm3"], rel=0.25)  # of half-filled voxels


def test_nodules_of_a_sample_go_into_a_ct(files, tmp_path):
    assert main(["lesions", "sample", "--n", "3", "--largest", "5", "--out", str(tmp_path)]) == 0
    (tmp_path / "specs.jsonl").write_text('{"id": "x", "key": 1, "equivalent_diameter_mm": 5}\n')
    host = str(tmp_path / "host.h5")
    ct, lungs = str(files / "ct.nii.gz"), str(files / "lungs.nii.gz")
    assert main(["lesions", "hosts", ct, "--lungs", lungs, "--out", host, "--kernel", "B40f"]) == 0
    words = ["lesions", "insert", ct, "--host", host, "--nodules", str(tmp_path / "specs.jsonl")]
    assert main([*words, "--out", str(tmp_path / "n.nii.gz")]) == 0
    truth = json.loads((tmp_path / "n_truth.json").read_text())
    assert truth["resolution"]["in_plane_source"].startswith("estimated")
    assert truth["lesions"][0]["nodule"]["id"] == "x"
    assert truth["lesions"][0]["volume_mm3"] == pytest.approx(np.pi / 6 * 125, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds", "CT", "OTHER", "--out", "s", "--fwhm", "1"], "must be on the voxels of ct.nii.gz"),
        (["seeds", "CT", "LABELS", "--label", "7", "--out", "s", "--fwhm", "1"], "no voxel has label 7"),
        (["hosts", "CT", "--out", "h.txt"], "ends in .h5"),
        (["hosts", "CT", "--lungs", "LUNGS", "--out", "h.h5", "--kernel", "XX"], "kernel 'XX' is not known"),
        (["insert", "CT", "--out", "a.nii.gz"], "either seeds or nodules"),
        (["insert", "CT", "--nodules", "gone.jsonl", "--out", "a.png"], "ends in .nii.gz"),
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
