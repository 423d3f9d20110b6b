"""Who may write: advisory locks on files (``flock``); they die with their process: the killed block no later build.

One build holds the folder exclusively. Shards share it, and each of them holds what it works on exclusively. The lock
is on the file, not in it: what stands in the file only says who holds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S, SHORTEST_S = 0.1, 0.3
"""How often a lock is asked for, and how long at least: whoever looks at a lock holds it for a moment [s]."""

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems answer that have no locks."""


class BusyError(RuntimeError):
    """Another process is writing into the same folder."""


@contextmanager
def exclusive(path: str | os.PathLike[str], *, wait_s: float = 0.0, purpose: str = "") -> Iterator[None]:
    """Hold the lock file ``path`` alone; its folder must exist.

    Parameters
    ----------
    path
        The lock file. It stays when the lock is released: only the lock on it counts.
    wait_s
        How long to wait for other holders [s].
    purpose
        What for; others are told.

    Raises
    ------
    BusyError
        If others hold it longer than ``wait_s``; the message names the last that held it alone.
    OSError
        If the file system has no locks.
    """
    with _held(Path(path), fcntl.LOCK_EX, wait_s) as descriptor:
        who = f"process {os.getpid()} on {socket.gethostname()}"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{who}, {purpose}\n".encode() if purpose else f"{who}\n".encode(), 0)
        yield


@contextmanager
def shared(path: str | os.PathLike[str], *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file ``path`` beside others that share it; see :func:`exclusive`."""
    with _held(Path(path), fcntl.LOCK_SH, wait_s) as descriptor:
        os.ftruncate(descriptor, 0)
        yield


def holder(path: str | os.PathLike[str]) -> str | None:
    """Who holds a lock file alone ("another process" where it does not say), or None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(descriptor)
    finally:
        os.close(descriptor)
    return None


@contextmanager
def _held(path: Path, kind: int, wait_s: float) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + max(wait_s, SHORTEST_S)
        while not _taken(descriptor, kind, path):
            if time.monotonic() >= deadline:
                raise BusyError(_said(descriptor))
            time.sleep(POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int, kind: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise OSError(
            error.errno,
            "this file system has no locks (Lustre: mount it with 'flock'; or choose another folder)",
            str(path),
        ) from None
    return True


def _said(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
