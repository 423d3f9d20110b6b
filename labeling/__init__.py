"""What nodules turn out to be: labels drawn from published risk models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cards import model_card as model_card
    from .columns import CovariateError as CovariateError
    from .covariate import Covariate as Covariate
    from .covariate import Exclusion as Exclusion
    from .covariates import nodule_covariates as nodule_covariates
    from .evaluation import Evaluation as Evaluation
    from .evaluation import evaluate as evaluate
    from .model import Derivation as Derivation
    from .model import ModelSpec as ModelSpec
    from .model import Performance as Performance
    from .model import get as get
    from .model import models as models
    from .model import read_model as read_model
    from .model import write_model as write_model
    from .outcomes import Outcome as Outcome
    from .outcomes import assign as assign
    from .outcomes import load as load
    from .outcomes import save as save
    from .scoring import ExtrapolationWarning as ExtrapolationWarning
    from .scoring import Scores as Scores
    from .terms import Term as Term
    from .vocabulary import VOCABULARY as VOCABULARY
    from .vocabulary import Meaning as Meaning

_HOMES = {
    "Covariate": ".covariate",
    "CovariateError": ".columns",
    "Derivation": ".model",
    "Evaluation": ".evaluation",
    "Exclusion": ".covariate",
    "ExtrapolationWarning": ".scoring",
    "Meaning": ".vocabulary",
    "ModelSpec": ".model",
    "Outcome": ".outcomes",
    "Performance": ".model",
    "Scores": ".scoring",
    "Term": ".terms",
    "VOCABULARY": ".vocabulary",
    "assign": ".outcomes",
    "evaluate": ".evaluation",
    "get": ".model",
    "load": ".outcomes",
    "model_card": ".cards",
    "models": ".model",
    "nodule_covariates": ".covariates",
    "read_model": ".model",
    "save": ".outcomes",
    "write_model": ".model",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
