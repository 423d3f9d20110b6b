"""What parametric nodules cost: ``python -m benchmarks.lesions TWIN.h5``, best with NUMBA_NUM_THREADS=1.

Nodules of a cohort are placed in sets into one twin and made into insets with their truth; the distance maps of
placement are worked out once for the twin.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import fmean, median

import numpy as np

import twins
from lesions import Clearance, Nodule, PlacementError, insert, place
from lesions.cohorts import draw_table


def main(words: list[str]) -> int:
    """Print CPU times of placement and insertion; exit status 1 if most sets found no place."""
    ask = argparse.ArgumentParser(prog="python -m benchmarks.lesions", description=__doc__.splitlines()[0])
    ask.add_argument("twin")
    ask.add_argument("--n", type=int, default=500, help="nodules")
    ask.add_argument("--per-set", type=int, default=10, help="nodules placed together")
    ask.add_argument("--cohort", default="screening")
    asked = ask.parse_args(words)
    twin = twins.load(asked.twin)
    table = draw_table(np.random.default_rng(1), asked.n, cohort=asked.cohort, diameter_mm=(4.0, 12.0))
    specs = [table.nodule(i, name=f"n{i}") for i in range(asked.n)]
    began = time.process_time()
    where = Clearance(twin)
    _warm_up(twin, where)
    print(f"once per twin (and once per process): {time.process_time() - began:.1f} s")
    placing, inserting, failed = [], [], 0
    for first in range(0, asked.n, asked.per_set):
        some = specs[first : first + asked.per_set]
        began = time.process_time()
        try:
            placed = place(twin, some, rng=np.random.default_rng(first), clearance=where)
        except PlacementError:
            failed += 1
            continue
        placing += [(time.process_time() - began) / len(some)] * len(some)
        for nodule in placed:
            began = time.process_time()
            insert(twin, [nodule])
            inserting.append(time.process_time() - began)
    if not inserting:
        print(f"none of {failed} sets found a place")
        return 1
    for what, times in (("place", placing), ("insert", inserting)):
        print(f"{what:<7}{1e3 * median(times):7.1f} ms median{1e3 * fmean(times):7.1f} ms mean, CPU time of one nodule")
    minutes = 10_000 * (fmean(placing) + fmean(inserting)) / 60
    print(f"10,000 nodules: {minutes:.1f} min of one core, from {len(inserting)}; sets without a place: {failed}")
    return 0 if failed * asked.per_set < len(inserting) else 1


def _warm_up(twin: twins.Twin, where: Clearance) -> None:
    """Compile, read caches and work out the maps for the calibres that most nodules ask for."""
    kinds = (
        {"equivalent_diameter_mm": 5.0, "spiculation": 4.0},
        {"equivalent_diameter_mm": 12.0, "type": "part_solid"},
        {"equivalent_diameter_mm": 6.0, "attachment": "pleura"},
        {"equivalent_diameter_mm": 6.0, "attachment": "fissure"},
        {"equivalent_diameter_mm": 6.0, "attachment": "vessel"},
    )
    specs = [Nodule.model_validate({"id": f"w{i}", "key": i, **fields}) for i, fields in enumerate(kinds)]
    insert(twin, place(twin, specs, rng=np.random.default_rng(0), clearance=where))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
