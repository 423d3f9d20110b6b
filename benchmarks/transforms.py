"""What one lesion on the fly costs: ``python -m benchmarks.transforms``, best with NUMBA_NUM_THREADS=1."""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from lesions.transforms import Insertion, inserted

ROUNDS = 40
CASES = (
    ("lung, LIDC", {}),
    ("lung, tiny", {"sizes": "tiny"}),
    ("lung, small", {"sizes": "small"}),
    ("lung, medium", {"sizes": "medium"}),
    ("organ, small", {"sizes": "small", "contrast_hu": (-75, -30)}),
    ("organ, large", {"sizes": "large", "contrast_hu": (-75, -30)}),
)


def patch(n: int, level_hu: float) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(n) - n / 2
    noise = np.random.default_rng(1).standard_normal((n, n, n)).astype(np.float32)
    mask = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2 < (0.49 * n) ** 2
    return np.float32(level_hu) + 30 * noise, mask


def times_ms(n: int, fields: dict) -> tuple[float, float]:
    """Median wall-clock and CPU time of one call that inserts one lesion [ms]."""
    image, organ = patch(n, 60.0 if "contrast_hu" in fields else -850.0)
    label, affine = np.zeros(image.shape, np.uint8), np.diag([-0.8, -0.8, 0.8, 1.0])
    what = Insertion(n_lesions=(1, 1), allow_missing=True, **fields)
    wall, cpu = [], []
    for key in range(-2, ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        found = len(inserted(image, organ, label, affine, what, key=abs(key)).values)
        if key >= 0 and found:
            wall.append(1e3 * (time.perf_counter() - began))
            cpu.append(1e3 * (time.process_time() - used))
    return (median(wall), median(cpu)) if wall else (float("nan"), float("nan"))


def main() -> None:
    print(f"{'lesion':<16}{'patch':>7}{'wall ms':>10}{'CPU ms':>10}")
    for n in (96, 160):
        for name, fields in CASES:
            wall, cpu = times_ms(n, fields)
            print(f"{name:<16}{f'{n}^3':>7}{wall:>10.1f}{cpu:>10.1f}")


if __name__ == "__main__":
    main()
