"""From NLST columns to the names of the vocabulary. None or NaN stands for not known, never for no or 0.

NLST did not record the size of a solid component, the pattern of calcification, or coordinates of a nodule.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .codes import FAMILY, Abnormality, Attenuation, Gender, Lobe, Margin, Race
from .tables import NlstTables

NODULE_TYPES = {
    Attenuation.SOFT_TISSUE: "solid",
    Attenuation.GROUND_GLASS: "nonsolid",
    Attenuation.MIXED: "part_solid",
}
"""Fluid, fat, other and unable to determine are no type: not known."""

UPPER = (Lobe.RIGHT_UPPER, Lobe.LEFT_UPPER, Lobe.LINGULA)
LOWER = (Lobe.RIGHT_MIDDLE, Lobe.RIGHT_LOWER, Lobe.LEFT_LOWER)

RACES = {
    Race.WHITE: "white",
    Race.BLACK: "black",
    Race.ASIAN: "asian",
    Race.AMERICAN_INDIAN: "american_indian_or_alaskan",
    Race.PACIFIC_ISLANDER: "hawaiian_or_pacific",
}
"""Names as the risk models of this package have them. More than one race, refused and missing are not known."""

KEY = ("pid", "study_yr", "sct_ab_num")


def nodule_features(tables: NlstTables) -> pd.DataFrame:
    """One row per nodule and round (``sct_ab_desc`` 51), in the order of ``ctab``.

    Columns: ``pid, study_yr, sct_ab_num, lobe`` (code, NaN if none), those of the nodule - ``long_axis_mm``,
    ``perp_axis_mm``, ``mean_diameter_mm``, ``nodule_type``, ``spiculation`` (margin 9 is not known),
    ``upper_lobe`` and ``upper_lobe_without_lingula`` (place 8 is not known) - and those of its screen and its
    participant as :func:`screen_features` has them.
    """
    nodules = tables.ctab[tables.ctab["sct_ab_desc"] == Abnormality.NODULE]
    long_mm = nodules["sct_long_dia"].where(nodules["sct_long_dia"] > 0)
    perp_mm = nodules["sct_perp_dia"].where(nodules["sct_perp_dia"] > 0)
    lobe = nodules["sct_epi_loc"]
    own = pd.DataFrame(
        {
            **{key: nodules[key] for key in KEY},
            "lobe": lobe,
            "long_axis_mm": long_mm,
            "perp_axis_mm": perp_mm,
            "mean_diameter_mm": (long_mm + perp_mm) / 2,
            "nodule_type": _names(nodules["sct_pre_att"], NODULE_TYPES),
            "spiculation": _yes_no(nodules["sct_margins"], yes=(Margin.SPICULATED,), no=(2, 3)),
            "upper_lobe": _yes_no(lobe, yes=UPPER, no=LOWER),
            "upper_lobe_without_lingula": _yes_no(lobe, yes=UPPER[:2], no=(Lobe.LINGULA, *LOWER)),
        }
    )
    return own.merge(screen_features(tables), on=["pid", "study_yr"], how="left", validate="m:1")


def screen_features(tables: NlstTables) -> pd.DataFrame:
    """One row per CT screen: participant and round (``pid, study_yr``) with a screen date.

    ``screen_days`` are days from randomisation. ``age_y`` is the age at the screen, ``age + screen_days // 365``.
    ``emphysema`` is abnormality 59 on that CT (the meaning of the PanCan models), not what the participant reports.
    ``nodule_count`` counts the rows of code 51; where code 62 ("6 or more nodules, not suspicious") is there too, it
    is at least 6 and ``count_is_at_least`` is true.
    """
    people = participant_features(tables)
    rounds = [
        people.assign(study_yr=t, screen_days=tables.prsn[f"scr_days{t}"].to_numpy())
        for t in range(3)
        if f"scr_days{t}" in tables.prsn
    ]
    screens = pd.concat(rounds, ignore_index=True)
    screens = screens[screens["screen_days"] > -1].copy()
    screens["age_y"] = screens["age_y"] + screens["screen_days"] // 365
    found = tables.ctab.assign(
        n=tables.ctab["sct_ab_desc"] == Abnormality.NODULE,
        emphysema=tables.ctab["sct_ab_desc"] == Abnormality.EMPHYSEMA,
        count_is_at_least=tables.ctab["sct_ab_desc"] == Abnormality.SIX_OR_MORE_NODULES,
    )
    seen = found.groupby(["pid", "study_yr"], as_index=False).agg(
        n=("n", "sum"), emphysema=("emphysema", "any"), count_is_at_least=("count_is_at_least", "any")
    )
    screens = screens.merge(seen, on=["pid", "study_yr"], how="left", validate="1:1")
    for column in ("emphysema", "count_is_at_least"):
        screens[column] = screens[column].eq(True)
    count = screens.pop("n").fillna(0.0)
    screens["nodule_count"] = count.where(~screens["count_is_at_least"], np.maximum(count, 6.0))
    return screens


def participant_features(tables: NlstTables) -> pd.DataFrame:
    """One row per participant: ``pid`` and what the tables know of the person, at randomisation.

    Public tables: ``age_y, sex, race, current_smoker, ever_smoker`` (true for all: who never smoked was not
    eligible). CDAS tables add what they have of ``family_history`` (any relative with lung cancer; no only if all
    are no), ``smoking_duration_y, cigarettes_per_day, pack_years, years_since_quit_y, copd``, and
    ``emphysema_told`` (told by a doctor, not seen on CT).
    """
    people = tables.prsn
    columns: dict[str, pd.Series] = {
        "pid": people["pid"],
        "age_y": people["age"],
        "sex": _names(people["gender"], {Gender.MALE: "male", Gender.FEMALE: "female"}),
        "current_smoker": _yes_no(people["cigsmok"], yes=(1,), no=(0,)),
        "ever_smoker": pd.Series(True, index=people.index, dtype=object),
    }
    if "race" in people:
        columns["race"] = _names(people["race"], RACES)
    if set(FAMILY) <= set(people):
        relatives = people[list(FAMILY)]
        known = (relatives == 1).any(axis=1) | relatives.notna().all(axis=1)
        columns["family_history"] = ((relatives == 1).any(axis=1)).astype(object).where(known, None)
    for ours, theirs in (("smoking_duration_y", "smokeyr"), ("cigarettes_per_day", "smokeday"), ("pack_years", "pkyr")):
        if theirs in people:
            columns[ours] = people[theirs]
    if "age_quit" in people:
        columns["years_since_quit_y"] = (people["age"] - people["age_quit"]).where(people["cigsmok"] == 0, 0.0)
    for ours, theirs in (("copd", "diagcopd"), ("emphysema_told", "diagemph")):
        if theirs in people:
            columns[ours] = _yes_no(people[theirs], yes=(1,), no=(0,))
    return pd.DataFrame(columns).reset_index(drop=True)


def _names(codes: pd.Series, names: dict) -> pd.Series:
    """The names of codes, None for a code without a name."""
    values = codes.map({float(code): name for code, name in names.items()}).astype(object)
    return values.where(values.notna(), None)


def _yes_no(codes: pd.Series, *, yes: tuple[int, ...], no: tuple[int, ...]) -> pd.Series:
    """True, False or None (not known), as objects."""
    known = codes.isin([*yes, *no])
    return codes.isin(yes).astype(object).where(known, None)
