"""Cohorts: who is in a population, as margins and correlations in ``*.yaml``, and how a set of twins agrees with it."""

from __future__ import annotations

from .marginals import Agreement, agreement
from .spec import COHORTS, Cohort, load_cohort

__all__ = ["COHORTS", "Agreement", "Cohort", "agreement", "load_cohort"]
