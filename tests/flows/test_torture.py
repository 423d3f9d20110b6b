"""Whatever happens on the way, a dataset has the same bytes: kills, damage, two builds at once, shards, clusters."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import Dataset, build_dataset
from flows.running.clusters import build_on_cluster
from flows.running.status import status_of
from flows.store import StorageError
from flows.study import load_study, make_plan
from flows.verification import verify

from .manyhands import bytes_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
N_KILLS = 50
LONGEST_S = 15.0
"""Builds are killed at random moments over the time of a whole one, or over this where a slow machine takes longer."""


def begin(study: Path, out: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "flows", "build", str(study), "--out", str(out), "--quiet", *more]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, encoding="utf-8")


def kill(process: subprocess.Popen) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def harm(root: Path, chance: random.Random) -> str:
    """Damage, cut off or delete one file of the dataset or one record of the store; returns what was done."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.name != "lock" and p.suffix != ".lock")
    if not files:
        return "nothing there"
    file = chance.choice(files)
    how = chance.choice(("flip", "cut", "delete", "empty"))
    data = file.read_bytes()
    if how == "delete":
        file.unlink()
    elif how == "empty" or not data:
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(data[: chance.randrange(len(data))])
    else:
        place = chance.randrange(len(data))
        file.write_bytes(data[:place] + bytes([data[place] ^ (1 + chance.randrange(255))]) + data[place + 1 :])
    return f"{how} {file.relative_to(root)}"


def test_fifty_kills_with_damage_and_two_builds_at_once_end_in_the_same_bytes(families, tmp_path):
    chance = random.Random(20261121)
    study, out = families.root / "study.yaml", tmp_path / "tortured"
    begun = time.monotonic()
    _, said = begin(study, tmp_path / "undisturbed").communicate()
    assert bytes_of(tmp_path / "undisturbed") == bytes_of(families.root), said
    span_s = min(time.monotonic() - begun, LONGEST_S)
    history, killed = [], 0
    while killed < N_KILLS:
        both = killed % 5 == 4
        processes = [begin(study, out, *(["--wait"] if chance.random() < 0.5 else [])) for _ in range(2 if both else 1)]
        deadline = time.monotonic() + chance.uniform(0.05, 1.0) * span_s
        while time.monotonic() < deadline and any(process.poll() is None for process in processes):
            time.sleep(0.05)
        for process in processes:
            if process.poll() is None:
                killed += 1
                history.append("kill")
            elif process.returncode == 0:
                history.append("finished")
            else:
                said = process.stderr.read()
                assert "another build is writing here" in said, said  # the second of two: refused, and nothing else
                history.append("refused")
            kill(process)
        if out.is_dir():
            if (out / "digests.sha256").is_file():
                assert bytes_of(out) == bytes_of(families.root), history[-20:]
            for _ in range(chance.randrange(3)):
                history.append(harm(out, chance))
    left = begin(study, out)
    _, said = left.communicate()
    assert left.returncode == 0, said + str(history[-20:])
    assert bytes_of(out) == bytes_of(families.root), history
    assert not [problem for finding in verify(out) for problem in finding.problems]
    assert not status_of(out).reclaimable


def test_shards_killed_and_run_anew_merge_to_the_same_bytes(families, tmp_path):
    study, out = families.root / "study.yaml", tmp_path / "shards"
    first = begin(study, out, "--shard", "1/2")
    second = begin(study, out, "--shard", "2/2")
    deadline = time.monotonic() + 300
    while not list(out.glob("truth/*.h5")) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    kill(first)
    _, said = second.communicate()
    assert second.returncode == 0, said
    merge = [sys.executable, "-m", "flows", "merge", str(study), "--out", str(out), "--quiet"]
    early = subprocess.run(merge, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert early.returncode == 2
    assert "build shards 1/2" in early.stderr
    _, said = begin(study, out, "--shard", "1/2").communicate()
    done = subprocess.run(merge, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert bytes_of(out) == bytes_of(families.root)


def test_a_real_dask_scheduler_with_two_workers_gives_the_same_bytes(families, tmp_path):
    distributed = pytest.importorskip("distributed")
    from flows.running.clusters import local_dask

    plan = make_plan(load_study(families.root / "study.yaml"))
    with local_dask(2) as cluster, distributed.Client(cluster) as client:
        pids = set(client.run(os.getpid).values())
        assert len(pids | {os.getpid()}) == 3
        made = build_on_cluster(plan, tmp_path / "out", f"dask:{cluster.scheduler_address}")
    assert bytes_of(made.root) == bytes_of(families.root)


def test_a_real_ray_cluster_with_two_workers_gives_the_same_bytes(families, tmp_path):
    pytest.importorskip("ray")
    plan = make_plan(load_study(families.root / "study.yaml"))
    made = build_on_cluster(plan, tmp_path / "out", "ray:2")
    assert bytes_of(made.root) == bytes_of(families.root)


def test_a_scheduler_that_does_not_answer_is_said(families, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    plan = make_plan(load_study(families.root / "study.yaml"))
    with pytest.raises(ValueError, match="no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
        build_on_cluster(plan, tmp_path / "out", "dask:tcp://127.0.0.1:1")


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system in memory, with options; for root alone."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, encoding="utf-8"
        )
        if done.returncode != 0:
            pytest.skip(f"this user may not mount: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


def test_a_full_disk_is_said_and_nothing_finished_is_lost(families, tmp_path, mounted):
    """At four sizes: the disk is full in another place each time; with room the build goes on to the same bytes."""
    whole = sum(len(data) for data in bytes_of(families.root).values())
    place = mounted(f"size={int(0.05 * whole)}")
    kept: set[str] = set()
    for share in (0.05, 0.3, 0.6, 0.9):
        subprocess.run(["mount", "-o", f"remount,size={int(share * whole)}", str(place)], check=True)
        with pytest.raises(StorageError, match="the disk is full"):
            build_dataset(families.root / "study.yaml", place / "out")
        status = status_of(place / "out") if (place / "out/.store").is_dir() else None
        if status is not None:
            assert status.state == "unfinished"
            there = {path for path in bytes_of(place / "out") if path.split("/")[0] in {"images", "twins", "truth"}}
            assert kept <= there
            kept = there
    assert kept
    subprocess.run(["mount", "-o", f"remount,size={3 * whole}", str(place)], check=True)
    assert bytes_of(build_dataset(families.root / "study.yaml", place / "out").root) == bytes_of(families.root)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    with pytest.raises(StorageError, match="read-only"):
        build_dataset(families.root / "study.yaml", place / "out")
    assert Dataset.open(place / "out").digests() == families.digests()  # still finished, and can be read
    assert status_of(place / "out").state == "finished"
