"""One writer per folder: an advisory ``flock``; it dies with its process, so a killed build never blocks the next."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BusyError(RuntimeError):
    """Another process is writing into the same folder."""


@contextmanager
def exclusive(path: str | os.PathLike[str], *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file ``path``; its folder must exist.

    Parameters
    ----------
    path
        The lock file. It stays when the lock is released: only the lock on it counts.
    wait_s
        How long to wait for another holder [s].

    Raises
    ------
    BusyError
        If another process holds it longer than ``wait_s``; the message names that process.
    """
    target = Path(path)
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
                    raise BusyError(
                        f"{target.parent.parent}: another build is writing here ({holder}); "
                        "wait until it ends, use --wait, or choose another folder"
                    ) from None
                time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
