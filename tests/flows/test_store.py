"""The store hands out only what is finished and sound."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from flows.store import BusyError, Store, content_key, sha256_of

KEY = "a" * 64


def writer(text: str, calls: list[str] | None = None):
    def write(path: Path) -> dict[str, int]:
        if calls is not None:
            calls.append(text)
        path.write_text(text, encoding="utf-8")
        return {"length": len(text)}

    return write


def test_what_was_made_once_is_found_again_with_its_facts(tmp_path):
    calls: list[str] = []
    store = Store(tmp_path)
    made = store.make(KEY, "images/a.txt", writer("hello", calls))
    again = Store(tmp_path).make(KEY, "images/a.txt", writer("hello", calls))
    assert again == made
    assert made.facts == {"length": 5}
    assert made.sha256 == sha256_of(tmp_path / "images/a.txt")
    assert calls == ["hello"]


HARMS = {
    "deleted": lambda file, _record: file.unlink(),
    "damaged": lambda file, _record: file.write_text("hellO", encoding="utf-8"),
    "truncated": lambda file, _record: file.write_text("hell", encoding="utf-8"),
    "unrecorded": lambda _file, record: record.unlink(),
    "cut record": lambda _file, record: record.write_text(record.read_text(encoding="utf-8")[:-20], encoding="utf-8"),
    "edited record": lambda _file, record: record.write_text(
        record.read_text(encoding="utf-8").replace('"length": 5', '"length": 6'), encoding="utf-8"
    ),
    "foreign record": lambda _file, record: record.write_text("[]", encoding="utf-8"),
    "binary record": lambda _file, record: record.write_bytes(b"\xff\x00"),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_a_harmed_artefact_is_made_again(tmp_path, harm):
    calls: list[str] = []
    store = Store(tmp_path)
    first = store.make(KEY, "images/a.txt", writer("hello", calls))
    harm(tmp_path / "images/a.txt", tmp_path / f".store/records/{KEY}.json")
    assert store.find(KEY) is None
    assert store.make(KEY, "images/a.txt", writer("hello", calls)) == first
    assert calls == ["hello", "hello"]
    assert (tmp_path / "images/a.txt").read_text(encoding="utf-8") == "hello"


def test_a_writer_that_fails_leaves_the_old_file_and_no_scraps(tmp_path):
    store = Store(tmp_path)
    store.make(KEY, "images/a.txt", writer("hello"))

    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        store.put("b" * 64, "images/a.txt", fail)
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["a.txt"]
    assert store.find(KEY) is not None


def test_the_sweep_removes_scraps_of_killed_writers_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    store.make(KEY, "images/a.nii.gz", writer("hello"))
    (tmp_path / "images/.b.4711.nii.gz").write_text("half", encoding="utf-8")
    (tmp_path / "images/.hidden").write_text("the user's", encoding="utf-8")
    (tmp_path / f".store/records/.{KEY}.4711.json").write_text("{", encoding="utf-8")
    store.sweep()
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == [".hidden", "a.nii.gz"]
    assert [p.name for p in (tmp_path / ".store/records").iterdir()] == [f"{KEY}.json"]


def test_pruning_forgets_what_no_plan_asks_for_and_never_touches_foreign_files(tmp_path):
    store = Store(tmp_path)
    store.make("1" * 64, "images/old.txt", writer("old"))
    store.make("2" * 64, "images/kept.txt", writer("kept"))
    store.make("3" * 64, "images/remade.txt", writer("before"))
    store.make("4" * 64, "images/remade.txt", writer("after"))
    (tmp_path / "images/notes.txt").write_text("the user's", encoding="utf-8")
    assert store.prune({"2" * 64, "4" * 64}) == ["images/old.txt"]
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["kept.txt", "notes.txt", "remade.txt"]
    assert len(list((tmp_path / ".store/records").iterdir())) == 2


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", ".store/x", ""])
def test_artefacts_stay_below_the_root(tmp_path, path):
    with pytest.raises(ValueError, match="below the store's root"):
        Store(tmp_path).put(KEY, path, writer("hello"))


def test_a_content_key_changes_with_everything_that_bytes_depend_on():
    base = {"path": "a", "spec": {"a": 1}, "inputs": {"twin": "0" * 64}, "backend": "cpu", "rooms": ()}
    keys = {
        content_key("scan", 1, **base),
        content_key("scan", 2, **base),
        content_key("twin", 1, **base),
        content_key("scan", 1, **{**base, "spec": {"a": 2}}),
        content_key("scan", 1, **{**base, "path": "b"}),
        content_key("scan", 1, **{**base, "inputs": {"twin": "1" * 64}}),
        content_key("scan", 1, **{**base, "backend": "gpu"}),
        content_key("scan", 1, **{**base, "rooms": ("twins",)}),
    }
    assert len(keys) == 8


def test_a_content_key_does_not_depend_on_the_order_of_fields():
    one = content_key("scan", 1, path="a", spec={"a": 1, "b": 2}, inputs={}, backend="cpu")
    assert one == content_key("scan", 1, path="a", spec={"b": 2, "a": 1}, inputs={}, backend="cpu")


def test_a_record_is_plain_json_that_names_its_file(tmp_path):
    Store(tmp_path).make(KEY, "images/a.txt", writer("hello"))
    record = json.loads((tmp_path / f".store/records/{KEY}.json").read_text(encoding="utf-8"))
    assert record["path"] == "images/a.txt"
    assert record["n_bytes"] == 5


def _hold(root: str, ready) -> None:
    with Store(root).lock():
        ready.set()
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready))
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()
    process.join()


def test_a_second_writer_is_refused_and_told_who_holds_the_folder(tmp_path, holder):
    with pytest.raises(BusyError, match=rf"process {holder.pid}\b"), Store(tmp_path).lock():
        pass


def test_a_killed_writer_frees_the_folder_at_once(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    with Store(tmp_path).lock(wait_s=10):
        pass


def test_a_dropped_key_is_forgotten_with_its_file_and_an_empty_folder(tmp_path):
    store = Store(tmp_path)
    store.make(KEY, "steps/a.txt", writer("hello"))
    store.make("b" * 64, "steps/b.txt", writer("there"))
    store.drop(KEY)
    assert store.find(KEY) is None
    assert [path.name for path in (tmp_path / "steps").iterdir()] == ["b.txt"]
    store.drop("b" * 64)
    store.drop("b" * 64)  # nothing is there any more
    assert not (tmp_path / "steps").exists()
