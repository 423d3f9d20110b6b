"""Lesions on the fly, while a network trains: transforms for MONAI and TorchIO around a core that needs neither."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arrays import Labels as Labels
    from .arrays import inserted as inserted
    from .for_monai import RandInsertNoduled as RandInsertNoduled
    from .for_torchio import InsertNodules as InsertNodules
    from .for_torchio import RandomInsertNodules as RandomInsertNodules
    from .spec import Insertion as Insertion

_HOMES = {
    "InsertNodules": ".for_torchio",
    "Insertion": ".spec",
    "Labels": ".arrays",
    "RandInsertNoduled": ".for_monai",
    "RandomInsertNodules": ".for_torchio",
    "inserted": ".arrays",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
