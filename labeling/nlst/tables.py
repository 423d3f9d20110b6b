"""Read the tables of NLST, public (IDC, TCIA) or from CDAS, and check every code, key and join."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from .codes import CODES, LOCATIONS, MISSING, Arm, CancerScreen, Confirmation

Delivery = Literal["public", "cdas"]
Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame

_SCREENS = tuple(f"{what}{t}" for what in ("scr_res", "scr_iso", "scr_days") for t in range(3))

PUBLIC_COLUMNS: dict[str, tuple[str, ...]] = {
    "prsn": (
        *("pid", "dataset_version", "race", "cigsmok", "gender", "age"),
        *LOCATIONS,
        *("lesionsize", "de_type", "de_grade", "de_stag", "de_stag_7thed"),
        *_SCREENS,
        *("cancyr", "can_scr", "candx_days", "canc_free_days", "canc_rpt_link"),
    ),
    "ctab": (
        *("pid", "study_yr", "sct_ab_num", "sct_ab_desc", "sct_epi_loc", "sct_long_dia", "sct_perp_dia"),
        *("sct_margins", "sct_pre_att", "sct_slice_num", "sct_found_after_comp", "dataset_version"),
    ),
    "ctabc": (
        *("pid", "study_yr", "sct_ab_num", "sct_ab_code", "sct_ab_preexist", "sct_ab_attn", "sct_ab_gwth"),
        *("sct_ab_invg", "visible_days", "dataset_version"),
    ),
    "screen": (
        *("pid", "study_yr", "ctdxqual", "techpara_kvp", "techpara_ma", "techpara_fov", "techpara_effmas"),
        *(f"ct_recon_filter{k}" for k in range(1, 5)),
        *(f"ctdxqual_{why}" for why in ("breath", "motion", "resp", "techpara", "inadeqimg", "artifact")),
        *("ctdxqual_graininess", "ctdxqual_other", "dataset_version"),
    ),
}
"""Columns of the public tables of 27 May 2021: 39, 12, 10 and 20."""

ADDED_BY_IDC = ("dicom_patient_id", "source_batch")
"""Columns that the Imaging Data Commons adds to each table."""

_CDAS_MARKS = {"prsn": ("rndgroup", "conflc"), "ctab": ("sct_ab_source",), "ctabc": (), "screen": ("rec_diag_ct",)}
_NEEDED = {
    "prsn": ("pid", "age", "gender", "cigsmok", "can_scr", "candx_days", "cancyr", "scr_days0", *LOCATIONS[:6]),
    "ctab": PUBLIC_COLUMNS["ctab"][:9],
    "ctabc": ("pid", "study_yr", "sct_ab_num"),
    "screen": ("pid", "study_yr"),
}
_KEYS = {
    "prsn": ("pid",),
    "ctab": ("pid", "study_yr", "sct_ab_num"),
    "ctabc": ("pid", "study_yr", "sct_ab_num"),
    "screen": ("pid", "study_yr"),
}
_NUMBERS = (
    *("pid", "age", "sct_ab_num", "sct_long_dia", "sct_perp_dia", "sct_slice_num", "visible_days", "lesionsize"),
    *("de_type", "candx_days", "canc_free_days", "fup_days", "pkyr", "smokeyr", "smokeday", "age_quit"),
    *("height", "weight", "techpara_kvp", "techpara_ma", "techpara_fov", "techpara_effmas"),
    *(f"scr_days{t}" for t in range(3)),
)


@dataclass(frozen=True, slots=True, eq=False)
class NlstTables:
    """Checked tables, columns in lower case, codes as numbers, NaN where nothing is recorded.

    Attributes
    ----------
    prsn, ctab, ctabc, screen
        Participants (unique ``pid``), CT abnormalities and comparison reads (unique ``pid, study_yr, sct_ab_num``),
        CT screens (unique ``pid, study_yr``). CT arm only, as far as the tables tell: see ``ct_arm_known``.
    delivery
        Where the participant table comes from: "public" (IDC, TCIA) or "cdas".
    ct_arm_known
        Whether ``prsn`` holds the CT arm alone. The public participant table does not say the arm; without
        ``screen`` it keeps both arms, and only rows of ``ctab`` are known to be of the CT arm.
    outside_ct_arm
        Rows of ``ctab`` left out because their participant is not in the CT arm.
    versions
        ``dataset_version`` found, by table.
    """

    prsn: pd.DataFrame
    ctab: pd.DataFrame
    ctabc: pd.DataFrame | None
    screen: pd.DataFrame | None
    delivery: Delivery
    ct_arm_known: bool
    outside_ct_arm: int
    versions: tuple[str, ...]

    @property
    def synthetic(self) -> bool:
        """Whether any of the tables says that it is synthetic."""
        return any("synthetic" in version.lower() for version in self.versions)


def read_nlst(ctab: Source, prsn: Source, *, ctabc: Source | None = None, screen: Source | None = None) -> NlstTables:
    """Read and check NLST tables, each a CSV file or a DataFrame of its columns.

    Which set it is (public or CDAS) is recognised by the columns. The CT arm is kept: ``rndgroup`` 1 (CDAS), or the
    participants of ``screen`` (public).

    Raises
    ------
    ValueError
        If columns are missing or belong to neither set, a code is not in the dictionary, a key is not unique, a row
        of ``ctab``, ``ctabc`` or ``screen`` has no participant, or a participant's cancer columns contradict
        each other.
    """
    given = {"prsn": prsn, "ctab": ctab, "ctabc": ctabc, "screen": screen}
    frames = {kind: _read(source, kind) for kind, source in given.items() if source is not None}
    names = {kind: _name(source, kind) for kind, source in given.items() if source is not None}
    delivery = _delivery(frames["prsn"], "prsn", names["prsn"])
    for kind in names:
        _delivery(frames[kind], kind, names[kind])
        _unique(frames[kind], kind, names[kind])
        frames[kind] = frames[kind].astype(dict.fromkeys(_KEYS[kind], np.int64))
    people = frames["prsn"]
    for kind in names:
        _refuse_strangers(~frames[kind]["pid"].isin(people["pid"]), frames[kind], names[kind], names["prsn"])
    if "ctabc" in frames:
        pairs = frames["ctabc"].merge(frames["ctab"][list(_KEYS["ctab"])], how="left", indicator=True, validate="1:1")
        _refuse_strangers(pairs["_merge"] == "left_only", frames["ctabc"], names["ctabc"], names["ctab"])
    _consistent(people, names["prsn"], delivery)
    if delivery == "cdas":
        people = people[people["rndgroup"] == Arm.CT]
    elif "screen" in frames:
        people = people[people["pid"].isin(frames["screen"]["pid"])]
    kept = {kind: frame[frame["pid"].isin(people["pid"])] for kind, frame in frames.items()}
    versions = sorted(
        {f"{kind}: {v}" for kind, frame in kept.items() if "dataset_version" in frame for v in _texts(frame)}
    )
    return NlstTables(
        prsn=people.reset_index(drop=True),
        ctab=kept["ctab"].reset_index(drop=True),
        ctabc=kept["ctabc"].reset_index(drop=True) if "ctabc" in kept else None,
        screen=kept["screen"].reset_index(drop=True) if "screen" in kept else None,
        delivery=delivery,
        ct_arm_known=delivery == "cdas" or "screen" in frames,
        outside_ct_arm=len(frames["ctab"]) - len(kept["ctab"]),
        versions=tuple(versions),
    )


def _read(source: Source, kind: str) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        frame = source.reset_index(drop=True)
    else:
        text = {"dataset_version": str}
        frame = pd.read_csv(
            Path(source),
            dtype=text,
            na_values=list(MISSING),
            keep_default_na=False,
            skipinitialspace=True,
            low_memory=False,
        )
    frame = frame.set_axis([str(c).lower() for c in frame.columns], axis=1)
    name = _name(source, kind)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(f"{name}: column {twice[0]!r} comes twice")
    missing = [c for c in _NEEDED[kind] if c not in frame]
    if missing:
        raise ValueError(f"{name}: not an NLST table {kind!r}: no column {', '.join(missing)}")
    checked = {c: _column(frame[c], c, name) for c in frame if c in CODES or c in _NUMBERS}
    return frame.assign(**checked)


def _column(column: pd.Series, label: str, name: str) -> pd.Series:
    """The column as float64, NaN where missing; codes checked."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.astype(np.float64)
    else:
        text = column.where(column.notna(), "").astype(str).str.strip()
        absent = text.isin(MISSING)
        numbers = pd.to_numeric(text.where(~absent, "nan"), errors="coerce").astype(np.float64)
        _refuse_value(numbers.isna() & ~absent & (text != "nan"), column, label, name, "a number")
    _refuse_value(pd.Series(np.isinf(numbers)), column, label, name, "a finite number")
    if label in CODES:
        allowed = ", ".join(
            f"{code} ({meaning})" if str(code) != meaning else meaning for code, meaning in CODES[label].items()
        )
        _refuse_value(numbers.notna() & ~numbers.isin(list(CODES[label])), column, label, name, allowed)
    return numbers


def _refuse_value(bad: pd.Series, column: pd.Series, label: str, name: str, allowed: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        raise ValueError(f"{name}: row {row + 1}, column {label}: {column.iloc[row]!r}; allowed: {allowed}")


def _delivery(frame: pd.DataFrame, kind: str, name: str) -> Delivery:
    marks = _CDAS_MARKS[kind]
    if marks and all(mark in frame for mark in marks):
        return "cdas"
    strange = sorted(set(frame.columns) - set(PUBLIC_COLUMNS[kind]) - set(ADDED_BY_IDC))
    if strange and marks:
        raise ValueError(
            f"{name}: neither the public table {kind!r} nor that of CDAS: columns {', '.join(strange[:5])} are not "
            f"in the public one, and {' and '.join(marks)} (CDAS) is not there"
        )
    return "public"


def _unique(frame: pd.DataFrame, kind: str, name: str) -> None:
    key = list(_KEYS[kind])
    for column in key:
        if frame[column].isna().any():
            raise ValueError(f"{name}: column {column} has rows without a value")
    again = frame.duplicated(key)
    if again.any():
        row = int(np.flatnonzero(again.to_numpy())[0])
        values = ", ".join(f"{column} {frame[column].iloc[row]:.0f}" for column in key)
        raise ValueError(f"{name}: row {row + 1} repeats the key {values}")


def _refuse_strangers(bad: pd.Series, frame: pd.DataFrame, name: str, other: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad.to_numpy())[0])
        pid, count = frame["pid"].iloc[row], int(bad.sum())
        raise ValueError(f"{name}: row {row + 1} (pid {pid:.0f}) has no row in {other}; {count} such rows")


def _consistent(people: pd.DataFrame, name: str, delivery: Delivery) -> None:
    cancer = has_cancer(people, delivery)
    _refuse_people(cancer & (people["can_scr"] == CancerScreen.NO_CANCER), people, name, "can_scr 0 (no cancer)")
    known = people["can_scr"].notna()
    _refuse_people(~cancer & known & (people["can_scr"] != CancerScreen.NO_CANCER), people, name, "no cancer recorded")


def _refuse_people(bad: pd.Series, people: pd.DataFrame, name: str, what: str) -> None:
    if bad.any():
        row = people[bad].iloc[0]
        raise ValueError(
            f"{name}: pid {row['pid']:.0f} contradicts itself: {what}, yet can_scr {row['can_scr']:.0f}, "
            f"cancyr {row['cancyr']:.0f}, candx_days {row['candx_days']:.0f}"
        )


def has_cancer(people: pd.DataFrame, delivery: Delivery) -> pd.Series:
    """Whether lung cancer was confirmed at any time, for each participant.

    CDAS: ``conflc`` 1. Public: ``cancyr`` or ``candx_days`` is recorded; ``cancyr`` 0 is a cancer of round T0.
    """
    if delivery == "cdas":
        return people["conflc"] == Confirmation.CONFIRMED
    return people["cancyr"].notna() | people["candx_days"].notna()


def _name(source: Any, kind: str) -> str:
    return f"table {kind!r}" if isinstance(source, pd.DataFrame) else str(source)


def _texts(frame: pd.DataFrame) -> list[str]:
    return sorted({str(v).strip() for v in frame["dataset_version"].dropna().unique()} - {""})
