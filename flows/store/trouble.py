"""What the disk can refuse, said so that one knows what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT = "finished work is kept: run the same command again to go on"

REASONS = {
    errno.ENOSPC: f"the disk is full ({{free_mb:.1f}} MB free); make room: {KEPT}",
    errno.EDQUOT: f"the quota of this user is used up; make room: {KEPT}",
    errno.EFBIG: f"a file grew beyond what this session (ulimit -f) or file system allows; {KEPT}",
    errno.EROFS: "the file system is read-only; choose a folder on another one",
    errno.ENOENT: "no folder can be made at this place; choose another one",
    errno.ENAMETOOLONG: "this path is too long; choose a folder with a shorter name",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another folder",
    errno.EACCES: "this user may not write here; choose another folder, or have its owner changed",
    errno.EPERM: "this user may not write here; choose another folder, or have its owner changed",
    errno.EIO: f"the disk or the network reports a fault; {KEPT}",
}
"""One sentence for each error that is the folder's and not the user's input."""

FULL_BYTES = 1 << 20
"""Less room than this is none: writers that report no error number failed for want of it."""


class StorageError(OSError):
    """The folder of a dataset cannot take files; the message says what to do."""

    def __str__(self) -> str:
        return str(self.args[1]) if len(self.args) > 1 else super().__str__()

    @property
    def may_pass(self) -> bool:
        """Whether trying again later can help."""
        return self.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}


@contextmanager
def explaining(root: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the disk refuses below ``root`` into :class:`StorageError`; other errors pass unchanged."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno not in REASONS or not _is_below(error.filename, Path(root)):
            raise
        if error.errno == errno.ENOENT and not _is_above(error.filename, Path(root)):
            raise  # a file that is missing says so itself
        raise _explained(error.errno, Path(root), error.filename) from error
    except RuntimeError as error:
        if type(error) is not RuntimeError or _free_bytes(Path(root)) > FULL_BYTES:
            raise
        raise _explained(errno.ENOSPC, Path(root), None) from error


def _explained(number: int, root: Path, file: object) -> StorageError:
    said = REASONS[number].format(free_mb=_free_bytes(root) / 1e6)
    place = root
    if number in {errno.EACCES, errno.EPERM, errno.EIO} and isinstance(file, str):
        place = Path(file)
    return StorageError(number, f"{place}: {said}")


def _is_below(file: object, root: Path) -> bool:
    """Whether an error is about a file below ``root``, its parents that were to be made, or names no file at all."""
    if not isinstance(file, str):
        return True
    found, home = Path(file).absolute(), root.absolute()
    return found.is_relative_to(home) or home.is_relative_to(found)


def _is_above(file: object, root: Path) -> bool:
    """Whether an error is about ``root`` itself, or a folder that it would lie in."""
    return isinstance(file, str) and root.absolute().is_relative_to(Path(file).absolute())


def _free_bytes(root: Path) -> int:
    place = root.absolute()
    while not os.path.exists(place) and place != place.parent:  # noqa: PTH110 (a name too long is no place)
        place = place.parent
    return shutil.disk_usage(place).free
