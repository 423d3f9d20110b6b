"""Fleischner Society 2017: what to do with a nodule found by chance."""

from __future__ import annotations

import numpy as np

from ..columns import Columns, Table
from .ruling import TYPES, Ruling, names, one_of, required, rounded, sizes, where_known

SYSTEM = "Fleischner 2017"
SOURCE = (
    "MacMahon H, et al. Guidelines for management of incidental pulmonary nodules detected on CT images: from the "
    "Fleischner Society 2017. Radiology 2017;284:228-243, table 1. doi 10.1148/radiol.2017161659"
)
STATUS = (
    "Checked against two public renderings of the paper's table and the table of Loverdos et al. (PMC6784443); wording "
    "shortened; volumes are not built. Not for screening, under 35 years, cancer before, or immunosuppression"
)

NONE = "no routine follow-up"
_SOLID = {
    # (multiple, size class): (low risk, high risk)
    (False, "<6 mm"): (NONE, "optional CT at 12 months"),
    (False, "6-8 mm"): (
        "CT at 6-12 months, then consider CT at 18-24 months",
        "CT at 6-12 months, then at 18-24 months",
    ),
    (False, ">8 mm"): ("consider CT at 3 months, PET/CT or tissue sampling",) * 2,
    (True, "<6 mm"): (NONE, "optional CT at 12 months"),
    (True, "6-8 mm"): ("CT at 3-6 months, then consider CT at 18-24 months", "CT at 3-6 months, then at 18-24 months"),
    (True, ">8 mm"): ("CT at 3-6 months, then consider CT at 18-24 months", "CT at 3-6 months, then at 18-24 months"),
}
_SUBSOLID = {
    ("nonsolid", False): "CT at 6-12 months, then every 2 years until 5 years",
    ("part_solid", False): "CT at 3-6 months; if unchanged and the solid part stays below 6 mm, every year for 5 years",
    ("nonsolid", True): "CT at 3-6 months, then by the most suspicious nodule",
    ("part_solid", True): "CT at 3-6 months, then by the most suspicious nodule",
}
_SMALL_SUBSOLID = {False: NONE, True: "CT at 3-6 months; if stable, consider CT at 2 and 4 years"}


def fleischner_2017(table: Table) -> Ruling:
    """Size class and management of each nodule.

    Parameters
    ----------
    table
        Columns ``mean_diameter_mm`` (rounded to whole millimetres, as the rules say), ``nodule_type``,
        ``nodule_count`` and ``high_risk`` (for solid nodules). Optional: ``age_y``, ``personal_cancer``; where they
        put a person outside the guideline the category is "not applicable".

    Raises
    ------
    ValueError
        If a column is missing or holds what the rules do not know.
    """
    columns = Columns(table)
    kind = required(columns, SYSTEM, "nodule_type")
    one_of(kind, SYSTEM, "nodule_type", TYPES)
    size = rounded(sizes(columns, SYSTEM, "mean_diameter_mm"), 0)
    multiple = sizes(columns, SYSTEM, "nodule_count") > 1
    solid = kind == "solid"
    high = np.asarray(required(columns, SYSTEM, "high_risk", solid)) == 1
    category = names(columns.n)
    category[size < 6] = "<6 mm"
    category[(size >= 6) & (size <= 8)] = "6-8 mm"
    category[size > 8] = ">8 mm"
    category[~solid & (size >= 6)] = ">=6 mm"
    management = names(columns.n)
    for (several, size_class), advice in _SOLID.items():
        for risk in (False, True):
            management[solid & (multiple == several) & (category == size_class) & (high == risk)] = advice[risk]
    for (type_, several), text in _SUBSOLID.items():
        management[(kind == type_) & (multiple == several) & (size >= 6)] = text
    for several, text in _SMALL_SUBSOLID.items():
        management[~solid & (multiple == several) & (size < 6)] = text
    outside = where_known(columns, "personal_cancer")
    age = columns.get("age_y", "number")
    if age is not None:
        outside = outside | (age[0] < 35)
    category[outside] = "not applicable"
    management[outside] = "outside the guideline"
    return Ruling(SYSTEM, category, management, SOURCE, STATUS)
