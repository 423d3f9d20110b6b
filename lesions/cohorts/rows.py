"""A cohort of one's own: a CSV file with one nodule per row, drawn from with replacement.

Columns are those of ``lidc_nodules.csv``; lines that begin with ``#`` are comments. A size is needed (``deq_mm``,
``vol_mm3`` or ``davg_mm``, taken in this order); ratings, ``calcification``, ``internal``, ``lobe`` and ``type`` are
used where given. Ratings that are not given take those of a smooth, sharp, solid nodule; what a row measures beyond
that (axes, solidity, position...) is not used.
"""

from __future__ import annotations

import csv
import io
import math
import os
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..nodule import Lobe
from .copula import MEAN_TO_EQUIVALENT, RATINGS
from .table import NoduleTable, interior, type_of

ABSENT_RATING = {
    **{"subtlety": 5.0, "sphericity": 4.0, "margin": 5.0, "lobulation": 1.0, "spiculation": 1.0},
    **{"texture": 5.0, "malignancy": 3.0},
}
"""What a rating that the file lacks is taken as (design default)."""

SIZES = {"deq_mm": 1.0, "vol_mm3": 1.0, "davg_mm": MEAN_TO_EQUIVALENT}
CODES = {"calcification": (1, 6, 6), "internal": (1, 5, 1)}
"""Lowest and highest code, and the one of a file without the column. LIDC-IDRI holds one internal structure 5, which no
document explains: such a nodule is built of soft tissue."""

TEXTURE_OF_TYPE = {"solid": 5.0, "part_solid": 3.0, "ground_glass": 1.0}

OTHERS = (
    *("n_readers", "long_mm", "short_mm", "elong", "flat", "circ", "solidity", "spher3d"),
    *("z_frac", "lateral_mm", "ap_mm", "dz_mm", "px_mm"),
)
"""Columns that may be there and are not used."""

KNOWN = (*SIZES, *RATINGS, *CODES, "type", "lobe", *OTHERS)


def read_table(path: str | os.PathLike[str] | None = None) -> NoduleTable:
    """Read a nodule table; without a path, the 2653 nodules of LIDC-IDRI that come with the package.

    Keys and interiors are filled in when rows are drawn (:func:`resample`); here they are zero and the middle.

    Raises
    ------
    ValueError
        If the file has an unknown column, no size, no row, or a value out of range; the message names file, row and
        column.
    """
    if path is None:
        text, name = files(__package__).joinpath("lidc_nodules.csv").read_text(encoding="utf-8"), "lidc_nodules.csv"
    else:
        text, name = Path(path).read_text(encoding="utf-8"), str(path)
    reader = csv.DictReader(io.StringIO("".join(_uncommented(text))))
    header = list(reader.fieldnames or ())
    unknown = [c for c in header if c not in KNOWN]
    if unknown:
        raise ValueError(f"{name}: column {', '.join(map(repr, unknown))} is not known; known are {', '.join(KNOWN)}")
    sizes = [c for c in SIZES if c in header]
    if not sizes:
        raise ValueError(f"{name}: a size is wanted, one of the columns {', '.join(SIZES)}; got {', '.join(header)}")
    rows = list(reader)
    if not rows:
        raise ValueError(f"{name}: no rows")

    def numbers(column: str, low: float, high: float) -> NDArray[np.float64]:
        return np.array([_number(row[column], name, n, column, low, high) for n, row in enumerate(rows, 2)])

    size = numbers(sizes[0], 0.5, 1e5)
    size = (6 / math.pi * size) ** (1 / 3) if sizes[0] == "vol_mm3" else size / SIZES[sizes[0]]
    ratings = {r: numbers(r, 1, 5) if r in header else np.full(len(rows), value) for r, value in ABSENT_RATING.items()}
    if "type" in header:
        kind = np.array([_word(row["type"], tuple(TEXTURE_OF_TYPE), name, n, "type") for n, row in enumerate(rows, 2)])
        if "texture" not in header:
            ratings["texture"] = np.array([TEXTURE_OF_TYPE[k] for k in kind])
    else:
        kind = type_of(ratings["texture"])
    codes = {
        c: numbers(c, low, high).astype(np.int64) if c in header else np.full(len(rows), default)
        for c, (low, high, default) in CODES.items()
    }
    lobes = np.full(len(rows), "", dtype="<U20")
    if "lobe" in header:
        lobes[:] = [_word(row["lobe"], ("", *get_args(Lobe)), name, n, "lobe") for n, row in enumerate(rows, 2)]
    middle = interior(np.tile([0.5, 0.5, 0.0, 0.0], (len(rows), 1)))
    return NoduleTable(
        {
            "equivalent_diameter_mm": size,
            **ratings,
            "type": kind,
            "calcification": codes["calcification"],
            "internal_structure": codes["internal"],
            "lobe": lobes,
            "attachment": np.full(len(rows), "none"),
            "malignant": np.full(len(rows), np.nan),
            **middle,
        }
    )


def resample(
    table: NoduleTable, rng: np.random.Generator, n: int, *, diameter_mm: tuple[float, float] = (3.0, 30.0)
) -> NoduleTable:
    """Draw ``n`` rows with replacement, each with an interior and a key of its own.

    Raises
    ------
    ValueError
        If no row has an equivalent diameter within ``diameter_mm``.
    """
    size = table["equivalent_diameter_mm"]
    inside = np.flatnonzero((size >= diameter_mm[0]) & (size <= diameter_mm[1]))
    if not len(inside):
        raise ValueError(
            f"diameter_mm: none of {len(table)} rows lies within {diameter_mm}; "
            f"they span {size.min():.2f}-{size.max():.2f} mm"
        )
    u = rng.random((n, 5))
    drawn = table.rows(inside[np.minimum((u[:, 0] * len(inside)).astype(int), len(inside) - 1)])
    return NoduleTable({**drawn.columns, **interior(u[:, 1:])})


def _uncommented(text: str) -> list[str]:
    return [line for line in text.splitlines(keepends=True) if not line.startswith("#")]


def _number(value: Any, name: str, row: int, column: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise ValueError(f"{name}: row {row}: {column} must be a number within {low:g}-{high:g}, got {value!r}")
    return number


def _word(value: Any, allowed: tuple[str, ...], name: str, row: int, column: str) -> str:
    if value not in allowed:
        raise ValueError(f"{name}: row {row}: {column} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return str(value)
