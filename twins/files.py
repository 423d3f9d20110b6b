"""Writing files so that no half-written one is ever seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a fresh path beside ``path``; on success it is synced to disk and renamed to ``path``, else removed.

    Suffixes are kept (``a.nii.gz`` is written as ``.a.<pid>.nii.gz``), since some writers choose the format by them.

    Raises
    ------
    FileNotFoundError
        If the folder of ``path`` does not exist.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
    stem, _, suffix = target.name.partition(".")
    part = target.with_name(f".{stem}.{os.getpid()}" + (f".{suffix}" if suffix else ""))
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(target)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
