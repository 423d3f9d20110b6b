"""Acceptance of the scanner profiles that a dataset was made with: recorded with the package, or handed in.

``acceptance.json`` holds the table of ``docs/accuracy.md``, written by ``scripts/record_acceptance.py``: per profile
and quantity the worst condition, with its bar.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..study import StudySpec

RECORDED = Path(__file__).with_name("acceptance.json")
FORMAT = ("lungtwin qa", 2)


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity of an acceptance: what was measured, what was asked for, whether it was met."""

    quantity: str
    condition: str
    measured: str
    bar: str
    passed: bool


@dataclass(frozen=True, slots=True)
class ProfileQuality:
    """What is known about one profile of a study.

    Parameters
    ----------
    name
        Of the profile.
    is_own
        Whether it is a file of the user's.
    origin
        Where the acceptance comes from; "" where there is none.
    lines
        The acceptance.
    n_values, n_estimated, estimated
        Sourced values of the scanner, how many of them are estimates, and what is estimated.
    """

    name: str
    is_own: bool
    origin: str
    lines: tuple[Line, ...]
    n_values: int = 0
    n_estimated: int = 0
    estimated: tuple[str, ...] = ()

    @property
    def n_bars(self) -> int:
        """Lines with a bar."""
        return sum(line.bar != "none" for line in self.lines)

    @property
    def n_missed(self) -> int:
        """Bars that were missed."""
        return sum(not line.passed for line in self.lines)


def profiles(study: StudySpec, handed_in: Sequence[str | os.PathLike[str]] = ()) -> list[ProfileQuality]:
    """Every profile of a study with its acceptance; one handed in (``qa.json``) counts before the recorded one.

    Raises
    ------
    ValueError
        If a file that was handed in is none of ``lungtwin qa``, or of a profile that the study does not use.
    """
    own = {found["profile"]: (Path(path), found) for path in handed_in for found in (_read(path),)}
    known = {Path(scan.profile).stem: scan.profile for scan in study.scans}
    for name, (path, _) in own.items():
        if name not in known:
            raise ValueError(f"{path}: is of the profile {name!r}, which the study does not use: {', '.join(known)}")
    found = []
    for name, profile in known.items():
        lines, origin = _recorded(name) if name == profile else ((), "")
        if name in own:
            data = own[name][1]
            lines, origin = _lines(data), f"measured by lungtwin qa, level {data['level']}"
        found.append(
            ProfileQuality(name, name != profile, origin, lines, **(_sources(study, name) if name == profile else {}))
        )
    return found


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if (data["format"], data["version"]) != FORMAT:
            raise ValueError(f"format is {data['format']!r}, {data['version']!r}, expected {FORMAT}")
        _lines(data)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: is no qa.json of `lungtwin qa`: {error}") from None
    return dict(data)


def _lines(data: dict[str, Any]) -> tuple[Line, ...]:
    return tuple(
        Line(
            row["quantity"],
            row["condition"],
            "not to be had" if row["measured"] is None else f"{row['measured']:.4g} {row['unit']}".strip(),
            f"{row['bar']} {row['unit']}".strip() if row["bar"] != "none" else "none",
            bool(row["passed"]),
        )
        for row in data["rows"]
    )


def _recorded(name: str) -> tuple[tuple[Line, ...], str]:
    data = _acceptance()
    rows = data["profiles"].get(name, [])
    lines = tuple(Line(row["quantity"], "", row["measured"], row["bar"], row["passed"]) for row in rows)
    return lines, f"recorded {data['date']} by lungtwin qa, level {data['level']}" if lines else ""


@cache
def _acceptance() -> dict[str, Any]:
    return dict(json.loads(RECORDED.read_text(encoding="utf-8")))


def _sources(study: StudySpec, name: str) -> dict[str, Any]:
    """How sure the values of a profile of the package are."""
    from ctsim import load_profile
    from ctsim.facts import facts

    profile = load_profile(name)
    used = {f"protocols.{scan.protocol}" for scan in study.scans if scan.profile == name}
    used |= {f"kernels.{scan.kernel}" for scan in study.scans if scan.profile == name}
    things = {fact.field.rsplit(".", 1)[0] for fact in facts(profile) if fact.status == "estimated"}
    numbers = [fact for fact in facts(profile) if fact.field.startswith("scanner.") and fact.source]
    estimated = [field for entry in profile.sources if entry.status == "estimated" for field in entry.fields]
    return {
        "n_values": len(numbers),
        "n_estimated": sum(fact.status == "estimated" for fact in numbers),
        "estimated": (*estimated, *sorted(thing for thing in used if thing in things)),
    }
