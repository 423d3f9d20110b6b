"""Writing files so that no half-written one is ever seen."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import h5py
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


@contextmanager
def replacing_hdf5(path: str | os.PathLike[str], **options: Any) -> Iterator[h5py.File]:
    """Yield a new HDF5 file that becomes ``path`` on success, as :func:`replacing` does; ``options``: of ``h5py.File``.

    HDF5 cannot close a file that it cannot flush: where a disk fills it complains hundreds of times and ends the
    process with a segmentation fault. So it writes into a file that never refuses, and what the disk refused is raised
    afterwards.

    Raises
    ------
    OSError
        What the disk said first.
    """
    import h5py

    with replacing(path) as part, part.open("wb+", buffering=0) as raw:
        file = _NeverRefusing(raw)
        try:
            # Without a cache chunks are written when they come; with one, when the last handle of a dataset goes, and
            # that may be whenever rubbish is collected: the same data would lie in another order.
            with h5py.File(file, "w", rdcc_nbytes=0, **options) as opened:
                yield opened
        finally:
            if file.refusal is not None:
                raise file.refusal


class _NeverRefusing:
    """A file that takes everything, and keeps the first error of the one that it writes to."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.refusal: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        n_bytes = len(rest)
        while len(rest) and self.refusal is None:
            try:
                rest = rest[self._raw.write(rest) :]
            except OSError as error:
                self.refusal = OSError(error.errno, error.strerror, str(self._raw.name))
        if len(rest):
            self._raw.seek(len(rest), os.SEEK_CUR)
        return n_bytes

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._raw.readinto(buffer)  # type: ignore[attr-defined]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._raw.truncate(size)
        except OSError as error:
            self.refusal = self.refusal or OSError(error.errno, error.strerror, str(self._raw.name))
            return size or 0

    def flush(self) -> None:
        """Nothing is held back here."""


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
