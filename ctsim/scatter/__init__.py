"""Scattered radiation: a Monte Carlo as the reference, a fast model fitted to it, and the scanner's own correction."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .body import Cylinder as Cylinder
    from .body import VoxelBody as VoxelBody
    from .correction import correct_scatter as correct_scatter
    from .estimate import estimate_scatter as estimate_scatter
    from .field import ScatterField as ScatterField
    from .montecarlo import simulate_kerma as simulate_kerma
    from .montecarlo import simulate_scatter as simulate_scatter

_HOMES = {
    "Cylinder": ".body",
    "ScatterField": ".field",
    "VoxelBody": ".body",
    "correct_scatter": ".correction",
    "estimate_scatter": ".estimate",
    "simulate_kerma": ".montecarlo",
    "simulate_scatter": ".montecarlo",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
