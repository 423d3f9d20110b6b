"""XCAT2 volumes: float32 without a header, described by the program's log and parameter file.

Two kinds. *Organ ids* (``color_code = 1``): whole numbers, named by a table ``id,name``. *Attenuation*: the values are
the log's linear attenuation coefficients, and say no more than the material; materials of equal attenuation cannot be
told apart, and the twin's provenance lists them. XCAT phantoms are Duke University's and are not part of this package.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..grid import Grid
from ..materials import material
from ..patient import Patient
from ..structures import Structure
from ..twin import Twin
from .phantom import Part, part_of, phantom_twin, with_lung_density

VERSION = "phantom-xcat-1"

SAME_LEVEL = 2e-3
"""Attenuation coefficients closer than this are one level (relative; float32 and the log's digits)."""

MATCHED = 0.99
"""Share of the voxels whose value must be a level of the log."""

_ORDER = ("muscle", "water", "blood", "heart_muscle", "gut_wall", "liver", "adipose", "skin")
"""Of materials at one level the first of these is taken."""


@dataclass(frozen=True, slots=True)
class Log:
    """What an XCAT log or parameter file says: pixel and slice [mm], shape, coefficients [1/cm] and [1/pixel]."""

    pixel_mm: float
    slice_mm: float
    shape: tuple[int, int, int]
    per_cm: Mapping[str, float]
    per_pixel: Mapping[str, float]


def from_xcat(
    volume: str | os.PathLike[str],
    *,
    log: str | os.PathLike[str] | None = None,
    par: str | os.PathLike[str] | None = None,
    ids: str | os.PathLike[str] | None = None,
    flip: str | None = None,
    spacing_mm: float | None = None,
    lung_density_g_cm3: float | None = None,
    patient: Patient | None = None,
) -> Twin:
    """A twin of an XCAT2 volume: its thorax.

    Parameters
    ----------
    volume
        ``<name>_act_N.bin`` or ``<name>_atn_N.bin``.
    log, par
        The program's log (``<name>_log`` beside the volume if not given) or, for its shape, the parameter file. For
        attenuation the log is needed.
    ids
        CSV ``id,name`` that names organ ids. With it the volume is taken for organ ids, else for attenuation.
    flip
        Axes to turn round, as ``"z"`` or ``"xy"``; ``""`` for none. ``None``: found from where liver, heart and spine
        lie, as far as they are named, else left as they are; the provenance says which.
    spacing_mm, lung_density_g_cm3, patient
        As in :func:`twins.importers.from_icrp`.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the files do not fit each other, or an id has no name, or the values are no levels of the log.
    """
    source = Path(volume)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {volume}")
    if flip is not None and not set(flip) <= set("xyz"):
        raise ValueError(f"flip must name axes out of x, y and z, got {flip!r}")
    about = read_log(_log_of(source, log, par))
    expected = 4 * int(np.prod(about.shape))
    if source.stat().st_size != expected:
        raise ValueError(
            f"{source.name}: has {source.stat().st_size} bytes, {about.shape} (z, y, x) float32 are {expected}"
        )
    values = np.fromfile(source, "<f4").reshape(about.shape)
    if ids is not None:
        numbers, parts = _by_id(values, Path(ids), source.name)
        said: dict[str, Any] = {"values": "organ ids", "ambiguous": []}
    else:
        numbers, parts, said = _by_attenuation(values, about, source.name)
    numbers, said["orientation"] = _upright(numbers, parts, flip)
    n_z, n_y, n_x = about.shape
    spacing = (about.slice_mm, about.pixel_mm, about.pixel_mm)
    x, y, z = (-(n - 1) / 2 * s for n, s in zip((n_x, n_y, n_z), spacing[::-1], strict=True))
    grid = Grid(about.shape, spacing, (x, y, z))
    provenance = {
        "kind": "patient",
        "generator": VERSION,
        "source": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "host_grid": grid.to_dict(),
        "format": "XCAT2",
        "lung_density_g_cm3": lung_density_g_cm3,
        **said,
    }
    return phantom_twin(
        numbers, grid, with_lung_density(parts, lung_density_g_cm3),
        name=source.name, provenance=provenance, spacing_mm=spacing_mm, patient=patient,
    )  # fmt: skip


def _log_of(source: Path, log: str | os.PathLike[str] | None, par: str | os.PathLike[str] | None) -> Path:
    if log is not None or par is not None:
        given = Path(log if log is not None else par)  # type: ignore[arg-type]
        if not given.is_file():
            raise FileNotFoundError(f"no such file: {given}")
        return given
    stem = re.sub(r"_(act|atn)_\d+$", "", source.stem)
    for name in (f"{stem}_log", f"{stem}_log.txt"):
        if source.with_name(name).is_file():
            return source.with_name(name)
    raise FileNotFoundError(f"{source.name}: no log {stem}_log beside it: name the log or the parameter file")


def read_log(path: str | os.PathLike[str]) -> Log:
    """Read an XCAT log, or a parameter file (which has no coefficients).

    Raises
    ------
    ValueError
        If size or spacing are not in it.
    """
    source = Path(path)
    text = source.read_text(encoding="latin-1")

    def number(*names: str) -> float:
        for name in names:
            found = re.search(rf"^\s*{name}\s*=\s*([-+0-9.eE]+)", text, re.MULTILINE | re.IGNORECASE)
            if found:
                return float(found[1])
        raise ValueError(f"{source.name}: says no {names[0].replace(chr(92), '')!r}")

    n = int(number("array_size"))
    first, last = int(number("starting slice number", "startslice")), int(number("ending slice number", "endslice"))
    pixel, slice_ = 10 * number("pixel width", "pixel_width"), 10 * number("slice width", "slice_width")
    if min(n, last - first + 1) < 1 or min(pixel, slice_) <= 0:
        raise ValueError(
            f"{source.name}: {n} pixels of {pixel} mm, slices {first} to {last} of {slice_} mm are no volume"
        )
    return Log(pixel, slice_, (last - first + 1, n, n), _block(text, "1/cm"), _block(text, "1/pixel"))


def _block(text: str, unit: str) -> dict[str, float]:
    found = re.search(
        rf"Linear Attenuation Coefficients\s*\({re.escape(unit)}\)\s*:?(.*?)(?:\n\s*\n|\Z)", text, re.DOTALL
    )
    if found is None:
        return {}
    rows = re.findall(r"^\s*([A-Za-z][^=:\n]*?)\s*[=:]\s*([0-9.eE+-]+)\s*$", found[1], re.MULTILINE)
    return {name: float(value) for name, value in rows}


def _by_id(values: NDArray[np.float32], table: Path, name: str) -> tuple[NDArray[np.int32], dict[int, Part]]:
    if not np.array_equal(values, np.rint(values)):
        raise ValueError(f"{name}: organ ids must be whole numbers; was it made with color_code = 1?")
    numbers = values.astype(np.int32)
    parts = {0: Part(Structure.OUTSIDE, material("air"), material("air").density_g_cm3)}
    with table.open(encoding="utf-8", newline="") as handle:
        for line, row in enumerate(csv.reader(handle), 1):
            if not row or row[0].strip().lower() == "id" or row[0].lstrip().startswith("#"):
                continue
            try:
                number, organ = int(row[0]), row[1].strip()
            except (ValueError, IndexError):
                raise ValueError(f"{table.name}, line {line}: expected id,name, got {','.join(row)!r}") from None
            part = part_of(organ)
            if part is None:
                raise ValueError(f"{table.name}, line {line}: nothing is known of {organ!r}; name it by a nearer organ")
            parts[number] = part
    return numbers, parts


def _by_attenuation(
    values: NDArray[np.float32], log: Log, name: str
) -> tuple[NDArray[np.int32], dict[int, Part], dict[str, Any]]:
    if not log.per_cm or not log.per_pixel:
        raise ValueError(
            f"{name}: attenuation needs the log with its coefficients in 1/cm and 1/pixel; or give names of organ ids"
        )
    for organ, value in log.per_cm.items():
        other = log.per_pixel.get(organ)
        if other is not None and abs(other - value * log.pixel_mm / 10) > 2e-3 * abs(other) + 1e-6:
            raise ValueError(
                f"{name}: the log contradicts itself: {organ} is {value} 1/cm and {other} 1/pixel at {log.pixel_mm} mm"
            )
    shares = {}
    for unit, table in (("1/pixel", log.per_pixel), ("1/cm", log.per_cm)):
        numbers, parts, ambiguous, shares[unit] = _levels(values, table, name)
        if shares[unit] >= MATCHED:
            return numbers, parts, {"values": f"attenuation in {unit}", "ambiguous": ambiguous}
    raise ValueError(
        f"{name}: only {100 * shares['1/pixel']:.1f} % of its voxels are levels of the log in 1/pixel "
        f"({100 * shares['1/cm']:.1f} % in 1/cm), expected {100 * MATCHED:.0f} %: another log, or sub-voxel averaging? "
        "Organ ids need neither"
    )


def _levels(
    values: NDArray[np.float32], table: Mapping[str, float], name: str
) -> tuple[NDArray[np.int32], dict[int, Part], list[list[str]], float]:
    """Numbers of levels, their parts, the groups of names that share one, and the share of voxels at a level."""
    groups: list[tuple[float, list[str]]] = [(0.0, ["Air"])]
    for organ, value in sorted(table.items(), key=lambda item: item[1]):
        if abs(value - groups[-1][0]) <= SAME_LEVEL * max(value, groups[-1][0]) or value < 2e-3 * max(table.values()):
            groups[-1][1].append(organ)
        else:
            groups.append((value, [organ]))
    parts = {}
    for number, (_, organs) in enumerate(groups):
        known = [(organ, part_of(organ)) for organ in organs]
        unknown = [organ for organ, part in known if part is None]
        if len(unknown) == len(known):
            raise ValueError(f"{name}: nothing is known of the material {unknown[0]!r}")
        candidates = [part for _, part in known if part is not None]
        parts[number] = min(candidates, key=lambda p: _rank(p.material.name))
    levels = np.array([value for value, _ in groups])
    found, place = np.unique(values, return_inverse=True)
    nearest = np.abs(found[:, None] - levels).argmin(axis=1)
    counts = np.bincount(place.ravel(), minlength=len(found))
    off = np.abs(found - levels[nearest]) > np.maximum(SAME_LEVEL * levels[nearest], 2e-3 * levels.max())
    share = 1 - float(counts[off].sum() / counts.sum())
    ambiguous = [sorted(organs) for value, organs in groups if value > 0 and len(organs) > 1]
    return nearest.astype(np.int32)[place].reshape(values.shape), parts, ambiguous, share


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _upright(
    numbers: NDArray[np.int32], parts: Mapping[int, Part], flip: str | None
) -> tuple[NDArray[np.int32], dict[str, str]]:
    """Turn the axes so that they run left, back and up; what each was decided by."""
    array_axis = {"x": 2, "y": 1, "z": 0}
    if flip is not None:
        out = np.flip(numbers, tuple(array_axis[a] for a in flip)) if flip else numbers
        return np.ascontiguousarray(out), {a: "flipped as asked" if a in flip else "kept as asked" for a in "xyz"}

    def middle(*structures: Structure) -> NDArray[np.float64] | None:
        chosen = [n for n, part in parts.items() if part.structure in structures]
        found = np.argwhere(np.isin(numbers, chosen))
        return found.mean(axis=0) if len(found) else None

    lungs = middle(Structure.RIGHT_LUNG, Structure.LEFT_LUNG)
    if lungs is None:
        return numbers, dict.fromkeys("xyz", "assumed")
    spine, liver = middle(Structure.VERTEBRA), middle(Structure.LIVER)
    right, left = middle(Structure.RIGHT_LUNG), middle(Structure.LEFT_LUNG)
    evidence: dict[str, tuple[float, str]] = {}
    if spine is not None:
        evidence["y"] = (spine[1] - lungs[1], "the spine lies behind the lungs")
    if liver is not None:
        evidence["z"] = (lungs[0] - liver[0], "the liver lies below the lungs")
        evidence["x"] = (lungs[2] - liver[2], "the liver lies on the right")
    if right is not None and left is not None:
        evidence["x"] = (left[2] - right[2], "the right lung lies on the right")
    turned = tuple(array_axis[a] for a, (way, _) in evidence.items() if way < 0)
    account = {
        a: (evidence[a][1] + (", flipped" if evidence[a][0] < 0 else "")) if a in evidence else "assumed" for a in "xyz"
    }
    return np.ascontiguousarray(np.flip(numbers, turned)) if turned else numbers, account
