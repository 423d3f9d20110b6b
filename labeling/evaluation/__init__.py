"""How well probabilities agree with outcomes: discrimination, calibration, usefulness for decisions."""

from __future__ import annotations

from .calibration import Bin as Bin
from .calibration import Smooth as Smooth
from .decision import NetBenefit as NetBenefit
from .discrimination import auc_difference as auc_difference
from .discrimination import delong as delong
from .evaluate import MINIMUM_EVENTS as MINIMUM_EVENTS
from .evaluate import Evaluation as Evaluation
from .evaluate import evaluate as evaluate
from .inputs import Estimate as Estimate
from .plots import plot_calibration as plot_calibration
from .plots import plot_decision as plot_decision
from .plots import plot_roc as plot_roc
