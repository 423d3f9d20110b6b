"""Changed CTs in the kind of file that a user asks for: NIfTI, MetaImage, NRRD, or a DICOM series in a folder.

A DICOM series derived from another one keeps what its slices' headers say of person, study, frame of reference and
acquisition (plain attributes, no sequences) and is marked as derived (DICOM PS3.3 C.7.6.1); its UIDs follow from its
content. One derived from a plain file has the least that a CT image needs.
"""

from __future__ import annotations

import errno
import os
import shutil
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.files import replacing

from .volumes import write_volume

SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd")

DATE, TIME = "20000101", "000000"
"""Of a series whose source knows none; no clock is read."""

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

OWN = ("0008|0005", "0028|", "7fe0|", "0018|9", "0002|")
"""Groups and attributes of a source that describe its own pixels and encoding, and are not taken over."""


def stem_of(target: Path) -> str:
    """Name of an image without the suffix that says its kind; a folder's name for a DICOM series.

    Raises
    ------
    ValueError
        If the suffix is of no kind that can be written.
    """
    for suffix in SUFFIXES:
        if target.name.endswith(suffix) and target.name != suffix:
            return target.name.removesuffix(suffix)
    if not target.suffix:
        return target.name
    raise ValueError(
        f"--out: an image ends in {', '.join(SUFFIXES)}, or is a folder for a DICOM series (no suffix), got {target}"
    )


def beside(target: Path, what: str) -> Path:
    """A label map beside an image, in its kind; beside a DICOM series a NIfTI."""
    stem = stem_of(target)
    return target.with_name(f"{stem}_{what}{target.name.removeprefix(stem) or '.nii.gz'}")


def check_image_target(target: Path) -> None:
    """Refuse what cannot be written, before the work.

    Raises
    ------
    ValueError
        If the suffix is of no kind that can be written, or a DICOM series is to go where something is already.
    """
    stem_of(target)
    if not target.suffix and target.exists():
        raise ValueError(f"--out: {target} exists already; a DICOM series needs a folder of its own")


def write_image(target: Path, hu: NDArray[np.generic], grid: Grid, *, source: Path, what: str) -> None:
    """Write a CT ``(z, y, x)`` [HU] in the kind that the name of ``target`` says.

    Parameters
    ----------
    target
        A file with one of :data:`SUFFIXES`, or a folder, not yet there, for a DICOM series.
    hu, grid
        The image and its lattice.
    source
        What it was made of; the headers of a DICOM folder are taken over.
    what
        What was done to it, in a few words.

    Raises
    ------
    ValueError
        As :func:`check_image_target`.
    FileNotFoundError
        If the folder that is to hold it does not exist.
    """
    check_image_target(target)
    if target.suffix:
        write_labels(target, hu, grid)
    else:
        _write_series(target, np.asarray(np.clip(hu, -32768, 32767), np.int16), grid, source, what)


def write_labels(target: Path, array: NDArray[np.generic], grid: Grid) -> None:
    """Write an array ``(z, y, x)`` as a file with one of :data:`SUFFIXES`, compressed where the kind knows that.

    Raises
    ------
    OSError
        If the disk cannot hold it.
    """
    import SimpleITK as sitk

    with replacing(target) as part:
        if target.name.endswith((".nii", ".nii.gz")):
            write_volume(part, array, grid)
            return
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(grid.spacing_mm[::-1])
        image.SetOrigin(grid.origin_mm)
        image.SetDirection(grid.direction)
        sitk.WriteImage(image, str(part), useCompression=True)
        try:  # the writer ends without an error where the disk is full
            is_whole = np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(part))), array)
        except RuntimeError:
            is_whole = False
        if not is_whole:
            raise OSError(errno.ENOSPC, "the file was cut off while it was written", str(target))


def _write_series(folder: Path, hu: NDArray[np.int16], grid: Grid, source: Path, what: str) -> None:
    from .exports.uids import make_uid

    if not folder.parent.is_dir():
        raise FileNotFoundError(f"cannot write {folder}: the folder {folder.parent} does not exist")
    known = _headers(source) if source.is_dir() else []
    digest = blake2b(hu.tobytes(), digest_size=16).hexdigest()
    series = make_uid("series", digest, repr(grid))
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    part.mkdir()
    try:
        for k in range(len(hu)):
            place = grid.index_to_world((k, 0, 0))
            header = _nearest(known, place) or _plain(source, digest)
            header = header | {
                "0008|0008": "DERIVED\\SECONDARY\\AXIAL",
                "0008|0016": CT_IMAGE_STORAGE,
                "0008|0018": make_uid("slice", series, str(k)),
                "0008|0060": "CT",
                "0008|103e": f"{header.get('0008|103e', 'CT')}, {what}"[:64],
                "0008|2111": f"lungtwin: {what}"[:1024],
                "0020|000e": series,
                "0020|0013": str(k + 1),
                "0020|0032": _numbers(place),
                "0020|0037": _numbers(np.reshape(grid.direction, (3, 3))[:, :2].T.ravel()),
                "0020|1041": _numbers([place[2]]),
                "0028|1050": "-600",
                "0028|1051": "1500",
                "0028|1052": "0",
                "0028|1053": "1",
                "0028|1054": "HU",
            }
            header.setdefault("0018|0050", _numbers([grid.spacing_mm[0]]))
            _write_slice(part / f"{k + 1:04d}.dcm", hu[k], grid, header)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_slice(path: Path, hu: NDArray[np.int16], grid: Grid, header: dict[str, str]) -> None:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(hu)
    image.SetSpacing(grid.spacing_mm[:0:-1])
    for tag, value in header.items():
        image.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.Execute(image)


def _headers(folder: Path) -> list[tuple[NDArray[np.float64], dict[str, str]]]:
    """Place and plain attributes of every CT slice of a folder."""
    import SimpleITK as sitk

    found = []
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            continue  # no DICOM file
        tags = {tag: reader.GetMetaData(tag).strip() for tag in reader.GetMetaDataKeys() if not tag.startswith(OWN)}
        if tags.get("0008|0060") != "CT" or "LOCALIZER" in tags.get("0008|0008", "") or "0020|0032" not in tags:
            continue
        found.append((np.array([float(v) for v in tags["0020|0032"].split("\\")]), tags))
    return found


def _nearest(known: list[tuple[NDArray[np.float64], dict[str, str]]], place: NDArray[np.float64]) -> dict[str, str]:
    return min(known, key=lambda entry: float(np.linalg.norm(entry[0] - place)))[1] if known else {}


def _plain(source: Path, digest: str) -> dict[str, str]:
    """The least that a CT image needs, where its source is no DICOM series."""
    from .exports.uids import make_uid

    name = source.name.partition(".")[0][:64] or "unknown"
    return {
        "0008|0020": DATE,
        "0008|0030": TIME,
        "0008|0050": "",
        "0008|0070": "lungtwin",
        "0008|0090": "",
        "0008|103e": "CT",
        "0010|0010": name,
        "0010|0020": name,
        "0010|0030": "",
        "0010|0040": "",
        "0020|000d": make_uid("study", digest),
        "0020|0010": "",
        "0020|0011": "1",
        "0020|0052": make_uid("frame", digest),
        "0020|1040": "",
    }


def _numbers(values: Any) -> str:
    """Decimal strings of at most 16 characters."""
    return "\\".join(f"{float(v):.10g}"[:16] for v in values)
