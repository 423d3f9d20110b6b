"""Lung-RADS of the American College of Radiology: categories 2 to 4 of nodules in screening CT."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..columns import Columns, CovariateError, Table
from .ruling import TYPES, Flags, NoRuleError, Ruling, names, one_of, required, rounded, sizes, where_known

CHANGES = ("baseline", "new", "growing", "slow_growing", "stable")

MANAGEMENT = {
    "1": "screening CT in 12 months",
    "2": "screening CT in 12 months",
    "3": "CT in 6 months",
    "4A": "CT in 3 months; PET/CT may be considered",
    "4B": "diagnostic work-up: CT, PET/CT or tissue",
    "4X": "diagnostic work-up: CT, PET/CT or tissue",
}

_SOURCE = {
    "2022": "American College of Radiology, Lung-RADS v2022 Assessment Categories, November 2022; Christensen J, et "
    "al. Chest 2024;165:738-753",
    "1.1": "American College of Radiology, Lung-RADS version 1.1, 2019, as reproduced in NCBI Bookshelf NBK568579, "
    "appendix A, table 2",
}
_STATUS = {
    "2022": "Parenchymal nodules by mean diameter; airway nodules, cysts, stepped management of what is stable, and "
    "volumes are not built. 4X here means spiculation alone; a radiologist may see other reasons",
    "1.1": "Unverified against the original: from reproductions of the table. Endobronchial nodules and volumes are "
    "not built. 4X here means spiculation alone; a radiologist may see other reasons",
}


def lung_rads(table: Table, version: Literal["2022", "1.1"] = "2022") -> Ruling:
    """Lung-RADS category of each nodule.

    Parameters
    ----------
    table
        Columns ``mean_diameter_mm`` (rounded to one decimal, as the rules say), ``nodule_type``, ``spiculation``, and
        ``solid_mean_diameter_mm`` for part-solid nodules. Optional: ``change`` (baseline where there is no such column;
        a growing part-solid nodule is one whose solid part grows), ``juxtapleural_smooth``, ``perifissural``,
        ``benign_calcification``.
    version
        "2022", or "1.1", which is unverified against the original document.

    Raises
    ------
    ValueError
        If a column is missing or holds what the rules do not know; if a solid or part-solid nodule is stable under
        2022, where the category depends on earlier ones, or grows slowly under 1.1, which has no such rule.
    """
    if version not in ("2022", "1.1"):
        raise ValueError(f"version must be '2022' or '1.1', got {version!r}")
    system = f"Lung-RADS {'v2022' if version == '2022' else '1.1'}"
    columns = Columns(table)
    kind = required(columns, system, "nodule_type")
    one_of(kind, system, "nodule_type", TYPES)
    part_solid, nonsolid = kind == "part_solid", kind == "nonsolid"
    size = rounded(sizes(columns, system, "mean_diameter_mm"), 1)
    core = rounded(np.where(part_solid, _core(columns, system, part_solid), 0.0), 1)
    change = required(columns, system, "change") if "change" in columns.names else names(columns.n, "baseline")
    one_of(change, system, "change", CHANGES)
    dense = ~nonsolid
    _refuse_change(system, version, change, dense)

    category = names(columns.n)
    _solid(category, size, change, kind == "solid")
    _part_solid(category, size, core, change, part_solid)
    category[nonsolid] = "2"
    category[nonsolid & (size >= 30) & ~np.isin(change.astype(str), ("stable", "slow_growing"))] = "3"
    if version == "2022":
        category[dense & (change == "slow_growing")] = "4B"
    else:
        category[dense & (change == "stable")] = "2"
    smooth = where_known(columns, "perifissural")
    if version == "2022":
        smooth = smooth | where_known(columns, "juxtapleural_smooth")
    category[smooth & (kind == "solid") & (size < 10) & np.isin(change.astype(str), ("baseline", "new"))] = "2"
    spiculated = np.asarray(required(columns, system, "spiculation"), dtype=np.bool_)
    category[spiculated & np.isin(category.astype(str), ("3", "4A", "4B"))] = "4X"
    category[where_known(columns, "benign_calcification")] = "1"
    management = np.array([MANAGEMENT[c] for c in category], dtype=object)
    return Ruling(system, category, management, _SOURCE[version], _STATUS[version])


def _core(columns: Columns, system: str, part_solid: Flags) -> NDArray[np.float64]:
    core = np.asarray(required(columns, system, "solid_mean_diameter_mm", part_solid), dtype=np.float64)
    total = np.asarray(required(columns, system, "mean_diameter_mm"), dtype=np.float64)
    bad = np.flatnonzero(part_solid & ~((core >= 0) & (core <= total)))
    if len(bad):
        raise CovariateError(
            f"{system}: solid_mean_diameter_mm must be 0 to mean_diameter_mm, got {core[bad[0]]:g} of "
            f"{total[bad[0]]:g} mm in row {bad[0]} (rows count from 0)",
            "solid_mean_diameter_mm",
            bad,
        )
    return core


def _refuse_change(system: str, version: str, change: NDArray[np.object_], dense: Flags) -> None:
    word = "stable" if version == "2022" else "slow_growing"
    why = (
        "its category depends on the earlier one and on the interval, which are not columns here"
        if version == "2022"
        else "version 1.1 has no rule for it"
    )
    bad = np.flatnonzero(dense & (change == word))
    if len(bad):
        raise NoRuleError(
            f"{system}: change is {word!r} for a solid or part-solid nodule in row {bad[0]}: {why} (rows count from 0)",
            "change",
            bad,
        )


def _solid(category: NDArray[np.object_], size: NDArray[np.float64], change: NDArray[np.object_], here: Flags) -> None:
    steps = {
        "baseline": ((0, "2"), (6, "3"), (8, "4A"), (15, "4B")),
        "new": ((0, "2"), (4, "3"), (6, "4A"), (8, "4B")),
        "growing": ((0, "4A"), (8, "4B")),
    }
    for word, thresholds in steps.items():
        for low, name in thresholds:
            category[here & (change == word) & (size >= low)] = name


def _part_solid(
    category: NDArray[np.object_],
    size: NDArray[np.float64],
    core: NDArray[np.float64],
    change: NDArray[np.object_],
    here: Flags,
) -> None:
    baseline, new, growing = (here & (change == word) for word in ("baseline", "new", "growing"))
    category[baseline] = "2"
    for low, name in ((0, "3"), (6, "4A"), (8, "4B")):
        category[baseline & (size >= 6) & (core >= low)] = name
    category[new | growing] = "4A"
    category[(new | growing) & (core >= 4)] = "4B"
    category[new & (size < 6)] = "3"
