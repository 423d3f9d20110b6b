"""Tables of ``lungtwin label`` on the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from labeling import Evaluation, ModelSpec

    from ..risk.scoring import Scored

EXAMPLE = {
    "age_y": 65.0,
    "sex": "male",
    "family_history": False,
    "emphysema": False,
    "long_axis_mm": 10.0,
    "upper_lobe": False,
    "nodule_count": 1,
    "spiculation": False,
}


def models_table(models: Sequence[ModelSpec]) -> object:
    """Per model: id, level, title, outcome, status, areas as published; narrow enough for 80 columns."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(Column("id", no_wrap=True), "model", Column("AUC, published", max_width=15))
    for model in models:
        name = Text.assemble((model.id, "bold"), f"\n{model.level}")
        said = Text.assemble(f"{model.title}\n", ("outcome  ", "dim"), f"{model.outcome}\n")
        said.append_text(Text.assemble(("status   ", "dim"), _first(model.status)))
        table.add_row(name, said, Text(_auc(model)), end_section=True)
    return table


def _auc(model: ModelSpec) -> str:
    rows = [p for p in model.performance if p.measure == "AUC"]
    return "\n".join(f"{p.value:g} {re.split('[:;,]', p.population)[0]}" for p in rows) or "none"


def _first(text: str) -> str:
    return re.split(r"(?<=[.:]) ", text, maxsplit=1)[0].rstrip(":")


def worked_example() -> str:
    """The example by which copies of the Brock model can be checked."""
    import labeling

    types = ("solid", "part_solid", "nonsolid")
    p = labeling.get("brock-2b").probability([{**EXAMPLE, "nodule_type": kind} for kind in types])
    shown = ", ".join(
        f"{kind.replace('_', '-')} {100 * float(value):.4f} %" for kind, value in zip(types, p, strict=True)
    )
    return (
        "Worked example, brock-2b: 65-year-old man, no family history, no emphysema, one nodule of 10 mm in a lower "
        f"lobe, no spiculation: {shown}"
    )


def scores_table(scored: Sequence[Scored], n: int) -> object:
    """Per model: mean and range of p, and how many rows were imputed, extrapolated, excluded."""
    import numpy as np
    from rich.table import Column, Table

    table = Table(f"{n:,} rows", *(Column(each.model.id, overflow="fold") for each in scored))
    scores = [each.scores for each in scored]
    for name, of in (("mean p", np.mean), ("lowest p", np.min), ("highest p", np.max)):
        table.add_row(name, *(f"{of(s.probability):.4g}" for s in scores))
    table.add_row("rows imputed", *(_count(s.imputed) for s in scores))
    table.add_row("rows extrapolated", *(_count(s.extrapolated) for s in scores))
    table.add_row("rows excluded", *(str(int(s.excluded.sum())) for s in scores))
    return table


def _count(flags: dict[str, NDArray[np.bool_]]) -> str:
    """In how many rows any covariate is flagged."""
    import numpy as np

    return str(int(np.any(list(flags.values()), axis=0).sum()))


def fit_table(model: ModelSpec) -> object:
    """Coefficients of a fitted model with standard errors, and how well it did."""
    from rich.markup import escape
    from rich.table import Table

    from labeling.cards.equation import transformed

    d = model.derivation
    title = model.id if d is None else f"{model.id}: {d.n:,} rows, {d.events:,} events, {d.clusters:,} participants"
    table = Table("term", "coefficient", "standard error", title=title)
    table.add_row(
        "constant", f"{model.intercept:.5g}", "" if model.covariance is None else f"{model.covariance[0][0] ** 0.5:.3g}"
    )
    for term in model.terms:
        error = "" if term.standard_error is None else f"{term.standard_error:.3g}"
        table.add_row(escape(transformed(term)), f"{term.coefficient:.5g}", error)
    if d is not None:
        table.add_section()
        figures = {
            "events per variable": d.events_per_variable,
            "AUC on the rows of the fit": d.apparent_auc,
            "AUC corrected for optimism": d.corrected_auc,
            "AUC cross-validated": d.cross_validated_auc,
        }
        for what, value in figures.items():
            table.add_row(what, "not asked for" if value is None else f"{value:.4g}", "")
    return table


def evaluation_table(found: dict[str, Evaluation]) -> object:
    """Figures of each column of probabilities, side by side."""
    from rich.table import Table

    table = Table("figure", *found)
    first = next(iter(found.values()))
    groups = "" if first.n_groups is None else f", {first.n_groups:,} participants"
    table.title = f"{first.n:,} records, {first.events:,} events{groups}"
    columns = [_figures(evaluation) for evaluation in found.values()]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _figures(e: Evaluation) -> dict[str, str]:
    def interval(estimate: Any) -> str:
        if estimate is None:
            return "not given"
        return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"

    figures = {"AUC, DeLong": interval(e.auc)}
    if e.n_groups is not None:
        figures["AUC, participants drawn"] = interval(e.auc_grouped)
    figures |= {
        "average precision (prevalence)": f"{e.average_precision:.3f} ({e.prevalence:.3f})",
        "Brier score": f"{e.brier:.4f}",
        "Brier skill": f"{e.brier_skill:.3f}",
        "log-loss": f"{e.log_loss:.4f}",
        "calibration in the large (offset)": interval(e.offset),
        "calibration slope": interval(e.slope),
        "observed / expected": interval(e.observed_to_expected),
    }
    for name in ("ici", "e50", "e90", "emax"):
        figures[name.upper() if name == "ici" else name.capitalize()] = (
            "not given" if e.smooth is None else f"{getattr(e.smooth, name):.4f}"
        )
    for b in e.decision:
        figures[f"net benefit at {100 * b.threshold:g} % (acting on all)"] = f"{b.model:.4f} ({b.all:.4f})"
    figures["probabilities clipped"] = str(e.n_clipped)
    return figures
