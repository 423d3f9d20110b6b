"""Who is in the population: how a person is drawn from a cohort.

Lung volume follows GLI 2021 (:mod:`twins.lung_function`): the CT volume, supine, is 0.90 of the total lung capacity
times the effort of the breath, and hyperinflation by emphysema. What a cohort says nothing of follows from age, sex and
history: lobes after Yamada et al. 2020; completeness of fissures and variants by their published frequency; kyphosis 27
deg in the young and 42 deg over 65 years, where it has two modes. Laws marked so in ``docs/twins.md`` are design
defaults, unverified.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .cohorts.laws import law_for, standard_normal, standard_share
from .cohorts.spec import ORDER, START, Cohort, load_cohort
from .lung_function import total_lung_capacity_l
from .spec import TwinSpec
from .specfile import check_spec

Person = Mapping[str, Any]

VARIANTS = (
    ("azygos_fissure", 0.012),
    ("inferior_accessory_fissure", 0.086),
    ("left_minor_fissure", 0.061),
    ("absent_minor_fissure", 0.025),
)
"""Variants and the share of people who have them [1]: published series of CTs."""

VOLUME_CV = 0.115
"""Coefficient of variation of lung volume about its prediction [1]. Design default: GLI's own 0.12 less its tails."""

VOLUME_L = (2.2, 9.5)
"""Smallest and largest lung volume drawn [L]."""

_KEYS = 2**63
_DECIMALS = {
    "age_y": 1, "height_cm": 1, "bmi": 1, "pack_years": 1, "years_since_quit_y": 1, "emphysema_percent": 2,
    "right_share": 4, "right_middle_share": 4, "right_lower_share": 4, "left_lower_share": 4, "kyphosis_deg": 1,
    "apical_cap_mm": 1, "diaphragm_shift_mm": 1,
}  # fmt: skip


def draw(rng: np.random.Generator, *, cohort: str | Path | Cohort = "nlst", **fixed: Any) -> TwinSpec:
    """Draw a person of a cohort; fields given by keyword are kept as they are.

    Every field is drawn whether it is fixed or not, so that fixing one leaves the chance of the others alone (their
    values may still depend on it: height on sex, lung volume on height, emphysema on pack-years).

    Parameters
    ----------
    rng
        Source of chance.
    cohort
        Name of a cohort, a YAML or CSV file of margins, or a :class:`twins.cohorts.Cohort`.
    **fixed
        Fields of :class:`TwinSpec`; None means drawn.

    Raises
    ------
    TypeError
        If a keyword is no field of :class:`TwinSpec`.
    ValueError
        If a fixed value is out of its range, or there is no such cohort.

    Examples
    --------
    >>> draw(np.random.default_rng(1), sex="female", age_y=60).sex
    'female'
    >>> draw(np.random.default_rng(1), cohort="copd").copd
    True
    """
    if unknown := sorted(name for name in fixed if name not in TwinSpec.model_fields):
        raise TypeError(f"no such field of TwinSpec: {', '.join(unknown)}; known: {', '.join(TwinSpec.model_fields)}")
    population = cohort if isinstance(cohort, Cohort) else load_cohort(cohort)
    key = int(rng.integers(_KEYS))
    has_variant = rng.random(5)[: len(VARIANTS)]  # the fifth is kept for a variant of the bronchi
    chance = dict(zip(ORDER, rng.random(len(ORDER)).tolist(), strict=True))
    kept = {name: value for name, value in fixed.items() if value is not None}

    person: dict[str, Any] = {"key": key, **kept}
    scores: dict[str, float] = {}
    for name in ORDER:
        if name in population.margins:
            score = standard_normal(chance[name])
            law = law_for(population.margins[name], person, name)
            if with_others := population.correlations.get(name):
                score *= math.sqrt(1 - sum(rho**2 for rho in with_others.values()))
                score += sum(rho * scores[other] for other, rho in with_others.items())
            if name in kept:
                score = standard_normal(law.share_below(kept[name]))
            else:
                person[name] = _rounded(name, law.quantile(standard_share(score)))
            scores[name] = score
        elif name not in kept and name in _DEFAULTS:
            person[name] = _rounded(name, _DEFAULTS[name](person, chance[name]))
    if "variants" not in kept:
        person["variants"] = tuple(name for (name, share), u in zip(VARIANTS, has_variant, strict=True) if u < share)
    if "smoking_duration_y" not in kept:
        person["smoking_duration_y"] = _duration_y(person)
    del person[START]
    spec = check_spec(person, TwinSpec, name="person")
    if "lung_volume_l" in person:
        return spec
    spread = 1 + VOLUME_CV * standard_normal(chance["lung_volume_l"])
    # no second check: the volume is within its range, and nothing else depends on it
    return spec.model_copy(update={"lung_volume_l": round(_within(spec.full_volume_l() * spread, *VOLUME_L), 3)})


def _rounded(name: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return round(value) if name.startswith("n_") else round(value, _DECIMALS.get(name, 3))


def _duration_y(person: Person) -> float:
    """Years of smoking: from the start to the scan, or to when it was given up."""
    if person["smoking"] == "never":
        return 0.0
    return float(round(max(1.0, person["age_y"] - (person.get("years_since_quit_y") or 0.0) - person[START]), 1))


def _around(mean: float, sd: float, low: float, high: float) -> Callable[[Person, float], float]:
    return lambda _, u: _within(mean + sd * standard_normal(u), low, high)


def _scale(sigma: float, low: float, high: float) -> Callable[[Person, float], float]:
    return lambda _, u: _within(math.exp(sigma * standard_normal(u)), low, high)


def _fissure(incomplete: float) -> Callable[[Person, float], float]:
    """1, or evenly 0.3 to 0.95 in the share of people whose fissure is incomplete."""
    return lambda _, u: 1.0 if u >= incomplete else 0.3 + 0.65 * u / incomplete


def _right_lower_share(person: Person, u: float) -> float:
    """Goes against the middle lobe (-0.43), so that the upper lobe too has its published spread; leaves it 0.2."""
    middle = (person["right_middle_share"] - 9.3 / 53.7) / 0.028
    lower = 26.5 / 53.7 + 0.045 * (0.90 * standard_normal(u) - 0.43 * middle)
    return _within(lower, 0.38, min(0.60, 0.79 - person["right_middle_share"]))


def _emphysema_type(person: Person, u: float) -> str:
    """Panlobular only where emphysema is severe."""
    panlobular = 0.12 if person["emphysema_percent"] >= 10 else 0.03
    for kind, share in (("panlobular", panlobular), ("paraseptal", panlobular + 0.12), ("mixed", panlobular + 0.32)):
        if u < share:
            return kind
    return "centrilobular"


def _emphysema_upper(person: Person, u: float) -> float:
    mean = {"centrilobular": 0.85, "paraseptal": 0.90, "panlobular": 0.20, "mixed": 0.85}[person["emphysema_type"]]
    return _within(mean + 0.10 * standard_normal(u), 0, 1)


def _kyphosis_deg(person: Person, u: float) -> float:
    """One mode that grows with age; over 65 two, 28 deg in 40 % and 51.5 deg: mean 42 deg."""
    age = person["age_y"]
    if age < 65:
        return _within(27 + 15 * _within((age - 30) / 35, 0, 1) + 9 * standard_normal(u), 15, 75)
    mode, v = (28.0, u / 0.4) if u < 0.4 else (51.5, (u - 0.4) / 0.6)
    return _within(mode + 7 * standard_normal(v), 15, 75)


def _wall_thickness(person: Person, u: float) -> float:
    return _within((1.12 if person.get("copd") else 1.0) * math.exp(0.10 * standard_normal(u)), 0.6, 2.0)


def _apical_cap_mm(person: Person, u: float) -> float:
    cap = _if(u, _within(0.01 * (person["age_y"] - 40), 0.02, 0.4))
    return 2 + 5 * cap if cap > 0 else 0.0


def _coronary_calcium(person: Person, u: float) -> float:
    odds = 0.07 * (person["age_y"] - 60) + (0.2 if person["sex"] == "male" else -0.8)
    return float(_if(u, _logistic(odds + 0.010 * (person["pack_years"] - 30))) ** 1.5)


def _aortic_calcium(person: Person, u: float) -> float:
    odds = 0.2 + 0.11 * (person["age_y"] - 60) + 0.012 * (person["pack_years"] - 30)
    return float(_if(u, _logistic(odds)) ** 1.5)


def _costal_calcification(person: Person, u: float) -> float:
    return float(_if(u, _within((person["age_y"] - 40) / 50, 0, 0.95)) ** 1.5)


_DEFAULTS: dict[str, Callable[[Person, float], Any]] = {
    "copd": lambda _, u: u < 0.051,
    "heart_scale": _around(1.0, 0.06, 0.85, 1.2),
    "chest_width_scale": _around(1.0, 0.035, 0.92, 1.08),
    "chest_depth_scale": _around(1.0, 0.05, 0.88, 1.14),
    "right_share": _around(0.536, 0.013, 0.505, 0.568),
    "right_middle_share": _around(9.3 / 53.7, 0.028, 0.11, 0.236),
    "right_lower_share": _right_lower_share,
    "left_lower_share": _around(23.2 / 46.3, 0.044, 0.40, 0.60),
    "breast_scale": _scale(0.12, 0.6, 1.5),
    "emphysema_type": _emphysema_type,
    "paraseptal_share": _around(0.3, 0.15, 0.05, 0.8),
    "emphysema_upper": _emphysema_upper,
    "right_major_completeness": _fissure(0.48),
    "left_major_completeness": _fissure(0.43),
    "minor_completeness": _fissure(0.63),
    "kyphosis_deg": _kyphosis_deg,
    "wall_thickness_scale": _wall_thickness,
    "texture_scale": _scale(0.18, 0.5, 2.0),
    "dependent_atelectasis": lambda _, u: _if(u, 0.3),
    "apical_cap_mm": _apical_cap_mm,
    "n_scars": lambda _, u: _count(u, 0.7, 8),
    "n_lymph_nodes": lambda _, u: _count(u, 5.0, 12),
    "coronary_calcium": _coronary_calcium,
    "aortic_calcium": _aortic_calcium,
    "costal_calcification": _costal_calcification,
}


def _if(u: float, share: float) -> float:
    """0, or evenly up to 1 in a share of people."""
    return 1 - u / share if u < share else 0.0


def _count(u: float, mean: float, most: int) -> int:
    """A Poisson count at its quantile."""
    term = below = math.exp(-mean)
    n = 0
    while below < u and n < most:
        n += 1
        term *= mean / n
        below += term
    return n


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _within(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


__all__ = ["TwinSpec", "draw", "total_lung_capacity_l"]
