"""A built dataset: geometry that other tools read, truth that agrees with masks, same bytes whatever happened."""

import gzip
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

import labeling
from flows import Dataset, build_dataset
from flows.store import BusyError, Store
from flows.study import load_study
from flows.study.spec import Outputs
from flows.verification import verify
from twins import Structure

ROOT = Path(__file__).resolve().parents[2]


def bytes_of(root: Path) -> dict[str, bytes]:
    """All files but those that may differ: clock facts and the lock."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] not in {"run", ".store"}
    }


@pytest.fixture
def copy(dataset, tmp_path) -> Path:
    return Path(shutil.copytree(dataset.root, tmp_path / "copy"))


def problems(root: Path) -> str:
    return "\n".join(problem for finding in verify(root) for problem in finding.problems)


def test_every_check_passes_and_has_checked_something(dataset):
    findings = verify(dataset.root)
    assert [finding.problems for finding in findings] == [()] * len(findings)
    assert all(finding.n_checked > 0 for finding in findings)


@pytest.mark.parametrize("reader", ["SimpleITK", "nibabel"])
def test_a_nodules_world_position_lands_on_its_mask_in_the_files(dataset, reader):
    for row in dataset.manifest:
        for line in dataset.nodules_of(row["image_id"]):
            x, y, z = (float(line[f"{axis}_lps_mm"]) for axis in "xyz")
            if reader == "SimpleITK":
                import SimpleITK as sitk

                mask = sitk.ReadImage(str(dataset.root / row["mask_file"]))
                value = mask[mask.TransformPhysicalPointToIndex((x, y, z))]
            else:
                nibabel = pytest.importorskip("nibabel")
                mask = nibabel.load(dataset.root / row["mask_file"])
                index = np.linalg.inv(mask.affine) @ (-x, -y, z, 1)  # NIfTI is RAS+
                value = np.asarray(mask.dataobj)[tuple(np.rint(index[:3]).astype(int))]
            assert value == int(line["mask_value"])


def test_image_mask_and_anatomy_are_int16_uint8_uint16_on_one_geometry(dataset):
    nibabel = pytest.importorskip("nibabel")
    for row in dataset.manifest:
        files = {name: nibabel.load(dataset.root / row[f"{name}_file"]) for name in ("image", "mask", "anatomy")}
        kinds = {name: file.get_data_dtype() for name, file in files.items()}
        assert kinds == {"image": np.int16, "mask": np.uint8, "anatomy": np.uint16}
        for file in files.values():
            np.testing.assert_array_equal(file.affine, files["image"].affine)
            assert file.header["qform_code"] == 1
            assert file.header["sform_code"] == 1


def test_masks_hold_the_exact_volume_as_far_as_voxels_can(dataset):
    for row in dataset.manifest:
        voxel_mm3 = float(row["spacing_x_mm"]) * float(row["spacing_y_mm"]) * float(row["spacing_z_mm"])
        for line in dataset.nodules_of(row["image_id"]):
            # a 14 mm body in voxels of 3.75 x 3.75 x 5 mm: about 20 voxels, counted at one half
            assert int(line["n_voxels"]) * voxel_mm3 == pytest.approx(float(line["volume_mm3"]), rel=0.25)


def test_the_solid_nodule_is_dense_in_the_image_and_lung_is_not(dataset):
    import SimpleITK as sitk

    row = next(row for row in dataset.manifest if row["scan_id"] == "high")
    hu = sitk.GetArrayFromImage(sitk.ReadImage(str(dataset.root / row["image_file"])))
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(dataset.root / row["mask_file"])))
    anatomy = sitk.GetArrayFromImage(sitk.ReadImage(str(dataset.root / row["anatomy_file"])))
    lung = np.isin(anatomy, [10, 11, 12, 13, 14]) & (mask == 0)
    assert -950 < hu[lung].mean() < -700  # aerated lung, with partial volume at 4 mm
    # blurred over voxels as coarse as the nodule, but all there: 64 views and 16 rows in one leave four fifths of it
    near = binary_dilation(mask == 1, iterations=2) & (lung | (mask == 1))
    air = np.median(hu[binary_dilation(mask == 1, iterations=5) & lung & ~near])
    (nodule,) = (line for line in dataset.nodules_of(row["image_id"]) if line["nodule_id"] == "big")
    voxel_mm3 = math.prod(float(row[f"spacing_{axis}_mm"]) for axis in "zyx")
    expected = float(nodule["volume_mm3"]) * (float(nodule["mean_hu"]) - air)
    assert (hu[near] - air).sum() * voxel_mm3 == pytest.approx(expected, rel=0.25)
    assert hu[mask == 2].mean() < hu[mask == 1].mean()


def test_dose_changes_the_noise_of_an_image_and_not_its_mean(dataset):
    import SimpleITK as sitk

    files = {row["scan_id"]: row for row in dataset.manifest}
    low, high = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(dataset.root / files[name]["image_file"])))
        for name in ("low", "high")
    )
    anatomy = sitk.GetArrayFromImage(sitk.ReadImage(str(dataset.root / files["low"]["anatomy_file"])))
    difference = (low.astype(float) - high)[anatomy == Structure.LIVER]
    assert 0.5 < difference.std() < 20  # two roundings alone give at most sqrt(2 / 12) = 0.41 HU
    assert abs(difference.mean()) < 0.5  # thousands of voxels, a few HU each


def test_probability_draw_and_label_agree_and_do_not_depend_on_the_scan(dataset):
    labels = {}
    for line in dataset.nodules:
        assert line["label"] == ("malignant" if float(line["u"]) < float(line["probability"]) else "benign")
        labels.setdefault((line["twin_id"], line["nodule_id"]), set()).add(line["u"])
    assert all(len(draws) == 1 for draws in labels.values())


def test_compressed_images_hold_no_time(dataset):
    for path in (dataset.root / "images").iterdir():
        assert path.read_bytes()[4:8] == b"\0\0\0\0"  # MTIME of RFC 1952
        assert len(gzip.decompress(path.read_bytes())) > 348


def test_the_resolved_study_rebuilds_the_same_bytes(dataset, tmp_path):
    again = build_dataset(dataset.root / "study.yaml", tmp_path / "again")
    assert bytes_of(again.root) == bytes_of(dataset.root)


def test_a_finished_build_run_again_makes_nothing_anew(copy, tiny, monkeypatch):
    import ctsim
    import twins

    def refuse(*args, **kwargs):
        raise AssertionError("was made again")

    before = bytes_of(copy)
    monkeypatch.setattr(ctsim, "expose", refuse, raising=False)
    monkeypatch.setattr(twins, "build", refuse, raising=False)
    build_dataset(tiny, copy)
    assert bytes_of(copy) == before


def test_damaged_and_deleted_files_are_found_and_made_again(copy, tiny):
    before = bytes_of(copy)
    image, mask = copy / "images/woman_low.nii.gz", copy / "masks/woman_high.nii.gz"
    image.write_bytes(image.read_bytes()[:-100])
    mask.unlink()
    (copy / "nodules.csv").write_text("gone", encoding="utf-8")
    found = problems(copy)
    assert "images/woman_low.nii.gz: changed since the build" in found
    assert "masks/woman_high.nii.gz: missing" in found
    build_dataset(tiny, copy)
    assert bytes_of(copy) == before


def test_swapped_labels_and_shifted_positions_are_found(copy):
    table = copy / "nodules.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    cells = lines[1].split(",")
    label, x = header.index("label"), header.index("x_lps_mm")
    cells[label] = "benign" if cells[label] == "malignant" else "malignant"
    cells[x] = str(float(cells[x]) + 7.0)
    table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n", encoding="utf-8")
    found = problems(copy)
    assert "the outcome file says" in found
    assert "position differs from the truth" in found
    assert "voxel index and world position disagree" in found


def test_a_build_killed_in_the_middle_goes_on_to_the_same_bytes(dataset, tiny, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "flows", "build", str(tiny), "--out", str(out), "--quiet"]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 300
    while not (out / "images/woman_low.nii.gz").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "digests.sha256").exists()
    with pytest.raises(ValueError, match="has not finished: run it again"):
        Dataset.open(out)
    build_dataset(tiny, out)
    assert bytes_of(out) == bytes_of(dataset.root)


def test_two_builds_into_one_folder_refuse_each_other(copy, tiny):
    code = f"""
import time
from flows.store import Store
with Store({str(copy)!r}).lock():
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid}"):
            build_dataset(tiny, copy)
        assert (copy / "digests.sha256").exists()
    finally:
        holder.kill()
        holder.communicate()


def test_a_folder_with_other_things_is_left_alone(tmp_path, tiny):
    (tmp_path / "thesis.txt").write_text("do not touch", encoding="utf-8")
    with pytest.raises(ValueError, match="is not empty and holds no dataset"):
        build_dataset(tiny, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_without_a_dataset_is_no_dataset(tmp_path):
    with pytest.raises(ValueError, match="no dataset"):
        Dataset.open(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        Dataset.open(tmp_path / "nowhere")
    Store(tmp_path)
    with pytest.raises(ValueError, match="has not finished"):
        Dataset.open(tmp_path)


def test_the_nifti_reference_reader_finds_no_fault(dataset, system_tool):
    tool = system_tool("nifti_tool", "nifti-bin")
    files = [path for folder in ("images", "masks", "anatomy") for path in (dataset.root / folder).glob("*.nii.gz")]
    assert files
    for path in files:
        done = subprocess.run(
            [tool, "-check_hdr", "-check_nim", "-infiles", str(path)], capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "FAILURE" not in done.stdout.upper()
        assert "GOOD" in done.stdout.upper()


def relabelled(tiny: Path, root: Path, **options) -> Dataset:
    """The same images under other labels; nothing but labels, tables and card is made anew."""
    study = load_study(tiny).model_copy(update={"outputs": Outputs(report=False), **options})
    return build_dataset(study, root)


def test_the_card_says_how_the_labels_were_made(dataset):
    card = json.loads((dataset.root / "card.json").read_text(encoding="utf-8"))
    assert (card["labels"]["model"], card["labels"]["seed"], card["labels"]["mode"]) == ("brock-2b", 7, "bernoulli")
    assert card["labels"]["model_hash"] == labeling.get("brock-2b").hash()
    lesions = {line["nodule_id"]: line for line in dataset.nodules}.values()
    assert card["counts"]["nodules"] == len(lesions) == 2  # each once, though two images show it
    assert card["counts"]["malignant"] == sum(line["label"] == "malignant" for line in lesions)
    p = [float(line["probability"]) for line in lesions]
    assert card["counts"]["expected"] == pytest.approx(sum(p), rel=1e-8)
    assert card["counts"]["twins_expected"] == pytest.approx(1 - (1 - p[0]) * (1 - p[1]), rel=1e-8)
    assert sum(row["expected"] for row in card["counts"]["by_size"]) == pytest.approx(sum(p), rel=1e-8)
    assert card["ceiling"]["all_covariates"] == pytest.approx(labeling.expected_auc(p), abs=1e-6)
    text = (dataset.root / "CARD.md").read_text(encoding="utf-8")
    assert "Bernoulli draws from the published risk model" in text
    assert "CARD.md" in dataset.digests()


def test_labels_belong_to_lesions_and_persons_not_to_images(dataset):
    by_lesion: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for line in dataset.nodules:
        by_lesion.setdefault((line["twin_id"], line["nodule_id"]), set()).add((line["label"], line["u"]))
    assert all(len(found) == 1 for found in by_lesion.values())
    drawn = {line["label"] for line in dataset.nodules}
    assert {row["participant_label"] for row in dataset.manifest} == {"malignant" if "malignant" in drawn else "benign"}
    sets = dataset.draws
    assert [row["draw"] for row in sets] == ["0", "1", "2"] * 2
    first = {row["nodule_id"]: row["label"] for row in sets if row["draw"] == "0"}
    assert first == {line["nodule_id"]: line["label"] for line in dataset.nodules}


def test_other_labels_need_no_other_images(copy, tiny, monkeypatch):
    import ctsim

    monkeypatch.setattr(ctsim, "expose", None)  # would raise if an image were made
    before = bytes_of(copy)
    u = {line["nodule_id"]: line["u"] for line in Dataset.open(copy).nodules}
    shifted = relabelled(tiny, copy, label_shift=20.0, label_draws=1)
    assert {line["label"] for line in shifted.nodules} == {"malignant"}
    assert {line["nodule_id"]: line["u"] for line in shifted.nodules} == u  # common random numbers
    assert not (copy / "outcome_draws.csv").exists()
    assert problems(copy) == ""
    soft = relabelled(tiny, copy, label_mode="soft", label_draws=1, label_visible_only=True)
    assert {line["label"] for line in soft.nodules} == {row["participant_label"] for row in soft.manifest} == {""}
    assert {line["label_held"] for line in soft.nodules} == {"age_y sex family_history"}
    assert problems(copy) == ""
    with pytest.warns(labeling.ThresholdWarning):
        cut = relabelled(tiny, copy, label_mode="threshold", label_threshold=0.19, label_draws=1)
    expected = ["malignant" if float(line["probability"]) >= 0.19 else "benign" for line in cut.nodules]
    assert [line["label"] for line in cut.nodules] == expected
    assert problems(copy) == ""
    assert "No ceiling" in (copy / "CARD.md").read_text(encoding="utf-8")
    after = bytes_of(copy)
    assert all(after[path] == data for path, data in before.items() if path.startswith(("images", "masks", "truth")))


def test_labels_that_do_not_follow_from_seed_and_model_are_found(copy):
    outcomes = copy / "outcomes" / "woman.json"
    data = json.loads(outcomes.read_text(encoding="utf-8"))
    good = data["outcomes"][0]
    for field, value, text in (
        ("draws", [good["u"], 0.1, 0.2], "draws are not those of key"),
        ("logit", good["logit"] + 0.01, "the model says"),
        ("shift", 0.5, "was labelled otherwise than the study says"),
    ):
        outcomes.write_text(
            json.dumps({**data, "outcomes": [{**good, field: value}, *data["outcomes"][1:]]}), encoding="utf-8"
        )
        assert text in problems(copy)
    outcomes.write_text(json.dumps(data), encoding="utf-8")
    draws = copy / "outcome_draws.csv"
    draws.write_text(draws.read_text(encoding="utf-8").replace("woman,faint,2", "woman,faint,3"), encoding="utf-8")
    assert "outcome_draws.csv" in problems(copy)
