"""Acceptance of a scanner profile: measured quantities against their bars."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .examination import EXAMINATIONS as EXAMINATIONS
    from .examination import qualify as qualify
    from .rows import Curve as Curve
    from .rows import Map as Map
    from .rows import Qualification as Qualification
    from .rows import Row as Row

_HOMES = {
    "Curve": ".rows",
    "EXAMINATIONS": ".examination",
    "Map": ".rows",
    "Qualification": ".rows",
    "Row": ".rows",
    "qualify": ".examination",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
