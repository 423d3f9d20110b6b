"""A CT series out of a DICOM folder: slices in the order of space, doubtful series refused with the reason.

Only attributes of PS3.3 C.7.6.2 (Image Plane) and C.8.2.1 (CT Image) are used. The order of files does not count.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .oblique import Stack

LARGEST_GAP_MM = 5.0
"""A gap is filled between neighbours up to this distance [mm] (design default)."""

_SAME_MM = 0.02
_EVEN = 0.02
_TAGS = {
    "series": "0020|000e",
    "modality": "0008|0060",
    "type": "0008|0008",
    "position": "0020|0032",
    "orientation": "0020|0037",
    "pixel_mm": "0028|0030",
    "description": "0008|103e",
    "kvp": "0018|0060",
    "sex": "0010|0040",
    "age": "0010|1010",
    "height_m": "0010|1020",
    "weight_kg": "0010|1030",
}


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    tags: Mapping[str, str]
    size: tuple[int, ...]

    def numbers(self, tag: str, n: int) -> NDArray[np.float64]:
        try:
            values = np.array([float(v) for v in self.tags[tag].split("\\")])
        except (KeyError, ValueError):
            values = np.zeros(0)
        if values.size != n or not np.isfinite(values).all():
            said = self.tags.get(tag, "nothing")
            raise ValueError(
                f"{self.path.name}: DICOM attribute ({_TAGS[tag].replace('|', ',')}) must be {n} numbers, got {said!r}"
            )
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A CT series.

    Parameters
    ----------
    stack
        HU and where they lie.
    files
        In the order of the slices.
    header
        What the headers say, where they say it: ``kvp`` [kV], ``sex``, ``age_y`` [years], ``height_cm``, ``bmi``.
    account
        What was mended, for the provenance.
    """

    stack: Stack
    files: tuple[Path, ...]
    header: Mapping[str, Any]
    account: Mapping[str, Any] = field(default_factory=dict)


def read_series(folder: Path, uid: str | None = None) -> Series:
    """Read the one CT series of a folder (not of folders below it), or the series ``uid`` of several.

    Scout images are passed over. Missing slices are interpolated where their neighbours are at most 5 mm apart.

    Raises
    ------
    ValueError
        If there is no CT series, or more than one; or if its slices differ in size, orientation or pixel size, lie
        twice at one place, have gaps, or lack an attribute. The message says which.
    """
    files = [f for f in (_header(p) for p in sorted(folder.iterdir()) if p.is_file()) if f is not None]
    if not files:
        raise ValueError(f"{folder.name}: the folder must hold one DICOM series, found none")
    by_series: dict[str, list[_File]] = defaultdict(list)
    passed_over: Counter[str] = Counter()
    for file in files:
        if file.tags.get("modality") != "CT":
            passed_over[file.tags.get("modality", "no modality")] += 1
        elif "LOCALIZER" in file.tags.get("type", ""):
            passed_over["scout image"] += 1
        else:
            by_series[file.tags.get("series", "")].append(file)
    chosen = _chosen(by_series, passed_over, folder.name, uid)
    _must_agree(chosen, folder.name)
    stack, account = _stacked(chosen, folder.name)
    if passed_over:
        account["passed_over"] = dict(sorted(passed_over.items()))
    return Series(stack, tuple(f.path for f in chosen), _person(chosen[0].tags), account)


def _header(path: Path) -> _File | None:
    import SimpleITK as sitk

    if not path.name.lower().endswith((".dcm", ".ima", ".dicom")):
        with path.open("rb") as handle:
            start = handle.read(132)
        if start[128:] != b"DICM":
            return None
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    found = {name: reader.GetMetaData(tag).strip() for name, tag in _TAGS.items() if reader.HasMetaDataKey(tag)}
    return _File(path, found, tuple(int(n) for n in reader.GetSize()))


def _chosen(by_series: Mapping[str, list[_File]], passed: Mapping[str, int], name: str, uid: str | None) -> list[_File]:
    if not by_series:
        said = ", ".join(f"{n} x {what}" for what, n in sorted(passed.items()))
        raise ValueError(f"{name}: the folder must hold one DICOM series of CT slices, found only {said}")
    listed = "; ".join(
        f"{key} ({len(files)} slices, {files[0].tags.get('description') or 'no description'})"
        for key, files in sorted(by_series.items())
    )
    if uid is None and len(by_series) > 1:
        raise ValueError(
            f"{name}: the folder must hold one DICOM series, found {len(by_series)}; name one of them: {listed}"
        )
    if uid is not None and uid not in by_series:
        raise ValueError(f"{name}: no CT series {uid}; there are: {listed}")
    return by_series[uid if uid is not None else next(iter(by_series))]


def _must_agree(files: list[_File], name: str) -> None:
    for what, kinds in (
        ("sizes", Counter(f.size[:2] for f in files)),
        ("orientations", Counter(tuple(np.round(f.numbers("orientation", 6), 3) + 0.0) for f in files)),
        ("pixel sizes", Counter(tuple(np.round(f.numbers("pixel_mm", 2), 4)) for f in files)),
    ):
        if len(kinds) > 1:
            said = ", ".join(f"{n} slices {tuple(float(v) for v in kind)}" for kind, n in kinds.most_common(4))
            raise ValueError(f"{name}: the slices of the series have {len(kinds)} different {what}: {said}")


def _stacked(files: list[_File], name: str) -> tuple[Stack, dict[str, Any]]:
    """Slices in order along their normal, evenly spaced, and what had to be filled."""
    import SimpleITK as sitk

    row, column = files[0].numbers("orientation", 6).reshape(2, 3)
    dy, dx = files[0].numbers("pixel_mm", 2)
    normal = np.cross(row, column)
    positions = np.array([f.numbers("position", 3) for f in files])
    order = np.argsort(positions @ normal, kind="stable")
    files[:] = [files[i] for i in order]
    positions = positions[order]
    if len(files) == 1:
        raise ValueError(f"{name}: the series has a single slice")
    along = positions @ normal
    steps = np.diff(along)
    if steps.min() < _SAME_MM:
        i = int(np.argmin(steps))
        raise ValueError(
            f"{name}: slices lie twice at one place ({files[i].path.name} and {files[i + 1].path.name}); "
            "repeated scans or phases must be in series of their own"
        )
    step = float(np.median(steps))
    uneven = abs(steps - step) > max(_EVEN * step, _SAME_MM)
    too_far = steps > max(LARGEST_GAP_MM, 1.5 * step)
    if too_far.any():
        i = int(np.argmax(too_far))
        raise ValueError(
            f"{name}: slices are missing between {files[i].path.name} and {files[i + 1].path.name}: "
            f"{steps[i]:.2f} mm apart, the others {step:.2f} mm; gaps are filled up to {LARGEST_GAP_MM:g} mm"
        )
    direction = (positions[-1] - positions[0]) / (along[-1] - along[0])  # world step per mm along the normal
    off = np.abs(positions - positions[0] - np.outer(along - along[0], direction)).max()
    if off > 1.0:
        raise ValueError(f"{name}: the slices do not lie in one row: one is {off:.1f} mm beside the others")
    slices = np.stack([_pixels(sitk, f) for f in files])
    account: dict[str, Any] = {}
    if uneven.any():
        n = round((along[-1] - along[0]) / step) + 1
        step = (along[-1] - along[0]) / (n - 1)
        at = np.interp(along[0] + step * np.arange(n), along, np.arange(len(along)))
        low = np.minimum(at.astype(int), len(along) - 2)
        w = (at - low).astype(np.float32)[:, None, None]
        slices = slices[low] * (1 - w) + slices[low + 1] * w
        account["uneven_slices_mm"] = [round(float(steps.min()), 3), round(float(steps.max()), 3)]
        account["slices_interpolated"] = int(np.count_nonzero(np.abs(at - np.rint(at)) > 0.02))
    world = np.stack([row * dx, column * dy, direction * step], axis=1)
    return Stack(slices, positions[0], world), account


def _pixels(sitk: Any, file: _File) -> NDArray[np.float32]:
    try:
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(file.path), imageIO="GDCMImageIO"))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].replace("sitk::ERROR: ", "")
        raise ValueError(f"{file.path.name}: cannot be read: {reason}") from None
    if array.ndim != 3 or array.shape[0] != 1:
        raise ValueError(f"{file.path.name}: expected one grey slice, got an array {array.shape}")
    return np.asarray(array[0], np.float32)


def _person(tags: Mapping[str, str]) -> dict[str, Any]:
    """What the header says of tube voltage and person; what it does not say, or not sensibly, is left out."""
    found: dict[str, Any] = {}
    for name in ("kvp", "height_m", "weight_kg"):
        try:
            value = float(tags[name])
        except (KeyError, ValueError):
            continue
        if value > 0:
            found[name] = value
    if tags.get("sex") in ("F", "M"):
        found["sex"] = "female" if tags["sex"] == "F" else "male"
    age = tags.get("age", "")
    if age[-1:] == "Y" and age[:-1].isdigit() and 18 <= int(age[:-1]) <= 100:
        found["age_y"] = float(age[:-1])
    height, weight = found.pop("height_m", None), found.pop("weight_kg", None)
    if height is not None and 1.2 <= height <= 2.2:
        found["height_cm"] = round(100 * height, 1)
        if weight is not None and 12 <= weight / height**2 <= 60:
            found["bmi"] = round(weight / height**2, 1)
    return found
