"""Workers of a Prefect server: PostgreSQL with three of them, Dask, and cancellation; each ends in the same bytes."""

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from flows import build_dataset
from flows.running.status import status_of

from .manyhands import bytes_of
from .server import BIN, Server, free_port, wait_until

pytestmark = pytest.mark.slow


class PostgreSQL:
    """A server of Debian's postgresql in a folder of its own; it refuses to run as root."""

    def __init__(self, home: Path) -> None:
        found = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)]
        tools = [Path(str(path)).resolve().parent for path in found if path]
        if not tools:
            pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
        self._bin, self._home, self._port = tools[0], home, free_port()
        self._as: list[str] = []
        if os.getuid() == 0:
            try:
                pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def __enter__(self) -> str:
        data = self._home / "pg"
        data.mkdir()
        if self._as:
            shutil.chown(data, "postgres", "postgres")
            for folder in (self._home, *self._home.parents[:2]):
                folder.chmod(0o755)
        self._call("initdb", "-D", str(data), "-U", "lungtwin", "--auth=trust")
        options = f"-p {self._port} -k {data} -c listen_addresses=127.0.0.1 -c max_connections=200"
        self._call("pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "-o", options, "start")
        self._call("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "lungtwin", "prefect")
        return f"postgresql+asyncpg://lungtwin@127.0.0.1:{self._port}/prefect"

    def __exit__(self, *_: object) -> None:
        self._call("pg_ctl", "-D", str(self._home / "pg"), "-m", "immediate", "stop")

    def _call(self, tool: str, *words: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._bin / tool), *words],
            capture_output=True,
            encoding="utf-8",
            cwd="/",
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def states(server: Server) -> dict[str, str]:
    return {run["name"]: run["state_type"] for run in server.ask("/flow_runs/filter", {})}


def wait_for_state(server: Server, name: str, wanted: set[str], limit_s: float = 400) -> str:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = states(server).get(name, "")
        if found in wanted:
            return found
        time.sleep(1)
    raise AssertionError(f"{name} is {states(server).get(name)}, not one of {wanted}")


def test_three_workers_on_postgresql_build_three_shards_of_one_dataset(families, tmp_path_factory):
    """From the deployments of prefect.yaml, as the guide says."""
    home, out = tmp_path_factory.mktemp("postgres"), tmp_path_factory.mktemp("built") / "out"
    with PostgreSQL(home) as database, Server(home, database) as server:
        for words in (("work-pool", "create", "lungtwin", "--type", "process"), ("--no-prompt", "deploy", "--all")):
            done = server.prefect(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        assert server.ask("/v2/concurrency_limits/lungtwin-gpu")["limit"] == 1
        for number in (1, 2, 3):
            name = f"worker-{number}"
            command = (str(BIN / "prefect"), "worker", "start", "--pool", "lungtwin", "--limit", "1", "--name", name)
            worker, log = server.start(name, *command)
            wait_until("a worker's start", lambda log=log: "started" in log.read_text(encoding="utf-8"), worker, log)
        study = families.root / "study.yaml"
        for number in (1, 2, 3):
            done = server.run("build-dataset/demo", f"study={study}", f"out={out}", f"shard={number}/3", watch=False)
            assert done.returncode == 0, done.stdout + done.stderr
        for number in (1, 2, 3):
            name = f"study shard {number}/3 into out"
            assert wait_for_state(server, name, {"COMPLETED", "FAILED", "CRASHED"}) == "COMPLETED"
        done = server.run("merge-dataset/shards", f"study={study}", f"out={out}")
        assert "Completed" in done.stdout, done.stdout + done.stderr
        logs = [server.home / f"worker-{number}.log" for number in (1, 2, 3)]
        assert all("Completed" in log.read_text(encoding="utf-8") for log in logs)  # each had one
    assert bytes_of(out) == bytes_of(families.root)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("prefect")) as server:
        server.serve()
        yield server


def test_the_flow_on_dask_gives_the_same_bytes(server, families, tmp_path):
    pytest.importorskip("prefect_dask")
    study = families.root / "study.yaml"
    done = server.run("build-dataset/demo", f"study={study}", f"out={tmp_path / 'out'}", "cluster=dask:2")
    assert "Completed" in done.stdout, done.stdout + done.stderr
    assert bytes_of(tmp_path / "out") == bytes_of(families.root)
    told = [line["message"] for line in server.ask("/logs/filter", {"limit": 200})]
    assert len({line.rsplit("process ", 1)[1] for line in told if "cases in process" in line}) == 2


def test_a_cancelled_run_frees_the_folder_and_the_next_goes_on(server, families, tmp_path):
    study, out = families.root / "study.yaml", tmp_path / "cancelled"
    server.run("build-dataset/demo", f"study={study}", f"out={out}", watch=False)
    wait_for_state(server, "study into cancelled", {"RUNNING"})
    deadline = time.monotonic() + 200
    while not list(out.glob("images/*.nii.gz")) and time.monotonic() < deadline:
        time.sleep(0.2)
    (run,) = (r for r in server.ask("/flow_runs/filter", {}) if r["name"] == "study into cancelled")
    done = server.prefect("flow-run", "cancel", run["id"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert wait_for_state(server, "study into cancelled", {"CANCELLED", "COMPLETED"}) == "CANCELLED"
    deadline = time.monotonic() + 60
    while status_of(out).writers and time.monotonic() < deadline:
        time.sleep(0.5)
    assert status_of(out).state == "unfinished"
    assert bytes_of(build_dataset(study, out).root) == bytes_of(families.root)
