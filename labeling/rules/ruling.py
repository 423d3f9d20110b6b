"""What a rule system says of each nodule, and how its columns are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Columns, CovariateError
from ..vocabulary import meaning_of

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Ruling:
    """Categories of nodules under one rule system."""

    system: str
    """Name and version."""
    category: NDArray[np.object_]
    """Category of each nodule, shape (n,)."""
    management: NDArray[np.object_]
    """What the system recommends, shortened, shape (n,)."""
    source: str
    """Publication."""
    status: str
    """How the rules were checked, and what is not built."""


class NoRuleError(CovariateError):
    """The table is sound, but the system has no rule for some of its rows."""


def required(columns: Columns, system: str, name: str, where: Flags | None = None) -> NDArray[Any]:
    """Values of a column, shape (n,); missing ones are refused, only in the rows of ``where`` if it is given."""
    found = columns.get(name, meaning_of(name).kind)
    if found is None:
        if where is not None and not where.any():
            return np.full(columns.n, np.nan)
        raise CovariateError(f"{system}: missing column {name} ({meaning_of(name).description})", name)
    values, missing = found
    lacking = np.flatnonzero(missing if where is None else missing & where)
    if len(lacking):
        raise CovariateError(
            f"{system}: {name} is missing in {len(lacking)} of {columns.n} rows, first in row {lacking[0]} (rows count "
            "from 0)",
            name,
            lacking,
        )
    return values


def where_known(columns: Columns, name: str) -> Flags:
    """Where a yes-or-no column is there and true, shape (n,)."""
    found = columns.get(name, "yes_no")
    if found is None:
        return np.zeros(columns.n, dtype=np.bool_)
    return np.asarray(found[0] & ~found[1], dtype=np.bool_)


def one_of(values: NDArray[Any], system: str, name: str, allowed: tuple[str, ...]) -> None:
    """Refuse names that are not in ``allowed``."""
    bad = np.flatnonzero(~np.isin(values.astype(str), allowed))
    if len(bad):
        raise CovariateError(
            f"{system}: {name} must be one of {', '.join(allowed)}, got {values[bad[0]]!r} in row {bad[0]} ({len(bad)} "
            f"of {len(values)} rows; rows count from 0)",
            name,
            bad,
        )


def sizes(columns: Columns, system: str, name: str, where: Flags | None = None) -> NDArray[np.float64]:
    """A column of diameters or volumes, shape (n,); what is not above 0 is refused."""
    values = np.asarray(required(columns, system, name, where), dtype=np.float64)
    bad = np.flatnonzero(~(values > 0) & (np.ones(columns.n, dtype=np.bool_) if where is None else where))
    if len(bad):
        raise CovariateError(
            f"{system}: {name} must be above 0 {meaning_of(name).unit}, got {values[bad[0]]:g} in row {bad[0]} (rows "
            "count from 0)",
            name,
            bad,
        )
    return values


def rounded(values: NDArray[np.float64], decimals: int) -> NDArray[np.float64]:
    """Rounded as on paper, halves up (2.25 to one decimal is 2.3)."""
    return np.asarray(np.floor(values * 10**decimals + 0.5 + 1e-9) / 10**decimals, dtype=np.float64)


def names(n: int, value: str = "") -> NDArray[np.object_]:
    """Array of ``n`` equal names."""
    return np.full(n, value, dtype=object)


TYPES = ("solid", "part_solid", "nonsolid")
