"""``lungtwin label models|score|fit|evaluate|card``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import answer, errors, out
from .label_tables import evaluation_table, fit_table, models_table, scores_table, worked_example

if TYPE_CHECKING:
    from ..risk.scoring import Scored

app = typer.Typer(
    help="Risk models: what they need, scores of tables, fits on NLST, evaluation, cards.", no_args_is_help=True
)

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="A CSV file; columns by name.")]


@app.command("models")
def list_models(
    level: Annotated[str | None, typer.Option(help="nodule or participant; both when not given.")] = None,
) -> None:
    """Models that come with the package: what of, how good as published, how far checked; and a worked example."""
    import labeling

    models = [labeling.get(i) for i in labeling.models(level)]  # type: ignore[arg-type]
    out.print(models_table(models))
    if level != "participant":
        out.print(worked_example(), highlight=False)
    answer([{name: getattr(m, name) for name in ("id", "level", "title", "outcome", "status")} for m in models])


@app.command("score")
def score(
    file: TableFile,
    model: Annotated[str, typer.Option(help="Models, by id or JSON file, separated by commas.")] = "brock-2b",
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="The CSV to write; beside the table, *_scored.csv, if not given.")
    ] = None,
    impute: Annotated[
        str | None, typer.Option(help="reference: what is not known takes the model's reference value, and it is said.")
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="Add categories of Lung-RADS, Fleischner and BTS where columns allow.")
    ] = False,
) -> None:
    """Score a table: its columns, and p_, logit_, imputed_, extrapolated_ of each model. A bad row stops it all."""
    from ..risk.csvfile import read_csv, write_csv
    from ..risk.scoring import default_output, find_models, score_file

    models = find_models(model)
    table = read_csv(file)
    scored = score_file(table, models, impute)
    added: dict[str, Any] = {name: column for each in scored for name, column in each.columns().items()}
    said: dict[str, Any] = {}
    if rules:
        from ..risk.rules import rule_columns

        more, said = rule_columns(table, scored)
        added |= more
    path = target or default_output(file)
    write_csv(path, table, added)
    out.print(scores_table(scored, len(table.rows)))
    for system, ruling in said.items():
        what = f"left out: {ruling}" if isinstance(ruling, str) else ruling.status
        out.print(f"{system}  {what}", markup=False, highlight=False)
    for each in scored:
        _warn(each)
    out.print(f"written  {path.resolve()}", markup=False, highlight=False)
    answer(
        {
            "written": path.resolve(),
            "n_rows": len(table.rows),
            "models": {each.model.id: _figures(each) for each in scored},
            "rules": {name: ruling if isinstance(ruling, str) else ruling.status for name, ruling in said.items()},
        }
    )


@app.command("fit")
def fit(
    ctab: Annotated[Path, typer.Option(help="NLST table of CT abnormalities (CSV, public or CDAS).")],
    prsn: Annotated[Path, typer.Option(help="NLST table of participants (CSV, public or CDAS).")],
    label: Annotated[
        str,
        typer.Option(help="What counts as the outcome: participant_ever, screen_within(1), nodule_lobe(2)..."),
    ],
    target: Annotated[Path, typer.Option("--out", "-o", help="The model (.json).")],
    screen: Annotated[
        Path | None, typer.Option(help="NLST table of CT screens; tells the CT arm of the public tables.")
    ] = None,
    ctabc: Annotated[Path | None, typer.Option(help="NLST table of comparison reads; checked, not used.")] = None,
    card: Annotated[Path | None, typer.Option(help="The model's card (.md) too.")] = None,
    predictors: Annotated[
        str | None, typer.Option(help="Names of covariates, separated by commas; a default for the level if not given.")
    ] = None,
    firth: Annotated[bool, typer.Option("--firth", help="Firth's penalty, for few events or separated data.")] = False,
    n_bootstrap: Annotated[
        int, typer.Option("--bootstrap", help="Resamples of participants for the optimism of the AUC.")
    ] = 200,
    n_folds: Annotated[int, typer.Option("--folds", help="Folds of participants for the cross-validated AUC.")] = 5,
    seed: Annotated[int, typer.Option(help="Fixes bootstrap and folds.")] = 0,
    name: Annotated[str, typer.Option("--id", help="Id of the model.")] = "nlst-fit",
) -> None:
    """Fit a risk model on NLST tables that you have, and say how good it is. No NLST data come with lungtwin."""
    import labeling
    from labeling.nlst.fit import fit_nlst
    from twins.files import replacing

    from ..risk.fitting import parse_label
    from ..risk.generators import generator

    if target.suffix != ".json":
        raise ValueError(f"--out: a model ends in .json, got {target}")
    model = fit_nlst(
        ctab,
        prsn,
        label=parse_label(label),
        rng=generator(seed),
        ctabc=ctabc,
        screen=screen,
        predictors=None if predictors is None else tuple(word.strip() for word in predictors.split(",")),
        penalty="firth" if firth else None,
        n_bootstrap=n_bootstrap,
        n_folds=n_folds,
        id=name,
    )
    labeling.write_model(model, target)
    if card is not None:
        with replacing(card) as part:
            part.write_text(labeling.model_card(model), encoding="utf-8")
    out.print(fit_table(model))
    out.print(model.status, markup=False, highlight=False)
    for path in (target, card):
        if path is not None:
            out.print(f"written  {path.resolve()}", markup=False, highlight=False)
    answer(model.model_dump(mode="json"))


@app.command("evaluate")
def evaluate(
    file: TableFile,
    truth: Annotated[str, typer.Option(help="Column of outcomes: malignant or benign, true or false, 1 or 0.")],
    probability: Annotated[str, typer.Option(help="Columns of probabilities, separated by commas.")],
    group: Annotated[
        str | None, typer.Option(help="Column of participants; intervals then count people, not nodules.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for evaluation.json and pictures; made if needed.")
    ] = None,
    n_bootstrap: Annotated[int, typer.Option("--bootstrap", help="Draws of participants.")] = 1000,
    seed: Annotated[int, typer.Option(help="Fixes the draws of participants.")] = 0,
) -> None:
    """Evaluate probabilities against outcomes: discrimination, calibration, net benefit."""
    from ..risk.csvfile import read_csv
    from ..risk.evaluation import evaluate_file, write_evaluation

    names = [word.strip() for word in probability.split(",") if word.strip()]
    table = read_csv(file)
    found = evaluate_file(table, truth, names, group, seed=seed, n_bootstrap=n_bootstrap)
    out.print(evaluation_table(found))
    for name, evaluation in found.items():
        for figure, why in evaluation.withheld.items():
            out.print(f"{name}: {figure} is not given: {why}", markup=False, highlight=False)
    if target is not None:
        files = write_evaluation(table, truth, found, target)
        out.print(f"written  {files[0].resolve()} and {len(files) - 1} pictures", markup=False, highlight=False)
    answer({name: evaluation.as_dict() for name, evaluation in found.items()})


@app.command("card")
def card(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Id, or a JSON file.")],
    target: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; printed if not given.")] = None,
) -> None:
    """The card of a model in Markdown: use, population, equation, figures, limits, what may be claimed."""
    import labeling
    from twins.files import replacing

    from ..risk.scoring import find_models

    (found,) = find_models(model.replace(",", ""))
    text = labeling.model_card(found)
    if target is None:
        out.file.write(text)
    else:
        with replacing(target) as part:
            part.write_text(text, encoding="utf-8")
        out.print(f"written  {target.resolve()}", markup=False, highlight=False)
    answer({"model": found.id, "card": text, "written": None if target is None else target.resolve()})


def _figures(each: Scored) -> dict[str, Any]:
    scores = each.scores
    return {
        "mean_probability": float(scores.probability.mean()),
        "lowest_probability": float(scores.probability.min()),
        "highest_probability": float(scores.probability.max()),
        "n_excluded": int(scores.excluded.sum()),
        "n_extrapolated": {name: int(flags.sum()) for name, flags in scores.extrapolated.items()},
        "n_imputed": {name: int(flags.sum()) for name, flags in scores.imputed.items()},
    }


def _warn(each: Scored) -> None:
    counts = {name: int(flags.sum()) for name, flags in each.scores.extrapolated.items() if flags.any()}
    ranges = {c.name: c.trained for c in each.model.covariates}
    words = []
    for name, count in counts.items():
        trained = ranges[name]
        words.append(
            f"{name} in {count} rows" + (f" (developed on {trained[0]:g} to {trained[1]:g})" if trained else "")
        )
    if words:
        said = f"warning: {each.model.id} was not developed on such values: {', '.join(words)}"
        errors.print(said, markup=False, highlight=False, soft_wrap=True)
