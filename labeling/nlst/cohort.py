"""Draws behind the synthetic cohort: people, their screens, their nodules, and which nodules are cancers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model import ModelSpec
from . import margins
from .codes import Attenuation, Lobe, Margin

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ATTENUATION = {
    "solid": Attenuation.SOFT_TISSUE,
    "part_solid": Attenuation.MIXED,
    "nonsolid": Attenuation.GROUND_GLASS,
}


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """One entry per participant, shape (n,)."""

    ct: Flags
    age_y: Ints
    female: Flags
    current_smoker: Flags
    race: Ints
    emphysema: Flags
    family_history: Flags
    copd: Flags
    smoking_duration_y: Ints
    cigarettes_per_day: Ints
    years_since_quit_y: Ints
    attends: Flags
    """Shape (n, 3): comes to T0, T1, T2 if nothing is diagnosed before."""
    screen_days: Ints
    """Shape (n, 3): when."""
    followed_days: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Nodules:
    """One entry per nodule, shape (m,): what it is, what is recorded of it, and what becomes of it."""

    person: Ints
    since: Ints
    """Round in which it is first seen."""
    lobe: Ints
    recorded_lobe: Ints
    long_mm: Floats
    perp_mm: Floats
    margin: Ints
    attenuation: Ints
    cancer: Flags


def draw_people(n: int, rng: np.random.Generator) -> People:
    """Participants of both arms."""
    low, high = margins.AGE_RANGE_Y
    width = high + 1 - low
    # a beta distribution over the age range, of the published mean and standard deviation in whole years
    mean = (margins.AGE_MEAN_Y + 0.5 - low) / width
    size = mean * (1 - mean) / (margins.AGE_SD_Y / width) ** 2 - 1
    age = np.int64(low) + np.floor(width * rng.beta(mean * size, (1 - mean) * size, n)).astype(np.int64)
    current = rng.random(n) < margins.CURRENT_SMOKER
    quit_y = np.where(current, 0, np.clip(np.rint(rng.normal(*margins.YEARS_SINCE_QUIT_Y, n)), 0, 15)).astype(np.int64)
    duration = np.clip(np.rint(rng.normal(*margins.SMOKING_DURATION_Y, n)), 15, age - 12 - quit_y).astype(np.int64)
    per_day = np.rint(np.clip(rng.normal(*margins.CIGARETTES_PER_DAY, n), 5, 80)).astype(np.int64)
    # 30 pack-years made a participant eligible
    per_day = np.maximum(per_day, np.ceil(600 / duration).astype(np.int64))
    first = np.minimum(rng.geometric(0.1, n) - 1, 90)
    return People(
        ct=rng.random(n) < margins.CT_ARM,
        age_y=age,
        female=rng.random(n) < margins.FEMALE,
        current_smoker=current,
        race=_pick(margins.RACES, n, rng),
        emphysema=rng.random(n) < margins.EMPHYSEMA,
        family_history=rng.random(n) < margins.FAMILY_HISTORY,
        copd=rng.random(n) < margins.COPD,
        smoking_duration_y=duration,
        cigarettes_per_day=per_day,
        years_since_quit_y=quit_y,
        attends=rng.random((n, 3)) >= np.array(margins.NO_SCREEN_DATE),
        screen_days=np.stack([first + 365 * t + (rng.integers(-15, 46, n) if t else 0) for t in range(3)], axis=1),
        followed_days=np.where(
            rng.random(n) < margins.LOST_EARLY,
            rng.integers(1, 2200, n),
            np.rint(rng.normal(*margins.FOLLOW_UP_DAYS, n)).astype(np.int64),
        ),
    )


def draw_nodules(people: People, model: ModelSpec, rng: np.random.Generator) -> Nodules:
    """Nodules of the CT arm. Those of T0 are cancers with the probability of ``model``; those new later are benign.

    Raises
    ------
    ValueError
        If ``model`` needs what the cohort does not have.
    """
    n = len(people.ct)
    seen = np.flatnonzero(people.ct & people.attends[:, 0] & (rng.random(n) < margins.POSITIVE_AT_T0))
    count = rng.geometric(1 / margins.NODULES_PER_POSITIVE_SCREEN, len(seen))
    owners, since = [np.repeat(seen, count)], [np.zeros(count.sum(), dtype=np.int64)]
    for t in (1, 2):
        new = np.flatnonzero(people.ct & people.attends[:, t] & (rng.random(n) < margins.NEW_NODULES_PER_ROUND))
        owners.append(new)
        since.append(np.full(len(new), t))
    person, first = np.concatenate(owners), np.concatenate(since)
    order = np.lexsort((first, person))
    person, first = person[order], first[order]
    m = len(person)
    lobe = _pick(margins.LOBES, m, rng)
    lobe[(lobe == Lobe.LEFT_UPPER) & (rng.random(m) < margins.LINGULA_OF_LEFT_UPPER)] = Lobe.LINGULA
    long_mm = _sizes(m, rng)
    perp_mm = np.clip(np.rint(long_mm * rng.uniform(0.6, 1.0, m)), 1, long_mm)
    kinds = np.array(list(margins.NODULE_TYPES))[_pick(dict(enumerate(margins.NODULE_TYPES.values())), m, rng)]
    spiculated = rng.random(m) < margins.SPICULATED
    smooth = rng.random(m) < margins.SMOOTH_OF_NOT_SPICULATED
    margin = np.where(spiculated, Margin.SPICULATED, np.where(smooth, Margin.SMOOTH, Margin.POORLY_DEFINED))
    attenuation = np.select([kinds == kind for kind in _ATTENUATION], list(_ATTENUATION.values()))
    baseline = first == 0
    per_person = np.bincount(person[baseline], minlength=n)
    upper = np.isin(lobe, (Lobe.RIGHT_UPPER, Lobe.LEFT_UPPER, Lobe.LINGULA))
    known: dict[str, NDArray[Any]] = {
        "age_y": (people.age_y + people.screen_days[:, 0] // 365)[person].astype(np.float64),
        "sex": np.where(people.female[person], "female", "male").astype(object),
        "family_history": people.family_history[person],
        "current_smoker": people.current_smoker[person],
        "copd": people.copd[person],
        "smoking_duration_y": people.smoking_duration_y[person].astype(np.float64),
        "cigarettes_per_day": people.cigarettes_per_day[person].astype(np.float64),
        "pack_years": (people.smoking_duration_y * people.cigarettes_per_day / 20)[person],
        "years_since_quit_y": people.years_since_quit_y[person].astype(np.float64),
        "emphysema": people.emphysema[person],
        "long_axis_mm": long_mm,
        "perp_axis_mm": perp_mm,
        "mean_diameter_mm": (long_mm + perp_mm) / 2,
        "nodule_type": kinds.astype(object),
        "spiculation": spiculated,
        "upper_lobe": upper,
        "upper_lobe_without_lingula": upper & (lobe != Lobe.LINGULA),
        "nodule_count": per_person[person].astype(np.float64),
    }
    lacking = [name for name in model.needs if name not in known]
    if lacking:
        raise ValueError(f"model {model.id!r} needs {', '.join(lacking)}; the cohort has {', '.join(known)}")
    chance = np.zeros(m)
    chance[baseline] = model.probability({name: known[name][baseline] for name in model.needs})
    return Nodules(
        person=person,
        since=first,
        lobe=lobe,
        recorded_lobe=_unsure(lobe, Lobe.OTHER, "lobe", rng),
        long_mm=long_mm,
        perp_mm=perp_mm,
        margin=_unsure(margin, Margin.UNABLE_TO_DETERMINE, "margin", rng),
        attenuation=_unsure(attenuation, Attenuation.UNABLE_TO_DETERMINE, "type", rng),
        cancer=rng.random(m) < chance,
    )


def _sizes(m: int, rng: np.random.Generator) -> Floats:
    """Log-normal, cut to what is recorded as 4 mm or more, in whole millimetres."""
    from scipy.special import ndtr, ndtri

    middle, spread = np.log(margins.SIZE_MEDIAN_MM), margins.SIZE_LOG_SD
    low, high = ndtr((np.log([3.5, margins.SIZE_LIMIT_MM]) - middle) / spread)
    u = low + (high - low) * rng.random(m)
    return np.rint(np.exp(middle + spread * ndtri(u))).clip(4.0)


def _pick(shares: dict[Any, float], n: int, rng: np.random.Generator) -> Ints:
    share = np.array(list(shares.values()))
    return np.array([int(code) for code in shares])[rng.choice(len(share), size=n, p=share / share.sum())]


def _unsure(codes: Ints, unsure: int, what: str, rng: np.random.Generator) -> Ints:
    return np.where(rng.random(len(codes)) < margins.NOT_DETERMINED[what], np.int64(unsure), codes)
