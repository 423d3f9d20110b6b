"""A real Prefect server with its clients, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what: str, happened, process: subprocess.Popen, log: Path, limit_s: float = 240) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen:\n{log.read_text(encoding='utf-8')[-3000:]}")
        time.sleep(0.5)


class Server:
    """A server in a folder; ``database``: its address, SQLite in the folder where none is given."""

    def __init__(self, home: Path, database: str = "") -> None:
        self.home = home
        self.port = free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PYTHONWARNINGS": "ignore",
        }
        if database:
            self.environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> Server:
        command = (str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        process, log = self.start("server", *command)
        wait_until("the server's start", self._is_healthy, process, log)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def start(self, name: str, *command: str) -> tuple[subprocess.Popen, Path]:
        """A process that lives as long as the server, and its log."""
        log = self.home / f"{name}.log"
        with log.open("w", encoding="utf-8") as handle:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdout=handle,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process, log

    def serve(self) -> None:
        """Serve the presets."""
        process, log = self.start("serve", sys.executable, "-m", "flows.serve", "--out", str(self.home / "out"))
        wait_until(
            "the serving of deployments", lambda: "build-dataset/demo" in log.read_text(encoding="utf-8"), process, log
        )

    def prefect(self, *words: str, limit_s: float = 400) -> subprocess.CompletedProcess:
        """Run one of Prefect's own commands."""
        command = [str(BIN / "prefect"), *words]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, encoding="utf-8", timeout=limit_s
        )

    def run(self, deployment: str, *parameters: str, watch: bool = True) -> subprocess.CompletedProcess:
        """Run a deployment."""
        words = ["deployment", "run", deployment, *(["--watch"] if watch else [])]
        for parameter in parameters:
            words += ["--param", parameter]
        return self.prefect(*words)

    def ask(self, path: str, data: Any = None) -> Any:
        """What the server's API answers."""
        request = urllib.request.Request(
            f"{self.environment['PREFECT_API_URL']}{path}",
            data=None if data is None else json.dumps(data).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def _is_healthy(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.environment['PREFECT_API_URL']}/health", timeout=2).status == 200
        except OSError:
            return False
