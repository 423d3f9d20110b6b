"""Parity, determinism and speed of the GPU kernels on this machine, in one call: ``make gpu-check``.

Needs numpy, numba and cupy only. Prints a table; exit status 1 if a row fails or there is no GPU.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SID, SDD = 595.0, 1085.6


def item(shape: tuple[int, int, int], n_views: int, n_rows: int, n_columns: int = 900) -> dict[str, object]:
    """A smooth random volume [y, x, z] of two packed densities, and the geometry of the peer bench's items."""
    rng = np.random.default_rng(7)
    n_y, n_x, n_z = shape
    y, x, z = np.ogrid[-1 : 1 : n_y * 1j, -1 : 1 : n_x * 1j, -1 : 1 : n_z * 1j]
    body = ((x / 0.88) ** 2 + (y / 0.66) ** 2 < 1) & (z > -2)
    low = np.where(body, 16000 + rng.integers(0, 2000, shape), 0).astype(np.uint32)
    words = low | ((low >> 1) << 16)
    beta = 2 * np.pi * np.arange(n_views) / n_views
    source = np.zeros((n_views, 6))
    source[:, 0] = (n_z - 1) / 2
    source[:, 1] = (n_y - 1) / 2 + SID * np.sin(beta) / 0.7
    source[:, 2] = (n_x - 1) / 2 + SID * np.cos(beta) / 0.7
    source[:, 3], source[:, 4] = np.cos(beta), np.sin(beta)
    source[:, 5] = np.arange(n_views) % 2
    pitch = np.deg2rad(50.0) / n_columns
    v = 0.6 * SDD / SID
    return {
        "volume": words.view(np.int32),
        "spacing": np.full(3, 0.7),
        "source": source,
        "column": np.stack([(np.arange(n_columns) - (n_columns - 1) / 2 + shift) * pitch for shift in (0.25, -0.25)]),
        "row": np.stack(
            [(np.arange(n_rows) - (n_rows - 1) / 2 + shift) * v for shift in (-0.25, 0.25)], dtype=np.float32
        ),
        "cell": np.array([pitch * SDD, v]),
        "distance": np.stack([np.full(n_columns, SDD - 2.0), np.full(n_columns, SDD + 2.0)]),
        "drift": 0.0,
        "unit": 1e-5,
    }


def main() -> int:
    """Print the table; 0 if every row passes."""
    from ctsim.backends.gpu import Gpu
    from ctsim.kernels.project import project

    try:
        gpu = Gpu()
    except RuntimeError as error:
        print(error)
        return 1
    print(f"device: {gpu.device}")
    failed = 0
    for name, shape, n_views, n_rows in (("v256", (256, 256, 256), 180, 64), ("v512", (512, 512, 128), 88, 64)):
        work = item(shape, n_views, n_rows)
        out = np.zeros((2, n_views, n_rows, 900), np.float32)
        gpu.project(**work, out=out)
        again = np.zeros_like(out)
        start = time.perf_counter()
        gpu.project(**work, out=again)
        seconds = time.perf_counter() - start
        few = {**work, "source": work["source"][:: n_views // 4]}
        expected = np.zeros((2, len(few["source"]), n_rows, 900), np.float32)
        project(**few, out=expected)
        got = out[:, :: n_views // 4][:, : expected.shape[1]]
        error = float(np.sqrt(np.mean((got - expected) ** 2)) / expected[expected > 0].mean())
        rows = [
            ("parity with the CPU kernel, relative RMSE", f"{error:.2e}", error < 1e-5),
            ("same bytes twice", str(np.array_equal(out, again)), np.array_equal(out, again)),
            ("speed, results on the host", f"{out[0].size / seconds / 1e6:.1f} M readings/s", True),
        ]
        for what, value, good in rows:
            print(f"{name}  {what:45s} {value:>22s}  {'ok' if good else 'FAILED'}")
            failed += not good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
