"""Hand-made NLST tables: one word per thing that a test is about, everything else plain."""

from __future__ import annotations

import pandas as pd

from labeling.nlst.codes import LOCATIONS
from labeling.nlst.tables import PUBLIC_COLUMNS, NlstTables, read_nlst

PLAIN = {
    "dataset_version": "hand-made",
    "race": 1,
    "cigsmok": 1,
    "gender": 1,
    "age": 60,
    "scr_days0": 10,
    "scr_days1": 375,
    "scr_days2": 740,
    "can_scr": 0,
    "canc_free_days": 2400,
    "canc_rpt_link": 0,
    **{f"scr_{what}{t}": 1 for what in ("res", "iso") for t in range(3)},
}


def person(pid: int, **columns: object) -> dict[str, object]:
    return {"pid": pid} | PLAIN | columns


def ill(pid: int, days: int, *places: str, **columns: object) -> dict[str, object]:
    """A participant with a cancer so many days after randomisation."""
    where = {place: int(place in places) for place in LOCATIONS}
    sick = {"candx_days": days, "cancyr": max(days // 365, 0), "can_scr": 1, "canc_free_days": days}
    return person(pid, **(sick | where | columns))


def nodule(pid: int, num: int = 1, *, year: int = 0, **columns: object) -> dict[str, object]:
    plain = {
        "sct_ab_desc": 51,
        "sct_epi_loc": 1,
        "sct_long_dia": 6,
        "sct_perp_dia": 4,
        "sct_margins": 2,
        "sct_pre_att": 1,
        "sct_slice_num": 50,
    }
    return finding(pid, num, year=year, **(plain | columns))


def finding(pid: int, num: int, desc: int = 59, *, year: int = 0, **columns: object) -> dict[str, object]:
    plain = {"sct_ab_desc": desc, "sct_found_after_comp": 0, "dataset_version": "hand-made"}
    return {"pid": pid, "study_yr": year, "sct_ab_num": num} | plain | columns


def prsn(*people: dict[str, object]) -> pd.DataFrame:
    return _frame(people, "prsn")


def ctab(*findings: dict[str, object]) -> pd.DataFrame:
    return _frame(findings, "ctab")


def screen(*pids: int) -> pd.DataFrame:
    return _frame(
        [{"pid": pid, "study_yr": 0, "ctdxqual": 1, "dataset_version": "hand-made"} for pid in pids], "screen"
    )


def tables(people: list[dict[str, object]], findings: list[dict[str, object]]) -> NlstTables:
    return read_nlst(ctab(*findings), prsn(*people), screen=screen(*(int(str(p["pid"])) for p in people)))


def _frame(rows, kind: str) -> pd.DataFrame:
    columns = list(PUBLIC_COLUMNS[kind])
    extra = [name for row in rows[:1] for name in row if name not in columns]
    return pd.DataFrame(list(rows), columns=columns + extra)
