"""Whether the kernels of a scan are compiled already; what the first run on a machine takes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COMPILING_S = 100.0
"""Time to compile what a build needs, once per machine and version (one thread of a server of the 2020s) [s]."""


def compiling_s() -> float:
    """Time that the next scan will take to compile its kernels [s]: 0 where Numba's cache holds them."""
    kernels = _kernels()
    return COMPILING_S * sum(not _is_cached(kernel) for kernel in kernels) / len(kernels)


def _kernels() -> tuple[Any, ...]:
    """One kernel of every file that a scan takes long to compile."""
    from ctsim.kernels.correct import evaluate
    from ctsim.kernels.noise import count
    from ctsim.kernels.project import project
    from ctsim.kernels.rebin import rebin
    from ctsim.kernels.scatter import superpose
    from ctsim.kernels.transmit import transmit

    return evaluate, count, project, rebin, superpose, transmit


def _is_cached(kernel: Any) -> bool:
    """Whether Numba's cache holds an index of the kernel that is not older than its source."""
    source = Path(kernel.py_func.__code__.co_filename)
    folder = Path(kernel.stats.cache_path)
    name = f"{source.stem}.{kernel.py_func.__qualname__}-"
    written = [index.stat().st_mtime for index in folder.glob(f"{name}*.nbi")] if folder.is_dir() else []
    return bool(written) and max(written) >= source.stat().st_mtime
