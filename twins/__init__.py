"""Who is scanned: thorax twins, made from a population spec or from a patient's own CT."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .grid import Grid as Grid
    from .materials import Material as Material
    from .materials import known_materials as known_materials
    from .materials import material as material
    from .patient import Patient as Patient
    from .population import draw as draw
    from .spec import TwinSpec as TwinSpec
    from .store import load as load
    from .store import save as save
    from .structures import LOBES as LOBES
    from .structures import LUNG as LUNG
    from .structures import Structure as Structure
    from .thorax import build as build
    from .trees import Tree as Tree
    from .twin import Inset as Inset
    from .twin import Twin as Twin

_HOMES = {
    "Grid": ".grid",
    "Inset": ".twin",
    "LOBES": ".structures",
    "LUNG": ".structures",
    "Material": ".materials",
    "Patient": ".patient",
    "Structure": ".structures",
    "Tree": ".trees",
    "Twin": ".twin",
    "TwinSpec": ".spec",
    "build": ".thorax",
    "draw": ".population",
    "known_materials": ".materials",
    "load": ".store",
    "material": ".materials",
    "save": ".store",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
