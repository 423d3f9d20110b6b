"""Parity, determinism and speed of the GPU backend on this machine, in one call: ``make gpu-check``.

Needs numpy, scipy, numba, h5py and cupy only. Prints a table; ``--json FILE`` writes it as well. Exit status 1 if a
row fails or there is no GPU. Parity: against the Numba kernels, on scans small enough for them, and against sums over
energies. Speed: the best of three after one that does not count; figures "on the device" leave transfers out.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpu_parity import Parity
from gpu_speed import Speed
from gpu_table import Table

from ctsim.backends import BackendError
from ctsim.backends.gpu.device import Device


def main() -> int:
    """Print the table; 0 if every row passes."""
    parser = argparse.ArgumentParser(description="Parity, determinism and speed of the GPU backend on this machine.")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    parser.add_argument("--tiny", action="store_true", help="sizes at which speed means nothing: does it run at all")
    parser.add_argument("--memory-gib", type=float, help="most memory to take on the device [GiB]")
    asked = parser.parse_args()
    try:
        device = Device(None if asked.memory_gib is None else int(asked.memory_gib * 2**30))
    except BackendError as error:
        print(error)
        return 1
    cupy = getattr(device.cupy, "__version__", "unknown")
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, CuPy {cupy}"
    print(f"device: {device.name}, {device.memory_bytes / 2**30:.0f} GiB for this process; {versions}")
    start = time.perf_counter()
    facts = {"device": device.name, "versions": versions, "is_tiny": asked.tiny}
    table = Table(facts, asked.json)
    Parity(device, table, 1 if asked.tiny else 3).all()
    Speed(device, table, asked.tiny).all()
    failed = table.n_failed
    print(f"{failed} of {len(table.rows)} rows failed; {time.perf_counter() - start:.0f} s in all")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
