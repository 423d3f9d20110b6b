"""What it costs that a build is kept track of: python scripts/measure_orchestration.py [--cases 100] [--prefect].

A study of many cases that share one coarse twin is built; what the stages themselves take (all that the store writes,
and exposures) is counted apart, so that the rest is plan, keys, digests, records, tables, card and report. The same
build run again has nothing but that. With --prefect the finished build is run once more as a flow with one task per
case, against a temporary server; its start is not counted. Figures are printed, also as a share of scans as they are.
All are processor times, so that what else the machine does is not in them; waiting for the disk is not, either.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.build import open_build
from flows.stages import imaging
from flows.store import Store, sha256_of
from flows.study import Plan, StudySpec, load_study, make_plan, resolve

ROOT = Path(__file__).resolve().parent.parent
SCAN_S, SCAN_BYTES = 322.0, 120e6
"""A whole thorax at one ray per reading and its files (docs/performance.md): the fastest scan that is no preview."""


def study_of(n_cases: int) -> StudySpec:
    """One coarse woman, many times, scanned once each."""
    plain = resolve(load_study(ROOT / "tests/flows/tiny.yaml"))
    woman = plain.twins[0].model_copy(update={"nodules": plain.twins[0].nodules[:1]})
    sampling = plain.sampling.model_copy(update={"scatter": False, "rays_per_reading": 1})
    scan = plain.scans[0].model_copy(update={"sampling": sampling, "matrix": 64})
    names = [f"case{number:04d}" for number in range(n_cases)]
    return plain.model_copy(
        update={
            "name": "orchestration",
            "twins": tuple(woman.model_copy(update={"id": name, "person": name}) for name in names),
            "scans": (scan,),
            "sampling": sampling,
            "twin_spacing_mm": 6.0,
        }
    )


class Clock:
    """Adds up what the stages take, by wrapping what the store calls to write and what takes exposures."""

    def __init__(self) -> None:
        self.seconds, self._depth = 0.0, 0
        put, take = Store.put, imaging.take_exposure

        def timed_put(store: Store, key: str, path: str, write: Any) -> Any:
            return put(store, key, path, lambda part: self.run(lambda: write(part)))

        Store.put = timed_put  # type: ignore[method-assign]
        imaging.take_exposure = lambda *given: self.run(lambda: take(*given))  # type: ignore[assignment]

    def run(self, work: Any) -> Any:
        """Count the outermost of nested works."""
        begun, self._depth = time.process_time(), self._depth + 1
        try:
            return work()
        finally:
            self._depth -= 1
            if not self._depth:
                self.seconds += time.process_time() - begun


def resident_mb() -> float:
    """Memory of this process [MB]."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1e6


def build(plan: Plan, out: Path) -> tuple[float, list[float]]:
    """Processor time [s], and memory after each case [MB]."""
    memory_mb, begun = [], time.process_time()
    with open_build(plan, out) as work:
        records = []
        for case in plan.cases:
            records.append(work.case(case))
            memory_mb.append(resident_mb())
        work.finish(records)
    return time.process_time() - begun, memory_mb


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--prefect", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        begun = time.process_time()
        plan = make_plan(study_of(given.cases))
        plan_s = time.process_time() - begun
        build(make_plan(study_of(2)), Path(folder) / "warm")  # compiles, imports
        clock = Clock()
        whole_s, memory_mb = build(plan, out)
        own_s = whole_s - clock.seconds
        again_s, _ = build(plan, out)
        sizes = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
        bytes_per_s = hashing_rate(Path(folder) / "large")
        per_case_s = own_s / given.cases
        real_s = per_case_s + 2 * SCAN_BYTES / bytes_per_s
        print(f"{given.cases} cases, {sizes / 1e6:.0f} MB; plan {plan_s:.2f} s")
        print(f"built in {whole_s:.1f} s, of which {own_s:.2f} s are no stage: {1e3 * per_case_s:.1f} ms a case")
        print(f"built again, all found: {again_s:.2f} s")
        print(f"SHA-256: {bytes_per_s / 1e6:.0f} MB/s; so {real_s:.2f} s beside a scan of {SCAN_S:.0f} s: ", end="")
        print(f"{100 * real_s / SCAN_S:.2f} %")
        marks = sorted({0, given.cases // 10, given.cases // 2, given.cases - 1})
        print("memory after case", ", ".join(f"{mark + 1}: {memory_mb[mark]:.0f} MB" for mark in marks))
        if given.prefect:
            print(f"under Prefect, all found: {1e3 * prefect_s(out, again_s, given.cases):.0f} ms a case more")


def hashing_rate(file: Path) -> float:
    """Bytes that are hashed per second."""
    file.write_bytes(os.urandom(1 << 20) * 64)
    begun = time.process_time()
    sha256_of(file)
    return (64 << 20) / (time.process_time() - begun)


def prefect_s(out: Path, plain_s: float, n_cases: int) -> float:
    """Processor time of this process that a case takes longer as a Prefect task [s]; the server's own is beside it."""
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    from flows.prefect_skin import build_dataset_flow

    build_dataset_flow(study=str(out / "study.yaml"), out=str(out))  # starts the server
    begun = time.process_time()
    build_dataset_flow(study=str(out / "study.yaml"), out=str(out))
    return (time.process_time() - begun - plain_s) / n_cases


if __name__ == "__main__":
    main()
