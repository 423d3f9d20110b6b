"""Fit a risk model on NLST tables, and say with it how the outcome was read, on how much, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..covariate import Covariate
from ..model import Derivation, ModelSpec
from ..terms import Term
from .definitions import Definition
from .estimate import (
    Floats,
    Penalty,
    auc,
    cross_validated_auc,
    estimate,
    optimism,
    sandwich,
    separating,
)
from .predictors import (
    NODULE_PREDICTORS,
    PARTICIPANT_PREDICTORS,
    TermTransformer,
    Transform,
    choose,
    covariate,
)
from .tables import NlstTables, Source, read_nlst

MIN_EVENTS = 50
"""Fewer events than this are never fitted (design default)."""

MIN_EVENTS_PER_VARIABLE = 10.0
"""Below, maximum likelihood is refused and Firth's is offered (Peduzzi et al., J Clin Epidemiol 1996;49:1373)."""


def fit_nlst(
    ctab: Source,
    prsn: Source,
    *,
    label: Definition,
    rng: np.random.Generator,
    ctabc: Source | None = None,
    screen: Source | None = None,
    predictors: Sequence[str] | None = None,
    transforms: Mapping[str, Sequence[Transform]] | None = None,
    penalty: Penalty = None,
    n_bootstrap: int = 200,
    n_folds: int = 5,
    id: str = "nlst-fit",  # noqa: A002
) -> ModelSpec:
    """Fit a logistic risk model on NLST tables.

    Parameters
    ----------
    ctab, prsn, ctabc, screen
        CSV files or data frames, public (IDC, TCIA) or from CDAS; see :func:`read_nlst`. ``screen`` tells the CT arm
        of the public tables; ``ctabc`` is checked against ``ctab`` and not used.
    label
        What counts as the outcome: ``participant_ever()``, ``screen_within(years)`` or ``nodule_lobe(years, ...)``.
        There is no default, since it decides what the probability is of.
    rng
        Source of randomness of bootstrap and folds.
    predictors
        Names of the vocabulary; None takes those of Brock 2b that the public tables have (nodules), or age, sex and
        smoking status (participants). Columns that know the outcome are refused.
    transforms
        How a predictor enters, where it is not to be as in ``PREDICTORS``.
    penalty
        None, maximum likelihood, or "firth"; see :func:`labeling.nlst.estimate.estimate`.
    n_bootstrap
        Resamples of participants for the optimism of the AUC; 0 leaves it out.
    n_folds
        Folds of participants for the cross-validated AUC, at least 2; 0 leaves it out.
    id
        Id of the model.

    Returns
    -------
    ModelSpec
        With standard errors, covariance (clustered by participant) and derivation; ``write_model`` saves it.

    Raises
    ------
    ValueError
        If a table is not as it should be, a predictor leaks, is unknown, lacking or constant, there are fewer than 50
        events, fewer than 10 per coefficient without a penalty, or predictors separate the outcome.
    """
    if not isinstance(label, Definition):
        raise ValueError(f"label must be participant_ever(), screen_within(...) or nodule_lobe(...), got {label!r}")
    if penalty not in (None, "firth"):
        raise ValueError(f"penalty must be None or 'firth', got {penalty!r}")
    if n_bootstrap < 0 or n_folds < 0 or n_folds == 1:
        raise ValueError(f"n_bootstrap must be 0 or more, n_folds 0 or at least 2; got {n_bootstrap} and {n_folds}")
    tables = read_nlst(ctab, prsn, ctabc=ctabc, screen=screen)
    rows, left_out = label.rows(tables)
    default = NODULE_PREDICTORS if label.level == "nodule" else PARTICIPANT_PREDICTORS
    names = tuple(default if predictors is None else predictors)
    terms = choose(names, transforms, rows)
    rows, unknown = _known(rows, names)
    covariates = tuple(covariate(name, rows) for name in names)
    X = np.asarray(TermTransformer(terms).fit_transform(rows), dtype=np.float64)
    y, groups = rows["y"].to_numpy(dtype=np.float64), rows["pid"].to_numpy()
    per_variable = _enough(X, y, groups, terms, penalty)
    beta = estimate(X, y, penalty)
    covariance = sandwich(X, y, groups, beta, penalty)
    apparent = auc(y, X @ beta[1:])
    gap = optimism(X, y, groups, penalty, n_bootstrap, rng) if n_bootstrap else None
    tested = cross_validated_auc(X, y, groups, penalty, n_folds, rng) if n_folds else None
    derivation = Derivation(
        n=len(y),
        events=int(y.sum()),
        clusters=len(np.unique(groups)),
        events_per_variable=per_variable,
        label=label.rule,
        tables=tables.versions or ("no dataset_version in the tables",),
        apparent_auc=apparent,
        corrected_auc=None if gap is None else float(np.clip(apparent - gap, 0, 1)),
        cross_validated_auc=tested,
        left_out=tuple(f"{count} {why}" for why, count in (left_out | unknown).items()),
        method=_method(penalty, n_bootstrap, n_folds),
        synthetic=tables.synthetic,
    )
    return _spec(id, label, tables, covariates, terms, beta, covariance, derivation)


def _known(rows: pd.DataFrame, names: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows of which all predictors are known, and how many were left out for each predictor (the first unknown)."""
    keep = np.ones(len(rows), dtype=bool)
    unknown: dict[str, int] = {}
    for name in names:
        lacking = keep & rows[name].isna().to_numpy()
        if lacking.any():
            unknown[f"{name} not known"] = int(lacking.sum())
            keep &= ~lacking
    return rows[keep].reset_index(drop=True), unknown


def _enough(X: Floats, y: Floats, groups: NDArray[Any], terms: tuple[Term, ...], penalty: Penalty) -> float:
    """Events per coefficient; raises if there is too little to fit, or nothing to fit."""
    events = int(y.sum())
    if events < MIN_EVENTS or len(y) - events < MIN_EVENTS or len(np.unique(groups)) < MIN_EVENTS:
        raise ValueError(
            f"{events} events in {len(y)} rows of {len(np.unique(groups))} participants: fewer than {MIN_EVENTS} "
            "events, non-events or participants are not fitted"
        )
    constant = [_words(term) for term, column in zip(terms, X.T, strict=True) if np.ptp(column) == 0]
    if constant:
        raise ValueError(f"the same in all rows, so that nothing can be said of it: {', '.join(constant)}")
    per_variable = events / len(terms)
    if penalty is None:
        if per_variable < MIN_EVENTS_PER_VARIABLE:
            raise ValueError(
                f"{events} events for {len(terms)} coefficients, {per_variable:.1f} each: fewer than "
                f"{MIN_EVENTS_PER_VARIABLE:g} are not fitted by maximum likelihood; take fewer predictors, or "
                "penalty='firth'"
            )
        guilty = separating(X, y)
        if len(guilty):
            words = ", ".join(_words(terms[i]) for i in guilty)
            raise ValueError(
                f"the outcome is separated by {words}: maximum likelihood has no finite estimate; take it out, or "
                "penalty='firth'"
            )
    return per_variable


def _spec(
    model_id: str,
    label: Definition,
    tables: NlstTables,
    covariates: tuple[Covariate, ...],
    terms: tuple[Term, ...],
    beta: Floats,
    covariance: Floats,
    derivation: Derivation,
) -> ModelSpec:
    errors = np.sqrt(np.diag(covariance))
    what = "nodule" if label.level == "nodule" else "participant"
    made = "SYNTHETIC tables in the shape of NLST: says nothing about people" if tables.synthetic else "NLST tables"
    return ModelSpec(
        id=model_id,
        version="1.0",
        title=f"{what.capitalize()} model fitted on {made}",
        level=label.level,
        citation="Fitted with lungtwin. " + _SOURCES["synthetic" if tables.synthetic else tables.delivery],
        population=_population(tables, derivation),
        outcome=label.rule,
        horizon=label.horizon,
        precision="Floating point, as fitted; see the standard errors",
        status=_status(tables),
        published=False,
        licence=_LICENCES["synthetic" if tables.synthetic else tables.delivery],
        uncertainty=_UNCERTAINTY + (_FLIC if "Firth" in derivation.method else ""),
        intercept=float(beta[0]),
        covariates=covariates,
        terms=tuple(
            term.model_copy(update={"coefficient": float(b), "standard_error": float(se)})
            for term, b, se in zip(terms, beta[1:], errors[1:], strict=True)
        ),
        covariance=tuple(tuple(map(float, row)) for row in covariance),
        derivation=derivation,
    )


_UNCERTAINTY = "Covariance of the fit, clustered by participant; it knows nothing of errors in the labels"
_FLIC = "; that of the intercept is approximate, since it was fitted anew after the slopes"

_SOURCES = {
    "public": "National Lung Screening Trial Research Team, Data from the National Lung Screening Trial (NLST), "
    "The Cancer Imaging Archive, doi 10.7937/TCIA.HMQ8-J677",
    "cdas": "National Lung Screening Trial, tables of the NCI Cancer Data Access System",
    "synthetic": "Synthetic tables made by lungtwin from published margins; no data of the trial",
}
_LICENCES = {
    "public": "The tables are CC BY 4.0 (TCIA); name them when you publish the coefficients",
    "cdas": "The tables are under the user's data transfer agreement with NCI: check it before publishing anything",
    "synthetic": "Made by lungtwin; Apache-2.0 like the package",
}


def _population(tables: NlstTables, derivation: Derivation) -> str:
    who = "synthetic persons" if tables.synthetic else "NLST, CT arm: smokers of at least 30 pack-years aged 55-74"
    return (
        f"{derivation.n} rows ({derivation.events} with the outcome) of {derivation.clusters} participants; {who}. "
        f"Left out: {'; '.join(derivation.left_out) or 'none'}"
    )


def _status(tables: NlstTables) -> str:
    if tables.synthetic:
        return "SYNTHETIC: fitted on made tables to test or to teach. Must not be used for anything else."
    return (
        "Fitted by the user; not validated on other data. Labels are inferred from dates and lobes, since NLST did "
        "not record which nodule a cancer was. For simulation; no clinical use."
    )


def _method(penalty: Penalty, n_bootstrap: int, n_folds: int) -> str:
    fitted = "Maximum likelihood" if penalty is None else "Firth's penalised likelihood, intercept by FLIC"
    parts = [f"{fitted}, logistic; covariance by the sandwich clustered by participant (Liang & Zeger)"]
    if n_bootstrap:
        parts.append(f"optimism of the AUC from {n_bootstrap} bootstrap resamples of participants")
    if n_folds:
        parts.append(f"cross-validated AUC: mean of {n_folds} folds of participants")
    return "; ".join(parts)


def _words(term: Term) -> str:
    value = getattr(term.transform, "value", None)
    return term.covariate if value is None else f"{term.covariate} = {value}"
