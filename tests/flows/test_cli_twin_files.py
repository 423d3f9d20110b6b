"""``lungtwin twin import|export``: other people's files in and out, and what the command line says about them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

import twins
from flows.cli import main
from tests.twins.importers.test_phantoms import ICRP_MEDIA, ICRP_ORGANS, mixed_twin, small_thorax, xcat_log


@pytest.fixture
def twin_file(tmp_path):
    twins.save(mixed_twin()[0], tmp_path / "small.h5")
    return tmp_path / "small.h5"


def test_an_xcat_phantom_comes_in_and_its_doubts_are_said(tmp_path, capsys):
    levels, log = xcat_log()
    of = {
        0: 0.0,
        1: levels["Muscle"],
        2: levels["Lung"],
        3: levels["Lung"],
        4: levels["Dry Spine"],
        5: 0.2059,
        6: levels["Blood"],
    }
    (np.vectorize(of.get)(small_thorax()) * 0.5).astype("<f4").tofile(tmp_path / "man_atn_1.bin")
    (tmp_path / "man_log").write_text(log, encoding="utf-8")
    file = tmp_path / "man.h5"
    assert (
        main(
            [
                "twin",
                "import",
                str(tmp_path / "man_atn_1.bin"),
                "--out",
                str(file),
                "--lung-density",
                "0.2",
                "--sex",
                "male",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "equal attenuation, cannot be told apart: Blood, Muscle" in said
    assert "direction of x, z assumed" in said
    twin = twins.load(file)
    np.testing.assert_allclose(twin.density_g_cm3()[twin.structure == 15], 0.2, atol=1e-4)
    assert twin.patient.sex == "male"


def test_nifti_of_a_twin_holds_density_ct_numbers_and_a_dictionary(twin_file, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    twin, folder = twins.load(twin_file), tmp_path / "out"
    assert main(["twin", "export", str(twin_file), "--out", str(folder), "--kev", "60"]) == 0
    density = sitk.ReadImage(str(folder / "small_density.nii.gz"))
    np.testing.assert_allclose(sitk.GetArrayFromImage(density), twin.density_g_cm3(), atol=1e-6)
    np.testing.assert_allclose(density.GetOrigin(), twin.grid.origin_mm)
    structure = nibabel.load(folder / "small_structure.nii.gz")
    np.testing.assert_array_equal(np.asarray(structure.dataobj).transpose(2, 1, 0), twin.structure)
    np.testing.assert_allclose(structure.affine[:3, 3], np.multiply(twin.grid.origin_mm, (-1, -1, 1)))
    about = json.loads((folder / "small_structure.json").read_text(encoding="utf-8"))
    assert about["labels"]["61"] == {"name": "liver", "volume_ml": round(120 * 12 / 1000, 3)}
    assert about["hu"].startswith("60 keV")
    hu = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "small_hu.nii.gz")))
    assert hu.dtype == np.int16
    # 60 keV: muscle 1.05 g/cm3 44, air -1000 (twins of these materials: see the table of materials)
    outside = twin.structure == 0
    assert abs(hu[outside].mean() + 999) < 1.5
    lungs = np.isin(twin.structure, (15, 16))
    mu_over_water = hu[lungs] / 1000 + 1
    np.testing.assert_allclose(mu_over_water, twin.density_g_cm3()[lungs], rtol=0.02, atol=2e-3)


@pytest.mark.parametrize(
    ("kind", "file", "liver", "vertebra_left_out"),
    [("totalsegmentator", "small_totalsegmentator_v2", 5, True), ("maisi", "small_maisi", 1, True)],
)
def test_labels_of_other_tools(twin_file, tmp_path, kind, file, liver, vertebra_left_out):
    assert main(["twin", "export", str(twin_file), "--format", kind, "--out", str(tmp_path)]) == 0
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"{file}.nii.gz")))
    twin = twins.load(twin_file)
    np.testing.assert_array_equal(labels == liver, twin.structure == 61)
    about = json.loads((tmp_path / f"{file}.json").read_text(encoding="utf-8"))
    assert about["labels"][str(liver)]["name"] == "liver"
    assert ("51" in about["not_exported"]) == vertebra_left_out
    assert about["not_exported"]["15"]["name"] == "right_lung"  # lobes are not known


def test_an_exported_label_map_comes_back_with_its_ct(tmp_path):
    """Lobes, vessels in them and paired organs under TotalSegmentator's numbers."""
    from dataclasses import replace

    twin, _ = mixed_twin()
    structure = twin.structure.copy()
    structure[structure == 15], structure[structure == 16] = 12, 14
    structure[6:12, 6:9, 3:5] = 25
    structure[0:3, 9:10, 2:4], structure[0:3, 9:10, 12:14] = 53, 53
    twins.save(replace(twin, structure=structure), tmp_path / "t.h5")
    assert main(["twin", "export", str(tmp_path / "t.h5"), "--format", "totalsegmentator", "--out", str(tmp_path)]) == 0
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "t_totalsegmentator_v2.nii.gz")))
    np.testing.assert_array_equal(labels == 14, (structure == 12) | (structure == 25))
    np.testing.assert_array_equal(labels == 11, structure == 14)
    assert (labels[0:3, 9:10, 2:4] == 74).all()  # right clavicle
    assert (labels[0:3, 9:10, 12:14] == 73).all()


def test_an_xcist_phantom_goes_out_and_comes_back(twin_file, tmp_path, capsys):
    assert main(["twin", "export", str(twin_file), "--format", "xcist", "--out", str(tmp_path / "p")]) == 0
    assert main(["twin", "import", str(tmp_path / "p" / "small.json"), "--out", str(tmp_path / "back.h5")]) == 0
    assert "assumed: look at it" in capsys.readouterr().out
    np.testing.assert_allclose(twins.load(tmp_path / "back.h5").density, twins.load(twin_file).density, atol=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import", "ct.nii.gz", "--out", "a.h5", "--ids", "a.csv"], "--ids does not go with format ct (ct.nii.gz)"),
        (
            ["import", "x.bin", "--out", "a.h5", "--spacing", "2", "--labels", "l.nii"],
            "--labels does not go with format xcat",
        ),
        (["import", "ct.nii.gz", "--out", "a.h5", "--scheme", "maisi"], "--scheme goes with --labels"),
        (["import", "ct.nii.gz", "--out", "a.h5", "--format", "dicom"], "unknown format 'dicom'; known: ct, xcat"),
        (["import", "ct.nii.gz", "--out", "a.nii"], "a twin file ends in .h5"),
        (["import", "gone.dat", "--out", "a.h5"], "gone.dat"),
        (["export", "gone.h5", "--out", "o"], "gone.h5"),
        (["export", "gone.h5", "--out", "o", "--format", "stl"], "unknown format 'stl'"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["twin", *words]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_icrp_needs_its_tables(tmp_path, capsys):
    (tmp_path / "AM.dat").write_text(" ".join(str(v) for v in small_thorax().ravel()), encoding="utf-8")
    (tmp_path / "AM_organs.dat").write_text(ICRP_ORGANS, encoding="utf-8")
    assert main(["twin", "import", str(tmp_path / "AM.dat"), "--out", str(tmp_path / "a.h5")]) == 2
    assert "no table of its media" in capsys.readouterr().err
    (tmp_path / "AM_media.dat").write_text(ICRP_MEDIA, encoding="utf-8")
    assert main(["twin", "import", str(tmp_path / "AM.dat"), "--out", str(tmp_path / "a.h5")]) == 2
    assert "4096 voxels fit no adult" in capsys.readouterr().err
