"""Outcomes: what the nodules of a twin turn out to be, drawn from a published model, with all that led there.

Labels are draws from a model; they make no clinical claim. How chance is keyed: :mod:`labeling.assignment`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from lesions import Truth
from twins import Patient
from twins.files import replacing

from .assignment import Label, LabelTable, Mode, assign_table, uniforms
from .columns import CovariateError
from .comparison import side_by_side
from .covariate import Value
from .covariates import nodule_covariates, nominal
from .model import ModelSpec, get
from .rules import bts_2015, lung_rads
from .scoring import Impute, probability_of

FORMAT = "lungtwin.outcomes/2"

HINTS = {
    "upper_lobe": "the twin knows only whole lungs: name the lobe in the nodule",
    "upper_lobe_without_lingula": "twins know no lingula: only nodules outside the left upper lobe can be told",
    "fdg_uptake": "nothing in a CT twin says",
    "family_history_any_cancer": "set it in the patient of a patient twin",
}
ELSE = "set it in the twin's patient"


class Outcome(BaseModel):
    """What a nodule turned out to be, and all that led there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodule_id: str = Field(description="Nodule")
    label: Label | None = Field(description="malignant or benign; None for soft labels")
    probability: float = Field(ge=0, le=1, description="Probability of malignancy, after the shift [1]")
    logit: float | None = Field(description="Log odds of malignancy, after the shift; None for probability 0 [1]")
    u: float | None = Field(ge=0, lt=1, description="Uniform number of this nodule; None where nothing is drawn [1]")
    draws: tuple[float, ...] = Field(description="Uniform numbers of all draws, u being the first [1]")
    mode: Mode = Field(description="bernoulli: malignant where u < probability; threshold; soft: no label")
    threshold: float | None = Field(description="Malignant from this probability on, for that mode [1]")
    shift: float = Field(description="Added to the model's log odds to change the prevalence [1]")
    visible_only: bool = Field(description="Covariates that no image shows were held at the model's reference")
    model_id: str = Field(description="Risk model")
    model_version: str = Field(description="Version of the model's file")
    model_hash: str = Field(description="sha256 of the model's content")
    inputs: dict[str, Value] = Field(description="Covariates that the model used, measured, imputed or held")
    imputed: tuple[str, ...] = Field(description="Covariates that were not known and set to the model's reference")
    held: tuple[str, ...] = Field(description="Covariates held at the model's reference since no image shows them")
    extrapolated: tuple[str, ...] = Field(description="Covariates outside the range the model was developed on")
    excluded: bool = Field(description="Outside the model, which takes such nodules as benign: probability 0")
    unchecked: tuple[str, ...] = Field(description="Exclusions of the model that could not be checked")
    nominal: dict[str, Value] = Field(description="What the nodule's spec asked for, beside what was measured")
    probability_low: float | None = Field(description="2.5 % bound from the uncertainty of the coefficients [1]")
    probability_high: float | None = Field(description="97.5 % bound from the uncertainty of the coefficients [1]")
    interval_basis: str | None = Field(description="What these bounds rest on")
    visible_logit: float | None = Field(
        description="Log odds with what no image shows at the model's reference, before the shift; None for "
        "probability 0: the best that an image can rank by [1]"
    )
    rules: dict[str, str | None] = Field(
        description="Categories of rule systems, derived from the same covariates, never labels; None where one lacks "
        "something or says nothing"
    )
    by_model: dict[str, float | None] = Field(
        description="Probability by every nodule model of the package, unshifted; None where it lacks or refuses "
        "something [1]"
    )


def assign(
    truth: Truth,
    patient: Patient,
    *,
    model: str | ModelSpec = "brock-2b",
    key: int,
    mode: Mode = "bernoulli",
    threshold: float | None = None,
    n_draws: int = 1,
    shift: float = 0.0,
    visible_only: bool = False,
    impute: Impute | None = None,
) -> tuple[Outcome, ...]:
    """One outcome per nodule, independent given the covariates; none for mimics, which are no nodules.

    Parameters
    ----------
    truth, patient
        Where the covariates come from.
    model, mode, threshold, n_draws, shift, visible_only, impute
        As in :func:`labeling.assign_table`.
    key
        Fixes the draws [64-bit integer].

    Raises
    ------
    ValueError
        If the model is not one of nodules, needs what is not known and ``impute`` is None, or a value is outside what
        the model accepts.

    Warns
    -----
    ThresholdWarning
        For labels that are cut instead of drawn.
    """
    from .visibility import visible_scores

    spec = get(model) if isinstance(model, str) else model
    if spec.level != "nodule":
        raise ValueError(f"model {spec.id!r} is of {spec.level}s: it cannot label nodules")
    nodules = [nodule for nodule in truth.nodules if not nodule.is_mimic]
    known = [nodule_covariates(nodule, truth, patient) for nodule in nodules]
    ids = [nodule.id for nodule in nodules]
    if not known:
        return ()
    if impute is None and not visible_only:
        _refuse_unknown(spec, ids, known)
    table = assign_table(
        known,
        ids,
        key=key,
        model=spec,
        mode=mode,
        threshold=threshold,
        n_draws=n_draws,
        shift=shift,
        visible_only=visible_only,
        impute=impute,
        warn=mode == "threshold",
    )
    visible = table.scores if visible_only else visible_scores(spec, known, "reference")
    others = side_by_side(known)
    rules = _rules(known, others["brock-2b"])
    return tuple(
        _outcome(
            table,
            i,
            rules=rules[i],
            nominal=nominal(nodule),
            visible_logit=_finite(visible.logit[i]),
            by_model={name: None if np.isnan(p[i]) else float(p[i]) for name, p in others.items()},
        )
        for i, nodule in enumerate(nodules)
    )


def participant_label(outcomes: Sequence[Outcome]) -> Label | None:
    """Malignant if any nodule is; benign without nodules; None for soft labels."""
    labels = [outcome.label for outcome in outcomes]
    if any(label is None for label in labels):
        return None
    return "malignant" if "malignant" in labels else "benign"


def participant_probability(outcomes: Sequence[Outcome]) -> float:
    """Probability of at least one malignant nodule, ``1 - prod (1 - p)``: nodules are drawn independently."""
    return 1 - math.prod(1 - outcome.probability for outcome in outcomes)


def problems_of(outcome: Outcome, key: int) -> tuple[str, ...]:
    """What in an outcome does not follow from its inputs, its model and its key; nothing if all is well."""
    found = []
    try:
        spec = get(outcome.model_id)
    except ValueError as error:
        return (str(error),)
    if spec.hash() != outcome.model_hash:
        found.append(f"model {outcome.model_id!r} is another one than the labels were made with")
    elif outcome.excluded:
        if outcome.probability != 0 or outcome.logit is not None:
            found.append(f"outside the model, but probability is {outcome.probability}")
    else:
        logit = float(spec.logit([outcome.inputs])[0]) + outcome.shift
        if outcome.logit is None or not math.isclose(logit, outcome.logit, rel_tol=1e-12, abs_tol=1e-12):
            found.append(f"log odds are {outcome.logit}, the model says {logit}")
    if outcome.logit is not None:
        probability = float(probability_of(np.array([outcome.logit]))[0])
        if not math.isclose(probability, outcome.probability, rel_tol=1e-12):
            found.append(f"probability is {outcome.probability}, log odds of {outcome.logit} mean {probability}")
    drawn = outcome.mode == "bernoulli"
    if drawn and (not outcome.draws or outcome.u != outcome.draws[0]):
        found.append(f"u is {outcome.u}, the first draw is {outcome.draws[:1]}")
    if drawn and tuple(uniforms(key, outcome.nodule_id, len(outcome.draws)).tolist()) != outcome.draws:
        found.append(f"draws are not those of key {key}")
    if outcome.label != expected_label(outcome.mode, outcome.probability, outcome.u, outcome.threshold):
        found.append(f"label is {outcome.label}, with probability {outcome.probability} and u {outcome.u}")
    return tuple(found)


def expected_label(mode: Mode, probability: float, u: float | None, threshold: float | None) -> Label | None:
    """The label that follows from these numbers."""
    if mode == "soft":
        return None
    if mode == "threshold":
        return "malignant" if threshold is not None and probability >= threshold else "benign"
    return "malignant" if u is not None and u < probability else "benign"


def save(outcomes: Sequence[Outcome], path: str | os.PathLike[str]) -> None:
    """Write outcomes as JSON; the same outcomes give the same bytes."""
    data = {"format": FORMAT, "outcomes": [outcome.model_dump(mode="json") for outcome in outcomes]}
    with replacing(path) as part:
        part.write_text(json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str]) -> tuple[Outcome, ...]:
    """Read what :func:`save` wrote.

    Raises
    ------
    ValueError
        If the file is not one of outcomes.
    """
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"{path}: not a file of outcomes (format {FORMAT!r})")
    return tuple(Outcome.model_validate(outcome) for outcome in data["outcomes"])


def _outcome(table: LabelTable, i: int, **facts: Any) -> Outcome:
    spec, scores = table.model, table.scores
    drawn = () if table.u is None else tuple(table.u[:, i].tolist())
    label: Label | None = None
    if table.malignant is not None:
        label = "malignant" if table.malignant[0, i] else "benign"
    return Outcome(
        nodule_id=table.ids[i],
        label=label,
        probability=float(table.probability[i]),
        logit=_finite(table.logit[i]),
        u=drawn[0] if drawn else None,
        draws=drawn,
        mode=table.mode,
        threshold=table.threshold,
        shift=table.shift,
        visible_only=table.visible_only,
        model_id=spec.id,
        model_version=spec.version,
        model_hash=spec.hash(),
        inputs={name: _plain(column[i]) for name, column in scores.inputs.items()},
        imputed=table.flagged(scores.imputed, i),
        held=table.fixed,
        extrapolated=table.flagged(scores.extrapolated, i),
        excluded=bool(scores.excluded[i]),
        unchecked=tuple(name for name, flags in table.unchecked.items() if flags[i]),
        probability_low=None if table.probability_low is None else float(table.probability_low[i]),
        probability_high=None if table.probability_high is None else float(table.probability_high[i]),
        interval_basis=table.interval_basis,
        **facts,
    )


def _rules(known: Sequence[dict[str, Value | None]], brock: NDArray[np.float64]) -> list[dict[str, str | None]]:
    records = [{**k, "brock_probability": None if np.isnan(p) else float(p)} for k, p in zip(known, brock, strict=True)]
    found: list[dict[str, str | None]] = [{} for _ in records]
    for name, system in (
        ("lung_rads_2022", lambda table: lung_rads(table, "2022")),
        ("lung_rads_1_1", lambda table: lung_rads(table, "1.1")),
        ("bts_2015", bts_2015),
    ):
        rows = list(range(len(records)))
        while rows:
            try:
                categories = system([records[i] for i in rows]).category
            except CovariateError as error:
                wrong = set(error.rows.tolist())
                rows = [i for k, i in enumerate(rows) if k not in wrong] if wrong else []
                continue
            for i, category in zip(rows, categories, strict=True):
                found[i][name] = str(category)
            break
        for columns in found:
            columns.setdefault(name, None)
    return found


def _refuse_unknown(spec: ModelSpec, ids: Sequence[str], known: Sequence[dict[str, Value | None]]) -> None:
    """Say which nodule lacks what, and where it could be set."""
    for name, values in zip(ids, known, strict=True):
        missing = [c for c in spec.covariates if values.get(c.name) is None and c.from_model is None]
        missing = [c for c in missing if not any(values.get(r.covariate) == r.value for r in c.implied)]
        if missing:
            details = "; ".join(f"{c.name} ({HINTS.get(c.name, ELSE)})" for c in missing)
            raise ValueError(
                f"nodule {name!r}: model {spec.id!r} needs covariates that are not known: {details}. "
                "impute='reference' takes the model's reference values instead, and records it"
            )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _plain(value: Any) -> Value:
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
