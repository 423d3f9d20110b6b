"""Writing files so that no half-written one is ever seen."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import SimpleITK as sitk

NIFTI_HEADER_BYTES = 352
"""Header of a single NIfTI-1 file and the four bytes that say that no extension follows."""


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


def write_nifti(image: sitk.Image, path: str | os.PathLike[str]) -> None:
    """Write an image as NIfTI, compressed where ``path`` ends in ``.gz``, and prove that all of it was written.

    ITK's writer ends without an error where the disk is full. So the length is checked: that of the file, or what the
    trailer of the compressed one says (ISIZE of RFC 1952).

    Raises
    ------
    OSError
        If the file is not whole (``errno.ENOSPC``).
    """
    import SimpleITK as sitk

    target = Path(path)
    compressed = target.name.endswith(".gz")
    sitk.WriteImage(image, str(target), useCompression=compressed)
    n_bytes = NIFTI_HEADER_BYTES + image.GetNumberOfPixels() * image.GetSizeOfPixelComponent() * (
        image.GetNumberOfComponentsPerPixel()
    )
    if compressed:
        with target.open("rb") as handle:
            handle.seek(-4, os.SEEK_END)
            is_whole = int.from_bytes(handle.read(4), "little") == n_bytes % 2**32
    else:
        is_whole = target.stat().st_size == n_bytes
    if not is_whole:
        raise OSError(errno.ENOSPC, "the file was cut off while it was written", str(target))
