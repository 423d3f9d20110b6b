"""A real Prefect server, a served deployment, a run: the tiny study builds, and wrong parameters never start."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from flows import Dataset

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(what: str, happened, process: subprocess.Popen, log: Path, limit_s: float = 240) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen:\n{log.read_text(encoding='utf-8')[-3000:]}")
        time.sleep(0.5)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    """Environment of a client of a server that serves our deployments."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONWARNINGS": "ignore",
    }
    processes = []

    def start(name: str, *command: str) -> tuple[subprocess.Popen, Path]:
        log = home / f"{name}.log"
        with log.open("w", encoding="utf-8") as handle:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=handle, stderr=subprocess.STDOUT, start_new_session=True
            )
        processes.append(process)
        return process, log

    def healthy() -> bool:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2).status == 200
        except OSError:
            return False

    try:
        server, log = start(
            "server", str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)
        )
        wait_until("the server's start", healthy, server, log)
        serving, log = start("serve", sys.executable, "-m", "flows.serve", "--out", str(home / "out"))
        wait_until(
            "the serving of deployments", lambda: "build-dataset/demo" in log.read_text(encoding="utf-8"), serving, log
        )
        yield environment
    finally:
        for process in reversed(processes):
            end(process)


def run(environment: dict[str, str], *parameters: str) -> subprocess.CompletedProcess:
    command = [str(BIN / "prefect"), "deployment", "run", "build-dataset/demo", "--watch"]
    for parameter in parameters:
        command += ["--param", parameter]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=400)


def test_a_deployment_run_builds_a_dataset(prefect, tiny, tmp_path):
    done = run(prefect, f"study={tiny}", f"out={tmp_path / 'out'}")
    assert "Completed" in done.stdout, done.stdout + done.stderr
    assert len(Dataset.open(tmp_path / "out").manifest) == 2


def test_a_wrong_parameter_is_refused_before_a_run_exists(prefect, tmp_path):
    done = run(prefect, "backend=abacus", f"out={tmp_path / 'out'}")
    assert done.returncode != 0
    assert "backend" in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_fails_before_any_work(prefect, tmp_path):
    done = run(prefect, "study=dmeo", f"out={tmp_path / 'out'}")
    assert done.returncode != 0 or "Failed" in done.stdout
    assert not (tmp_path / "out").exists()
