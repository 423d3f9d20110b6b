"""What counts as malignant in NLST: three rules, each written out, each a choice that changes the coefficients.

NLST knows of participants, not of nodules: where findings lie in the image was not recorded, and a cancer is known
by date and lobe only. Every nodule label is therefore inferred.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from ..terms import Spec
from .codes import LOBE_COLUMNS, Lobe
from .features import nodule_features, participant_features, screen_features
from .tables import NlstTables, has_cancer

Round = Literal[0, 1, 2]
InLobe = Literal["alone", "drop_ambiguous", "largest", "all"]
OtherLobes = Literal["drop", "benign"]

_IN_LOBE = {
    "drop_ambiguous": "If one nodule of the screen of a case lies in a diagnosed lobe, it is the cancer; if several "
    "do, they are left out.",
    "largest": "Of the nodules of the screen of a case in a diagnosed lobe, the one with the longest diameter is the "
    "cancer and the others count as nodules in other lobes; if two are longest, all of them are left out.",
    "all": "All nodules of the screen of a case in a diagnosed lobe are the cancer.",
    "alone": "In cases and in controls, only nodules that are alone in their lobe on that screen are kept, left upper "
    "lobe and lingula taken as one, and a nodule without a lobe sharing every lobe; of a case, one in a diagnosed "
    "lobe is the cancer.",
}
_CENSORING = (
    "Follow-up of who has no cancer ends with fup_days (CDAS) or, in the public tables, canc_free_days, the only one "
    "there, of which the dictionary says that it is not meant for follow-up. Who was followed for less than {} years "
    "after the screen without a cancer is left out; who had a cancer before the screen is left out."
)


class ParticipantEver(Spec):
    """Lung cancer at any time of the trial, one row per participant of the CT arm."""

    kind: Literal["participant_ever"] = "participant_ever"

    @property
    def level(self) -> Literal["participant"]:
        """Of whom the probability is."""
        return "participant"

    @property
    def rule(self) -> str:
        """The rule in words."""
        return (
            "Participant of the CT arm; positive if lung cancer was confirmed at any time of the trial (CDAS: conflc "
            "1; public tables: cancyr or candx_days recorded, cancyr 0 being a cancer of round T0)."
        )

    @property
    def horizon(self) -> str:
        """Over which time."""
        return "The whole follow-up of the trial, 6.5 years in the median"

    def rows(self, tables: NlstTables) -> tuple[pd.DataFrame, dict[str, int]]:
        """Features and label ``y`` of each row, and how many rows were left out, by reason.

        Raises
        ------
        ValueError
            If the tables do not tell who is in the CT arm.
        """
        _needs_arm(tables, self.kind)
        cancer = has_cancer(tables.prsn, tables.delivery).to_numpy()
        return participant_features(tables).assign(y=cancer), {}


class ScreenWithin(Spec):
    """Lung cancer within some years of a screen, one row per CT screen."""

    kind: Literal["screen_within"] = "screen_within"
    years: int = Field(ge=1, le=6, description="A cancer counts if diagnosed within this time of the screen [years]")
    rounds: tuple[Round, ...] = Field(default=(0, 1, 2), min_length=1, description="Screening rounds that count")

    @property
    def level(self) -> Literal["participant"]:
        """Of whom the probability is."""
        return "participant"

    @property
    def rule(self) -> str:
        """The rule in words."""
        return (
            f"CT screen of {_rounds(self.rounds)}; positive if lung cancer was diagnosed within {self.years} years of "
            f"365 days after it: 0 <= (candx_days - scr_days) // 365 < {self.years}. " + _CENSORING.format(self.years)
        )

    @property
    def horizon(self) -> str:
        """Over which time."""
        return f"{self.years} years after the screen"

    def rows(self, tables: NlstTables) -> tuple[pd.DataFrame, dict[str, int]]:
        """Features and label ``y`` of each row, and how many rows were left out, by reason; raises as the others."""
        _needs_arm(tables, self.kind)
        screens = screen_features(tables)
        screens = screens[screens["study_yr"].isin(self.rounds)].reset_index(drop=True)
        y, reasons = _within(screens, tables, self.years)
        return _keep(screens, y, reasons)


class NoduleLobe(Spec):
    """A nodule in the lobe in which cancer was diagnosed within some years, one row per nodule and round."""

    kind: Literal["nodule_lobe"] = "nodule_lobe"
    years: int = Field(ge=1, le=6, description="A cancer counts if diagnosed within this time of the screen [years]")
    in_lobe: InLobe = Field(default="alone", description="Which nodule of a diagnosed lobe is the cancer")
    other_lobes: OtherLobes = Field(default="benign", description="Nodules of a case in lobes without cancer")
    rounds: tuple[Round, ...] = Field(default=(0, 1, 2), min_length=1, description="Screening rounds that count")

    @property
    def level(self) -> Literal["nodule"]:
        """Of what the probability is."""
        return "nodule"

    @property
    def rule(self) -> str:
        """The rule in words."""
        others = "left out" if self.other_lobes == "drop" else "benign"
        return (
            f"Non-calcified nodule of at least 4 mm (sct_ab_desc 51) on a CT screen of {_rounds(self.rounds)}. Case: "
            f"lung cancer diagnosed within {self.years} years of 365 days after the screen. "
            f"{_IN_LOBE[self.in_lobe]} Of a case, nodules in other lobes are {others}, and nodules without a lobe are "
            "left out; so are cases whose cancer is recorded in no lobe. A nodule in the lingula matches a cancer in "
            "lingula or left upper lobe. Without a case all nodules are benign. "
            + _CENSORING.format(self.years)
            + " The label is inferred: NLST did not record which nodule a cancer was."
        )

    @property
    def horizon(self) -> str:
        """Over which time."""
        return f"{self.years} years after the screen"

    def rows(self, tables: NlstTables) -> tuple[pd.DataFrame, dict[str, int]]:
        """Features and label ``y`` of each row, and how many rows were left out, by reason."""
        nodules = nodule_features(tables)
        nodules = nodules[nodules["study_yr"].isin(self.rounds)].reset_index(drop=True)
        y, reasons = _within(nodules, tables, self.years)
        case = y == 1
        people = nodules[["pid"]].merge(tables.prsn[["pid", *_lobe_columns()]], on="pid", how="left", validate="m:1")
        lobe = nodules["lobe"].to_numpy()
        diagnosed = np.zeros(len(nodules), dtype=bool)
        for code, columns in LOBE_COLUMNS.items():
            diagnosed |= (lobe == code) & (people[list(columns)] == 1).any(axis=1).to_numpy()
        anywhere = (people[list(_lobe_columns())] == 1).any(axis=1).to_numpy()
        located = np.isin(lobe, list(LOBE_COLUMNS))
        _leave_out(y, reasons, case & ~anywhere, "cancer recorded in no lobe")
        _leave_out(y, reasons, case & ~located, "nodule of a case without a lobe")
        screen = nodules.groupby(["pid", "study_yr"]).ngroup().to_numpy()
        if self.in_lobe == "alone":
            _leave_out(y, reasons, ~_alone(lobe, screen), "not alone in its lobe")
        case &= ~np.isnan(y)
        inside = case & diagnosed
        cancer = inside.copy()
        if self.in_lobe in ("drop_ambiguous", "largest"):
            among = np.bincount(screen[inside], minlength=screen.max(initial=0) + 1)[screen]
            if self.in_lobe == "drop_ambiguous":
                _leave_out(y, reasons, inside & (among > 1), "several nodules in the diagnosed lobe")
            else:
                cancer, tied = _largest(nodules["long_axis_mm"].to_numpy(), screen, inside)
                _leave_out(y, reasons, tied, "largest nodule of the diagnosed lobe not unique or not measured")
        other = case & ~cancer & ~np.isnan(y)
        if self.other_lobes == "drop":
            _leave_out(y, reasons, other, "other nodule of a case")
        y[other & ~np.isnan(y)] = 0
        return _keep(nodules, y, reasons)


Definition = ParticipantEver | ScreenWithin | NoduleLobe


def participant_ever() -> ParticipantEver:
    """Lung cancer at any time, one row per participant."""
    return ParticipantEver()


def screen_within(years: int, *, rounds: tuple[Round, ...] = (0, 1, 2)) -> ScreenWithin:
    """Lung cancer within ``years`` [years] of a screen, one row per screen."""
    return ScreenWithin(years=years, rounds=rounds)


def nodule_lobe(
    years: int,
    rule: InLobe = "alone",
    *,
    other_lobes: OtherLobes = "benign",
    rounds: tuple[Round, ...] = (0, 1, 2),
) -> NoduleLobe:
    """A nodule in the lobe of a cancer diagnosed within ``years`` [years] of the screen, one row per nodule and round.

    ``rule``, for several nodules in a diagnosed lobe: "alone" keeps, in cases and controls alike, only nodules that
    are alone in their lobe; "drop_ambiguous" leaves out those of cases; "largest" takes the longest; "all" takes all.

    Notes
    -----
    "alone" with ``other_lobes="benign"`` selects on what is known before the outcome: it is the one pair without bias
    where each cancer is one visible nodule. "drop_ambiguous" selects on the outcome: nodules that share a lobe stay
    in the fit only if they are benign. ``other_lobes="drop"`` removes benign nodules of cases only. On 24 synthetic
    cohorts of 200,000 participants each, whose truth is known (T0, 2 years), the mean coefficient of the nodule count
    was off by +0.007 ("alone", "benign"; standard error 0.003), +0.032 ("alone", "drop") and -0.23 ("drop_ambiguous",
    "drop"), with -0.08 true; that of the size by -0.04 (0.03), -0.04, -0.04, and -0.42 with "largest", with -5.4 true.
    "all" was off by +0.15 and +1.5 (six cohorts).
    """
    return NoduleLobe(years=years, in_lobe=rule, other_lobes=other_lobes, rounds=rounds)


def _within(rows: pd.DataFrame, tables: NlstTables, years: int) -> tuple[NDArray[np.float64], dict[str, int]]:
    """1 cancer within ``years`` of the screen, 0 none, NaN left out; shape (n,)."""
    people = tables.prsn.assign(cancer=has_cancer(tables.prsn, tables.delivery))
    followed = "fup_days" if "fup_days" in people else "canc_free_days"
    if followed not in people:
        raise ValueError("participant table: no column fup_days (CDAS) or canc_free_days: follow-up is not known")
    columns = ["pid", "cancer", "candx_days", followed]
    known = rows[["pid"]].merge(people[columns], on="pid", how="left", validate="m:1")
    screen = rows["screen_days"].to_numpy()
    cancer = known["cancer"].to_numpy(dtype=bool)
    after = known["candx_days"].to_numpy() - screen
    free = known[followed].to_numpy() - screen
    y = np.full(len(rows), np.nan)
    with np.errstate(invalid="ignore"):
        year = after // 365
        y[cancer & (year >= 0) & (year < years)] = 1
        y[(cancer & (year >= years)) | (~cancer & (free // 365 >= years))] = 0
        early = cancer & (after < 0)
    undated = np.isnan(screen)
    reasons: dict[str, int] = {}
    for what, flags in (
        ("screen without a date", undated),
        ("cancer before the screen", early),
        ("cancer without a date", cancer & np.isnan(after) & ~undated),
        ("followed too briefly", np.isnan(y) & ~early & ~cancer & ~undated),
    ):
        if flags.any():
            reasons[what] = int(flags.sum())
    return y, reasons


def _alone(lobe: NDArray[np.float64], screen: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether no other nodule of the screen has the same lobe or none."""
    shared = np.where(lobe == Lobe.LINGULA, Lobe.LEFT_UPPER, lobe)
    placed = np.isin(shared, [*LOBE_COLUMNS])
    frame = pd.DataFrame({"screen": screen, "lobe": np.where(placed, shared, -1.0)})
    alone = frame.groupby(["screen", "lobe"])["lobe"].transform("size").to_numpy() == 1
    unplaced = pd.Series(~placed).groupby(screen).transform("sum").to_numpy()
    return np.asarray(placed & alone & (unplaced == 0))


def _largest(
    size_mm: NDArray[np.float64], screen: NDArray[np.intp], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The longest nodule in the diagnosed lobes of each screen, and those of screens where there is no single one."""
    size = pd.Series(np.where(inside, size_mm, np.nan))
    longest = inside & (size == size.groupby(screen).transform("max")).to_numpy()
    unmeasured = pd.Series(inside & np.isnan(size_mm)).groupby(screen).transform("any").to_numpy()
    winners = pd.Series(longest).groupby(screen).transform("sum").to_numpy()
    tied = inside & ((winners != 1) | unmeasured)
    return longest & ~tied, tied


def _leave_out(y: NDArray[np.float64], reasons: dict[str, int], which: NDArray[np.bool_], why: str) -> None:
    new = which & ~np.isnan(y)
    if new.any():
        reasons[why] = int(new.sum())
        y[new] = np.nan


def _keep(rows: pd.DataFrame, y: NDArray[np.float64], reasons: dict[str, int]) -> tuple[pd.DataFrame, dict[str, int]]:
    kept = rows.assign(y=y)[~np.isnan(y)].reset_index(drop=True)
    return kept.assign(y=kept["y"] == 1), reasons


def _lobe_columns() -> list[str]:
    return sorted({column for columns in LOBE_COLUMNS.values() for column in columns})


def _needs_arm(tables: NlstTables, kind: str) -> None:
    if not tables.ct_arm_known:
        raise ValueError(f"label {kind}: give screen too; the public participant table does not say the arm")


def _rounds(rounds: tuple[Round, ...]) -> str:
    return ", ".join(f"T{t}" for t in rounds)
