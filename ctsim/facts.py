"""A profile as a flat list of its values, each with how sure it is, and two profiles side by side.

A field's name is dotted: ``scanner.detector.n_columns``, ``kernels.B30f.mtf50_per_mm``, ``protocols.axial.kvp``.
Things in lists go by their name where they have one (``scanner.bowties.body.thickness_mm``), dose indices by potential,
bowtie and phantom, others by their place; a list of plain numbers is one value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .profile import Profile

PRESENT = object()
"""Value of a kernel, protocol or other named thing as a whole, where the other profile lacks it."""

_NOT_VALUES = {"name", "source", "status"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One value of a profile.

    Parameters
    ----------
    field
        Dotted name.
    value
        Number, word, or tuple of numbers.
    status
        ``measured``, ``published`` or ``estimated``.
    source
        Where the value comes from.
    """

    field: str
    value: Any
    status: str
    source: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which two profiles differ; None stands for a profile that lacks it.

    A kernel or a protocol that one of them lacks as a whole is one difference, with the value :data:`PRESENT`.
    """

    field: str
    first: Fact | None
    second: Fact | None


def facts(profile: Profile) -> tuple[Fact, ...]:
    """All values of a profile, in its order: scanner, kernels, protocols.

    Names (of scanner, vendor, model, materials) belong to no source: they are ``published``, with an empty source.

    Examples
    --------
    >>> from ctsim import load_profile
    >>> found = {fact.field: fact for fact in facts(load_profile("siemens_definition_as"))}
    >>> found["scanner.source_distance_mm"].value, found["scanner.source_distance_mm"].status
    (595.0, 'published')
    """
    listed = []
    for field, value in _leaves(profile.scanner.model_dump()):
        entry = None if isinstance(value, str) else profile.provenance(field)
        status, source = ("published", "") if entry is None else (entry.status, entry.source)
        listed.append(Fact(f"scanner.{field}", value, status, source))
    for what, things in (("kernels", profile.kernels), ("protocols", profile.protocols)):
        for thing in things:
            values = _leaves(thing.model_dump(exclude=_NOT_VALUES))
            listed += [Fact(f"{what}.{thing.name}.{field}", v, thing.status, thing.source) for field, v in values]
    return tuple(listed)


def differences(first: Profile, second: Profile) -> tuple[Difference, ...]:
    """Fields whose values differ, or that one of the two lacks, in the order of the first profile."""
    a, b = (_comparable(profile, other) for profile, other in ((first, second), (second, first)))
    return tuple(
        Difference(field, a.get(field), b.get(field))
        for field in [*a, *(field for field in b if field not in a)]
        if field not in a or field not in b or a[field].value != b[field].value
    )


def _comparable(profile: Profile, other: Profile) -> dict[str, Fact]:
    """Facts by field; kernels and protocols that the other lacks as one fact each."""
    there = {f"kernels.{k.name}" for k in other.kernels} | {f"protocols.{p.name}" for p in other.protocols}
    found: dict[str, Fact] = {}
    for fact in facts(profile):
        room, name, *_ = fact.field.split(".")
        whole = f"{room}.{name}"
        if room == "scanner" or whole in there:
            found[fact.field] = fact
        else:
            found[whole] = Fact(whole, PRESENT, fact.status, fact.source)
    return found


def _leaves(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        yield from _under(f"{prefix}{key}", value)


def _under(field: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from _leaves(value, f"{field}.")
    elif isinstance(value, tuple) and value and isinstance(value[0], dict):
        for place, thing in enumerate(value):
            called, rest = _called(thing, place)
            yield from _leaves(rest, f"{field}.{called}.")
    elif value is not None and value != ():
        yield field, value


def _called(thing: dict[str, Any], place: int) -> tuple[str, dict[str, Any]]:
    """What a thing of a list is called, and what is left of it."""
    keys = ("kvp", "bowtie", "phantom_mm") if "phantom_mm" in thing else ("name",)
    name = "_".join(str(thing.get(key, place)) for key in keys)
    return name, {key: value for key, value in thing.items() if key not in keys}
