"""British Thoracic Society 2015: first step, then by the Brock and Herder probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..columns import Columns, CovariateError, Table
from .ruling import TYPES, Ruling, names, one_of, required, sizes, where_known

SYSTEM = "BTS 2015"
SOURCE = (
    "Callister MEJ, et al. British Thoracic Society guidelines for the investigation and management of pulmonary "
    "nodules. Thorax 2015;70(Suppl 2):ii1-ii54"
)
STATUS = (
    "From secondary sources (summaries of the guideline, table 4 of PMC6784443), not from its text; first scan only, "
    "growth and volume doubling times are not built"
)

MANAGEMENT = {
    "discharge": "no follow-up",
    "surveillance": "CT surveillance",
    "surveillance, sub-solid": "CT at 3 months, then by risk",
    "PET and Herder": "PET/CT, then the Herder probability",
    "biopsy": "consider biopsy; excision or surveillance by risk and preference",
    "treat": "consider excision or non-surgical treatment",
}


def bts_2015(table: Table) -> Ruling:
    """Category of each nodule at its first CT.

    Parameters
    ----------
    table
        Columns ``long_axis_mm`` (largest diameter), ``nodule_type``, and ``brock_probability`` for solid nodules of
        8 mm or 300 mm3 and more (``labeling.get("brock-2b").probability(...)``). Optional: ``volume_mm3``, which
        goes before the diameter where it is known; ``herder_probability`` after PET (``labeling.get("herder")``);
        ``perifissural`` and ``benign_calcification``.

    Raises
    ------
    ValueError
        If a column is missing or holds what the rules do not know.
    """
    columns = Columns(table)
    kind = required(columns, SYSTEM, "nodule_type")
    one_of(kind, SYSTEM, "nodule_type", TYPES)
    size = sizes(columns, SYSTEM, "long_axis_mm")
    small, large = size < 5, size >= 8
    volume = columns.get("volume_mm3", "number")
    if volume is not None:
        known = ~volume[1]
        sizes(columns, SYSTEM, "volume_mm3", known)
        small, large = np.where(known, volume[0] < 80, small), np.where(known, volume[0] >= 300, large)
    solid = kind == "solid"
    benign = where_known(columns, "perifissural") | where_known(columns, "benign_calcification")
    done = small | benign
    brock = _probability(columns, "brock_probability", solid & large & ~done)

    category = names(columns.n, "surveillance")
    category[~solid] = "surveillance, sub-solid"
    at_risk = solid & large & (brock >= 0.10)
    category[at_risk] = "PET and Herder"
    if "herder_probability" in columns.names:
        herder = _probability(columns, "herder_probability", np.zeros(columns.n, dtype=np.bool_))
        category[at_risk & (herder < 0.10)] = "surveillance"
        category[at_risk & (herder >= 0.10) & (herder <= 0.70)] = "biopsy"
        category[at_risk & (herder > 0.70)] = "treat"
    category[done] = "discharge"
    management = np.array([MANAGEMENT[c] for c in category], dtype=object)
    return Ruling(SYSTEM, category, management, SOURCE, STATUS)


def _probability(columns: Columns, name: str, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    values = np.asarray(required(columns, SYSTEM, name, where), dtype=np.float64)
    bad = np.flatnonzero((values < 0) | (values > 1))
    if len(bad):
        raise CovariateError(
            f"{SYSTEM}: {name} must be 0 to 1, got {values[bad[0]]:g} in row {bad[0]} (rows count from 0)", name, bad
        )
    return values
