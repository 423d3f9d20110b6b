"""Measure rows and rewrite the figures of ``docs/performance.md``: ``python -m benchmarks [ROW,...]``.

Rows are named in ``benchmarks/rows.py``; "quick" (default, under 12 minutes) and "all" stand for several. Each row's
result is a line of JSON in ``out/bench/results/ROW.jsonl``, so that rows can be measured at different times; the newest
line counts. Options: ``--resume`` leaves out rows that this commit has already on this machine, ``--tiny`` tries the
harness out on small scenes (the page is left alone), ``--no-peers`` measures lungtwin alone, ``--report`` only writes
the page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import machine, peers, report, rows, sides

OUT = sides.ROOT / "out" / "bench"
RESULTS = OUT / "results"


def main(words: list[str]) -> int:
    """Run what is asked for; exit status 1 if a row failed, 2 if there is no such row."""
    ask = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    ask.add_argument("rows", nargs="?", default="quick")
    for option in ("resume", "tiny", "no-peers", "report"):
        ask.add_argument(f"--{option}", action="store_true")
    ask.add_argument("--rounds", type=int, default=None)
    ask.add_argument("--threads", type=int, default=machine.n_cores())
    asked = ask.parse_args(words)
    try:
        chosen = rows.pick(asked.rows)
    except ValueError as error:
        print(error)
        return 2
    if asked.report:
        return report.write(RESULTS)
    RESULTS.mkdir(parents=True, exist_ok=True)
    where, missing = ({}, dict.fromkeys(peers.PEERS, "left out")) if asked.no_peers else peers.find(install=True)
    for name, reason in missing.items():
        print(f"without {name}: {reason}")
    pythons = {"own": Path(sys.executable), **where}
    failed = []
    for number, row in enumerate(chosen, start=1):
        head = f"[{number}/{len(chosen)}] {row.name}"
        if asked.resume and _is_done(row.name, asked.tiny):
            print(f"{head}: measured at this commit already", flush=True)
            continue
        start = time.monotonic()
        found, left_out = sides.measure(
            row.sides,
            pythons,
            rounds=asked.rounds or row.rounds,
            threads=asked.threads,
            tiny=asked.tiny,
            log=OUT / f"{row.name}.log",
        )
        left_out = {name: missing.get(_peer_of(row, name), why) for name, why in left_out.items()}
        record = {
            "row": row.name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": machine.commit(),
            "machine": machine.describe(),
            "threads": asked.threads,
            "tiny": asked.tiny,
            "sides": found,
            "left_out": left_out,
        }
        with _results(row.name, asked.tiny).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        print(f"{head}: {_summary(row, record)} ({time.monotonic() - start:.0f} s)", flush=True)
        if not any(side.python == "own" and side.name in found for side in row.sides):
            failed.append(row.name)
    if failed:
        print(f"failed: {', '.join(failed)}; see {OUT}/*.log")
    if not asked.tiny:
        report.write(RESULTS)
    return 1 if failed else 0


def _results(name: str, tiny: bool) -> Path:
    return RESULTS / f"{name}{'.tiny' if tiny else ''}.jsonl"


def _is_done(name: str, tiny: bool) -> bool:
    """Whether this commit has a result of a row on this machine; a working copy with changes never has."""
    commit, here = machine.commit(), machine.describe()
    if commit.endswith("+") or commit == "unknown" or not _results(name, tiny).exists():
        return False
    last = json.loads(_results(name, tiny).read_text(encoding="utf-8").splitlines()[-1])
    return bool(last["sides"]) and last["commit"] == commit and last["machine"] == here


def _peer_of(row: rows.Row, name: str) -> str:
    return next(side.python for side in row.sides if side.name == name)


def _summary(row: rows.Row, record: dict[str, Any]) -> str:
    """Median wall and processor seconds of every side, and what was left out."""
    parts = []
    for name, found in record["sides"].items():
        wall, cpu = (statistics.median(run[what] for run in found["runs"]) for what in ("wall_s", "cpu_s"))
        rate = f", {found['work'] / wall / row.scale:.3g} {row.unit}" if row.unit and row.unit != "s" else ""
        parts.append(f"{name} {wall:.2f} s ({cpu:.2f} processor-seconds{rate})")
    parts += [f"without {name}: {why}" for name, why in record["left_out"].items()]
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
