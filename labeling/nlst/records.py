"""What becomes of the synthetic people, and how the tables record it: official columns, official codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import margins
from .codes import FAMILY, LOCATIONS, Abnormality, CancerScreen, Confirmation, Lobe, ScreenResult
from .cohort import Flags, Floats, Ints, Nodules, People
from .tables import PUBLIC_COLUMNS

FIRST_PID = 9_000_001
"""Above all identifiers of the trial, which are 1xx,xxx and 2xx,xxx."""

_HOME = {
    Lobe.RIGHT_UPPER: "locrup",
    Lobe.RIGHT_MIDDLE: "locrmid",
    Lobe.RIGHT_LOWER: "locrlow",
    Lobe.LEFT_UPPER: "loclup",
    Lobe.LINGULA: "loclin",
    Lobe.LEFT_LOWER: "locllow",
}


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """What happens when: days from randomisation."""

    diagnosis_days: Floats
    """Shape (n,); NaN without a cancer within the follow-up."""
    from_nodule: Flags
    """Shape (n,): the cancer is one of the nodules."""
    screened: Flags
    """Shape (n, 3): the screen took place."""
    seen: Flags
    """Shape (m, 3): the nodule is read at that round."""
    long_mm: Floats
    """Shape (m, 3): its longest diameter then; cancers grow."""
    positive: Flags
    """Shape (n, 3): the CT shows a nodule."""


def timeline(people: People, nodules: Nodules, years: int, rng: np.random.Generator) -> Timeline:
    """Dates of diagnosis, screens that took place, and nodules seen on them."""
    n, m = len(people.ct), len(nodules.person)
    own = people.screen_days[nodules.person, 0] + 1 + np.floor(rng.random(m) * (365 * years - 1))
    diagnosis = np.full(n, np.inf)
    np.minimum.at(diagnosis, nodules.person[nodules.cancer], own[nodules.cancer])
    from_nodule = np.isfinite(diagnosis)
    after_screening = people.screen_days[:, 2] + 365 * years + 1
    late = after_screening + np.floor(rng.random(n) * np.maximum(2600 - after_screening, 1))
    any_time = np.floor(30 + rng.random(n) * 2570)
    chance = np.where(people.ct, margins.LATE_CANCER_CT, margins.CANCER_X_RAY)
    other = ~from_nodule & (rng.random(n) < chance)
    diagnosis = np.where(other, np.where(people.ct, late, any_time), diagnosis)
    diagnosis = np.where(diagnosis <= people.followed_days, diagnosis, np.nan)
    end = np.where(np.isnan(diagnosis), people.followed_days, diagnosis)
    screened = people.attends & (people.screen_days < end[:, None])
    rounds = np.arange(3)
    seen = screened[nodules.person] & (rounds >= nodules.since[:, None])
    waited = people.screen_days[nodules.person] - people.screen_days[nodules.person, nodules.since][:, None]
    grown = nodules.long_mm[:, None] * 2 ** (waited / (3 * margins.VOLUME_DOUBLING_DAYS))
    long_mm = np.where(nodules.cancer[:, None] & (waited > 0), np.rint(grown), nodules.long_mm[:, None])
    positive = np.zeros((n, 3), dtype=bool)
    np.logical_or.at(positive, nodules.person, seen)
    return Timeline(diagnosis, from_nodule & ~np.isnan(diagnosis), screened, seen, long_mm, positive)


def participants(
    people: People, nodules: Nodules, time: Timeline, rng: np.random.Generator, *, cdas: bool, version: str
) -> pd.DataFrame:
    """The participant table, one row per person."""
    n = len(people.ct)
    sick = ~np.isnan(time.diagnosis_days)
    columns: dict[str, Any] = {
        "pid": FIRST_PID + np.arange(n),
        "dataset_version": version,
        "race": people.race,
        "cigsmok": people.current_smoker.astype(int),
        "gender": np.where(people.female, 2, 1),
        "age": people.age_y,
        **{place: _where(sick, flags) for place, flags in _places(nodules, time, sick, rng).items()},
    }
    size = np.full(n, np.nan)
    cancers = nodules.cancer
    np.fmax.at(size, nodules.person[cancers], nodules.long_mm[cancers])
    size = np.where(np.isnan(size), rng.integers(8, 60, n), size + rng.integers(0, 8, n))
    stage = rng.choice([110, 120, 220, 310, 320, 400], n)
    columns |= {
        "lesionsize": _where(sick & (rng.random(n) < 0.87), size),
        "de_type": _where(sick, rng.choice([8140, 8070, 8041, 8046], n)),
        "de_grade": _where(sick, rng.choice([2, 3, 4, 6, 8], n)),
        "de_stag": _where(sick, stage),
        "de_stag_7thed": _where(sick, stage),
    }
    for t in range(3):
        result = _result(people, time, t, rng)
        columns[f"scr_res{t}"] = result
        columns[f"scr_iso{t}"] = np.where(result == ScreenResult.POSITIVE_UNCHANGED, ScreenResult.POSITIVE, result)
        columns[f"scr_days{t}"] = _where(time.screened[:, t], people.screen_days[:, t])
    diagnosis = np.where(sick, time.diagnosis_days, 0)
    last_positive = np.where(time.positive, np.arange(3), -1).max(axis=1)
    linked = time.from_nodule & (last_positive >= 0)
    found = np.select([linked, people.ct], [CancerScreen.POSITIVE, CancerScreen.POST_SCREENING], CancerScreen.MISSED)
    found = np.where(~people.ct & (diagnosis > 1200), CancerScreen.POST_SCREENING, found)
    columns |= {
        "cancyr": _where(sick, np.where(linked, last_positive, np.minimum(diagnosis // 365, 7))),
        "can_scr": np.where(sick, found, CancerScreen.NO_CANCER),
        "candx_days": _where(sick, diagnosis),
        "canc_free_days": np.where(sick, diagnosis, people.followed_days),
        "canc_rpt_link": linked.astype(int),
    }
    ordered = {name: columns[name] for name in PUBLIC_COLUMNS["prsn"]}
    if cdas:
        ordered |= _cdas(people, sick, rng)
    return _frame(ordered, n)


def abnormalities(
    people: People, nodules: Nodules, time: Timeline, rng: np.random.Generator, *, cdas: bool, version: str
) -> tuple[pd.DataFrame, Floats]:
    """The table of CT abnormalities (nodules, emphysema, what else was seen), and each row's nodule, NaN if none."""
    parts = []
    nothing = dict.fromkeys(("sct_epi_loc", "sct_long_dia", "sct_perp_dia", "sct_margins", "sct_pre_att"), np.nan)
    per_screen = margins.ROWS_PER_SCREEN - margins.EMPHYSEMA - 0.1995 * margins.ROWS_PER_SCREEN
    shares = np.array(list(margins.OTHER_ABNORMALITIES.values()))
    for t in range(3):
        k = np.flatnonzero(time.seen[:, t])
        long_mm = time.long_mm[k, t]
        parts.append(
            pd.DataFrame(
                {
                    "person": nodules.person[k],
                    "study_yr": t,
                    "nodule": k,
                    "sct_ab_desc": int(Abnormality.NODULE),
                    "sct_epi_loc": nodules.recorded_lobe[k],
                    "sct_long_dia": long_mm,
                    "sct_perp_dia": np.minimum(np.rint(nodules.perp_mm[k] / nodules.long_mm[k] * long_mm), long_mm),
                    "sct_margins": nodules.margin[k],
                    "sct_pre_att": nodules.attenuation[k],
                    "sct_slice_num": rng.integers(5, 140, len(k)),
                }
            )
        )
        read = people.ct & time.screened[:, t]
        ill = np.flatnonzero(read & people.emphysema)
        others = np.repeat(np.flatnonzero(read), rng.poisson(per_screen, int(read.sum())))
        kinds = np.array([int(code) for code in margins.OTHER_ABNORMALITIES])
        what = kinds[rng.choice(len(shares), len(others), p=shares / shares.sum())]
        parts.append(pd.DataFrame({"person": ill, "study_yr": t, "sct_ab_desc": int(Abnormality.EMPHYSEMA)} | nothing))
        parts.append(pd.DataFrame({"person": others, "study_yr": t, "sct_ab_desc": what} | nothing))
    rows = pd.concat([parts[0], *(part for part in parts[1:] if len(part))], ignore_index=True)
    rows = rows.sort_values(["person", "study_yr"], kind="stable", ignore_index=True)
    rows["pid"] = FIRST_PID + rows["person"]
    rows["sct_ab_num"] = rows.groupby(["pid", "study_yr"]).cumcount() + 1
    nodule = rows["nodule"].to_numpy(dtype=np.float64)
    first = rows["nodule"].map(pd.Series(nodules.since))
    rows["sct_found_after_comp"] = ((rows["study_yr"] > first) & (rng.random(len(rows)) < 0.05)).astype(int)
    columns: dict[str, Any] = {name: rows[name].to_numpy() for name in PUBLIC_COLUMNS["ctab"][:-1]}
    columns["dataset_version"] = version
    if cdas:
        columns["sct_ab_source"] = 1
    return _frame(columns, len(rows)), nodule


def comparisons(
    people: People, nodules: Nodules, time: Timeline, ctab: pd.DataFrame, nodule: Floats, *, version: str
) -> pd.DataFrame:
    """The comparison reads of the nodules at T1 and T2, from what :func:`abnormalities` gave."""
    read = (ctab["study_yr"] > 0).to_numpy(dtype=bool) & ~np.isnan(nodule)
    rows = ctab[read]
    k, t = nodule[read].astype(int), rows["study_yr"].to_numpy(dtype=int)
    before = np.where(np.arange(3) < t[:, None], time.seen[k], False)
    old: Flags = np.asarray(before.any(axis=1), dtype=np.bool_)
    earliest = before.argmax(axis=1)
    grown = old & (time.long_mm[k, t] - time.long_mm[k, earliest] >= 2)
    columns = {
        "pid": rows["pid"].to_numpy(),
        "study_yr": t,
        "sct_ab_num": rows["sct_ab_num"].to_numpy(),
        "sct_ab_code": int(Abnormality.NODULE),
        "sct_ab_preexist": np.where(old, 2, 1),
        "sct_ab_attn": _where(old, 1),
        "sct_ab_gwth": _where(old, np.where(grown, 2, 1)),
        "sct_ab_invg": np.nan,
        "visible_days": _where(old, people.screen_days[nodules.person[k], earliest]),
        "dataset_version": version,
    }
    return _frame(columns, len(rows))


def screens(people: People, time: Timeline, rng: np.random.Generator, *, version: str) -> pd.DataFrame:
    """The table of CT screens, one row per person of the CT arm and round."""
    person, t = np.nonzero(time.screened & people.ct[:, None])
    n = len(person)
    diagnostic = rng.random(n) < 0.972
    columns: dict[str, Any] = {
        "pid": FIRST_PID + person,
        "study_yr": t,
        "ctdxqual": np.where(diagnostic, 1, 2),
        "techpara_kvp": rng.choice([120, 140], n, p=[0.85, 0.15]),
        "techpara_ma": rng.integers(40, 161, n),
        "techpara_fov": rng.integers(28, 43, n),
        "techpara_effmas": _where(rng.random(n) < 0.48, rng.integers(20, 61, n)),
        "ct_recon_filter1": rng.integers(1, 13, n),
        "ct_recon_filter2": _where(rng.random(n) < 0.37, rng.integers(1, 13, n)),
        "ct_recon_filter3": np.nan,
        "ct_recon_filter4": np.nan,
    }
    reasons = [name for name in PUBLIC_COLUMNS["screen"] if name.startswith("ctdxqual_")]
    reason = rng.integers(len(reasons), size=n)
    columns |= {name: _where(np.logical_not(diagnostic), reason == i) for i, name in enumerate(reasons)}
    columns["dataset_version"] = version
    return _frame({name: columns[name] for name in PUBLIC_COLUMNS["screen"]}, n)


def _places(nodules: Nodules, time: Timeline, sick: Flags, rng: np.random.Generator) -> dict[str, Flags]:
    """Where each cancer is recorded: the lobes of the nodules that are cancers, else anywhere."""
    n = len(sick)
    places = {place: np.zeros(n, dtype=bool) for place in LOCATIONS}
    for lobe, place in _HOME.items():
        places[place][nodules.person[nodules.cancer & (nodules.lobe == lobe)]] = True
    elsewhere = sick & ~time.from_nodule
    codes = np.array([int(lobe) for lobe in margins.LOBES])
    share = np.array(list(margins.LOBES.values()))
    lobes = codes[rng.choice(len(codes), n, p=share / share.sum())]
    hilum = rng.random(n) < margins.CANCER_WITHOUT_LOBE
    for lobe, place in _HOME.items():
        places[place] |= elsewhere & ~hilum & (lobes == lobe)
    places["locrhil"] |= elsewhere & hilum
    return places


def _result(people: People, time: Timeline, t: int, rng: np.random.Generator) -> Ints:
    n = len(people.ct)
    done = time.screened[:, t]
    quiet = rng.choice([ScreenResult.NEGATIVE, ScreenResult.NEGATIVE_MINOR, ScreenResult.NEGATIVE_SIGNIFICANT], n)
    before = time.positive[:, :t].any(axis=1)
    x_ray = rng.random(n) < 0.06
    positive = np.where(people.ct, time.positive[:, t], x_ray)
    ill = np.nan_to_num(time.diagnosis_days, nan=np.inf) <= people.screen_days[:, t]
    away = people.followed_days <= people.screen_days[:, t]
    code = np.where(positive, np.where(before, ScreenResult.POSITIVE_UNCHANGED, ScreenResult.POSITIVE), quiet)
    missed = np.select([ill, away], [ScreenResult.CANCER_BEFORE, ScreenResult.LEFT_STUDY], ScreenResult.REFUSED)
    return np.where(done, code, missed)


def _cdas(people: People, sick: Flags, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    n = len(people.ct)
    relative = rng.integers(len(FAMILY), size=n)
    return {
        "rndgroup": np.where(people.ct, 1, 2),
        "conflc": np.where(sick, Confirmation.CONFIRMED, Confirmation.NO_REPORT),
        "fup_days": people.followed_days,
        "pkyr": people.smoking_duration_y * people.cigarettes_per_day / 20,
        "smokeyr": people.smoking_duration_y,
        "smokeday": people.cigarettes_per_day,
        "age_quit": _where(~people.current_smoker, people.age_y - people.years_since_quit_y),
        **{name: (people.family_history & (relative == i)).astype(int) for i, name in enumerate(FAMILY)},
        "diagcopd": people.copd.astype(int),
        "diagemph": (people.emphysema & (rng.random(n) < 0.2)).astype(int),
    }


def _where(known: Flags, values: Any) -> NDArray[np.float64]:
    return np.where(known, np.asarray(values, dtype=np.float64), np.nan)


def _frame(columns: dict[str, Any], n: int) -> pd.DataFrame:
    """Whole numbers as nullable integers, so that a missing value is an empty cell and 1 is not 1.0."""
    frame = pd.DataFrame(columns, index=pd.RangeIndex(n))
    whole = [name for name in frame if name not in ("dataset_version", "pkyr")]
    return frame.astype(dict.fromkeys(whole, "Int64"))
