"""Builds by many hands: shards cover plans, a merge gives the bytes of one build, status and clean say what is so."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import Dataset
from flows.cli import main
from flows.running.account import account_of, read_account
from flows.running.clusters import CasesFailedError, parse_cluster, raise_failures
from flows.running.families import build_family, families_of
from flows.running.shards import Shard, build_shard, merge
from flows.running.status import clean, status_of
from flows.store import BusyError, StorageError, Store, explaining
from flows.study import load_study, make_plan, preset_names

from .manyhands import bytes_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plan(tiny):
    return make_plan(load_study(tiny))


@pytest.fixture
def copy(dataset, tmp_path) -> Path:
    return Path(shutil.copytree(dataset.root, tmp_path / "copy"))


def without_the_end(root: Path) -> Path:
    """The folder as shards leave it: no tables, no seal, no report."""
    for path in root.iterdir():
        if path.is_file():
            path.unlink()
    shutil.rmtree(root / "report")
    return root


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_hold_every_case_of_a_plan_once_and_keep_families_together(count):
    plan = make_plan(load_study("demo"))
    held = [case.twin_id for number in range(1, count + 1) for f in Shard(number, count).of(plan) for case in f.cases]
    assert sorted(held) == sorted(case.twin_id for case in plan.cases)
    for family in families_of(plan):
        assert {case.base_twin for case in family.cases} == {family.name}


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1-4", "a/b", "", "1/4/2", "-1/4"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="shard must be I/N"):
        Shard.parse(text)


def test_merging_finished_shards_gives_the_bytes_of_one_build(copy, plan):
    before = bytes_of(copy)
    merged = merge(plan, without_the_end(copy))
    assert bytes_of(merged.root) == before


def test_shards_from_elsewhere_are_verified_and_copied(dataset, plan, tmp_path):
    """Two folders, of which one has a damaged image and the other lacks the masks."""
    first, second = (Path(shutil.copytree(dataset.root, tmp_path / name)) for name in ("first", "second"))
    image = next((first / "images").iterdir())
    image.write_bytes(image.read_bytes()[:-1])
    shutil.rmtree(second / "masks")
    with pytest.raises(ValueError, match="1 of 1 families of twins are not finished"):
        merge(plan, tmp_path / "half", [first])
    merged = merge(plan, tmp_path / "whole", [first, second])
    assert bytes_of(merged.root) == bytes_of(dataset.root)


def test_a_merge_names_the_shards_that_are_missing_and_makes_nothing(copy, plan, monkeypatch):
    assert build_shard(plan, without_the_end(copy), Shard(2, 2)) == ()  # one family: the second shard is empty
    (copy / "images/woman_low.nii.gz").unlink()
    monkeypatch.setattr("ctsim.expose", None, raising=False)  # would raise if it were called
    with pytest.raises(ValueError, match="build shards 1/2"):
        merge(plan, copy)
    assert not (copy / "manifest.csv").exists()


def test_a_shard_verifies_what_is_there_and_leaves_a_finished_dataset_finished(copy, plan):
    before = bytes_of(copy)
    assert build_shard(plan, copy, Shard(1, 1)) == ("woman",)
    assert bytes_of(copy) == before
    assert (copy / "run/shard-0001-of-0001.json").is_file()


def test_another_study_cannot_be_merged_into_the_shards_of_one(copy, plan):
    other = make_plan(plan.study.model_copy(update={"seed": 8}))
    with pytest.raises(ValueError, match="were built from another study"):
        merge(other, copy)
    with pytest.raises(ValueError, match="holds no shards"):
        merge(plan, copy / "images")


def test_a_whole_build_and_a_shard_exclude_each_other_but_shards_do_not(copy, plan):
    store = Store(copy)
    with store.lock(), pytest.raises(BusyError, match=f"process {os.getpid()}"):
        build_shard(plan, copy, Shard(1, 1))
    with store.share():
        assert build_shard(plan, copy, Shard(1, 1)) == ("woman",)
        with pytest.raises(BusyError, match="another build is writing here"), store.lock():
            pass
        with store.claim("woman", purpose="shard 1/9"), pytest.raises(BusyError, match="shard 1/9"):
            build_shard(plan, copy, Shard(1, 1))


def test_a_worker_refuses_a_folder_or_a_version_that_is_not_the_builds(copy, plan, tmp_path, monkeypatch):
    (family,) = families_of(plan)
    digest = account_of(plan, "cpu").digest
    assert [record.twin_id for record in build_family(str(copy), digest, "cpu", family)] == ["woman"]
    with pytest.raises(ValueError, match="does not exist here"):
        build_family(str(tmp_path / "elsewhere"), digest, "cpu", family)
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(ValueError, match="is not the folder of this build"):
        build_family(str(copy), "0" * 64, "cpu", family)
    monkeypatch.setattr("flows.running.families.code_of", lambda: "another")
    with pytest.raises(ValueError, match="has another version of lungtwin"):
        build_family(str(copy), digest, "cpu", family)


def test_the_account_tells_studies_backends_and_versions_apart_and_nothing_else(plan, copy):
    cpu = account_of(plan, "cpu")
    assert cpu.digest == read_account(Store(copy)).digest == account_of(plan, "cpu", n_shards=4).digest
    other = make_plan(plan.study.model_copy(update={"seed": 8}))
    assert len({cpu.digest, account_of(plan, "gpu").digest, account_of(other, "cpu").digest}) == 3


def test_status_says_what_is_done_and_who_is_at_work(copy, plan):
    done = status_of(copy)
    assert (done.state, done.study, done.n_images, done.n_images_planned) == ("finished", "tiny", 2, 2)
    assert (done.n_twins, done.n_twins_planned, done.writers, done.reclaimable) == (1, 1, (), ())
    (copy / "images/woman_low.nii.gz").unlink()
    (copy / "digests.sha256").unlink()
    half = status_of(copy)
    assert (half.state, half.n_images, half.n_twins) == ("unfinished", 1, 0)
    with Store(copy).lock():
        assert status_of(copy).state == "being built"
        assert str(os.getpid()) in status_of(copy).writers[0]
    with pytest.raises(ValueError, match="no such folder"):
        status_of(copy / "nowhere")
    with pytest.raises(ValueError, match="holds no dataset"):
        status_of(copy / "images")


def test_clean_removes_what_may_go_and_nothing_else(copy, capsys):
    before = bytes_of(copy)
    store = Store(copy)
    (copy / "images/.woman_low.4711.nii.gz").write_bytes(b"half")
    (copy / ".manifest.4711.csv").write_bytes(b"half")
    for key, path in (("a" * 64, "exposures/x.h5"), ("b" * 64, "images/old.nii.gz")):
        store.put(key, path, lambda part: part.write_bytes(b"x" * 100) and None)
    (copy / "digests.sha256").write_bytes(before["digests.sha256"])
    (copy / "images/notes.txt").write_text("the user's", encoding="utf-8")
    assert main(["clean", str(copy)]) == 0
    said = capsys.readouterr().out
    assert "exposures/x.h5" in said
    assert "208 B could go" in said
    assert len(bytes_of(copy)) == len(before) + 5  # nothing went
    assert {item.reason for item in clean(copy)} == {
        "half written", "exposure kept for a shared twin", "no study asks for it",
    }  # fmt: skip
    assert bytes_of(copy) == before | {"images/notes.txt": b"the user's"}
    assert clean(copy) == ()


def test_the_commands_answer_in_json(copy, tiny, capsys):
    assert main(["status", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_images"] == 2
    assert main(["build", str(tiny), "--out", str(copy), "--shard", "1/2", "-q"]) == 0
    assert "1 of 1 twins are done" in capsys.readouterr().out
    assert main(["merge", str(tiny), "--out", str(copy), "-q"]) == 0
    assert Dataset.open(copy).digests()
    assert main(["build", str(tiny), "--out", str(copy), "--shard", "3/2"]) == 2
    assert "count from 1" in capsys.readouterr().err
    assert main(["build", str(tiny), "--out", str(copy), "--cluster", "slurm"]) == 2
    assert "cluster must be dask" in capsys.readouterr().err


def test_prefect_yaml_deploys_presets_that_there_are():
    from ruamel.yaml import YAML

    listed = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    studies = {entry["parameters"]["study"] for entry in listed}
    assert len(studies) >= 3
    assert studies <= set(preset_names())


def test_a_cluster_is_named_by_kind_and_address():
    assert parse_cluster("dask") == ("dask", "")
    assert parse_cluster("dask:tcp://head:8786") == ("dask", "tcp://head:8786")
    assert parse_cluster("ray:4") == ("ray", "4")
    with pytest.raises(ValueError, match="cluster must be dask"):
        parse_cluster("dask:")


def test_failures_on_a_cluster_are_all_named(plan):
    (family,) = families_of(plan)
    raise_failures([], 1)
    with pytest.raises(CasesFailedError, match=r"1 of 9 families .* failed.*\nwoman: no place"):
        raise_failures([(family, ValueError("no place"))], 9)
    with pytest.raises(OSError, match="disk"):
        raise_failures([(family, OSError("disk"))], 1)


def limited(code: str, *, n_bytes: int) -> subprocess.CompletedProcess:
    """Run Python that may not write files larger than ``n_bytes``."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes)),
    )


def test_an_image_that_the_disk_cut_off_is_no_artefact(tmp_path):
    """ITK reports no error where it cannot write: the whole chain to the store must."""
    code = f"""
import numpy as np
from flows.store import Store, explaining
from flows.volumes import write_volume
from twins import Grid
grid = Grid((40, 100, 100), (1.0, 1.0, 1.0))
noise = np.random.default_rng(1).integers(0, 255, grid.shape).astype(np.uint8)
with explaining({str(tmp_path)!r}):
    Store({str(tmp_path)!r}).put("a" * 64, "images/a.nii.gz", lambda part: write_volume(part, noise, grid))
"""
    done = limited(code, n_bytes=100_000)
    assert "StorageError" in done.stderr
    assert "run the same command again" in done.stderr
    assert not list((tmp_path / "images").iterdir())
    assert not list((tmp_path / ".store/records").iterdir())


def test_an_hdf5_file_that_the_disk_cuts_off_is_one_error(tmp_path):
    """HDF5 by itself cannot close such a file: hundreds of complaints, and a segmentation fault at the end."""
    code = f"""
import numpy as np
from twins.files import replacing_hdf5
noise = np.random.default_rng(1).integers(0, 255, (50, 100, 100)).astype(np.uint8)
try:
    with replacing_hdf5({str(tmp_path / "a.h5")!r}) as file:
        for number in range(3):
            file.create_dataset(str(number), data=noise, compression="gzip", chunks=(5, 100, 100))
except OSError as error:
    print(error.errno)
"""
    done = limited(code, n_bytes=400_000)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "27\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "said"),
    [(28, "the disk is full"), (30, "read-only"), (13, "may not write here"), (27, "ulimit"), (122, "quota")],
)
def test_what_the_disk_refuses_is_said_with_what_to_do(tmp_path, number, said):
    with pytest.raises(StorageError, match=said) as caught, explaining(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / "images/a.nii.gz"))
    assert caught.value.errno == number
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(("place", "said"), [("/proc/no", "no folder can be made"), ("/dev/null/out", "is a file")])
def test_a_folder_that_cannot_be_made_is_refused_with_what_to_do(place, said):
    with pytest.raises(StorageError, match=rf"{place}: .*{said}"), explaining(place):
        Store(place)


def test_an_error_of_another_file_is_left_as_it_is(tmp_path):
    with pytest.raises(PermissionError), explaining(tmp_path / "out"):
        raise PermissionError(13, "Permission denied", "/elsewhere/ct.nii.gz")
    with pytest.raises(FileNotFoundError, match="ct.nii.gz"), explaining(tmp_path):
        raise FileNotFoundError(2, "No such file or directory", str(tmp_path / "ct.nii.gz"))
    with pytest.raises(RuntimeError, match="something else"), explaining(tmp_path):
        raise RuntimeError("something else")
