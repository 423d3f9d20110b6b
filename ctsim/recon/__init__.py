"""From a sinogram to an image in Hounsfield units: filtered back projection, axial (FDK) and helical (WFBP)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .kernels import Kernel as Kernel
    from .reconstruction import reconstruct as reconstruct

_HOMES = {
    "Kernel": ".kernels",
    "reconstruct": ".reconstruction",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
