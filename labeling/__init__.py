"""What nodules turn out to be: labels drawn from published risk models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .covariates import nodule_covariates as nodule_covariates
    from .model import ModelSpec as ModelSpec
    from .model import get as get
    from .model import models as models
    from .outcomes import Outcome as Outcome
    from .outcomes import assign as assign
    from .outcomes import load as load
    from .outcomes import save as save

_HOMES = {
    "ModelSpec": ".model",
    "Outcome": ".outcomes",
    "assign": ".outcomes",
    "get": ".model",
    "load": ".outcomes",
    "models": ".model",
    "nodule_covariates": ".covariates",
    "save": ".outcomes",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
