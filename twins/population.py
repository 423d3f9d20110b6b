"""Who is in the population: the spec of a population twin, and how one is drawn.

Lung volume follows the GLI 2021 static lung volumes (Hall et al., Eur Respir J 2021;57:2000289): for men
``TLC = exp(-10.5861 + 0.1433 ln age + 2.3155 ln height)``, for women ``exp(-10.1128 + 0.1062 ln age + 2.2259 ln
height)``
(age in years, height in cm, litres). The CT volume, supine, is 0.90 of it (Yamada et al. 2020: standing is 10.9 % above
supine) times the effort of the breath. Margins of age, sex, body mass index, smoking and pack-years are those of the
NLST
(PMC8159850); those of the duration of smoking, the years since it was given up, COPD and past cancer are those of the
NLST as well (Tammemagi et al., N Engl J Med 2013;368:728, supplement, table S1). The shape of the distributions between
published figures, and their independence of each other, are design defaults.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lung_function import total_lung_capacity_l
from .spec import TwinSpec

_KEYS = 2**63


def draw(rng: np.random.Generator, **fixed: Any) -> TwinSpec:
    """Draw a person with the margins of the NLST; fields given by keyword are kept as they are.

    Every field is drawn whether it is fixed or not, so that fixing one leaves the draws of the others alone (their
    values may still depend on it: height on sex, lung volume on height).

    Parameters
    ----------
    rng
        Source of chance.
    **fixed
        Fields of :class:`TwinSpec`.

    Raises
    ------
    TypeError
        If a keyword is no field of :class:`TwinSpec`.
    ValueError
        If a fixed value is out of its range.

    Examples
    --------
    >>> draw(np.random.default_rng(1), sex="female", age_y=60).sex
    'female'
    """
    unknown = sorted(set(fixed) - set(TwinSpec.model_fields))
    if unknown:
        raise TypeError(f"no such field of TwinSpec: {', '.join(unknown)}; known: {', '.join(TwinSpec.model_fields)}")
    u = rng.random(4)
    normal = rng.standard_normal(10)
    key = int(rng.integers(_KEYS))
    history = rng.random(3)
    smoked = rng.standard_normal()
    share, shape = rng.random(20), rng.standard_normal(12)  # new fields are drawn last: what was drawn before stays
    kept = {name: value for name, value in fixed.items() if value is not None}

    sex = kept.get("sex", "male" if u[0] < 0.591 else "female")
    male = sex == "male"
    age_y = kept.get("age_y", round(_within(60.5 + 5.0 * normal[0], 55, 74), 1))
    height_cm = kept.get("height_cm", round((176 + 7 * normal[1]) if male else (163 + 6.5 * normal[1]), 1))
    smoking = kept.get("smoking", "current" if u[1] < 0.48 else "former")
    quit_y = kept.get("years_since_quit_y", round(15 * history[0], 1)) if smoking == "former" else 0.0
    # begun at 17.4 +- 3 years of age: with this age and these years since quitting, 39.8 +- 7.3 years of smoking
    smoked_y = round(max(1.0, age_y - quit_y - _within(17.4 + 3 * smoked, 10, 30)), 1)
    expected: dict[str, Any] = {
        "sex": sex,
        "age_y": age_y,
        "height_cm": _within(height_cm, 140, 205) if "height_cm" not in kept else height_cm,
        "bmi": round(_within(27 * math.exp(0.19 * normal[2]), 17, 45), 1),
        "smoking": smoking,
        "pack_years": 0.0 if smoking == "never" else round(_within(30 + 18 * math.exp(0.75 * normal[3]), 30, 200), 1),
        "smoking_duration_y": 0.0 if smoking == "never" else smoked_y,
        "years_since_quit_y": quit_y if smoking == "former" else None,
        "family_history": bool(u[2] < 0.22),
        "copd": bool(history[1] < 0.051),
        "extrathoracic_cancer_over_5y": bool(history[2] < 0.043),
        "emphysema_percent": round(_emphysema_percent(u[3], normal[4], smoking), 2),
        "heart_scale": round(_within(1 + 0.06 * normal[6], 0.85, 1.2), 3),
        "chest_width_scale": round(_within(1 + 0.035 * normal[7], 0.92, 1.08), 3),
        "chest_depth_scale": round(_within(1 + 0.05 * normal[8], 0.88, 1.14), 3),
        "right_share": round(_within(0.536 + 0.015 * normal[9], 0.505, 0.57), 4),
        "key": key,
    }
    expected.update(_anatomy(expected | kept, share, shape))
    expected.update(kept)
    if "lung_volume_l" not in kept:
        reference = TwinSpec(**{k: v for k, v in expected.items() if k != "lung_volume_l"}).full_volume_l()
        expected["lung_volume_l"] = round(_within(reference * (1 + 0.11 * normal[5]), 2.4, 9.0), 3)
    return TwinSpec(**expected)


def _anatomy(person: dict[str, Any], u: NDArray[np.float64], z: NDArray[np.float64]) -> dict[str, Any]:
    """What else differs between persons of this age, sex and history; see the table in ``docs/twins.md``.

    Lobes: Yamada et al. 2020. Share and completeness of fissures and variants: published shares of CT series.
    Kyphosis: mean 27 deg in the young, 42 deg over 65, where it has two modes, 28 and 51.5 deg. All else is a design
    default, unverified.
    """
    age, male, copd = person["age_y"], person["sex"] == "male", bool(person.get("copd"))
    packs, emphysema = person["pack_years"], person["emphysema_percent"]
    kind = _emphysema_type(u[0], emphysema)
    upper = {"centrilobular": 0.85, "paraseptal": 0.90, "panlobular": 0.20, "mixed": 0.85}[kind]
    if age < 65:
        kyphosis = 27 + 15 * _within((age - 30) / 35, 0, 1) + 9 * z[0]
    else:
        kyphosis = (28.0 if u[1] < 0.40 else 51.5) + 7 * z[0]
    variants = (
        ("azygos_fissure", 0.012),
        ("inferior_accessory_fissure", 0.086),
        ("left_minor_fissure", 0.061),
        ("absent_minor_fissure", 0.025),
        ("tracheal_bronchus", 0.005),
    )
    calcified = {
        "coronary_calcium": _logistic(-0.3 + 0.07 * (age - 60) + (0.5 if male else -0.5) + 0.010 * (packs - 30)),
        "aortic_calcium": _logistic(0.2 + 0.11 * (age - 60) + 0.012 * (packs - 30)),
        "costal_calcification": _within((age - 40) / 50, 0, 0.95),
    }
    found: dict[str, Any] = {
        "emphysema_type": kind,
        "paraseptal_share": round(_within(0.3 + 0.15 * z[1], 0.05, 0.8), 3),
        "emphysema_upper": round(_within(upper + 0.10 * z[2], 0, 1), 3),
        "right_middle_share": round(_within(9.3 / 53.7 + 0.029 * z[3], 0.10, 0.25), 4),
        "right_lower_share": round(_within(26.5 / 53.7 + 0.046 * z[4], 0.38, 0.54), 4),
        "left_lower_share": round(_within(23.2 / 46.3 + 0.049 * z[5], 0.38, 0.62), 4),
        "right_major_completeness": _completeness(u[2], 0.48),
        "left_major_completeness": _completeness(u[3], 0.43),
        "minor_completeness": _completeness(u[4], 0.63),
        "variants": tuple(name for (name, share), v in zip(variants, u[5:10], strict=True) if v < share),
        "kyphosis_deg": round(_within(kyphosis, 15, 75), 1),
        "wall_thickness_scale": round(_within((1.12 if copd else 1.0) * math.exp(0.10 * z[6]), 0.6, 2.0), 3),
        "texture_scale": round(_within(math.exp(0.18 * z[7]), 0.5, 2.0), 3),
        "dependent_atelectasis": round(_if(u[10], 0.3), 3),
        "apical_cap_mm": round(2 + 5 * cap, 1) if (cap := _if(u[11], _within(0.01 * (age - 40), 0.02, 0.4))) else 0.0,
        "n_scars": _count(u[12], 0.7),
        "n_lymph_nodes": min(12, _count(u[13], 5.0)),
        **{name: round(_if(v, p) ** 1.5, 3) for (name, p), v in zip(calcified.items(), u[14:17], strict=True)},
        "breast_scale": round(_within(math.exp(0.12 * z[8]), 0.6, 1.5), 3),
    }
    return found


def _emphysema_type(u: float, percent: float) -> str:
    """Panlobular only where it is severe (design default, unverified)."""
    panlobular = 0.12 if percent >= 10 else 0.03
    for kind, share in (("panlobular", panlobular), ("paraseptal", panlobular + 0.12), ("mixed", panlobular + 0.32)):
        if u < share:
            return kind
    return "centrilobular"


def _completeness(u: float, incomplete: float) -> float:
    """1, or evenly 0.3 to 0.95 in the share of people whose fissure is incomplete."""
    return 1.0 if u >= incomplete else round(0.3 + 0.65 * u / incomplete, 3)


def _if(u: float, share: float) -> float:
    """0, or evenly up to 1 in a share of people."""
    return 1 - u / share if u < share else 0.0


def _count(u: float, mean: float) -> int:
    """A Poisson count by its quantile, at most 8 where the mean is below 1."""
    from scipy.stats import poisson

    return int(min(poisson.ppf(u, mean), 8 if mean < 1 else 20))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _emphysema_percent(u: float, normal: float, smoking: str) -> float:
    """Mixture of log-normals for screened smokers, lighter for never-smokers (design default, unverified)."""
    if smoking == "never":
        return _within(0.8 * math.exp(0.8 * normal), 0, 6)
    for share, median, sigma in ((0.60, 1.2, 0.9), (0.88, 3.5, 0.6), (0.97, 10.0, 0.4), (1.01, 22.0, 0.35)):
        if u < share:
            return _within(median * math.exp(sigma * normal), 0, 40)
    raise AssertionError("the last share exceeds 1")


def _within(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


__all__ = ["TwinSpec", "draw", "total_lung_capacity_l"]
