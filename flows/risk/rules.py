"""Rule systems over a CSV file: categories as further columns, never labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from labeling import CovariateError
from labeling.rules import Ruling, bts_2015, fleischner_2017, lung_rads
from labeling.rules.ruling import NoRuleError

from .csvfile import CsvFile
from .scoring import Scored, covariate_column, located

SYSTEMS: dict[str, Callable[[Any], Ruling]] = {
    "lung_rads_2022": partial(lung_rads, version="2022"),
    "lung_rads_1.1": partial(lung_rads, version="1.1"),
    "fleischner_2017": fleischner_2017,
    "bts_2015": bts_2015,
}
COLUMNS = (
    *("mean_diameter_mm", "solid_mean_diameter_mm", "long_axis_mm", "volume_mm3", "nodule_type", "nodule_count"),
    *("spiculation", "change", "perifissural", "juxtapleural_smooth", "benign_calcification", "high_risk", "age_y"),
    *("personal_cancer", "brock_probability", "herder_probability"),
)
"""What the systems read, where the file has it."""

PROBABILITIES = {"brock-2b": "brock_probability", "herder": "herder_probability"}
"""Models whose scores BTS 2015 goes by where the file has no such column."""


def rule_columns(file: CsvFile, scored: Sequence[Scored]) -> tuple[dict[str, list[Any]], dict[str, Ruling | str]]:
    """Columns to add, and per system its ruling, or why it is left out: columns are lacking, or rules for some rows.

    Raises
    ------
    ValueError
        If a cell cannot be read or a system cannot take a value, or no system has its columns.
    """
    table = {name: covariate_column(file, name) for name in COLUMNS if name in file.names}
    for each in scored:
        name = PROBABILITIES.get(each.model.id)
        if name is not None:
            table.setdefault(name, each.scores.probability)
    if not table:
        raise ValueError(f"{file.path}: --rules needs columns such as mean_diameter_mm, nodule_type, spiculation")
    added: dict[str, list[Any]] = {}
    said: dict[str, Ruling | str] = {}
    for system, rule in SYSTEMS.items():
        try:
            ruling = rule(table)
        except CovariateError as error:
            if error.rows.size and not isinstance(error, NoRuleError):
                raise located(error, file) from None
            said[system] = str(located(error, file)) if error.rows.size else str(error)
            continue
        said[system] = ruling
        added[system] = list(ruling.category)
        added[f"{system}_management"] = list(ruling.management)
    if not added:
        raise ValueError(f"{file.path}: --rules: no system has its columns: {'; '.join(map(str, said.values()))}")
    return added, said
