"""Numba's threads under data loaders, which fork processes and may run threads of their own.

A process that was forked after OpenMP ran in its parent dies at its next parallel loop; so one look at a sample before
the data loader starts would end its workers. Numba's own pool of threads survives a fork, but takes one caller at a
time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numba


def survive_forks() -> None:
    """Have Numba use its own threads, where nobody chose others; without effect once a parallel loop has run."""
    config: Any = numba.config  # its names are made at run time
    if config.THREADING_LAYER == "default":
        config.THREADING_LAYER = "workqueue"


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one thread of this process in."""
    with _lock:
        yield


def _renew() -> None:
    global _lock
    _lock = Lock()


_lock = Lock()
# A lock that another thread held when the process was forked would never open.
os.register_at_fork(after_in_child=_renew)
