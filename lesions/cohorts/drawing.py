"""Draws nodules of a cohort, as a table or as specs, under conditions; and how many a person has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nodule import Nodule
from .copula import MEAN_TO_EQUIVALENT, Latent, load_copula
from .spec import Cohort, load_cohort
from .table import COLUMNS, NoduleTable, interior, type_of

N_UNIFORM = 20
"""Uniform numbers that one nodule takes, needed or not: nodule i is the same however many are drawn."""

DIAMETER_MM = (3.0, 30.0)
"""Default range of equivalent diameters [mm]."""

FEWEST = 1e-5
"""Share of a cohort that conditions must leave."""

NUMERIC = tuple(n for n in COLUMNS if n not in ("type", "lobe", "attachment", "key"))


_FIRST, _TOGETHER = 10, 4096
"""Rows that :func:`draw_table` draws first for one nodule, and generators whose rows are worked out at once."""


def draw(
    rng: np.random.Generator,
    n: int,
    *,
    cohort: str | Cohort = "lidc",
    diameter_mm: tuple[float, float] = DIAMETER_MM,
    conditions: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
    name: str = "nodule-{:d}",
) -> tuple[Nodule, ...]:
    """Draw ``n`` nodules of a cohort, without a place.

    Parameters
    ----------
    rng
        Where chance comes from; each nodule's key too is drawn from it.
    n
        How many.
    cohort, diameter_mm, conditions
        As for :func:`draw_table`.
    fields
        Fields of :class:`lesions.Nodule` to set whatever was drawn, e.g. ``{"lobe": "RIGHT_UPPER_LOBE"}``; a given size
        replaces the drawn one. Unlike ``conditions`` they do not change what else is drawn.
    name
        Format of the ids, with the number from 1.

    Raises
    ------
    ValueError
        If the cohort has no such nodules, or the fixed fields contradict what was drawn.

    Examples
    --------
    >>> import numpy as np
    >>> [n.id for n in draw(np.random.default_rng(0), 2)]
    ['nodule-1', 'nodule-2']
    """
    table = draw_table(rng, n, cohort=cohort, diameter_mm=diameter_mm, conditions=conditions)
    # no lobe unless asked for: a listed nodule may go anywhere, a twin may know no lobes
    wanted = {"lobe": None, **(fields or {})} if "lobe" not in (conditions or {}) else fields
    return tuple(table.nodules(name=name, fields=wanted))


def draw_table(
    rng: np.random.Generator,
    n: int,
    *,
    cohort: str | Cohort = "lidc",
    diameter_mm: tuple[float, float] = DIAMETER_MM,
    conditions: Mapping[str, Any] | None = None,
) -> NoduleTable:
    """Draw ``n`` nodules of a cohort as a table.

    Parameters
    ----------
    rng
        Where chance comes from.
    n
        How many.
    cohort
        A name (:data:`lesions.cohorts.COHORTS`) or a table of one's own.
    diameter_mm
        Range of equivalent diameters [mm].
    conditions
        Columns of the table (:data:`lesions.cohorts.COLUMNS`) and what they must be: one value, a list of values, or
        for numbers a tuple (lowest, highest). The rest is drawn *given* the conditions, by rejection.

    Raises
    ------
    ValueError
        If the range or a condition is not possible, or leaves less than 1 in 100,000 nodules of the cohort.
    """
    low, high = diameter_mm
    if n < 0 or not 3.0 <= low < high <= 40.0:
        raise ValueError(f"diameter_mm must be a range within 3-40 and n >= 0; got diameter_mm {diameter_mm}, n = {n}")
    wanted = {"equivalent_diameter_mm": (float(low), float(high)), **(conditions or {})}
    what = load_cohort(cohort) if isinstance(cohort, str) else cohort
    parts: list[NoduleTable] = []
    found = tried = 0
    while found < n or not parts:
        share = (found + 1) / (tried + 1) if tried else 1.0
        batch = min(200_000, math.ceil(1.1 * (n - found) / share) + 8)  # _FIRST for the first of one nodule
        table = _table(what, rng.random((batch, N_UNIFORM)))
        fits = _fitting(table, wanted)
        parts.append(table.rows(fits))
        found, tried = found + int(np.count_nonzero(fits)), tried + batch
        if found < n and tried > 3 / FEWEST and found < tried * FEWEST:
            raise ValueError(
                f"the cohort has next to no nodules with {wanted}: {found} in {tried} draws; "
                f"at least 1 in {1 / FEWEST:.0f} is wanted"
            )
    return NoduleTable({name: np.concatenate([part[name] for part in parts])[:n] for name in COLUMNS})


def draw_each(
    rngs: Iterable[np.random.Generator],
    *,
    cohort: str | Cohort = "lidc",
    diameter_mm: tuple[float, float] = DIAMETER_MM,
) -> NoduleTable:
    """One nodule per generator: row i is what ``draw_table(rngs[i], 1)`` gives, worked out for all rows together.

    Each generator's numbers are taken before the next one is asked for: all may be one, turned to stream after stream.

    Raises
    ------
    ValueError
        As :func:`draw_table`.
    """
    what = load_cohort(cohort) if isinstance(cohort, str) else cohort
    wanted = {"equivalent_diameter_mm": tuple(map(float, diameter_mm))}
    parts: list[NoduleTable] = []
    left = iter(rngs)
    while some := [(rng, rng.bit_generator.state, rng.random((_FIRST, N_UNIFORM))) for rng in islice(left, _TOGETHER)]:
        table = _table(what, np.concatenate([uniform for _, _, uniform in some]))
        fits = _fitting(table, wanted).reshape(len(some), _FIRST)
        found = table.rows(_FIRST * np.arange(len(some)) + fits.argmax(axis=1))
        columns = {name: found[name].copy() for name in COLUMNS}
        for i in np.flatnonzero(~fits.any(axis=1)).tolist():
            rng, state, _ = some[i]
            rng.bit_generator.state = state
            again = draw_table(rng, 1, cohort=what, diameter_mm=diameter_mm)
            for name in COLUMNS:
                columns[name][i] = again[name][0]
        parts.append(NoduleTable(columns))
    if not parts:
        return draw_table(np.random.Generator(np.random.Philox(key=0)), 0, cohort=what, diameter_mm=diameter_mm)
    return NoduleTable({name: np.concatenate([part[name] for part in parts]) for name in COLUMNS})


def draw_counts(rng: np.random.Generator, n_persons: int, *, cohort: str | Cohort = "lidc") -> NDArray[np.int64]:
    """Number of nodules of each of ``n_persons`` people of a cohort."""
    what = load_cohort(cohort) if isinstance(cohort, str) else cohort
    return _picked(what.counts.shares(), rng.random(n_persons))


def _table(cohort: Cohort, u: NDArray[np.float64]) -> NoduleTable:
    copula = load_copula(cohort.copula)
    latent = Latent(copula)
    if cohort.size is None:
        diameter = copula.equivalent_diameter_mm(latent.next(u[:, 0]))
    else:
        diameter = cohort.size.quantile_mm(u[:, 0]) / cohort.size.per_equivalent
        latent.given_size(diameter)
    mean_mm = MEAN_TO_EQUIVALENT * diameter
    malignant = np.full(len(u), np.nan)
    low: Any = -np.inf
    high: Any = np.inf
    if cohort.malignant is not None:
        malignant = (u[:, 1] < cohort.malignant.at(mean_mm)).astype(float)
    if cohort.spiculated is not None:
        share = np.where(malignant == 1, cohort.spiculated.malignant.at(mean_mm), cohort.spiculated.benign.at(mean_mm))
        spiculated = u[:, 2] < share
        low, high = (
            np.where(spiculated, copula.cut("spiculation", 3), -np.inf),
            np.where(spiculated, np.inf, copula.cut("spiculation", 3)),
        )
    z = {"spiculation": latent.next(u[:, 3], low, high)}
    low, high = -np.inf, np.inf
    if cohort.types is not None:
        kinds = np.array(list(cohort.types))[_picked(np.array(list(cohort.types.values())), u[:, 4])]
        glass, solid = copula.cut("texture", 2), copula.cut("texture", 4)
        low = np.select([kinds == "solid", kinds == "part_solid"], [solid, glass], -np.inf)
        high = np.select([kinds == "ground_glass", kinds == "part_solid"], [glass, solid], np.inf)
    z["texture"] = latent.next(u[:, 5], low, high)
    for k, name in enumerate(("malignancy", "subtlety", "sphericity", "margin", "lobulation")):
        z[name] = latent.next(u[:, 6 + k])
    ratings = {name: copula.rating(name, value) for name, value in z.items()}
    kind = type_of(ratings["texture"])
    share = np.array([cohort.calcified.get(float(v), 0.0) for v in copula.values])
    share = share[np.searchsorted(copula.values, ratings["malignancy"])]
    pattern = np.array(list(cohort.calcification))[_picked(np.array(list(cohort.calcification.values())), u[:, 12])]
    return NoduleTable(
        {
            "equivalent_diameter_mm": diameter,
            **ratings,
            "type": kind,
            "calcification": np.where((kind == "solid") & (u[:, 11] < share), pattern, 6),
            "internal_structure": np.array(list(cohort.internal))[
                _picked(np.array(list(cohort.internal.values())), u[:, 13])
            ],
            "lobe": _lobes(cohort, malignant == 1, ratings["spiculation"] >= 3, u[:, 14]),
            "attachment": _attachments(cohort, kind, ratings["spiculation"] >= 3, diameter, u[:, 19]),
            "malignant": malignant,
            **interior(u[:, 15:19]),
        }
    )


def _lobes(
    cohort: Cohort, malignant: NDArray[np.bool_], spiculated: NDArray[np.bool_], u: NDArray[np.float64]
) -> NDArray[Any]:
    lobes = np.full(len(u), "", dtype="<U20")
    for row in cohort.lobes:
        here = np.ones(len(u), bool)
        for wanted, is_so in ((row.malignant, malignant), (row.spiculated, spiculated)):
            if wanted is not None:
                here &= is_so == wanted
        lobes[here] = np.array(list(row.shares))[_picked(np.array(list(row.shares.values())), u[here])]
    return lobes


def _attachments(
    cohort: Cohort,
    kind: NDArray[np.str_],
    spiculated: NDArray[np.bool_],
    diameter_mm: NDArray[np.float64],
    u: NDArray[np.float64],
) -> NDArray[Any]:
    attached = np.full(len(u), "none", dtype="<U7")
    left = np.ones(len(u), bool)
    for row in cohort.attached:
        here = left & (diameter_mm <= row.below_mm)
        if row.type is not None:
            here &= kind == row.type
        if row.spiculated is not None:
            here &= spiculated == row.spiculated
        edges = np.cumsum(list(row.shares.values()))
        attached[here] = np.array([*row.shares, "none"])[np.searchsorted(edges, u[here], side="right")]
        left &= ~here
    return attached


def _picked(weights: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.int64]:
    edges = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(edges, u, side="right"), len(weights) - 1).astype(np.int64)


def _fitting(table: NoduleTable, conditions: Mapping[str, Any]) -> NDArray[np.bool_]:
    fits = np.ones(len(table), bool)
    for name, wanted in conditions.items():
        if name not in COLUMNS or name == "key":
            raise ValueError(f"condition {name!r} is no column to condition on; there are {', '.join(COLUMNS)}")
        column = table[name]
        if name in NUMERIC and isinstance(wanted, tuple):
            if len(wanted) != 2 or not wanted[0] <= wanted[1]:
                raise ValueError(f"condition {name!r}: a tuple is (lowest, highest), got {wanted}")
            fits &= (column >= wanted[0]) & (column <= wanted[1])
        else:
            several = isinstance(wanted, Sequence) and not isinstance(wanted, str)
            fits &= np.isin(column, list(wanted) if several else [wanted])
    return fits
