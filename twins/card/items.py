"""What a card holds: measured values, each against the band of real persons and its source."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator
from ruamel.yaml import YAML

Basis = Literal["published", "measured", "unverified"]
Group = Literal["gross", "density", "airways", "vessels", "scaling", "emphysema"]


class Limits(BaseModel):
    """Low and high, or a mean and a standard deviation, of which two either way are allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float | None = Field(default=None, description="Mean of persons [the item's unit]")
    sd: float | None = Field(default=None, gt=0, description="Standard deviation between persons [the item's unit]")
    low: float | None = Field(default=None, description="Lowest value [the item's unit]")
    high: float | None = Field(default=None, description="Highest value [the item's unit]")

    def ends(self) -> tuple[float, float] | None:
        """Lowest and highest value; None where nothing is given."""
        if self.mean is not None and self.sd is not None:
            return self.mean - 2 * self.sd, self.mean + 2 * self.sd
        return None if self.low is None or self.high is None else (self.low, self.high)


class Band(Limits):
    """What is known of one item in real persons."""

    name: str = Field(description="Name of the item, with its unit")
    group: Group = Field(description="Part of the card")
    unit: str = Field(description="Unit")
    basis: Basis = Field(description="published, measured on a few real CTs, or unverified: then it is not counted")
    source: str = Field(description="Where the numbers come from")
    male: Limits | None = Field(default=None, description="Of men")
    female: Limits | None = Field(default=None, description="Of women")

    @model_validator(mode="after")
    def _has_limits(self) -> Self:
        if (self.ends() is None) == (self.male is None or self.female is None):
            raise ValueError(f"{self.name}: needs limits, or limits of men and of women")
        return self

    def ends_for(self, sex: str | None) -> tuple[float, float] | None:
        """Lowest and highest value for a person; None where they depend on a sex that is not known."""
        limits = {"male": self.male, "female": self.female}.get(sex or "")
        return self.ends() if self.male is None else (limits.ends() if limits is not None else None)


@dataclass(frozen=True, slots=True)
class Item:
    """One measured value of a twin, and the band of real persons.

    ``low`` and ``high`` are None where there is nothing to judge by; ``counted`` tells whether ``inside`` counts for
    the card: it does for published and measured bands, not for unverified ones.
    """

    group: Group
    name: str
    value: float
    unit: str
    low: float | None
    high: float | None
    basis: Basis
    source: str

    @property
    def inside(self) -> bool | None:
        """Whether the value lies in its band; None without one."""
        return None if self.low is None or self.high is None else self.low <= self.value <= self.high

    @property
    def counted(self) -> bool:
        """Whether the band is good enough to judge by."""
        return self.inside is not None and self.basis != "unverified"


@dataclass(frozen=True, slots=True)
class Target:
    """What a population twin was to have, and what it has."""

    name: str
    target: float
    measured: float
    unit: str


@dataclass(frozen=True, slots=True)
class Card:
    """The realism card of a twin.

    Parameters
    ----------
    items
        Values against bands.
    tables
        Values by generation, percentile or third, without a band: name to label to value.
    targets
        Of a population twin: calibrated quantities, target against measured.
    spacing_mm
        Voxel size at which all this was measured [mm].
    """

    items: tuple[Item, ...]
    tables: dict[str, dict[str, float]]
    targets: tuple[Target, ...]
    spacing_mm: float

    @property
    def outside(self) -> tuple[Item, ...]:
        """Counted items out of their band."""
        return tuple(item for item in self.items if item.counted and not item.inside)

    def item(self, name: str) -> Item:
        """The item of that name; raises KeyError."""
        for item in self.items:
            if item.name == name:
                return item
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: items with ``inside`` and ``counted``, tables, targets."""
        return {
            "spacing_mm": self.spacing_mm,
            "items": [asdict(item) | {"inside": item.inside, "counted": item.counted} for item in self.items],
            "tables": self.tables,
            "targets": [asdict(target) for target in self.targets],
        }

    def json(self) -> str:
        """The card as JSON text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def text(self) -> str:
        """The card as a table in plain text; ``!`` marks counted items out of their band, ``?`` unverified ones."""
        lines = [f"realism card, measured at {self.spacing_mm:g} mm"]
        for target in self.targets:
            lines.append(f"  target  {target.name:28} {target.target:9.3f} {target.measured:9.3f} {target.unit}")
        group = ""
        for item in self.items:
            if item.group != group:
                group = item.group
                lines.append(group)
            band = "" if item.low is None else f"{item.low:9.3f} .. {item.high:.3f}"
            mark = " " if item.inside in (True, None) else ("!" if item.counted else "?")
            lines.append(f"{mark} {item.name:28} {item.value:9.3f} {item.unit:6} {band:22} {item.basis}")
        counted = [item for item in self.items if item.counted]
        lines.append(f"{len(counted) - len(self.outside)} of {len(counted)} counted items inside their bands")
        return "\n".join(lines)


@cache
def bands() -> dict[str, Band]:
    """All bands by name, in the order of the card."""
    data = YAML(typ="safe", pure=True).load(files(__package__).joinpath("bands.yaml").read_text(encoding="utf-8"))
    return {band.name: band for band in RootModel[list[Band]].model_validate(data).root}


def judged(values: dict[str, float], *, sex: str | None, leave_out: Iterable[str] = ()) -> list[Item]:
    """Items of measured values, in the order of the bands; a value that is not finite is left out.

    Parameters
    ----------
    values
        By name of the band.
    sex
        Of the person.
    leave_out
        Names that are shown without a band.

    Raises
    ------
    KeyError
        If there is no band of that name.
    """
    unknown = sorted(set(values) - set(bands()))
    if unknown:
        raise KeyError(f"no band for {', '.join(unknown)}")
    found = []
    for name, band in bands().items():
        value = values.get(name, float("nan"))
        if not -1e12 < value < 1e12:
            continue
        ends = None if name in leave_out else band.ends_for(sex)
        low, high = ends if ends is not None else (None, None)
        found.append(Item(band.group, name, float(value), band.unit, low, high, band.basis, band.source))
    return found
