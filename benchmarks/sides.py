"""The parent's side: worker processes that take turns on one machine."""

from __future__ import annotations

import json
import os
import select
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class WorkerError(RuntimeError):
    """A worker could not do what it was asked."""


@dataclass(frozen=True)
class Side:
    """One of those that are compared: who, which module's job with which parameters, in which Python.

    ``warm``: the first run is not counted (it compiles, or touches memory for the first time).
    """

    name: str
    module: str
    job: str
    parameters: dict[str, Any] = field(default_factory=dict)
    python: str = "own"
    warm: bool = True


class Worker:
    """A process that serves one side of a row; its standard error goes to ``log``."""

    def __init__(self, side: Side, python: Path, threads: int, log: Path) -> None:
        self.side = side
        self.log = log
        count = str(threads)
        names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self._errors = log.open("a", encoding="utf-8")
        self._process = subprocess.Popen(
            [str(python), "-m", side.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env={**os.environ, **dict.fromkeys(names, count), "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": count},
        )
        self._rest = b""

    def ask(self, timeout_s: float, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; WorkerError if there is none in time, or it is an error."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((json.dumps(command) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(f"{self.side.name} has ended") from None
        answer: dict[str, Any] = json.loads(self._line(timeout_s))
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _line(self, timeout_s: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
            if not ready:
                raise WorkerError(f"{self.side.name} did not answer within {timeout_s:.0f} s")
            got = os.read(self._process.stdout.fileno(), 65536)
            if not got:
                raise WorkerError(f"{self.side.name} has ended")
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._errors.close()


def measure(
    sides: tuple[Side, ...],
    pythons: dict[str, Path],
    *,
    rounds: int,
    threads: int,
    tiny: bool,
    log: Path,
    timeout_s: float = 5400.0,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Let the sides take turns, A B A B; what each needed, and why some did not run."""
    workers: dict[str, Worker] = {}
    found: dict[str, Any] = {}
    left_out: dict[str, str] = {}

    def ask(name: str, **command: Any) -> dict[str, Any] | None:
        try:
            return workers[name].ask(timeout_s, **command)
        except WorkerError as error:
            left_out[name] = str(error)
            found.pop(name, None)
            workers.pop(name).close()
            return None

    try:
        for side in sides:
            if side.python not in pythons:
                left_out[side.name] = "not installed"
                continue
            workers[side.name] = Worker(side, pythons[side.python], threads, log)
            parameters = {**side.parameters, "tiny": tiny, "threads": threads}
            ready = ask(side.name, do="prepare", job=side.job, parameters=parameters)
            if ready is not None:
                found[side.name] = {**ready, "runs": []}
        for side in sides:
            if side.warm and side.name in workers:
                first = ask(side.name, do="run")
                if first is not None:
                    found[side.name]["first"] = first
        for _ in range(rounds):
            for side in sides:
                if side.name in workers:
                    run = ask(side.name, do="run")
                    if run is not None:
                        found[side.name]["runs"].append(run)
        for side in sides:
            if side.name in workers:
                last = ask(side.name, do="finish")
                if last is not None:
                    found[side.name] |= {"peak_mb": last["mb"], "found": last["found"]}
    finally:
        for worker in workers.values():
            worker.close()
    return found, left_out
