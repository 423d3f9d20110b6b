"""Lesions in real images: parametric nodules and real tumours in a user's own CT, at its resolution."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .composition import InsertionError as InsertionError
    from .composition import Tumour as Tumour
    from .composition import Tumours as Tumours
    from .composition import insert_seeds as insert_seeds
    from .host import Host as Host
    from .host import prepare as prepare
    from .hostfile import load_host as load_host
    from .hostfile import save_host as save_host
    from .isolation import Isolated as Isolated
    from .isolation import isolate as isolate
    from .morphing import Morph as Morph
    from .morphing import draw_morph as draw_morph
    from .morphing import draw_seeds as draw_seeds
    from .morphing import morph as morph
    from .nodules import insert_nodules as insert_nodules
    from .resolution import Resolution as Resolution
    from .resolution import ResolutionError as ResolutionError
    from .resolution import measure_resolution as measure_resolution
    from .resolution import resolution_of_kernel as resolution_of_kernel
    from .seeds import Seed as Seed
    from .seeds import load_seed as load_seed
    from .seeds import save_seed as save_seed

_HOMES = {
    "Host": ".host",
    "InsertionError": ".composition",
    "Morph": ".morphing",
    "Resolution": ".resolution",
    "ResolutionError": ".resolution",
    "Seed": ".seeds",
    "Tumour": ".composition",
    "Tumours": ".composition",
    "Isolated": ".isolation",
    "draw_morph": ".morphing",
    "draw_seeds": ".morphing",
    "insert_nodules": ".nodules",
    "insert_seeds": ".composition",
    "isolate": ".isolation",
    "load_host": ".hostfile",
    "load_seed": ".seeds",
    "measure_resolution": ".resolution",
    "morph": ".morphing",
    "prepare": ".host",
    "resolution_of_kernel": ".resolution",
    "save_host": ".hostfile",
    "save_seed": ".seeds",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
