"""Twins as files of other tools: NIfTI of labels and density, voxelized XCIST phantoms."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .labels import write_labels as write_labels
    from .volumes import write_volumes as write_volumes
    from .xcist import write_xcist as write_xcist

_HOMES = {"write_labels": ".labels", "write_volumes": ".volumes", "write_xcist": ".xcist"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
