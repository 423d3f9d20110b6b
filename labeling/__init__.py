"""What nodules turn out to be: labels drawn from published risk models."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assignment import LabelTable as LabelTable
    from .assignment import ThresholdWarning as ThresholdWarning
    from .assignment import assign_table as assign_table
    from .assignment import uniforms as uniforms
    from .cards import model_card as model_card
    from .ceiling import any_malignant_probability as any_malignant_probability
    from .ceiling import expected_auc as expected_auc
    from .columns import CovariateError as CovariateError
    from .comparison import side_by_side as side_by_side
    from .covariate import Covariate as Covariate
    from .covariate import Exclusion as Exclusion
    from .covariates import is_perifissural as is_perifissural
    from .covariates import mask_covariates as mask_covariates
    from .covariates import nodule_covariates as nodule_covariates
    from .estimator import PublishedRiskModel as PublishedRiskModel
    from .evaluation import Evaluation as Evaluation
    from .evaluation import evaluate as evaluate
    from .model import Derivation as Derivation
    from .model import ModelSpec as ModelSpec
    from .model import Performance as Performance
    from .model import get as get
    from .model import models as models
    from .model import read_model as read_model
    from .model import write_model as write_model
    from .nlst.definitions import nodule_lobe as nodule_lobe
    from .nlst.definitions import participant_ever as participant_ever
    from .nlst.definitions import screen_within as screen_within
    from .nlst.fit import fit_nlst as fit_nlst
    from .nlst.recalibration import recalibrate as recalibrate
    from .nlst.synthetic import SyntheticNlst as SyntheticNlst
    from .nlst.synthetic import synthetic_nlst as synthetic_nlst
    from .nlst.tables import NlstTables as NlstTables
    from .nlst.tables import read_nlst as read_nlst
    from .outcomes import Outcome as Outcome
    from .outcomes import assign as assign
    from .outcomes import expected_label as expected_label
    from .outcomes import load as load
    from .outcomes import participant_label as participant_label
    from .outcomes import participant_probability as participant_probability
    from .outcomes import problems_of as problems_of
    from .outcomes import save as save
    from .prevalence import Resample as Resample
    from .prevalence import Shift as Shift
    from .prevalence import SizeMix as SizeMix
    from .prevalence import resample as resample
    from .prevalence import shift_to as shift_to
    from .prevalence import size_mix as size_mix
    from .rules import Ruling as Ruling
    from .rules import bts_2015 as bts_2015
    from .rules import fleischner_2017 as fleischner_2017
    from .rules import lung_rads as lung_rads
    from .scoring import ExtrapolationWarning as ExtrapolationWarning
    from .scoring import Scores as Scores
    from .terms import Term as Term
    from .uncertainty import logit_spread as logit_spread
    from .visibility import visible_scores as visible_scores
    from .vocabulary import VOCABULARY as VOCABULARY
    from .vocabulary import Meaning as Meaning

_HOMES = {
    "Covariate": ".covariate",
    "CovariateError": ".columns",
    "Derivation": ".model",
    "Evaluation": ".evaluation",
    "Exclusion": ".covariate",
    "ExtrapolationWarning": ".scoring",
    "LabelTable": ".assignment",
    "Meaning": ".vocabulary",
    "ModelSpec": ".model",
    "NlstTables": ".nlst.tables",
    "Outcome": ".outcomes",
    "Performance": ".model",
    "PublishedRiskModel": ".estimator",
    "Resample": ".prevalence",
    "Ruling": ".rules",
    "Scores": ".scoring",
    "Shift": ".prevalence",
    "SizeMix": ".prevalence",
    "SyntheticNlst": ".nlst.synthetic",
    "Term": ".terms",
    "ThresholdWarning": ".assignment",
    "VOCABULARY": ".vocabulary",
    "any_malignant_probability": ".ceiling",
    "assign": ".outcomes",
    "assign_table": ".assignment",
    "bts_2015": ".rules",
    "evaluate": ".evaluation",
    "expected_auc": ".ceiling",
    "expected_label": ".outcomes",
    "fit_nlst": ".nlst.fit",
    "fleischner_2017": ".rules",
    "get": ".model",
    "is_perifissural": ".covariates",
    "load": ".outcomes",
    "logit_spread": ".uncertainty",
    "lung_rads": ".rules",
    "mask_covariates": ".covariates",
    "model_card": ".cards",
    "models": ".model",
    "nodule_covariates": ".covariates",
    "nodule_lobe": ".nlst.definitions",
    "participant_ever": ".nlst.definitions",
    "participant_label": ".outcomes",
    "participant_probability": ".outcomes",
    "problems_of": ".outcomes",
    "read_model": ".model",
    "read_nlst": ".nlst.tables",
    "recalibrate": ".nlst.recalibration",
    "resample": ".prevalence",
    "save": ".outcomes",
    "screen_within": ".nlst.definitions",
    "shift_to": ".prevalence",
    "side_by_side": ".comparison",
    "size_mix": ".prevalence",
    "synthetic_nlst": ".nlst.synthetic",
    "uniforms": ".assignment",
    "visible_scores": ".visibility",
    "write_model": ".model",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
