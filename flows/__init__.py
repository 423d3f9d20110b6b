"""How a dataset is made: study, store, stages, build, report; around them the command line and the Prefect skin."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .build import build_dataset as build_dataset
    from .dataset import Dataset as Dataset
    from .study import StudySpec as StudySpec
    from .study import load_study as load_study
    from .study import preset_names as preset_names
    from .study import resolve as resolve

_HOMES = {
    "Dataset": ".dataset",
    "StudySpec": ".study",
    "build_dataset": ".build",
    "load_study": ".study",
    "preset_names": ".study",
    "resolve": ".study",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
