"""The worker's side of a measurement: a process that holds one work item and runs it each time it is asked.

One JSON line per command on standard input, one JSON line back; what libraries print goes to standard error. Commands:
``prepare`` (a job's name and parameters), ``run`` (once, timed), ``finish`` (accuracy and peak memory).
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Job:
    """A work item, ready to run.

    ``work`` units per run (readings, voxel updates); ``run`` does it once; ``finish`` measures its accuracy, or tells
    what else there is to tell; ``versions`` of what was run.
    """

    work: float
    run: Callable[[], object]
    finish: Callable[[], dict[str, Any]] = dict
    versions: dict[str, str] = field(default_factory=dict)


def peak_mb() -> float:
    """Most memory that this process has held so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Wall and processor seconds (of all threads), and the load average before."""
    load = os.getloadavg()[0]
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "load": load}


def serve(makers: dict[str, Callable[..., Job]]) -> None:
    """Answer commands until standard input ends; ``makers`` turn parameters into jobs."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = Job(0, lambda: None)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "prepare":
                job = makers[command["job"]](**command["parameters"])
                answer = {"work": job.work, "versions": job.versions, "mb": peak_mb()}
            elif command["do"] == "run":
                answer = timed(job.run)
            else:
                answer = {"mb": peak_mb(), "found": job.finish()}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(answer) + "\n")
