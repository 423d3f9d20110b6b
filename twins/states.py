"""The same person at another breath or another time: specs that keep the key, and with it the anatomy.

A twin built from such a spec has the same bones, the same branches of its trees and the same texture; lungs, ribs and
diaphragm are those of the breath (:mod:`twins.pose`).
"""

from __future__ import annotations

import math

import numpy as np

from .cage import Cage
from .lung_function import functional_residual_capacity_l, residual_volume_l
from .spec import TwinSpec

EFFORT_SD = 0.04
"""Spread of the volume of one person's breath-holds / their mean [1]: two scans differ by 4 to 6 %. Design default."""

DIAPHRAGM_SD_MM = 4.0
"""Spread of the share of the diaphragm in a breath-hold [mm]. Design default, unverified."""

EMPHYSEMA_PER_Y = {"never": 0.01, "former": 0.025, "current": 0.04}
"""Growth of the extent of emphysema per year, relative [1/y]. Design default, unverified."""

SUPINE_FRC = 0.75
"""Functional residual capacity, supine per upright [1]. Design default, unverified."""

_LOWEST, _HIGHEST = 0.35, 1.1


def at_inflation(spec: TwinSpec, inflation: float) -> TwinSpec:
    """The person at a share of the volume at full effort.

    Parameters
    ----------
    spec
        The person.
    inflation
        Volume / volume at full effort, 0.35 to 1.1 [1].

    Raises
    ------
    ValueError
        If ``inflation`` is out of range.
    """
    return _changed(spec, inflation=float(inflation))


def at_residual_volume(spec: TwinSpec) -> TwinSpec:
    """The person after full expiration: residual volume of GLI 2021, trapped air of emphysema added.

    The residual volume grows by half at an extent of emphysema of 20 % (design default, unverified). No lung is emptied
    below 0.35 of its full volume.
    """
    trapped = 1 + 0.5 * min(1.0, spec.emphysema_percent / 20)
    return _at_volume(spec, residual_volume_l(spec.sex, spec.age_y, spec.height_cm) * trapped)


def at_functional_residual_capacity(spec: TwinSpec) -> TwinSpec:
    """The person at the end of a quiet expiration, supine: 0.75 of the upright capacity of GLI 2021."""
    trapped = 1 + 0.25 * min(1.0, spec.emphysema_percent / 20)
    return _at_volume(spec, SUPINE_FRC * functional_residual_capacity_l(spec.sex, spec.age_y, spec.height_cm) * trapped)


def breath_hold(spec: TwinSpec, rng: np.random.Generator) -> TwinSpec:
    """The person in another breath-hold: volume within +-4 % (SD), ribs and diaphragm sharing it a little differently.

    Parameters
    ----------
    spec
        The person as planned; breath-holds are drawn about this one, not about the last.
    rng
        Source of chance; two numbers are drawn.
    """
    effort, share = rng.standard_normal(2)
    inflation = min(max(spec.inflation * (1 + EFFORT_SD * effort), _LOWEST), _HIGHEST)
    shift = min(max(spec.diaphragm_shift_mm + DIAPHRAGM_SD_MM * share, -20.0), 20.0)
    return _changed(spec, inflation=round(inflation, 4), diaphragm_shift_mm=round(shift, 2))


def later(spec: TwinSpec, years: float, rng: np.random.Generator) -> TwinSpec:
    """The person years later, in a new breath-hold: older, smoked longer, emphysema grown.

    Body, bones, vessels, tissue mass and key are kept; the hyperinflation of an emphysema that grows goes to the
    inflation, so that the chest is the same.

    Parameters
    ----------
    spec
        The person now.
    years
        Time from then to now, 0 to 30 [years].
    rng
        Source of chance; three numbers are drawn.

    Raises
    ------
    ValueError
        If ``years`` is out of range, or the person would be older than 95.
    """
    if not 0 <= years <= 30:
        raise ValueError(f"years must lie in 0 ... 30, got {years}")
    rate = EMPHYSEMA_PER_Y[spec.smoking] * max(0.0, 1 + 0.5 * float(rng.standard_normal()))
    emphysema = min(40.0, spec.emphysema_percent * math.exp(rate * years))
    stretched = (1 + 0.12 * min(1.0, emphysema / 20)) / (1 + 0.12 * min(1.0, spec.emphysema_percent / 20))
    smoked, quit_y = spec.smoking_duration_y, spec.years_since_quit_y
    packs = spec.pack_years
    if spec.smoking == "current":
        packs *= 1 + (years / smoked if smoked else 0.0)
        smoked = None if smoked is None else smoked + years
    elif spec.smoking == "former" and quit_y is not None:
        quit_y = quit_y + years
    age_y = round(spec.age_y + years, 2)
    depth = Cage.of(spec, 300.0).depth_mm / Cage.of(spec.model_copy(update={"age_y": age_y}), 300.0).depth_mm
    aged = _changed(
        spec,
        age_y=age_y,
        lung_volume_l=spec.full_volume_l(),
        inflation=round(min(spec.inflation * stretched, _HIGHEST), 4),
        chest_depth_scale=max(spec.chest_depth_scale * depth, 0.85),
        tissue_mass_g=round(spec.target_tissue_mass_g(), 2),
        emphysema_percent=round(emphysema, 3),
        pack_years=round(min(packs, 250.0), 2),
        smoking_duration_y=smoked,
        years_since_quit_y=quit_y,
        kyphosis_deg=spec.target_kyphosis_deg(),
    )
    return breath_hold(aged, rng)


def _at_volume(spec: TwinSpec, volume_l: float) -> TwinSpec:
    """The person at a volume predicted for an average one, as a share of the predicted full volume [L]."""
    predicted = spec.model_copy(update={"lung_volume_l": None}).full_volume_l()
    inflation = volume_l / predicted
    return at_inflation(spec, min(max(inflation, _LOWEST), 1.0))


def _changed(spec: TwinSpec, **changes: object) -> TwinSpec:
    return TwinSpec.model_validate(spec.model_dump() | changes)


__all__ = [
    "at_functional_residual_capacity",
    "at_inflation",
    "at_residual_volume",
    "breath_hold",
    "later",
]
