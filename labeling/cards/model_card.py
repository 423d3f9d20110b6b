"""The card of a risk model, in Markdown.

Headings follow TRIPOD+AI (G. S. Collins et al., BMJ 2024;385:e078378) as far as a published equation can fill them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..covariate import Covariate, Exclusion
from ..model import Derivation, ModelSpec, Performance
from ..vocabulary import VOCABULARY
from .equation import equation, transformed


def model_card(model: ModelSpec) -> str:
    """Everything that a model's file says, for people: use, population, equation, figures, limits, claims, source.

    Examples
    --------
    >>> from labeling import get
    >>> print(model_card(get("size-only")).splitlines()[0])
    # Model card: size-only
    """
    parts = [
        f"# Model card: {model.id}",
        model.title + ".",
        _table(
            ("id", "version", "level", "sha256 of the content"),
            [(model.id, model.version, model.level, f"`{model.hash()}`")],
        ),
        "## Intended use",
        _intended_use(model),
        "## Outcome and horizon",
        f"{_sentence(model.outcome)} {_sentence(model.horizon)}",
        "## Population it was developed on",
        _sentence(model.population),
        "## Inputs",
        _inputs(model.covariates),
        *_rules(model),
        *_exclusions(model.exclusions),
        "## Equation",
        f"```text\n{equation(model)}\n```",
        "`[x is v]` is 1 where x has the value v, else 0. " + _sentence(f"Precision: {model.precision}"),
        "## Coefficients",
        _coefficients(model),
        _sentence(model.uncertainty),
        *(_derivation(model.derivation) if model.derivation else ()),
        "## Performance as published",
        _performance([p for p in model.performance if not _on_nlst(p)], "outside NLST"),
        "## Validation on NLST",
        _performance([p for p in model.performance if _on_nlst(p)], "on NLST"),
        "## Status and limits",
        _sentence(model.status),
        "## What may honestly be claimed",
        _claims(model),
        "## Source, checks, licence",
        _table(
            ("", ""),
            [
                ("source", model.citation),
                ("coefficients compared with", "; ".join(model.checked_by) or "nothing but their own source"),
                ("licence", model.licence),
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _intended_use(model: ModelSpec) -> str:
    if model.derivation is not None and model.derivation.synthetic:
        return "Tests and teaching alone: the tables that it was fitted on are synthetic. Not for the care of patients."
    what = {
        "nodule": "Labels for simulated nodules, and scores of nodule tables in research. Each row is one nodule; "
        "nodules of one person share the person's covariates and are independent given them.",
        "participant": "Risk of people in simulated or recorded cohorts. Each row is one person; the probability is "
        "that of the person, not of any nodule, and is not to be put on nodules or added to a nodule model.",
    }[model.level]
    return what + " Not for the care of patients."


def _inputs(covariates: Sequence[Covariate]) -> str:
    rows = []
    for c in covariates:
        developed = "" if c.trained is None else f"{c.trained[0]:g} to {c.trained[1]:g}"
        seen = "yes" if VOCABULARY[c.name].visible else "no"
        computed = "" if c.from_model is None else f" Computed by the model `{c.from_model}` where not given."
        reference = str(c.reference).lower() if isinstance(c.reference, bool) else str(c.reference)
        rows.append((f"`{c.name}`", _sentence(c.meaning) + computed, c.wanted, developed, reference, seen))
    return _table(("name", "meaning", "accepted", "developed on", "reference", "visible in the image"), rows)


def _rules(model: ModelSpec) -> Iterable[str]:
    lines = [
        f"- `{c.name}` is {_value(rule.gives)} where `{rule.covariate}` is {_value(rule.value)}."
        for c in model.covariates
        for rule in c.implied
    ]
    return ["\n".join(lines)] if lines else []


def _exclusions(exclusions: Sequence[Exclusion]) -> Iterable[str]:
    if not exclusions:
        return []
    does = {"zero": "p is 0, flagged as outside the model", "refuse": "refused"}
    lines = [f"- `{e.covariate}` is {_value(e.value)}: {does[e.effect]}. {_sentence(e.reason)}" for e in exclusions]
    return ["Whom it says nothing about, where a column says so:", "\n".join(lines)]


def _coefficients(model: ModelSpec) -> str:
    errors: list[float | None] = [None, *(term.standard_error for term in model.terms)]
    if model.covariance is not None:
        variances = np.sqrt(np.diag(np.array(model.covariance, dtype=np.float64)))
        errors = [e if e is not None else float(v) for e, v in zip(errors, variances, strict=True)]
    names = ["constant", *(f"`{transformed(term)}`" for term in model.terms)]
    values = [model.intercept, *(term.coefficient for term in model.terms)]
    rows = [
        (name, f"{value!r}", "" if error is None else f"{error:.4g}", "" if i == 0 else f"{np.exp(value):.4g}")
        for i, (name, value, error) in enumerate(zip(names, values, errors, strict=True))
    ]
    return _table(("term", "coefficient", "standard error", "odds ratio per unit of the term"), rows)


def _derivation(d: Derivation) -> Iterable[str]:
    figures = [
        ("rows", f"{d.n:,}"),
        ("events", f"{d.events:,}"),
        ("participants", f"{d.clusters:,}"),
        ("events per variable", f"{d.events_per_variable:.1f}"),
        ("AUC on the rows of the fit", "" if d.apparent_auc is None else f"{d.apparent_auc:.4f}"),
        ("AUC corrected for optimism", "" if d.corrected_auc is None else f"{d.corrected_auc:.4f}"),
        ("AUC, cross-validated", "" if d.cross_validated_auc is None else f"{d.cross_validated_auc:.4f}"),
        ("label", d.label),
        ("left out", "; ".join(d.left_out)),
        ("tables", "; ".join(d.tables)),
        ("method", d.method),
    ]
    parts = ["## Derivation"]
    if d.synthetic:
        parts.append("**Fitted on synthetic tables: the coefficients say nothing about people.**")
    return [*parts, _table(("", ""), figures)]


def _performance(rows: Sequence[Performance], where: str) -> str:
    if not rows:
        return f"None {where} is recorded in the model's file."
    return _table(
        ("measure", "value", "95 % interval", "on whom", "source", "read in full text"),
        [
            (
                p.measure,
                f"{p.value:g}",
                "" if p.interval is None else f"{p.interval[0]:g} to {p.interval[1]:g}",
                p.population,
                p.source,
                "yes" if p.verified else "no",
            )
            for p in rows
        ],
    )


def _on_nlst(performance: Performance) -> bool:
    return "NLST" in performance.population or "National Lung Screening" in performance.population


def _claims(model: ModelSpec) -> str:
    d = model.derivation
    not_so = ["validated", "clinically calibrated", "pathology-proven"]
    if d is None:
        what = "a published risk model" if model.published else f"{model.id}, which is not a published model"
        may = f"the labels are Bernoulli draws from {what}: {model.title} ({model.citation})."
        if not model.published:
            not_so.insert(0, "published")
        if "NLST" not in model.population:
            not_so.insert(0, "NLST-trained")
    elif d.synthetic:
        may = (
            "the model was fitted on synthetic tables of the shape of NLST, drawn from published margins; they carry "
            "no participant of NLST. Its coefficients must recover the generating ones and mean nothing clinically."
        )
        not_so.insert(0, "NLST-trained")
    else:
        may = (
            f"the labels are Bernoulli draws from a model fitted on {'; '.join(d.tables)}, with the label rule given "
            "above."
        )
        if model.level == "nodule":
            may += " NLST did not record which nodule was the cancer: nodule labels are inferred."
    return "\n\n".join(
        (
            f"May be said: {may}",
            f"Not to be said of such labels or scores: {', '.join(not_so)}. They are not for the care of patients.",
            "On labels drawn from this model, a calibration slope of 1 and an offset of 0 show that the draws are what "
            "they claim to be, and nothing about patients.",
        )
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."
