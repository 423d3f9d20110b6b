"""What grows in a twin: parametric lung nodules of exact volume, their placement, insertion and truth."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classes import examples as examples
    from .clearance import Clearance as Clearance
    from .cohorts import draw as draw
    from .hounsfield import hounsfield_equivalent as hounsfield_equivalent
    from .insertion import insert as insert
    from .nodule import Nodule as Nodule
    from .placement import place as place
    from .sizing import sized as sized
    from .taken import PlacementError as PlacementError
    from .truth import NoduleTruth as NoduleTruth
    from .truth import Truth as Truth
    from .truth import load as load
    from .truth import save as save

_HOMES = {
    "Clearance": ".clearance",
    "Nodule": ".nodule",
    "NoduleTruth": ".truth",
    "PlacementError": ".taken",
    "Truth": ".truth",
    "draw": ".cohorts",
    "examples": ".classes",
    "hounsfield_equivalent": ".hounsfield",
    "insert": ".insertion",
    "load": ".truth",
    "place": ".placement",
    "save": ".truth",
    "sized": ".sizing",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
