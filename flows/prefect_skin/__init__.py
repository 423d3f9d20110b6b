"""The only room that knows Prefect: it schedules, retries and shows. What is done, and what exists, the build decides.

A flow run holds the dataset's folder, or shares it as one shard, from its first task to its last. Every case is one
task, or on a cluster every family of cases: it hands on a small record, never arrays. Prefect's result cache is off:
the store knows better, as it verifies files.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .building import build_dataset_flow as build_dataset_flow
    from .building import merge_dataset_flow as merge_dataset_flow
    from .serving import prepare_server as prepare_server
    from .serving import serve_presets as serve_presets

_HOMES = {
    "build_dataset_flow": ".building",
    "merge_dataset_flow": ".building",
    "prepare_server": ".serving",
    "serve_presets": ".serving",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
