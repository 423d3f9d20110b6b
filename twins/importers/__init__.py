"""Patient twins: a user's own volumes turned into twins."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ct import from_ct as from_ct
    from .growing import grow_trees as grow_trees
    from .icrp import from_icrp as from_icrp
    from .xcat import from_xcat as from_xcat
    from .xcist import from_xcist as from_xcist

_HOMES = {
    "from_ct": ".ct",
    "from_icrp": ".icrp",
    "from_xcat": ".xcat",
    "from_xcist": ".xcist",
    "grow_trees": ".growing",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
