"""Tables as people have them - columns by name, records, data frames - read into arrays with what is missing marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .vocabulary import Kind

if TYPE_CHECKING:
    import pandas as pd

Table: TypeAlias = "Mapping[str, ArrayLike] | Sequence[Mapping[str, Any]] | pd.DataFrame"
"""Columns by name, records, or a data frame; None and NaN stand for not known."""


class CovariateError(ValueError):
    """A table that a model cannot take.

    ``field`` names the covariate, ``rows`` the rows concerned, shape ``(k,)``, counted from 0; ``rows`` is empty when
    the whole column is absent.
    """

    def __init__(self, message: str, field: str, rows: ArrayLike = ()) -> None:
        super().__init__(message)
        self.field = field
        self.rows: NDArray[np.intp] = np.asarray(rows, dtype=np.intp)


class Columns:
    """A table's columns by name, each read when it is asked for."""

    def __init__(self, table: Table) -> None:
        """Take any of the three forms.

        Raises
        ------
        ValueError
            If columns differ in length or are not one-dimensional.
        TypeError
            If ``table`` is none of the three, a bare array for instance.
        """
        self._records: Sequence[Mapping[str, Any]] | None = None
        self._table: Any = table
        if hasattr(table, "columns") and hasattr(table, "__getitem__"):
            self.names = tuple(str(name) for name in table.columns)
            self.n = len(cast("Any", table))
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            if twice:
                raise ValueError(f"table: columns {', '.join(twice)} occur more than once")
        elif isinstance(table, Mapping):
            self.names = tuple(table)
            for name, column in table.items():
                if _dimensions(column) != 1:
                    raise ValueError(
                        f"table: column {name!r} must be one-dimensional, got {_dimensions(column)} dimensions "
                        "(one record is a list of one: [record])"
                    )
            lengths = {name: len(cast("Any", column)) for name, column in table.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"table: columns must be equally long, got {lengths}")
            self.n = next(iter(lengths.values()), 0)
        elif isinstance(table, Sequence) and all(isinstance(record, Mapping) for record in table):
            self._records = cast("Sequence[Mapping[str, Any]]", table)
            self.names = tuple(dict.fromkeys(name for record in self._records for name in record))
            self.n = len(table)
        else:
            raise TypeError(
                "table must have columns by name: a mapping of columns, a sequence of records or a data frame, got "
                f"{type(table).__name__}"
            )

    def get(self, name: str, kind: Kind) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        """Values and what is missing of one column, shapes ``(n,)``; None if there is no such column.

        Numbers come as float64, yes or no as bool, names as objects or text. None and NaN are missing.

        Raises
        ------
        CovariateError
            If a value is not of ``kind``.
        """
        if self._records is not None:
            if name not in self.names and self.n:
                return None
            raw: NDArray[Any] = np.empty(self.n, dtype=object)
            raw[:] = [record.get(name) for record in self._records]
        elif name not in self.names:
            return None
        else:
            column = self._table[name]
            if isinstance(column, np.ma.MaskedArray):
                mask = np.ma.getmaskarray(column)
                column = np.array(column.data, dtype=object)
                column[mask] = None
            raw = np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else _array(column))
        return _parse(raw, name, kind)


def _dimensions(column: Any) -> int:
    """Dimensions of a column; a list counts as one, whatever it holds."""
    if hasattr(column, "ndim"):
        return int(column.ndim)
    return 0 if isinstance(column, str | bytes | Mapping) or not hasattr(column, "__len__") else 1


def _array(column: Any) -> NDArray[Any]:
    """Array of a column, of objects where numpy would turn mixed values into text."""
    if isinstance(column, np.ndarray):
        return column
    kinds = set(map(type, column))
    if len(kinds) == 1 and kinds <= {bool, int, float}:
        return np.asarray(column)
    mixed = np.empty(len(column), dtype=object)
    mixed[:] = list(column)
    return mixed


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"


_WANTED = {"number": "a number", "yes_no": "true or false", "name": "a name"}
_TYPES: dict[str, tuple[type, ...]] = {
    "number": (int, float, np.integer, np.floating),
    "yes_no": (bool, np.bool_),
    "name": (str,),
}
_EXACT: dict[str, set[type]] = {"number": {int}, "yes_no": {bool}, "name": {str}}
_DTYPES = {"number": "fiu", "yes_no": "b", "name": "U"}
_FILL: dict[str, Any] = {"number": np.nan, "yes_no": False, "name": ""}
_RESULT: dict[str, Any] = {"number": np.float64, "yes_no": np.bool_, "name": object}


def _parse(raw: NDArray[Any], name: str, kind: Kind) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if raw.dtype.kind in _DTYPES[kind]:
        values = raw.copy() if kind == "name" else raw.astype(_RESULT[kind])
        missing = np.isnan(values) if kind == "number" else np.zeros(len(raw), dtype=np.bool_)
        return values, missing
    objects = raw.astype(object)
    if set(map(type, objects)) <= _EXACT[kind]:
        return objects.astype(_RESULT[kind]), np.zeros(len(raw), dtype=np.bool_)
    missing = np.fromiter(map(_is_missing, objects), dtype=np.bool_, count=len(raw))
    types = _TYPES[kind]
    fits = np.fromiter(
        (isinstance(v, types) and not (kind == "number" and isinstance(v, bool)) for v in objects),
        dtype=np.bool_,
        count=len(raw),
    )
    bad = np.flatnonzero(~fits & ~missing)
    if len(bad):
        raise CovariateError(
            f"{name} must be {_WANTED[kind]}, got {objects[bad[0]]!r} in row {bad[0]} ({len(bad)} of {len(raw)} rows; "
            "rows count from 0)",
            name,
            bad,
        )
    objects[missing] = _FILL[kind]
    return objects.astype(_RESULT[kind]), missing
