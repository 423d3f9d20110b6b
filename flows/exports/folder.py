"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success it is renamed to ``path``, else removed with all in it.

    Raises
    ------
    ValueError
        If ``path`` exists already.
    FileNotFoundError
        If the folder of ``path`` does not exist.
    """
    target = Path(path).absolute()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
    if target.exists() or target.is_symlink():
        raise ValueError(f"{target}: exists already; an export needs a folder of its own")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    if part.exists():  # left by a killed process that had this number
        shutil.rmtree(part)
    part.mkdir()
    try:
        yield part
        part.rename(target)
    finally:
        if part.exists():
            shutil.rmtree(part)
