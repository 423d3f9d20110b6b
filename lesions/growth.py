"""How a nodule changes over time: the same nodule, with its id, key and place, at any number of visits.

Laws of the volume V at day t, V0 at the day the spec describes (day 0 of the law):

- exponential: ``V0 2^(t / VDT)`` (Schwartz, Cancer 14 (1961) 1272);
- Gompertz: ``V0 exp(ln(K / V0) (1 - exp(-a t)))`` with the limit K and ``a = ln 2 / (VDT ln(K / V0))``, so that VDT is
  the doubling time at day 0 (Laird, Br. J. Cancer 18 (1964) 490);
- stable: V0;
- resolving: ``V0 2^(-t / half-life)`` from the day it begins, V0 before.

A nodule that is *new* is absent before ``appears_day``. One smaller than the smallest spec (3 mm) is absent too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .nodule import Nodule

SMALLEST_MM, LARGEST_MM = 3.0, 40.0
"""Equivalent diameters between which a nodule can be described [mm]."""

DOUBLING_DAYS = {"solid": (170.0, 0.60), "part_solid": (420.0, 0.55), "ground_glass": (780.0, 0.50)}
"""Median [days] and sigma of the lognormal volume doubling time of growing malignant nodules by type.

A compromise, by design, between published series: 149 +- 125, 457 +- 260, 813 +- 375 days for solid, part-solid and
ground-glass cancers (Hasegawa et al., Br. J. Radiol. 73 (2000) 1252), 267, 598 and 848 days in a series of 2018, and
100-400 days for most solid cancers (Fleischner Society 2017)."""

BENIGN_DOUBLING_DAYS = (386.0, 0.60)
"""Median of growing benign nodules (thorax.bmj table 170289); its sigma is a design default, unverified."""

GROWING = {"malignant": 0.68, "benign": 0.33}
"""Share of nodules that grew by a quarter or more, same source; the others are drawn as stable."""

RESOLVING = {"solid": 0.101, "part_solid": 0.33, "ground_glass": 0.33}
"""Share of benign nodules that vanish: 10.1 % of solid ones of 50-500 mm3 (NELSON); of sub-solid ones 26-41 %, the
middle taken."""

HALF_LIFE_DAYS, BEGINS_WITHIN_DAYS = 15.0, 46.0
"""Half-life of a resolving nodule, and the days within which it begins to (design default, unverified): chosen such
that 77 % of nodules of 50-500 mm3 are gone by three months, as in NELSON."""

FORM_CORRELATION = 0.9
"""Correlation of a drawn nodule's form over one doubling of its volume (design default, unverified)."""

LARGEST_CORE_RATIO, LARGEST_GLASS_FRACTION = 0.9, 0.8
"""Where a growing core, or a thickening ground glass, stops (limits of the spec)."""


class Growth(BaseModel):
    """How one nodule changes.

    Examples
    --------
    >>> Growth(model="exponential", vdt_days=100).volume_mm3(500.0, 200.0)
    2000.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["exponential", "gompertz", "stable", "resolving"] = Field(description="Law of the volume")
    vdt_days: float | None = Field(
        default=None, ge=5, le=20_000, description="Volume doubling time at day 0, of growing nodules [days]"
    )
    limit_mm3: float | None = Field(
        default=None, gt=14, le=1e7, description="Volume that a Gompertz nodule never reaches [mm3]"
    )
    half_life_days: float | None = Field(
        default=None, ge=1, le=5000, description="Time in which a resolving nodule loses half its volume [days]"
    )
    begins_day: float = Field(default=0.0, ge=-1e5, le=1e5, description="Day from which it resolves [days]")
    appears_day: float | None = Field(
        default=None, ge=-1e5, le=1e5, description="A new nodule is absent before this day [days]; none: always there"
    )
    core_vdt_days: float | None = Field(
        default=None, ge=5, le=20_000, description="Doubling time of a part-solid core; none: with the whole [days]"
    )
    mass_doubling_days: float | None = Field(
        default=None, ge=5, le=20_000, description="Doubling time of ground glass' mass; none: with the volume [days]"
    )

    form_correlation: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Correlation of the form's harmonics with those of one doubling, or halving, of the volume before; "
        "1: the form only scales [1]",
    )

    @model_validator(mode="after")
    def _agree(self) -> Growth:
        growing = self.model in ("exponential", "gompertz")
        wanted = {
            "vdt_days": growing,
            "limit_mm3": self.model == "gompertz",
            "half_life_days": self.model == "resolving",
        }
        for name, needed in wanted.items():
            if (getattr(self, name) is not None) != needed:
                raise ValueError(f"{name} {'is needed for' if needed else 'contradicts'} model {self.model!r}")
        for name in ("core_vdt_days", "mass_doubling_days"):
            if getattr(self, name) is not None and not growing:
                raise ValueError(f"{name} contradicts model {self.model!r}: only growing nodules have one")
        if self.begins_day != 0 and self.model != "resolving":
            raise ValueError(f"begins_day contradicts model {self.model!r}: only resolving nodules begin to")
        return self

    def volume_mm3(self, initial_mm3: float, day: float) -> float:
        """Volume at a day, of a nodule that has ``initial_mm3`` at day 0; 0 before it appears [mm3]."""
        if self.appears_day is not None and day < self.appears_day:
            return 0.0
        if self.model == "exponential":
            return initial_mm3 * 2 ** (day / float(self.vdt_days or 1))
        if self.model == "gompertz":
            reach = math.log(float(self.limit_mm3 or 1) / initial_mm3)
            if reach <= 0:
                raise ValueError(f"limit_mm3 {self.limit_mm3} must exceed the nodule's volume, {initial_mm3:.1f} mm3")
            rate = math.log(2) / (float(self.vdt_days or 1) * reach)
            return initial_mm3 * math.exp(reach * -math.expm1(-rate * day))
        if self.model == "resolving":
            return initial_mm3 * 2 ** (-max(0.0, day - self.begins_day) / float(self.half_life_days or 1))
        return initial_mm3


@dataclass(frozen=True, slots=True)
class Visit:
    """A nodule at one time; ``nodule`` is None where it is not there, or smaller than 3 mm.

    Parameters
    ----------
    day
        Time since the day that the first spec describes [days].
    volume_mm3
        Volume by the law; that of the nodule's truth, exactly, where there is one [mm3].
    nodule
        The spec, with the id, key and place of the first.
    """

    day: float
    volume_mm3: float
    nodule: Nodule | None


def follow(nodule: Nodule, growth: Growth, days: Sequence[float]) -> tuple[Visit, ...]:
    """The same nodule at several days; ``nodule`` is what it is at day 0.

    Its form scales with it: the pattern drawn from the key stays, or drifts with ``growth.form_correlation`` (the same
    at a volume, whatever the other days); ratings stay, and so does the absolute width of the margin where it fits. A
    core with a doubling time of its own grows within the whole up to 0.9 of its diameter, a
    ground glass with one of its mass thickens up to 0.8 of soft tissue.

    Raises
    ------
    ValueError
        If the nodule outgrows 40 mm at some day, or ``growth`` does not suit its type.
    """
    if growth.core_vdt_days is not None and nodule.type != "part_solid":
        raise ValueError(f"core_vdt_days contradicts type {nodule.type!r}: only part_solid nodules have a core")
    if growth.mass_doubling_days is not None and nodule.type != "ground_glass":
        raise ValueError(f"mass_doubling_days contradicts type {nodule.type!r}: it is for ground_glass nodules")
    first = nodule.target_volume_mm3
    return tuple(_visit(nodule, growth, first, float(day)) for day in days)


def largest(visits: Sequence[Visit]) -> Nodule:
    """The nodule at its largest: the one to find a place for, since all others fit there too (:func:`at_place`).

    Raises
    ------
    ValueError
        If it is there at no visit.
    """
    there = [v for v in visits if v.nodule is not None]
    if not there:
        raise ValueError(f"the nodule is there at none of the days {[v.day for v in visits]}")
    found = max(there, key=lambda v: v.volume_mm3).nodule
    assert found is not None
    return found


def at_place(
    visits: Sequence[Visit],
    centre_mm: tuple[float, float, float],
    *,
    rng: np.random.Generator | None = None,
    shift_mm: float = 0.0,
    turn_deg: float = 0.0,
) -> tuple[Visit, ...]:
    """The visits with the nodule's centroid there [mm, LPS].

    Parameters
    ----------
    visits, centre_mm
        From :func:`follow`, and the place of the first.
    rng
        Where chance comes from; needed if the nodule moves.
    shift_mm, turn_deg
        SD along and about each axis by which a visit after the first one finds the nodule displaced and turned, as
        another breath and another position on the table do [mm, degrees].

    Raises
    ------
    ValueError
        If an SD is negative or above 10 mm or 30 degrees, or there is none to draw from.
    """
    for name, value, most in (("shift_mm", shift_mm, 10.0), ("turn_deg", turn_deg, 30.0)):
        if not 0 <= value <= most:
            raise ValueError(f"{name} must lie between 0 and {most:g}, got {value}")
    moves = shift_mm > 0 or turn_deg > 0
    if moves and rng is None:
        raise ValueError("rng: give a generator for shift_mm or turn_deg to draw from")
    placed = []
    for k, visit in enumerate(visits):
        nodule = None if visit.nodule is None else visit.nodule.at(centre_mm)
        if moves and rng is not None and k:
            # Drawn for absent nodules too, so that what happens at one visit changes no other.
            drawn = rng.standard_normal(6)
            if nodule is not None:
                nodule = nodule.at(_sum(centre_mm, shift_mm * drawn[:3]))
                nodule = nodule.model_copy(update={"turn_deg": _sum(nodule.turn_deg, turn_deg * drawn[3:])})
        placed.append(Visit(visit.day, visit.volume_mm3, nodule))
    return tuple(placed)


def _sum(a: tuple[float, float, float], b: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(p) + float(q) for p, q in zip(a, b, strict=True))
    return x, y, z


def doubling_time_days(first_mm3: float, second_mm3: float, days_between: float) -> float:
    """Volume doubling time of two measured volumes, negative if it shrank [days]; infinite if it did not change.

    Raises
    ------
    ValueError
        If a volume or the time is not positive.
    """
    for name, value in (("first_mm3", first_mm3), ("second_mm3", second_mm3), ("days_between", days_between)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    return math.inf if second_mm3 == first_mm3 else days_between * math.log(2) / math.log(second_mm3 / first_mm3)


def draw_growth(rng: np.random.Generator, nodule: Nodule, *, malignant: bool) -> Growth:
    """Draw how a nodule of its type changes.

    Malignant: 68 % grow, with the doubling time of their type, else stable. Benign: 33 % grow slowly, 10 % of solid and
    33 % of sub-solid ones resolve, else stable.
    """
    kind = nodule.type if nodule.type in DOUBLING_DAYS else "solid"
    share, normal, begins = rng.random(), rng.standard_normal(), rng.random()
    median, sigma = DOUBLING_DAYS[kind] if malignant else BENIGN_DOUBLING_DAYS
    if share < GROWING["malignant" if malignant else "benign"]:
        vdt_days = float(np.clip(median * math.exp(sigma * normal), 5, 20_000))
        return Growth(model="exponential", vdt_days=vdt_days, form_correlation=FORM_CORRELATION)
    if not malignant and share < GROWING["benign"] + RESOLVING[kind]:
        return Growth(
            model="resolving", half_life_days=HALF_LIFE_DAYS, begins_day=round(BEGINS_WITHIN_DAYS * begins, 1)
        )
    return Growth(model="stable")


def _visit(nodule: Nodule, growth: Growth, first_mm3: float, day: float) -> Visit:
    volume = growth.volume_mm3(first_mm3, day)
    diameter = (6 / math.pi * volume) ** (1 / 3)
    if diameter > LARGEST_MM:
        raise ValueError(
            f"nodule {nodule.id!r} has an equivalent diameter of {diameter:.1f} mm at day {day:g}; "
            f"at most {LARGEST_MM:g} mm can be described"
        )
    if diameter < SMALLEST_MM:
        return Visit(day, volume, None)
    if volume == first_mm3:
        return Visit(day, volume, nodule)
    changed: dict[str, Any] = {"equivalent_diameter_mm": None, "mean_diameter_mm": None, "volume_mm3": volume}
    changed["texture_correlation_mm"] = max(nodule.texture_correlation_mm, diameter / 25)
    if nodule.margin_mm is not None:
        changed["margin_mm"] = min(nodule.margin_mm, 0.5 * diameter)
    ratio = volume / first_mm3
    if growth.form_correlation < 1 or nodule.attributes.spiculation >= 3:  # spicules are as many as at first
        changed["doublings"] = nodule.doublings + math.log2(ratio)
    if growth.form_correlation < 1:
        changed["form_correlation"] = growth.form_correlation
    if growth.core_vdt_days is not None:
        core = nodule.core_ratio * (2 ** (day / growth.core_vdt_days) / ratio) ** (1 / 3)
        changed["solid_core_ratio"] = float(np.clip(core, 0.1, LARGEST_CORE_RATIO))
    if growth.mass_doubling_days is not None:
        fraction = nodule.soft_fraction * 2 ** (day / growth.mass_doubling_days) / ratio
        changed["ground_glass_fraction"] = float(np.clip(fraction, 0.05, LARGEST_GLASS_FRACTION))
        changed["ground_glass_hu"] = None
    data = {k: v for k, v in nodule.model_dump(exclude_unset=True).items() if k not in changed}
    return Visit(day, volume, Nodule.model_validate(data | {k: v for k, v in changed.items() if v is not None}))
